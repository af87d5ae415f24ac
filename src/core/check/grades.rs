//! The grade that could be proven of each node if it died now, from what its devices and the other nodes have just
//! answered. Also the notes about it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::bmc_identity::unproven;
use super::pacemaker::{has_other_device, least_grade};
use super::peers::same_by_other_files;
use super::{CheckInput, Findings};
use crate::core::config::{Config, Driver, Level};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::Power;
use crate::core::power::reading::ReadingSubject;
use crate::core::shun::evaluation::{ProofInput, ProofResult, Round, evaluate_proof};
use crate::core::shun::last_state::LastStateError;
use crate::core::shun::list::Epoch;
use crate::core::shun::messages::DatedSelfFenceReport;
use crate::core::survey::{DeviceAnswer, NodeSurvey, level_power, levels};

/// Information that is not a problem, and good to know before a host dies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckNote {
    /// `reachable-grade`, `shared-power`, `stricter-device`, `configuration-file` or `unproven-bmc`.
    pub name: &'static str,
    /// The nodes that the note is about.
    pub nodes: Vec<NodeName>,
    /// The best grade that can be proven of these nodes.
    pub grade: Grade,
    /// The information in one line, without the names of the nodes.
    pub text: String,
    /// The consequence; `None` if the text is enough.
    pub why: Option<&'static str>,
    /// The options of the administrator, if there are any.
    pub fix: Option<&'static str>,
}

/// The best grade that could be proven of a node, and by what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AchievableGrade {
    grade: Reverse<Grade>,
    /// The level that gives the grade, and why it is not higher.
    by: String,
    /// Whether all that can prove enough fails with the power supply of the host.
    shares_power: bool,
    /// Whether shunning is the only level that could answer, and would prove nothing.
    in_vain: bool,
}

impl AchievableGrade {
    const fn new(grade: Grade, by: String) -> Self {
        Self { grade: Reverse(grade), by, shares_power: false, in_vain: false }
    }
}

const SHARED_WHY: &str = "a power supply that dies takes such a BMC along: nothing proves its host off then, the fencing fails, and \
     Pacemaker waits for the administrator";

const SHARED_FIX: &str = "add a second level (a PDU, or driver \"shun\" with self-fencing), or shares_power = false if the BMC has a \
     power supply of its own; or, each time, when you have seen that the host has no power: gnt-ha confirm-off NODE --reason TEXT";

/// Returns the notes: each node's best grade, nodes whose BMC fails with the host's power, and advice. Nodes with the
/// same text are in one note; the strongest grade comes first.
#[must_use]
pub fn notes(view: &CheckInput) -> Vec<CheckNote> {
    let Ok(ganeti) = &view.ganeti else { return Vec::new() };
    let mut groups: BTreeMap<AchievableGrade, Vec<NodeName>> = BTreeMap::new();
    for (node, achievable) in all(view, ganeti) {
        groups.entry(achievable).or_default().push(node);
    }
    let mut shared: Vec<NodeName> = Vec::new();
    let mut found: Vec<CheckNote> = Vec::new();
    for (AchievableGrade { grade: Reverse(grade), by, shares_power, .. }, nodes) in groups {
        if shares_power {
            shared.extend(nodes.iter().cloned());
        }
        let what = format!("{grade}, {by}");
        match found.iter_mut().find(|note| note.grade == grade && note.text == what) {
            Some(note) => note.nodes.extend(nodes),
            None => found.push(CheckNote { name: "reachable-grade", nodes, grade, text: what, why: None, fix: None }),
        }
    }
    found.iter_mut().for_each(|note| note.nodes.sort());
    if !shared.is_empty() {
        shared.sort();
        let what = "its only proof is a BMC, which loses its power with its host".to_owned();
        let (why, fix) = (Some(SHARED_WHY), Some(SHARED_FIX));
        found.push(CheckNote { name: "shared-power", nodes: shared, grade: Grade::Off, text: what, why, fix });
    }
    found.extend(stricter(view));
    found.extend(same_by_other_files(view));
    found.extend(unproven(view));
    found
}

/// Returns notes about devices that could be configured more strictly. Nodes with the same advice are in one note.
fn stricter(view: &CheckInput) -> Vec<CheckNote> {
    let mut advised: BTreeMap<String, Vec<NodeName>> = BTreeMap::new();
    for (node, asked) in &view.devices {
        for (device, advice) in asked.iter().filter_map(|asked| Some((&asked.device, asked.advice.as_ref()?))) {
            let nodes = advised.entry(format!("{device}: {advice}")).or_default();
            if nodes.last() != Some(node) {
                nodes.push(node.clone());
            }
        }
    }
    let note = |(what, nodes)| CheckNote {
        name: "stricter-device",
        nodes,
        grade: Grade::Off,
        text: what,
        why: None,
        fix: None,
    };
    advised.into_iter().map(note).collect()
}

/// Reports levels that disagree about a node, levels that do not answer, and grades below the minimum.
pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    for (node, asked) in &view.devices {
        let filled = levels_of(view, node);
        // If no level answers, `device-no-answer` is found instead.
        if view.power.get(node).is_some_and(Result::is_ok) {
            for silent in asked.iter().filter(|asked| asked.power.is_none()) {
                let what = format!("level {}, {}: {}", silent.level, silent.device, silent.text);
                findings.add("level-no-answer", node, what);
            }
        }
        // A host that its BMC has switched off still has its outlets on. An outlet that is off under a host that is on
        // is a fault.
        let says = |level: &[DeviceAnswer], power: Power| level_power(level) == Some(power);
        let is_feed = |asked: &[DeviceAnswer]| {
            let level = asked.first().and_then(|one| filled.as_ref()?.get(one.level.checked_sub(1)?));
            level.is_some_and(|level| level.iter().all(|device| is_feed(&device.driver)))
        };
        let off =
            levels(asked).find(|level| is_feed(level) && says(level, Power::Off)).and_then(<[DeviceAnswer]>::first);
        let on = levels(asked).find(|level| says(level, Power::On)).and_then(<[DeviceAnswer]>::first);
        if let (Some(off), Some(on)) = (off, on) {
            let what = format!("level {} reads off, and level {} reads on", off.level, on.level);
            findings.add("levels-disagree", node, what);
        }
    }
    let Ok(ganeti) = &view.ganeti else { return };
    if !view.resources.as_ref().is_ok_and(|resources| resources.least_grade().is_some()) {
        return;
    }
    let least = least_grade(view);
    for (node, AchievableGrade { grade: Reverse(grade), by, in_vain, .. }) in all(view, ganeti) {
        if grade < least && (in_vain || grade > Grade::Unknown) {
            findings.add("grade-too-weak", node, format!("{grade}, {by}; minimum_grade is {least}"));
        }
    }
}

/// Returns each online node whose OOB program was asked, with its best grade.
fn all(view: &CheckInput, ganeti: &GanetiConfig) -> Vec<(NodeName, AchievableGrade)> {
    let online = ganeti.nodes().iter().filter(|node| !node.offline);
    let achievable = |node: &crate::core::ganeti::config::Node| {
        let program = node.oob_program.as_ref()?;
        let power = view.power.get(&node.name)?;
        let found = if is_ours(program) {
            of_levels(view, ganeti, &node.name)
        } else {
            let grade_of = |(power, grade): &(Power, Grade)| if *power == Power::On { Grade::Off } else { *grade };
            let grade = power.as_ref().map_or(Grade::Unknown, grade_of);
            AchievableGrade::new(grade, format!("by {}", program.display()))
        };
        Some((node.name.clone(), found))
    };
    online.filter_map(achievable).collect()
}

fn levels_of(view: &CheckInput, node: &NodeName) -> Option<Vec<Level>> {
    view.config.as_ref()?.as_ref().ok()?.levels_of(node).ok()
}

/// Returns whether a device shows only that the host is fed, not that it is switched on, and cannot shun a node. A
/// device of an unknown kind counts as one.
fn is_feed(driver: &Driver) -> bool {
    matches!(driver.kind().sees, ReadingSubject::Feed | ReadingSubject::Unknown)
}

fn of_levels(view: &CheckInput, ganeti: &GanetiConfig, node: &NodeName) -> AchievableGrade {
    let nothing = || AchievableGrade::new(Grade::Unknown, "no device that answers can prove it".into());
    let (Some(filled), Some(asked), Some(Ok(config))) = (levels_of(view, node), view.devices.get(node), &view.config)
    else {
        return nothing();
    };
    let least = least_grade(view);
    let mut best = nothing();
    let mut outlives =
        view.resources.as_ref().is_ok_and(|resources| has_other_device(resources, view, node, &ganeti.names()));
    for (index, level) in filled.iter().enumerate() {
        let mut grade = Grade::Off;
        let mut why = None;
        for device in level {
            let answered =
                asked.iter().any(|one| one.level == index + 1 && one.device == device.name && one.power.is_some());
            let (proves, objection) = match device.driver.proves() {
                Some(proves) if answered => (proves, None),
                Some(_) => (Grade::Unknown, None),
                None => of_shunning(view, ganeti, config, node),
            };
            grade = grade.min(proves);
            why = why.or(objection);
        }
        outlives |= grade >= least && !level.iter().any(|device| device.driver.shares_power());
        // Only shunning has a reason why it proves nothing.
        let in_vain = grade == Grade::Unknown && best.grade.0 == grade && why.is_some();
        if grade > best.grade.0 || in_vain {
            let names: Vec<&str> = level.iter().map(|device| device.name.as_str()).collect();
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let by = format!("by level {} ({}){why}", index + 1, names.join(", "));
            best = AchievableGrade { in_vain, ..AchievableGrade::new(grade, by) };
        }
    }
    best.shares_power = best.grade.0 >= least && !outlives;
    best
}

/// Returns the grade that shunning could prove of a node, and why it is not higher. The nodes that would have to shun
/// it have just answered. Its self-fencing is judged as if they all shunned it.
fn of_shunning(
    view: &CheckInput,
    ganeti: &GanetiConfig,
    config: &Config,
    target: &NodeName,
) -> (Grade, Option<String>) {
    let Some(Ok(survey)) = &view.survey else { return (Grade::Unknown, None) };
    let is_silent =
        |(name, found): &(&NodeName, &NodeSurvey)| *name != target && matches!(found, NodeSurvey::NoAnswer(_));
    if survey.nodes.iter().any(|all| is_silent(&all)) {
        return (Grade::Unknown, None);
    }
    let address = |node: &NodeName| ganeti.notes(node).primary_ip;
    let Some(of_target) = address(target) else { return (Grade::Unknown, None) };
    let is_here = view.host.node.as_ref() == Some(target);
    let self_fence = match survey.nodes.get(target) {
        Some(NodeSurvey::Answered { self_fence, .. }) => self_fence.clone(),
        None if is_here => survey.own_self_fence.clone().map(|self_fence| DatedSelfFenceReport {
            self_fence,
            age_ms: 0,
            uptime_ms: None,
        }),
        _ => None,
    };
    let online = ganeti.nodes().iter().filter(|node| !node.offline);
    let (mut candidates, mut shunning): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) = Default::default();
    for node in online {
        let Some(address) = address(&node.name) else { continue };
        if node.master_candidate {
            candidates.insert(address);
        }
        // A node that is shunned itself was not asked.
        if node.name != *target && !view.host.shunned.contains_key(&node.name) {
            shunning.insert(address);
        }
    }
    if shunning.is_empty() {
        return (Grade::Unknown, None);
    }
    let round = Round {
        asked: Duration::ZERO,
        at: Duration::ZERO,
        boot_id: String::new(),
        epoch: Epoch::default().shunned(),
        ruleset_ids: BTreeMap::new(),
        shunning,
        lost: BTreeSet::new(),
    };
    let addresses = BTreeSet::from([of_target]);
    let known = ProofInput {
        target: of_target,
        candidates: &candidates,
        addresses: &addresses,
        lists: &[],
        master: None,
        self_fence: self_fence.as_ref().ok_or(LastStateError::NoReport),
        boot_id: self_fence.as_ref().map(|report| report.self_fence.boot_id.as_str()),
        accepted: config.shun.accepted(),
    };
    match evaluate_proof(&round, &round, known) {
        ProofResult::Isolated { why_not_bounded } => match view.not_isolated.get(target) {
            Some(why) => (Grade::Unknown, Some(format!("{why_not_bounded}: nothing would be proven, as {why}"))),
            None => (Grade::Isolated, Some(why_not_bounded)),
        },
        ProofResult::Waiting { .. } | ProofResult::Bounded => (Grade::Bounded, None),
    }
}

#[cfg(test)]
mod tests;
