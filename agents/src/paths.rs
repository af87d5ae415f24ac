//! The directories that an agent's parameters name, and what the files, sockets and addresses in them show. Changes
//! nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gnt_ha::core::config::DEFAULT_PATH;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::pacemaker::fencing::Fencing;
use gnt_ha::core::roles::RunAs;
use gnt_ha::core::roles::simulate::Simulated;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::config_file;
use gnt_ha::sys::ganeti::daemon_util::Daemons;
use gnt_ha::sys::ganeti::luxi::{self, Luxi, LuxiError};
use gnt_ha::sys::pacemaker::cib;
use gnt_ha::sys::simulate;
use serde_json::Value;

use crate::call::{AgentCall, BadParameter};
use crate::markers::{Marker, Markers};

/// The directories that the agent's parameters name.
#[derive(Debug)]
pub struct AgentPaths {
    /// Ganeti's data directory, with `config.data` and the ssconf files.
    pub data_dir: PathBuf,
    /// The directory of pidfiles and sockets of Ganeti's daemons.
    pub run_dir: PathBuf,
    /// The state directory of gnt-ha, with its receipts.
    pub state_dir: PathBuf,
    /// The file with Pacemaker's configuration (CIB).
    pub cib: PathBuf,
    /// The state that holds until the next boot.
    pub markers: Markers,
    /// Ganeti's daemons on this host.
    pub daemons: Daemons,
    node_name: Option<NodeName>,
}

impl AgentPaths {
    /// Returns the directories that the parameters of `call` name.
    ///
    /// # Errors
    /// [`BadParameter`] if a path is not absolute, or `node_name` is not a valid node name.
    pub fn new(call: &AgentCall) -> Result<Self, BadParameter> {
        let run_dir = call.dir("run_dir")?;
        Ok(Self {
            data_dir: call.dir("data_dir")?,
            state_dir: call.dir("state_dir")?,
            cib: call.dir("cib")?,
            markers: Markers::new(&call.dir("marker_dir")?),
            daemons: Daemons::new(&call.dir("program_dir")?, &run_dir),
            run_dir,
            node_name: call.node_name()?,
        })
    }

    /// Returns the parameter `node_name`; `None` if it is not given.
    #[must_use]
    pub const fn node_name(&self) -> Option<&NodeName> {
        self.node_name.as_ref()
    }

    /// Returns the path of luxid's socket.
    #[must_use]
    pub fn luxid(&self) -> PathBuf {
        self.run_dir.join("socket/ganeti-query")
    }

    /// Returns the path of wconfd's socket.
    #[must_use]
    pub fn wconfd(&self) -> PathBuf {
        self.run_dir.join("socket/ganeti-wconfd")
    }

    /// Returns the failures that files on this host simulate.
    #[must_use]
    pub fn simulated(&self) -> BTreeSet<Simulated> {
        simulate::present(&self.state_dir.join(simulate::DIR))
    }

    /// Returns how Pacemaker runs the master role: as one resource or as a promotable clone.
    #[must_use]
    pub fn run_as(&self, call: &AgentCall) -> RunAs {
        if call.is_promotable() {
            // An instance that a probe found promoted is never started, but has recurring monitors.
            let recurring = call.action == "monitor" && !call.is_probe();
            RunAs::Promotable { started: recurring || self.markers.has(Marker::MasterStarted) }
        } else {
            RunAs::Primitive
        }
    }

    /// Returns Pacemaker's fence devices; `None` if its configuration cannot be read.
    #[must_use]
    pub fn fencing(&self) -> Option<Fencing> {
        let power_agents = config_file::power_agents(Path::new(DEFAULT_PATH));
        cib::read(&self.cib, &power_agents).ok().map(|cib| cib.fencing)
    }

    /// Whether luxid's socket accepts connections within 200 ms. Sends no request.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        luxi::is_listening(&self.luxid(), Deadline::after(Duration::from_millis(200)))
    }

    /// Returns the master that luxid on this host names.
    ///
    /// # Errors
    /// [`LuxiError`] if luxid cannot be reached, does not answer by the deadline, or names no master.
    pub fn luxids_master(&self, deadline: Deadline) -> Result<String, LuxiError> {
        let info = Luxi::connect(&self.luxid(), deadline)?.cluster_info()?;
        let master = info.get("master").and_then(Value::as_str).map(str::to_owned);
        master.ok_or_else(|| LuxiError::Answer("it names no master".to_owned()))
    }
}
