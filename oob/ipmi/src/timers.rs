//! The timers of a login and of a request: when to send again.
//!
//! Short timers and many attempts help against packet loss; growing ones let slow BMCs answer. Many BMCs work off one
//! packet after another: a copy that was sent too early delays all that follows. So the timers follow what was measured.

use std::time::Duration;

/// Number of sends of an Open Session Request before another attempt begins.
pub(crate) const OPEN_SENDS: u32 = 4;
/// Number of sends of RAKP 1. More would let a BMC choose a second random number, which invalidates the answer to the
/// first.
pub(crate) const RAKP1_SENDS: u32 = 1;
/// Number of sends of RAKP 3 in one attempt.
pub(crate) const RAKP3_SENDS: u32 = 3;
/// Number of attempts whose answers count at the same time, so that a slow BMC's late answers still count.
pub(crate) const ATTEMPTS_ANSWERED: usize = 8;
/// The least wait before a refusal counts. Before the session is open nothing proves that the BMC sent it, and the
/// BMC may need as long for its own answer.
pub(crate) const REFUSAL_DOUBT: Duration = Duration::from_millis(500);
/// The pause before a new attempt after the BMC has lost a session.
pub(crate) const SESSION_GONE_PAUSE: Duration = Duration::from_millis(150);
/// The waits in ms while no answer has come yet. The first one is long: a BMC that needs 900 ms for a packet would have
/// to work off each one that was sent before its first answer. Later ones are for lost packets.
const UNMEASURED_WAITS_MS: [u64; 6] = [950, 500, 600, 700, 800, 900];

/// What was measured of a BMC: the time until it answers, and how many packets it may still have to work off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// The shorter one of the last two: one hiccup of the BMC is not its pace.
    round_trip: Option<Duration>,
    last: Option<Duration>,
    behind: u32,
}

impl Pace {
    /// Notes an answer that came `round_trip` after the send of the very packet that it answers. `behind` packets were
    /// sent after that one.
    pub(crate) fn measured(&mut self, round_trip: Duration, behind: u32) {
        self.note(round_trip);
        self.behind = behind;
    }

    fn note(&mut self, round_trip: Duration) {
        self.round_trip = Some(self.last.map_or(round_trip, |last| last.min(round_trip)));
        self.last = Some(round_trip);
    }

    /// Notes an answer that took the time of some arithmetic, too. `behind` packets were sent after the one that it
    /// answers.
    pub(crate) fn computed(&mut self, behind: u32) {
        self.behind = behind;
    }

    /// Notes an answer to one of the `sent` copies of a message. It is not known to which.
    pub(crate) fn answered(&mut self, sent: u32, since_first: Duration) {
        if sent <= 1 {
            self.note(since_first);
        }
        self.behind = sent.saturating_sub(1);
    }

    /// Whether an answer has come yet.
    pub(crate) fn is_measured(self) -> bool {
        self.round_trip.is_some()
    }

    /// Returns the wait after the `sent`-th send (from 1) of an Open Session Request.
    pub(crate) fn open_wait(self, sent: u32) -> Duration {
        let Some(round_trip) = self.round_trip else {
            let index = usize::try_from(sent.saturating_sub(1)).unwrap_or(usize::MAX);
            return Duration::from_millis(UNMEASURED_WAITS_MS.get(index).copied().unwrap_or(1000));
        };
        // An answer counts as lost after ten round trips, where these are short.
        let short = millis(round_trip).saturating_mul(10).clamp(100, 200);
        grown(short.max(self.least()), 5, 4, sent.saturating_sub(1), 1000)
    }

    /// Returns the wait for RAKP 2 or 4 in the `round`-th attempt (from 0).
    pub(crate) fn rakp_wait(self, round: u32, loss_seen: bool) -> Duration {
        if loss_seen {
            let short = self.round_trip.map_or(200, |time| millis(time).saturating_mul(10).clamp(100, 200));
            return grown(short.max(self.least()), 11, 10, round, 800);
        }
        // Mostly short, with ever longer waits in between: loss is overcome by the short ones, slow arithmetic by the
        // long ones.
        let wait = match round % 6 {
            2 => 800,
            5 => 1600 * u64::from(round / 6 + 1),
            n if n % 3 == 0 => 250,
            _ => 350,
        };
        Duration::from_millis(wait.max(self.least()))
    }

    /// Returns the wait after the `sent`-th send (from 1) of a request in a session.
    pub(crate) fn exchange_wait(self, sent: u32) -> Duration {
        grown(self.least().max(200), 5, 4, sent.saturating_sub(1), 1000)
    }

    /// Returns the wait after the `sent`-th send (from 1) of a power command and of the questions after it. Each wait is
    /// twice as long as the one before: a BMC that needs seconds for the command has all the questions to answer then.
    pub(crate) fn command_wait(self, sent: u32) -> Duration {
        grown(self.least().max(200), 2, 1, sent.saturating_sub(1), 2000)
    }

    /// Returns how long the answer to the `sent`-th copy (from 1) of a power command may stay behind that of a later
    /// question: some BMCs answer a question while they still work on the command.
    pub(crate) fn command_pause(sent: u32) -> Duration {
        grown(100, 2, 1, sent.saturating_sub(1), 1600)
    }

    /// Returns the wait for the first answer in the `times`-th session (from 1): two seconds, or more where the BMC is
    /// slow. A BMC that drops an unused session does not answer in it at all.
    pub(crate) fn first_answer(self, times: u32) -> Duration {
        Duration::from_millis(self.least().saturating_mul(3).max(2000)) * times
    }

    /// Returns two round trips in ms, after all that the BMC may still have to work off.
    fn least(self) -> u64 {
        self.round_trip.map_or(0, |time| millis(time).saturating_mul(2).saturating_mul(u64::from(self.behind) + 1))
    }
}

/// Returns a wait that leaves time for two more: at most a third of the time left, but not less than 300 ms.
pub(crate) fn limited_wait(wait: Duration, left: Duration) -> Duration {
    wait.min((left / 3).max(Duration::from_millis(300)))
}

/// Returns the pause before another attempt when all session slots were taken `times` times.
pub(crate) fn slot_pause(times: u32) -> Duration {
    grown(500, 3, 2, times.saturating_sub(1), 2000)
}

/// Returns the pause before a command is repeated to which the BMC was busy `times` times.
pub(crate) fn busy_pause(times: u32) -> Duration {
    grown(200, 3, 2, times.saturating_sub(1), 1000)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns `start` after `times` growths by `up / down`, at most `most` unless `start` is above it; all in ms.
fn grown(start: u64, up: u64, down: u64, times: u32, most: u64) -> Duration {
    let mut millis = start;
    for _ in 0..times {
        if millis >= most {
            break;
        }
        millis = millis.saturating_mul(up) / down;
    }
    Duration::from_millis(millis.min(most.max(start)))
}
