//! Decides whether a boot may start instances: when its self-fencing is armed, or when no other node relies on
//! self-fencing of this host any more. It touches nothing.

use std::time::Duration;

/// The state of the self-fence service at a moment of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Boot {
    /// The watchdog is open: whatever the boot does, it ends when its lease ends.
    pub is_armed: bool,
    /// The administrator wants self-fencing armed.
    pub is_wanted: bool,
    /// An earlier boot of this host may have promised self-fencing to other nodes, and the end of that promise was not
    /// seen.
    pub was_promised: bool,
    /// For how long this boot has run, by the clock since boot.
    pub uptime: Duration,
}

/// Returns whether an instance may be started here. Ganeti's hooks on this host ask for it before they start one
/// (`gnt-ha hook`).
///
/// A node that has a report of an earlier boot's self-fencing may take this boot for armed, for as long as was promised
/// (`promise`, by this host's clock). Within that time only an armed boot may serve. An unarmed boot is not a danger by
/// itself. A master that was lost together with this host, and that the others cannot see, could start instances on it.
#[must_use]
pub fn may_serve(boot: Boot, promise: Duration) -> bool {
    boot.is_armed || boot.uptime >= promise || !(boot.is_wanted || boot.was_promised)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISE: Duration = Duration::from_secs(600);

    /// A boot without self-fencing runs no instance while other nodes take it for armed.
    #[test]
    fn a_boot_that_is_not_armed_serves_only_when_nothing_is_promised_any_more() {
        let boot = Boot { is_armed: false, is_wanted: true, was_promised: true, uptime: Duration::from_secs(599) };
        assert!(!may_serve(boot, PROMISE));
        assert!(
            !may_serve(Boot { is_wanted: false, ..boot }, PROMISE),
            "disarmed, and booted before the promise was over"
        );
        assert!(!may_serve(Boot { was_promised: false, ..boot }, PROMISE), "it is about to be armed");
        assert!(may_serve(Boot { uptime: PROMISE, ..boot }, PROMISE));
        assert!(may_serve(Boot { is_armed: true, ..boot }, PROMISE));
        assert!(may_serve(Boot { is_wanted: false, was_promised: false, ..boot }, PROMISE), "never armed");
    }
}
