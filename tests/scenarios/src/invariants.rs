//! Checks decisions and the simulated world against the invariants `I1` to `I7`, which no decision may break.

use gnt_ha::core::grade::Grade;
use gnt_ha::core::reconcile::{BlockReason, Decision, Plan, ProofSource, ReconcileInput, reconcile};
use gnt_ha::core::roles::OcfCode;
use gnt_ha::core::roles::master_claims::{MasterClaim as Claim, MasterService};

use crate::command::Host;
use crate::world::World;

/// Whether a decision changes something.
pub(crate) const fn acts(decision: &Decision) -> bool {
    !matches!(decision, Decision::Nothing(_) | Decision::Blocked(_))
}

/// Checks a plan of `here`, before it is carried out.
pub(crate) fn check(world: &World, here: Host, state: &ReconcileInput, plan: &Plan) -> Result<(), String> {
    for entry in &plan.decisions {
        let node = index(world, entry.node.as_str())?;
        one(world, here, node, state, plan, &entry.decision)
            .map_err(|why| format!("n{} at {}s: {}: {}: {why}", here + 1, world.now, entry.node, entry.decision))?;
    }
    if plan.decisions.len() != state.nodes.len() {
        return Err("not every node has its decision".to_owned());
    }
    settles(world, here, state, plan)
}

fn one(
    world: &World,
    here: Host,
    node: Host,
    state: &ReconcileInput,
    plan: &Plan,
    decision: &Decision,
) -> Result<(), String> {
    if !acts(decision) {
        return Ok(());
    }
    if !state.quorum || state.maintenance || state.pause.is_some() {
        return Err("a guard was passed over".to_owned());
    }
    if here != world.master {
        return Err("another one is Ganeti's master".to_owned());
    }
    if world.role_managed && world.role_on != Some(here) {
        return Err("Pacemaker has the master role elsewhere".to_owned());
    }
    let truth = &world.hosts[node];
    match decision {
        Decision::Offline { proof, .. } => {
            if node == here {
                return Err("a master recorded itself".to_owned());
            }
            if plan.memory.breaker.open_state().is_some() {
                return Err("I4: the breaker is open".to_owned());
            }
            if truth.ganeti.offline {
                return Err("it is recorded already".to_owned());
            }
            let least = world.settings().least_grade;
            if proof.grade < least {
                return Err(format!("{} is less than {least}", proof.grade));
            }
            let readmitted = truth.readmitted;
            let since = |at: u64| readmitted.is_none_or(|readmitted| at > readmitted);
            if !truth.truly_fenced.iter().any(|(at, grade)| *grade >= least && since(*at)) {
                return Err(format!("I3, I7: no fencing of at least {least} since it was readmitted"));
            }
            // An administrator's confirmation, and the choice of `isolated`, are accepted as they are.
            if truth.instances && proof.source != ProofSource::Administrator && least > Grade::Isolated {
                return Err("I1: instances run on it".to_owned());
            }
        }
        Decision::Drain { .. } if !world.settings.drain => return Err("the setting says not to drain".to_owned()),
        Decision::UnDrain if !truth.our_drain => return Err("that drain is not ours".to_owned()),
        Decision::Powered { job, .. } if !truth.ganeti.offline || job.auto_promote => {
            return Err("it is online".to_owned());
        }
        _ => {}
    }
    Ok(())
}

/// Checks the world after each step, and after each change that a decision made.
pub(crate) fn check_world(world: &mut World) {
    world.checks += 1;
    let mut broken = Vec::new();
    for state in world.hosts.iter().filter(|state| state.our_record && !state.ganeti.powered) {
        // `gnt-node power off` has read the power itself.
        let seen_off = |(at, grade): &(u64, Grade)| {
            *grade == Grade::Off && state.readmitted.is_none_or(|readmitted| *at > readmitted)
        };
        if !world.settings.power_too.off && !state.truly_fenced.iter().any(seen_off) {
            broken.push(format!("{} is recorded with powered=no, and no device has read its power as off", state.name));
        }
    }
    for host in 0..world.hosts.len() {
        for (node, entry) in &world.hosts[host].role.shuns.0 {
            let seen = world.epochs.entry((host, node.clone())).or_default();
            // Data that a full disk could not store is lost after a boot.
            if entry.epoch < *seen && world.hosts[host].full.is_none() {
                broken.push(format!("n{} goes back from epoch {seen} of {node} to {}", host + 1, entry.epoch));
            }
            *seen = entry.epoch;
        }
    }
    let now = world.now;
    world.broken.extend(broken.into_iter().map(|what| format!("at {now}s: {what}")));
}

/// Checks each monitor of the master role.
pub(crate) fn check_role(world: &World, host: Host, claims: &[Claim]) -> Result<(), String> {
    let counted: Vec<Claim> = claims.iter().filter(|claim| claim.own || !claim.shunned).cloned().collect();
    let seen = |claims: &[Claim]| world.role_seen(host, claims).0.code;
    let changed = seen(claims) != seen(&counted)
        || world.score(host, claims) != world.score(host, &counted)
        || world.taken(host, claims) != world.taken(host, &counted);
    if changed {
        return Err(format!("n{}: the claim of a shunned node changes something", host + 1));
    }
    let state = &world.hosts[host];
    let is_newer = |other: &Host| {
        let other = &world.hosts[*other];
        let is_shunned = state.role.shuns.shunned().any(|(node, _)| *node == other.name);
        !is_shunned && other.believes_master != host && other.role.serial > state.role.serial
    };
    let is_ended = world.served(host) == MasterService::Now && seen(claims) != OcfCode::RunningPromoted;
    if is_ended && !(0..world.hosts.len()).any(|other| is_newer(&other)) {
        return Err(format!(
            "n{}: no newer configuration names another, and the master that serves is ended",
            host + 1
        ));
    }
    Ok(())
}

/// I6: the same input twice leads to the same decision. After the plan was carried out nothing is left to do, whether
/// or not its memory was kept.
fn settles(world: &World, here: Host, state: &ReconcileInput, plan: &Plan) -> Result<(), String> {
    let settings = &world.settings();
    let before = world.hosts[here].memory.clone();
    if reconcile(state, settings, before.clone()).decisions != plan.decisions {
        return Err("I6: the same look decides otherwise".to_owned());
    }
    let again = reconcile(state, settings, plan.memory.clone());
    for (first, second) in plan.decisions.iter().zip(sorted_as(plan, &again)) {
        let reported_once =
            matches!(first.decision, Decision::Blocked(BlockReason::Returned) | Decision::Powered { .. });
        if acts(&first.decision) && !reported_once && first.decision != second.decision {
            return Err(format!("I6: {} then {}", first.decision, second.decision));
        }
    }
    if !world.jobs_work {
        return Ok(());
    }
    let mut after = world.clone();
    for entry in &plan.decisions {
        let node = index(world, entry.node.as_str())?;
        after.carry_out(node, &entry.decision).map_err(|why| format!("{}: {why}", entry.node))?;
    }
    let done = after.view(here);
    let kept = reconcile(&done, settings, plan.memory.clone());
    for (first, second) in plan.decisions.iter().zip(sorted_as(plan, &kept)) {
        // The next reconciliation removes our mark from a node that is now offline.
        if acts(&first.decision) && acts(&second.decision) && second.decision != Decision::ForgetDrain {
            return Err(format!("I6: with {} done, still {}", first.decision, second.decision));
        }
    }
    // After a crash before the memory was on disk, the only requirement is that no node is recorded offline for it.
    let lost = reconcile(&done, settings, before);
    if let Some(entry) = lost.decisions.iter().find(|entry| matches!(entry.decision, Decision::Offline { .. })) {
        return Err(format!("I6: with everything done, still {}: {}", entry.node, entry.decision));
    }
    Ok(())
}

/// Returns the decisions of `other` in the order of `plan`.
fn sorted_as<'a>(
    plan: &'a Plan,
    other: &'a Plan,
) -> impl Iterator<Item = &'a gnt_ha::core::reconcile::NodeDecision> + 'a {
    plan.decisions.iter().filter_map(|first| other.decisions.iter().find(|second| second.node == first.node))
}

fn index(world: &World, name: &str) -> Result<Host, String> {
    world
        .hosts
        .iter()
        .position(|host| host.name.as_str() == name)
        .ok_or_else(|| format!("a decision about {name}, which is not a node"))
}
