//! From what Pacemaker calls a node to the node and its OOB program.

use std::path::{Path, PathBuf};

use gnt_ha::core::ganeti::config::GanetiConfig;
use gnt_ha::core::node::{NoSuchNode, NodeName};
use gnt_ha::sys::ganeti::files::{self, GanetiFilesError};
use gnt_ha::sys::oob_program::{OobError, OobProgram};

use crate::options::Options;

/// What is known of the cluster on this host.
#[derive(Debug)]
pub struct Cluster {
    /// Ganeti's configuration, where this host has it.
    config: Result<GanetiConfig, GanetiFilesError>,
    /// The program for every node, by option.
    program: Option<PathBuf>,
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
        "Pacemaker means {meant} (nodename), and the fence device says {plug} (plug or port): remove plug and port from \
         the device"
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
    /// The program cannot be run.
    #[error("{0}")]
    Program(#[from] OobError),
}

impl Cluster {
    /// Reads what there is on this host.
    #[must_use]
    pub fn read(options: &Options) -> Self {
        Self {
            config: files::read_config(&options.data_dir),
            program: options.oob_program.clone(),
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

    /// The one node that `plug` stands for. With an `oob_program` by option, a host that is no master candidate
    /// takes the name as it is.
    ///
    /// # Errors
    /// [`TargetError`].
    fn target(&self, plug: &NodeName) -> Result<Target, TargetError> {
        match (&self.config, &self.program) {
            (Err(GanetiFilesError::NotCandidate(_)), Some(program)) => {
                Ok(Target { node: plug.clone(), program: OobProgram::find(program)? })
            }
            (config, program) => {
                let config = config.as_ref().map_err(|error| TargetError::Config(error.to_string()))?;
                let node =
                    config.find(plug).map_err(|error| TargetError::Node { error, data_dir: self.data_dir.clone() })?;
                let path = program.as_deref().or(node.oob_program.as_deref());
                let path = path.ok_or_else(|| TargetError::NoProgram(node.name.clone()))?;
                Ok(Target { node: node.name.clone(), program: OobProgram::find(path)? })
            }
        }
    }

    /// The node that `plug` stands for, unless Pacemaker means another one of Ganeti's: a device with a plug of its own is
    /// offered to all nodes, and would fence one node in the place of each other.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn target_of(&self, plug: &NodeName, options: &Options) -> Result<Target, TargetError> {
        if let (Some(meant), Ok(config)) = (&options.meant, &self.config)
            && let Ok(wanted) = config.find(meant)
            && !options.plugs.iter().any(|plug| config.find(plug).is_ok_and(|found| found.name == wanted.name))
        {
            return Err(TargetError::Contradiction { meant: wanted.name.clone(), plug: plug.clone() });
        }
        self.target(plug)
    }

    /// Whether Ganeti certainly has no such node. A configuration that cannot be read is not such a certainty.
    #[must_use]
    pub fn certainly_lacks(&self, plug: &NodeName) -> bool {
        self.config.as_ref().is_ok_and(|config| matches!(config.find(plug), Err(NoSuchNode::Unknown { .. })))
    }

    /// Every node that has an OOB program, whatever its state, with that program's path.
    ///
    /// # Errors
    /// [`TargetError::Config`].
    pub fn nodes_with_program(&self) -> Result<Vec<(NodeName, PathBuf)>, TargetError> {
        let by_option = self.program.as_deref();
        let nodes = self.config()?.nodes().iter();
        let path = |program: Option<&Path>| by_option.or(program).map(Path::to_owned);
        Ok(nodes.filter_map(|node| Some((node.name.clone(), path(node.oob_program.as_deref())?))).collect())
    }
}
