//! The timers of a login and of a request: when to send again.
//!
//! Short timers and many attempts help against packet loss; growing ones let slow BMCs answer. BMCs with few session
//! slots or slow RAKP arithmetic must not be flooded, so the waits are longer while no loss was seen.

use std::time::Duration;

/// Number of sends of an Open Session Request before another attempt begins.
pub(crate) const OPEN_SENDS: u32 = 4;
/// Number of sends of RAKP 1. More would let a BMC choose a second random number, which invalidates the answer to the
/// first.
pub(crate) const RAKP1_SENDS: u32 = 1;
/// Number of sends of RAKP 3 in one attempt.
pub(crate) const RAKP3_SENDS: u32 = 3;
/// Number of attempts whose answers count at the same time, so that a slow BMC's late answers still count.
pub(crate) const ATTEMPTS_HEARD: usize = 8;
/// The least wait before a refusal is believed. Before the session is open nothing proves that the BMC sent it, and the
/// BMC may need as long for its own answer.
pub(crate) const REFUSAL_DOUBT: Duration = Duration::from_millis(500);
/// The pause before a new attempt after the BMC has lost a session.
pub(crate) const SESSION_GONE_PAUSE: Duration = Duration::from_millis(150);

/// Returns the wait after the `sent`-th send (from 1) of a message whose usual delay is not known.
pub(crate) fn exchange_wait(sent: u32) -> Duration {
    grown(200, 5, 4, sent.saturating_sub(1), 1000)
}

/// Returns the wait after the `sent`-th send (from 1) of an Open Session Request.
pub(crate) fn open_wait(sent: u32, round_trip: Option<Duration>) -> Duration {
    grown(base(round_trip), 5, 4, sent.saturating_sub(1), 1000)
}

/// Returns the wait for RAKP 2 or 4 in the `round`-th attempt (from 0).
pub(crate) fn rakp_wait(round: u32, loss_seen: bool, round_trip: Option<Duration>) -> Duration {
    if loss_seen {
        return grown(base(round_trip), 11, 10, round, 800);
    }
    // Mostly short, with ever longer waits in between: loss is overcome by the short ones, slowness by the long ones.
    let millis = match round % 6 {
        2 => 800,
        5 => 1600 * u64::from(round / 6 + 1),
        n if n % 3 == 0 => 250,
        _ => 350,
    };
    Duration::from_millis(millis)
}

/// Returns the pause before another attempt when all session slots were taken `times` times.
pub(crate) fn slot_pause(times: u32) -> Duration {
    grown(500, 3, 2, times.saturating_sub(1), 2000)
}

/// Returns the pause before a command is repeated to which the BMC was busy `times` times.
pub(crate) fn busy_pause(times: u32) -> Duration {
    grown(200, 3, 2, times.saturating_sub(1), 1000)
}

/// Returns the time in ms after which an answer counts as lost: ten round trips, between 100 and 200 ms.
fn base(round_trip: Option<Duration>) -> u64 {
    round_trip
        .map_or(200, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(10).clamp(100, 200))
}

fn grown(start: u64, up: u64, down: u64, times: u32, most: u64) -> Duration {
    let mut millis = start;
    for _ in 0..times {
        if millis >= most {
            break;
        }
        millis = millis * up / down;
    }
    Duration::from_millis(millis.min(most))
}
