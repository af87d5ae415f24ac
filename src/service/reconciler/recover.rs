//! Carries out the recovery: starts the instances of dead hosts elsewhere, as Ganeti jobs that depend on the record.
//!
//! It begins after the record was submitted and without the reconciler's lock, so that nothing that it waits for delays
//! a record, of this node or of another. What it cannot read is reported and prevents starts, never a record.

mod by_hand;
mod submission;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::last_run::is_same_line;
use super::noded_check::Addresses;
use super::noded_check::OwnUnreachable;
use super::run::{Decisions, ReconcileError, Reconciler};
use crate::core::config::{Config, DEFAULT_PATH};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::reconcile::{Decision, Memory, NodeDecision, NodeState, Plan, ReconcileInput};
use crate::core::recovery::by_hand::ByHandObjection;
use crate::core::recovery::config_data::DrbdInstance;
use crate::core::recovery::death::receipts_to_ask;
use crate::core::recovery::drbd::sightings;
use crate::core::recovery::freshness::DrbdSightings;
use crate::core::recovery::instance::InstanceName;
use crate::core::recovery::memory::RecoveryMemory;
use crate::core::recovery::opcodes::{StartForm, StartJob, jobs};
use crate::core::recovery::plan::{RecoveryPlan, Start};
use crate::core::recovery::recovery_log::RecoveryLog;
use crate::core::recovery::start_node::StartNode;
use crate::core::recovery::state::{RecoveryInput, RecoverySettings};
use crate::service::recovery::{RecoveryError, Sources, collect};
use crate::service::shun::drbd_seen;
use crate::service::shun::own::shunned_addresses_known;
use crate::sys::clock::{Deadline, now, wall_nanos};
use crate::sys::config_file;
use crate::sys::ganeti::files;
use crate::sys::ganeti::luxi;
use crate::sys::lock::{Lock, LockError};
use crate::sys::store::Store;

/// The file of what recovery remembers, in the state directory.
const FILE: &str = "recovery.json";

/// The file of what became of the instances of the last incidents, in the state directory.
const LOG_FILE: &str = "recovery-log.json";

/// The most that one recovery may take. The next one goes on.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(6);

/// How long another recovery of this host is waited for.
const RECOVERY_LOCK_WAIT: Duration = Duration::from_millis(200);

/// How long the nodes may take to report what they have seen of their DRBD disks.
const DRBD_TIMEOUT: Duration = Duration::from_secs(2);

/// How old the last recovery may be, in milliseconds since boot, to describe the present.
const RECENT_MS: u64 = 120_000;

/// How long after a record an instance of its node may have been moved and not started, in milliseconds.
const MOVED_MS: u64 = 3_600_000;

/// What a recovery has done, one line for each instance, or why it has done nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryResult {
    /// One line for each instance that is started or is not, and for each that was seen running.
    pub lines: Vec<String>,
    /// The lines that the last recovery did not have.
    pub(super) news: Vec<String>,
    /// How many instances are not started, for a reason.
    pub not_started: usize,
    /// Whether a start has not ended, or its instance was not seen running yet.
    pub is_under_way: bool,
}

/// The reason why a recovery has not ended.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// An input of the reconciliation cannot be read, or a state file of recovery cannot be used.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// An input of the recovery cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// Another process of this host carries out a recovery.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No instance may be started by hand now.
    #[error("nothing is started: {0}; nothing was changed")]
    Objection(#[from] ByHandObjection),
}

/// Who has a recovery carried out. The guards are the same.
#[derive(Clone, Copy, Debug)]
enum Request<'a> {
    /// The reconciler, where there may be an instance to start.
    Reconciler,
    /// An administrator. With a node, only the instances of that host are started, and others wait for the reconciler.
    ByHand(Option<&'a NodeName>),
}

impl Request<'_> {
    const fn is_by_hand(self) -> bool {
        matches!(self, Self::ByHand(_))
    }

    /// Returns whether the start is asked for. Another attempt of an instance that a start has moved is in any case.
    fn includes(self, start: &Start) -> bool {
        match self {
            Self::Reconciler | Self::ByHand(None) => true,
            Self::ByHand(Some(node)) => start.moves_again || start.off == *node,
        }
    }

    const fn lock_wait(self) -> Duration {
        if self.is_by_hand() { RECOVERY_TIMEOUT } else { RECOVERY_LOCK_WAIT }
    }
}

impl Reconciler {
    /// Starts the instances of dead hosts elsewhere, if this host is the master and recovery is on.
    /// `state` and `decided` are those of a reconciliation of a moment ago, whose jobs are submitted.
    pub(super) fn recover(
        &self,
        state: ReconcileInput,
        decided: &Plan,
        addresses: &Addresses,
        deadline: Deadline,
    ) -> RecoveryResult {
        let deadline = deadline.at_most(RECOVERY_TIMEOUT);
        match self.try_recover(state, decided, addresses, Request::Reconciler, deadline) {
            Ok(recovered) => recovered,
            // Another process does the same at this moment.
            Err(RecoverError::Lock(LockError::Busy { .. })) => RecoveryResult::default(),
            Err(error) => self.failed(&error),
        }
    }

    /// Returns whether a recovery left something under way a while ago.
    pub(super) fn is_recovery_due(&self) -> bool {
        let Ok(memory) = self.recovery_memory() else { return false };
        memory.is_due(now())
    }

    /// Reads the lines of the last recovery. While there are any, the master plans every 30 s: older ones were left by a
    /// host that is not the master any more.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file cannot be read.
    pub(super) fn last_recovery(&self) -> Result<Vec<String>, ReconcileError> {
        let memory = self.recovery_memory()?;
        let age_ms = now().boottime_ms.checked_sub(memory.at.boottime_ms);
        Ok(if age_ms.is_some_and(|age_ms| age_ms < RECENT_MS) { memory.lines } else { Vec::new() })
    }

    /// Resets the breaker of the instances.
    ///
    /// # Errors
    /// [`ReconcileError`] if the lock cannot be taken, or the memory cannot be read or written.
    pub(super) fn reset_instance_breaker(&self, deadline: Deadline) -> Result<(), ReconcileError> {
        let _lock = self.recovery_lock(deadline)?;
        let mut memory = self.recovery_memory()?;
        if memory.breaker.open().is_none() {
            return Ok(());
        }
        memory.breaker = memory.breaker.reset();
        self.write(FILE, &memory)
    }

    /// Makes the plan of recovery as it would be now, or right after the death of `died`; changes nothing.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input of the reconciliation cannot be read. The inner error is [`RecoveryError`] if one of
    /// the recovery cannot be read.
    pub(super) fn planned_recovery(
        &self,
        died: Option<&NodeName>,
        deadline: Deadline,
    ) -> Result<Result<RecoveryPlan, RecoveryError>, ReconcileError> {
        let Decisions { mut state, plan: decided, addresses } =
            self.collect_and_decide(OwnUnreachable::Kept, None, deadline)?;
        let mut remembered = self.recovery_memory()?;
        self.fetch_recovery_receipts(&mut state, &decided.memory, deadline);
        let shunned = shunned_addresses_known(&self.state_dir, deadline);
        let sources = self.sources(&state, &decided, &addresses, &shunned, false);
        let mut collected = match collect(sources, deadline) {
            Ok(collected) => collected,
            Err(error) => return Ok(Err(error)),
        };
        // Before it is switched on, an administrator sees what it would do.
        collected.input.is_on = true;
        collected.input.unconfirmed = remembered.unconfirmed(&collected.input.jobs, now());
        collected.input.instance_breaker = remembered.breaker;
        if let Some(died) = died {
            collected.input = collected.input.after_death(died);
        }
        collected.input.drbd = self.drbd_sightings(&collected.lost_drbd(), &state.here, deadline);
        Ok(Ok(collected.plan(&self.recovery_settings(), deadline)))
    }

    fn try_recover(
        &self,
        mut state: ReconcileInput,
        decided: &Plan,
        addresses: &Addresses,
        request: Request<'_>,
        deadline: Deadline,
    ) -> Result<RecoveryResult, RecoverError> {
        let is_on = self.is_recovery_on();
        let before = match self.recovery_memory() {
            // It was left by a recovery of earlier.
            Err(_) if !is_on => return Ok(RecoveryResult::default()),
            memory => memory?,
        };
        if state.master.as_ref() != Some(&state.here) {
            // Another host goes on.
            if let Some(memory) = before.of_other_host(is_on) {
                self.write(FILE, &memory)?;
            }
            return Ok(RecoveryResult::default());
        }
        // A new master reads the queue once for starts that the last one has left, and after the tag was removed until
        // none is left.
        let queue_of = luxi::started_ms(&self.luxi);
        let is_new = if is_on { queue_of.is_some() && queue_of != before.queue_of } else { before.was_on };
        if before.is_idle() && !is_new && !request.is_by_hand() && !self.may_concern(&state, decided)? {
            return Ok(RecoveryResult::default());
        }
        let _lock = self.recovery_lock(deadline.at_most(request.lock_wait()))?;
        let mut remembered = self.recovery_memory()?;
        // The administrator may have paused gnt-ha while the record was submitted.
        state.pause = self.pause()?;
        self.fetch_recovery_receipts(&mut state, &decided.memory, deadline);
        let shunned = shunned_addresses_known(&self.state_dir, deadline);
        let sources = self.sources(&state, decided, addresses, &shunned, true);
        let mut collected = collect(sources, deadline)?;
        remembered.queue_of = queue_of;
        let at = now();
        collected.input.unconfirmed = remembered.unconfirmed(&collected.input.jobs, at);
        collected.input.instance_breaker = remembered.breaker.clone();
        collected.input.drbd = self.drbd_sightings(&collected.lost_drbd(), &state.here, deadline);
        let plan = collected.plan(&self.recovery_settings(), deadline);
        remembered.breaker = plan.breaker.clone();
        let own = collected.input.nodes.iter().find(|node| node.name == state.here);
        let form = StartForm::of(own.is_some_and(|node| node.running.complete().is_some()), self.guard_can_run());
        let wanted: Vec<Start> = plan.starts.iter().filter(|start| request.includes(start)).cloned().collect();
        let starts = jobs(&wanted, form, &collected.records, wall_nanos());
        for job in &starts {
            remembered.hand_over(job.start, at);
        }
        // It is written before any job: a program that forgets its action would repeat it.
        self.write(FILE, &remembered)?;
        let mut lines: Vec<String> = plan.cancel.iter().map(|cancel| self.cancel_start(cancel, deadline)).collect();
        let (submitted, started) = self.submit_starts(&starts, &mut remembered, deadline);
        lines.extend(started);
        self.keep_log(&collected.input, &plan, &submitted);
        lines.extend(remembered.arrivals(&collected.input, &plan, now()));
        lines.extend(reported(&plan, &starts, request));
        remembered.note_waits(&plan, now());
        remembered.note_on(is_on);
        let (not_started, is_under_way) = (
            plan.not_recovered.len(),
            remembered.has_starts() || plan.starts.iter().any(|start| request.includes(start)),
        );
        Ok(RecoveryResult { not_started, is_under_way, ..self.keep_recovered(remembered, lines) })
    }

    /// Returns whether the files of this host show that there may be an instance to start. Recovery is on, and a lost node
    /// has an instance, or was recorded offline a short time ago. In the second case its instances may have been moved and
    /// not started.
    fn may_concern(&self, state: &ReconcileInput, decided: &Plan) -> Result<bool, RecoveryError> {
        let is_recorded_now = |entry: &NodeDecision| matches!(entry.decision, Decision::Offline { .. });
        let being_recorded = decided.decisions.iter().filter(|entry| is_recorded_now(entry)).map(|entry| &entry.node);
        let is_recent = |node: &&NodeState| {
            node.changed_ms.is_some_and(|changed_ms| state.now.wall_ms.abs_diff(changed_ms) < MOVED_MS)
        };
        let offline = || state.nodes.iter().filter(|node| node.ganeti.offline);
        let lost: BTreeSet<&NodeName> = offline().map(|node| &node.ganeti.name).chain(being_recorded).collect();
        if lost.is_empty() || !self.is_recovery_on() {
            return Ok(false);
        }
        let Some(config) = files::read_recovery_config_if_on(&self.data_dir)? else { return Ok(false) };
        Ok(offline().any(|node| is_recent(&node)) || config.has_instances_on(&lost))
    }

    /// Stores what is remembered, with the lines of this recovery.
    fn keep_recovered(&self, mut remembered: RecoveryMemory, lines: Vec<String>) -> RecoveryResult {
        let is_new = |line: &&String| !remembered.lines.iter().any(|before| is_same_line(before, line));
        let news = lines.iter().filter(is_new).cloned().collect();
        (remembered.at, remembered.lines) = (now(), lines.clone());
        // The starts are submitted: if the rest cannot be kept, it is only reported again.
        let _ = self.write(FILE, &remembered);
        RecoveryResult { lines, news, ..RecoveryResult::default() }
    }

    /// Keeps what became of each instance. Nothing that is decided rests on it, so a file that cannot be used stops
    /// nothing: a damaged one is written anew.
    fn keep_log(&self, input: &RecoveryInput, plan: &RecoveryPlan, submitted: &BTreeMap<InstanceName, u64>) {
        let mut log = read_recovery_log(&self.state_dir).unwrap_or_default();
        if log.note(input, plan, submitted, now().wall_ms)
            && let Err(error) = self.write(LOG_FILE, &log)
        {
            tracing::warn!(%error, "what became of the instances is not kept");
        }
    }

    fn failed(&self, error: &RecoverError) -> RecoveryResult {
        let lines = vec![format!("recovery: nothing is started: {error}")];
        match self.recovery_memory() {
            Ok(mut remembered) => {
                remembered.waits = true;
                self.keep_recovered(remembered, lines)
            }
            Err(_) => RecoveryResult { news: lines.clone(), lines, ..RecoveryResult::default() },
        }
    }

    fn sources<'a>(
        &'a self,
        state: &'a ReconcileInput,
        decided: &'a Plan,
        addresses: &'a Addresses,
        shunned: &'a BTreeSet<IpAddr>,
        may_except: bool,
    ) -> Sources<'a> {
        Sources {
            state,
            decided,
            addresses,
            shunned,
            data_dir: &self.data_dir,
            luxi: &self.luxi,
            hail: &self.hail,
            may_except,
        }
    }

    /// Fetches the receipts of other hosts for the nodes that are recorded offline on too weak a proof.
    fn fetch_recovery_receipts(&self, state: &mut ReconcileInput, memory: &Memory, deadline: Deadline) {
        let least = self.recovery_settings().least_grade.max(Grade::Bounded);
        let asked = receipts_to_ask(state, memory, least);
        self.fetch_receipts(state, asked, deadline);
    }

    /// Asks the secondary nodes of these instances what they had seen of their DRBD disks. What is unknown permits no
    /// start.
    fn drbd_sightings(
        &self,
        instances: &[DrbdInstance],
        here: &NodeName,
        deadline: Deadline,
    ) -> BTreeMap<InstanceName, DrbdSightings> {
        if instances.is_empty() {
            return BTreeMap::new();
        }
        let nodes: BTreeSet<NodeName> = instances.iter().map(|instance| instance.secondary.clone()).collect();
        let asked_ms = now().wall_ms;
        let ask = |config: &Config| drbd_seen::ask(config, &self.data_dir, &nodes, deadline.at_most(DRBD_TIMEOUT));
        let answers = config_file::load_or_default(Path::new(DEFAULT_PATH)).map_err(|error| error.to_string());
        let answers = answers.and_then(|config| ask(&config).map_err(|error| error.to_string()));
        let mut ages = answers.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read when the DRBD disks were last up to date");
            BTreeMap::new()
        });
        ages.insert(here.clone(), drbd_seen::ages(&self.state_dir));
        let of = |instance: &DrbdInstance| {
            let seen = ages.get(&instance.secondary).map(|ages| sightings(&instance.minors, ages, asked_ms));
            Some((instance.instance.clone(), seen?))
        };
        instances.iter().filter_map(of).collect()
    }

    fn recovery_settings(&self) -> RecoverySettings {
        RecoverySettings { least_grade: self.settings.least_grade, ..RecoverySettings::default() }
    }

    fn recovery_lock(&self, deadline: Deadline) -> Result<Lock, LockError> {
        self.store().lock("recover", deadline)
    }

    pub(super) fn recovery_memory(&self) -> Result<RecoveryMemory, ReconcileError> {
        Ok(self.read(FILE)?.unwrap_or_default())
    }
}

/// Reads what became of the instances of the last incidents, as far as this host was the master.
///
/// # Errors
/// [`ReconcileError::State`] if the file cannot be read.
pub fn read_recovery_log(state_dir: &Path) -> Result<RecoveryLog, ReconcileError> {
    let read = Store::new(state_dir).read(LOG_FILE);
    Ok(read.map_err(|error| ReconcileError::State { path: state_dir.join(LOG_FILE), error })?.unwrap_or_default())
}

/// Returns a line for each instance that is being started, or is not, and why. `submitted` starts have their lines
/// already.
fn reported(plan: &RecoveryPlan, submitted: &[StartJob<'_>], request: Request<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let is_left = |start: &&Start| submitted.iter().all(|job| job.start.instance != start.instance);
    for start in plan.starts.iter().filter(is_left) {
        let why = match start.on {
            _ if !request.includes(start) => "its host was not asked for: the next recovery starts it",
            StartNode::AskAllocator => "waits for an answer of hail",
            _ if start.after_record => "waits for the record of its host",
            _ => "gnt-ha's hook cannot run on this host: ganeti-watcher starts it",
        };
        lines.push(format!("{}: not started yet: {why}", start.instance));
    }
    for under_way in &plan.under_way {
        let on = under_way.on.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
        lines.push(format!("{}: job {} starts it{on}", under_way.instance, under_way.job));
    }
    lines.extend(plan.not_recovered.iter().map(|(instance, why)| format!("{instance}: not started: {why}")));
    let bad = plan.bad_priorities.iter();
    lines.extend(bad.map(|(instance, error)| format!("{instance}: starts without a priority: {error}")));
    lines
}

#[cfg(test)]
mod tests;
