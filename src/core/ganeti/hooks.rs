//! The directories of Ganeti's hooks (`/etc/ganeti/hooks`) into which the script that calls `gnt-ha hook` is installed.

/// The name of the script. Ganeti ignores a file whose name contains a dot (`lib/constants.py`, `EXT_PLUGIN_MASK`).
pub const FILE: &str = "gnt-ha";

/// The directory in which Ganeti searches for hooks.
pub const ROOT: &str = "/etc/ganeti/hooks";

/// All directories. The last one is the watcher's, whose hooks run on every node every five minutes.
pub const DIRS: [&str; 15] = [
    "cluster-verify-post.d",
    "config-update-post.d",
    "instance-add-pre.d",
    "instance-failover-pre.d",
    "instance-migrate-pre.d",
    "instance-modify-pre.d",
    "instance-move-pre.d",
    "instance-reboot-pre.d",
    "instance-start-pre.d",
    "master-ip-turnup-post.d",
    "node-add-post.d",
    "node-modify-post.d",
    "node-modify-pre.d",
    "node-remove-post.d",
    "watcher",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The directories that are checked are those into which `make install` and the package install the script.
    #[test]
    fn make_install_and_the_package_know_every_dir() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
        let makefile = read("Makefile").replace("\\\n", " ");
        let installed = makefile.lines().find_map(|line| line.strip_prefix("HOOKS := ")).unwrap();
        assert_eq!(BTreeSet::from_iter(installed.split_whitespace()), BTreeSet::from(DIRS));
        let conffiles = read("packaging/deb/conffiles");
        let packed =
            conffiles.lines().filter_map(|line| line.strip_prefix("/etc/ganeti/hooks/")?.strip_suffix("/gnt-ha"));
        assert_eq!(BTreeSet::from_iter(packed), BTreeSet::from(DIRS));
    }
}
