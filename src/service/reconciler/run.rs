//! Runs a reconciliation: collects the input from Ganeti, Pacemaker and the receipts, lets the core decide, and submits
//! the jobs to luxid.
//!
//! The master runs it when it takes the role, at each monitor and on notifications. Every other candidate runs it to
//! remember. It waits for no job: the next reconciliation reads the result of one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::noded_check::{self, Addresses, OwnRefusal, check_nodeds};
use crate::core::config::DEFAULT_PATH;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::tags::Tags;
use crate::core::history::join_entries;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::cib::Cib;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::pacemaker::names::called;
use crate::core::receipt::Timestamp;
use crate::core::reconcile::jobs::DRAINED_BY_US;
use crate::core::reconcile::{
    BlockReason, Decision, Membership, Memory, NodeState, Pause, Plan, PowerReceipt, ReconcileInput, Settings,
    peer_receipts, reconcile,
};
use crate::service::shun::own::OwnRefusals;
use crate::sys::clock::{Deadline, now};
use crate::sys::config_file;
use crate::sys::ganeti::files::{self, GanetiFilesError};
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::lock::{Lock, LockError};
use crate::sys::pacemaker::cib::{self, CibError};
use crate::sys::pacemaker::{self, PacemakerError};
use crate::sys::receipt_log::{ReceiptLog, ReceiptLogError};
use crate::sys::store::{PATIENCE, Store};
use crate::sys::tcp_check::NODED_PORT;
use crate::sys::{identity, state_file};

/// The file of the administrator's pause of this host, in the state directory.
pub const PAUSE_FILE: &str = "pause.json";

/// The file of what is remembered between reconciliations, in the state directory.
pub(super) const MEMORY_FILE: &str = "reconcile-memory.json";

/// How old the last reconciliation may be, in milliseconds since boot, before a monitor runs the next. One
/// reconciliation costs as much as ten monitors, and what cannot wait comes with a notification.
const QUIET_MS: u64 = 30_000;

/// The same limit if the last reconciliation left something undone, or was needed at once and failed.
const OPEN_MS: u64 = 2_000;

/// For how long, in milliseconds, the same error of a reconciliation is not reported again.
const SAID_MS: u64 = 600_000;

/// How old the memory on the disk may be, in milliseconds, if only its time has changed. With [`QUIET_MS`] and a
/// monitor's interval it stays within the time for which the breaker counts this host as watched (60 s).
const LATER_MS: u64 = 15_000;

/// The file of the last reconciliation, in the state directory.
const LOOKED_FILE: &str = "reconcile-last-run.json";

/// The reconciler, with the places of its input and its settings.
#[derive(Clone, Debug)]
pub struct Reconciler {
    /// The state directory of gnt-ha: receipts, memory, pause.
    pub state_dir: PathBuf,
    /// The data directory of Ganeti.
    pub data_dir: PathBuf,
    /// The socket of luxid.
    pub luxi: PathBuf,
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
    Ledger(#[from] ReceiptLogError),
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
    #[error("this host, {0}, is none of Ganeti's nodes")]
    Stranger(String),
}

/// The last reconciliation: its time, what it left undone, and its error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct LastRun {
    at: Timestamp,
    open: Vec<String>,
    failed: Option<String>,
    /// When the error was reported last, in milliseconds since boot.
    #[serde(default)]
    said_ms: u64,
    /// Whether it failed and was needed at once.
    #[serde(default)]
    soon: bool,
}

impl LastRun {
    fn is_due(&self, now: Timestamp) -> bool {
        let patience = if self.open.is_empty() && !self.soon { QUIET_MS } else { OPEN_MS };
        // The time since boot goes back at a boot.
        now.boottime_ms.checked_sub(self.at.boottime_ms).is_none_or(|age_ms| age_ms >= patience)
    }
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
            cib: cib::FILE.into(),
            own_name: None,
            settings,
            power_agents,
        }
    }

    /// Collects the input, decides, and submits the jobs. Returns the plan, and one line for each job.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input cannot be read or the memory cannot be written: then no job was submitted. Also
    /// if the entries of the submitted jobs cannot be written.
    pub fn run(&self, deadline: Deadline) -> Result<(Plan, Vec<String>), ReconcileError> {
        let _lock = self.lock(deadline)?;
        let before = self.memory()?;
        let (plan, addresses) = self.look_and_decide(OwnRefusal::Lifted, None, deadline)?;
        let is_young = before.age_ms(now()).is_some_and(|age_ms| age_ms < LATER_MS);
        if !(is_young && plan.memory.is_only_later_than(&before)) {
            // It is written before any job: a program that forgets its action would repeat it.
            self.write(MEMORY_FILE, &plan.memory)?;
        }
        let mut lines = self.hand_over(&plan, &addresses, deadline)?;
        let open = plan.verdicts.iter().filter(|verdict| !matches!(verdict.decision, Decision::Nothing(_)));
        let open = open.map(|verdict| format!("{}: {}", verdict.node, verdict.decision));
        let open = open.chain(lines.iter().cloned()).collect();
        // The jobs are submitted: if the result cannot be kept, the next reconciliation only runs earlier.
        let _ = self.keep_look(&LastRun { at: now(), open, ..LastRun::default() });
        if self.store().is_until_boot(MEMORY_FILE) {
            let state = self.state_dir.display();
            lines.push(format!(
                "{state} takes nothing: what is remembered is lost at the next boot of this host; make room there"
            ));
        }
        Ok((plan, lines))
    }

    /// Runs as [`Reconciler::run`] for a caller that repeats it: only if the last run is some time ago, or left
    /// something undone. Returns the lines that the last run did not have.
    ///
    /// # Errors
    /// [`ReconcileError`] if it differs from the last error, or was last reported 10 minutes ago.
    pub fn run_if_due(&self, deadline: Deadline) -> Result<Vec<String>, ReconcileError> {
        let last = self.last_look();
        if last.as_ref().is_some_and(|last| !last.is_due(now())) {
            return Ok(Vec::new());
        }
        self.run_and_tell(last, false, deadline)
    }

    /// Runs as [`Reconciler::run`] for a caller that has a reason to run it now. Returns the lines that the last run
    /// did not have.
    ///
    /// # Errors
    /// [`ReconcileError`] as for [`Reconciler::run`].
    pub fn run_now(&self, deadline: Deadline) -> Result<Vec<String>, ReconcileError> {
        self.run_and_tell(self.last_look(), true, deadline)
    }

    fn run_and_tell(
        &self,
        last: Option<LastRun>,
        has_reason: bool,
        deadline: Deadline,
    ) -> Result<Vec<String>, ReconcileError> {
        let last = last.unwrap_or_default();
        let error = match self.run(deadline) {
            Ok(_) => {
                let open = self.last_look().map(|look| look.open).unwrap_or_default();
                let is_new = |line: &String| !last.open.iter().any(|said| says_the_same(said, line));
                return Ok(open.into_iter().filter(is_new).collect());
            }
            Err(error) => error,
        };
        let (at, failed) = (now(), error.to_string());
        let is_said = last.failed.as_ref().is_some_and(|said| says_the_same(said, &failed))
            && at.boottime_ms.checked_sub(last.said_ms).is_some_and(|age_ms| age_ms < SAID_MS);
        let is_told = has_reason || !is_said;
        // The process that holds the lock may have read its input before the event that this one was called for.
        let soon = has_reason || matches!(error, ReconcileError::Lock(LockError::Busy { .. }));
        let said_ms = if is_told { at.boottime_ms } else { last.said_ms };
        // Best effort: an entry that cannot be kept is only tried and reported again.
        let _ = self.keep_look(&LastRun { at, open: last.open, failed: Some(failed), said_ms, soon });
        if is_told { Err(error) } else { Ok(Vec::new()) }
    }

    /// Keeps the result of a reconciliation. If it is lost, the next one only runs earlier.
    fn keep_look(&self, look: &LastRun) -> Result<(), ReconcileError> {
        let path = self.state_dir.join(LOOKED_FILE);
        let kept = self.store().write_unflushed(LOOKED_FILE, look);
        kept.map(drop).map_err(|error| ReconcileError::State { path, error })
    }

    /// Reads the last reconciliation; `None` if there was none, or it cannot be read: then one is due.
    fn last_look(&self) -> Option<LastRun> {
        self.read(LOOKED_FILE).ok().flatten()
    }

    /// Collects the input and decides; changes nothing. Pacemaker is not asked if the caller has just read its status,
    /// `seen`.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input cannot be read.
    pub(super) fn plan(&self, seen: Option<&CrmMon>, deadline: Deadline) -> Result<Plan, ReconcileError> {
        self.look_and_decide(OwnRefusal::Kept, seen, deadline).map(|(plan, _)| plan)
    }

    /// Returns what would be decided of `died` if it had been fenced just now, with no more proof than its devices give
    /// without a receipt; `None` if the node is not Ganeti's. Changes nothing.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input cannot be read.
    pub(super) fn rehearse(&self, died: &NodeName, deadline: Deadline) -> Result<Option<Decision>, ReconcileError> {
        let (state, _) = self.look(None, deadline)?;
        let settings = self.promised()?;
        let plan = reconcile(&state.after_death(died), &settings, self.memory()?);
        Ok(plan.verdicts.into_iter().find(|verdict| verdict.node == *died).map(|verdict| verdict.decision))
    }

    fn look_and_decide(
        &self,
        own: OwnRefusal,
        seen: Option<&CrmMon>,
        deadline: Deadline,
    ) -> Result<(Plan, Addresses), ReconcileError> {
        let (mut state, addresses) = self.look(seen, deadline)?;
        let settings = self.promised()?;
        let memory = self.memory()?;
        let plan = reconcile(&state, &settings, memory.clone());
        // A node that was fenced some time ago may run again. Its noded is asked for that, and only then.
        let unasked: BTreeSet<&NodeName> = plan
            .verdicts
            .iter()
            .filter(|verdict| matches!(verdict.decision, Decision::Refused(BlockReason::NotAsked { .. })))
            .map(|verdict| &verdict.node)
            .collect();
        let told = self.fetch_receipts(&mut state, &plan, deadline);
        if unasked.is_empty() && !told {
            return Ok((plan, addresses));
        }
        let asked: Addresses =
            unasked.iter().filter_map(|name| Some(((*name).clone(), *addresses.get(*name)?))).collect();
        let answers = if asked.is_empty() {
            BTreeMap::new()
        } else {
            let refusals = OwnRefusals::read(&self.state_dir, deadline);
            noded_check::answers(asked, &refusals, |open| check_nodeds(open, NODED_PORT, own, deadline))
        };
        for node in &mut state.nodes {
            node.answers = answers.get(&node.ganeti.name).copied();
        }
        Ok((reconcile(&state, &settings, memory), addresses))
    }

    /// Fetches the receipts of other hosts, where a decision rests on a report of a device alone. Returns whether any
    /// was added. A missing answer leaves the weakest grade.
    fn fetch_receipts(&self, state: &mut ReconcileInput, plan: &Plan, deadline: Deadline) -> bool {
        let all: Vec<NodeName> = state.nodes.iter().map(|node| node.ganeti.name.clone()).collect();
        let asked = peer_receipts::to_ask(plan, &state.here, &all);
        let nodes: Vec<Node> = state.nodes.iter().map(|node| node.ganeti.clone()).collect();
        let before: usize = state.nodes.iter().map(|node| node.receipts.len()).sum();
        let ask =
            |host: &NodeName, about: &[NodeName]| super::peer_receipts::ask(&self.data_dir, host, about, deadline);
        super::peer_receipts::fetch(asked, &nodes, ask, |node, host, receipts, most| {
            for state in state.nodes.iter_mut().filter(|state| state.ganeti.name == node.name) {
                peer_receipts::take(state, host, receipts, most, &all);
            }
        });
        state.nodes.iter().map(|node| node.receipts.len()).sum::<usize>() > before
    }

    fn read_cib(&self) -> Result<Cib, CibError> {
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

    /// Resets the breaker, so that the nodes that it blocks can be recorded.
    ///
    /// # Errors
    /// [`ReconcileError`] if the lock cannot be taken, or the memory cannot be read or written.
    pub fn reset_breaker(&self, deadline: Deadline) -> Result<(), ReconcileError> {
        let _lock = self.lock(deadline)?;
        let mut memory = self.memory()?;
        memory.breaker = memory.breaker.reset();
        self.write(MEMORY_FILE, &memory)
    }

    fn look(&self, seen: Option<&CrmMon>, deadline: Deadline) -> Result<(ReconcileInput, Addresses), ReconcileError> {
        let config = files::read_config(&self.data_dir)?;
        let here = self.here(config.nodes().iter().map(|node| &node.name))?;
        let pacemaker = match seen {
            Some(seen) => Cow::Borrowed(seen),
            None => Cow::Owned(pacemaker::status(deadline)?),
        };
        let actions = join_entries(ReceiptLog::new(&self.state_dir).read()?.entries, None);
        let Cib { held, fencing, .. } = self.read_cib()?;
        let all = config.names();
        let at = now();
        let addresses = config
            .nodes()
            .iter()
            .filter_map(|node| Some((node.name.clone(), config.notes(&node.name).primary_ip?)))
            .collect();
        let state = ReconcileInput {
            now: at,
            stack_started_ms: pacemaker::started_ms().unwrap_or(at.wall_ms),
            quorum: pacemaker.quorum,
            maintenance: pacemaker.maintenance,
            role: pacemaker.master_role.clone(),
            master: config.master().cloned(),
            pause: self.pause()?,
            candidate_pool_size: config.candidate_pool_size(),
            here,
            nodes: config
                .nodes()
                .iter()
                .map(|node| NodeState {
                    ganeti: node.clone(),
                    changed_ms: config.notes(&node.name).changed_ms,
                    drained_by_us: config.notes(&node.name).tags.iter().any(|tag| tag == DRAINED_BY_US),
                    member: match pacemaker.membership(&node.name, &all) {
                        // The node did not leave: an administrator has it on standby, or takes it back at this moment.
                        Membership::Standby if called(&node.name, &held, &all).is_ok() => Membership::Online,
                        member => member,
                    },
                    is_remote: pacemaker.called(&node.name, &all).is_ok_and(|name| pacemaker.remotes.contains(name)),
                    member_since_ms: None,
                    answers: None,
                    fences: pacemaker.fences_of(&node.name, &all),
                    receipts: PowerReceipt::all_of(&actions, &node.name, &all),
                    ways: fencing.ways(&node.name, &all),
                })
                .collect(),
        };
        Ok((state, addresses))
    }

    /// Returns this host's name among Ganeti's nodes.
    fn here<'a>(&self, names: impl IntoIterator<Item = &'a NodeName>) -> Result<NodeName, ReconcileError> {
        let found = match &self.own_name {
            Some(own) => node::find(own, names).ok().cloned(),
            None => identity::node_among(names),
        };
        let name = || self.own_name.as_ref().map_or_else(identity::host, ToString::to_string);
        found.ok_or_else(|| ReconcileError::Stranger(name()))
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
        match self.store().write(name, value, PATIENCE) {
            Ok(kept) => {
                if let Some(why) = kept.why_not_on_disk() {
                    tracing::warn!(path = %path.display(), why, "is kept until the next boot only");
                }
                Ok(())
            }
            Err(error) => Err(ReconcileError::State { path, error }),
        }
    }

    fn store(&self) -> Store {
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

/// Returns whether two lines are the same, except for numbers of seconds.
fn says_the_same(one: &str, other: &str) -> bool {
    fn timeless(line: &str) -> impl Iterator<Item = &str> {
        let next = line.split(' ').skip(1).chain([""]);
        let is_time = |(word, next): &(&str, &str)| *next == "s" && word.parse::<f64>().is_ok();
        line.split(' ').zip(next).map(move |pair| if is_time(&pair) { "" } else { pair.0 })
    }
    timeless(one).eq(timeless(other))
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
