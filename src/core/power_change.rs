//! A power change: brings a power state about and proves it. One rule serves off, on and both halves of a cycle. Pure:
//! the caller reads, sends and waits.
//!
//! The state is read first, and the wanted state is success at once, unless it may lag ([`Rules::lag`]). Otherwise the command is sent, and the state is read until it was seen as often as the proof needs. The command is sent once more when half of the time is gone;
//! then the change fails. The response to a command is never proof, only the state that was read back (IPMI tools
//! acknowledge before they act).

use std::time::Duration;

use super::power::Power;

/// The rules of a power change: how often to read and send, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How often in a row the state must be read to be proven; 0 counts as 1.
    pub readings: u32,
    /// The pause before a reading that is to confirm the one before.
    pub confirm_pause: Duration,
    /// The pause before the next reading while the state is not reached.
    pub poll_pause: Duration,
    /// The pause between the command and the first reading after it.
    pub settle: Duration,
    /// The time for the whole power change.
    pub limit: Duration,
    /// How often the command may be sent; 0 counts as 1.
    pub sends: u32,
    /// How long after the command readings may fail. A failed reading after that ends the power change.
    pub silence_limit: Duration,
    /// How long the reported state may lag behind the host; `None` if it does not. Some BMCs report "off" for a while
    /// after the host was switched on. So the command is sent although the state is there before, where it does nothing
    /// then, and the readings that count come that long after it. A longer lag is not covered.
    pub lag: Option<Duration>,
    /// The least time from the response to a command to its effect, where the state may lag for long. A state that comes
    /// sooner may be a moment of another program's power cycle: it counts only if it is there a lag later. Such a device
    /// must also take a command, or refuse it twice. 0 if it does not matter.
    pub soonest: Duration,
}

/// The next step of a power change, which the caller carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerChangeStep {
    /// Wait for this time, then read the state and pass it to [`PowerChange::read`].
    Read(Duration),
    /// Send the command and pass the response to [`PowerChange::sent`].
    Send {
        /// Whether the state was reported before. The command must leave time for the readings then: without it the
        /// change would succeed, too.
        already: bool,
    },
    /// The state is proven.
    Reached {
        /// Whether each reading showed the state, also the one before any command.
        already: bool,
        /// Why a state that may lag was not commanded, for the receipt.
        caution: Option<String>,
    },
    /// The state was not proven in time, or never can be. The text is the reason.
    Failed(String),
}

/// The reason why a reading or a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFailure {
    /// The reason as text, for the error message.
    pub why: String,
    /// Whether another attempt cannot help or would harm (a rejected login).
    pub is_final: bool,
}

/// The state of one power change. It reads no clock: the caller passes the time since the beginning.
///
/// ```
/// use std::time::Duration;
///
/// use gnt_ha::core::power::Power;
/// use gnt_ha::core::power_change::{PowerChange, PowerChangeStep, Rules};
///
/// let second = Duration::from_secs(1);
/// let rules = Rules {
///     readings: 2,
///     confirm_pause: second,
///     poll_pause: second,
///     settle: Duration::ZERO,
///     limit: 20 * second,
///     sends: 2,
///     silence_limit: 5 * second,
///     lag: None,
///     soonest: Duration::ZERO,
/// };
/// let mut off = PowerChange::new(Power::Off, rules);
/// assert_eq!(off.read(Ok(Power::On), Duration::ZERO), PowerChangeStep::Send { already: false });
/// // The accepted command proves nothing: the state is read back, twice.
/// assert_eq!(off.sent(Ok(()), second), PowerChangeStep::Read(Duration::ZERO));
/// assert_eq!(off.read(Ok(Power::Off), 2 * second), PowerChangeStep::Read(second));
/// assert_eq!(off.read(Ok(Power::Off), 3 * second), PowerChangeStep::Reached { already: false, caution: None });
/// ```
#[derive(Debug)]
pub struct PowerChange {
    want: Power,
    rules: Rules,
    in_a_row: u32,
    /// Whether no reading has shown anything but the wanted state.
    already: bool,
    /// Whether a reading has shown another state than the wanted one.
    is_changed: bool,
    /// Whether a device that reported the state before has refused the command for ever.
    is_refused: bool,
    unread: bool,
    sent: u32,
    /// The time of the response to the last command.
    sent_at: Duration,
    /// How often the device has refused the command while it reported the wanted state.
    refusals: u32,
    /// Whether the last command of a device that reported the wanted state before has failed.
    is_untaken: bool,
    /// The number of the command after which a state that came too soon was waited for.
    awaited: u32,
    refused: Option<String>,
    last_seen: String,
}

impl PowerChange {
    /// Starts a power change to `want`. The caller reads the state first.
    #[must_use]
    pub fn new(want: Power, rules: Rules) -> Self {
        Self {
            want,
            rules,
            in_a_row: 0,
            already: true,
            is_changed: false,
            is_refused: false,
            unread: false,
            sent: 0,
            sent_at: Duration::ZERO,
            refusals: 0,
            is_untaken: false,
            awaited: 0,
            refused: None,
            last_seen: "nothing was read".to_owned(),
        }
    }

    /// Sets how many readings in a row are a proof from now on. A device that itself reads twice need be read only
    /// once.
    pub fn require_readings(&mut self, readings: u32) {
        self.rules.readings = readings;
    }

    /// Has the command sent also if the first reading shows the state, from now on, as for a state that may lag. The
    /// command itself proves the state, so nothing is waited for.
    pub fn require_command(&mut self) {
        self.rules.lag.get_or_insert(Duration::ZERO);
    }

    /// Takes in a reading that ended `elapsed` after the beginning, and returns the next step.
    pub fn read(&mut self, seen: Result<Power, ReadFailure>, elapsed: Duration) -> PowerChangeStep {
        self.unread = seen.is_err();
        self.already &= seen.as_ref().is_ok_and(|power| *power == self.want);
        self.is_changed |= seen.as_ref().is_ok_and(|power| *power != self.want);
        match seen {
            Ok(power) if power == self.want => {
                if self.must_command() {
                    self.last_seen = format!("it reported {power} before the command");
                    return PowerChangeStep::Send { already: true };
                }
                if let Some(why) = self.refused.as_ref().filter(|_| self.is_untaken && !self.rules.soonest.is_zero()) {
                    return PowerChangeStep::Failed(format!(
                        "it reported {power} before the command, which may be an old state, and took no command: {why}"
                    ));
                }
                if let Some(lag) = self.rules.lag.filter(|_| self.is_too_soon(elapsed)) {
                    self.awaited = self.sent;
                    self.last_seen = format!("it reported {power} sooner after the command than a host ends");
                    return self.again(lag, elapsed);
                }
                self.in_a_row += 1;
                self.last_seen = format!("it reads {power}, {} of {} times", self.in_a_row, self.readings());
                if self.in_a_row >= self.readings() {
                    return PowerChangeStep::Reached { already: self.already, caution: self.caution() };
                }
                self.again(self.rules.confirm_pause, elapsed)
            }
            Ok(power) => {
                self.in_a_row = 0;
                self.last_seen = format!("it still reads {power}");
                if self.may_send(elapsed) {
                    PowerChangeStep::Send { already: false }
                } else {
                    self.again(self.rules.poll_pause, elapsed)
                }
            }
            Err(unread) => {
                self.in_a_row = 0;
                self.last_seen = unread.why;
                if unread.is_final {
                    return PowerChangeStep::Failed(self.last_seen.clone());
                }
                // The command is idempotent and was requested: a host whose state cannot be read may still be switched.
                if self.sent == 0 {
                    PowerChangeStep::Send { already: false }
                } else if elapsed.saturating_sub(self.sent_at) >= self.rules.silence_limit {
                    PowerChangeStep::Failed(self.give_up(elapsed))
                } else {
                    self.again(self.rules.poll_pause, elapsed)
                }
            }
        }
    }

    /// Takes in the response to the command, `elapsed` after the beginning, and returns the next step. A rejection is
    /// kept for the error message, but only the state that is read decides.
    pub fn sent(&mut self, answer: Result<(), ReadFailure>, elapsed: Duration) -> PowerChangeStep {
        self.sent += 1;
        self.sent_at = elapsed;
        self.is_untaken = self.already && answer.is_err();
        match answer {
            Ok(()) => self.refused = None,
            // The state was there before. A device that refuses the command for that, or for ever, may still prove it.
            Err(unread) if self.already => {
                self.is_refused |= unread.is_final;
                self.refused = Some(unread.why);
            }
            Err(unread) if unread.is_final => return PowerChangeStep::Failed(unread.why),
            Err(unread) => self.refused = Some(unread.why),
        }
        // A reading follows however long the command took: without one the command would prove nothing.
        let lag = self.rules.lag.filter(|_| !self.is_changed).unwrap_or_default();
        PowerChangeStep::Read(self.rules.settle.max(lag))
    }

    /// Takes in a command that the device refused `elapsed` after the beginning, while it reported the wanted state. It
    /// switched nothing. A device may never take a command in that state, or may be busy with another program's: the
    /// command is sent once more a lag later, and then the state counts, with a caution.
    pub fn refused(&mut self, why: String, elapsed: Duration) -> PowerChangeStep {
        self.sent += 1;
        self.sent_at = elapsed;
        self.refusals += 1;
        self.is_untaken = false;
        self.is_refused = self.is_changed || self.refusals > 1;
        self.refused = Some(why);
        let lag = self.rules.lag.filter(|_| self.refusals == 1).unwrap_or_default();
        PowerChangeStep::Read(self.rules.settle.max(lag))
    }

    /// Whether the wanted state came sooner after the last command than a command takes.
    fn is_too_soon(&self, elapsed: Duration) -> bool {
        self.is_changed
            && self.in_a_row == 0
            && self.awaited < self.sent
            && elapsed.saturating_sub(self.sent_at) < self.rules.soonest
    }

    /// Whether a state that may lag has still to be commanded: until the device accepts the command, or refuses it for
    /// ever, or as often as a command is sent at all.
    fn must_command(&self) -> bool {
        let is_open = self.sent == 0 || (self.refused.is_some() && !self.is_refused);
        self.rules.lag.is_some() && !self.is_changed && is_open && self.sent < self.rules.sends.max(1)
    }

    /// Returns why a state that may lag counts although its command failed.
    fn caution(&self) -> Option<String> {
        let why = self.refused.as_ref().filter(|_| self.rules.lag.is_some())?;
        match self.is_changed {
            false => Some(format!("it reported {} before, and the command failed: {why}", self.want)),
            true => self.is_refused.then(|| format!("it refused the command, and reported {} then: {why}", self.want)),
        }
    }

    fn readings(&self) -> u32 {
        self.rules.readings.max(1)
    }

    /// Returns whether a command may be sent: the first one at once, each later one when half of the time that was left
    /// has gone.
    fn may_send(&self, elapsed: Duration) -> bool {
        if self.sent == 0 {
            return true;
        }
        let limit = self.rules.limit.saturating_sub(self.sent_at) / 2;
        self.sent < self.rules.sends.max(1) && elapsed.saturating_sub(self.sent_at) >= limit
    }

    fn again(&self, pause: Duration, elapsed: Duration) -> PowerChangeStep {
        if elapsed < self.rules.limit {
            PowerChangeStep::Read(pause)
        } else {
            PowerChangeStep::Failed(self.give_up(elapsed))
        }
    }

    /// Returns why the state is not proven, `elapsed` after the beginning, for a caller that has no more time.
    #[must_use]
    pub fn give_up(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        // If the last reading failed, its reason covers the command, too.
        let refused = self.refused.as_ref().filter(|_| !self.unread);
        let refused = refused.map(|why| format!("; the command was answered: {why}")).unwrap_or_default();
        let timed_out = if elapsed >= self.rules.limit { "timed out, " } else { "" };
        format!(
            "{timed_out}not proven {} after {seconds:.1} s ({} sent): {}{refused}",
            self.want,
            times(self.sent),
            self.last_seen
        )
    }
}

fn times(n: u32) -> String {
    match n {
        0 => "no command".to_owned(),
        1 => "1 command".to_owned(),
        n => format!("{n} commands"),
    }
}

#[cfg(test)]
mod tests;
