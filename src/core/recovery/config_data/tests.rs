use super::*;

const CONFIG: &str = r#"{"cluster": {"tags": ["c"], "beparams": {"default": {"maxmem": 128, "vcpus": 1}},
        "ipolicy": {"std": {"cpu-count": 1, "disk-count": 1}, "vcpu-ratio": 4.0}, "ndparams": {"spindle_count": 1}},
    "nodegroups": {"g": {"name": "default", "tags": ["t"], "ipolicy": {"std": {"cpu-count": 2}, "vcpu-ratio": 2.0}}},
    "nodes": {"u1": {"name": "n1.lab", "group": "g", "offline": true, "ndparams": {"spindle_count": 3}},
              "u2": {"name": "n2.lab", "group": "g", "vm_capable": false}},
    "disks": {"d1": {"dev_type": "drbd", "size": 1024, "logical_id": ["u1", "u2", 11000, 2, 3, "s"]},
              "d2": {"dev_type": "rbd", "size": 100}},
    "instances": {"a": {"name": "web", "primary_node": "u1", "admin_state": "up", "disks": ["d1"], "tags": ["w"],
                        "beparams": {"maxmem": 512}},
                  "b": {"name": "bare", "primary_node": "u2", "admin_state": "down"},
                  "c": {"name": "mix", "primary_node": "u2", "admin_state": "offline", "disks": ["d1", "d2"]}}}"#;

#[test]
fn instances_have_their_nodes_and_templates() {
    let config = RecoveryConfig::parse(CONFIG.as_bytes()).unwrap();
    let all = config.instances().unwrap();
    let line = |of: &Instance| {
        let secondaries: Vec<&str> = of.secondaries.iter().map(NodeName::as_str).collect();
        format!("{} {:?} {} [{}] {}", of.name, of.admin_state, of.primary, secondaries.join(","), of.template)
    };
    assert_eq!(
        all.iter().map(line).collect::<Vec<_>>(),
        ["bare Down n2.lab [] diskless", "mix Offline n2.lab [n1.lab] mixed", "web Up n1.lab [n2.lab] drbd"]
    );
    assert_eq!(config.group_tags()["default"], ["t"]);
    let nodes = config.nodes();
    assert_eq!((nodes[0].offline, nodes[0].vm_capable, nodes[1].vm_capable), (true, true, false));
    let instances = config.drbd_instances();
    assert_eq!(instances.len(), 1, "mix has a disk that is not DRBD's");
    assert_eq!((instances[0].secondary.as_str(), instances[0].minors.as_slice()), ("n2.lab", &[3][..]));
}

#[test]
fn parameters_are_filled_from_cluster_and_group() {
    let config = RecoveryConfig::parse(CONFIG.as_bytes()).unwrap();
    let (web, bare) = (&config.instances["a"], &config.instances["b"]);
    assert_eq!((config.backend(web, "maxmem"), config.backend(bare, "maxmem")), (Some(512), Some(128)));
    assert_eq!(config.node_parameters(&config.nodes["u1"])["spindle_count"], 3);
    assert_eq!(config.node_parameters(&config.nodes["u2"])["spindle_count"], 1);
    let policy = Value::Object(config.policy(&config.nodegroups["g"]));
    assert_eq!(policy, serde_json::json!({"std": {"cpu-count": 2, "disk-count": 1}, "vcpu-ratio": 2.0}));
    assert_eq!(space_of(&config.disks_of(web).unwrap()), 1152);
}

#[test]
fn the_tags_and_hypervisors_are_found() {
    let is_on = |text: &str| RecoveryConfig::parse(text.as_bytes()).unwrap().is_on();
    let elsewhere = CONFIG.replace("\"w\"", "\"ocf:recover:on\"");
    assert!(RecoveryConfig::may_be_on(elsewhere.as_bytes()) && !is_on(&elsewhere), "the tag of an instance");
    let on = CONFIG.replace(r#"["c"]"#, r#"["ocf:recover:on"]"#);
    assert!(RecoveryConfig::may_be_on(on.as_bytes()) && is_on(&on));
    assert!(!RecoveryConfig::may_be_on(CONFIG.as_bytes()) && !is_on(CONFIG));
    let hypervisors =
        r#"{"cluster": {"enabled_hypervisors": ["kvm", "fake"], "hvparams": {"kvm": {"acpi": true}, "lxc": {}},"#;
    let config = RecoveryConfig::parse(CONFIG.replacen(r#"{"cluster": {"#, hypervisors, 1).as_bytes()).unwrap();
    let has = |name: &str| config.has_instances_on(&BTreeSet::from([&NodeName::new(name).unwrap()]));
    assert!(has("n1.lab") && !has("n2.lab"), "what runs on n2 is not marked up");
    assert_eq!(config.hypervisors(), json!([["kvm", "fake"], {"kvm": {"acpi": true}, "fake": {}}]));
}

/// An instance that cannot be understood is an error, never an instance that is left out.
#[test]
fn nothing_is_left_out() {
    for (from, to) in [("\"up\"", "\"ready\""), ("\"d2\":", "\"d3\":"), ("\"u2\": {", "\"u3\": {"), ("\"web\"", "\"\"")]
    {
        let broken = CONFIG.replace(from, to);
        let read = RecoveryConfig::parse(broken.as_bytes()).and_then(|config| config.instances());
        assert!(read.is_err(), "{from} -> {to}");
    }
}
