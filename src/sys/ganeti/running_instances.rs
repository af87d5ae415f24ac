//! Counts what runs on this host, as far as that is known without Ganeti's master. Reads `/run/ganeti` and `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::core::recovery::drbd;

/// Directory of the pidfiles of KVM instances (`lib/hypervisor/hv_kvm`, `_PIDS_DIR`).
const KVM: &str = "/run/ganeti/kvm-hypervisor/pid";

/// Directory with one file for each instance of Ganeti's fake hypervisor (`lib/hypervisor/hv_fake.py`).
const FAKE: &str = "/run/ganeti/fake-hypervisor";

/// Directory with one directory for each LXC instance that Ganeti started since the boot (`lib/hypervisor/hv_lxc.py`,
/// `_INSTANCE_DIR`).
const LXC: &str = "/run/ganeti/lxc/instance";

/// Returns the number of running instances. Returns `None` if it is unknown: instances of Xen and LXC are not processes
/// of Ganeti's.
#[must_use]
pub fn instances() -> Option<u32> {
    if Path::new("/proc/xen/capabilities").exists() || holds_anything(Path::new(LXC)) {
        return None;
    }
    let entries = |dir: &str| fs::read_dir(dir).into_iter().flatten().flatten();
    let lives = |path: &Path| {
        let pid = fs::read_to_string(path).ok()?;
        let pid: u32 = pid.trim().parse().ok()?;
        Path::new("/proc").join(pid.to_string()).exists().then_some(())
    };
    let kvm = entries(KVM).filter(|entry| lives(&entry.path()).is_some()).count();
    let fake = entries(FAKE).filter(|entry| entry.path().is_file()).count();
    u32::try_from(kvm + fake).ok()
}

/// Returns whether the directory exists and has an entry, or cannot be read.
fn holds_anything(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Returns the number of DRBD devices that are primary on this host, from `/proc/drbd` of DRBD 8, which Ganeti uses
/// (`drbdsetup(8)`). Returns `None` if it is unknown: DRBD 9 lists no devices there.
#[must_use]
pub fn drbd_primaries() -> Option<u32> {
    match fs::read_to_string("/proc/drbd") {
        Ok(text) => primaries_in(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(0),
        Err(_) => None,
    }
}

/// Returns the DRBD disks of this host, by their minors: whether each is connected, and up to date on both hosts. `None`
/// if that is unknown, or this host has no DRBD.
#[must_use]
pub fn drbd_disks() -> Option<BTreeMap<u32, bool>> {
    drbd::parse(&fs::read_to_string("/proc/drbd").ok()?)
}

fn primaries_in(text: &str) -> Option<u32> {
    text.starts_with("version: 8.").then(|| u32::try_from(text.matches("ro:Primary/").count()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The directory of a container shows that the container was started in this boot, and not whether it has ended.
    #[test]
    fn a_container_that_was_started_makes_the_number_unknown() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!holds_anything(dir.path()) && !holds_anything(&dir.path().join("none")));
        std::fs::create_dir(dir.path().join("web")).unwrap();
        assert!(holds_anything(dir.path()));
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(holds_anything(&dir.path().join("file")), "what cannot be read");
    }

    /// The number of devices that another version does not list is unknown, never 0.
    #[test]
    fn only_the_list_of_drbd_8_is_counted() {
        let eight = "version: 8.4.11 (api:1/proto:86-101)\n 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C\n \
                     1: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C\n";
        assert_eq!(primaries_in(eight), Some(1));
        assert_eq!(primaries_in("version: 8.4.11 (api:1/proto:86-101)\n"), Some(0));
        assert_eq!(primaries_in("version: 9.2.4 (api:2/proto:86-121)\nTransports (api:19): tcp (9.2.4)\n"), None);
        assert_eq!(primaries_in(""), None);
    }
}
