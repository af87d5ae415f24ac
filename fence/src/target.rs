//! From what Pacemaker calls a node to the node and its OOB program.

use std::path::{Path, PathBuf};

use gnt_ha::core::config::DEFAULT_PATH;
use gnt_ha::core::ganeti::config::GanetiConfig;
use gnt_ha::core::ganeti::oob::is_ours;
use gnt_ha::core::node::{self, NoSuchNode, NodeName};
use gnt_ha::sys::ganeti::files::{self, GanetiFilesError};
use gnt_ha::sys::ganeti::programs::{Copy, Lacks, able};
use gnt_ha::sys::oob_program::{OobError, OobProgram};

use crate::options::Options;

/// What is known of the cluster on this host.
#[derive(Debug)]
pub struct Cluster {
    /// Ganeti's configuration, where this host has it.
    config: Result<GanetiConfig, GanetiFilesError>,
    /// What a host knows that is no master candidate.
    copy: Option<Copy>,
    /// The same of a master candidate, which fences by its own files.
    beside: Option<Copy>,
    /// The program for every node, by option.
    program: Option<PathBuf>,
    /// What `ganeti-oob` reads.
    config_toml: PathBuf,
    data_dir: PathBuf,
}

/// A node that can be fenced.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in Ganeti: what its OOB program is called with.
    pub node: NodeName,
    /// Its program.
    pub program: OobProgram,
}

/// Why a node cannot be fenced from here.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Ganeti's configuration is needed and cannot be used.
    #[error("{0}")]
    Config(String),
    /// The name stands for no node, or for several.
    #[error("{error} ({})", data_dir.display())]
    Node {
        /// Which.
        error: NoSuchNode,
        /// Where Ganeti's configuration is.
        data_dir: PathBuf,
    },
    /// Pacemaker means another node than the device's options say.
    #[error(
        "Pacemaker means {meant} (nodename), and the fence device says {plug} (plug or port): remove plug, port \
         and pcmk_host_map from the device"
    )]
    Contradiction {
        /// The node that Pacemaker wants fenced.
        meant: NodeName,
        /// What the device's options name.
        plug: NodeName,
    },
    /// The node has no program.
    #[error(
        "node {0} has no OOB program: set the node parameter oob_program (gnt-cluster modify --node-parameters \
         oob_program=/usr/lib/gnt-ha/ganeti-oob)"
    )]
    NoProgram(NodeName),
    /// The host is no master candidate, and lacks what is needed to fence by the copy.
    #[error(
        "this host is no master candidate (it has no config.data, or Pacemaker's configuration does not name it as one), and cannot fence: {0}"
    )]
    Lacks(#[from] Lacks),
    /// The program cannot be run.
    #[error("{0}")]
    Program(#[from] OobError),
}

impl Cluster {
    /// Reads what there is on this host.
    #[must_use]
    pub fn read(options: &Options) -> Self {
        let copy = || Copy::read(&options.data_dir, &options.cib);
        let (config, copy, beside) = match files::read_config(&options.data_dir) {
            Ok(ganeti) => match copy() {
                // What it holds is from before it was lost: it may fence as any regular node, by the copy.
                copy if copy.denies(&ganeti) => {
                    (Err(GanetiFilesError::NotCandidate(options.data_dir.join("config.data"))), Some(copy), None)
                }
                copy => (Ok(ganeti), None, Some(copy)),
            },
            Err(error @ GanetiFilesError::NotCandidate(_)) => (Err(error), Some(copy()), None),
            // A configuration that is there and cannot be read may say something else than the copy.
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

    /// Ganeti's configuration.
    ///
    /// # Errors
    /// [`TargetError::Config`].
    pub fn config(&self) -> Result<&GanetiConfig, TargetError> {
        self.config.as_ref().map_err(|error| TargetError::Config(error.to_string()))
    }

    /// The names of Ganeti's nodes, as far as they are known here.
    fn names(&self) -> Vec<&NodeName> {
        match (&self.config, &self.copy) {
            (Ok(config), _) => config.nodes().iter().map(|node| &node.name).collect(),
            (Err(_), Some(copy)) => copy.nodes.iter().collect(),
            (Err(_), None) => Vec::new(),
        }
    }

    /// The one node that `plug` stands for. With an `oob_program` by option, a host that is no master candidate
    /// takes a name that it does not know as it is.
    ///
    /// # Errors
    /// [`TargetError`].
    fn target(&self, plug: &NodeName) -> Result<Target, TargetError> {
        let wrong = |error| TargetError::Node { error, data_dir: self.data_dir.clone() };
        match (&self.config, &self.copy) {
            (Ok(config), _) => {
                let node = config.find(plug).map_err(wrong)?;
                let path = self.program.as_deref().or(node.oob_program.as_deref());
                let path = path.ok_or_else(|| TargetError::NoProgram(node.name.clone()))?;
                Ok(Target { node: node.name.clone(), program: OobProgram::find(path)? })
            }
            (Err(_), Some(copy)) => {
                if self.program.is_none() {
                    copy.programs()?;
                }
                let node = match node::find(plug, &copy.nodes) {
                    Err(NoSuchNode::Unknown { .. }) if self.program.is_some() => plug,
                    found => found.map_err(wrong)?,
                };
                let path = match &self.program {
                    Some(path) => path,
                    None => copy.of_node(node)?,
                };
                Ok(Target { node: node.clone(), program: self.by_the_right_configuration(path, copy)? })
            }
            (Err(error), None) => Err(TargetError::Config(error.to_string())),
        }
    }

    /// A program that a host runs which is no master candidate: ours only with the configuration of Ganeti's master, as an older
    /// one may name another machine for the node. That would be switched, and the node be taken for off.
    fn by_the_right_configuration(&self, path: &Path, copy: &Copy) -> Result<OobProgram, TargetError> {
        let program = OobProgram::find(path)?;
        if is_ours(path) {
            copy.configuration(&self.config_toml)?;
        }
        Ok(program)
    }

    /// What is to be said of a fencing by our program on a master candidate whose `config.toml` is not that of Ganeti's master. It
    /// fences all the same: the master's may have been changed just now, and then nobody else would.
    #[must_use]
    pub fn doubt(&self, target: &Target) -> Option<String> {
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

    /// The program that the device's option names for every node, where this host may run it; none without such an option.
    pub fn program_by_option(&self) -> Option<Result<OobProgram, TargetError>> {
        let path = self.program.as_deref()?;
        Some(match &self.copy {
            Some(copy) => self.by_the_right_configuration(path, copy),
            None => OobProgram::find(path).map_err(TargetError::from),
        })
    }

    /// The node that `plug` stands for, unless Pacemaker means another one: a device with a plug of its own is
    /// offered to all nodes, and would fence one node in the place of each other.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn target_of(&self, plug: &NodeName, options: &Options) -> Result<Target, TargetError> {
        if let Some(meant) = &options.meant
            && let Some(meant) = self.contradicted(meant, &options.plugs)
        {
            return Err(TargetError::Contradiction { meant, plug: plug.clone() });
        }
        self.target(plug)
    }

    /// The node that Pacemaker means, where no plug stands for it. A name that is no node of Ganeti's is Pacemaker's own, which
    /// the device maps to a plug. A host that has neither the configuration nor the list of the nodes cannot tell: there the
    /// names themselves must be one node's, full or short.
    fn contradicted(&self, meant: &NodeName, plugs: &[NodeName]) -> Option<NodeName> {
        let names = self.names();
        if names.is_empty() {
            // Without a program by option it is a failure in any case.
            let is_one = self.program.is_none() || plugs.iter().any(|plug| node::same(meant, plug, []));
            return (!is_one).then(|| meant.clone());
        }
        let find = |name| node::find(name, names.iter().copied());
        let wanted = find(meant).ok()?;
        let is_one = plugs.iter().any(|plug| find(plug) == Ok(wanted));
        (!is_one).then(|| wanted.clone())
    }

    /// Whether Ganeti certainly has no such node. A configuration that cannot be read is not such a certainty.
    #[must_use]
    pub fn certainly_lacks(&self, plug: &NodeName) -> bool {
        self.config.as_ref().is_ok_and(|config| matches!(config.find(plug), Err(NoSuchNode::Unknown { .. })))
    }

    /// Every node that has an OOB program, whatever its state, with that program's path.
    ///
    /// # Errors
    /// [`TargetError::Config`], [`TargetError::Lacks`].
    pub fn nodes_with_program(&self) -> Result<Vec<(NodeName, PathBuf)>, TargetError> {
        let by_option = self.program.as_deref();
        match (&self.config, &self.copy) {
            (Ok(config), _) => {
                let path = |program: Option<&Path>| by_option.or(program).map(Path::to_owned);
                let nodes = config.nodes().iter();
                Ok(nodes.filter_map(|node| Some((node.name.clone(), path(node.oob_program.as_deref())?))).collect())
            }
            // Pacemaker's fencer asks each host for its list: one that cannot do it is not to be tried first.
            (Err(_), Some(copy)) => Ok(able(copy.with_program(by_option)?, Some(copy), &self.config_toml)?),
            (Err(error), None) => Err(TargetError::Config(error.to_string())),
        }
    }
}
