//! When to send again.
//!
//! Short timers and many tries win against loss; growth lets slow BMCs through. BMCs with few session slots or slow
//! RAKP arithmetic must not be flooded, hence the longer waits while nothing points to loss.

use std::time::Duration;

/// Sends of an Open Session Request before another attempt begins.
pub(crate) const OPEN_SENDS: u32 = 4;
/// Sends of RAKP 1. More would let a BMC choose a second random number, which spoils the answer to the first.
pub(crate) const RAKP1_SENDS: u32 = 1;
/// Sends of RAKP 3.
pub(crate) const RAKP3_SENDS: u32 = 3;
/// Attempts that are listened to at the same time, so that a slow BMC's late answers still count.
pub(crate) const ATTEMPTS_HEARD: usize = 8;
/// How long a refusal stands at least until it is believed: nothing before the session is open proves that it is the BMC's
/// word, and the BMC may need as long for its own.
pub(crate) const REFUSAL_DOUBT: Duration = Duration::from_millis(500);
/// Pause before asking again for the slot of a session the BMC has lost.
pub(crate) const SESSION_GONE_PAUSE: Duration = Duration::from_millis(150);

/// Wait after the `sent`-th send (from 1) of a message whose usual delay is not known.
pub(crate) fn exchange_wait(sent: u32) -> Duration {
    grown(200, 5, 4, sent.saturating_sub(1), 1000)
}

/// Wait after the `sent`-th send (from 1) of an Open Session Request.
pub(crate) fn open_wait(sent: u32, round_trip: Option<Duration>) -> Duration {
    grown(base(round_trip), 5, 4, sent.saturating_sub(1), 1000)
}

/// Wait for RAKP 2 or 4 in the `round`-th attempt (from 0).
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

/// Pause before asking again when all session slots were taken `times` times.
pub(crate) fn slot_pause(times: u32) -> Duration {
    grown(500, 3, 2, times.saturating_sub(1), 2000)
}

/// Pause before repeating a command that was put off `times` times.
pub(crate) fn busy_pause(times: u32) -> Duration {
    grown(200, 3, 2, times.saturating_sub(1), 1000)
}

/// Milliseconds after which an answer is taken for lost: many round trips, within bounds that suit a LAN.
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
