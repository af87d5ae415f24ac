//! The table of planted faults, for the tests: each rule with a way to plant its fault.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::input::Installed;
use super::scene::{DIGEST, PROGRAM, Scene, device, name, other, program};
use crate::core::breaker::OpenState;
use crate::core::config::DIGEST_PROPERTY;
use crate::core::ganeti::tags::RECOVER;
use crate::core::host_identity::HostIdentity;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::power::Power;
use crate::core::reconcile::Pause;
use crate::core::recovery::coverage::{Coverage, NotCovered, NotCoveredInstance};
use crate::core::recovery::instance::InstanceName;
use crate::core::roles::master_claims::NewerConfig;
use crate::core::roles::simulate::Simulated;
use crate::core::shun::messages::Program;
use crate::core::survey::NodeSurvey;

pub(super) type Plant = fn(&mut Scene);

/// The rule, what the finding is about, and the way to plant the fault.
pub(super) const FAULTS: &[(&str, &str, Plant)] = &[
    ("pacemaker-unknown", "pacemaker", |s| s.crm_mon = "<pacemaker-result/>".into()),
    ("cib-unknown", "pacemaker", |s| s.cib.truncate(200)),
    ("ganeti-unknown", "ganeti", |s| s.ganeti = serde_json::json!({"version": 3_000_000})),
    ("quorum", "pacemaker", |s| s.state("with_quorum=\"true\"", "with_quorum=\"false\"")),
    ("quorum-unknown", "corosync", |s| s.view.quorum = Err("corosync-quorumtool -s ended with 1".into())),
    ("quorum-device-stopped", "n2.lab", |s| s.device_of_quorum(("A,V,NMW n2", "NR n2"), ("", ""))),
    ("quorum-device-no-answer", "n2.lab", |s| s.device_of_quorum(("A,V,NMW n2", "A,NV,NMW n2"), ("", ""))),
    ("quorum-device-stopped", "n2.lab", |s| s.device_of_quorum(("A,V,NMW n2", "NA,NV,NMW n2"), ("", ""))),
    ("quorum-device-two-node", "corosync", |s| s.device_of_quorum(("Quorate Wait", "2Node Quorate Wait"), ("", ""))),
    ("quorum-device-votes", "corosync", |s| s.device_of_quorum(("", ""), ("quorum.device.votes (u32) = 1\n", ""))),
    ("quorum-device-slow", "corosync", |s| {
        s.device_of_quorum(("", ""), ("quorum.prov", "quorum.device.sync_timeout (u32) = 60000\nquorum.prov"));
    }),
    ("quorum-device-slow", "corosync", |s| {
        s.device_of_quorum(("", ""), ("quorum.prov", "quorum.device.timeout (u32) = 20000\nquorum.prov"));
    }),
    ("quorum-device-no-wait", "corosync", |s| s.device_of_quorum((" WaitForAll", ""), ("", ""))),
    ("quorum-device-own-host", "qnetd on 192.0.2.1", |s| s.device_of_quorum(("", ""), ("192.0.2.200", "192.0.2.1"))),
    ("quorum-device-own-host", "qnetd on q.lab", |s| {
        s.device_of_quorum(("", ""), ("192.0.2.200", "q.lab"));
        s.view.device_addresses.insert([192, 0, 2, 50].into());
    }),
    ("fencing-delayed", "pacemaker", |s| {
        s.device_of_quorum(("", ""), ("", ""));
        s.property("priority-fencing-delay", "10s");
    }),
    ("quorum-ignored", "pacemaker", |s| {
        s.device_of_quorum(("", ""), ("", ""));
        s.cib("value=\"stop\"", "value=\"ignore\"");
    }),
    ("fencing-disabled", "pacemaker", |s| {
        s.cib("name=\"stonith-enabled\" value=\"true\"", "name=\"stonith-enabled\" value=\"false\"")
    }),
    ("startup-fencing-disabled", "pacemaker", |s| s.property("startup-fencing", "false")),
    ("quorum-ignored", "pacemaker", |s| s.cib("value=\"stop\"", "value=\"ignore\"")),
    ("maintenance", "pacemaker", |s| s.property("maintenance-mode", "true")),
    ("no-device", "pacemaker", |s| {
        let (before, rest) = s.cib.split_once("<primitive id=\"fence-ganeti\"").unwrap();
        let after = rest.split_once("</primitive>").unwrap().1;
        s.cib = format!("{before}{after}");
    }),
    ("device-stopped", "fence-ganeti", |s| {
        s.cib("type=\"fence_ganeti\">", "type=\"fence_ganeti\"><meta_attributes id=\"z\"><nvpair id=\"y\" name=\"target-role\" value=\"Stopped\"/></meta_attributes>");
    }),
    ("device-misses-node", "n3.lab", |s| {
        s.cib(
            "<nvpair id=\"l\"",
            "<nvpair id=\"hl\" name=\"pcmk_host_list\" value=\"n1.lab,n2.lab n4\"/><nvpair id=\"l\"",
        );
    }),
    ("device-no-monitor", "fence-ganeti", |s| {
        s.cib("<op id=\"m\" name=\"monitor\" interval=\"60s\" timeout=\"30s\"/>", "")
    }),
    ("device-action-limit", "fence-ganeti", |s| {
        s.cib("name=\"pcmk_action_limit\" value=\"-1\"", "name=\"pcmk_action_limit\" value=\"1\"")
    }),
    ("device-accepts-isolated", "fence-ganeti", |s| {
        s.cib("<nvpair id=\"l\"", "<nvpair id=\"g\" name=\"minimum_grade\" value=\"isolated\"/><nvpair id=\"l\"");
    }),
    // A real mistake: this device was counted as one that reads the power.
    ("device-proves-little", "san", |s| {
        s.cib(
            "<primitive id=\"master\"",
            "<primitive id=\"san\" class=\"stonith\" type=\"fence_scsi\"/><primitive id=\"master\"",
        );
    }),
    ("device-proves-little", "own", |s| {
        s.cib(
            "<primitive id=\"master\"",
            "<primitive id=\"own\" class=\"stonith\" type=\"fence_mine\"/><primitive id=\"master\"",
        );
    }),
    // The grades account for these devices without a message: an off by them is not an off.
    ("device-off-unproven", "fence-ganeti", |s| s.parameter("missing_as_off", "true")),
    ("device-off-unproven", "pdu", |s| s.beside("fence_apc", &[("action", "status")])),
    ("device-off-unproven", "pdu", |s| s.beside("fence_azure_arm", &[("network-fencing", "1")])),
    ("device-off-unproven", "pdu", |s| s.beside("fence_virsh", &[("pcmk_off_action", "metadata")])),
    ("device-off-reboots", "pdu", |s| s.beside("fence_apc", &[("pcmk_off_action", "reboot")])),
    ("device-of-two-nodes", "pdu", |s| s.beside("fence_apc", &[("port", "3"), ("pcmk_host_list", "n2.lab,n3.lab")])),
    ("device-of-two-nodes", "pdu", |s| s.beside("fence_apc", &[("pcmk_host_map", "n2.lab:3;n3.lab:3")])),
    ("topology-level-ignored", "fl", |s| s.level("target=\"n3.lab\" index=\"10\" devices=\"fence-ganeti\"")),
    ("topology-level-ignored", "fl", |s| s.level("target=\"n9.lab\" index=\"1\" devices=\"fence-ganeti\"")),
    ("topology-level-ignored", "fl", |s| s.level("target-pattern=\"^x\" index=\"1\" devices=\"fence-ganeti\"")),
    ("topology-level-ignored", "fl", |s| s.level("target=\"n3.lab\" index=\"1\" devices=\"fence-ganeti,gone\"")),
    ("topology-level-ignored", "fl", |s| {
        s.beside("fence_apc", &[("pcmk_host_list", "n2.lab")]);
        s.level("target=\"n3.lab\" index=\"1\" devices=\"fence-ganeti,pdu\"");
    }),
    ("topology-level-ignored", "fl", |s| {
        s.level("target-pattern=\"^n3\" index=\"1\" devices=\"fence-ganeti\"");
        s.cib(
            "</fencing-topology>",
            "<fencing-level id=\"by-name\" target=\"n3.lab\" index=\"1\" devices=\"fence-ganeti\"/></fencing-topology>",
        );
    }),
    ("topology-without-ours", "n3.lab", |s| {
        let pdu = "<primitive id=\"pdu\" class=\"stonith\" type=\"fence_apc\"/><primitive id=\"master\"";
        s.cib("<primitive id=\"master\"", pdu);
        let level = "<fencing-topology><fencing-level id=\"fl\" target=\"n3.lab\" index=\"1\" devices=\"pdu\"/></fencing-topology>";
        s.cib("</configuration>", &format!("{level}</configuration>"));
    }),
    ("device-on-regular-nodes", "n4.lab", |s| {
        s.cib("node=\"n4.lab\" score=\"-INFINITY\"", "node=\"n4.lab\" score=\"-100\"")
    }),
    // A constraint with a name that Pacemaker does not have applies to no node.
    ("device-on-regular-nodes", "n4.lab", |s| {
        s.cib("node=\"n4.lab\" score=\"-INFINITY\"", "node=\"n4\" score=\"-INFINITY\"")
    }),
    ("one-fencer", "n1.lab", |s| {
        s.view.lacking = ["n2.lab", "n3.lab", "n4.lab"].map(PacemakerName::of_test).into();
    }),
    ("one-fencer", "pacemaker", |s| {
        s.view.lacking = ["n1.lab", "n2.lab", "n3.lab", "n4.lab"].map(PacemakerName::of_test).into();
    }),
    ("device-banned", "n3", |s| {
        let by_name =
            "<rsc_location id=\"gnt-ha-fence-avoids-n3.lab\" rsc=\"fence-ganeti\" node=\"n3\" score=\"-INFINITY\"/>";
        s.cib("</constraints>", &format!("{by_name}</constraints>"));
    }),
    ("concurrent-fencing-off", "pacemaker", |s| s.property("concurrent-fencing", "false")),
    ("budget", "fence-ganeti", |s| s.cib("value=\"72s\"", "value=\"20s\"")),
    ("budget", "n1.lab and 3 more", |s| {
        let self_fence = "[self_fence]\nlease = 20\nwatchdog_timeout = 9\n";
        s.config = format!("{self_fence}\n[devices.shun]\ndriver = \"shun\"\n{}", s.config)
            .replace("[\"bmc\"]]", "[\"bmc\"], [\"shun\"]]");
    }),
    ("master-role-missing", "ganeti-master-role", |s| s.cib("type=\"ganeti-master-role\"", "type=\"other\"")),
    ("master-role-twice", "second", |s| {
        let (_, rest) = s.cib.split_once("<primitive id=\"master\"").unwrap();
        let body = rest.split_once("</primitive>").unwrap().0;
        let second = format!("<primitive id=\"second\"{body}</primitive><clone id=\"nodes\">");
        s.cib("<clone id=\"nodes\">", &second);
    }),
    ("master-role-no-stickiness", "master", |s| {
        s.cib("name=\"resource-stickiness\" value=\"INFINITY\"", "name=\"resource-stickiness\" value=\"0\"")
    }),
    ("master-role-unfenced", "master", |s| {
        s.cib("<nvpair id=\"t\"", "<nvpair id=\"r\" name=\"requires\" value=\"quorum\"/><nvpair id=\"t\"")
    }),
    ("master-role-start-timeout", "master", |s| s.cib("timeout=\"300s\"", "timeout=\"20s\"")),
    ("node-role-missing", "ganeti-node-role", |s| s.cib("type=\"ganeti-node-role\"", "type=\"other\"")),
    ("node-role-no-clone", "node", |s| {
        s.cib("<clone id=\"nodes\"><meta_attributes id=\"n\"><nvpair id=\"o\" name=\"notify\" value=\"true\"/></meta_attributes>", "");
        s.cib("</clone>", "");
    }),
    ("node-role-no-notify", "nodes", |s| s.cib("name=\"notify\" value=\"true\"", "name=\"notify\" value=\"false\"")),
    ("role-stopped", "nodes", |s| {
        s.cib("<nvpair id=\"o\"", "<nvpair id=\"w\" name=\"is-managed\" value=\"false\"/><nvpair id=\"o\"")
    }),
    ("role-no-monitor", "master", |s| s.cib("<op id=\"mm\" name=\"monitor\" interval=\"10s\" timeout=\"30s\"/>", "")),
    ("role-failure-ignored", "master", |s| {
        s.cib("<op id=\"ms\"", "<op id=\"mx\" name=\"stop\" interval=\"0\" on-fail=\"ignore\"/><op id=\"ms\"")
    }),
    ("health-unused", "ocf:health:on", |s| s.view.tags.push("ocf:health:on".into())),
    ("health-stops-role", "nodes", |s| {
        s.property("node-health-strategy", "migrate-on-red");
        let inside = "<meta_attributes id=\"in\"><nvpair id=\"au\" name=\"allow-unhealthy-nodes\" value=\"true\"/></meta_attributes>";
        s.cib("type=\"ganeti-node-role\">", &format!("type=\"ganeti-node-role\">{inside}"));
    }),
    ("master-inactive", "pacemaker", |s| s.master_role("role=\"Stopped\" active=\"false\"/>")),
    ("master-elsewhere", "n2.lab", |s| {
        s.master_role("role=\"Started\" active=\"true\"><node name=\"n2.lab\"/></resource>")
    }),
    // The path of the alert agent differs from that of now.
    ("setup-differs", "pacemaker", |s| {
        s.cib(
            "</configuration>",
            "<alerts><alert id=\"gnt-ha-alert\" path=\"/usr/local/bin/old\"/></alerts></configuration>",
        )
    }),
    ("node-unclean", "n2.lab", |s| {
        s.state(
            "name=\"n2.lab\" online=\"true\" unclean=\"false\"",
            "name=\"n2.lab\" online=\"false\" unclean=\"true\"",
        )
    }),
    ("fencing-failed", "n3.lab", |s| s.state("status=\"success\"", "status=\"failed\"")),
    ("node-not-in-pacemaker", "n4.lab", |s| s.state("<node name=\"n4.lab\" online=\"true\" unclean=\"false\"/>", "")),
    ("node-not-in-ganeti", "n5.lab", |s| {
        s.state("</nodes>", "<node name=\"n5.lab\" online=\"true\" unclean=\"false\"/></nodes>")
    }),
    ("remote-master-capable", "n4.lab", |s| {
        s.state(
            "<node name=\"n4.lab\" online=\"true\" unclean=\"false\"/>",
            "<node name=\"n4.lab\" online=\"true\" unclean=\"false\" type=\"remote\"/>",
        );
    }),
    ("remote-connection-migrates", "n4.lab", |s| s.remote(true)),
    ("remote-key-differs", "n2.lab", |s| {
        s.remote(false);
        let none = Program { remote_key: None, ..program() };
        s.answered("n2.lab", NodeSurvey::Answered { program: Some(none), skew_ms: 0, self_fence: None });
    }),
    ("remote-key-differs", "n3.lab", |s| {
        s.remote(false);
        let other = Program { remote_key: Some("b".into()), ..program() };
        s.answered("n3.lab", NodeSurvey::Answered { program: Some(other), skew_ms: 0, self_fence: None });
    }),
    ("remote-key-differs", "n1.lab", |s| {
        s.remote(false);
        s.view.survey.as_mut().unwrap().as_mut().unwrap().own.remote_key = None;
    }),
    ("offline-but-online", "n4.lab", |s| s.ganeti["nodes"]["u4"]["offline"] = true.into()),
    ("lost-but-not-offline", "n4.lab", |s| {
        s.state("name=\"n4.lab\" online=\"true\"", "name=\"n4.lab\" online=\"false\"")
    }),
    ("two-nodes-partial-mode", "ganeti", |s| {
        s.view.tags.clear();
        for gone in ["u3", "u4"] {
            s.ganeti["nodes"].as_object_mut().unwrap().remove(gone);
        }
        for gone in ["n3", "n4"] {
            s.state(&format!("<node name=\"{gone}.lab\" online=\"true\" unclean=\"false\"/>"), "");
        }
    }),
    ("no-oob-program", "n3.lab", |s| s.ganeti["nodes"]["u3"]["ndparams"]["oob_program"] = "".into()),
    ("oob-program-missing", PROGRAM, |s| {
        s.view.programs.insert(PathBuf::from(PROGRAM), Some("there is no such file".into()));
    }),
    // At its next monitor each host publishes that it lacks the program.
    ("oob-program-missing", PROGRAM, |s| {
        s.view.programs.insert(PathBuf::from(PROGRAM), Some("there is no such file".into()));
        s.view.lacking = ["n1.lab", "n2.lab", "n3.lab", "n4.lab"].map(PacemakerName::of_test).into();
    }),
    ("device-no-answer", "n2.lab", |s| s.device("n2.lab", 1, None)),
    ("level-no-answer", "n2.lab", |s| {
        s.with_pdu();
        s.device("n2.lab", 1, None);
    }),
    // The outlet of another host: this host's BMC reports on.
    ("levels-disagree", "n3.lab", |s| {
        s.with_pdu();
        s.device("n3.lab", 2, Some(Power::Off));
    }),
    // Another device, at the address of another node's BMC.
    ("machine-shared", "n3.lab", |s| {
        let own = "[devices.other]\ndriver = \"agent\"\nagent = \"fence_ipmilan\"\noptions = { ipaddr = \"N2-BMC\" }\n\
                   [nodes.\"n3.lab\"]\nlevels = [[\"other\"]]\n";
        s.config.push_str(own);
        s.view.devices.insert(name("n3.lab"), vec![device(1, "other")]);
    }),
    // Boards of one maker with the key that it ships.
    ("fingerprint-shared", "n4.lab", |s| {
        let key = format!("sha256//{}=", "A".repeat(43));
        for node in ["n3", "n4"] {
            s.config.push_str(&format!(
                "[devices.{node}]\ndriver = \"redfish\"\naddress = \"{node}-board\"\nusername = \"u\"\npassword_file = \"/p\"\n\
                 fingerprint = \"{key}\"\n[nodes.\"{node}.lab\"]\nlevels = [[\"{node}\"]]\n"
            ));
            s.view.devices.insert(name(&format!("{node}.lab")), vec![device(1, node)]);
        }
    }),
    ("bmc-of-another-node", "n2.lab", |s| {
        s.identities("n2.lab", "27946b59-9e44-4fa7-8e91-f3527a1ef094", "4c4c4544-0042-3310-8052-b7c04f4d4b32");
        let serial = Some("27946b59-9e44-4fa7-8e91-f3527a1ef094".into());
        let host = Some(HostIdentity { uuid: serial, serial_number: None });
        let owner = Program { host, ..program() };
        s.answered("n3.lab", NodeSurvey::Answered { program: Some(owner), skew_ms: 0, self_fence: None });
    }),
    ("bmc-shared", "n3.lab", |s| {
        let of = |uuid: &str| Some(HostIdentity { uuid: Some(uuid.into()), serial_number: None });
        for (node, bytes) in
            [("n2.lab", "4c4c4544-0042-3310-8052-b7c04f4d4b32"), ("n3.lab", "44454c4c-4200-1033-8052-b7c04f4d4b32")]
        {
            s.view.devices.get_mut(&name(node)).unwrap()[0].identity = of(bytes);
        }
    }),
    ("bmc-identity-differs", "n4.lab", |s| {
        s.identities("n4.lab", "27946b59-9e44-4fa7-8e91-f3527a1ef094", "4c4c4544-0042-3310-8052-b7c04f4d4b32");
    }),
    // The node reports nothing of itself that could be compared.
    ("bmc-refused", "n4.lab", |s| {
        s.identities("n4.lab", "27946b59-9e44-4fa7-8e91-f3527a1ef094", "");
        s.proven("n4.lab", "4c4c4544-0042-3310-8052-b7c04f4d4b32");
    }),
    ("grade-too-weak", "n3.lab", |s| {
        // The other nodes have a BMC. Shunning is the only level of n3, and it has no self-fencing.
        let own = "[devices.shun]\ndriver = \"shun\"\n[nodes.\"n3.lab\"]\nlevels = [[\"shun\"]]\n";
        s.config.push_str(own);
        s.view.devices.insert(name("n3.lab"), vec![device(1, "shun")]);
    }),
    ("configuration-wrong", "ganeti-oob", |s| s.config.push_str("[defalut]\n")),
    ("no-levels", "n3.lab", |s| {
        s.config = s.config.replace("[default]\n", "[nodes.\"n3.lab\"]\nvalues = {}\n[nodes.\"n[124]*\"]\n");
        s.config = s.config.replace(
            "[nodes.\"n[124]*\"]",
            "[nodes.\"n1.lab\"]\nlevels = [[\"bmc\"]]\n[nodes.\"n2.lab\"]\nlevels = [[\"bmc\"]]\n[nodes.\"n4.lab\"]",
        );
    }),
    ("configuration-accepts-isolated", "config.toml", |s| s.config.insert_str(0, "minimum_grade = \"isolated\"\n")),
    ("one-candidate", "ganeti", |s| {
        for other in ["u2", "u3"] {
            s.ganeti["nodes"][other]["master_candidate"] = false.into();
        }
        s.ganeti["cluster"]["candidate_pool_size"] = 1.into();
        // These two are kept off the device, as they should be.
        s.cib("</constraints>", "<rsc_location id=\"k2\" rsc=\"fence-ganeti\" node=\"n2.lab\" score=\"-INFINITY\"/><rsc_location id=\"k3\" rsc=\"fence-ganeti\" node=\"n3.lab\" score=\"-INFINITY\"/></constraints>");
    }),
    ("candidates-missing", "ganeti", |s| s.ganeti["cluster"]["candidate_pool_size"] = 10.into()),
    ("drbd-discards", "the cluster's net-custom", |s| {
        s.ganeti["cluster"]["diskparams"] =
            serde_json::json!({"drbd": {"net-custom": "--after-sb-1pri=discard-secondary"}});
    }),
    ("candidate-no-answer", "n3.lab", |s| s.view.candidates.get_mut(&name("n3.lab")).unwrap().master = None),
    ("masters-disagree", "n3.lab", |s| {
        s.view.candidates.get_mut(&name("n3.lab")).unwrap().master = Some(("n3.lab".into(), 9));
    }),
    ("node-drained", "n4.lab", |s| s.ganeti["nodes"]["u4"]["drained"] = true.into()),
    ("instance-not-covered", "mail", |s| {
        let not_covered = NotCoveredInstance {
            instance: InstanceName::new("mail").unwrap(),
            primary: Some(name("n3.lab")),
            why: NotCovered::Secondaries(0),
        };
        s.view.coverage = Some(Coverage { covered: Vec::new(), not_covered: vec![not_covered] });
    }),
    ("unknown-tag", "ocf:master-role:ful", |s| s.view.tags.push("ocf:master-role:ful".into())),
    ("ineffective-tag", "ocf:node-role:check-storage", |s| s.view.tags.push("ocf:node-role:check-storage".into())),
    ("no-fence-agent", "fence_ganeti", |s| s.view.host.fence_agent = Installed::Missing),
    ("example-agent", "ganeti-master-role", |s| {
        s.view.host.agents.insert("ganeti-master-role", Installed::Script);
    }),
    ("no-agent", "ganeti-node-role", |s| {
        s.view.host.agents.insert("ganeti-node-role", Installed::Missing);
    }),
    ("hook-missing", "/etc/ganeti/hooks", |s| {
        for dir in ["cluster-verify-post.d", "config-update-post.d"] {
            s.view.host.hooks.insert(format!("{dir}/gnt-ha").into(), "there is no such file".into());
        }
    }),
    ("harep-beside", "/etc/cron.d/harep", |s| {
        s.view.tags.push(RECOVER.to_owned());
        s.view.host.harep.push("/etc/cron.d/harep".into());
    }),
    ("no-voting-default", "/etc/default/ganeti", |s| s.view.host.no_voting.push("/etc/default/ganeti".into())),
    ("stale-pidfile", "/run/ganeti/ganeti-luxid.pid", |s| {
        s.view.host.stale_pidfiles.push("/run/ganeti/ganeti-luxid.pid".into());
    }),
    ("watcher-absent", "/etc/cron.d/ganeti", |s| s.view.host.watcher_absent = Some("/etc/cron.d/ganeti".into())),
    ("watcher-paused", "ganeti-watcher", |s| s.view.host.watcher_paused = Some(1)),
    ("simulated", "wrong-role", |s| {
        s.view.host.simulated.insert(Simulated::WrongRole);
    }),
    ("unknown-simulation", "wrong-roll", |s| s.view.host.simulates_nothing.push("wrong-roll".into())),
    ("paused", "gnt-ha", |s| s.view.host.pause = Some(Pause { reason: "x".into(), by: "root".into(), since_ms: 1 })),
    ("breaker-open", "gnt-ha", |s| {
        let blocked = [name("n2.lab"), name("n3.lab"), name("n4.lab")].into();
        s.view.host.breaker = Some(OpenState { since_ms: 1, blocked, down: BTreeSet::new(), limit: 2 });
    }),
    ("state-unreadable", "gnt-ha", |s| s.view.host.unreadable.push("reconcile-memory.json: expected value".into())),
    ("role-blocked", "newer-config.json", |s| {
        s.view.host.newer_config = Ok(Some(NewerConfig { serial: 1 << 60, master: "n4.lab".into(), confirmed: true }));
    }),
    ("role-blocked", "newer-config.json", |s| s.view.host.newer_config = Err("expected value at line 1".into())),
    ("shunned", "n4.lab", |s| {
        s.view.host.shunned.insert(name("n4.lab"), "fence_ganeti".into());
    }),
    ("systemd-watchdog", "systemd", |s| s.view.host.systemd_watchdogs.push("RebootWatchdogUSec=10min".into())),
    ("unit-not-enabled", "gnt-ha-self-fence.service", |s| {
        s.view.host.not_enabled.push("gnt-ha-self-fence.service".into())
    }),
    ("lease-at-risk", "gnt-ha-self-fence", |s| {
        s.view.host.lease_lacks = Some("signed echoes came back from 1 of 3".into())
    }),
    ("survey-unknown", "ganeti-oob", |s| s.view.survey = Some(Err("no certificate".into()))),
    ("candidate-program-no-answer", "n3.lab", |s| {
        s.answered("n3.lab", NodeSurvey::NoAnswer("there is no such program".into()))
    }),
    ("node-program-no-answer", "n4.lab", |s| {
        s.answered("n4.lab", NodeSurvey::NoAnswer("did not answer in time".into()))
    }),
    ("versions-differ", "n4.lab", |s| {
        let older = Program { version: "0.0.9".into(), ..program() };
        s.answered("n4.lab", NodeSurvey::Answered { program: Some(older), skew_ms: 0, self_fence: None });
    }),
    ("configurations-differ", "n2.lab", |s| {
        s.answered("n2.lab", NodeSurvey::Answered { program: Some(other()), skew_ms: 0, self_fence: None });
    }),
    // n4 is not a candidate, and may fence by the copy that it has.
    ("configurations-differ", "n4.lab", |s| {
        s.answered("n4.lab", NodeSurvey::Answered { program: Some(other()), skew_ms: 0, self_fence: None });
    }),
    ("configurations-differ", "n3.lab", |s| {
        let none = Program { config: None, digest: None, ..program() };
        s.answered("n3.lab", NodeSurvey::Answered { program: Some(none), skew_ms: 0, self_fence: None });
    }),
    // An older version does not report what its file decides.
    ("configurations-differ", "n2.lab", |s| {
        let older = Program { digest: None, ..other() };
        s.answered("n2.lab", NodeSurvey::Answered { program: Some(older), skew_ms: 0, self_fence: None });
    }),
    // This host's file has changed, and the others do not have it yet.
    ("configurations-differ", "n1.lab", |s| {
        s.property(DIGEST_PROPERTY, DIGEST);
        s.view.survey.as_mut().unwrap().as_mut().unwrap().own = other();
    }),
    // All hosts have the file, and Pacemaker keeps the digest of the one before.
    ("configurations-differ", DIGEST_PROPERTY, |s| s.property(DIGEST_PROPERTY, &DIGEST.replace('a', "c"))),
    ("clock-skew", "n4.lab", |s| {
        s.answered("n4.lab", NodeSurvey::Answered { program: Some(program()), skew_ms: -6_000, self_fence: None });
    }),
];
