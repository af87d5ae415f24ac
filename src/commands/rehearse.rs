//! `gnt-ha rehearse`: predicts what a failure of a host would cause now. Changes nothing.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::paths::Paths;
use crate::cli;
use crate::core::budget::detection::Detection;
use crate::core::budget::step_times::{self, StepTimes};
use crate::core::config::{DEFAULT_RUN, FULL_MEMBERS_MOST};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::grade::Grade;
use crate::core::node::{self, NoSuchNode, NodeName};
use crate::core::pacemaker::fence_score::fencers;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Resources;
use crate::core::pacemaker::simulation::{Death, Simulation};
use crate::core::quorum::Quorum;
use crate::core::rehearsal::{ProofAnswer, RehearsalInput, RehearsalStep, instance_steps, provable, steps};
use crate::core::setup::full_members;
use crate::power::check::{DeviceCheck, check};
use crate::power::error::PowerError;
use crate::power::owner::all_shared;
use crate::service::shun::device::open;
use crate::service::simulation::{SimulationError, simulate, votes_without};
use crate::sys::clock::{Deadline, millis, now};
use crate::sys::config_file::{self, ConfigFileError};
use crate::sys::corosync::{self, COROSYNC_TIMEOUT, CorosyncError};
use crate::sys::ganeti::files;
use crate::sys::oob_program::{OobError, OobProgram};
use crate::sys::pacemaker::cibadmin::{self, CibCopy};

/// The version of the format of `--json`.
const VERSION: u32 = 1;

/// The time limit for everything.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(60);

/// The command line of `rehearse`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the node, full or short
    node: NodeName,

    /// Print one JSON object, for programs
    ///
    /// Keys: version (1), node, counts_from, steps [{actor, action, blocked, typical_ms, latest_ms, grade}]. typical_ms and latest_ms count from the
    /// failure; where counts_from is detection, from when Pacemaker sees it. Later versions may add keys.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    paths: Paths,
}

#[derive(Serialize)]
struct RehearsalReport<'a> {
    version: u32,
    node: &'a NodeName,
    counts_from: &'static str,
    steps: &'a [RehearsalStep],
}

/// The result of a rehearsal.
pub(super) struct Rehearsal {
    pub(super) node: NodeName,
    /// The node's name in Pacemaker.
    pub(super) name: PacemakerName,
    /// The names of all of Ganeti's nodes.
    pub(super) all: Vec<NodeName>,
    pub(super) steps: Vec<RehearsalStep>,
    /// The node that would take the master role, if the failed host had it.
    pub(super) new_master: Option<NodeName>,
    /// The times of each step.
    pub(super) times: StepTimes,
    /// The reason why the detection time is unknown.
    pub(super) unseen: Option<String>,
    /// The reason why corosync's count of votes is unknown.
    pub(super) uncounted: Option<String>,
}

/// Runs the command. Returns whether no step is blocked.
///
/// # Errors
/// [`CommandError`] if the failure cannot be rehearsed, or the rehearsal cannot be printed.
pub fn run(arguments: &Arguments, config: &Path) -> Result<bool, CommandError> {
    let rehearsal = rehearse(&arguments.paths, config, &arguments.node, Deadline::after(COLLECT_TIMEOUT))?;
    let Rehearsal { node, steps, unseen, .. } = &rehearsal;
    let text = if arguments.json {
        let counts_from = if unseen.is_none() { "failure" } else { "detection" };
        let report = RehearsalReport { version: VERSION, node, counts_from, steps };
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        let blocked = steps.iter().filter(|step| step.blocked).count();
        let end = match blocked {
            0 => "no step is blocked; nothing was changed\n".to_owned(),
            some => format!("{some} of {} would not happen (!); nothing was changed\n", steps.len()),
        };
        shown(&rehearsal) + &end
    };
    cli::print(&text)?;
    Ok(steps.iter().all(|step| !step.blocked))
}

/// Rehearses the failure of the node `given`.
///
/// # Errors
/// [`CommandError`] if Ganeti's or Pacemaker's configuration cannot be read, or the simulation fails.
pub(super) fn rehearse(
    paths: &Paths,
    config: &Path,
    given: &NodeName,
    deadline: Deadline,
) -> Result<Rehearsal, CommandError> {
    let ganeti = files::read_config(&paths.data_dir)?;
    let found = ganeti.find(given)?;
    let node = found.name.clone();
    let cib = cibadmin::query(deadline)?;
    let resources = Resources::parse(&cib)?;
    let all = ganeti.names();
    let name =
        resources.called(&node, &all).map_err(|error| CommandError::NotRehearsed { node: node.clone(), error })?;
    let quorum = corosync::quorum(deadline.at_most(COROSYNC_TIMEOUT));
    let votes = quorum.as_ref().map_err(ToString::to_string);
    let votes = votes.and_then(|quorum| votes_without(quorum, &resources, name).map_err(|error| error.to_string()));
    let simulation =
        simulate_failure(&cib, &resources, name, votes.as_ref().map_or(true, |left| left.keeps), deadline)?;
    let role = resources.agents("ganeti-master-role").next();
    let role = role.map(|role| role.id.clone()).filter(|_| ganeti.master() == Some(&node));
    let decision = paths.view().rehearse(&node, deadline).map_err(|error| error.to_string());
    let record = match &decision {
        Ok(Some(decision)) => Ok(decision),
        Ok(None) => Err("nothing: Ganeti has no such node".to_owned()),
        Err(error) => Err(error.clone()),
    };
    let proof = proof(&ganeti, &node, paths, config, deadline);
    let is_armed = proof.as_ref().is_ok_and(|proof| proof.by_self_fence);
    let proof = proof.map(|proof| proof.answers).map_err(|error| error.to_string());
    let seen = find_detection(&resources, name, quorum.as_ref().ok(), deadline).map_err(|error| error.to_string());
    // The levels of another program are unknown.
    let ours = found.oob_program.as_deref().filter(|path| is_ours(path));
    let members = config_file::load_or_default(config).map_or(FULL_MEMBERS_MOST, |config| config.members);
    let config = ours.and_then(|_| config_file::load(config).ok());
    let levels = config.as_ref().and_then(|config| Some((config.levels_of(&node).ok()?, config)));
    let is_precious = full_members(&resources, &ganeti, members) == 2 && ganeti.master() == Some(&node);
    let levels = levels.as_ref().map(|(levels, config)| (levels.as_slice(), *config));
    let times = StepTimes::of(seen.as_ref().ok().cloned(), &resources, levels, is_precious, is_armed);
    let power_agents = config.as_ref().map(|config| config.power_agents.clone()).unwrap_or_default();
    let options = resources.fencing.with(&power_agents).options(&node, &all);
    let known = RehearsalInput {
        died: name,
        simulation: &simulation,
        role: role.as_deref(),
        proof,
        least: levels.map(|(_, config)| config.minimum_grade).max(resources.least_grade()).unwrap_or(Grade::Bounded),
        record,
        times: &times,
        resources: &resources,
        left: votes.as_ref().ok().copied(),
        options: &options,
        fencers: fencers(&cib, &resources, name),
    };
    let mut steps = steps(&known);
    if let Some(coverage) = files::read_coverage(&paths.data_dir, now().wall_ms / 1_000) {
        steps.extend(instance_steps(&coverage, &node));
    }
    let new_master = role.and_then(|role| simulation.promoted_on(&role)).and_then(|host| NodeName::new(host).ok());
    // The result names nodes by Ganeti's names.
    let new_master = new_master.map(|host| node::find(&host, &all).cloned().unwrap_or(host));
    let name = name.clone();
    Ok(Rehearsal { node, name, all, steps, new_master, times, unseen: seen.err(), uncounted: votes.err() })
}

/// A full member is lost to corosync, a remote node to a monitor.
fn find_detection(
    resources: &Resources,
    node: &PacemakerName,
    quorum: Option<&Quorum>,
    deadline: Deadline,
) -> Result<Detection, DetectionError> {
    let remote = resources.remotes().find(|remote| remote.id == node.as_str());
    if let Some(remote) = remote {
        let interval = step_times::interval(&remote.id, resources).ok_or(DetectionError::NoMonitor)?;
        return Ok(Detection::by_monitor(
            millis(interval),
            millis(step_times::operation(&remote.id, "monitor", resources)),
        ));
    }
    let totem = corosync::totem(deadline.at_most(COROSYNC_TIMEOUT))?;
    let lost = resources.ids.get(node).copied();
    Ok(quorum.map_or_else(|| Detection::by_corosync(totem), |quorum| Detection::by_votes(totem, quorum, lost)))
}

fn simulate_failure(
    cib: &str,
    resources: &Resources,
    node: &PacemakerName,
    keeps_quorum: bool,
    deadline: Deadline,
) -> Result<Simulation, SimulationError> {
    let copy = CibCopy::begin(Path::new(DEFAULT_RUN), cib)?;
    // A remote node fails by its connection, and only Pacemaker knows the host of the connection.
    let death = match resources.remotes().next() {
        Some(_) => Death::of(node, &simulate(&copy, None, true, deadline)?, resources),
        None => Death::Member(node.clone()),
    };
    simulate(&copy, Some(&death), keeps_quorum, deadline)
}

/// The reason why the detection time of a failure is unknown.
#[derive(Debug, thiserror::Error)]
enum DetectionError {
    #[error("its connection has no recurring monitor")]
    NoMonitor,
    #[error(transparent)]
    Corosync(#[from] CorosyncError),
}

/// The reason why no proof of a node's failure could be given.
#[derive(Debug, thiserror::Error)]
enum ProofError {
    #[error(transparent)]
    Node(#[from] NoSuchNode),
    #[error("Ganeti has no OOB program for it (gnt-ha setup)")]
    NoProgram,
    #[error(transparent)]
    Program(#[from] OobError),
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    #[error(transparent)]
    Power(#[from] PowerError),
    /// No level proves it, with the answer of each device.
    #[error("{0}")]
    Levels(String),
}

/// The proof that could be given of a node's death.
struct NodeProof {
    answers: Vec<ProofAnswer>,
    /// Whether one of them is the end of the node's self-fence lease.
    by_self_fence: bool,
}

/// Returns the proof that the node's devices could give, by the configuration of this host. Another OOB program only
/// shows whether it answers.
fn proof(
    ganeti: &GanetiConfig,
    node: &NodeName,
    paths: &Paths,
    config: &Path,
    deadline: Deadline,
) -> Result<NodeProof, ProofError> {
    let found = ganeti.find(node)?;
    let path = found.oob_program.as_ref().ok_or(ProofError::NoProgram)?;
    let program = OobProgram::find(path)?;
    if is_ours(path) {
        let config = config_file::load(config)?;
        let checked = check(&config, Some(node), config.deadline.min(deadline.left()), open)?;
        let by_self_fence = checked.iter().filter_map(|one| one.result.as_ref().ok()).any(|one| one.by_self_fence);
        let answer = |checked: DeviceCheck| {
            let is_ok = checked.result.is_ok();
            let text =
                format!("{} {node} level {} {}", if is_ok { "ok" } else { "ERROR" }, checked.level, checked.answer());
            ProofAnswer { level: Some(checked.level), is_ok, text }
        };
        let mut answers: Vec<ProofAnswer> = checked.into_iter().map(answer).collect();
        let shared = all_shared(&config, Some(node), &paths.data_dir).into_iter();
        answers.extend(shared.map(|shared| ProofAnswer { level: None, is_ok: false, text: format!("ERROR {shared}") }));
        return Ok(NodeProof { answers: provable(answers).map_err(ProofError::Levels)?, by_self_fence });
    }
    let status = program.status(node, deadline)?;
    let text = format!("{} answers: {}", path.display(), status.power);
    Ok(NodeProof { answers: vec![ProofAnswer { level: None, is_ok: true, text }], by_self_fence: false })
}

/// Returns the steps as text, one line each.
pub(super) fn shown(rehearsal: &Rehearsal) -> String {
    let Rehearsal { node, steps, unseen, .. } = rehearsal;
    let mut text = match unseen {
        None => format!("If {node} died now:\n"),
        Some(why) => format!("If {node} died now, from when Pacemaker sees it ({why}):\n"),
    };
    for step in steps {
        let mark = if step.blocked { '!' } else { ' ' };
        text.push_str(&format!("{mark} {:9}  {:>12}  {}\n", step.actor, step.when(), step.action));
    }
    text
}
