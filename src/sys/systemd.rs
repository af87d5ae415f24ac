//! Queries systemd on this host with `systemctl show`. Changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use super::clock::Deadline;
use super::command::{ProgramError, run};

/// Directory that exists while systemd is the first process (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// Settings of the manager by which it opens a watchdog (`systemd-system.conf(5)`), as property names.
const WATCHDOGS: [&str; 3] = ["RuntimeWatchdogUSec", "RebootWatchdogUSec", "KExecWatchdogUSec"];

/// Property with the watchdog device that the manager opens; not every version shows it.
const DEVICE: &str = "WatchdogDevice";

/// Returns whether systemd is the init process of this host.
#[must_use]
pub fn is_here() -> bool {
    Path::new(BOOTED).is_dir()
}

/// Returns the settings by which the manager opens the watchdog `device`, as `NAME=VALUE` in systemd's format.
///
/// # Errors
/// [`ProgramError`] if `systemctl` cannot be started, fails or times out.
pub fn watchdogs(device: &Path, deadline: Deadline) -> Result<Vec<String>, ProgramError> {
    let properties = WATCHDOGS.into_iter().chain([DEVICE]).map(|name| format!("--property={name}"));
    let words: Vec<String> = ["show".to_owned()].into_iter().chain(properties).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(watchdogs_in(&run(Path::new("systemctl"), &words, &[], deadline)?, device))
}

fn watchdogs_in(text: &str, device: &Path) -> Vec<String> {
    let pairs: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    // `/dev/watchdog` is the first watchdog, `/dev/watchdog0`.
    let own = |path: &Path| if path == Path::new("/dev/watchdog") { "/dev/watchdog0".into() } else { path.to_owned() };
    let other =
        pairs.get(DEVICE).filter(|path| !path.is_empty()).is_some_and(|path| own(Path::new(path)) != own(device));
    let set = |name: &&str| pairs.get(name).is_some_and(|value| !["", "0"].contains(value)) && !other;
    WATCHDOGS.into_iter().filter(set).map(|name| format!("{name}={}", pairs.get(name).unwrap_or(&""))).collect()
}

/// Returns those of `units` that systemd does not start at boot.
///
/// # Errors
/// [`ProgramError`] if `systemctl` cannot be started, fails or times out.
pub fn not_enabled(units: &[&str], deadline: Deadline) -> Result<Vec<String>, ProgramError> {
    let words: Vec<&str> =
        ["show", "--property=Id", "--property=UnitFileState"].into_iter().chain(units.iter().copied()).collect();
    Ok(not_enabled_in(&run(Path::new("systemctl"), &words, &[], deadline)?))
}

fn not_enabled_in(text: &str) -> Vec<String> {
    let field = |unit: &str, name: &str| {
        let found = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    let is_off = |unit: &&str| !field(unit, "UnitFileState").starts_with("enabled");
    text.split("\n\n").filter(is_off).map(|unit| field(unit, "Id")).filter(|id| !id.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watchdog that systemd keeps alive is not limited by our lease. A setting for another device is not a problem.
    #[test]
    fn each_setting_that_opens_the_device_is_found() {
        let device = Path::new("/dev/watchdog0");
        let of = |text: &str| watchdogs_in(text, device);
        assert_eq!(
            of("RuntimeWatchdogUSec=0\nRebootWatchdogUSec=10min\nKExecWatchdogUSec=0\n"),
            ["RebootWatchdogUSec=10min"]
        );
        assert_eq!(
            of("RuntimeWatchdogUSec=infinity\nWatchdogDevice=/dev/watchdog\n"),
            ["RuntimeWatchdogUSec=infinity"]
        );
        for off in ["", "RebootWatchdogUSec=0\n", "RebootWatchdogUSec=10min\nWatchdogDevice=/dev/watchdog1\n"] {
            assert!(of(off).is_empty(), "{off}");
        }
    }

    #[test]
    fn a_unit_that_is_not_enabled_is_named() {
        let text =
            "Id=gnt-ha-self-fence.service\nUnitFileState=disabled\n\nId=gnt-ha-shun.service\nUnitFileState=enabled\n";
        assert_eq!(not_enabled_in(text), ["gnt-ha-self-fence.service"]);
        assert_eq!(
            not_enabled_in("Id=gnt-ha-shun.service\nUnitFileState=\n"),
            ["gnt-ha-shun.service"],
            "not installed"
        );
        assert!(not_enabled_in("Id=a\nUnitFileState=enabled-runtime\n").is_empty());
    }
}
