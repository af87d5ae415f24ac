//! The reasons why `gnt-ha setup` did not change Pacemaker's configuration, or not as planned.

use std::path::PathBuf;

use crate::core::config::SharedMachine;
use crate::core::ganeti::programs::PROPERTY;
use crate::core::node::NodeName;
use crate::core::pacemaker::tree::BadCib;
use crate::service::simulation::SimulationError;
use crate::sys::command::ProgramError;
use crate::sys::config_file::ConfigFileError;
use crate::sys::corosync::CorosyncError;
use crate::sys::ganeti::files::GanetiFilesError;
use crate::sys::pacemaker::PacemakerError;

/// The reason why a setup failed. The texts state what was changed before.
#[allow(missing_docs, reason = "the field names say it")]
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// gnt-ha's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// Ganeti's configuration cannot be used.
    #[error(transparent)]
    GanetiFiles(#[from] GanetiFilesError),
    /// This host does not have Ganeti's configuration.
    #[error("{0}; run it on a master candidate: only those hold Ganeti's configuration")]
    Ganeti(GanetiFilesError),
    /// This host has Ganeti's configuration and is not named as a candidate. There are two possible reasons, which this
    /// host cannot distinguish.
    #[error(
        "nothing was changed: {} has this host as a master candidate, and Pacemaker's configuration (property {PROPERTY}) has not: either \
         that file is old, as the host was lost meanwhile, or Ganeti has just made it a candidate and the property does not follow yet; \
         run it on Ganeti's master",
        .0.display()
    )]
    NotNamed(PathBuf),
    /// corosync's votes are unknown, and with two full members they decide.
    #[error("{0}; with two full members setup needs corosync's votes to decide whether the master's host is preferred")]
    Votes(CorosyncError),
    /// No node could be fenced by gnt-ha's OOB program.
    #[error(
        "nothing was changed: there is no {}, so that no host could fence; write it first (gnt-ha.toml(5)) and copy it to all \
         nodes: gnt-cluster copyfile {}", .0.display(), .0.display()
    )]
    NoConfig(PathBuf),
    /// Ganeti did not set the tags of recovery.
    #[error("recovery is not on: gnt-cluster add-tags {tags}: {error}")]
    RecoveryTags { tags: String, error: ProgramError },
    /// Two nodes have devices of one machine.
    #[error("nothing was changed: {shared}; give each its own in {}", path.display())]
    Shared { shared: Box<SharedMachine>, path: PathBuf },
    /// Time budgets do not fit.
    #[error(
        "nothing was changed: the time budget has a shortfall ({} has too little time); change the figure that it names, then run gnt-ha setup again",
        .0.join(", ")
    )]
    Shortfalls(Vec<String>),
    /// The change was not tried on the cluster.
    #[error("nothing was changed: {0}")]
    CibCopy(#[from] CopyCheckError),
    /// A command for Ganeti failed.
    #[error("Pacemaker's configuration was not changed: {command}: {error}")]
    GanetiCommand { command: String, error: ProgramError },
    /// Pacemaker's configuration was not changed, or cannot be read back.
    #[error(transparent)]
    Pacemaker(#[from] PacemakerError),
    /// Pacemaker's configuration was read back, and cannot be parsed.
    #[error("cannot parse the output of cibadmin --query: {0}")]
    Query(#[from] BadCib),
    /// The new elements were added, and an old one was not deleted.
    #[error("what is wanted was added; {0}")]
    NotDeleted(PacemakerError),
    /// The configuration that was read back does not contain all changes.
    #[error("cibadmin succeeded, but the configuration does not contain: {} (cibadmin --query)", .0.join(", "))]
    NotContained(Vec<String>),
    /// Pacemaker manages resources, and would stop Ganeti's daemons.
    #[error(
        "nothing was changed: Pacemaker stops what is removed, and Ganeti's master with it; first have it \
         leave everything alone: crm_attribute --type crm_config --name maintenance-mode --update true"
    )]
    NotInMaintenance,
    /// An element was not deleted.
    #[error("after {done} of {all}: {error}")]
    Remove { done: usize, all: usize, error: PacemakerError },
}

/// The reason why a change was not made after its trial on a copy.
#[allow(missing_docs, reason = "the field names say it")]
#[derive(Debug, thiserror::Error)]
pub enum CopyCheckError {
    /// The settings in Ganeti can be changed on its master only.
    #[error(
        "Ganeti's part can be changed on its master only: run this on {}",
        .master.as_ref().map_or("Ganeti's master", NodeName::as_str)
    )]
    NotMaster { master: Option<NodeName> },
    /// Pacemaker does not answer, or has found a fault in the copy.
    #[error(transparent)]
    Pacemaker(#[from] PacemakerError),
    /// Pacemaker's configuration cannot be parsed.
    #[error("cannot parse the output of cibadmin --query: {0}")]
    Query(#[from] BadCib),
    /// The failure of a node cannot be simulated.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// With the change, Pacemaker would fence a host that has not failed.
    #[error("{0}, as crm_simulate shows on a copy (gnt-ha check shows the reason)")]
    Unexpected(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A promoted host and a lost one look the same from here: the error names both reasons.
    #[test]
    fn who_is_not_named_as_a_candidate_reads_both_reasons() {
        let error = SetupError::NotNamed("/var/lib/ganeti/config.data".into()).to_string();
        for part in [
            "/var/lib/ganeti/config.data",
            "gnt-ha-oob-programs",
            "was lost",
            "has just made it a candidate",
            "on Ganeti's master",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
