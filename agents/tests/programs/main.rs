//! Runs the programs as Pacemaker does, on directories of their own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

mod attributes;
mod claims;
mod common;
mod metadata;
mod stop;

use std::time::{SystemTime, UNIX_EPOCH};

use common::{MASTER, NODE, Scene};
use serde_json::json;

/// A recurring monitor of Pacemaker, not a probe.
const RECURRING: (&str, &str) = ("OCF_RESKEY_CRM_meta_interval", "10000");

#[test]
fn the_role_is_where_ganetis_files_name_it() {
    for (here, expected) in [("n1.lab", 0), ("n2.lab", 7), ("n4.lab", 5)] {
        let scene = Scene::new(here);
        scene.has_served();
        assert_eq!(scene.run(MASTER, "monitor", &[RECURRING]).code, expected, "{here}");
    }
    for (here, expected) in [("n1.lab", 8), ("n2.lab", 0), ("n4.lab", 0)] {
        let scene = Scene::new(here);
        scene.has_served();
        let clone = ("OCF_RESKEY_CRM_meta_promoted_max", "1");
        assert_eq!(scene.run(MASTER, "start", &[clone]).code, 0, "{here} as a clone");
        assert_eq!(scene.run(MASTER, "monitor", &[clone, RECURRING]).code, expected, "{here} as a clone, started");
    }
}

/// A probe does not trust the node's own files alone: the node may have just returned, and its peers may not answer.
/// Without another candidate there is no peer to ask.
#[test]
fn a_first_monitor_needs_the_claim_of_a_peer() {
    let clone = ("OCF_RESKEY_CRM_meta_promoted_max", "1");
    for call in [&[][..], &[clone]] {
        assert_eq!(Scene::new("n1.lab").run(MASTER, "monitor", call).code, 7);
    }
    assert_eq!(Scene::new("n1.lab").alone().run(MASTER, "monitor", &[]).code, 0);
    assert_eq!(Scene::new("n1.lab").alone().run(MASTER, "monitor", &[clone]).code, 8);
}

#[test]
fn every_failure_has_one_line_of_reason() {
    let scene = Scene::new("n4.lab");
    let ended = scene.run(MASTER, "start", &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (5, "ocf-exit-reason:this node is not a master candidate\n"));
    let prefix = [("OCF_EXIT_REASON_PREFIX", "why:")];
    assert_eq!(scene.run(MASTER, "start", &prefix).stderr, "why:this node is not a master candidate\n");
    let elsewhere = Scene::new("n9.lab");
    let ended = elsewhere.run(MASTER, "validate-all", &[]);
    assert_eq!(ended.code, 5);
    assert!(ended.stderr.contains("Ganeti has no node n9.lab (set node_name)"), "{}", ended.stderr);
    let relative = scene.run(NODE, "monitor", &[("OCF_RESKEY_data_dir", "x")]);
    assert_eq!(relative.code, 6);
}

#[test]
fn an_unknown_action_is_unimplemented() {
    let scene = Scene::new("n1.lab");
    for (agent, action) in [(MASTER, "recover"), (MASTER, ""), (MASTER, "promote"), (NODE, "promote"), (NODE, "x")] {
        assert_eq!(scene.run(agent, action, &[]).code, 3, "{agent} {action}");
    }
    for action in ["notify", "reload", "validate-all"] {
        assert_eq!(scene.run(MASTER, action, &[]).code, 0, "{action}");
        assert_eq!(scene.run(NODE, action, &[]).code, 0, "{action}");
    }
}

/// A failed stop has the node fenced: the stop of the example agents always fails.
#[test]
fn stop_succeeds_everywhere_and_is_kept() {
    for here in ["n1.lab", "n2.lab", "n4.lab", "n9.lab"] {
        let scene = Scene::new(here);
        for _ in 0..2 {
            assert_eq!(scene.run(MASTER, "stop", &[]).code, 0, "{here}");
            assert_eq!(scene.run(NODE, "stop", &[]).code, 0, "{here}");
        }
        assert_eq!(scene.run(NODE, "monitor", &[]).code, 7);
        assert_eq!(scene.run(NODE, "start", &[]).code, 0);
        assert_eq!(scene.run(NODE, "monitor", &[]).code, 0);
    }
    let scene = Scene::new("n1.lab");
    scene.run(MASTER, "stop", &[]);
    assert_eq!(scene.run(MASTER, "monitor", &[]).code, 7);
}

#[test]
fn a_start_brings_luxid_up_and_a_stop_takes_it_down() {
    let scene = Scene::new("n1.lab").alone();
    scene.run(MASTER, "stop", &[]);
    let started = scene.run(MASTER, "start", &[]);
    assert_eq!(started.code, 0, "{}", started.stderr);
    assert_eq!(scene.run(MASTER, "monitor", &[]).code, 0);
    assert_eq!(scene.run(MASTER, "start", &[]).code, 0, "again");
    assert_eq!(scene.run(MASTER, "stop", &[]).code, 0);
    assert_eq!(scene.run(MASTER, "monitor", &[]).code, 7);
}

/// Exit 1 of `gnt-cluster master-failover` does not mean that it failed: luxid is asked.
#[test]
fn a_failover_that_fails_and_serves_is_a_success() {
    let scene = Scene::new("n2.lab").of_two_living();
    scene.program("gnt-cluster", "echo n2.lab > $DATA/ssconf_master_node; $0.luxid & echo oh >&2; exit 1");
    let ended = scene.run(MASTER, "start", &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(scene.run(MASTER, "monitor", &[]).code, 0);
}

#[test]
fn a_failover_that_fails_reports_its_reason() {
    let scene = Scene::new("n2.lab").of_two_living();
    scene.program("gnt-cluster", "echo 'I have a wrong configuration' >&2; exit 1");
    let ended = scene.run_or_kill(MASTER, "start", 30);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("gnt-cluster master-failover ended with 1: I have a wrong"), "{}", ended.stderr);
}

/// Pacemaker kills an agent at its timeout: our agents end before, with a reason.
#[test]
fn a_failover_that_hangs_ends_before_pacemakers_timeout() {
    let scene = Scene::new("n2.lab").of_two_living();
    scene.program("gnt-cluster", "exec sleep 60");
    let ended = scene.run_or_kill(MASTER, "start", 7);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("did not end within"), "{}", ended.stderr);
}

/// Without a majority and without a proof nothing is changed.
#[test]
fn without_votes_and_without_proof_the_role_is_not_taken() {
    let scene = Scene::new("n2.lab");
    scene.program("gnt-cluster", "touch $DATA/touched");
    let ended = scene.run_or_kill(MASTER, "start", 4);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("1 of 4 nodes can vote"), "{}", ended.stderr);
    assert!(!scene.data().join("touched").exists());
}

/// The shun list has the old master as shunned, and the kernel shuns no node. The list alone is not silence, and a node
/// that answers is not gone, whatever was proven of it before.
#[test]
fn a_shun_list_without_rules_makes_no_living_master_silent() {
    let scene = Scene::new("n2.lab");
    for file in ["node_list", "online_nodes", "master_candidates"] {
        scene.file(&format!("ssconf_{file}"), "n1.lab\nn2.lab\n");
    }
    scene.program("gnt-cluster", "touch $DATA/touched");
    let entry = json!({"epoch": 1, "addresses": ["127.3.9.1"], "scope": "all", "grade": "off", "boot_id": null,
                       "since_ms": 1, "by": "the test"});
    scene.state("shun-list.json", &json!({"n1.lab": entry}).to_string());
    let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64 - 5_000;
    let at = json!({"wall_ms": wall_ms, "boottime_ms": 1});
    let intent = json!({"kind": "intent", "version": 1, "id": "a-1", "program": "fence_ganeti", "action": "off", "node": "n1.lab",
        "requested_by": {"program": "pacemaker-fenced", "pid": 28, "user": "root"}, "host": "n2.lab", "boot_id": "b1", "at": at});
    let receipt = json!({"kind": "receipt", "version": 1, "id": "a-1", "node": "n1.lab", "outcome": "done", "grade": "off",
        "proven_by": "bmc", "steps": [], "at": at, "duration_ms": 1});
    scene.state("receipts.jsonl", &format!("{intent}\n{receipt}\n"));
    let ended = scene.run_or_kill(MASTER, "start", 6);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("1 of 2 nodes can vote"), "{}", ended.stderr);
    assert!(!scene.data().join("touched").exists());
}

/// An offline node rejoined Pacemaker without being readded, and the last node with a newer configuration dies.
#[test]
fn a_newer_configuration_that_this_node_missed_blocks_the_role() {
    let scene = Scene::new("n2.lab").of_two_living();
    scene.program("gnt-cluster", "touch $DATA/touched");
    let newer = r#"{"serial": 150, "master": "n1.lab", "confirmed": true}"#;
    for (text, reason) in [(newer, "n1.lab had 150"), ("{\"serial\": 15", "a damaged newer-config.json")] {
        scene.state("newer-config.json", text);
        let ended = scene.run_or_kill(MASTER, "start", 10);
        assert_eq!(ended.code, 1);
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
        assert!(!scene.data().join("touched").exists());
    }
}

/// A stopped daemon (SIGSTOP) keeps its socket: the check fails within the deadline, and does not hang.
#[test]
fn full_mode_finds_a_hung_luxid_in_time() {
    let scene = Scene::new("n1.lab");
    scene.file("ssconf_cluster_tags", "ocf:master-role:full\n");
    let _never_accepts = scene.listen("ganeti-query");
    let ended = scene.run_or_kill(MASTER, "monitor", 3);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("luxid: ") && ended.stderr.contains("wconfd: "), "{}", ended.stderr);
}

#[test]
fn each_simulation_file_of_a_node_is_a_failure_in_full_mode_only() {
    for file in ["unresponsive-noded", "unresponsive-confd", "read-only-root"] {
        let scene = Scene::new("n1.lab");
        scene.simulate(file);
        assert_eq!(scene.run(NODE, "monitor", &[]).code, 0, "{file} in partial mode");
        scene.file("ssconf_cluster_tags", "ocf:node-role:full\n");
        let ended = scene.run(NODE, "monitor", &[("OCF_RESKEY_CRM_meta_timeout", "2000")]);
        assert_eq!(ended.code, 1);
        assert!(ended.stderr.contains("simulated by a file"), "{file}: {}", ended.stderr);
    }
    let scene = Scene::new("n1.lab");
    scene.simulate("wrong-role");
    assert_eq!(scene.run(MASTER, "monitor", &[]).code, 5);
}

/// In full mode a start after a stop restarts a daemon that hangs. A daemon that never ran or was stopped by hand is not
/// started, and a simulated failure kills no daemon.
#[test]
fn a_start_after_a_stop_restarts_a_silent_daemon_in_full_mode() {
    for (ran, simulated, tag, restarted) in [
        (true, false, "ocf:node-role:full", true),
        (false, false, "ocf:node-role:full", false),
        (true, true, "ocf:node-role:full", false),
        (true, false, "ocf:node-role:partial", false),
    ] {
        let scene = Scene::new("n4.lab");
        scene.file("ssconf_cluster_tags", &format!("{tag}\n"));
        scene.program("daemon-util", "echo $* >> $DATA/asked");
        if ran {
            scene.dead("ganeti-noded");
        }
        if simulated {
            scene.simulate("unresponsive-noded");
        }
        let start = || assert_eq!(scene.run(NODE, "start", &[("OCF_RESKEY_CRM_meta_timeout", "2000")]).code, 0);
        let asked = || std::fs::read_to_string(scene.data().join("asked")).unwrap_or_default();
        start();
        assert_eq!(asked(), "", "the first start since the boot");
        assert_eq!(scene.run(NODE, "stop", &[]).code, 0);
        start();
        assert_eq!(asked(), if restarted { "start ganeti-noded\n" } else { "" }, "{ran} {simulated} {tag}");
    }
}

/// A node that left gracefully is drained, and not a candidate when Pacemaker probes it again. The role was then kept
/// from it for good, though it was un-drained a moment later.
#[test]
fn a_node_that_becomes_a_candidate_is_probed_again() {
    let scene = Scene::new("n2.lab");
    scene.program("crm_resource", "echo $* >> $DATA/asked");
    let asked = || std::fs::read_to_string(scene.data().join("asked")).unwrap_or_default();
    let recurring = [("OCF_RESKEY_CRM_meta_interval", "10000"), ("OCF_RESKEY_CRM_meta_on_node", "n2.lab")];
    let candidates = |text: &str| scene.file("ssconf_master_candidates", text);
    candidates("n1.lab\n");
    assert_eq!(scene.run(MASTER, "monitor", &[]).code, 5);
    assert_eq!(scene.run(NODE, "monitor", &recurring).code, 0);
    assert_eq!(asked(), "", "still no candidate");
    candidates("n1.lab\nn2.lab\n");
    for _ in 0..2 {
        assert_eq!(scene.run(NODE, "monitor", &recurring).code, 0);
        assert_eq!(asked(), "--refresh --resource master --node n2.lab\n", "once");
    }
}

/// The check that a tag adds: storage that this node has must accept a write; storage that it does not have is not
/// checked.
#[test]
fn the_storage_that_a_tag_names_is_written_to() {
    for (dir, reason) in [("/proc", "storage: /proc: "), ("/nonexistent", "")] {
        let scene = Scene::new("n1.lab");
        scene.file("ssconf_shared_file_storage_dir", &format!("{dir}\n"));
        scene.file("ssconf_cluster_tags", "ocf:node-role:full\nocf:node-role:check-storage\n");
        let ended = scene.run(NODE, "monitor", &[("OCF_RESKEY_CRM_meta_timeout", "3000")]);
        // noded and confd do not answer in this scene.
        assert_eq!(ended.code, 1);
        assert_eq!(ended.stderr.contains("storage: "), !reason.is_empty(), "{}", ended.stderr);
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    }
}

/// The target: 4 ms of CPU time, 8 MB, no child process. The limits here are for an unoptimised build.
#[test]
fn a_partial_monitor_starts_nothing_and_is_cheap() {
    let scene = Scene::new("n1.lab").alone();
    for agent in [MASTER, NODE] {
        // No child process: the limit on processes forbids one. (It counts the agent's own threads, too.)
        let ended = scene.limited(agent, "monitor", &["--as=67108864", "--cpu=1"]);
        assert_eq!(ended.code, 0, "{agent}: {}", ended.stderr);
    }
}
