//! Bringing a power state about and proving it: the one rule for off, on and both halves of a cycle.
//!
//! State first: what is already there is success. Then the command, once; then reading until the state was
//! seen as often as the proof needs; the command once more when half of the time is gone; then failure. What a
//! command answers is never proof: only what was read back is (IPMI tools acknowledge before they act).

use std::time::Duration;

use super::power::Power;

/// How a state is pursued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How often in a row the state must be read to be believed; 0 counts as 1.
    pub readings: u32,
    /// The pause before a reading that is to confirm the one before.
    pub confirm_pause: Duration,
    /// The pause before reading again while the state is not there yet.
    pub poll_pause: Duration,
    /// The pause between the command and the first reading after it.
    pub settle: Duration,
    /// The time for the whole pursuit.
    pub limit: Duration,
    /// How often the command may be sent; 0 counts as 1.
    pub sends: u32,
    /// For how long after the command readings may tell nothing before that is the end.
    pub patience: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerChangeStep {
    /// Wait that long, then read the state and tell [`PowerChange::read`].
    Read(Duration),
    /// Send the command and tell [`PowerChange::sent`].
    Send,
    /// The state is proven.
    Reached {
        /// No command was sent: it was there before.
        already: bool,
    },
    /// The state was not proven in time, or never can be.
    Failed(String),
}

/// Why a reading told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFailure {
    /// In words, for the error.
    pub why: String,
    /// Trying again cannot help or would harm (a refused login).
    pub is_final: bool,
}

/// The course of one pursuit. Holds no clock: the caller says how much time has gone.
#[derive(Debug)]
pub struct PowerChange {
    want: Power,
    rules: Rules,
    in_a_row: u32,
    unread: bool,
    sent: u32,
    sent_at: Duration,
    refused: Option<String>,
    last_seen: String,
}

impl PowerChange {
    /// Begins to pursue `want`. The first thing to do is to read the state.
    #[must_use]
    pub fn new(want: Power, rules: Rules) -> Self {
        Self {
            want,
            rules,
            in_a_row: 0,
            unread: false,
            sent: 0,
            sent_at: Duration::ZERO,
            refused: None,
            last_seen: "nothing was read".to_owned(),
        }
    }

    /// Believes `readings` in a row from now on: whoever reads twice itself need be asked only once.
    pub fn believe_after(&mut self, readings: u32) {
        self.rules.readings = readings;
    }

    /// Takes in what was read `elapsed` after the beginning.
    pub fn read(&mut self, seen: Result<Power, ReadFailure>, elapsed: Duration) -> PowerChangeStep {
        self.unread = seen.is_err();
        match seen {
            Ok(power) if power == self.want => {
                self.in_a_row += 1;
                self.last_seen = format!("it says {power}, {} of {} times", self.in_a_row, self.readings());
                if self.in_a_row >= self.readings() {
                    return PowerChangeStep::Reached { already: self.sent == 0 };
                }
                self.again(self.rules.confirm_pause, elapsed)
            }
            Ok(power) => {
                self.in_a_row = 0;
                self.last_seen = format!("it still says {power}");
                if self.may_send(elapsed) { PowerChangeStep::Send } else { self.again(self.rules.poll_pause, elapsed) }
            }
            Err(unread) => {
                self.in_a_row = 0;
                self.last_seen = unread.why;
                if unread.is_final {
                    return PowerChangeStep::Failed(self.last_seen.clone());
                }
                // The command is idempotent and was asked for: what cannot be read may still be switched.
                if self.sent == 0 {
                    PowerChangeStep::Send
                } else if elapsed.saturating_sub(self.sent_at) >= self.rules.patience {
                    PowerChangeStep::Failed(self.give_up(elapsed))
                } else {
                    self.again(self.rules.poll_pause, elapsed)
                }
            }
        }
    }

    /// Takes in how the command was answered `elapsed` after the beginning. A refusal is remembered for the
    /// error, but only the state that is read decides.
    pub fn sent(&mut self, answer: Result<(), ReadFailure>, elapsed: Duration) -> PowerChangeStep {
        self.sent += 1;
        self.sent_at = elapsed;
        match answer {
            Ok(()) => self.refused = None,
            Err(unread) if unread.is_final => return PowerChangeStep::Failed(unread.why),
            Err(unread) => self.refused = Some(unread.why),
        }
        // However long the command took: without a reading it was for nothing.
        PowerChangeStep::Read(self.rules.settle)
    }

    fn readings(&self) -> u32 {
        self.rules.readings.max(1)
    }

    /// The first command goes out at once, each later one when half of the time that was left has gone.
    fn may_send(&self, elapsed: Duration) -> bool {
        if self.sent == 0 {
            return true;
        }
        let patience = self.rules.limit.saturating_sub(self.sent_at) / 2;
        self.sent < self.rules.sends.max(1) && elapsed.saturating_sub(self.sent_at) >= patience
    }

    fn again(&self, pause: Duration, elapsed: Duration) -> PowerChangeStep {
        if elapsed < self.rules.limit {
            PowerChangeStep::Read(pause)
        } else {
            PowerChangeStep::Failed(self.give_up(elapsed))
        }
    }

    /// Why the state is not proven, `elapsed` after the beginning: for whoever has no more time.
    #[must_use]
    pub fn give_up(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        // Whoever cannot read gave the reason for both already.
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
            patience: Duration::MAX,
        }
    }

    fn unread(why: &str) -> Result<Power, ReadFailure> {
        Err(ReadFailure { why: why.to_owned(), is_final: false })
    }

    #[test]
    fn already_off_sends_nothing_but_reads_twice() {
        let mut off = PowerChange::new(Power::Off, rules());
        assert_eq!(off.read(Ok(Power::Off), MS(0)), PowerChangeStep::Read(MS(200)));
        assert_eq!(off.read(Ok(Power::Off), MS(200)), PowerChangeStep::Reached { already: true });
    }

    /// A dark moment inside somebody's power cycle must not pass as off.
    #[test]
    fn off_then_on_again_starts_the_count_anew() {
        let mut off = PowerChange::new(Power::Off, rules());
        assert_eq!(off.read(Ok(Power::Off), MS(0)), PowerChangeStep::Read(MS(200)));
        assert_eq!(off.read(Ok(Power::On), MS(200)), PowerChangeStep::Send);
        assert_eq!(off.sent(Ok(()), MS(210)), PowerChangeStep::Read(MS(0)));
        assert_eq!(off.read(Ok(Power::Off), MS(220)), PowerChangeStep::Read(MS(200)));
        assert_eq!(off.read(Ok(Power::Off), MS(420)), PowerChangeStep::Reached { already: false });
    }

    /// IPMI: a BMC may acknowledge and not act. The command goes out once more, then it is a failure.
    #[test]
    fn an_acknowledgement_is_not_proof() {
        let mut off = PowerChange::new(Power::Off, rules());
        let mut now = MS(0);
        let mut sends = 0;
        let mut next = off.read(Ok(Power::On), now);
        let why = loop {
            match next {
                PowerChangeStep::Send => {
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

    /// "A BMC that does not answer is unknown, never off": the command goes out, nothing is believed.
    #[test]
    fn silence_is_a_failure() {
        let mut off = PowerChange::new(Power::Off, rules());
        assert_eq!(off.read(unread("no answer"), MS(5_000)), PowerChangeStep::Send);
        let unsent = Err(ReadFailure { why: "no answer".into(), is_final: false });
        assert_eq!(off.sent(unsent, MS(10_000)), PowerChangeStep::Read(MS(0)));
        assert_eq!(off.read(unread("no answer"), MS(15_000)), PowerChangeStep::Read(MS(500)));
        let next = off.read(unread("no answer"), MS(20_100));
        assert!(matches!(&next, PowerChangeStep::Failed(why) if why.contains("no answer")), "{next:?}");
    }

    /// Pacemaker asks other peers only when an agent fails in time: silence must not use up everything.
    #[test]
    fn silence_after_the_command_is_put_up_with_for_a_while() {
        let mut off = PowerChange::new(Power::Off, Rules { patience: MS(5_000), ..rules() });
        assert_eq!(off.read(unread("no answer"), MS(8_000)), PowerChangeStep::Send);
        off.sent(Err(ReadFailure { why: "no answer".into(), is_final: false }), MS(16_000));
        assert_eq!(off.read(unread("away for a moment"), MS(17_000)), PowerChangeStep::Read(MS(500)));
        assert!(matches!(off.read(unread("no answer"), MS(21_000)), PowerChangeStep::Failed(_)));
    }

    /// A command that took all of the time is still judged by what is read after it.
    #[test]
    fn there_is_always_a_reading_after_the_command() {
        let mut off = PowerChange::new(Power::Off, Rules { readings: 1, ..rules() });
        assert_eq!(off.read(Ok(Power::On), MS(10)), PowerChangeStep::Send);
        assert_eq!(off.sent(Ok(()), MS(30_000)), PowerChangeStep::Read(MS(0)));
        assert_eq!(off.read(Ok(Power::Off), MS(30_010)), PowerChangeStep::Reached { already: false });
    }

    /// "A failed login is never tried again": BMCs lock accounts.
    #[test]
    fn a_final_failure_ends_at_once() {
        let mut off = PowerChange::new(Power::Off, rules());
        let refused = Err(ReadFailure { why: "wrong password".into(), is_final: true });
        assert_eq!(off.read(refused, MS(5)), PowerChangeStep::Failed("wrong password".into()));
    }

    /// Some BMCs answer D5h to "off" when the host is off by then: what is read decides.
    #[test]
    fn a_refused_command_is_judged_by_the_state() {
        let mut off = PowerChange::new(Power::Off, rules());
        assert_eq!(off.read(Ok(Power::On), MS(0)), PowerChangeStep::Send);
        let refused = Err(ReadFailure { why: "D5h".into(), is_final: false });
        assert_eq!(off.sent(refused, MS(1)), PowerChangeStep::Read(MS(0)));
        off.read(Ok(Power::Off), MS(2));
        assert_eq!(off.read(Ok(Power::Off), MS(202)), PowerChangeStep::Reached { already: false });
    }

    fn reading() -> impl Strategy<Value = Result<Power, ReadFailure>> {
        prop_oneof![
            Just(Ok(Power::On)),
            Just(Ok(Power::Off)),
            any::<bool>().prop_map(|is_final| Err(ReadFailure { why: "?".into(), is_final })),
        ]
    }

    proptest! {
        /// Whatever is read: success only after `readings` equal ones in a row, and always an end.
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
                    PowerChangeStep::Send => off.sent(Ok(()), now),
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
