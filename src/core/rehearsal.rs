//! The rehearsal of a host's death: Pacemaker's simulation and gnt-ha's own decisions, as one list of steps. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::budget::step_times::{StepTimes, interval, operation};
use super::grade::Grade;
use super::node::NodeName;
use super::pacemaker::fencing::{FencingOption, FencingOptions};
use super::pacemaker::names::PacemakerName;
use super::pacemaker::resources::Resources;
use super::pacemaker::simulation::{SimulatedAction as Move, Simulation, unexpected_fencing};
use super::quorum::RemainingVotes;
use super::reconcile::Decision;
use super::recovery::coverage::Coverage;
use super::recovery::instance::InstanceName;

/// One consequence of the node's death, in the order in which `gnt-ha rehearse` prints them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RehearsalStep {
    /// What would do it: `Pacemaker`, `proof`, `Ganeti`, `recovery`; `corosync` for a loss of quorum.
    pub actor: &'static str,
    /// The step in words of one line, with the figures that it rests on.
    pub action: String,
    /// Whether the step would not happen, or not as it should; the text has the reason.
    pub blocked: bool,
    /// When the step usually happens or begins, in milliseconds after the death; `None` if that depends on what it
    /// waits for.
    pub typical_ms: Option<u64>,
    /// When the step happens at the latest, in milliseconds after the death, if every step before it takes all of its
    /// time.
    pub latest_ms: Option<u64>,
    /// The grade that an off by this step would prove.
    pub grade: Option<Grade>,
}

impl RehearsalStep {
    const fn open(actor: &'static str, action: String) -> Self {
        Self { actor, action, blocked: false, typical_ms: None, latest_ms: None, grade: None }
    }

    fn blocked(actor: &'static str, action: String) -> Self {
        Self { blocked: true, ..Self::open(actor, action) }
    }

    fn about(self, time: Duration) -> Self {
        Self { typical_ms: u64::try_from(time.as_millis()).ok(), ..self }
    }

    fn within(self, time: Duration) -> Self {
        Self { latest_ms: u64::try_from(time.as_millis()).ok(), ..self }
    }

    /// Returns the time as text; empty for a blocked step and an unknown time.
    #[must_use]
    pub fn when(&self) -> String {
        match (self.blocked, self.typical_ms, self.latest_ms) {
            (true, ..) => String::new(),
            (_, Some(ms), _) => format!("about {}.{} s", ms / 1_000, ms % 1_000 / 100),
            (_, _, Some(ms)) => format!("within {} s", ms.div_ceil(1_000)),
            (_, None, None) => String::new(),
        }
    }
}

/// The answer of one device, or of a node's OOB program, about the proof that it could give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofAnswer {
    /// The level of the device, from 1; `None` if it is unknown.
    pub level: Option<usize>,
    /// Whether the device could prove the death.
    pub is_ok: bool,
    /// The prediction of the device, or why it could not be asked, as one line.
    pub text: String,
}

/// The state of both clusters before the death of the node.
#[derive(Debug)]
pub struct RehearsalInput<'a> {
    /// The node that dies, by Pacemaker's name.
    pub died: &'a PacemakerName,
    /// What Pacemaker would do, as `crm_simulate` plans it.
    pub simulation: &'a Simulation,
    /// The resource of Ganeti's master role, if the dead host had it.
    pub role: Option<&'a str>,
    /// The answers of the devices, of which one level at least could prove the death; or the reason why none could.
    // Text: a program of another maker, or an adapter that `core` does not name, gave the reason, and the step prints it.
    pub proof: Result<Vec<ProofAnswer>, String>,
    /// The weakest grade that both programs accept for an off.
    pub least: Grade,
    /// The decision about the record after such a proof, or the reason why it is unknown.
    // Text: the reason comes from the reconciler, which `core` does not name, and the step prints it.
    pub record: Result<&'a Decision, String>,
    /// The times of each step.
    pub times: &'a StepTimes,
    /// Pacemaker's configuration, with the timeouts of its operations.
    pub resources: &'a Resources,
    /// The votes that would be left in corosync, if they are known.
    pub left: Option<RemainingVotes>,
    /// The options that Pacemaker has to fence the node.
    pub options: &'a FencingOptions,
    /// The members that may fence the node with a `fence_ganeti` device; `None` if that is unknown.
    pub fencers: Option<Vec<PacemakerName>>,
}

/// `crm_simulate` plans the fencing without a host that can do it: the fencer chooses that host only when it fences.
const NO_FENCER: &str = "finds no other host that may fence it: each lacks what is needed (its node attribute gnt-ha-fence-score is \
                         -INFINITY) or is kept off by a location constraint";

/// Returns the steps of a rehearsal, in the order in which they would happen.
#[must_use]
pub fn steps(known: &RehearsalInput<'_>) -> Vec<RehearsalStep> {
    const PACEMAKER: &str = "Pacemaker";
    const PROOF: &str = "proof";
    const RECORD: &str = "Ganeti";
    let fenced = known.simulation.fenced();
    let times = known.times;
    let mut steps: Vec<RehearsalStep> = Vec::new();
    if let Some(seen) = &times.seen {
        steps.push(RehearsalStep::open(PACEMAKER, format!("sees that it is gone ({})", seen.how)).about(seen.after));
    }
    if let Some(why) = known.left.and_then(|left| left.objection()) {
        steps.push(RehearsalStep::blocked("corosync", format!("loses quorum: {why}")));
    }
    if let Some(unexpected) = unexpected_fencing(Some(known.died), &fenced) {
        steps.push(RehearsalStep::blocked(PACEMAKER, unexpected));
    }
    let (fencing, rest): (Vec<&Move>, Vec<&Move>) =
        known.simulation.steps.iter().partition(|step| matches!(step, Move::Fence { .. }));
    let is_enough =
        |answer: &ProofAnswer| answer.is_ok && of(answer, times).is_none_or(|(_, grade)| *grade >= known.least);
    let has_ours = known.options.has_ours() || known.options.0.is_empty();
    let others = || known.options.0.iter().filter(|option| !option.has_ours());
    let is_worth = |option: &FencingOption| option.worth(true).grade >= known.least;
    let proven = if has_ours {
        known.proof.as_ref().is_ok_and(|answers| one_proves(answers, is_enough))
    } else {
        others().all(is_worth)
    };
    let fence = |step: &Move| {
        let put_off = if times.put_off.is_empty() { String::new() } else { format!(", put off by {}", times.put_off) };
        let step = RehearsalStep::open(PACEMAKER, text_of(step) + &put_off).about(times.begins());
        if proven { step.within(times.latest_proof()) } else { step }
    };
    steps.extend(fencing.into_iter().map(fence));
    if has_ours && others().next().is_none() && known.fencers.as_ref().is_some_and(Vec::is_empty) {
        steps.push(RehearsalStep::blocked(PACEMAKER, NO_FENCER.to_owned()));
    }
    if !has_ours {
        steps.push(RehearsalStep::blocked(
            PROOF,
            "its fencing levels leave fence_ganeti out: nothing that it could prove counts".to_owned(),
        ));
    }
    match &known.proof {
        _ if !has_ours => {}
        Ok(answers) => steps.extend(answers.iter().map(|answer| match (answer.is_ok, is_enough(answer)) {
            (true, true) => with_level(RehearsalStep::open(PROOF, answer.text.clone()), answer, times),
            (true, false) => {
                let step = with_level(RehearsalStep::blocked(PROOF, answer.text.clone()), answer, times);
                RehearsalStep { action: format!("{}, and minimum_grade is {}", step.action, known.least), ..step }
            }
            (false, _) => RehearsalStep::blocked(PROOF, answer.text.clone()),
        })),
        Err(error) => {
            let what = format!("none: {error}; no node takes over before an administrator confirms that it is off");
            steps.push(RehearsalStep::blocked(PROOF, what));
        }
    }
    steps.extend(others().map(|option| {
        let grade = option.worth(true).grade;
        let what = format!("{option}, without a receipt of ours: its off has grade {grade}");
        let step = if is_worth(option) {
            RehearsalStep::open(PROOF, what)
        } else {
            RehearsalStep::blocked(PROOF, format!("{what}, and minimum_grade is {}", known.least))
        };
        RehearsalStep { grade: Some(grade), ..step }
    }));
    // What ran on the dead host is stopped by its death.
    let is_real = |step: &&Move| !matches!(step, Move::Resource { node, .. } if node == known.died.as_str());
    // Actions of one resource run one after the other.
    let mut ends: BTreeMap<&str, Duration> = BTreeMap::new();
    let rest: Vec<&Move> = rest.into_iter().filter(is_real).collect();
    if let Some(role) =
        known.role.filter(|role| known.simulation.promoted_on(role).is_none_or(|host| host == known.died.as_str()))
    {
        steps.push(RehearsalStep::blocked(
            PACEMAKER,
            format!("starts or promotes {role} on no host (crm_mon -1 -A shows the node attributes)"),
        ));
    }
    for step in rest {
        let made = RehearsalStep::open(PACEMAKER, text_of(step));
        steps.push(match step {
            Move::Resource { resource, action, .. } if proven => {
                let begins = ends.get(resource.as_str()).copied().unwrap_or_else(|| times.latest_proof());
                let end = begins + operation(resource, action, known.resources);
                ends.insert(resource, end);
                made.within(end)
            }
            _ => RehearsalStep { blocked: !proven, ..made },
        });
    }
    // The master reconciles at each monitor; if the dead host was the master, the next master does so when it has the
    // role.
    let is_role = |resource: &str| known.role.is_some_and(|role| resource.split(':').next() == Some(role));
    let taken = ends.iter().filter(|(resource, _)| is_role(resource)).map(|(_, end)| *end).max();
    let interval_of_monitor =
        known.resources.agents("ganeti-master-role").find_map(|role| interval(&role.id, known.resources));
    let recorded = taken.unwrap_or_else(|| times.latest_proof()) + interval_of_monitor.unwrap_or_default();
    steps.push(match &known.record {
        Ok(decision @ Decision::Offline { proof, .. }) if proven => {
            // The proof does not exist yet, so its source is left out.
            let text = decision.to_string();
            let what = text.split(": ").next().unwrap_or_default();
            RehearsalStep::open(RECORD, format!("{what}, on a proof of {} or better", proof.grade)).within(recorded)
        }
        Ok(Decision::Offline { .. }) => RehearsalStep::blocked(RECORD, "nothing before it is proven".to_owned()),
        Ok(decision) => RehearsalStep::blocked(RECORD, decision.to_string()),
        Err(error) => RehearsalStep::blocked(RECORD, error.clone()),
    });
    steps
}

/// Returns the steps of the recovery of the instances of `died`: those that would be started elsewhere, and each that
/// would not, or may not. They block nothing: the host is fenced and recorded without them.
#[must_use]
pub fn instance_steps(coverage: &Coverage, died: &NodeName) -> Vec<RehearsalStep> {
    const RECOVERY: &str = "recovery";
    let is_its = |(_, primary): &&(InstanceName, NodeName)| primary == died;
    let covered: Vec<String> = coverage.covered.iter().filter(is_its).map(|(name, _)| name.to_string()).collect();
    let started = match covered.as_slice() {
        [] => None,
        [one] => Some(format!("starts {one} elsewhere, if there is room")),
        some => Some(format!("starts {} instances elsewhere, if there is room: {}", some.len(), some.join(" "))),
    };
    let down = coverage.not_covered.iter().filter(|not| not.primary.as_ref().is_none_or(|primary| primary == died));
    let down = down.map(|not| format!("{} stays down: {}", not.instance, not.why));
    started.into_iter().chain(down).map(|what| RehearsalStep::open(RECOVERY, what)).collect()
}

/// Returns the answers if one level could prove the death, also beside others that could not.
///
/// # Errors
/// All answers in one line, if no level could prove it.
///
/// # Examples
/// ```
/// use gnt_ha::core::rehearsal::{ProofAnswer, provable};
///
/// let answer = |level, is_ok, text: &str| ProofAnswer { level: Some(level), is_ok, text: text.to_owned() };
/// let bmc = answer(1, false, "bmc at level 1: no answer");
/// let pdus = [answer(2, true, "pdu-a at level 2: on"), answer(2, false, "pdu-b at level 2: no answer")];
///
/// // Level 2 proves the death only with both PDUs.
/// let answers = [vec![bmc], pdus.to_vec()].concat();
/// assert_eq!(
///     provable(answers),
///     Err("bmc at level 1: no answer; pdu-a at level 2: on; pdu-b at level 2: no answer".to_owned()),
/// );
/// ```
// The error is text, because the answers of devices are, and the step prints it.
pub fn provable(answers: Vec<ProofAnswer>) -> Result<Vec<ProofAnswer>, String> {
    if one_proves(&answers, |answer| answer.is_ok && answer.level.is_some()) {
        return Ok(answers);
    }
    Err(answers.into_iter().map(|answer| answer.text).collect::<Vec<_>>().join("; "))
}

/// Returns whether there is a level whose answers all suffice.
fn one_proves(answers: &[ProofAnswer], is_enough: impl Fn(&ProofAnswer) -> bool) -> bool {
    let levels: BTreeSet<Option<usize>> = answers.iter().map(|answer| answer.level).collect();
    levels.iter().any(|number| answers.iter().filter(|answer| answer.level == *number).all(&is_enough))
}

/// Returns when the level of an answer is done at the latest, and the grade of its off.
fn of<'a>(answer: &ProofAnswer, times: &'a StepTimes) -> Option<&'a (Duration, Grade)> {
    times.levels.get(answer.level?.checked_sub(1)?)
}

/// Adds to the step of an answer, such as `ok n1.lab level 1 bmc: on`, its time and the grade of its off.
fn with_level(step: RehearsalStep, answer: &ProofAnswer, times: &StepTimes) -> RehearsalStep {
    let Some((end, grade)) = of(answer, times) else {
        return step.within(times.latest_proof());
    };
    let action = format!("{}; its off has grade {grade}", step.action);
    RehearsalStep { action, grade: Some(*grade), ..step }.within(times.begun() + *end)
}

fn text_of(step: &Move) -> String {
    match step {
        Move::Fence { node, action } => format!("fences {node} ({action})"),
        Move::Resource { resource, action, node } => format!("{action} {resource} on {node}"),
    }
}

#[cfg(test)]
mod tests;
