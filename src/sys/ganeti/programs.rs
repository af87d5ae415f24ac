//! Which node has which OOB program, as this host knows it, and whether it has what a fencing needs. Reads Ganeti's files,
//! Pacemaker's configuration, and the files that `config.toml` names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::{self, GanetiFilesError};
use super::ssconf::Ssconf;
use crate::config::{Config, Device, Driver, Level};
use crate::core::ganeti::oob::is_ours;
use crate::core::ganeti::programs::{PROPERTY, Programs};
use crate::core::node::NodeName;
use crate::core::pacemaker::fence_score::MayFence;
use crate::core::pacemaker::resources::Resources;
use crate::sys::guarded_file::read_secret;
use crate::sys::oob_program::OobProgram;
use crate::sys::pacemaker::cib;

/// What a host knows that does not hold Ganeti's configuration.
#[derive(Clone, Debug)]
pub struct Copy {
    /// Ganeti's nodes, by its file `ssconf_node_list`, which every node has.
    pub nodes: Vec<NodeName>,
    /// Their programs, by the cluster property [`PROPERTY`]; none where it does not hold them.
    pub programs: Option<Programs>,
}

impl Copy {
    /// Reads it. `None` on a host that is no node of a Ganeti cluster.
    #[must_use]
    pub fn read(data_dir: &Path, cib: &Path) -> Option<Self> {
        let resources = cib::resources(cib).ok().flatten();
        Self::of(data_dir, resources.as_ref())
    }

    fn of(data_dir: &Path, resources: Option<&Resources>) -> Option<Self> {
        let nodes = Ssconf::new(data_dir).names("node_list").ok().filter(|nodes| !nodes.is_empty())?;
        let property = resources.and_then(|resources| resources.property(&[PROPERTY]));
        Some(Self { nodes, programs: property.and_then(Programs::of_property) })
    }

    /// Each node that has a program, with it. `by_option` is the program of every node, whatever the copy says.
    #[must_use]
    pub fn with_program(&self, by_option: Option<&Path>) -> Vec<(NodeName, PathBuf)> {
        let of = |node| by_option.or_else(|| self.programs.as_ref()?.of_node(node)).map(Path::to_owned);
        self.nodes.iter().filter_map(|node| Some((node.clone(), of(node)?))).collect()
    }
}

/// Whether this host has what the fence device needs; `None` where Pacemaker has no `fence_ganeti` device, or this host does not
/// know (a remote node, which fences nobody).
///
/// `config` is `config.toml`, which a host needs where the programs are ours, with the secrets that it names.
#[must_use]
pub fn may_fence(data_dir: &Path, cib: &Path, config: &Path) -> Option<MayFence> {
    let resources = cib::resources(cib).ok().flatten()?;
    let device = resources.devices().find(|device| device.kind == "fence_ganeti")?;
    let by_option = device.parameters.get("oob_program").map(Path::new);
    let (may, programs) = match files::read_config(data_dir) {
        Ok(ganeti) => {
            let of = |program: &Option<PathBuf>| by_option.map(Path::to_owned).or_else(|| program.clone());
            let nodes = ganeti.nodes().iter();
            (MayFence::Candidate, nodes.filter_map(|node| Some((node.name.clone(), of(&node.oob_program)?))).collect())
        }
        Err(GanetiFilesError::NotCandidate(_)) => {
            (MayFence::Yes, Copy::of(data_dir, Some(&resources))?.with_program(by_option))
        }
        Err(_) => return Some(MayFence::No),
    };
    Some(if has_what_is_needed(&programs, may, config) { may } else { MayFence::No })
}

/// Every program is here, as the device's monitor wants it; and where they are ours, one node at least can be switched by them.
/// That one node has no levels, or none that can be used, is no reason to leave all others to fewer hosts.
#[must_use]
pub fn has_what_is_needed(programs: &[(NodeName, PathBuf)], may: MayFence, config: &Path) -> bool {
    let paths: BTreeSet<&PathBuf> = programs.iter().map(|(_, path)| path).collect();
    if paths.is_empty() || paths.iter().any(|path| OobProgram::find(path).is_err()) {
        return false;
    }
    if !paths.iter().all(|path| is_ours(path)) {
        return true;
    }
    let Ok(config) = Config::load(config) else { return false };
    let is_usable = |level: &Level| level.iter().all(|device| is_usable(device, may));
    programs.iter().any(|(node, _)| config.levels_of(node).is_ok_and(|levels| levels.iter().any(is_usable)))
}

fn is_usable(device: &Device, may: MayFence) -> bool {
    let is_read = |file: &str| read_secret(Path::new(file)).is_ok();
    match &device.driver {
        Driver::Ipmi(bmc) => is_read(&bmc.password_file) && bmc.kg_file.as_deref().is_none_or(is_read),
        Driver::Agent(agent) => agent.secret_files().all(|(_, file)| is_read(file)),
        Driver::Exec(_) => true,
        // Noded takes the order from master candidates only.
        Driver::Shun => may == MayFence::Candidate,
    }
}

#[cfg(test)]
#[path = "programs_tests.rs"]
mod tests;
