//! What must be there before a lab is begun.

use std::env;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::error::{Error, Result};

/// Programs and the Debian packages that carry them.
const PROGRAMS: [(&str, &str); 14] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("corosync", "corosync"),
    ("pacemakerd", "pacemaker"),
    ("crm_mon", "pacemaker-cli-utils"),
    ("cibadmin", "pacemaker-cli-utils"),
    ("gnt-cluster", "ganeti"),
    ("ganeti-luxid", "ganeti"),
    ("sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
    ("fping", "fping"),
    ("ipmi_sim", "openipmi"),
    ("fence_ipmilan", "fence-agents"),
];

const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

pub(crate) fn root() -> Result<()> {
    if geteuid().is_root() { Ok(()) } else { Err(Error::NotRoot) }
}

pub(crate) fn programs() -> Result<()> {
    for (program, package) in PROGRAMS {
        if !FOLDERS.iter().any(|folder| Path::new(folder).join(program).exists()) {
            return Err(Error::Missing { program, package });
        }
    }
    Ok(())
}

/// The program `lab`: the running one, or the one that cargo built beside a test.
pub(crate) fn own_program() -> Result<PathBuf> {
    if let Some(path) = env::var_os("GNT_HA_LAB") {
        return Ok(path.into());
    }
    let running = env::current_exe().map_err(Error::system("find the running program"))?;
    let beside = running.ancestors().skip(1).take(2).map(|folder| folder.join("lab"));
    let mut candidates = std::iter::once(running.clone()).chain(beside);
    candidates
        .find(|path| path.file_name().is_some_and(|name| name == "lab") && path.is_file())
        .ok_or(Error::NoProgram(running))
}
