use super::*;

/// n1 is dead and recorded; a policy of Ganeti 3.0.
const CONFIG: &str = r#"{"cluster": {"cluster_name": "c.lab", "tags": ["t"], "enabled_hypervisors": ["fake"],
    "beparams": {"default": {"maxmem": 1024, "minmem": 128, "vcpus": 1, "spindle_use": 1, "always_failover": false}},
    "ndparams": {"oob_program": "", "spindle_count": 1, "exclusive_storage": false},
    "ipolicy": {"minmax": [{"min": {"memory-size": 0, "cpu-count": 1, "disk-count": 0, "disk-size": 0, "nic-count": 0,
                                    "spindle-use": 1},
                            "max": {"memory-size": 65536, "cpu-count": 64, "disk-count": 16, "disk-size": 1000000,
                                    "nic-count": 8, "spindle-use": 12}}],
                "std": {"memory-size": 128, "cpu-count": 1, "disk-count": 1, "disk-size": 1024, "nic-count": 1,
                        "spindle-use": 1},
                "disk-templates": ["drbd", "rbd", "diskless"], "vcpu-ratio": 4.0, "spindle-ratio": 32.0}},
    "nodegroups": {"g": {"name": "default", "alloc_policy": "preferred"}},
    "nodes": {"u1": {"name": "n1.lab", "group": "g", "offline": true}, "u2": {"name": "n2.lab", "group": "g"},
              "u3": {"name": "n3.lab", "group": "g"}},
    "disks": {"d1": {"dev_type": "drbd", "size": 1024, "mode": "rw", "logical_id": ["u1", "u2", 11000, 0, 0, "s"]},
              "d2": {"dev_type": "rbd", "size": 512, "mode": "rw"}},
    "instances": {"a": {"name": "db", "primary_node": "u1", "admin_state": "up", "disks": ["d1"], "hypervisor": "fake"},
                  "b": {"name": "web", "primary_node": "u1", "admin_state": "up", "disks": ["d2"], "hypervisor": "fake"},
                  "c": {"name": "bare", "primary_node": "u1", "admin_state": "up", "hypervisor": "fake"},
                  "d": {"name": "here", "primary_node": "u2", "admin_state": "up", "hypervisor": "fake"}}}"#;

fn node(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn vm(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

struct Parts {
    config: RecoveryConfig,
    live: BTreeMap<NodeName, LiveNode>,
    used: BTreeMap<InstanceName, u64>,
    excluded: BTreeSet<NodeName>,
    being_started: BTreeMap<InstanceName, NodeName>,
}

fn parts() -> Parts {
    let live = LiveNode {
        total_memory: 4096,
        reserved_memory: 512,
        free_memory: 3000,
        total_disk: 100_000,
        free_disk: 90_000,
        total_cpus: 4,
        reserved_cpus: 1,
    };
    Parts {
        config: RecoveryConfig::parse(CONFIG.as_bytes()).unwrap(),
        live: ["n1.lab", "n2.lab", "n3.lab"].map(|name| (node(name), live)).into(),
        used: [(vm("here"), 1000)].into(),
        excluded: BTreeSet::new(),
        being_started: BTreeMap::new(),
    }
}

fn document(parts: &Parts, instances: &[&str]) -> Result<Value, RequestError> {
    let instances: Vec<InstanceName> = instances.iter().map(|name| vm(name)).collect();
    let Parts { config, live, used, excluded, being_started } = parts;
    let input = RequestInput { config, live, used_memory: used, excluded, being_started, instances: &instances };
    request(&input).map(|text| serde_json::from_str(&text).unwrap())
}

#[test]
fn the_document_has_the_order_of_the_instances_and_only_nodes_that_may_take_them() {
    let made = document(&parts(), &["web", "db", "bare"]).unwrap();
    assert_eq!(
        made["request"],
        json!({"type": "node-evacuate", "instances": ["web", "db", "bare"], "evac_mode": "primary-only"})
    );
    assert_eq!((&made["version"], &made["nodes"]["n1.lab"]["offline"]), (&json!(2), &json!(true)));
    assert_eq!(made["nodes"]["n1.lab"].get("free_memory"), None, "recorded offline, whatever it reports");
    assert_eq!(made["instances"]["db"]["nodes"], json!(["n1.lab", "n2.lab"]));
    assert_eq!(made["instances"]["db"]["disk_space_total"], 1152);
    assert_eq!(made["instances"]["bare"]["disk_template"], "diskless");
    let mut suspect = parts();
    suspect.excluded.insert(node("n2.lab"));
    suspect.live.remove(&node("n3.lab"));
    let made = document(&suspect, &["web"]).unwrap();
    let offline = ["n2.lab", "n3.lab"].map(|name| made["nodes"][name]["offline"].clone());
    assert_eq!(offline, [json!(true), json!(true)]);
}

/// What is being started takes room on its new node; a running instance may still grow to its maximum.
#[test]
fn room_that_is_promised_is_not_free() {
    let mut parts = parts();
    let free = |parts: &Parts| {
        let made = document(parts, &["web"]).unwrap();
        ["n2.lab", "n3.lab"].map(|name| made["nodes"][name]["free_memory"].as_u64().unwrap())
    };
    assert_eq!(free(&parts), [2976, 3000]);
    parts.being_started = [(vm("bare"), node("n3.lab")), (vm("db"), node("n2.lab"))].into();
    assert_eq!(free(&parts), [1952, 1976]);
    let made = document(&parts, &["web"]).unwrap();
    assert_eq!(made["instances"]["bare"]["nodes"], json!(["n3.lab"]));
    assert_eq!(made["instances"]["db"]["nodes"], json!(["n2.lab", "n1.lab"]), "both change their roles");
}

/// hail rejects the whole request for one unknown name.
#[test]
fn an_instance_that_is_gone_is_named() {
    assert_eq!(document(&parts(), &["web", "gone"]).unwrap_err(), RequestError::NoSuchInstance(vm("gone")));
}

#[test]
fn live_values_come_from_nodes_that_answer() {
    let (value, silent) = (|number: u64| json!([0, number]), || json!([2, null]));
    let n2 =
        json!([[0, "n2.lab"], value(4096), value(512), value(3000), silent(), silent(), value(4), value(1), silent()]);
    let n3 = json!([[0, "n3.lab"], silent(), silent(), silent(), silent(), silent(), silent(), silent(), silent()]);
    let read = LiveNode::parse_all(&json!({"data": [n2, n3]})).unwrap();
    assert_eq!(read.keys().map(NodeName::as_str).collect::<Vec<_>>(), ["n2.lab"]);
    let expected = LiveNode {
        total_memory: 4096,
        reserved_memory: 512,
        free_memory: 3000,
        total_cpus: 4,
        reserved_cpus: 1,
        ..LiveNode::default()
    };
    assert_eq!(read[&node("n2.lab")], expected);
    for bad in [json!({}), json!({"data": [[]]}), json!({"data": [{}]})] {
        assert_eq!(LiveNode::parse_all(&bad), Err(RequestError::Nodes), "{bad}");
    }
}

/// luxid waits for each node that it asks, and a lost one does not answer.
#[test]
fn only_the_nodes_that_may_take_an_instance_are_asked() {
    let nodes = ["n1.lab", "n2.lab"].map(|text| NodeName::new(text).unwrap());
    let query = LiveNode::query(&nodes);
    assert_eq!(query[0], "node");
    assert_eq!(query[2], json!(["|", ["=", "name", "n1.lab"], ["=", "name", "n2.lab"]]));
}

/// An instance that cannot be read takes its room, prevents no placement, and is not placed itself.
#[test]
fn an_instance_that_cannot_be_read_keeps_its_room() {
    let made = |from: &str, to: &str| {
        let text = CONFIG.replacen(from, to, 1);
        assert_ne!(text, CONFIG);
        let parts = Parts { config: RecoveryConfig::parse(text.as_bytes()).unwrap(), ..parts() };
        (document(&parts, &["web"]).unwrap(), document(&parts, &["here"]))
    };
    let here = "\"primary_node\": \"u2\", \"admin_state\": \"up\"";
    for bad in [here.replace("up", "ready"), format!("{here}, \"disks\": [\"d9\"]")] {
        let (made, of_it) = made(here, &bad);
        assert_eq!(
            (&made["nodes"]["n2.lab"]["free_memory"], &made["instances"]["here"]["memory"]),
            (&json!(2976), &json!(1024))
        );
        assert_eq!(made["instances"]["here"]["admin_state"], "up");
        assert_eq!(of_it.unwrap_err(), RequestError::NoSuchInstance(vm("here")));
    }
    let (made, _) = made(here, &here.replace("u2", "u9"));
    assert!(made["instances"].get("here").is_none() && made["instances"].get("web").is_some());
}
