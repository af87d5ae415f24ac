//! The simulated cluster: hosts that die, are cut off and return, administrators, and gnt-ha's recovery.

use std::collections::{BTreeMap, BTreeSet};

use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::pause::Pause;
use gnt_ha::core::receipt::Timestamp;
use gnt_ha::core::recovery::allocator::{AllocatorError, AllocatorState, HailAnswer};
use gnt_ha::core::recovery::freshness::DrbdSightings;
use gnt_ha::core::recovery::instance::{AdminState, Instance, InstanceName};
use gnt_ha::core::recovery::instance_breaker::InstanceBreaker;
use gnt_ha::core::recovery::memory::RecoveryMemory;
use gnt_ha::core::recovery::opcodes::{StartForm, jobs};
use gnt_ha::core::recovery::plan::{RecoveryPlan, plan};
use gnt_ha::core::recovery::queue::{InstanceJob, REASON_SOURCE};
use gnt_ha::core::recovery::report::RunningReport;
use gnt_ha::core::recovery::start_node::StartNode;
use gnt_ha::core::recovery::state::{DeathProof, NodeRecord, RecoveryInput, RecoveryNode, RecoverySettings, Suspicion};
use gnt_ha::core::recovery::template::DiskTemplate;
use serde_json::{Value, json};

use super::event::Event;
use super::ganeti::QueuedJob;

pub(crate) const HOSTS: usize = 5;
pub(crate) const INSTANCES: usize = 6;
const START_MS: u64 = 1_700_000_000_000;

/// The time of a step, in milliseconds.
const STEP_MS: u64 = 5_000;

/// From the loss of a host to its fencing, in steps.
const FENCED_AFTER: u64 = 2;

/// A guard that a test takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The check in Ganeti's hook.
    Hook,
    /// What is remembered of starts that luxid has not confirmed.
    Memory,
    /// What the nodes report to run.
    Running,
    /// The proof before the record.
    Proof,
    /// That the record follows the proof.
    Record,
}

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// gnt-ha started an instance that ran elsewhere.
    Twice,
    /// gnt-ha started an instance that was stopped by hand.
    Stopped,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    pub(crate) is_dead: bool,
    pub(crate) is_cut: bool,
    pub(crate) lost_at: Option<u64>,
    pub(crate) proof_at: Option<u64>,
    pub(crate) is_offline: bool,
    pub(crate) starts_fail: bool,
    pub(crate) running: BTreeSet<usize>,
    /// Those of the running instances that an administrator has started elsewhere, too: Ganeti lets him do so for an
    /// instance of a node that is offline.
    pub(crate) doubled_by_hand: BTreeSet<usize>,
    /// The version of its record, that of the last reconciliation, and whether it was offline then.
    pub(crate) serial: u64,
    pub(crate) seen: (u64, bool),
    /// Whether the versions of its record show that it was not online since its fencing.
    pub(crate) is_certain: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Vm {
    pub(crate) is_up: bool,
    pub(crate) primary: usize,
    pub(crate) secondary: Option<usize>,
    /// Whether the administrator has stopped it since it was started last.
    pub(crate) stopped_by_hand: bool,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) vms: Vec<Vm>,
    pub(crate) queue: Vec<QueuedJob>,
    /// In how many of 100 steps gnt-ha plans.
    pub(crate) plans: usize,
    pub(crate) without: Vec<Guard>,
    /// Whether the random events are only losses of hosts and of answers.
    pub(crate) has_only_losses: bool,
    pub(crate) broken: Vec<(Broken, String)>,
    pub(crate) records: BTreeMap<usize, u64>,
    pub(crate) memory: RecoveryMemory,
    pub(crate) is_paused: bool,
    pub(crate) is_answer_lost: bool,
    pub(crate) hail_fails: bool,
    seed: u64,
}

pub(crate) fn host_name(host: usize) -> NodeName {
    NodeName::new(&format!("n{host}")).unwrap()
}

pub(crate) fn vm_name(vm: usize) -> InstanceName {
    InstanceName::new(&format!("vm{vm}")).unwrap()
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut hosts = vec![Host::default(); HOSTS];
        let vms: Vec<Vm> = (0..INSTANCES)
            .map(|number| {
                let primary = 1 + number % (HOSTS - 1);
                let secondary = (number >= 4).then_some(1 + (number + 1) % (HOSTS - 1));
                Vm { is_up: true, primary, secondary, stopped_by_hand: false }
            })
            .collect();
        for (number, vm) in vms.iter().enumerate() {
            hosts[vm.primary].running.insert(number);
        }
        Self {
            now: 0,
            hosts,
            vms,
            queue: Vec::new(),
            plans: 100,
            without: Vec::new(),
            has_only_losses: false,
            broken: Vec::new(),
            records: BTreeMap::new(),
            memory: RecoveryMemory::default(),
            is_paused: false,
            is_answer_lost: false,
            hail_fails: false,
            seed,
        }
    }

    fn ms(&self, step: u64) -> u64 {
        START_MS + step * STEP_MS
    }

    fn time(&self) -> Timestamp {
        Timestamp { wall_ms: self.ms(self.now), boottime_ms: self.now * STEP_MS }
    }

    /// A number below `limit` that only depends on the seed.
    pub(crate) fn chance(&mut self, limit: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.seed >> 33) % limit as u64).unwrap()
    }

    pub(crate) fn answers(&self, host: usize) -> bool {
        !self.hosts[host].is_dead && !self.hosts[host].is_cut
    }

    /// Pacemaker fences what is lost.
    fn fence(&mut self) {
        let believes_all = self.without.contains(&Guard::Proof);
        for host in &mut self.hosts {
            let Some(lost) = host.lost_at else { continue };
            if host.proof_at.is_none() && (believes_all || self.now >= lost + FENCED_AFTER) {
                host.proof_at = Some(self.now);
            }
            if self.now == lost + FENCED_AFTER {
                host.is_dead = true;
                host.running.clear();
            }
        }
    }

    fn input(&self) -> RecoveryInput {
        let own = self.own_records();
        let believes_record = self.without.contains(&Guard::Record);
        let is_blind = self.without.contains(&Guard::Running);
        let nodes = self.hosts.iter().enumerate().map(|(number, host)| RecoveryNode {
            name: host_name(number),
            group: "default".to_owned(),
            record: match (host.is_offline, host.proof_at) {
                (true, _) => NodeRecord::Offline,
                (false, Some(_)) => NodeRecord::BeingRecorded,
                (false, None) => NodeRecord::Online,
            },
            recorded_ms: None,
            version: Some(Self::version(host.serial)),
            drained: false,
            vm_capable: number != 0,
            proof: host.proof_at.map(|at| DeathProof {
                grade: Grade::Off,
                at_ms: self.ms(at),
                lost_ms: host.lost_at.map(|lost| self.ms(lost)),
                is_of_record: believes_record
                    || !host.is_offline
                    || host.is_certain
                    || own.contains(&host_name(number)),
            }),
            runs_again: host.proof_at.is_some() && self.answers(number),
            suspicion: host.lost_at.map(|_| Suspicion::Lost),
            running: match (is_blind, self.answers(number)) {
                (true, _) => RunningReport::from(BTreeSet::new()),
                (false, true) => {
                    let named = host.running.iter().map(|vm| vm_name(*vm)).collect();
                    RunningReport::new(Some(named), host.proof_at.is_some())
                }
                (false, false) => RunningReport::default(),
            },
        });
        let instances = self.vms.iter().enumerate().map(|(number, vm)| Instance {
            name: vm_name(number),
            admin_state: if vm.is_up { AdminState::Up } else { AdminState::Down },
            primary: host_name(vm.primary),
            secondaries: vm.secondary.map(host_name).into_iter().collect(),
            template: if vm.secondary.is_some() { DiskTemplate::Drbd } else { DiskTemplate::Rbd },
            tags: Vec::new(),
        });
        let fresh = DrbdSightings { fresh_ms: Some(self.ms(self.now)), stale_ms: None };
        RecoveryInput {
            now_ms: self.ms(self.now),
            stack_started_ms: START_MS - 10_000_000,
            is_master: true,
            quorum: true,
            maintenance: false,
            pause: self.is_paused.then(|| Pause::new("a fan", "root", 1).unwrap()),
            node_breaker: None,
            instance_breaker: InstanceBreaker::default(),
            is_on: true,
            cluster_tags: vec!["ganeti:watcher:autorepair:failover".to_owned()],
            group_tags: BTreeMap::new(),
            nodes: nodes.collect(),
            instances: instances.collect(),
            unreadable: Vec::new(),
            jobs: self.jobs_seen(),
            unconfirmed: BTreeSet::new(),
            drbd: (0..self.vms.len()).map(|number| (vm_name(number), fresh)).collect(),
            allocator: AllocatorState::NotAsked,
        }
    }

    fn jobs_seen(&self) -> Vec<InstanceJob> {
        InstanceJob::parse_all(&self.queue_seen()).unwrap()
    }

    /// luxid's answer about the queue.
    pub(crate) fn queue_seen(&self) -> Value {
        let row = |job: &QueuedJob| {
            let seconds = |step: u64| json!([0, [self.ms(step) / 1_000, 0]]);
            let state = |at: usize| match (at < job.done, job.status) {
                (true, "error") if at + 1 == job.done => "error",
                (true, _) => "success",
                (false, _) => "queued",
            };
            let states: Vec<&str> = (0..job.ops.len()).map(state).collect();
            let results = job.error.as_ref().map(|error| json!([["OpExecError", [error]]]));
            json!([
                [0, job.id],
                [0, job.status],
                [0, job.ops],
                [0, results],
                seconds(job.received),
                job.ended.map_or(json!([0, null]), seconds),
                [0, states]
            ])
        };
        let rows: Vec<Value> = self.queue.iter().filter(|job| !job.is_unseen).map(row).collect();
        json!({ "data": rows })
    }

    /// Plans, asks the simulated allocator, and plans again.
    pub(crate) fn planned(&mut self) -> RecoveryPlan {
        let settings = RecoverySettings::default();
        let mut input = self.input();
        let at = self.time();
        let unconfirmed = self.memory.unconfirmed(&input.jobs, at);
        if !self.without.contains(&Guard::Memory) {
            input.unconfirmed = unconfirmed;
        }
        let first = plan(&input, &settings);
        assert_eq!(first, plan(&input, &settings), "the same state has the same plan");
        let asked = first.to_allocate();
        if asked.is_empty() {
            return first;
        }
        let mut answer = HailAnswer::default();
        for allocation in asked {
            for instance in allocation.instances {
                let primary = input.instances.iter().find(|known| known.name == instance).unwrap().primary.clone();
                let fits = |host: &usize| {
                    let node = host_name(*host);
                    self.hosts[*host].lost_at.is_none() && node != primary && !allocation.not_on.contains(&node)
                };
                let fitting: Vec<usize> = (1..HOSTS).filter(fits).collect();
                if fitting.is_empty() {
                    answer.failed.insert(instance, "no node".to_owned());
                } else {
                    let host = fitting[self.chance(fitting.len())];
                    answer.moved.insert(instance, host_name(host));
                }
            }
        }
        input.allocator = if self.hail_fails {
            AllocatorState::Failed(AllocatorError::TimedOut)
        } else {
            AllocatorState::Answered(answer)
        };
        plan(&input, &settings)
    }

    fn reconcile(&mut self) {
        self.watch();
        for host in 0..HOSTS {
            if self.hosts[host].proof_at.is_some() && !self.hosts[host].is_offline && !self.records.contains_key(&host)
            {
                let op = json!({"OP_ID": "OP_NODE_SET_PARAMS", "node_name": host_name(host), "offline": true,
                                "reason": [[REASON_SOURCE, "offline", 5]]});
                let id = self.submit(vec![op]);
                self.records.insert(host, id);
            }
        }
        let plan = self.planned();
        for cancel in &plan.cancel {
            let now = self.now;
            let job = self.queue.iter_mut().find(|job| job.id == cancel.job).unwrap();
            assert_eq!(job.status, "queued", "only what has not begun is cancelled");
            (job.status, job.ended) = ("canceled", Some(now));
        }
        let records = self.records.iter().map(|(host, id)| (host_name(*host), *id)).collect();
        let starts = &plan.starts;
        assert!(starts.iter().all(|start| start.on != StartNode::AskAllocator), "{starts:?}");
        let form = if self.chance(3) == 0 { StartForm::Failover } else { StartForm::NewPrimary };
        self.queue.iter_mut().for_each(|job| job.is_unseen = false);
        let is_unseen = std::mem::take(&mut self.is_answer_lost);
        let at = self.time();
        for job in jobs(starts, form, &records, 5) {
            self.memory.hand_over(job.start, at);
            if !is_unseen {
                self.memory.accepted(job.start, at);
            }
            self.submit(job.opcodes);
            self.queue.last_mut().unwrap().is_unseen = is_unseen;
        }
    }

    pub(crate) fn step(&mut self, event: &Event) {
        self.now += 1;
        self.event(event);
        self.fence();
        for Host { running, doubled_by_hand, .. } in &mut self.hosts {
            doubled_by_hand.retain(|vm| running.contains(vm));
        }
        if self.chance(100) < self.plans {
            self.reconcile();
        }
        self.work();
    }
}
