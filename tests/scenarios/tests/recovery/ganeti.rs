//! Ganeti in the simulated cluster: its job queue, and the operations as Ganeti 3.0 does them.

use gnt_ha::core::recovery::guard::{GuardError, GuardedOperation, LockedInstance, StartBlock};
use gnt_ha::core::recovery::instance::AdminState;
use serde_json::{Value, json};

use super::world::{Broken, Guard, World, host_name, vm_name};

/// One job.
#[derive(Clone, Debug)]
pub(crate) struct QueuedJob {
    pub(crate) id: u64,
    pub(crate) ops: Vec<Value>,
    pub(crate) done: usize,
    pub(crate) status: &'static str,
    pub(crate) error: Option<String>,
    pub(crate) received: u64,
    pub(crate) ended: Option<u64>,
    /// Whether the next plan does not see it: luxid has not accepted it yet, and has not answered.
    pub(crate) is_unseen: bool,
}

fn index_of(op: &Value, key: &str, prefix: &str) -> Option<usize> {
    op.get(key)?.as_str()?.strip_prefix(prefix)?.parse().ok()
}

fn is_ours(op: &Value) -> bool {
    op["reason"][0][0] == "gnt:extern:gnt-ha"
}

impl World {
    /// Whether gnt-ha has moved the instance to its primary node, the last job of the instance is gnt-ha's, and it was not
    /// started there. An instance that ran there is the watcher's, after a readmission for example.
    pub(crate) fn is_moved_in_vain(&self, vm: usize) -> bool {
        let is_its = |job: &&QueuedJob| index_of(&job.ops[0], "instance_name", "vm") == Some(vm);
        let its = || self.queue.iter().rev().filter(is_its);
        let is_to_primary = |job: &&QueuedJob| {
            let target = index_of(&job.ops[0], "pnode", "n").or(index_of(&job.ops[0], "target_node", "n"));
            target == Some(self.vms[vm].primary)
        };
        its().next().is_some_and(|job| is_ours(&job.ops[0]))
            && its().find(is_to_primary).is_some_and(|job| is_ours(&job.ops[0]) && job.status != "success")
    }

    /// The jobs that name the instance, one line each, for a failed test.
    pub(crate) fn jobs_of(&self, vm: usize) -> String {
        let is_its = |job: &&QueuedJob| index_of(&job.ops[0], "instance_name", "vm") == Some(vm);
        let line = |job: &QueuedJob| {
            let ops: Vec<&str> = job.ops.iter().filter_map(|op| op["OP_ID"].as_str()).collect();
            let to = job.ops[0].get("pnode").or(job.ops[0].get("target_node"));
            let QueuedJob { id, done, status, error, received, ended, .. } = job;
            let whose = if is_ours(&job.ops[0]) { "ours" } else { "theirs" };
            format!("\njob {id} ({whose}) {ops:?} to {to:?}: {done} done, {status} {error:?}, {received} to {ended:?}")
        };
        let jobs: String = self.queue.iter().filter(is_its).map(line).collect();
        format!("\nprimary n{}{jobs}", self.vms[vm].primary)
    }

    pub(crate) fn submit(&mut self, ops: Vec<Value>) -> u64 {
        let id = self.queue.len() as u64 + 1;
        self.queue.push(QueuedJob {
            id,
            ops,
            done: 0,
            status: "queued",
            error: None,
            received: self.now,
            ended: None,
            is_unseen: false,
        });
        id
    }

    /// The process of each running job ends with the master's host; the next luxid marks it, and knows every job.
    pub(crate) fn interrupt(&mut self) {
        let now = self.now;
        self.queue.iter_mut().for_each(|job| job.is_unseen = false);
        for job in self.queue.iter_mut().filter(|job| job.status == "running") {
            (job.status, job.ended) = ("error", Some(now));
            let death = json!(["gnt:daemon:luxid:deathdetection", "detected death of job", 5]);
            for op in &mut job.ops {
                let trail = op.as_object_mut().unwrap().entry("reason").or_insert(json!([]));
                trail.as_array_mut().unwrap().push(death.clone());
            }
        }
    }

    /// Carries out some operations, in any order.
    pub(crate) fn work(&mut self) {
        for _ in 0..=self.chance(12) {
            let ready: Vec<usize> = (0..self.queue.len()).filter(|at| self.is_ready(*at)).collect();
            if ready.is_empty() {
                return;
            }
            let at = ready[self.chance(ready.len())];
            let result = self.execute(at);
            let now = self.now;
            let job = &mut self.queue[at];
            job.done += 1;
            job.status = "running";
            if let Err(error) = result {
                (job.status, job.error, job.ended) = ("error", Some(error), Some(now));
            } else if job.done == job.ops.len() {
                (job.status, job.ended) = ("success", Some(now));
            }
        }
    }

    /// Fails a job whose dependency has failed, as Ganeti does.
    fn is_ready(&mut self, at: usize) -> bool {
        let job = &self.queue[at];
        if job.is_unseen || !matches!(job.status, "queued" | "running") {
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

    /// The hook before an operation, with the instance's lock held.
    fn hook(&self, at: usize, operation: GuardedOperation, vm: usize) -> Result<(), String> {
        if self.without.contains(&Guard::Hook) {
            return Ok(());
        }
        let locked = LockedInstance {
            operation,
            name: vm_name(vm),
            admin_state: Some(if self.vms[vm].is_up { AdminState::Up } else { AdminState::Down }),
            primary: Some(host_name(self.vms[vm].primary)),
        };
        let job = &self.queue[at];
        let answer = json!({"data": [[[0, job.id], [0, job.ops]]]});
        let version = |host: usize| (host_name(host), Some(Self::version(self.hosts[host].serial)));
        let offline = (0..self.hosts.len()).filter(|host| self.hosts[*host].is_offline).map(version).collect();
        let block = self.is_paused.then_some(StartBlock::Paused);
        match locked.check(&answer, &offline, block).unwrap() {
            Err(GuardError::OnlineSince { off, .. })
                if self.without.contains(&Guard::Record) || self.own_records().contains(&off) =>
            {
                Ok(())
            }
            checked => checked.map_err(|error| error.to_string()),
        }
    }

    fn execute(&mut self, at: usize) -> Result<(), String> {
        let op = self.queue[at].ops[self.queue[at].done].clone();
        let op = &op;
        let no = |text: &str| Err(text.to_owned());
        let vm = index_of(op, "instance_name", "vm");
        match (op["OP_ID"].as_str().unwrap(), vm) {
            ("OP_NODE_SET_PARAMS", _) => {
                let host = &mut self.hosts[index_of(op, "node_name", "n").unwrap()];
                (host.is_offline, host.serial) = (true, host.serial + 2);
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
                // Of a node that does not answer, Ganeti only warns.
                let is_seen = self.answers(primary) && !self.hosts[primary].is_offline;
                if new != primary && is_seen && self.hosts[primary].running.contains(&vm) {
                    return no("Instance is still running");
                }
                self.hook(at, GuardedOperation::SetParams, vm)?;
                self.vms[vm].primary = new;
                Ok(())
            }
            ("OP_INSTANCE_STARTUP", Some(vm)) => {
                self.hook(at, GuardedOperation::Startup, vm)?;
                if op.get("no_remember").is_none() {
                    (self.vms[vm].is_up, self.vms[vm].stopped_by_hand) = (true, false);
                }
                self.start(vm, self.vms[vm].primary, is_ours(op))
            }
            ("OP_INSTANCE_FAILOVER", Some(vm)) => {
                let (source, target) = (self.vms[vm].primary, index_of(op, "target_node", "n").unwrap());
                if target == source || self.vms[vm].secondary.is_some_and(|secondary| secondary != target) {
                    return no("not possible");
                }
                if !self.answers(target) {
                    return no("no answer");
                }
                self.hook(at, GuardedOperation::Failover, vm)?;
                if !self.hosts[source].is_offline {
                    if !self.answers(source) {
                        return no("Could not shutdown instance");
                    }
                    self.hosts[source].running.remove(&vm);
                }
                self.vms[vm].primary = target;
                if self.vms[vm].secondary.is_some() {
                    self.vms[vm].secondary = Some(source);
                }
                if self.vms[vm].is_up { self.start(vm, target, is_ours(op)) } else { Ok(()) }
            }
            // The instance first runs on the target, and then the record follows.
            ("OP_INSTANCE_MIGRATE", Some(vm)) => {
                let (source, target) = (self.vms[vm].primary, index_of(op, "target_node", "n").unwrap());
                if self.queue[at].done == 1 {
                    self.vms[vm].primary = target;
                    return Ok(());
                }
                let runs = self.hosts[source].running.contains(&vm);
                let may_move = !self.hosts[source].is_offline && self.answers(source) && self.answers(target);
                if !runs || !may_move || target == source || self.vms[vm].secondary.is_some() {
                    return no("not possible");
                }
                self.hosts[source].running.remove(&vm);
                self.hosts[target].running.insert(vm);
                Ok(())
            }
            other => panic!("unknown opcode {other:?}"),
        }
    }

    fn start(&mut self, vm: usize, host: usize, is_ours: bool) -> Result<(), String> {
        if self.hosts[host].is_offline || !self.answers(host) {
            return Err("Node is offline".to_owned());
        }
        if self.hosts[host].running.contains(&vm) {
            return Ok(());
        }
        if self.hosts[host].starts_fail {
            return Err("no bridge".to_owned());
        }
        let runs = |other: &usize| self.hosts[*other].running.contains(&vm);
        let elsewhere: Vec<usize> = (0..self.hosts.len()).filter(runs).collect();
        self.hosts[host].running.insert(vm);
        // What Ganeti lets an administrator do is not counted, also not if gnt-ha starts his copy of the two again.
        if !is_ours {
            elsewhere.iter().for_each(|other| _ = self.hosts[*other].doubled_by_hand.insert(vm));
        } else {
            let is_counted = |other: &&usize| !self.hosts[**other].doubled_by_hand.contains(&vm);
            let others: Vec<&usize> = elsewhere.iter().filter(is_counted).collect();
            if !others.is_empty() {
                let at = self.now;
                self.broken
                    .push((Broken::Twice, format!("{at} steps: vm{vm} is started on {host} and runs on {others:?}")));
            }
            if self.vms[vm].stopped_by_hand {
                self.broken.push((Broken::Stopped, format!("{} steps: vm{vm} was stopped by hand", self.now)));
            }
        }
        Ok(())
    }
}
