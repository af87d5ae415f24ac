//! Checks that all required programs exist before a lab is begun.

use std::env;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::error::{Error, Result};

/// The required programs and the Debian packages that have them.
const OF_MACHINE: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("ssh-keygen", "openssh-client"),
    ("ipmi_sim", "openipmi"),
    ("tar", "tar"),
];

/// The additional programs if corosync has a quorum device.
const OF_QNETD: [(&str, &str); 1] = [("corosync-qnetd", "corosync-qnetd")];

/// The required programs on the hosts.
const OF_HOST: [(&str, &str); 11] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("corosync", "corosync"),
    ("pacemakerd", "pacemaker"),
    ("crm_mon", "pacemaker-cli-utils"),
    ("cibadmin", "pacemaker-cli-utils"),
    ("gnt-cluster", "ganeti"),
    ("ganeti-luxid", "ganeti"),
    ("sshd", "openssh-server"),
    ("fping", "fping"),
    ("fence_ipmilan", "fence-agents"),
];

/// The additional programs on the hosts if corosync has a quorum device.
const OF_MEMBER: [(&str, &str); 1] = [("corosync-qdevice", "corosync-qdevice")];

const DIRS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

pub(crate) fn root() -> Result<()> {
    if geteuid().is_root() { Ok(()) } else { Err(Error::NotRoot) }
}

pub(crate) fn of_machine(qnetd: bool) -> Result<()> {
    programs(Path::new("/"), &OF_MACHINE)?;
    if qnetd { programs(Path::new("/"), &OF_QNETD) } else { Ok(()) }
}

/// Returns the programs that hosts with this root run.
pub(crate) fn of_host(root: &Path, qnetd: bool) -> Result<()> {
    programs(root, &OF_HOST)?;
    if qnetd { programs(root, &OF_MEMBER) } else { Ok(()) }
}

fn programs(root: &Path, programs: &[(&'static str, &'static str)]) -> Result<()> {
    let is_there = |program: &str| DIRS.iter().any(|dir| root.join(dir).join(program).exists());
    let missing = programs.iter().find(|(program, _)| !is_there(program));
    let Some(&(program, package)) = missing else { return Ok(()) };
    if root == Path::new("/") {
        return Err(Error::Missing { program, package });
    }
    Err(Error::MissingThere { program, package, root: root.to_owned() })
}

/// Returns the program `lab`: the running one, or the one that cargo built beside a test.
pub(crate) fn own_program() -> Result<PathBuf> {
    if let Some(path) = env::var_os("GNT_HA_LAB") {
        return Ok(path.into());
    }
    let running = env::current_exe().map_err(Error::system("find the running program"))?;
    let beside = running.ancestors().skip(1).take(2).map(|dir| dir.join("lab"));
    let mut candidates = std::iter::once(running.clone()).chain(beside);
    candidates
        .find(|path| path.file_name().is_some_and(|name| name == "lab") && path.is_file())
        .ok_or(Error::NoProgram(running))
}
