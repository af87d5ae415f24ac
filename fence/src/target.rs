//! Finds the node and its OOB program for a name that Pacemaker uses. Reads Ganeti's and Pacemaker's configuration and
//! `config.toml`.

use std::path::{Path, PathBuf};

use gnt_ha::core::config::DEFAULT_PATH;
use gnt_ha::core::ganeti::config::GanetiConfig;
use gnt_ha::core::ganeti::oob::is_ours;
use gnt_ha::core::node::{self, NoSuchNode, NodeName};
use gnt_ha::sys::ganeti::files::{self, GanetiFilesError};
use gnt_ha::sys::ganeti::programs::{Copy, MissingRequirement, able};
use gnt_ha::sys::oob_program::{OobError, OobProgram};

use crate::options::Options;

/// The cluster as this host has it.
#[derive(Debug)]
pub struct Cluster {
    /// Ganeti's configuration, or the reason why this host does not have it.
    config: Result<GanetiConfig, GanetiFilesError>,
    /// The copy in Pacemaker's configuration, on a host that is not a master candidate.
    copy: Option<Copy>,
    /// The same copy on a master candidate, which fences by its own files.
    beside: Option<Copy>,
    /// The program for every node, from the option `oob_program`.
    program: Option<PathBuf>,
    /// The path of the configuration that `ganeti-oob` reads.
    config_toml: PathBuf,
    data_dir: PathBuf,
}

/// A node that can be fenced.
#[derive(Clone, Debug)]
pub struct FenceTarget {
    /// The node's name in Ganeti, which its OOB program gets as argument.
    pub node: NodeName,
    /// The OOB program of the node.
    pub program: OobProgram,
}

/// The reason why a node cannot be fenced from here.
#[derive(Debug, thiserror::Error)]
pub enum FenceTargetError {
    /// Ganeti's configuration is needed and cannot be used.
    #[error("{0}")]
    Config(String),
    /// The name matches no node, or several.
    #[error("{error} ({})", data_dir.display())]
    Node {
        /// The result of the search.
        error: NoSuchNode,
        /// The directory of the configuration that was searched.
        data_dir: PathBuf,
    },
    /// Pacemaker wants another node fenced than the device's options name.
    #[error(
        "Pacemaker names {meant} (nodename), and the fence device {plug} (plug or port): remove plug, port \
         and pcmk_host_map from the device"
    )]
    Contradiction {
        /// The node that Pacemaker wants fenced.
        meant: NodeName,
        /// The node that the device's options name.
        plug: NodeName,
    },
    /// The node has no OOB program.
    #[error(
        "node {0} has no OOB program: set the node parameter oob_program (gnt-cluster modify --node-parameters \
         oob_program=/usr/lib/gnt-ha/ganeti-oob)"
    )]
    NoProgram(NodeName),
    /// This host is not a master candidate, and lacks what it needs to fence by the copy.
    #[error(
        "this host is not a master candidate (it has no config.data, or Pacemaker's configuration does not name it as one), and cannot fence: {0}"
    )]
    Lacks(#[from] MissingRequirement),
    /// The program cannot be run.
    #[error("{0}")]
    Program(#[from] OobError),
}

impl Cluster {
    /// Reads the configurations on this host. Never fails: each method reports what it lacks.
    #[must_use]
    pub fn read(options: &Options) -> Self {
        let copy = || Copy::read(&options.data_dir, &options.cib);
        let (config, copy, beside) = match files::read_config(&options.data_dir) {
            Ok(ganeti) => match copy() {
                // This configuration is from before the host was lost: the host may fence as a regular node does, by
                // the copy.
                copy if copy.denies(&ganeti) => {
                    (Err(GanetiFilesError::NotCandidate(options.data_dir.join("config.data"))), Some(copy), None)
                }
                copy => (Ok(ganeti), None, Some(copy)),
            },
            Err(error @ GanetiFilesError::NotCandidate(_)) => (Err(error), Some(copy()), None),
            // A configuration that exists and cannot be read may contradict the copy, so the copy is not used.
            Err(error) => (Err(error), None, None),
        };
        Self {
            copy,
            beside,
            config,
            program: options.oob_program.clone(),
            config_toml: DEFAULT_PATH.into(),
            data_dir: options.data_dir.clone(),
        }
    }

    /// Returns Ganeti's configuration.
    ///
    /// # Errors
    /// [`FenceTargetError::Config`] if this host does not have it, or cannot use it.
    pub fn config(&self) -> Result<&GanetiConfig, FenceTargetError> {
        self.config.as_ref().map_err(|error| FenceTargetError::Config(error.to_string()))
    }

    /// Returns the names of Ganeti's nodes that this host has.
    fn names(&self) -> Vec<&NodeName> {
        match (&self.config, &self.copy) {
            (Ok(config), _) => config.nodes().iter().map(|node| &node.name).collect(),
            (Err(_), Some(copy)) => copy.nodes.iter().collect(),
            (Err(_), None) => Vec::new(),
        }
    }

    /// Returns the one node that `plug` matches. With the option `oob_program`, a host that has no list of Ganeti's nodes
    /// accepts a name as it is: an unknown name beside such a list is another machine's.
    ///
    /// # Errors
    /// [`FenceTargetError`] if no single node matches, the node has no program, or this host lacks what it needs.
    fn target(&self, plug: &NodeName) -> Result<FenceTarget, FenceTargetError> {
        let wrong = |error| FenceTargetError::Node { error, data_dir: self.data_dir.clone() };
        match (&self.config, &self.copy) {
            (Ok(config), _) => {
                let node = config.find(plug).map_err(wrong)?;
                let path = self.program.as_deref().or(node.oob_program.as_deref());
                let path = path.ok_or_else(|| FenceTargetError::NoProgram(node.name.clone()))?;
                Ok(FenceTarget { node: node.name.clone(), program: OobProgram::find(path)? })
            }
            (Err(_), Some(copy)) => {
                if self.program.is_none() {
                    copy.programs()?;
                }
                let node = match node::find(plug, &copy.nodes) {
                    Err(NoSuchNode::Unknown { .. }) if self.program.is_some() && copy.nodes.is_empty() => plug,
                    found => found.map_err(wrong)?,
                };
                let path = match &self.program {
                    Some(path) => path,
                    None => copy.of_node(node)?,
                };
                Ok(FenceTarget { node: node.clone(), program: self.by_the_right_configuration(path, copy)? })
            }
            (Err(error), None) => Err(FenceTargetError::Config(error.to_string())),
        }
    }

    /// Returns a program for a host that is not a master candidate. Our program requires the configuration of Ganeti's
    /// master: an older one may name another machine for the node. Then that machine would be switched off, and the
    /// node would count as off.
    fn by_the_right_configuration(&self, path: &Path, copy: &Copy) -> Result<OobProgram, FenceTargetError> {
        let program = OobProgram::find(path)?;
        if is_ours(path) {
            copy.configuration(&self.config_toml)?;
        }
        Ok(program)
    }

    /// Returns a warning for a fencing on a master candidate by another program than Pacemaker's configuration has for the
    /// node, or by our program with another `config.toml` than Ganeti's master has. The host fences nevertheless: that
    /// may have been changed just now, and then no other host could fence.
    #[must_use]
    pub fn doubt(&self, target: &FenceTarget) -> Option<String> {
        if let Some(Ok(other)) =
            self.beside.as_ref().filter(|_| self.program.is_none()).map(|copy| copy.of_node(&target.node))
            && other != target.program.path()
        {
            return Some(format!(
                "{}: fenced by {}, but when setup's copy was last written, its OOB program was {}; see gnt-ha check",
                target.node,
                target.program.path().display(),
                other.display()
            ));
        }
        let path = &self.config_toml;
        let is_other = is_ours(target.program.path()) && self.beside.as_ref()?.contradicts(path);
        is_other.then(|| {
            format!(
                "{}: fenced by {}, which is another one than that with which gnt-ha setup --apply was last run on Ganeti's master; see \
                 gnt-ha check",
                target.node,
                path.display()
            )
        })
    }

    /// Returns the program that the option names for every node, if this host may run it; `None` without such an
    /// option.
    pub fn program_by_option(&self) -> Option<Result<OobProgram, FenceTargetError>> {
        let path = self.program.as_deref()?;
        Some(match &self.copy {
            Some(copy) => self.by_the_right_configuration(path, copy),
            None => OobProgram::find(path).map_err(FenceTargetError::from),
        })
    }

    /// Returns the node that `plug` matches, unless Pacemaker wants another node fenced. A device with a plug of its
    /// own is offered for all nodes, and would fence one node in place of another.
    ///
    /// # Errors
    /// [`FenceTargetError::Contradiction`] if Pacemaker wants another node fenced; otherwise [`FenceTargetError`] if the node
    /// cannot be fenced from here.
    pub fn target_of(&self, plug: &NodeName, options: &Options) -> Result<FenceTarget, FenceTargetError> {
        if let Some(meant) = &options.meant
            && let Some(meant) = self.contradicted(meant, &options.plugs)
        {
            return Err(FenceTargetError::Contradiction { meant, plug: plug.clone() });
        }
        self.target(plug)
    }

    /// Returns the node that Pacemaker wants fenced, if no plug matches it. A name that Ganeti does not have is
    /// Pacemaker's own, which the device maps to a plug. A host without the configuration and the list of nodes cannot
    /// compare: there the names themselves must belong to one node, full or short.
    fn contradicted(&self, meant: &NodeName, plugs: &[NodeName]) -> Option<NodeName> {
        let names = self.names();
        if names.is_empty() {
            // Without the option `oob_program` it is a failure in any case.
            let is_one = self.program.is_none() || plugs.iter().any(|plug| node::same(meant, plug, []));
            return (!is_one).then(|| meant.clone());
        }
        let find = |name| node::find(name, names.iter().copied());
        let wanted = find(meant).ok()?;
        let is_one = plugs.iter().any(|plug| find(plug) == Ok(wanted));
        (!is_one).then(|| wanted.clone())
    }

    /// Returns whether Ganeti certainly has no such node. A configuration that cannot be read gives no such certainty.
    #[must_use]
    pub fn certainly_lacks(&self, plug: &NodeName) -> bool {
        self.config.as_ref().is_ok_and(|config| matches!(config.find(plug), Err(NoSuchNode::Unknown { .. })))
    }

    /// Returns every node that has an OOB program, whatever its state, with the path of the program.
    ///
    /// # Errors
    /// [`FenceTargetError::Config`] if the configuration cannot be used, [`FenceTargetError::Lacks`] if this host lacks what it
    /// needs.
    pub fn nodes_with_program(&self) -> Result<Vec<(NodeName, PathBuf)>, FenceTargetError> {
        let by_option = self.program.as_deref();
        match (&self.config, &self.copy) {
            (Ok(config), _) => {
                let path = |program: Option<&Path>| by_option.or(program).map(Path::to_owned);
                let nodes = config.nodes().iter();
                Ok(nodes.filter_map(|node| Some((node.name.clone(), path(node.oob_program.as_deref())?))).collect())
            }
            // Pacemaker's fencer asks each host for its list; it must not try a host first that cannot fence.
            (Err(_), Some(copy)) => Ok(able(copy.with_program(by_option)?, Some(copy), &self.config_toml)?),
            (Err(error), None) => Err(FenceTargetError::Config(error.to_string())),
        }
    }
}
