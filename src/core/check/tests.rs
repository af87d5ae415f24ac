//! Tests of the rules: a healthy cluster has no finding, and each planted fault of the table is found, alone.

use std::collections::BTreeSet;

use super::faults::FAULTS;
use super::rules;
use super::scene::{CIB, CONFIG, DIGEST, Scene, name, other, program};
use super::*;
use crate::core::config::{Config, DIGEST_PROPERTY};
use crate::core::pacemaker::resources::Resources;
use crate::core::power::Power;
use crate::core::roles::master_claims::NewerConfig;
use crate::core::setup::{SetupOptions, fragment, plan};
use crate::core::shun::messages::Program;
use crate::core::survey::NodeSurvey;

#[test]
fn a_healthy_cluster_has_no_finding() {
    assert_eq!(Scene::healthy().found(), []);
}

/// A node that is not a candidate needs no configuration; it does not fence then.
#[test]
fn a_regular_node_without_a_configuration_is_no_fault() {
    let mut scene = Scene::healthy();
    let none = Program { config: None, ..program() };
    scene.answered("n4.lab", NodeSurvey::Answered { program: Some(none), skew_ms: 0, self_fence: None });
    assert_eq!(scene.found(), []);
}

/// Keys count only if there is a connection. A cluster with certificates has no key, an older version does not report
/// one, and a remote node opens no connection.
#[test]
fn keys_for_remote_nodes_are_compared_where_they_count() {
    let with = |node: &str, plant: fn(&mut Program)| {
        let mut scene = Scene::healthy();
        scene.remote(false);
        let mut changed = program();
        plant(&mut changed);
        scene.answered(node, NodeSurvey::Answered { program: Some(changed), skew_ms: 0, self_fence: None });
        scene
    };
    assert_eq!(with("n4.lab", |own| own.remote_key = None).found(), []);
    let older = with("n3.lab", |own| (own.version, own.remote_key) = ("0.0.9".into(), None));
    assert_eq!(older.found(), [("versions-differ", "n3.lab".to_owned())]);
    let mut none = with("n3.lab", |own| own.remote_key = None);
    let survey = none.view.survey.as_mut().unwrap().as_mut().unwrap();
    survey.own.remote_key = None;
    survey.nodes.remove(&name("n2.lab"));
    survey.nodes.remove(&name("n4.lab"));
    assert_eq!(none.found(), [], "they have certificates");
    let mut scene = Scene::healthy();
    let other = Program { remote_key: Some("b".into()), ..program() };
    scene.answered("n3.lab", NodeSurvey::Answered { program: Some(other), skew_ms: 0, self_fence: None });
    assert_eq!(scene.found(), [], "there is no connection");
}

/// Files that differ only in what decides nothing about fencing are a note, if each host decides the same as the
/// cluster.
#[test]
fn other_files_that_decide_the_same_are_a_note() {
    let mut scene = Scene::healthy();
    scene.property(DIGEST_PROPERTY, DIGEST);
    let commented = Program { digest: program().digest, ..other() };
    scene.answered("n2.lab", NodeSurvey::Answered { program: Some(commented), skew_ms: 0, self_fence: None });
    let view = scene.read();
    assert_eq!(check(&view), []);
    let noted = notes(&view).into_iter().filter(|note| note.name == "configuration-file").map(|note| note.nodes);
    assert_eq!(noted.collect::<Vec<_>>(), [[name("n2.lab")]]);
    let alike = notes(&Scene::healthy().read());
    assert!(alike.iter().all(|note| note.name != "configuration-file"), "{alike:?}");
}

/// The digest in Pacemaker's configuration shows which hosts have another configuration, on whichever host the check
/// runs. The finding states the result for each.
#[test]
fn the_hosts_whose_configuration_is_not_the_clusters_are_named() {
    let mut scene = Scene::healthy();
    scene.property(DIGEST_PROPERTY, DIGEST);
    scene.view.survey.as_mut().unwrap().as_mut().unwrap().own = other();
    scene.answered("n4.lab", NodeSurvey::Answered { program: Some(other()), skew_ms: 0, self_fence: None });
    let found = check(&scene.read());
    let found: Vec<String> =
        found.iter().map(|Finding { rule, subject, problem, .. }| format!("{rule} {subject}: {problem}")).collect();
    let differs = "its config.toml decides otherwise than the cluster's";
    let candidate =
        format!("configurations-differ n1.lab: {differs}: as a master candidate it fences all the same, by that one");
    let regular = format!("configurations-differ n4.lab: {differs}: it fences no node with ganeti-oob");
    assert_eq!(found, [candidate, regular]);
}

/// A healthy cluster has no false finding, even with more than it needs.
#[test]
fn nor_has_one_with_more_than_it_needs() {
    let mut scene = Scene::healthy();
    scene.with_pdu();
    // The node was switched off by its BMC for work: its outlets are on, and it is recorded offline.
    scene.ganeti["nodes"]["u4"]["offline"] = true.into();
    scene.state("name=\"n4.lab\" online=\"true\"", "name=\"n4.lab\" online=\"false\"");
    scene.device("n4.lab", 1, Some(Power::Off));
    scene.property("node-health-strategy", "migrate-on-red");
    let allowed = "<nvpair id=\"au\" name=\"allow-unhealthy-nodes\" value=\"true\"/><nvpair id=\"o\"";
    scene.cib("<nvpair id=\"o\"", allowed);
    scene.view.tags.push("ocf:health:on".into());
    scene.master_role("role=\"Started\" active=\"true\"><node name=\"n1.lab\"/></resource>");
    assert_eq!(scene.found(), []);
}

/// Each fault is found where it was planted, and no other finding is reported.
#[test]
fn every_planted_fault_is_found_alone() {
    for (rule, about, plant) in FAULTS {
        let mut scene = Scene::healthy();
        plant(&mut scene);
        assert_eq!(scene.found(), [(*rule, (*about).to_owned())], "{rule}");
    }
}

/// A rule without a planted fault would be untested.
#[test]
fn every_rule_has_its_fault_and_its_fix() {
    let planted: BTreeSet<&str> = FAULTS.iter().map(|(rule, ..)| *rule).collect();
    let named: BTreeSet<&str> = rules::all().map(|rule| rule.name).collect();
    assert_eq!(planted, named);
    assert_eq!(named.len(), rules::all().count(), "a name is there twice");
    assert!(rules::all().all(|rule| !rule.why.is_empty() && !rule.fix.is_empty()));
}

/// A command stands at the end of a fix, so that it can be typed as it is printed. What is to be known stands before it, or behind `#`.
#[test]
fn a_fix_that_begins_with_a_command_has_no_remark_behind_it() {
    let programs = ["gnt-", "crm_", "cibadmin", "stonith_admin", "systemctl", "rm ", "/usr/"];
    for rule in rules::all().filter(|rule| programs.iter().any(|program| rule.fix.starts_with(program))) {
        let typed = rule.fix.split(" # ").next().unwrap();
        let remark = [" (", ", ", "; ", " shows "].into_iter().find(|mark| typed.contains(*mark));
        assert_eq!(remark, None, "{}: {}", rule.name, rule.fix);
    }
}

#[test]
fn a_fix_with_a_colon_ends_in_a_command() {
    let programs = [
        "gnt-",
        "crm_",
        "cibadmin",
        "stonith_admin",
        "corosync-",
        "pcs ",
        "systemctl ",
        "timedatectl ",
        "make ",
        "chgrp ",
        "rm ",
        "/usr/",
    ];
    for rule in rules::all() {
        let Some((_, typed)) = rule.fix.rsplit_once(": ") else { continue };
        let is_command = programs.iter().any(|program| typed.starts_with(program));
        assert!(is_command, "{}: {}", rule.name, rule.fix);
    }
}

/// From Pacemaker 3.0.2 on `fencing-enabled` counts if both names are set, and the command that is shown sets the name
/// that counts.
#[test]
fn fencing_is_off_by_the_name_that_counts() {
    let found = |feature_set: &str| {
        let mut scene = Scene::healthy();
        scene.property("fencing-enabled", "false");
        scene.cib("<cib", &format!("<cib crm_feature_set=\"{feature_set}\""));
        let found = check(&scene.read());
        let found: Vec<Finding> = found.into_iter().filter(|finding| finding.rule == "fencing-disabled").collect();
        found.first().map(|finding| (finding.problem.clone(), finding.fix.clone()))
    };
    let fix = "crm_attribute --name fencing-enabled --update true";
    assert_eq!(found("3.20.5"), Some(("fencing-enabled is off".into(), fix.into())));
    assert_eq!(found("3.16.1"), None, "an older version does not see it");
}

/// The calculation is that of `gnt-ha setup`, with the figure to change.
#[test]
fn times_that_do_not_fit_are_found_with_their_time_budget() {
    let mut scene = Scene::healthy();
    scene.view.resources = Resources::parse(&CIB.replace("72s", "20s")).map_err(|error| error.to_string());
    let found = check(&scene.view);
    let finding = found.iter().find(|finding| finding.rule == "budget").unwrap();
    assert!(finding.problem.starts_with("reboot needs 60 s (55 s fence_ganeti's own deadline"), "{}", finding.problem);
    assert_eq!(finding.fix, "crm_attribute --name stonith-timeout --update 72s");
}

#[test]
fn the_fix_names_what_it_is_about() {
    let mut scene = Scene::healthy();
    scene.view.host.simulates_nothing.push("wrong-roll".into());
    scene.view.resources = Resources::parse(CIB).map_err(|error| error.to_string());
    let found = check(&scene.view);
    let finding = found.iter().find(|finding| finding.rule == "unknown-simulation").unwrap();
    assert_eq!(finding.fix, "rm /var/lib/gnt-ha/simulate/wrong-roll");
}

/// A newer configuration keeps the role only from a candidate that still does not have it.
#[test]
fn what_was_received_is_found_where_it_keeps_the_role_away() {
    let found = |serial: u64, confirmed: bool, plant: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::healthy();
        scene.view.host.newer_config = Ok(Some(NewerConfig { serial, master: "n4.lab".into(), confirmed }));
        plant(&mut scene);
        let found = check(&scene.read()).into_iter().find(|one| one.rule == "role-blocked");
        found.map(|one| (one.problem, one.fix.ends_with("rm /var/lib/gnt-ha/newer-config.json")))
    };
    let what = "n4.lab was named master with the serial 18, and the configuration here has 17";
    assert_eq!(found(18, true, &|_| ()), Some((what.to_owned(), true)));
    assert_eq!(found(18, false, &|_| ()), None, "it may be on its way");
    assert_eq!(found(17, true, &|_| ()), None, "it has arrived");
    assert_eq!(found(18, true, &|s| s.view.tags.push("ocf:failover:any-serial".into())), None);
    assert_eq!(found(18, true, &|s| s.view.host.node = Some(name("n4.lab"))), None, "no candidate");
}

/// If candidates name different masters, the newest configuration is right. Of equally new ones both are named, and the
/// claim of a node that is shunned here does not count.
#[test]
fn the_newest_configuration_that_counts_names_the_master() {
    let disagree = |claims: [(&str, u64); 3], shunned: bool| {
        let mut scene = Scene::healthy();
        for (n, (master, serial)) in claims.into_iter().enumerate() {
            let state = scene.view.candidates.get_mut(&name(&format!("n{}.lab", n + 1))).unwrap();
            state.master = Some((master.to_owned(), serial));
        }
        if shunned {
            scene.view.host.shunned.insert(name("n3.lab"), "fence_ganeti".into());
        }
        let found = check(&scene.read()).into_iter().filter(|one| ["masters-disagree", "shunned"].contains(&one.rule));
        found.map(|one| format!("{} {}: {}", one.rule, one.subject, one.problem)).collect::<Vec<_>>()
    };
    let older = disagree([("n1.lab", 17), ("n1.lab", 17), ("n3.lab", 9)], false);
    assert_eq!(older, ["masters-disagree n3.lab: it names n3.lab (serial 9), others n1.lab (serial 17)"]);
    let equal = disagree([("n1.lab", 17), ("n1.lab", 17), ("n3.lab", 17)], false);
    let both = "it names n3.lab, others n1.lab, all with the serial 17: none is the older one";
    assert_eq!(equal, [format!("masters-disagree n3.lab: {both}")]);
    let shunned = disagree([("n1.lab", 17), ("n1.lab", 17), ("n3.lab", 30)], true);
    let ignored = "shunned n3.lab: shunned by fence_ganeti; ignored: it names n3.lab master (serial 30)";
    assert_eq!(shunned, [ignored]);
}

/// A regular host compares its configuration with the master's, as `gnt-ha setup` has written it. If the master's has
/// changed, that is one finding: this, or that the others do not have it yet.
#[test]
fn a_configuration_that_has_changed_is_one_finding() {
    let found = |host: &str, config: &str, before: Option<&'static str>| {
        let healthy = Scene::healthy().read();
        let digest = healthy.config.as_ref().and_then(|config| config.as_ref().ok()).map(Config::digest);
        let parts = plan(
            &Resources::default(),
            healthy.ganeti.as_ref().unwrap(),
            SetupOptions { digest, ..SetupOptions::default() },
        );
        let mut scene = Scene::healthy();
        scene.cib = format!("<cib>{}</cib>", fragment(&parts));
        scene.config = config.to_owned();
        scene.view.host.node = Some(name(host));
        let mut findings = Findings::default();
        before.into_iter().for_each(|rule| findings.add(rule, "n2.lab", ""));
        super::setup::check(&scene.read(), &mut findings);
        findings.0.into_iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    let changed = CONFIG.replace("-bmc", "-ipmi");
    assert_eq!(found("n1.lab", CONFIG, None), [""; 0]);
    assert_eq!(found("n1.lab", &format!("# A comment.\n{CONFIG}"), None), [""; 0]);
    assert_eq!(found("n1.lab", &changed, None), ["setup-differs"]);
    assert_eq!(found("n2.lab", &changed, None), [""; 0], "no master");
    for rule in ["configurations-differ", "configuration-wrong", "machine-shared"] {
        assert_eq!(found("n1.lab", &changed, Some(rule)), [rule]);
    }
}
