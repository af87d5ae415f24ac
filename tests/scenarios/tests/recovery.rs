//! Recovery in a simulated cluster: hosts that die, are cut off and return, Ganeti's job queue with its opcodes, and
//! administrators. No sequence of events makes an instance run twice, starts one that was stopped by hand, or loses one
//! without naming it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its simulated world is wrong")]

use std::collections::{BTreeMap, BTreeSet};

use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::pause::Pause;
use gnt_ha::core::recovery::freshness::DrbdSightings;
use gnt_ha::core::recovery::instance::{AdminState, Instance, InstanceName};
use gnt_ha::core::recovery::instance_breaker::InstanceBreaker;
use gnt_ha::core::recovery::opcodes::{Form, RecordJob, jobs};
use gnt_ha::core::recovery::place::Place;
use gnt_ha::core::recovery::placement::{HailAnswer, Placement, PlacementError};
use gnt_ha::core::recovery::plan::{RecoveryPlan, plan};
use gnt_ha::core::recovery::queue::Job;
use gnt_ha::core::recovery::state::{DeathProof, NodeRecord, RecoveryInput, RecoveryNode, RecoverySettings, Suspicion};
use gnt_ha::core::recovery::template::DiskTemplate;
use proptest::prelude::*;
use serde_json::{Value, json};

const HOSTS: usize = 5;
const INSTANCES: usize = 6;
const START_MS: u64 = 1_700_000_000_000;

/// From the loss of a host to its fencing, in steps.
const FENCED_AFTER: u64 = 2;

#[derive(Clone, Debug)]
enum Event {
    Die(usize),
    Cut(usize),
    PowerOn(usize),
    Readmit(usize),
    MasterDies,
    Stop(usize),
    StartByHand(usize),
    MoveByHand(usize, usize),
    StartsFail(usize, bool),
    Paused(bool),
    AnswerLost,
    HailFails(bool),
    Nothing,
}

#[derive(Clone, Debug, Default)]
struct Host {
    is_dead: bool,
    is_cut: bool,
    lost_at: Option<u64>,
    proof_at: Option<u64>,
    is_offline: bool,
    starts_fail: bool,
    running: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
struct Vm {
    is_up: bool,
    primary: usize,
    secondary: Option<usize>,
    /// Whether the administrator has stopped it since it was started last.
    stopped_by_hand: bool,
}

#[derive(Clone, Debug)]
struct QueuedJob {
    id: u64,
    ops: Vec<Value>,
    done: usize,
    status: &'static str,
    error: Option<String>,
    received: u64,
    ended: Option<u64>,
    /// Whether the next plan does not see it: luxid has not answered.
    is_unseen: bool,
}

struct World {
    now: u64,
    hosts: Vec<Host>,
    vms: Vec<Vm>,
    queue: Vec<QueuedJob>,
    records: BTreeMap<usize, u64>,
    is_paused: bool,
    is_answer_lost: bool,
    hail_fails: bool,
    seed: u64,
    broken: Vec<String>,
}

fn host_name(host: usize) -> NodeName {
    NodeName::new(&format!("n{host}")).unwrap()
}

fn vm_name(vm: usize) -> InstanceName {
    InstanceName::new(&format!("vm{vm}")).unwrap()
}

fn index_of(op: &Value, key: &str, prefix: &str) -> Option<usize> {
    op.get(key)?.as_str()?.strip_prefix(prefix)?.parse().ok()
}

impl World {
    fn new(seed: u64) -> Self {
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
            records: BTreeMap::new(),
            is_paused: false,
            is_answer_lost: false,
            hail_fails: false,
            seed,
            broken: Vec::new(),
        }
    }

    fn ms(&self) -> u64 {
        START_MS + self.now * 1_000
    }

    /// A number below `limit` that only depends on the seed.
    fn chance(&mut self, limit: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.seed >> 33) % limit as u64).unwrap()
    }

    fn answers(&self, host: usize) -> bool {
        !self.hosts[host].is_dead && !self.hosts[host].is_cut
    }

    fn event(&mut self, event: &Event) {
        match *event {
            Event::Die(host) if !self.hosts[host].is_dead => {
                self.hosts[host].is_dead = true;
                self.hosts[host].running.clear();
                self.hosts[host].lost_at.get_or_insert(self.now);
            }
            Event::Cut(host) if self.answers(host) && !self.hosts[host].is_offline => {
                self.hosts[host].is_cut = true;
                self.hosts[host].lost_at.get_or_insert(self.now);
            }
            Event::PowerOn(host) if self.hosts[host].proof_at.is_some() => {
                self.hosts[host].is_dead = false;
                self.hosts[host].is_cut = false;
            }
            Event::Readmit(host)
                if self.hosts[host].is_offline && self.answers(host) && self.hosts[host].running.is_empty() =>
            {
                let starts_fail = self.hosts[host].starts_fail;
                self.hosts[host] = Host { starts_fail, ..Host::default() };
                self.records.remove(&host);
            }
            Event::MasterDies => {
                for job in self.queue.iter_mut().filter(|job| job.status == "running") {
                    job.status = "error";
                    job.ended = Some(self.now);
                    let death = json!(["gnt:daemon:luxid:deathdetection", "detected death of job", 5]);
                    for op in &mut job.ops {
                        op.as_object_mut()
                            .unwrap()
                            .entry("reason")
                            .or_insert(json!([]))
                            .as_array_mut()
                            .unwrap()
                            .push(death.clone());
                    }
                }
            }
            Event::Stop(vm) => {
                self.submit(vec![json!({"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": vm_name(vm).as_str()})]);
            }
            Event::StartByHand(vm) => {
                self.submit(vec![json!({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": vm_name(vm).as_str()})]);
            }
            Event::MoveByHand(vm, host) => {
                let (instance, node) = (vm_name(vm), host_name(host));
                self.submit(vec![json!({"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": instance.as_str(),
                                        "target_node": node})]);
            }
            Event::StartsFail(host, fails) => self.hosts[host].starts_fail = fails,
            Event::Paused(is_paused) => self.is_paused = is_paused,
            Event::AnswerLost => self.is_answer_lost = true,
            Event::HailFails(fails) => self.hail_fails = fails,
            _ => {}
        }
    }

    fn submit(&mut self, ops: Vec<Value>) -> u64 {
        let id = self.queue.len() as u64 + 1;
        let received = self.now;
        let is_unseen = false;
        self.queue.push(QueuedJob {
            id,
            ops,
            done: 0,
            status: "queued",
            error: None,
            received,
            ended: None,
            is_unseen,
        });
        id
    }

    /// Pacemaker fences what is lost.
    fn fence(&mut self) {
        for host in &mut self.hosts {
            if host.proof_at.is_none() && host.lost_at.is_some_and(|lost| self.now >= lost + FENCED_AFTER) {
                host.is_dead = true;
                host.running.clear();
                host.proof_at = Some(self.now);
            }
        }
    }

    fn input(&self) -> RecoveryInput {
        let nodes = self.hosts.iter().enumerate().map(|(number, host)| RecoveryNode {
            name: host_name(number),
            group: "default".to_owned(),
            record: match (host.is_offline, host.proof_at) {
                (true, _) => NodeRecord::Offline,
                (false, Some(_)) => NodeRecord::BeingRecorded,
                (false, None) => NodeRecord::Online,
            },
            drained: false,
            vm_capable: number != 0,
            proof: host.proof_at.map(|at| DeathProof {
                grade: Grade::Off,
                at_ms: START_MS + at * 1_000,
                lost_ms: host.lost_at.map(|lost| START_MS + lost * 1_000),
            }),
            runs_again: host.proof_at.is_some() && !host.is_dead,
            suspicion: host.lost_at.map(|_| Suspicion::Lost),
            running: self.answers(number).then(|| host.running.iter().map(|vm| vm_name(*vm)).collect()),
        });
        let instances = self.vms.iter().enumerate().map(|(number, vm)| Instance {
            name: vm_name(number),
            admin_state: if vm.is_up { AdminState::Up } else { AdminState::Down },
            primary: host_name(vm.primary),
            secondaries: vm.secondary.map(host_name).into_iter().collect(),
            template: if vm.secondary.is_some() { DiskTemplate::Drbd } else { DiskTemplate::Rbd },
            tags: Vec::new(),
        });
        let rows: Vec<Value> = self
            .queue
            .iter()
            .filter(|job| !job.is_unseen)
            .map(|job| {
                let seconds = |time: u64| json!([0, [START_MS / 1_000 + time, 0]]);
                let results = job.error.as_ref().map(|error| json!([["OpExecError", [error]]]));
                json!([
                    [0, job.id],
                    [0, job.status],
                    [0, job.ops],
                    [0, results],
                    seconds(job.received),
                    job.ended.map_or(json!([0, null]), seconds)
                ])
            })
            .collect();
        let fresh =
            |(number, _): (usize, &Vm)| (vm_name(number), DrbdSightings { fresh_ms: Some(self.ms()), stale_ms: None });
        RecoveryInput {
            now_ms: self.ms(),
            stack_started_ms: START_MS - 10_000_000,
            is_master: true,
            quorum: true,
            maintenance: false,
            pause: self.is_paused.then(|| Pause::new("a fan", "root", 1).unwrap()),
            node_breaker: None,
            instance_breaker: InstanceBreaker::default(),
            cluster_tags: vec!["ganeti:watcher:autorepair:failover".to_owned()],
            group_tags: BTreeMap::new(),
            nodes: nodes.collect(),
            instances: instances.collect(),
            jobs: Job::parse_all(&json!({"data": rows})).unwrap(),
            drbd: self.vms.iter().enumerate().map(fresh).collect(),
            placement: Placement::NotAsked,
        }
    }

    /// Plans, asks the simulated allocator, and plans again.
    fn planned(&mut self) -> RecoveryPlan {
        let settings = RecoverySettings::default();
        let mut input = self.input();
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
        input.placement =
            if self.hail_fails { Placement::Failed(PlacementError::TimedOut) } else { Placement::Answered(answer) };
        plan(&input, &settings)
    }

    fn reconcile(&mut self) {
        for host in 0..HOSTS {
            if self.hosts[host].proof_at.is_some() && !self.hosts[host].is_offline && !self.records.contains_key(&host)
            {
                let op = json!({"OP_ID": "OP_NODE_SET_PARAMS", "node_name": host_name(host), "offline": true});
                let id = self.submit(vec![op]);
                self.records.insert(host, id);
            }
        }
        let plan = self.planned();
        for cancel in &plan.cancel {
            let now = self.now;
            let job = self.queue.iter_mut().find(|job| job.id == cancel.job).unwrap();
            assert_eq!(job.status, "queued", "only what has not begun is cancelled");
            job.status = "canceled";
            job.ended = Some(now);
        }
        let records = self.records.iter().map(|(host, id)| (host_name(*host), RecordJob::Submitted(*id))).collect();
        let starts = &plan.starts;
        assert!(starts.iter().all(|start| start.place != Place::AskAllocator), "{starts:?}");
        let form = if self.chance(2) == 0 { Form::NewPrimary } else { Form::Failover };
        self.queue.iter_mut().for_each(|job| job.is_unseen = false);
        let is_unseen = std::mem::take(&mut self.is_answer_lost);
        for ops in jobs(starts, form, &records, 0, 5) {
            self.submit(ops);
            self.queue.last_mut().unwrap().is_unseen = is_unseen;
        }
    }

    /// Ganeti carries out some opcodes, in any order.
    fn work(&mut self) {
        for _ in 0..8 {
            let ready: Vec<usize> = (0..self.queue.len()).filter(|at| self.is_ready(*at)).collect();
            if ready.is_empty() {
                return;
            }
            let at = ready[self.chance(ready.len())];
            let op = self.queue[at].ops[self.queue[at].done].clone();
            let result = self.execute(&op);
            let now = self.now;
            let job = &mut self.queue[at];
            job.done += 1;
            job.status = "running";
            if let Err(error) = result {
                (job.status, job.error, job.ended) = ("error", Some(error.to_owned()), Some(now));
            } else if job.done == job.ops.len() {
                (job.status, job.ended) = ("success", Some(now));
            }
            self.check();
        }
    }

    /// Fails a job whose dependency has failed, as Ganeti does.
    fn is_ready(&mut self, at: usize) -> bool {
        let job = &self.queue[at];
        if !matches!(job.status, "queued" | "running") {
            return false;
        }
        let Some(on) = job.ops[0].get("depends").and_then(|depends| depends[0][0].as_u64()) else { return true };
        match self.queue.iter().find(|other| other.id == on).unwrap().status {
            "success" => true,
            "queued" | "running" => false,
            _ => {
                self.queue[at].status = "error";
                self.queue[at].error = Some("Dependency job 1 finished with status 'error'".to_owned());
                self.queue[at].ended = Some(self.now);
                false
            }
        }
    }

    fn execute(&mut self, op: &Value) -> Result<(), &'static str> {
        let vm = index_of(op, "instance_name", "vm");
        match (op["OP_ID"].as_str().unwrap(), vm) {
            ("OP_NODE_SET_PARAMS", _) => {
                self.hosts[index_of(op, "node_name", "n").unwrap()].is_offline = true;
                Ok(())
            }
            ("OP_INSTANCE_SHUTDOWN", Some(vm)) => {
                (self.vms[vm].is_up, self.vms[vm].stopped_by_hand) = (false, true);
                let primary = self.vms[vm].primary;
                if self.answers(primary) {
                    self.hosts[primary].running.remove(&vm);
                }
                Ok(())
            }
            ("OP_INSTANCE_SET_PARAMS", Some(vm)) => {
                let primary = self.vms[vm].primary;
                let new = index_of(op, "pnode", "n").unwrap();
                let is_seen = self.answers(primary) && !self.hosts[primary].is_offline;
                if new != primary && is_seen && self.hosts[primary].running.contains(&vm) {
                    return Err("Instance is still running");
                }
                self.vms[vm].primary = new;
                Ok(())
            }
            ("OP_INSTANCE_STARTUP", Some(vm)) => {
                let is_ours = op.get("no_remember").is_some();
                if !is_ours {
                    (self.vms[vm].is_up, self.vms[vm].stopped_by_hand) = (true, false);
                }
                self.start(vm, self.vms[vm].primary)
            }
            ("OP_INSTANCE_FAILOVER", Some(vm)) => {
                let (source, target) = (self.vms[vm].primary, index_of(op, "target_node", "n").unwrap());
                if target == source || self.vms[vm].secondary.is_some_and(|secondary| secondary != target) {
                    return Err("not possible");
                }
                if !self.answers(target) {
                    return Err("no answer");
                }
                if !self.hosts[source].is_offline {
                    if !self.answers(source) {
                        return Err("Could not shutdown instance");
                    }
                    self.hosts[source].running.remove(&vm);
                }
                self.vms[vm].primary = target;
                if self.vms[vm].secondary.is_some() {
                    self.vms[vm].secondary = Some(source);
                }
                if self.vms[vm].is_up { self.start(vm, target) } else { Ok(()) }
            }
            other => panic!("unknown opcode {other:?}"),
        }
    }

    fn start(&mut self, vm: usize, host: usize) -> Result<(), &'static str> {
        if self.hosts[host].is_offline || !self.answers(host) {
            return Err("Node is offline");
        }
        if self.hosts[host].running.contains(&vm) {
            return Ok(());
        }
        if self.hosts[host].starts_fail {
            return Err("no bridge");
        }
        self.hosts[host].running.insert(vm);
        Ok(())
    }

    fn check(&mut self) {
        for vm in 0..INSTANCES {
            let on: Vec<usize> = (0..HOSTS).filter(|host| self.hosts[*host].running.contains(&vm)).collect();
            if on.len() > 1 {
                self.broken.push(format!("{} s: vm{vm} runs on {on:?}", self.now));
            }
        }
    }

    fn step(&mut self, event: &Event) {
        self.now += 1;
        self.event(event);
        self.fence();
        self.check();
        self.reconcile();
        self.work();
    }
}

fn event() -> impl Strategy<Value = Event> {
    let host = || 1..HOSTS;
    let vm = || 0..INSTANCES;
    prop_oneof![
        3 => host().prop_map(Event::Die),
        3 => host().prop_map(Event::Cut),
        2 => host().prop_map(Event::PowerOn),
        2 => host().prop_map(Event::Readmit),
        2 => Just(Event::MasterDies),
        1 => vm().prop_map(Event::Stop),
        1 => vm().prop_map(Event::StartByHand),
        1 => (vm(), host()).prop_map(|(vm, host)| Event::MoveByHand(vm, host)),
        2 => (host(), any::<bool>()).prop_map(|(host, fails)| Event::StartsFail(host, fails)),
        1 => any::<bool>().prop_map(Event::Paused),
        1 => any::<bool>().prop_map(Event::HailFails),
        6 => Just(Event::Nothing),
    ]
}

proptest! {
    #[test]
    fn nothing_runs_twice_and_nothing_is_lost(events in prop::collection::vec(event(), 1..40), seed in any::<u64>()) {
        let mut world = World::new(seed);
        for event in &events {
            world.step(event);
        }
        for event in [Event::Paused(false), Event::HailFails(false)] {
            world.step(&event);
        }
        for _ in 0..20 {
            world.step(&Event::Nothing);
        }
        prop_assert_eq!(&world.broken, &Vec::<String>::new());
        let plan = world.planned();
        prop_assert!(plan.starts.is_empty() && plan.under_way.is_empty(), "never done: {:?}", plan);
        for (number, vm) in world.vms.iter().enumerate() {
            let runs = world.hosts.iter().any(|host| host.running.contains(&number));
            let is_named = plan.not_recovered.iter().any(|(name, _)| *name == vm_name(number));
            let is_of_dead = world.hosts[vm.primary].is_offline;
            prop_assert!(runs || !vm.is_up || is_named || !is_of_dead, "vm{} is lost: {:?}", number, plan);
        }
    }

    /// One host dies in a cluster that is otherwise well, and the master dies at any step of the recovery: everything
    /// runs again.
    #[test]
    fn everything_runs_again(dead in 1..HOSTS, deaths in prop::collection::vec(any::<bool>(), 12), seed in any::<u64>(),
                             cut in any::<bool>()) {
        let mut world = World::new(seed);
        world.step(&if cut { Event::Cut(dead) } else { Event::Die(dead) });
        for dies in deaths {
            world.step(&if dies { Event::MasterDies } else { Event::Nothing });
        }
        for _ in 0..10 {
            world.step(&Event::Nothing);
        }
        prop_assert_eq!(&world.broken, &Vec::<String>::new());
        for number in 0..INSTANCES {
            prop_assert!(world.hosts.iter().any(|host| host.running.contains(&number)), "vm{}", number);
        }
    }

    /// luxid takes the jobs and its answer is lost: they are submitted twice, and nothing runs twice.
    #[test]
    fn a_lost_answer_starts_nothing_twice(dead in 1..HOSTS, lost in prop::collection::vec(any::<bool>(), 12),
                                          seed in any::<u64>()) {
        let mut world = World::new(seed);
        world.step(&Event::Die(dead));
        for is_lost in lost {
            world.step(&if is_lost { Event::AnswerLost } else { Event::Nothing });
        }
        prop_assert_eq!(&world.broken, &Vec::<String>::new());
    }
}

/// The start fails on the first host that is chosen, and the second one takes the instance.
#[test]
fn a_host_that_starts_nothing_is_left_out() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.hosts[2].starts_fail = true;
        world.step(&Event::Die(1));
        for _ in 0..12 {
            world.step(&Event::Nothing);
        }
        assert_eq!(world.broken, Vec::<String>::new());
        let on = (0..HOSTS).find(|host| world.hosts[*host].running.contains(&0));
        assert!(on.is_some_and(|host| host > 2), "seed {seed}: {on:?}");
    }
}

/// A stop by hand before the death, and one while the start waits for the record.
#[test]
fn a_stop_by_hand_is_respected() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.step(&Event::Stop(0));
        world.step(&Event::Die(1));
        for _ in 0..10 {
            world.step(&Event::Nothing);
        }
        assert!(world.hosts.iter().all(|host| !host.running.contains(&0)), "seed {seed}");
        assert!(world.vms[0].stopped_by_hand && !world.vms[0].is_up);
    }
}
