//! Keeps Ganeti's record true: gathers what is known, lets the core decide, and submits the jobs.
//!
//! Whoever is master runs it, after becoming it, at each monitor and on notifications; every other candidate runs it to
//! remember. It waits for no job: what became of one is seen at the next look.

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

/// The administrator's pause, in the state folder.
pub const PAUSE_FILE: &str = "pause.json";

/// What is remembered from look to look.
pub(super) const MEMORY_FILE: &str = "reconcile-memory.json";

/// How old the last look may be, in milliseconds since boot, before a monitor looks again: one look costs as much as
/// ten monitors, and what cannot wait comes with a notification.
const QUIET_MS: u64 = 30_000;

/// The same where the last look found something that was not done yet, or was due at once and failed.
const OPEN_MS: u64 = 2_000;

/// How long, in milliseconds, what keeps us from looking is not said again while it lasts.
const SAID_MS: u64 = 600_000;

/// How long, in milliseconds, what is remembered may be older on disk than it is, where only the time differs. With
/// [`QUIET_MS`] and a monitor's interval it stays within what still counts as watched (the breaker: 60 s).
const LATER_MS: u64 = 15_000;

/// When the last look was, in the state folder.
const LOOKED_FILE: &str = "reconcile-last-run.json";

/// Where things are.
#[derive(Clone, Debug)]
pub struct Reconciler {
    /// Ours: receipts, memory, pause.
    pub state_dir: PathBuf,
    /// Ganeti's.
    pub data_dir: PathBuf,
    /// luxid's socket.
    pub luxi: PathBuf,
    /// Pacemaker's configuration: the pause of the cluster, and what its devices promise.
    pub cib: PathBuf,
    /// This host's name in Ganeti, where it is not the host's own.
    pub own_name: Option<NodeName>,
    /// What the administrator has set.
    pub settings: Settings,
    /// Agents that the configuration names as such that switch power.
    pub power_agents: BTreeSet<String>,
}

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Ganeti's configuration.
    #[error(transparent)]
    Ganeti(#[from] GanetiFilesError),
    /// Pacemaker.
    #[error(transparent)]
    Pacemaker(#[from] PacemakerError),
    /// Pacemaker's configuration.
    #[error(transparent)]
    Cib(#[from] CibError),
    /// Our receipts.
    #[error(transparent)]
    Ledger(#[from] ReceiptLogError),
    /// Another look is under way.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A state file of ours.
    #[error("cannot use {}: {error}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// This host is no node of this cluster.
    #[error("this host, {0}, is none of Ganeti's nodes")]
    Stranger(String),
}

/// When the last look was, what it left open and did, and why it was none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct LastRun {
    at: Timestamp,
    open: Vec<String>,
    failed: Option<String>,
    /// When that was said last, in milliseconds since boot.
    #[serde(default)]
    said_ms: u64,
    /// It failed, and somebody had a reason to look at once.
    #[serde(default)]
    soon: bool,
}

impl LastRun {
    fn is_due(&self, now: Timestamp) -> bool {
        let patience = if self.open.is_empty() && !self.soon { QUIET_MS } else { OPEN_MS };
        // A boot since then makes the time since boot go back.
        now.boottime_ms.checked_sub(self.at.boottime_ms).is_none_or(|age_ms| age_ms >= patience)
    }
}

impl Reconciler {
    /// With our state and Ganeti's data in these folders, and luxid's socket there. The settings are the defaults, and
    /// what the cluster's tags and the configuration say; of one that cannot be used it is nothing.
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

    /// Looks, decides, and has it done. Returns what was decided, and what became of each job, a line each.
    ///
    /// # Errors
    /// [`ReconcileError`]: then nothing was done.
    pub fn run(&self, deadline: Deadline) -> Result<(Plan, Vec<String>), ReconcileError> {
        let _lock = self.lock(deadline)?;
        let before = self.memory()?;
        let (plan, addresses) = self.look_and_decide(OwnRefusal::Lifted, None, deadline)?;
        let is_young = before.age_ms(now()).is_some_and(|age_ms| age_ms < LATER_MS);
        if !(is_young && plan.memory.is_only_later_than(&before)) {
            // Before anything of it is done: whoever acts and forgets would act again.
            self.write(MEMORY_FILE, &plan.memory)?;
        }
        let mut lines = self.hand_over(&plan, &addresses, deadline)?;
        let open = plan.verdicts.iter().filter(|verdict| !matches!(verdict.decision, Decision::Nothing(_)));
        let open = open.map(|verdict| format!("{}: {}", verdict.node, verdict.decision));
        let open = open.chain(lines.iter().cloned()).collect();
        // The jobs are there: a look that cannot be kept is only done again.
        let _ = self.keep_look(&LastRun { at: now(), open, ..LastRun::default() });
        if self.store().is_until_boot(MEMORY_FILE) {
            let state = self.state_dir.display();
            lines.push(format!(
                "{state} takes nothing: what is remembered is lost at the next boot of this host; make room there"
            ));
        }
        Ok((plan, lines))
    }

    /// As [`Reconciler::run`], for whoever does it again and again: only if the last look is a while ago, or left something
    /// open. Returns what was not said at the last look, a line each.
    ///
    /// # Errors
    /// [`ReconcileError`], when it is another than at the last look, or lasts since 10 minutes.
    pub fn run_if_due(&self, deadline: Deadline) -> Result<Vec<String>, ReconcileError> {
        let last = self.last_look();
        if last.as_ref().is_some_and(|last| !last.is_due(now())) {
            return Ok(Vec::new());
        }
        self.run_and_tell(last, false, deadline)
    }

    /// As [`Reconciler::run`], for whoever has a reason to look now. Returns what was not said at the last look, a line each.
    ///
    /// # Errors
    /// [`ReconcileError`].
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
        // Whoever looks meanwhile may have looked before what is to be found had happened.
        let soon = has_reason || matches!(error, ReconcileError::Lock(LockError::Busy { .. }));
        let said_ms = if is_told { at.boottime_ms } else { last.said_ms };
        // Best effort: what cannot be kept is only tried and said again.
        let _ = self.keep_look(&LastRun { at, open: last.open, failed: Some(failed), said_ms, soon });
        if is_told { Err(error) } else { Ok(Vec::new()) }
    }

    /// If it is lost, it is only time for another look.
    fn keep_look(&self, look: &LastRun) -> Result<(), ReconcileError> {
        let path = self.state_dir.join(LOOKED_FILE);
        let kept = self.store().write_unflushed(LOOKED_FILE, look);
        kept.map(drop).map_err(|error| ReconcileError::State { path, error })
    }

    /// The last look; none if there was none, or it cannot be read: then it is time for one.
    fn last_look(&self) -> Option<LastRun> {
        self.read(LOOKED_FILE).ok().flatten()
    }

    /// Looks and decides; changes nothing. Pacemaker is asked if nobody has asked it just now: `seen`.
    ///
    /// # Errors
    /// [`ReconcileError`].
    pub(super) fn plan(&self, seen: Option<&CrmMon>, deadline: Deadline) -> Result<Plan, ReconcileError> {
        self.look_and_decide(OwnRefusal::Kept, seen, deadline).map(|(plan, _)| plan)
    }

    /// What would be decided of `died` had it been fenced just now, with no more proof than its devices give without a receipt; none
    /// of a node that is not Ganeti's. Changes nothing.
    ///
    /// # Errors
    /// [`ReconcileError`].
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
        // Who was fenced a while ago may be back: whether it is, its noded tells, and is asked only then.
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

    /// Asks for the receipts that other hosts have, where a decision stands on the word of a device alone. Returns whether there
    /// is any. Silence leaves the weakest grade.
    fn fetch_receipts(&self, state: &mut ReconcileInput, plan: &Plan, deadline: Deadline) -> bool {
        let all: Vec<NodeName> = state.nodes.iter().map(|node| node.ganeti.name.clone()).collect();
        let asked = peer_receipts::to_ask(plan, &state.here, &all);
        let nodes: Vec<Node> = state.nodes.iter().map(|node| node.ganeti.clone()).collect();
        let before: usize = state.nodes.iter().map(|node| node.receipts.len()).sum();
        super::peer_receipts::fetch(asked, &nodes, deadline, |node, host, receipts, most| {
            for state in state.nodes.iter_mut().filter(|state| state.ganeti.name == node.name) {
                peer_receipts::take(state, host, receipts, most, &all);
            }
        });
        state.nodes.iter().map(|node| node.receipts.len()).sum::<usize>() > before
    }

    fn read_cib(&self) -> Result<Cib, CibError> {
        cib::read(&self.cib, &self.power_agents)
    }

    /// The settings, with what Pacemaker's devices take.
    fn promised(&self) -> Result<Settings, ReconcileError> {
        Ok(self.settings.promised(self.read_cib()?.fencing.least_of_ours()))
    }

    /// The administrator's pause, if there is one: of this host, else of the cluster.
    ///
    /// # Errors
    /// [`ReconcileError`]. A pause that cannot be read is no licence to act.
    pub fn pause(&self) -> Result<Option<Pause>, ReconcileError> {
        Ok(match self.pause_here()? {
            Some(pause) => Some(pause),
            None => self.read_cib()?.pause,
        })
    }

    /// The pause of this host alone.
    ///
    /// # Errors
    /// [`ReconcileError::State`].
    pub fn pause_here(&self) -> Result<Option<Pause>, ReconcileError> {
        let path = self.state_dir.join(PAUSE_FILE);
        state_file::read(&path).map_err(|error| ReconcileError::State { path, error })
    }

    /// Stops all recording, for a reason.
    ///
    /// # Errors
    /// [`ReconcileError::State`].
    pub fn set_pause(&self, pause: &Pause) -> Result<(), ReconcileError> {
        let path = self.state_dir.join(PAUSE_FILE);
        state_file::write(&path, pause).map_err(|error| ReconcileError::State { path, error })
    }

    /// Lets recording go on. Returns whether there was a pause.
    ///
    /// # Errors
    /// [`ReconcileError::State`].
    pub fn resume(&self) -> Result<bool, ReconcileError> {
        let path = self.state_dir.join(PAUSE_FILE);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ReconcileError::State { path, error }),
        }
    }

    /// Lets through what the breaker holds back.
    ///
    /// # Errors
    /// [`ReconcileError`].
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
        let stories = join_entries(ReceiptLog::new(&self.state_dir).read()?.entries, None);
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
                        // It did not leave: an administrator has it offline, or has it back in this moment.
                        Membership::Standby if called(&node.name, &held, &all).is_ok() => Membership::Online,
                        member => member,
                    },
                    is_remote: pacemaker.called(&node.name, &all).is_ok_and(|name| pacemaker.remotes.contains(name)),
                    member_since_ms: None,
                    answers: None,
                    fences: pacemaker.fences_of(&node.name, &all),
                    receipts: PowerReceipt::all_of(&stories, &node.name, &all),
                    ways: fencing.ways(&node.name, &all),
                })
                .collect(),
        };
        Ok((state, addresses))
    }

    /// This host, among Ganeti's nodes.
    fn here<'a>(&self, names: impl IntoIterator<Item = &'a NodeName>) -> Result<NodeName, ReconcileError> {
        let found = match &self.own_name {
            Some(own) => node::find(own, names).ok().cloned(),
            None => identity::node_among(names),
        };
        let name = || self.own_name.as_ref().map_or_else(identity::host, ToString::to_string);
        found.ok_or_else(|| ReconcileError::Stranger(name()))
    }

    /// One at a time remembers and hands over.
    pub(super) fn lock(&self, deadline: Deadline) -> Result<Lock, LockError> {
        self.store().lock("reconcile", deadline)
    }

    /// What is remembered.
    ///
    /// # Errors
    /// [`ReconcileError::State`].
    pub fn memory(&self) -> Result<Memory, ReconcileError> {
        Ok(self.read(MEMORY_FILE)?.unwrap_or_default())
    }

    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ReconcileError> {
        self.store().read(name).map_err(|error| ReconcileError::State { path: self.state_dir.join(name), error })
    }

    /// A disk that takes nothing stops no record: what is remembered is kept until the next boot then.
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

/// What the looks of this host remember.
///
/// # Errors
/// The file cannot be read.
pub fn remembered(state_dir: &Path) -> std::io::Result<Memory> {
    Ok(Store::new(state_dir).read(MEMORY_FILE)?.unwrap_or_default())
}

/// Whether two lines say the same, but for how many seconds are left or have passed.
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
