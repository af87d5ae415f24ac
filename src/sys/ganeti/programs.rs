//! The OOB program of each node as this host has it, and whether this host has what fencing needs. Reads Ganeti's
//! files, Pacemaker's configuration, and the files that `config.toml` names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::{self, GanetiFilesError};
use super::ssconf::Ssconf;
use crate::core::config::{Config, DIGEST_PROPERTY, Device, Digest, Driver, Level};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::ganeti::programs::{PROPERTY, Programs};
use crate::core::node::NodeName;
use crate::core::pacemaker::fence_score::MayFence;
use crate::core::pacemaker::resources::Resources;
use crate::sys::config_file;
use crate::sys::ganeti::noded_call::redfish_call;
use crate::sys::identity;
use crate::sys::oob_program::OobProgram;
use crate::sys::pacemaker::cib;
use crate::sys::trusted_file::{check_program, read_secret};

/// What a host that is not a master candidate lacks for fencing. Such a host does not fence; another host does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingRequirement {
    /// Ganeti's file with the names of its nodes.
    #[error("it has no list of Ganeti's nodes ({})", .0.display())]
    Nodes(PathBuf),
    /// Pacemaker's configuration cannot be read, with the reason.
    #[error(
        "the list of OOB programs is in Pacemaker's configuration, and {0}: have Pacemaker run here as a full member, or name one \
         program for all nodes by oob_program="
    )]
    Cib(String),
    /// Pacemaker's configuration has no copy of the programs.
    #[error(
        "Pacemaker's configuration has no copy of Ganeti's OOB programs (property {PROPERTY}), which gnt-ha setup --apply makes \
         on Ganeti's master; or name one program for all nodes by oob_program="
    )]
    Programs,
    /// The copy does not name this node.
    #[error(
        "the copy of Ganeti's OOB programs (property {PROPERTY}) does not name {0}: it has no OOB program, or was added since \
         gnt-ha setup --apply was run on Ganeti's master"
    )]
    Node(NodeName),
    /// A program is missing, is not trusted or cannot be run.
    #[error("{0}")]
    Program(String),
    /// Pacemaker's configuration has no digest of the right `config.toml`.
    #[error(
        "Pacemaker's configuration has no digest of the right {} (property {DIGEST_PROPERTY}): gnt-ha setup --apply on \
         Ganeti's master", .0.display()
    )]
    Digest(PathBuf),
    /// `config.toml` cannot be read or is not valid.
    #[error("{error}; copy it from Ganeti's master: gnt-cluster copyfile {}", path.display())]
    Config {
        /// The path of the file.
        path: PathBuf,
        /// The error of the configuration.
        error: String,
    },
    /// `config.toml` differs from that of Ganeti's master: it may name another machine for a node.
    #[error(
        "{path} on this host differs from the file with which gnt-ha setup --apply was last run on Ganeti's master, and may name another \
         machine for a node; find out which of the two is right, copy that one to all nodes from a host that has it (gnt-cluster \
         copyfile {path}), then gnt-ha setup --apply on the master", path = .0.display()
    )]
    Other(PathBuf),
    /// This host cannot use any device that `config.toml` names.
    #[error("no node can be switched by {}: this host needs the secrets and the programs that it names, all of them root's (gnt-cluster copyfile; /usr/lib/gnt-ha/ganeti-oob check names them), and for the driver redfish /usr/lib/gnt-ha/redfish-call of the package gnt-ha", .0.display())]
    Devices(PathBuf),
}

/// The nodes and their programs on a host without Ganeti's configuration.
#[derive(Clone, Debug)]
pub struct Copy {
    /// Ganeti's nodes from the file `ssconf_node_list`, which every node has; empty if the file cannot be read.
    pub nodes: Vec<NodeName>,
    node_list: PathBuf,
    /// The copy in Pacemaker's configuration, or the reason why it cannot be read.
    kept: Result<StoredPrograms, MissingRequirement>,
}

/// What Pacemaker's configuration holds for hosts that are not master candidates.
#[derive(Clone, Debug)]
struct StoredPrograms {
    /// From the cluster property [`PROPERTY`].
    programs: Option<Programs>,
    /// From the cluster property [`DIGEST_PROPERTY`].
    digest: Option<Digest>,
}

impl Copy {
    /// Reads the list of nodes in `data_dir` and Pacemaker's configuration at `cib`. Never fails: each method reports
    /// what it lacks.
    #[must_use]
    pub fn read(data_dir: &Path, cib: &Path) -> Self {
        let kept = match cib::resources(cib) {
            Ok(Some(resources)) => Ok(StoredPrograms::of(&resources)),
            Ok(None) => Err(MissingRequirement::Cib(format!("there is no {}", cib.display()))),
            Err(error) => Err(MissingRequirement::Cib(error.reason())),
        };
        Self::of(data_dir, kept)
    }

    fn of(data_dir: &Path, kept: Result<StoredPrograms, MissingRequirement>) -> Self {
        let nodes = Ssconf::new(data_dir).names("node_list").unwrap_or_default();
        Self { nodes, node_list: data_dir.join("ssconf_node_list"), kept }
    }

    /// Returns the OOB program of a node, from the copy.
    ///
    /// # Errors
    /// [`MissingRequirement`] if there is no copy, or the copy does not name the node.
    pub fn of_node(&self, node: &NodeName) -> Result<&Path, MissingRequirement> {
        self.programs()?.of_node(node).ok_or_else(|| MissingRequirement::Node(node.clone()))
    }

    /// Returns the copy of the programs.
    ///
    /// # Errors
    /// [`MissingRequirement::Cib`] if Pacemaker's configuration cannot be read, [`MissingRequirement::Programs`] if it has no copy.
    pub fn programs(&self) -> Result<&Programs, MissingRequirement> {
        self.kept()?.programs.as_ref().ok_or(MissingRequirement::Programs)
    }

    /// Returns each node that has a program, with the program. `by_option` replaces the program of every node.
    ///
    /// # Errors
    /// [`MissingRequirement`] if the list of nodes is missing, or the copy is needed and missing.
    pub fn with_program(&self, by_option: Option<&Path>) -> Result<Vec<(NodeName, PathBuf)>, MissingRequirement> {
        if self.nodes.is_empty() {
            return Err(MissingRequirement::Nodes(self.node_list.clone()));
        }
        let all = |of: &dyn Fn(&NodeName) -> Option<PathBuf>| {
            self.nodes.iter().filter_map(|node| Some((node.clone(), of(node)?))).collect()
        };
        if let Some(path) = by_option {
            return Ok(all(&|_| Some(path.to_owned())));
        }
        let programs = self.programs()?;
        Ok(all(&|node| programs.of_node(node).map(Path::to_owned)))
    }

    /// Returns the configuration at `path`, if it is that of Ganeti's master.
    ///
    /// # Errors
    /// [`MissingRequirement`] if the digest of the master's configuration is unknown, the file cannot be used, or it differs.
    pub fn configuration(&self, path: &Path) -> Result<Config, MissingRequirement> {
        let right = self.kept()?.digest.ok_or_else(|| MissingRequirement::Digest(path.to_owned()))?;
        let here = loaded(path)?;
        if here.digest() == right { Ok(here) } else { Err(MissingRequirement::Other(path.to_owned())) }
    }

    /// Returns whether the configuration at `path` can be used and is proven to differ from that of Ganeti's master. A
    /// master candidate still fences by it, and reports that it differs.
    #[must_use]
    pub fn contradicts(&self, path: &Path) -> bool {
        matches!(self.configuration(path), Err(MissingRequirement::Other(_)))
    }

    /// Returns whether this host has Ganeti's configuration although the copy does not name it as a master candidate.
    ///
    /// Pacemaker gives the copy to each member when the member joins. There are two possible causes. Ganeti has demoted
    /// this node while it was away, and its configuration is old. Or Ganeti has just promoted this node, and the copy
    /// is not updated yet. This host cannot distinguish them. Returns `false` without a copy.
    #[must_use]
    pub fn denies(&self, ganeti: &GanetiConfig) -> bool {
        let Some(programs) = self.kept.as_ref().ok().and_then(|kept| kept.programs.as_ref()) else { return false };
        identity::node_among(&ganeti.names()).is_some_and(|here| !programs.is_candidate(&here))
    }

    fn kept(&self) -> Result<&StoredPrograms, MissingRequirement> {
        self.kept.as_ref().map_err(Clone::clone)
    }
}

impl StoredPrograms {
    fn of(resources: &Resources) -> Self {
        let property = |name| resources.property(&[name]);
        Self {
            programs: property(PROPERTY).and_then(Programs::of_property),
            digest: property(DIGEST_PROPERTY).and_then(|text| text.parse().ok()),
        }
    }
}

fn loaded(path: &Path) -> Result<Config, MissingRequirement> {
    config_file::load(path)
        .map_err(|error| MissingRequirement::Config { path: path.to_owned(), error: error.to_string() })
}

/// Returns whether this host has what the fence device needs. Returns `None` if Pacemaker has no `fence_ganeti` device,
/// or if this host has no source for it (a remote node, which does not fence).
///
/// `config` is the path of `config.toml`. A host needs it, and the secrets that it names, for nodes that use our
/// program.
#[must_use]
pub fn may_fence(data_dir: &Path, cib: &Path, config: &Path) -> Option<MayFence> {
    let resources = cib::resources(cib).ok().flatten()?;
    let device = resources.devices().find(|device| device.kind == "fence_ganeti")?;
    let by_option = device.parameters.get("oob_program").map(Path::new);
    let copy = Copy::of(data_dir, Ok(StoredPrograms::of(&resources)));
    let (may, able) = match files::read_config(data_dir) {
        Ok(ganeti) if !copy.denies(&ganeti) => {
            let of = |program: &Option<PathBuf>| by_option.map(Path::to_owned).or_else(|| program.clone());
            let nodes = ganeti.nodes().iter();
            let programs = nodes.filter_map(|node| Some((node.name.clone(), of(&node.oob_program)?))).collect();
            (MayFence::Candidate, able(programs, None, config))
        }
        Ok(_) | Err(GanetiFilesError::NotCandidate(_)) => {
            if copy.nodes.is_empty() {
                return None;
            }
            let programs = copy.with_program(by_option);
            (MayFence::Yes, programs.and_then(|programs| able(programs, Some(&copy), config)))
        }
        Err(_) => return Some(MayFence::No),
    };
    Some(if able.is_ok() { may } else { MayFence::No })
}

/// Returns the nodes that this host can fence, of those with these programs.
///
/// Every program must exist here, as the device's monitor requires. For nodes with our program, `config` must be the
/// right one and must be able to switch at least one node. A single node without usable levels is not a reason to leave
/// all other nodes to fewer hosts.
///
/// `copy` is `None` on a master candidate.
///
/// # Errors
/// [`MissingRequirement`] if this host can fence none of the nodes.
pub fn able(
    programs: Vec<(NodeName, PathBuf)>,
    copy: Option<&Copy>,
    config: &Path,
) -> Result<Vec<(NodeName, PathBuf)>, MissingRequirement> {
    let paths: BTreeSet<&PathBuf> = programs.iter().map(|(_, path)| path).collect();
    if paths.is_empty() {
        return Err(MissingRequirement::Programs);
    }
    for path in paths {
        OobProgram::find(path).map_err(|error| MissingRequirement::Program(error.to_string()))?;
    }
    let (ours, others): (Vec<_>, Vec<_>) = programs.iter().cloned().partition(|(_, path)| is_ours(path));
    match can_switch(&ours, copy, config) {
        Err(why) if others.is_empty() => Err(why),
        Err(_) => Ok(others),
        Ok(()) => Ok(programs),
    }
}

/// Checks that the configuration can switch at least one of the nodes that use our program.
fn can_switch(ours: &[(NodeName, PathBuf)], copy: Option<&Copy>, path: &Path) -> Result<(), MissingRequirement> {
    if ours.is_empty() {
        return Ok(());
    }
    let (may, config) = match copy {
        Some(copy) => (MayFence::Yes, copy.configuration(path)?),
        None => (MayFence::Candidate, loaded(path)?),
    };
    let is_usable = |level: &Level| level.iter().all(|device| is_usable(device, may));
    let is_able = ours.iter().any(|(node, _)| config.levels_of(node).is_ok_and(|levels| levels.iter().any(is_usable)));
    if is_able { Ok(()) } else { Err(MissingRequirement::Devices(path.to_owned())) }
}

fn is_usable(device: &Device, may: MayFence) -> bool {
    let is_read = |file: &str| read_secret(Path::new(file)).is_ok();
    match &device.driver {
        Driver::Ipmi(bmc) => is_read(&bmc.password_file) && bmc.kg_file.as_deref().is_none_or(is_read),
        Driver::Redfish(bmc) => {
            is_read(&bmc.password_file)
                && bmc.ca_file.as_deref().is_none_or(|file| Path::new(file).is_file())
                && check_program(&redfish_call()).is_ok()
        }
        Driver::Agent(agent) => {
            check_program(&agent.program()).is_ok() && agent.secret_files().all(|(_, file)| is_read(file))
        }
        Driver::Exec(exec) => OobProgram::find(&exec.program).is_ok(),
        // Noded takes the order from master candidates only.
        Driver::Shun => may == MayFence::Candidate,
    }
}

#[cfg(test)]
mod tests;
