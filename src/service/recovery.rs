//! Collects the input of recovery and makes the plan. Submits nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::node::{self, NodeName};
use crate::core::reconcile::{Decision, MasterRoleState, Plan, ReconcileInput};
use crate::core::recovery::allocator::request::{LiveNode, RequestError, RequestInput, request};
use crate::core::recovery::allocator::{AllocatorError, AllocatorState, HailAnswer};
use crate::core::recovery::config_data::{ConfigInstances, DrbdInstance, RecoveryConfig};
use crate::core::recovery::death::{LiveNodeState, proven_ms, recovery_node};
use crate::core::recovery::instance_breaker::InstanceBreaker;
use crate::core::recovery::live::{DESCRIBE, LIST, LiveInstances, Question};
use crate::core::recovery::plan::{RecoveryPlan, plan};
use crate::core::recovery::queue::{BadQueue, InstanceJob, JobKind, record_jobs};
use crate::core::recovery::role_job::own_records;
use crate::core::recovery::start_node::AllocatorRequest;
use crate::core::recovery::state::{NodeRecord, RecoveryInput, RecoveryNode, RecoverySettings};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files::GanetiFilesError;
use crate::sys::ganeti::luxi::{Luxi, LuxiError};
use crate::sys::ganeti::noded_call::{NodedCall, call_all};
use crate::sys::ganeti::{files, hail};
use crate::sys::nft::shun_table;

/// The most that the nodes may take to report what they run.
const NODES_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How long the exception for a shunned node stays, in seconds.
const EXCEPTION_S: u64 = 5;

/// The reason why there is no plan of recovery.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Ganeti's configuration could not be read.
    #[error(transparent)]
    Ganeti(#[from] GanetiFilesError),
    /// luxid, which only runs on the master, does not answer.
    #[error(transparent)]
    Luxi(#[from] LuxiError),
    /// The job queue cannot be parsed.
    #[error(transparent)]
    Queue(#[from] BadQueue),
}

/// What a reconciliation has seen and decided, and the places from which the rest is read.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The state that the reconciliation of a moment ago has seen.
    pub state: &'a ReconcileInput,
    /// The plan for it.
    pub decided: &'a Plan,
    /// The address of each node in the primary network.
    pub addresses: &'a BTreeMap<NodeName, IpAddr>,
    /// The addresses of the nodes that this host shuns, or may shun.
    pub shunned: &'a BTreeSet<IpAddr>,
    /// Ganeti's data directory, with the configuration and the certificate.
    pub data_dir: &'a Path,
    /// The socket of luxid.
    pub luxi: &'a Path,
    /// The program of Ganeti's allocator hail.
    pub hail: &'a Path,
    /// Whether this host's own rules may get an exception for a shunned node that runs again. A command that changes
    /// nothing does not ask such a node.
    pub may_except: bool,
}

/// The input of recovery, with what the allocator needs.
#[derive(Debug)]
pub struct RecoverySurvey {
    /// The input for the plan.
    pub input: RecoveryInput,
    /// The unfinished job that records each node offline.
    pub records: BTreeMap<NodeName, u64>,
    config: RecoveryConfig,
    live: LiveInstances,
    /// The nodes that have reported what they run, with their calls.
    calls: BTreeMap<NodeName, NodedCall>,
    data_dir: PathBuf,
    luxi: PathBuf,
    hail: PathBuf,
}

/// Collects the state of the cluster: Ganeti's configuration, over LUXI the job queue, and from each node what it runs.
/// The breaker of the instances is closed in the input, no start is unconfirmed, and nothing is known of DRBD disks: the
/// caller sets these.
///
/// # Errors
/// [`RecoveryError`] if the configuration or the queue cannot be read. It is not an error if a node does not answer.
pub fn collect(sources: Sources<'_>, deadline: Deadline) -> Result<RecoverySurvey, RecoveryError> {
    let mut luxi = Luxi::connect(sources.luxi, deadline)?;
    // The queue comes first: a job that ends before the instances are read has changed them.
    let answer = luxi.query_large(&InstanceJob::query())?;
    let jobs = InstanceJob::parse_all(&answer)?;
    let config = files::read_recovery_config(sources.data_dir)?;
    // A shunned node only prevents starts that are submitted: others it cannot permit.
    let has_starts = jobs.iter().any(|job| job.kind == JobKind::OwnStart && job.status.is_unfinished());
    let sources = Sources { may_except: sources.may_except && has_starts, ..sources };
    let (live, calls) = ask_nodes(sources, &config, deadline.at_most(NODES_TIMEOUT));
    let nodes = config.nodes();
    let uuids = nodes.into_iter().map(|node| (node.name, node.version.map(|version| version.uuid))).collect();
    let input = input(sources, jobs, &config, &live, &own_records(&answer, &uuids));
    let (luxi, hail) = (sources.luxi.to_owned(), sources.hail.to_owned());
    let data_dir = sources.data_dir.to_owned();
    Ok(RecoverySurvey { input, records: record_jobs(&answer), config, live, calls, data_dir, luxi, hail })
}

/// Asks each node what it runs, except where no answer can come. Returns also the calls to those that have reported it.
fn ask_nodes(
    sources: Sources<'_>,
    config: &RecoveryConfig,
    deadline: Deadline,
) -> (LiveInstances, BTreeMap<NodeName, NodedCall>) {
    let arguments = config.hypervisors();
    let may_answer = |name: &NodeName| {
        let seen = sources.state.nodes.iter().find(|seen| seen.ganeti.name == *name)?;
        let proven_ms = proven_ms(seen, decision(sources.decided, name), &sources.decided.memory);
        let age_ms = proven_ms.map(|at_ms| sources.state.now.wall_ms.abs_diff(at_ms));
        let address = *sources.addresses.get(name)?;
        match Question::of(seen.member, seen.ganeti.offline, sources.shunned.contains(&address), age_ms) {
            Question::Plain => Some(address),
            Question::Excepted if sources.may_except => {
                let allowed = shun_table::allow_noded(address, EXCEPTION_S, deadline);
                allowed
                    .inspect_err(|error| tracing::debug!(%error, "a shunned node is not asked"))
                    .ok()
                    .map(|()| address)
            }
            Question::Excepted | Question::NotAsked => None,
        }
    };
    let call =
        |name: NodeName| Some((name.clone(), NodedCall { address: may_answer(&name)?, arguments: arguments.clone() }));
    let mut calls: BTreeMap<NodeName, NodedCall> =
        config.nodes().into_iter().filter_map(|node| call(node.name)).collect();
    let mut live = LiveInstances::default();
    for (node, answer) in call_all(sources.data_dir, LIST, &calls, deadline) {
        let added = match answer {
            Ok(payload) => live.add(&node, &payload).map_err(|error| error.to_string()),
            Err(error) => Err(format!("{node}: {error}")),
        };
        if let Err(error) = added {
            tracing::debug!(%error, "what a node runs is unknown");
        }
    }
    calls.retain(|node, _| live.running.contains_key(node));
    (live, calls)
}

fn decision<'a>(decided: &'a Plan, node: &NodeName) -> Option<&'a Decision> {
    decided.decisions.iter().find(|entry| entry.node == *node).map(|entry| &entry.decision)
}

fn input(
    sources: Sources<'_>,
    jobs: Vec<InstanceJob>,
    config: &RecoveryConfig,
    live: &LiveInstances,
    recorded_by_us: &BTreeSet<NodeName>,
) -> RecoveryInput {
    let Sources { state, decided, addresses, shunned, .. } = sources;
    let mut nodes = Vec::new();
    for node in config.nodes() {
        // A node that was added in this moment is seen at the next time.
        let Some(seen) = state.nodes.iter().find(|seen| seen.ganeti.name == node.name) else { continue };
        let is_shunned = addresses.get(&node.name).is_some_and(|address| shunned.contains(address));
        let running = live.running.get(&node.name).cloned();
        let live = LiveNodeState { running, is_shunned, is_recorded_by_us: recorded_by_us.contains(&node.name) };
        let decision = decision(decided, &node.name);
        nodes.push(recovery_node(node, seen, decision, &decided.memory, live));
    }
    let has_role = match &state.role {
        MasterRoleState::Unmanaged => true,
        MasterRoleState::Inactive => false,
        MasterRoleState::ActiveOn(host) => {
            node::find(host, state.nodes.iter().map(|node| &node.ganeti.name)) == Ok(&state.here)
        }
    };
    let ConfigInstances { readable, unreadable } = config.instances();
    RecoveryInput {
        now_ms: state.now.wall_ms,
        stack_started_ms: state.stack_started_ms,
        is_master: has_role && state.master.as_ref() == Some(&state.here),
        quorum: state.quorum,
        maintenance: state.maintenance,
        pause: state.pause.clone(),
        node_breaker: decided.memory.breaker.open_state().cloned(),
        instance_breaker: InstanceBreaker::default(),
        is_on: config.is_on(),
        cluster_tags: config.cluster_tags().to_vec(),
        group_tags: config.group_tags(),
        nodes,
        instances: readable,
        unreadable,
        jobs,
        unconfirmed: BTreeSet::new(),
        drbd: BTreeMap::new(),
        allocator: AllocatorState::NotAsked,
    }
}

impl RecoverySurvey {
    /// Returns the instances with DRBD whose primary node is lost.
    #[must_use]
    pub fn lost_drbd(&self) -> Vec<DrbdInstance> {
        let is_lost = |name: &NodeName| {
            self.input.nodes.iter().any(|node| node.name == *name && node.record != NodeRecord::Online)
        };
        self.config.drbd_instances().into_iter().filter(|instance| is_lost(&instance.primary)).collect()
    }

    /// Makes the plan, and asks the allocator where the plan needs it.
    #[must_use]
    pub fn plan(&mut self, settings: &RecoverySettings, deadline: Deadline) -> RecoveryPlan {
        let first = plan(&self.input, settings);
        let asked = first.to_allocate();
        if asked.is_empty() {
            return first;
        }
        self.input.allocator = match self.allocate(asked, &first, deadline) {
            Ok(answer) => AllocatorState::Answered(answer),
            Err(error) => AllocatorState::Failed(error),
        };
        plan(&self.input, settings)
    }

    fn allocate(
        &mut self,
        asked: Vec<AllocatorRequest>,
        first: &RecoveryPlan,
        deadline: Deadline,
    ) -> Result<HailAnswer, AllocatorError> {
        // A QEMU that does not answer its node holds this up, and nothing else.
        for answer in
            call_all(&self.data_dir, DESCRIBE, &self.calls, deadline.at_most(NODES_TIMEOUT)).values().flatten()
        {
            self.live.add_memory(answer);
        }
        let mut being_started = first.being_started();
        let mut answer = HailAnswer::default();
        let is_out = |node: &&RecoveryNode| node.record != NodeRecord::Online || node.suspicion.is_some();
        let out: BTreeSet<NodeName> = self.input.nodes.iter().filter(is_out).map(|node| node.name.clone()).collect();
        let live = self.live_nodes(&out, deadline)?;
        for AllocatorRequest { instances, not_on } in asked {
            let excluded: BTreeSet<NodeName> = out.union(&not_on).cloned().collect();
            let document = request(&RequestInput {
                config: &self.config,
                live: &live,
                used_memory: &self.live.used_memory,
                excluded: &excluded,
                being_started: &being_started,
                instances: &instances,
            })?;
            let placed = hail::run(&self.hail, &document, deadline)?;
            being_started.extend(placed.moved.clone());
            answer.extend(placed);
        }
        Ok(answer)
    }

    /// Asks luxid for the room on the nodes that are not `out`.
    fn live_nodes(
        &self,
        out: &BTreeSet<NodeName>,
        deadline: Deadline,
    ) -> Result<BTreeMap<NodeName, LiveNode>, AllocatorError> {
        let fit = self.input.nodes.iter().map(|node| &node.name).filter(|name| !out.contains(*name));
        let query = LiveNode::query(fit);
        let asked = Luxi::connect(&self.luxi, deadline).and_then(|mut luxi| luxi.query_large(&query));
        let answer = asked.map_err(|error| RequestError::NotAsked(error.to_string()))?;
        Ok(LiveNode::parse_all(&answer)?)
    }
}
