//! Runs a script from its beginning to its end.

use std::collections::HashMap;

use gnt_ha::core::reconcile::{Decision, NoActionReason, reconcile};

use crate::command::Host;
use crate::invariants;
use crate::script::Script;
use crate::world::World;

/// The interval of the monitors, in s.
const MONITOR: u64 = 10;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The events and decisions, one line each.
    pub log: String,
    /// The broken invariants; not empty if a decision is wrong.
    pub broken: Vec<String>,
    /// Number of decisions that were checked.
    pub looks: usize,
    /// Number of checks of the world: after each step and after each change that a decision makes.
    pub checks: usize,
}

/// Runs a script in a new world.
///
/// # Errors
/// None for a script that was parsed.
pub fn run(script: &Script) -> Result<Outcome, String> {
    let mut world = World::new(script).map_err(|error| error.to_string())?;
    let mut last = HashMap::new();
    let mut outcome = Outcome { log: String::new(), broken: Vec::new(), looks: 0, checks: 0 };
    let mut commands = script.commands.iter().peekable();
    for now in 0..=script.until {
        world.now = now;
        while let Some((_, command)) = commands.next_if(|(at, _)| *at <= now) {
            world.command(command);
            invariants::check_world(&mut world);
        }
        world.tick();
        invariants::check_world(&mut world);
        let mut looking = std::mem::take(&mut world.triggered);
        if now.is_multiple_of(MONITOR) {
            looking.extend(0..world.hosts.len());
        }
        looking.sort_unstable();
        looking.dedup();
        for host in looking {
            if world.hosts[host].reconciles() {
                observe(&mut world, host, &mut last, &mut outcome);
            }
        }
    }
    world.log.push(summary(&world));
    outcome.broken.append(&mut world.broken);
    outcome.checks = world.checks;
    outcome.log = world.log.join("\n") + "\n";
    Ok(outcome)
}

/// Reconciles on one host, and carries out the decisions.
fn observe(world: &mut World, host: Host, last: &mut HashMap<(Host, String), String>, outcome: &mut Outcome) {
    let state = world.view(host);
    let plan = reconcile(&state, &world.settings(), world.hosts[host].memory.clone());
    outcome.looks += 1;
    outcome.broken.extend(invariants::check(world, host, &state, &plan).err());
    world.hosts[host].memory = plan.memory;
    for entry in plan.decisions {
        let text = entry.decision.to_string();
        let place = (host, entry.node.to_string());
        // Ages change with each reconciliation; the rest is logged when it changes.
        let gist: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        let is_new = last.insert(place, gist.clone()).is_none_or(|before| before != gist);
        let is_quiet = match entry.decision {
            Decision::Nothing(NoActionReason::LeftAlone) => host != world.master,
            Decision::Nothing(_) => true,
            _ => false,
        };
        if invariants::acts(&entry.decision) || is_new && !is_quiet {
            world.say(&format!("n{}: {} {text}", host + 1, entry.node));
        }
        let Some(node) = world.hosts.iter().position(|host| host.name == entry.node) else { continue };
        if host == world.master
            && let Err(why) = world.carry_out(node, &entry.decision)
        {
            outcome.broken.push(format!("{}: {why}", entry.node));
        }
        invariants::check_world(world);
    }
}

/// Logs the end: the state of each node in Ganeti's terms.
fn summary(world: &World) -> String {
    let nodes = world.hosts.iter().enumerate().map(|(host, state)| {
        let role = if host == world.master {
            "master"
        } else if state.ganeti.master_candidate {
            "candidate"
        } else if state.ganeti.drained {
            "drained"
        } else if state.ganeti.offline {
            "offline"
        } else {
            "regular"
        };
        let power = if state.ganeti.powered { "" } else { " powered=no" };
        format!("{} {role}{power}", state.name)
    });
    format!("  end: {}", nodes.collect::<Vec<_>>().join(", "))
}
