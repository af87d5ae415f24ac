//! Runs a reconciliation: collects the input from Ganeti, Pacemaker and the receipts, lets the core decide, and submits
//! the jobs to luxid.
//!
//! The master runs it when it takes the role, at each monitor and on notifications. Every other candidate runs it to
//! remember. It waits for no job: the next reconciliation reads the result of one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::noded_check::{self, Addresses, OwnUnreachable, check_nodeds};
use crate::core::config::DEFAULT_PATH;
use crate::core::ganeti::hooks;
use crate::core::ganeti::tags::Tags;
use crate::core::node::NodeName;
use crate::core::pacemaker::cib::Cib;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::reconcile::{
    BlockReason, Decision, Memory, Pause, Plan, ReconcileInput, Settings, peer_receipts, reconcile,
};
use crate::core::recovery::allocator::HAIL;
use crate::service::shun::own::OwnRules;
use crate::sys::clock::{Deadline, now};
use crate::sys::config_file;
use crate::sys::ganeti::files::GanetiFilesError;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::lock::{Lock, LockError};
use crate::sys::pacemaker::PacemakerError;
use crate::sys::pacemaker::cib::{self, CibError};
use crate::sys::receipt_log::ReceiptLogError;
use crate::sys::state_file;
use crate::sys::store::{DISK_LIMIT, Store};
use crate::sys::tcp_check::NODED_PORT;

/// The file of the administrator's pause of this host, in the state directory.
pub const PAUSE_FILE: &str = "pause.json";

/// The file of what is remembered between reconciliations, in the state directory.
pub(super) const MEMORY_FILE: &str = "reconcile-memory.json";

/// How old the memory on the disk may be, in milliseconds, if only its time has changed. With `QUIET_MS` and a
/// monitor's interval it stays within the time for which the breaker counts this host as watched (60 s).
const LATER_MS: u64 = 15_000;

/// The reconciler, with the places of its input and its settings.
#[derive(Clone, Debug)]
pub struct Reconciler {
    /// The state directory of gnt-ha: receipts, memory, pause.
    pub state_dir: PathBuf,
    /// The data directory of Ganeti.
    pub data_dir: PathBuf,
    /// The socket of luxid.
    pub luxi: PathBuf,
    /// The program of Ganeti's allocator hail.
    pub hail: PathBuf,
    /// The directory in which Ganeti searches for hooks.
    pub hooks: PathBuf,
    /// The file of Pacemaker's configuration, with the pause of the cluster and the grades that its devices accept.
    pub cib: PathBuf,
    /// This host's name in Ganeti, if it is not the name of the host.
    pub own_name: Option<NodeName>,
    /// The settings of the administrator.
    pub settings: Settings,
    /// The fence agents that switch power, by the configuration.
    pub power_agents: BTreeSet<String>,
}

/// The reason why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Ganeti's configuration could not be read.
    #[error(transparent)]
    Ganeti(#[from] GanetiFilesError),
    /// Pacemaker's status could not be read.
    #[error(transparent)]
    Pacemaker(#[from] PacemakerError),
    /// Pacemaker's configuration could not be read.
    #[error(transparent)]
    Cib(#[from] CibError),
    /// The receipt log could not be read.
    #[error(transparent)]
    ReceiptLog(#[from] ReceiptLogError),
    /// The lock is held, by another reconciliation for example.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A state file of gnt-ha could not be used.
    #[error("cannot use {}: {error}", path.display())]
    State {
        /// The path of the state file.
        path: PathBuf,
        /// The error of the file system, or of the parser.
        error: std::io::Error,
    },
    /// This host is not a node of this cluster.
    #[error("this host, {0}, is not one of Ganeti's nodes")]
    Stranger(String),
}

/// The input of a reconciliation, and its plan.
pub(super) struct Decisions {
    pub(super) state: ReconcileInput,
    pub(super) plan: Plan,
    /// The address of each node in the primary network.
    pub(super) addresses: Addresses,
}

impl Reconciler {
    /// Returns a reconciler with these directories and this socket of luxid. Its settings are the defaults, changed by
    /// the cluster's tags and by the configuration. Tags or a configuration that cannot be used change nothing.
    #[must_use]
    pub fn new(state_dir: &Path, data_dir: &Path, luxi: &Path) -> Self {
        let tags = Ssconf::new(data_dir).cluster_tags().unwrap_or_default();
        let settings = Settings::of_tags(&Tags::read(tags.iter().map(String::as_str)));
        let (settings, power_agents) = match config_file::load(Path::new(DEFAULT_PATH)) {
            Ok(config) => (config.record.set(settings), config.power_agents),
            Err(_) => (settings, BTreeSet::new()),
        };
        Self {
            state_dir: state_dir.to_owned(),
            data_dir: data_dir.to_owned(),
            luxi: luxi.to_owned(),
            hail: HAIL.into(),
            hooks: hooks::ROOT.into(),
            cib: cib::FILE.into(),
            own_name: None,
            settings,
            power_agents,
        }
    }

    /// Collects the input, decides, and submits the jobs: those that change the record, and then those that start the
    /// instances of dead hosts elsewhere. Returns the plan, and one line for each job.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input cannot be read or the memory cannot be written: then no job was submitted. Also
    /// if the entries of the submitted jobs cannot be written.
    pub fn run(&self, deadline: Deadline) -> Result<(Plan, Vec<String>), ReconcileError> {
        let (Decisions { state, plan, addresses }, mut lines) = self.reconcile(deadline)?;
        lines.extend(self.recover(state, &plan, &addresses, deadline).lines);
        Ok((plan, lines))
    }

    /// Collects the input, decides, and submits the jobs that change the record. Returns one line for each job.
    pub(super) fn reconcile(&self, deadline: Deadline) -> Result<(Decisions, Vec<String>), ReconcileError> {
        let _lock = self.lock(deadline)?;
        let before = self.memory()?;
        let decided = self.collect_and_decide(OwnUnreachable::Lifted, None, deadline)?;
        let Decisions { plan, addresses, .. } = &decided;
        let is_young = before.age_ms(now()).is_some_and(|age_ms| age_ms < LATER_MS);
        if !(is_young && plan.memory.is_only_later_than(&before)) {
            // It is written before any job: a program that forgets its action would repeat it.
            self.write(MEMORY_FILE, &plan.memory)?;
        }
        let mut lines = self.submit_plan(plan, addresses, deadline)?;
        let open = plan.decisions.iter().filter(|entry| !matches!(entry.decision, Decision::Nothing(_)));
        let open = open.map(|entry| format!("{}: {}", entry.node, entry.decision));
        let open = open.chain(lines.iter().cloned()).collect();
        // The jobs are submitted: if the result cannot be kept, the next reconciliation only runs earlier.
        let _ = self.keep_open_lines(open);
        if self.store().is_until_boot(MEMORY_FILE) {
            let state = self.state_dir.display();
            lines.push(format!(
                "{state} cannot be written: the memory of the reconciler is lost at the next boot of this host; free some space there"
            ));
        }
        Ok((decided, lines))
    }

    /// Collects the input and decides; changes nothing. Pacemaker is not asked if the caller has just read its status,
    /// `seen`.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input cannot be read.
    pub(super) fn plan(&self, seen: Option<&CrmMon>, deadline: Deadline) -> Result<Plan, ReconcileError> {
        self.collect_and_decide(OwnUnreachable::Kept, seen, deadline).map(|decided| decided.plan)
    }

    /// Returns what would be decided of `died` if it had been fenced just now, with no more proof than its devices give
    /// without a receipt; `None` if the node is not Ganeti's. Changes nothing.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input cannot be read.
    pub(super) fn rehearse(&self, died: &NodeName, deadline: Deadline) -> Result<Option<Decision>, ReconcileError> {
        let (state, _) = self.collect_input(None, deadline)?;
        let settings = self.promised()?;
        let plan = reconcile(&state.after_death(died), &settings, self.memory()?);
        Ok(plan.decisions.into_iter().find(|entry| entry.node == *died).map(|entry| entry.decision))
    }

    /// Collects the input and decides. With [`OwnUnreachable::Kept`] nothing is changed.
    pub(super) fn collect_and_decide(
        &self,
        own: OwnUnreachable,
        seen: Option<&CrmMon>,
        deadline: Deadline,
    ) -> Result<Decisions, ReconcileError> {
        let (mut state, addresses) = self.collect_input(seen, deadline)?;
        let settings = self.promised()?;
        let memory = self.memory()?;
        let plan = reconcile(&state, &settings, memory.clone());
        // A node that was fenced some time ago may run again. Its noded is asked for that, and only then.
        let unasked: BTreeSet<&NodeName> = plan
            .decisions
            .iter()
            .filter(|entry| matches!(entry.decision, Decision::Blocked(BlockReason::NotAsked { .. })))
            .map(|entry| &entry.node)
            .collect();
        let all: Vec<NodeName> = state.nodes.iter().map(|node| node.ganeti.name.clone()).collect();
        let hosts = peer_receipts::to_ask(&plan, &state.here, &all);
        let has_receipts = self.fetch_receipts(&mut state, hosts, deadline);
        if unasked.is_empty() && !has_receipts {
            return Ok(Decisions { state, plan, addresses });
        }
        let asked: Addresses =
            unasked.iter().filter_map(|name| Some(((*name).clone(), *addresses.get(*name)?))).collect();
        let answers = if asked.is_empty() {
            BTreeMap::new()
        } else {
            let own_rules = OwnRules::read(&self.state_dir, deadline);
            noded_check::answers(asked, &own_rules, |open| check_nodeds(open, NODED_PORT, own, deadline))
        };
        for node in &mut state.nodes {
            node.answers = answers.get(&node.ganeti.name).copied();
        }
        let plan = reconcile(&state, &settings, memory);
        Ok(Decisions { state, plan, addresses })
    }

    pub(super) fn read_cib(&self) -> Result<Cib, CibError> {
        cib::read(&self.cib, &self.power_agents)
    }

    /// Returns the settings, with the least grade that Pacemaker's devices accept.
    fn promised(&self) -> Result<Settings, ReconcileError> {
        Ok(self.settings.promised(self.read_cib()?.fencing.least_of_ours()))
    }

    /// Reads the administrator's pause, if there is one: that of this host, else that of the cluster.
    ///
    /// # Errors
    /// [`ReconcileError`] if the pause of the host or Pacemaker's configuration cannot be read. Then nothing may be
    /// recorded.
    pub fn pause(&self) -> Result<Option<Pause>, ReconcileError> {
        Ok(match self.pause_here()? {
            Some(pause) => Some(pause),
            None => self.read_cib()?.pause,
        })
    }

    /// Reads the pause of this host alone.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file cannot be read.
    pub fn pause_here(&self) -> Result<Option<Pause>, ReconcileError> {
        let path = self.state_dir.join(PAUSE_FILE);
        state_file::read(&path).map_err(|error| ReconcileError::State { path, error })
    }

    /// Pauses reconciliation on this host, for a reason.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file cannot be written.
    pub fn set_pause(&self, pause: &Pause) -> Result<(), ReconcileError> {
        let path = self.state_dir.join(PAUSE_FILE);
        state_file::write(&path, pause).map_err(|error| ReconcileError::State { path, error })
    }

    /// Resumes reconciliation on this host. Returns whether it was paused.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file cannot be removed.
    pub fn resume(&self) -> Result<bool, ReconcileError> {
        let path = self.state_dir.join(PAUSE_FILE);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ReconcileError::State { path, error }),
        }
    }

    /// Resets the breaker, so that the nodes that it blocks can be recorded and the instances started.
    ///
    /// # Errors
    /// [`ReconcileError`] if the lock cannot be taken, or the memory cannot be read or written.
    pub fn reset_breaker(&self, deadline: Deadline) -> Result<(), ReconcileError> {
        let _lock = self.lock(deadline)?;
        let mut memory = self.memory()?;
        memory.breaker = memory.breaker.reset();
        self.write(MEMORY_FILE, &memory)?;
        self.reset_instance_breaker(deadline)
    }

    /// Takes the lock of the reconciler: one process at a time writes the memory and submits jobs.
    pub(super) fn lock(&self, deadline: Deadline) -> Result<Lock, LockError> {
        self.store().lock("reconcile", deadline)
    }

    /// Reads what is remembered between reconciliations.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file cannot be read.
    pub fn memory(&self) -> Result<Memory, ReconcileError> {
        Ok(self.read(MEMORY_FILE)?.unwrap_or_default())
    }

    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ReconcileError> {
        self.store().read(name).map_err(|error| ReconcileError::State { path: self.state_dir.join(name), error })
    }

    /// Writes a state file. A disk that takes nothing stops no record: the value is kept until the next boot then.
    pub(super) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), ReconcileError> {
        let path = self.state_dir.join(name);
        match self.store().write(name, value, DISK_LIMIT) {
            Ok(kept) => {
                if let Some(why) = kept.not_on_disk_reason() {
                    tracing::warn!(path = %path.display(), why, "is kept until the next boot only");
                }
                Ok(())
            }
            Err(error) => Err(ReconcileError::State { path, error }),
        }
    }

    pub(super) fn store(&self) -> Store {
        Store::new(&self.state_dir)
    }
}

/// Reads what the reconciliations of this host remember.
///
/// # Errors
/// The error of the file system or the parser.
pub fn remembered(state_dir: &Path) -> std::io::Result<Memory> {
    Ok(Store::new(state_dir).read(MEMORY_FILE)?.unwrap_or_default())
}
