//! Hosts on one machine, to test a cluster on. Each has its own network, processes, disk and BMC, and the real
//! corosync, Pacemaker, Ganeti and sshd of the machine's packages.
//!
//! A host is a set of namespaces over an overlay of the machine's root. Its power can be cut (all its processes end
//! without a message) and given back (it boots from its disk), by [`Host::power_off`] and [`Host::power_on`] or through
//! its BMC, over IPMI from any host.
//!
//! ```no_run
//! use std::time::Duration;
//! # fn main() -> lab::Result<()> {
//! let lab = lab::Lab::up(lab::Options { fencing: true, ..Default::default() })?;
//! lab.host("n3")?.power_off()?;
//! lab.wait_until("n3 is fenced", Duration::from_secs(60), || {
//!     Ok(lab.fence_history()?.iter().any(|e| e.target == "n3.lab" && e.status == "success"))
//! })?;
//! # Ok(())
//! # } // here the lab is taken down
//! ```

mod bmc;
mod cluster;
mod command;
mod crm;
mod disk;
mod error;
mod ganeti;
mod host;
mod init;
mod kept;
mod lab;
mod network;
mod owners;
mod power;
mod process;
mod qnetd;
mod remote;
mod requirements;
mod state;
mod status;
mod system;
mod teardown;
mod up;
mod watch;
mod watchdog;

pub use bmc::USER;
pub use command::Output;
pub use crm::{CrmMon, FenceEvent, Node, Resource};
pub use error::{Error, Result};
pub use host::{Host, RUN_LIMIT};
pub use lab::{Lab, Options};
pub use network::Network;
pub use power::Power;
pub use qnetd::Qnetd;
pub use status::{HostStatus, Status};
pub use watch::{Event, Watch};
pub use watchdog::{Expiry, SOCKET, now};

/// The tasks for which a lab itself starts the program `lab`.
#[doc(hidden)]
pub mod parts {
    pub use crate::bmc::{chassis, keep as keep_bmc};
    pub use crate::init::{main as init, services};
    pub use crate::power::supervise;
    pub use crate::teardown::warden;
    pub use crate::watchdog::keep as keep_watchdog;
}

/// Returns the root of a system by its name, such as `debian-13`, and one line about it; made if it is missing.
pub fn tree(system: &str, progress: &dyn Fn(&str)) -> Result<(std::path::PathBuf, String)> {
    let root = system::root(system, &requirements::own_program()?, progress)?;
    let about = system::made(&root);
    Ok((root, about))
}

/// Returns the labs of this machine, also those half built or half removed.
pub fn names() -> Vec<String> {
    state::names()
}
