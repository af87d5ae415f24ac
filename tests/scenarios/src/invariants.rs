//! What no decision may do, checked against what is true. `I1` to `I7` are the numbers of the prior art's list.

use gnt_ha::core::grade::Grade;
use gnt_ha::core::reconcile::{Decision, Plan, Refusal, State, Word, reconcile};

use crate::command::Host;
use crate::world::World;

/// Whether a decision changes something.
pub(crate) const fn acts(decision: &Decision) -> bool {
    !matches!(decision, Decision::Nothing(_) | Decision::Refused(_))
}

/// Checks a plan of `here`, before it is carried out.
pub(crate) fn check(world: &World, here: Host, state: &State, plan: &Plan) -> Result<(), String> {
    for verdict in &plan.verdicts {
        let node = index(world, verdict.node.as_str())?;
        one(world, here, node, state, plan, &verdict.decision)
            .map_err(|why| format!("n{} at {}s: {}: {}: {why}", here + 1, world.now, verdict.node, verdict.decision))?;
    }
    if plan.verdicts.len() != state.nodes.len() {
        return Err("not every node has its verdict".to_owned());
    }
    settles(world, here, state, plan)
}

fn one(world: &World, here: Host, node: Host, state: &State, plan: &Plan, decision: &Decision) -> Result<(), String> {
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
            if plan.memory.breaker.latch().is_some() {
                return Err("I4: the breaker holds".to_owned());
            }
            if truth.ganeti.offline {
                return Err("it is recorded already".to_owned());
            }
            let least = world.settings().least_grade;
            let admitted = truth.admitted;
            let since = |at: u64| admitted.is_none_or(|admitted| at > admitted);
            if !truth.truly_fenced.iter().any(|(at, grade)| *grade >= least && since(*at)) {
                return Err(format!("I3, I7: no fencing of at least {least} since it was admitted"));
            }
            // A human's word and the administrator's choice of `isolated` are taken as they are.
            if truth.instances && proof.word != Word::Human && least > Grade::Isolated {
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

/// I6: the same look twice decides the same; and with the plan done, whether the memory of it was kept or not, nothing is
/// left to do.
fn settles(world: &World, here: Host, state: &State, plan: &Plan) -> Result<(), String> {
    let settings = &world.settings();
    let before = world.hosts[here].memory.clone();
    if reconcile(state, settings, before.clone()).verdicts != plan.verdicts {
        return Err("I6: the same look decides otherwise".to_owned());
    }
    let again = reconcile(state, settings, plan.memory.clone());
    for (first, second) in plan.verdicts.iter().zip(sorted_as(plan, &again)) {
        let told_once = matches!(first.decision, Decision::Refused(Refusal::Returned) | Decision::Powered { .. });
        if acts(&first.decision) && !told_once && first.decision != second.decision {
            return Err(format!("I6: {} then {}", first.decision, second.decision));
        }
    }
    if !world.jobs_work {
        return Ok(());
    }
    let mut after = world.clone();
    for verdict in &plan.verdicts {
        let node = index(world, verdict.node.as_str())?;
        after.carry_out(node, &verdict.decision).map_err(|why| format!("{}: {why}", verdict.node))?;
    }
    let done = after.view(here);
    let kept = reconcile(&done, settings, plan.memory.clone());
    for (first, second) in plan.verdicts.iter().zip(sorted_as(plan, &kept)) {
        // Our mark on a node that is offline now is taken away by the next look.
        if acts(&first.decision) && acts(&second.decision) && second.decision != Decision::ForgetDrain {
            return Err(format!("I6: with {} done, still {}", first.decision, second.decision));
        }
    }
    // A crash before the memory was on disk: what counts is that nobody is offlined for it.
    let lost = reconcile(&done, settings, before);
    if let Some(verdict) = lost.verdicts.iter().find(|verdict| matches!(verdict.decision, Decision::Offline { .. })) {
        return Err(format!("I6: with everything done, still {}: {}", verdict.node, verdict.decision));
    }
    Ok(())
}

/// The verdicts of `other` in the order of `plan`.
fn sorted_as<'a>(plan: &'a Plan, other: &'a Plan) -> impl Iterator<Item = &'a gnt_ha::core::reconcile::Verdict> + 'a {
    plan.verdicts.iter().filter_map(|first| other.verdicts.iter().find(|second| second.node == first.node))
}

fn index(world: &World, name: &str) -> Result<Host, String> {
    world
        .hosts
        .iter()
        .position(|host| host.name.as_str() == name)
        .ok_or_else(|| format!("a verdict of {name}, which is no node"))
}
