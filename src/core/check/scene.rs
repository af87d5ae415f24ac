//! Makes the input of the tests: a healthy cluster, into which a test plants its fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::input::{CandidateState, Host, Installed};
use super::{CheckInput, check};
use crate::core::bmc_memory::{BmcMemory, KnownHost, ProvenBmc};
use crate::core::config::Config;
use crate::core::ganeti::config::GanetiConfig;
use crate::core::grade::Grade;
use crate::core::host_identity::HostIdentity;
use crate::core::node::NodeName;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::pacemaker::resources::Resources;
use crate::core::power::Power;
use crate::core::quorum::tests::{CMAP, TOOL};
use crate::core::quorum::{AddressOwner, Quorum};
use crate::core::shun::messages::Program;
use crate::core::survey::{DeviceAnswer, NodeSurvey, Survey};

pub(super) const CIB: &str = r#"<cib><configuration><crm_config><cluster_property_set id="p">
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

pub(super) const CRM_MON: &str = r#"<pacemaker-result><summary><current_dc with_quorum="true"/><cluster_options maintenance-mode="false"/></summary>
  <nodes><node name="n1.lab" online="true" unclean="false"/><node name="n2.lab" online="true" unclean="false"/>
  <node name="n3.lab" online="true" unclean="false"/><node name="n4.lab" online="true" unclean="false"/></nodes>
  <fence_history><fence_event action="reboot" target="n3.lab" status="success" completed="2026-11-20 10:00:00Z"/></fence_history></pacemaker-result>"#;

pub(super) const CONFIG: &str = "[devices.bmc]\ndriver = \"ipmi\"\naddress = \"{short}-bmc\"\nusername = \"u\"\npassword_file = \"/p\"\n\n\
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
pub(super) const FOUR: &str = "Expected votes:   4\nQuorum:           3\nFlags:            Quorate\n\nMembership information\n\
    1 1 n1.lab (local)\n2 1 n2.lab\n3 1 n3.lab\n4 1 n4.lab\n";

pub(super) fn owner(what: &str, last: u8) -> AddressOwner {
    AddressOwner {
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
            harep: vec![],
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
            coverage: None,
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
            bmc_memory: BmcMemory::default(),
            host,
        };
        Self { cib: CIB.into(), crm_mon: CRM_MON.into(), config: CONFIG.into(), ganeti, view }
    }

    pub(super) fn found(self) -> Vec<(&'static str, String)> {
        check(&self.read()).into_iter().map(|finding| (finding.rule, finding.subject)).collect()
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
    DeviceAnswer {
        level,
        device: name.into(),
        power: Some(Power::On),
        text: "on".into(),
        advice: None,
        identity: None,
        is_identity_unanswered: false,
    }
}

/// The second level of [`Scene::with_pdu`].
pub(super) const PDU: &str =
    "[devices.pdu]\ndriver = \"agent\"\nagent = \"fence_apc\"\noptions = { plug = \"{short}\" }\n\n[default]\n";

pub(super) fn program() -> Program {
    Program {
        version: "0.2.0".into(),
        config: Some("a".into()),
        digest: Some(DIGEST.into()),
        wall_ms: 1,
        remote_key: Some("k".into()),
        host: None,
    }
}

/// The digest of what the configuration of every host decides.
pub(super) const DIGEST: &str = "0000000000000000000000000000000a";

/// Returns a program whose configuration is another file and decides otherwise.
pub(super) fn other() -> Program {
    Program { config: Some("b".into()), digest: Some(DIGEST.replace('a', "b")), ..program() }
}

pub(super) fn says() -> NodeSurvey {
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

    /// Sets the UUIDs that the BMC of a node and the node itself report.
    pub(super) fn identities(&mut self, node: &str, bmc: &str, own: &str) {
        let of = |uuid: &str| HostIdentity { uuid: Some(uuid.to_owned()), serial_number: None }.bounded();
        self.view.devices.get_mut(&name(node)).unwrap()[0].identity = Some(of(bmc));
        let survey = self.view.survey.as_mut().unwrap().as_mut().unwrap();
        match survey.nodes.get_mut(&name(node)) {
            Some(NodeSurvey::Answered { program: Some(program), .. }) => program.host = Some(of(own)),
            _ => survey.own.host = Some(of(own)),
        }
    }

    /// Sets the UUID that the BMC of a node had when it was proven.
    pub(super) fn proven(&mut self, node: &str, bmc: &str) {
        let identity = HostIdentity { uuid: Some(bmc.to_owned()), serial_number: None };
        let bmcs = [("bmc".to_owned(), ProvenBmc { identity, proven_ms: 1 })].into();
        self.view.bmc_memory.0.insert(name(node), KnownHost { host: None, bmcs });
    }

    /// Makes shunning the only level of every node.
    pub(super) fn shunning(&mut self) {
        self.config = "[devices.shun]\ndriver = \"shun\"\n[default]\nlevels = [[\"shun\"]]\n".into();
        self.view.devices.values_mut().for_each(|asked| *asked = vec![device(1, "shun")]);
    }

    /// Sets the answer of a node to the survey.
    pub(super) fn answered(&mut self, node: &str, found: NodeSurvey) {
        self.view.survey.as_mut().unwrap().as_mut().unwrap().nodes.insert(name(node), found);
    }
}
