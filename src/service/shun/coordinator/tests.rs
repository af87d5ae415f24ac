use super::*;
use crate::core::shun::memory::MemoryError;
use crate::core::shun::messages::VERSION;
use crate::sys::config_file;
use serde_json::json;

/// Returns a directory with Ganeti's configuration of `n1` to `n4`, all candidates, and a shun list.
fn place(list: &serde_json::Value) -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let node = |n: u8| {
        json!({"name": format!("n{n}.lab"), "primary_ip": format!("192.0.2.{n}"), "master_candidate": true,
                            "offline": false})
    };
    let nodes = json!({"u1": node(1), "u2": node(2), "u3": node(3), "u4": node(4)});
    let ganeti = json!({"cluster": {"cluster_name": "c.lab", "master_node": "u1"}, "nodes": nodes, "disks": {}});
    std::fs::write(dir.path().join("config.data"), ganeti.to_string()).unwrap();
    std::fs::write(dir.path().join("shun-list.json"), list.to_string()).unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, format!("state_directory = \"{}\"\n", dir.path().display())).unwrap();
    let config = config_file::load(&path).unwrap();
    (dir, config)
}

fn shunned(epoch: u64) -> serde_json::Value {
    json!({"n4.lab": {"epoch": epoch, "addresses": ["192.0.2.4"], "scope": "all", "grade": "unknown",
                      "boot_id": null, "since_ms": 1, "by": "the test"}})
}

/// A candidate whose disk could not store the readmission loses it with its next boot, and takes the running boot
/// for the one that has stopped.
#[test]
fn a_readmission_that_is_in_memory_only_is_not_known() {
    let (dir, _config) = place(&json!({}));
    let node = NodeName::new("n4.lab").unwrap();
    let is_known = |not_durable: Option<&str>| {
        let report = |name: &str, not_durable: Option<&str>| -> (NodeName, Result<PeerReport, PeerError>) {
            let report = json!({"version": VERSION, "node": name, "boot_id": "b", "shun_list": shunned(2), "shunned": {},
                                "ruleset_id": "", "not_durable": not_durable});
            (NodeName::new(name).unwrap(), Ok(serde_json::from_value(report).unwrap()))
        };
        let answers = BTreeMap::from([report("n1.lab", None), report("n2.lab", not_durable)]);
        let network = network::read(dir.path()).unwrap();
        let (epoch, round, self_fence) = (Epoch(2), Err(Vec::new()), KeptReports::default());
        RoundResult { answers, epoch, round, self_fence, network }.is_known_to_enough(&node, epoch)
    };
    assert_eq!(is_known(None), Ok(()));
    let one = MemoryError::TooFewInformed { informed: 1, candidates: 3 };
    assert_eq!(is_known(Some("no space left")), Err(one));
}

/// A proof in one epoch proves nothing of the boot that is shunned in a later one.
#[test]
fn a_proof_is_kept_for_the_epoch_that_was_checked() {
    let (dir, config) = place(&shunned(3));
    let coordinator = ShunCoordinator::of(&NodeName::new("n4.lab").unwrap(), &config, dir.path()).unwrap();
    let kept = coordinator.keep_bounded(Epoch(1), Deadline::after(Duration::from_secs(1)));
    assert!(matches!(kept, Err(OrderError::OtherEpoch { now: Epoch(3), checked: Epoch(1) })));
}

/// When a node was removed from Ganeti while it was shunned, its address stayed shunned: new hardware of its name
/// could not be added.
#[test]
fn a_node_that_ganeti_has_removed_is_found_in_the_shun_list() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let node = json!({"name": "n1.lab", "primary_ip": "192.0.2.1", "master_candidate": true, "offline": false});
    let ganeti = json!({"cluster": {"cluster_name": "c.lab", "master_node": "u1"}, "nodes": {"u1": node}, "disks": {}});
    std::fs::write(dir.join("config.data"), ganeti.to_string()).unwrap();
    let entry = json!({"epoch": 1, "addresses": ["192.0.2.3", "198.51.100.3"], "scope": "tcp", "grade": "off",
                       "boot_id": null, "since_ms": 1, "by": "the test"});
    std::fs::write(dir.join("shun-list.json"), json!({"n3.lab": entry}).to_string()).unwrap();
    let path = dir.join("config.toml");
    std::fs::write(&path, format!("state_directory = \"{}\"\n", dir.display())).unwrap();
    let config = config_file::load(&path).unwrap();
    let gone = NodeName::new("n3").unwrap();
    assert!(ShunCoordinator::of(&gone, &config, dir).is_err());
    let coordinator = ShunCoordinator::of_removed(&gone, &config, dir).unwrap();
    assert_eq!((coordinator.target().as_str(), coordinator.address().to_string()), ("n3.lab", "192.0.2.3".to_owned()));
    assert!(ShunCoordinator::of_removed(&NodeName::new("n9").unwrap(), &config, dir).is_err(), "no shun list has it");
}
