//! The other nodes, as their `ganeti-oob` tell of themselves.

use super::{CheckInput, Findings};
use crate::core::node::NodeName;
use crate::core::shun::messages::Program;
use crate::core::survey::{NodeSurvey, Survey};

/// Answers of confd are taken for 15 s of difference (`lib/constants.py`, `CONFD_MAX_CLOCK_SKEW`), and times of fencings are
/// compared to the second.
const SKEW_MS: u64 = 5_000;

pub(super) fn look(view: &CheckInput, findings: &mut Findings) {
    let survey = match &view.survey {
        None => return,
        Some(Err(error)) => return findings.add("survey-unknown", "ganeti-oob", error.as_str()),
        Some(Ok(survey)) => survey,
    };
    let is_candidate = |name: &NodeName| {
        view.ganeti.as_ref().is_ok_and(|ganeti| ganeti.find(name).is_ok_and(|node| node.master_candidate))
    };
    for (node, found) in &survey.nodes {
        match (found, is_candidate(node)) {
            (NodeSurvey::Silent(why), true) => findings.add("candidate-program-silent", node, why.as_str()),
            (NodeSurvey::Silent(why), false) => findings.add("node-program-silent", node, why.as_str()),
            (NodeSurvey::Says { program, skew_ms, .. }, candidate) => {
                if skew_ms.unsigned_abs() > SKEW_MS {
                    let way = if *skew_ms > 0 { "ahead of" } else { "behind" };
                    findings.add(
                        "clock-skew",
                        node,
                        format!("its clock is {} s {way} this host's", skew_ms.unsigned_abs() / 1_000),
                    );
                }
                look_at_program(node, program.as_ref(), candidate, survey, findings);
            }
        }
    }
    look_at_keys(view, survey, findings);
}

/// Pacemaker may start the connection to a remote node on each full member. Where none has a key they have certificates.
fn look_at_keys(view: &CheckInput, survey: &Survey, findings: &mut Findings) {
    let (Ok(resources), Ok(state), Ok(ganeti)) = (&view.resources, &view.pacemaker, &view.ganeti) else { return };
    if resources.remotes().next().is_none() {
        return;
    }
    let all = ganeti.names();
    let is_member = |node: &NodeName| state.called(node, &all).is_ok_and(|name| !state.remotes.contains(name));
    // An older version does not say, and is found as such.
    let says = |program: &Program| program.remote_key.is_some() || program.version == survey.own.version;
    let others = survey.nodes.iter().filter_map(|(node, found)| match found {
        NodeSurvey::Says { program, .. } => Some((node, program.as_ref()?)),
        NodeSurvey::Silent(_) => None,
    });
    let own = view.host.node.iter().map(|here| (here, &survey.own));
    let told: Vec<(&NodeName, Option<&String>)> = own
        .chain(others)
        .filter(|(node, program)| is_member(node) && says(program))
        .map(|(node, program)| (node, program.remote_key.as_ref()))
        .collect();
    let Some((first, wanted)) = told.iter().find(|(_, key)| key.is_some()) else { return };
    for (node, key) in told.iter().filter(|(_, key)| key != wanted) {
        let what = if key.is_some() { format!("its key is not that of {first}") } else { "it has no key".to_owned() };
        findings.add("remote-key-differs", node, what);
    }
}

fn look_at_program(
    node: &NodeName,
    program: Option<&Program>,
    is_candidate: bool,
    survey: &Survey,
    findings: &mut Findings,
) {
    let version = program.map_or("older than 0.1.0", |program| &program.version);
    if version != survey.own.version {
        findings.add("versions-differ", node, format!("it has gnt-ha {version}, this host {}", survey.own.version));
    }
    let Some(program) = program else { return };
    match &program.config {
        // It cannot fence, and need not: what refuses others has its defaults.
        None if !is_candidate => {}
        None if survey.own.config.is_some() => findings.add("configurations-differ", node, "it has no configuration"),
        // One that has a configuration may fence by it, candidate or not: by an old one it may switch off another machine.
        config if *config != survey.own.config => {
            findings.add("configurations-differ", node, "its configuration is not the same as this host's");
        }
        _ => {}
    }
}
