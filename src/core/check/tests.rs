//! Tests of the rules: a healthy cluster has no finding, and each planted fault of the table is found, alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::faults::FAULTS;
use super::input::{CandidateState, Host, Installed};
use super::rules::RULES;
use super::*;
use crate::core::config::{Config, DIGEST_PROPERTY};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::pacemaker::resources::Resources;
use crate::core::power::Power;
use crate::core::quorum::tests::{CMAP, TOOL};
use crate::core::quorum::{Owner, Quorum};
use crate::core::roles::master_claims::NewerConfig;
use crate::core::setup::{SetupOptions, fragment, plan};
use crate::core::shun::messages::Program;
use crate::core::survey::{DeviceAnswer, NodeSurvey, Survey};

const CIB: &str = r#"<cib><configuration><crm_config><cluster_property_set id="p">
  <nvpair id="a" name="stonith-enabled" value="true"/><nvpair id="b" name="stonith-timeout" value="72s"/>
  <nvpair id="c" name="no-quorum-policy" value="stop"/></cluster_property_set></crm_config><nodes/><resources>
  <primitive id="fence-ganeti" class="stonith" type="fence_ganeti"><instance_attributes id="i">
    <nvpair id="l" name="pcmk_action_limit" value="-1"/></instance_attributes>
    <operations><op id="m" name="monitor" interval="60s" timeout="30s"/></operations></primitive>
  <primitive id="master" class="ocf" provider="ganeti" type="ganeti-master-role">
    <meta_attributes id="s"><nvpair id="t" name="resource-stickiness" value="INFINITY"/></meta_attributes>
    <operations><op id="ms" name="start" interval="0" timeout="300s"/><op id="mm" name="monitor" interval="10s" timeout="30s"/></operations></primitive>
  <clone id="nodes"><meta_attributes id="n"><nvpair id="o" name="notify" value="true"/></meta_attributes>
    <primitive id="node" class="ocf" provider="ganeti" type="ganeti-node-role">
    <operations><op id="nm" name="monitor" interval="30s" timeout="30s"/></operations></primitive></clone></resources>
  <constraints><rsc_location id="k" rsc="fence-ganeti" node="n4.lab" score="-INFINITY"/></constraints></configuration></cib>"#;

const CRM_MON: &str = r#"<pacemaker-result><summary><current_dc with_quorum="true"/><cluster_options maintenance-mode="false"/></summary>
  <nodes><node name="n1.lab" online="true" unclean="false"/><node name="n2.lab" online="true" unclean="false"/>
  <node name="n3.lab" online="true" unclean="false"/><node name="n4.lab" online="true" unclean="false"/></nodes>
  <fence_history><fence_event action="reboot" target="n3.lab" status="success" completed="2026-11-20 10:00:00Z"/></fence_history></pacemaker-result>"#;

const CONFIG: &str = "[devices.bmc]\ndriver = \"ipmi\"\naddress = \"{short}-bmc\"\nusername = \"u\"\npassword_file = \"/p\"\n\n\
                      [default]\nlevels = [[\"bmc\"]]\n";

pub(super) const PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// The texts in which a fault is planted, and the input that is parsed from them.
pub(super) struct Scene {
    pub(super) cib: String,
    pub(super) crm_mon: String,
    pub(super) config: String,
    pub(super) ganeti: serde_json::Value,
    pub(super) view: CheckInput,
}

/// The output of `corosync-quorumtool` for four members without a quorum device.
const FOUR: &str = "Expected votes:   4\nQuorum:           3\nFlags:            Quorate\n\nMembership information\n\
    1 1 n1.lab (local)\n2 1 n2.lab\n3 1 n3.lab\n4 1 n4.lab\n";

fn owner(what: &str, last: u8) -> Owner {
    Owner {
        what: what.into(),
        name: what.split(' ').next_back().unwrap().into(),
        addresses: [[192, 0, 2, last].into()].into(),
    }
}

pub(super) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

impl Scene {
    pub(super) fn healthy() -> Self {
        let node = |number: u8, candidate: bool| {
            let name = format!("n{number}.lab");
            serde_json::json!({"name": name, "group": "g", "master_candidate": candidate, "ndparams": {},
                               "primary_ip": format!("192.0.2.{number}")})
        };
        let ganeti = serde_json::json!({
            "version": 3_000_000, "serial_no": 17,
            "cluster": {"master_node": "u1", "candidate_pool_size": 3, "ndparams": {"oob_program": PROGRAM}},
            "nodegroups": {"g": {"ndparams": {}}},
            "nodes": {"u1": node(1, true), "u2": node(2, true), "u3": node(3, true), "u4": node(4, false)}
        });
        let state = |n: u8| CandidateState { address: [192, 0, 2, n].into(), master: Some(("n1.lab".into(), 17)) };
        let host = Host {
            node: Some(name("n1.lab")),
            hooks: BTreeMap::new(),
            agents: [("ganeti-master-role", Installed::Program), ("ganeti-node-role", Installed::Program)].into(),
            fence_agent: Installed::Program,
            no_voting: vec![],
            stale_pidfiles: vec![],
            watcher_absent: None,
            watcher_paused: None,
            simulated: BTreeSet::new(),
            simulates_nothing: vec![],
            pause: None,
            breaker: None,
            unreadable: vec![],
            newer_config: Ok(None),
            shunned: BTreeMap::new(),
            systemd_watchdogs: vec![],
            not_enabled: vec![],
            lease_lacks: None,
        };
        let view = CheckInput {
            resources: Err("not read".into()),
            pacemaker: Err("not read".into()),
            ganeti: Err("not read".into()),
            not_isolated: BTreeMap::new(),
            lacking: BTreeSet::new(),
            quorum: Ok(Quorum::parse("quorum.provider (str) = corosync_votequorum\n", FOUR).unwrap()),
            device_addresses: BTreeSet::new(),
            owners: vec![owner("node n1.lab", 1), owner("instance vm1.lab", 50)],
            tags: vec!["ocf:master-role:full".into()],
            candidates: [(name("n1.lab"), state(1)), (name("n2.lab"), state(2)), (name("n3.lab"), state(3))].into(),
            config: None,
            resolved: crate::core::config::Resolved::new(),
            survey: Some(Ok(Survey {
                own: program(),
                own_self_fence: None,
                nodes: ["n2.lab", "n3.lab", "n4.lab"].map(|n| (name(n), says())).into(),
            })),
            programs: [(PathBuf::from(PROGRAM), None)].into(),
            power: ["n1.lab", "n2.lab", "n3.lab", "n4.lab"].map(|n| (name(n), Ok((Power::On, Grade::Unknown)))).into(),
            devices: ["n1.lab", "n2.lab", "n3.lab", "n4.lab"].map(|n| (name(n), vec![device(1, "bmc")])).into(),
            host,
        };
        Self { cib: CIB.into(), crm_mon: CRM_MON.into(), config: CONFIG.into(), ganeti, view }
    }

    fn found(self) -> Vec<(&'static str, String)> {
        check(&self.read()).into_iter().map(|finding| (finding.rule, finding.about)).collect()
    }

    pub(super) fn read(mut self) -> CheckInput {
        self.view.resources = Resources::parse(&self.cib).map_err(|error| error.to_string());
        self.view.pacemaker = CrmMon::parse(&self.crm_mon).map_err(|error| error.to_string());
        self.view.ganeti = GanetiConfig::parse(self.ganeti.to_string().as_bytes()).map_err(|error| error.to_string());
        self.view.config =
            Some(Config::parse(&self.config, Path::new("config.toml")).map_err(|error| error.to_string()));
        self.view
    }

    pub(super) fn cib(&mut self, from: &str, to: &str) {
        assert!(self.cib.contains(from), "{from}");
        self.cib = self.cib.replace(from, to);
    }

    pub(super) fn state(&mut self, from: &str, to: &str) {
        assert!(self.crm_mon.contains(from), "{from}");
        self.crm_mon = self.crm_mon.replace(from, to);
    }

    /// Adds the master role to the output of `crm_mon`.
    pub(super) fn master_role(&mut self, rest: &str) {
        let agent = "resource_agent=\"ocf:ganeti:ganeti-master-role\"";
        self.state(
            "<fence_history>",
            &format!("<resources><resource id=\"master\" {agent} {rest}</resources><fence_history>"),
        );
    }

    pub(super) fn property(&mut self, name: &str, value: &str) {
        let pair = format!("<nvpair id=\"x\" name=\"{name}\" value=\"{value}\"/></cluster_property_set>");
        self.cib("</cluster_property_set>", &pair);
    }

    /// Sets up two members and a quorum device, with a part of the output of `corosync-quorumtool` and
    /// `corosync-cmapctl` replaced.
    pub(super) fn device_of_quorum(&mut self, tool: (&str, &str), cmap: (&str, &str)) {
        let (tool, cmap) = (TOOL.replace(tool.0, tool.1), CMAP.replace(cmap.0, cmap.1));
        self.view.quorum = Ok(Quorum::parse(&cmap, &tool).unwrap());
    }

    /// Sets a parameter of the `fence_ganeti` device.
    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        self.cib(
            "<nvpair id=\"l\"",
            &format!("<nvpair id=\"own\" name=\"{name}\" value=\"{value}\"/><nvpair id=\"l\""),
        );
    }

    /// Adds a second device, `pdu`.
    pub(super) fn beside(&mut self, agent: &str, parameters: &[(&str, &str)]) {
        let pair =
            |(name, value): &(&str, &str)| format!("<nvpair id=\"pdu-{name}\" name=\"{name}\" value=\"{value}\"/>");
        let pairs: String = parameters.iter().map(pair).collect();
        let device = format!(
            "<primitive id=\"pdu\" class=\"stonith\" type=\"{agent}\"><instance_attributes id=\"pdu-i\">{pairs}</instance_attributes>\
             </primitive><primitive id=\"master\""
        );
        self.cib("<primitive id=\"master\"", &device);
    }

    /// Makes n4 a remote node, with a connection that was made by hand.
    pub(super) fn remote(&mut self, migrates: bool) {
        let connection = format!(
            "<primitive id=\"n4.lab\" class=\"ocf\" provider=\"pacemaker\" type=\"remote\"><meta_attributes id=\"n4-m\">\
             <nvpair id=\"n4-a\" name=\"allow-migrate\" value=\"{migrates}\"/></meta_attributes></primitive><primitive id=\"master\""
        );
        self.cib("<primitive id=\"master\"", &connection);
        self.state("<node name=\"n4.lab\"", "<node type=\"remote\" name=\"n4.lab\"");
        self.ganeti["nodes"]["u4"]["master_capable"] = false.into();
    }

    /// Adds a fencing level, `fl`.
    pub(super) fn level(&mut self, attributes: &str) {
        let level =
            format!("<fencing-topology><fencing-level id=\"fl\" {attributes}/></fencing-topology></configuration>");
        self.cib("</configuration>", &level);
    }
}

/// Returns a device that has answered, with the host on.
pub(super) fn device(level: usize, name: &str) -> DeviceAnswer {
    DeviceAnswer { level, device: name.into(), power: Some(Power::On), text: "on".into(), advice: None }
}

/// The second level of [`Scene::with_pdu`].
const PDU: &str =
    "[devices.pdu]\ndriver = \"agent\"\nagent = \"fence_apc\"\noptions = { plug = \"{short}\" }\n\n[default]\n";

pub(super) fn program() -> Program {
    Program {
        version: "0.1.0".into(),
        config: Some("a".into()),
        digest: Some(DIGEST.into()),
        wall_ms: 1,
        remote_key: Some("k".into()),
    }
}

/// The digest of what the configuration of every host decides.
pub(super) const DIGEST: &str = "0000000000000000000000000000000a";

/// Returns a program whose configuration is another file and decides otherwise.
pub(super) fn other() -> Program {
    Program { config: Some("b".into()), digest: Some(DIGEST.replace('a', "b")), ..program() }
}

fn says() -> NodeSurvey {
    NodeSurvey::Answered { program: Some(program()), skew_ms: 400, self_fence: None }
}

impl Scene {
    /// Gives every node a PDU behind its BMC.
    pub(super) fn with_pdu(&mut self) {
        self.config = self.config.replace("[default]\n", PDU).replace("[[\"bmc\"]]", "[[\"bmc\"], [\"pdu\"]]");
        self.view.devices.values_mut().for_each(|asked| asked.push(device(2, "pdu")));
    }

    /// Sets the power state that a device reported; `None` means no answer.
    pub(super) fn device(&mut self, node: &str, level: usize, power: Option<Power>) {
        let asked = self.view.devices.get_mut(&name(node)).unwrap();
        let text = if power.is_some() { "read" } else { "no answer" };
        let all = asked.iter_mut().filter(|one| one.level == level);
        all.for_each(|one| (one.power, one.text) = (power, text.into()));
        let read = crate::core::survey::power_of(asked).map(|power| (power, Grade::Unknown));
        self.view.power.insert(name(node), read.map_err(|error| error.to_string()));
    }

    /// Makes shunning the only level of every node.
    pub(super) fn shunning(&mut self) {
        self.config = "[devices.others]\ndriver = \"shun\"\n[default]\nlevels = [[\"others\"]]\n".into();
        self.view.devices.values_mut().for_each(|asked| *asked = vec![device(1, "others")]);
    }

    /// Sets the answer of a node to the survey.
    pub(super) fn answered(&mut self, node: &str, found: NodeSurvey) {
        self.view.survey.as_mut().unwrap().as_mut().unwrap().nodes.insert(name(node), found);
    }
}

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
    let noted = notes(&view).into_iter().filter(|note| note.note == "configuration-file").map(|note| note.nodes);
    assert_eq!(noted.collect::<Vec<_>>(), [[name("n2.lab")]]);
    let alike = notes(&Scene::healthy().read());
    assert!(alike.iter().all(|note| note.note != "configuration-file"), "{alike:?}");
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
        found.iter().map(|Finding { rule, about, what, .. }| format!("{rule} {about}: {what}")).collect();
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
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(planted, rules);
    assert_eq!(rules.len(), RULES.len(), "a name is there twice");
    assert!(RULES.iter().all(|rule| !rule.why.is_empty() && !rule.fix.is_empty()));
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
        found.first().map(|finding| (finding.what.clone(), finding.fix.clone()))
    };
    let fix = "crm_attribute --name fencing-enabled --update true";
    assert_eq!(found("3.20.5"), Some(("fencing-enabled is off".into(), fix.into())));
    assert_eq!(found("3.16.1"), None, "an older version does not see it");
}

/// The calculation is that of `gnt-ha setup`, with the figure to change.
#[test]
fn times_that_do_not_fit_are_found_with_their_sum() {
    let mut scene = Scene::healthy();
    scene.view.resources = Resources::parse(&CIB.replace("72s", "20s")).map_err(|error| error.to_string());
    let found = check(&scene.view);
    let finding = found.iter().find(|finding| finding.rule == "budget").unwrap();
    assert!(finding.what.starts_with("reboot needs 60 s (55 s fence_ganeti's own deadline"), "{}", finding.what);
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
fn what_was_heard_is_found_where_it_keeps_the_role_away() {
    let found = |serial: u64, missed: bool, plant: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::healthy();
        scene.view.host.newer_config = Ok(Some(NewerConfig { serial, master: "n4.lab".into(), missed }));
        plant(&mut scene);
        let found = check(&scene.read()).into_iter().find(|one| one.rule == "role-refused");
        found.map(|one| (one.what, one.fix.ends_with("rm /var/lib/gnt-ha/newer-config.json")))
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
        found.map(|one| format!("{} {}: {}", one.rule, one.about, one.what)).collect::<Vec<_>>()
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
        super::setup::look(&scene.read(), &mut findings);
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
