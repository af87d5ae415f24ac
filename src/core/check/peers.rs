//! Rules about the other nodes, from the reports of their `ganeti-oob`.

use std::collections::BTreeSet;

use super::{CheckInput, CheckNote, Findings};
use crate::core::config::{DIGEST_PROPERTY, Digest};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::shun::messages::Program;
use crate::core::survey::{NodeSurvey, Survey};

/// The greatest difference of two clocks that is not a finding, in milliseconds. Answers of confd are accepted up to a
/// difference of 15 s (`lib/constants.py`, `CONFD_MAX_CLOCK_SKEW`), and times of fencings are compared to the second.
const SKEW_MS: u64 = 5_000;

pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
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
            (NodeSurvey::NoAnswer(why), true) => findings.add("candidate-program-no-answer", node, why.as_str()),
            (NodeSurvey::NoAnswer(why), false) => findings.add("node-program-no-answer", node, why.as_str()),
            (NodeSurvey::Answered { program, skew_ms, .. }, _) => {
                if skew_ms.unsigned_abs() > SKEW_MS {
                    let option = if *skew_ms > 0 { "ahead of" } else { "behind" };
                    findings.add(
                        "clock-skew",
                        node,
                        format!("its clock is {} s {option} this host's", skew_ms.unsigned_abs() / 1_000),
                    );
                }
                check_version(node, program.as_ref(), survey, findings);
            }
        }
    }
    check_configurations(view, survey, is_candidate, findings);
    check_keys(view, survey, findings);
}

/// Compares the keys for Pacemaker remote nodes: Pacemaker may start a connection to a remote node on each full member.
/// If no member has a key, the cluster uses certificates.
fn check_keys(view: &CheckInput, survey: &Survey, findings: &mut Findings) {
    let (Ok(resources), Ok(state), Ok(ganeti)) = (&view.resources, &view.pacemaker, &view.ganeti) else { return };
    if resources.remotes().next().is_none() {
        return;
    }
    let all = ganeti.names();
    let is_member = |node: &NodeName| state.called(node, &all).is_ok_and(|name| !state.remotes.contains(name));
    // An older version does not report a key, and is a finding of its own.
    let says = |program: &Program| program.remote_key.is_some() || program.version == survey.own.version;
    let own = view.host.node.iter().map(|here| (here, &survey.own));
    let reported: Vec<(&NodeName, Option<&String>)> = own
        .chain(survey.programs())
        .filter(|(node, program)| is_member(node) && says(program))
        .map(|(node, program)| (node, program.remote_key.as_ref()))
        .collect();
    let Some((first, wanted)) = reported.iter().find(|(_, key)| key.is_some()) else { return };
    for (node, key) in reported.iter().filter(|(_, key)| key != wanted) {
        let what = if key.is_some() { format!("its key is not that of {first}") } else { "it has no key".to_owned() };
        findings.add("remote-key-differs", node, what);
    }
}

/// Compares the versions. A node that does not report its version has an older one, and its configuration is unknown.
fn check_version(node: &NodeName, program: Option<&Program>, survey: &Survey, findings: &mut Findings) {
    let version = program.map_or("older than 0.2.0", |program| &program.version);
    if version != survey.own.version {
        findings.add("versions-differ", node, format!("it has gnt-ha {version}, this host {}", survey.own.version));
    }
}

/// Compares what the configuration of each host decides with the cluster's. That is the one whose digest Pacemaker's
/// configuration keeps; without such a digest it is this host's. Comments and a host's own settings decide nothing.
fn check_configurations(
    view: &CheckInput,
    survey: &Survey,
    is_candidate: impl Fn(&NodeName) -> bool,
    findings: &mut Findings,
) {
    let own = &survey.own;
    let kept = view.resources.as_ref().ok().and_then(|resources| resources.property(&[DIGEST_PROPERTY]));
    let kept = kept.filter(|text| text.parse::<Digest>().is_ok());
    let reported: Vec<(&NodeName, &Program)> =
        view.host.node.iter().map(|here| (here, own)).chain(survey.programs()).collect();
    let known: BTreeSet<&str> = reported.iter().filter_map(|(_, program)| decided(program, own)).collect();
    let right = kept.or(own.digest.as_deref());
    if let Some(kept) = kept
        && known.len() == 1
        && !known.contains(kept)
    {
        findings.add(
            "configurations-differ",
            DIGEST_PROPERTY,
            "no host that answered has the config.toml of this digest: hosts that are not master candidates fence no node with ganeti-oob",
        );
    }
    let is_property_old = kept.is_some_and(|kept| known.len() == 1 && !known.contains(kept));
    for (node, program) in reported {
        let is_candidate = is_candidate(node);
        let what = match (&program.config, decided(program, own)) {
            // Such a node cannot fence, and need not: its shunning of others uses the defaults.
            (None, _) if !is_candidate => continue,
            (None, _) => "it has no config.toml, and cannot fence with ganeti-oob".to_owned(),
            (Some(_), Some(digest)) if is_property_old || Some(digest) == right => continue,
            (file, None) if kept.is_none() && *file == own.config => continue,
            (Some(_), None) => {
                "it is unknown what its config.toml decides: the file cannot be read, or is another file and the host has an \
                                older gnt-ha"
                    .to_owned()
            }
            (Some(_), Some(_)) => {
                let whose = if kept.is_some() { "than the cluster's" } else { "than this host's" };
                let follows = if is_candidate {
                    "as a master candidate it fences all the same, by that one"
                } else {
                    "it fences no node with ganeti-oob"
                };
                format!("its config.toml decides otherwise {whose}: {follows}")
            }
        };
        findings.add("configurations-differ", node, what);
    }
}

/// Returns the digest of what a host's configuration decides, if it is known. The same file decides the same.
fn decided<'a>(program: &'a Program, own: &'a Program) -> Option<&'a str> {
    let is_same = program.config.is_some() && program.config == own.config;
    program.digest.as_deref().or_else(|| own.digest.as_deref().filter(|_| is_same))
}

/// Returns a note about files that differ and decide the same, which is not a problem.
pub(super) fn same_by_other_files(view: &CheckInput) -> Option<CheckNote> {
    let survey = view.survey.as_ref()?.as_ref().ok()?;
    let own = &survey.own;
    let is_other =
        |program: &Program| program.config != own.config && own.digest.is_some() && program.digest == own.digest;
    let nodes: Vec<NodeName> =
        survey.programs().filter(|(_, program)| is_other(program)).map(|(node, _)| node.clone()).collect();
    let what = "config.toml is another file than on this host, and decides the same about fencing: only comments, times or a host's own \
                settings differ";
    (!nodes.is_empty()).then(|| CheckNote {
        name: "configuration-file",
        nodes,
        grade: Grade::Off,
        text: what.to_owned(),
        why: None,
        fix: None,
    })
}
