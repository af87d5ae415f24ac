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
    sent_at: Duration,
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
            refused: None,
            last_seen: "nothing was read".to_owned(),
        }
    }

    /// Sets how many readings in a row are a proof from now on. A device that itself reads twice need be read only
    /// once.
    pub fn require_readings(&mut self, readings: u32) {
        self.rules.readings = readings;
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
                self.in_a_row += 1;
                self.last_seen = format!("it says {power}, {} of {} times", self.in_a_row, self.readings());
                if self.in_a_row >= self.readings() {
                    return PowerChangeStep::Reached { already: self.already, caution: self.caution() };
                }
                self.again(self.rules.confirm_pause, elapsed)
            }
            Ok(power) => {
                self.in_a_row = 0;
                self.last_seen = format!("it still says {power}");
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

    /// Whether a state that may lag has still to be commanded: until the device accepts the command, or refuses it for
    /// ever, or as often as a command is sent at all.
    fn must_command(&self) -> bool {
        let is_open = self.sent == 0 || (self.refused.is_some() && !self.is_refused);
        self.rules.lag.is_some() && !self.is_changed && is_open && self.sent < self.rules.sends.max(1)
    }

    /// Returns why a state that may lag counts although its command failed.
    fn caution(&self) -> Option<String> {
        let why = self.refused.as_ref().filter(|_| !self.is_changed && self.rules.lag.is_some())?;
        Some(format!("it reported {} before, and the command failed: {why}", self.want))
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn rules() -> Rules {
        Rules {
            readings: 2,
            confirm_pause: MS(200),
            poll_pause: MS(500),
            settle: MS(0),
            limit: MS(20_000),
            sends: 2,
            silence_limit: Duration::MAX,
            lag: None,
        }
    }

    fn unread(why: &str) -> Result<Power, ReadFailure> {
        Err(ReadFailure { why: why.to_owned(), is_final: false })
    }

    const ANYWAY: PowerChangeStep = PowerChangeStep::Send { already: true };

    fn lagging() -> PowerChange {
        PowerChange::new(Power::Off, Rules { lag: Some(MS(1_000)), ..rules() })
    }

    fn failed(is_final: bool) -> Result<(), ReadFailure> {
        Err(ReadFailure { why: "no".to_owned(), is_final })
    }

    /// A BMC reported "off" for a while although its host had been switched on: the host ran on, recorded as off.
    #[test]
    fn an_off_that_may_lag_is_commanded_first() {
        let mut off = lagging();
        assert_eq!(off.read(Ok(Power::Off), MS(0)), ANYWAY);
        assert_eq!(off.sent(Ok(()), MS(10)), PowerChangeStep::Read(MS(1_000)));
        assert_eq!(off.read(Ok(Power::Off), MS(1_010)), PowerChangeStep::Read(MS(200)));
        assert_eq!(off.read(Ok(Power::Off), MS(1_220)), PowerChangeStep::Reached { already: true, caution: None });
        let mut lags = lagging();
        assert_eq!(lags.read(Ok(Power::Off), MS(0)), ANYWAY);
        lags.sent(Ok(()), MS(10));
        assert_eq!(lags.read(Ok(Power::On), MS(20)), PowerChangeStep::Read(MS(500)));
        lags.read(Ok(Power::Off), MS(520));
        assert_eq!(lags.read(Ok(Power::Off), MS(720)), PowerChangeStep::Reached { already: false, caution: None });
    }

    /// A user who may only read, or a BMC that refuses to switch off what is off, must not keep a host from being fenced.
    /// A command that was lost is repeated: the state may be that of before.
    #[test]
    fn an_off_whose_command_fails_counts_with_a_caution() {
        let mut refused = lagging();
        assert_eq!(refused.read(Ok(Power::Off), MS(0)), ANYWAY);
        assert_eq!(refused.sent(failed(true), MS(10)), PowerChangeStep::Read(MS(1_000)));
        assert_eq!(refused.read(Ok(Power::Off), MS(1_010)), PowerChangeStep::Read(MS(200)));
        let end = refused.read(Ok(Power::Off), MS(1_220));
        assert!(matches!(end, PowerChangeStep::Reached { already: true, caution: Some(_) }), "{end:?}");

        let mut lost = lagging();
        assert_eq!(lost.read(Ok(Power::Off), MS(0)), ANYWAY);
        lost.sent(failed(false), MS(10));
        assert_eq!(lost.read(Ok(Power::Off), MS(1_010)), ANYWAY);
        lost.sent(Ok(()), MS(1_020));
        lost.read(Ok(Power::Off), MS(2_020));
        let end = lost.read(Ok(Power::Off), MS(2_220));
        assert_eq!(end, PowerChangeStep::Reached { already: true, caution: None });
    }

    #[test]
    fn already_off_sends_nothing_but_reads_twice() {
        let mut off = PowerChange::new(Power::Off, rules());
        assert_eq!(off.read(Ok(Power::Off), MS(0)), PowerChangeStep::Read(MS(200)));
        assert_eq!(off.read(Ok(Power::Off), MS(200)), PowerChangeStep::Reached { already: true, caution: None });
    }

    /// A short off inside another program's power cycle must not pass as off.
    #[test]
    fn off_then_on_again_starts_the_count_anew() {
        let mut off = PowerChange::new(Power::Off, rules());
        assert_eq!(off.read(Ok(Power::Off), MS(0)), PowerChangeStep::Read(MS(200)));
        assert_eq!(off.read(Ok(Power::On), MS(200)), PowerChangeStep::Send { already: false });
        assert_eq!(off.sent(Ok(()), MS(210)), PowerChangeStep::Read(MS(0)));
        assert_eq!(off.read(Ok(Power::Off), MS(220)), PowerChangeStep::Read(MS(200)));
        assert_eq!(off.read(Ok(Power::Off), MS(420)), PowerChangeStep::Reached { already: false, caution: None });
    }

    /// IPMI: a BMC may acknowledge and not act. The command is sent once more, then the change fails.
    #[test]
    fn an_acknowledgement_is_not_proof() {
        let mut off = PowerChange::new(Power::Off, rules());
        let mut now = MS(0);
        let mut sends = 0;
        let mut next = off.read(Ok(Power::On), now);
        let why = loop {
            match next {
                PowerChangeStep::Send { .. } => {
                    sends += 1;
                    next = off.sent(Ok(()), now);
                }
                PowerChangeStep::Read(pause) => {
                    now += pause + MS(10);
                    next = off.read(Ok(Power::On), now);
                }
                PowerChangeStep::Reached { .. } => panic!("believed an acknowledgement"),
                PowerChangeStep::Failed(why) => break why,
            }
        };
        assert_eq!(sends, 2);
        assert!(why.contains("it still says on"), "{why}");
    }

    /// A BMC that does not answer is unknown, never off: the command is sent, and nothing is proven.
    #[test]
    fn silence_is_a_failure() {
        let mut off = PowerChange::new(Power::Off, rules());
        assert_eq!(off.read(unread("no answer"), MS(5_000)), PowerChangeStep::Send { already: false });
        let unsent = Err(ReadFailure { why: "no answer".into(), is_final: false });
        assert_eq!(off.sent(unsent, MS(10_000)), PowerChangeStep::Read(MS(0)));
        assert_eq!(off.read(unread("no answer"), MS(15_000)), PowerChangeStep::Read(MS(500)));
        let next = off.read(unread("no answer"), MS(20_100));
        assert!(matches!(&next, PowerChangeStep::Failed(why) if why.contains("no answer")), "{next:?}");
    }

    /// Pacemaker asks other peers only if an agent fails in time: a silent device must not use up all of the time.
    #[test]
    fn silence_after_the_command_is_put_up_with_for_a_while() {
        let mut off = PowerChange::new(Power::Off, Rules { silence_limit: MS(5_000), ..rules() });
        assert_eq!(off.read(unread("no answer"), MS(8_000)), PowerChangeStep::Send { already: false });
        off.sent(Err(ReadFailure { why: "no answer".into(), is_final: false }), MS(16_000));
        assert_eq!(off.read(unread("away for a moment"), MS(17_000)), PowerChangeStep::Read(MS(500)));
        assert!(matches!(off.read(unread("no answer"), MS(21_000)), PowerChangeStep::Failed(_)));
    }

    /// A command that took all of the time is still followed by a reading, which decides.
    #[test]
    fn there_is_always_a_reading_after_the_command() {
        let mut off = PowerChange::new(Power::Off, Rules { readings: 1, ..rules() });
        assert_eq!(off.read(Ok(Power::On), MS(10)), PowerChangeStep::Send { already: false });
        assert_eq!(off.sent(Ok(()), MS(30_000)), PowerChangeStep::Read(MS(0)));
        assert_eq!(off.read(Ok(Power::Off), MS(30_010)), PowerChangeStep::Reached { already: false, caution: None });
    }

    /// A rejected login is never tried again: BMCs lock accounts.
    #[test]
    fn a_final_failure_ends_at_once() {
        let mut off = PowerChange::new(Power::Off, rules());
        let refused = Err(ReadFailure { why: "wrong password".into(), is_final: true });
        assert_eq!(off.read(refused, MS(5)), PowerChangeStep::Failed("wrong password".into()));
    }

    /// Some BMCs answer D5h to "off" when the host is off by then: the reading decides.
    #[test]
    fn a_refused_command_is_judged_by_the_state() {
        let mut off = PowerChange::new(Power::Off, rules());
        assert_eq!(off.read(Ok(Power::On), MS(0)), PowerChangeStep::Send { already: false });
        let refused = Err(ReadFailure { why: "D5h".into(), is_final: false });
        assert_eq!(off.sent(refused, MS(1)), PowerChangeStep::Read(MS(0)));
        off.read(Ok(Power::Off), MS(2));
        assert_eq!(off.read(Ok(Power::Off), MS(202)), PowerChangeStep::Reached { already: false, caution: None });
    }

    fn reading() -> impl Strategy<Value = Result<Power, ReadFailure>> {
        prop_oneof![
            Just(Ok(Power::On)),
            Just(Ok(Power::Off)),
            any::<bool>().prop_map(|is_final| Err(ReadFailure { why: "?".into(), is_final })),
        ]
    }

    proptest! {
        /// For any readings: success only after `readings` equal ones in a row, and always an end.
        #[test]
        fn success_needs_its_readings_in_a_row(script in proptest::collection::vec(reading(), 200)) {
            let mut off = PowerChange::new(Power::Off, rules());
            let mut now = MS(0);
            let mut last = Vec::new();
            let mut script = script.into_iter();
            let mut next = PowerChangeStep::Read(MS(0));
            loop {
                next = match next {
                    PowerChangeStep::Read(pause) => {
                        now += pause + MS(50);
                        let Some(seen) = script.next() else { prop_assert!(false, "no end"); break };
                        last.push(seen.clone());
                        off.read(seen, now)
                    }
                    PowerChangeStep::Send { .. } => off.sent(Ok(()), now),
                    PowerChangeStep::Failed(_) => break,
                    PowerChangeStep::Reached { .. } => {
                        prop_assert!(last.ends_with(&[Ok(Power::Off), Ok(Power::Off)]));
                        break;
                    }
                };
            }
        }
    }
}
