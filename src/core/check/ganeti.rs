//! Rules about Ganeti: its nodes, their OOB programs, its candidates, its tags.

use super::{CheckInput, Findings};
use crate::core::config::{shared, shared_keys, with_levels};
use crate::core::ganeti::config::{GanetiConfig, ParametersOwner};
use crate::core::ganeti::drbd;
use crate::core::ganeti::oob::is_ours;
use crate::core::ganeti::tags;
use crate::core::grade::Grade;
use crate::core::power::Power;
use crate::core::recovery::coverage::NotCoveredInstance;

pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    match &view.ganeti {
        Ok(ganeti) => check_nodes(ganeti, view, findings),
        Err(why) => findings.add("ganeti-unknown", "ganeti", why),
    }
    for tag in tags::unknown(view.tags.iter().map(String::as_str)) {
        findings.add("unknown-tag", tag, "this tag means nothing");
    }
    let tags: Vec<&str> = view.tags.iter().map(String::as_str).collect();
    for (tag, other) in tags::idle(&tags) {
        findings.add("ineffective-tag", tag, format!("it does nothing: see {other}"));
    }
    for NotCoveredInstance { instance, why, .. } in view.coverage.iter().flat_map(|coverage| &coverage.not_covered) {
        findings.add("instance-not-covered", instance, why.to_string());
    }
    check_candidates(view, findings);
    match &view.config {
        Some(Err(why)) => findings.add("configuration-wrong", "ganeti-oob", why),
        Some(Ok(config)) if config.minimum_grade == Grade::Isolated => {
            findings.add("configuration-accepts-isolated", config.path.display(), "minimum_grade is isolated");
        }
        _ => {}
    }
}

fn check_nodes(ganeti: &GanetiConfig, view: &CheckInput, findings: &mut Findings) {
    for (program, why) in &view.programs {
        if let Some(why) = why {
            findings.add("oob-program-missing", program.display(), why);
        }
    }
    if let Some(Ok(config)) = &view.config {
        for pair in shared(&with_levels(ganeti, config), &view.resolved) {
            let [_, second] = &pair.nodes;
            findings.add("machine-shared", second, pair.to_string());
        }
        for pair in shared_keys(&with_levels(ganeti, config)) {
            let [_, second] = &pair.nodes;
            findings.add("fingerprint-shared", second, pair.to_string());
        }
    }
    for node in ganeti.nodes() {
        if node.drained {
            findings.add("node-drained", &node.name, "it is recorded as drained");
        }
        let Some(program) = &node.oob_program else {
            // If other devices fence, as with Ganeti's examples, an OOB program is not needed.
            if view.resources.as_ref().is_ok_and(|resources| resources.least_grade().is_some()) {
                findings.add("no-oob-program", &node.name, "Ganeti has no OOB program for it");
            }
            continue;
        };
        if view.programs.get(program).is_some_and(Option::is_some) {
            continue;
        }
        let levels =
            view.config.as_ref().and_then(|config| config.as_ref().ok()).map(|config| config.levels_of(&node.name));
        if let Some(Err(why)) = levels.filter(|_| is_ours(program)) {
            findings.add("no-levels", &node.name, why.to_string());
            continue;
        }
        match view.power.get(&node.name) {
            Some(Err(why)) => findings.add("device-no-answer", &node.name, why),
            Some(Ok((Power::Off, _))) if !node.offline => {
                findings.add("device-no-answer", &node.name, "it is off by its OOB program, and online in Ganeti");
            }
            _ => {}
        }
    }
    let candidates = ganeti.nodes().iter().filter(|node| node.master_candidate && !node.offline).count();
    if candidates < 2 && ganeti.nodes().len() > 1 {
        findings.add("one-candidate", "ganeti", format!("{candidates} master candidate is online"));
    } else if ganeti.candidates_missing() > 0 {
        let what = format!("{} more master candidates are wanted than there are", ganeti.candidates_missing());
        findings.add("candidates-missing", "ganeti", what);
    }
    for (owner, options) in ganeti.drbd_options() {
        let whose = match owner {
            ParametersOwner::Cluster => "the cluster's net-custom".to_owned(),
            ParametersOwner::Group(name) => format!("net-custom of group {name}"),
        };
        for policy in drbd::discarding(options) {
            findings.add("drbd-discards", &whose, policy);
        }
    }
}

fn check_candidates(view: &CheckInput, findings: &mut Findings) {
    // The claim of a node that this host shuns does not count (see the finding `shunned`).
    let counted = || view.candidates.iter().filter(|(node, _)| !view.host.shunned.contains_key(*node));
    let claims = || counted().filter_map(|(_, state)| state.master.as_ref());
    // Configurations with the same serial number have no older one: the master that most of them name counts.
    let named = |claim: &(String, u64)| claims().filter(|other| *other == claim).count();
    let newest = claims().max_by_key(|claim| (claim.1, named(claim)));
    for (node, state) in counted() {
        match (&state.master, newest) {
            (None, _) => {
                findings.add("candidate-no-answer", node, format!("its confd does not answer at {}", state.address))
            }
            (Some((master, serial)), Some((right, newer))) if master != right => {
                let what = if serial == newer {
                    format!("it names {master}, others {right}, all with the serial {serial}: none is the older one")
                } else {
                    format!("it names {master} (serial {serial}), others {right} (serial {newer})")
                };
                findings.add("masters-disagree", node, what);
            }
            _ => {}
        }
    }
}
