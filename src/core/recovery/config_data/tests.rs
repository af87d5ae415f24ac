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

fn named<'a>(config: &'a RecoveryConfig, name: &str) -> &'a RawInstance {
    config.parsed().find(|raw| raw.name.as_str() == name).unwrap()
}

#[test]
fn instances_have_their_nodes_and_templates() {
    let config = RecoveryConfig::parse(CONFIG.as_bytes()).unwrap();
    let all = config.instances().readable;
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
    let (web, bare) = (named(&config, "web"), named(&config, "bare"));
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

/// What cannot be read of one instance leaves the others as they are, and it is named with what is known of it.
#[test]
fn an_instance_that_cannot_be_read_is_named_alone() {
    let n1 = Some("n1.lab");
    for (from, to, name, primary, why) in [
        ("\"up\"", "\"ready\"", "web", n1, "its admin_state is unknown"),
        (
            "[\"d1\"], \"tags\"",
            "[\"d9\"], \"tags\"",
            "web",
            n1,
            "it names a disk that does not exist or cannot be read",
        ),
        ("[\"d1\"], \"tags\"", "[7], \"tags\"", "web", n1, "it names a disk that does not exist or cannot be read"),
        (
            "\"name\": \"web\", \"primary_node\": \"u1\"",
            "\"name\": \"web\", \"primary_node\": \"u9\"",
            "web",
            None,
            "it names a node that does not exist",
        ),
        ("\"web\"", "\"\"", "a", n1, "its entry has an unknown shape: the instance name is empty"),
        ("\"tags\": [\"w\"]", "\"tags\": 7", "web", n1, "its entry has an unknown shape: invalid type"),
    ] {
        let broken = CONFIG.replacen(from, to, 1);
        assert_ne!(broken, CONFIG, "{from}");
        let ConfigInstances { readable, unreadable } = RecoveryConfig::parse(broken.as_bytes()).unwrap().instances();
        let others: Vec<&str> = readable.iter().map(|instance| instance.name.as_str()).collect();
        assert_eq!(others, ["bare", "mix"], "{to}");
        let [bad] = unreadable.as_slice() else { panic!("{to}: {unreadable:?}") };
        assert_eq!((bad.name.as_str(), bad.primary.as_ref().map(NodeName::as_str)), (name, primary), "{to}");
        assert!(bad.why.to_string().starts_with(why) && bad.may_be_up(), "{to}: {}", bad.why);
    }
}

/// A disk that cannot be parsed makes those unreadable that have it, and two of one name are both unreadable.
#[test]
fn a_bad_disk_and_a_name_that_occurs_twice_are_unreadable() {
    let names = |text: &str| {
        let all = RecoveryConfig::parse(text.as_bytes()).unwrap().instances();
        let readable: Vec<String> = all.readable.iter().map(|instance| instance.name.to_string()).collect();
        (readable.join(" "), all.unreadable.iter().map(|bad| bad.name.to_string()).collect::<Vec<_>>().join(" "))
    };
    let owned = |readable: &str, unreadable: &str| (readable.to_owned(), unreadable.to_owned());
    assert_eq!(names(&CONFIG.replace("\"dev_type\": \"drbd\"", "\"dev_type\": 7")), owned("bare", "mix web"));
    assert_eq!(names(&CONFIG.replace("\"bare\"", "\"web\"")), owned("mix", "web web"));
    let bad_and_twice = CONFIG.replace("\"bare\"", "\"web\"").replace("\"down\"", "\"ready\"");
    assert_eq!(names(&bad_and_twice), owned("mix", "web web"), "also if one of them cannot be read");
}

/// An instance that may be on a lost node counts as one there. One that an administrator has stopped does not count.
#[test]
fn an_unreadable_instance_may_be_on_a_lost_node() {
    let has = |text: &str, name: &str| {
        let config = RecoveryConfig::parse(text.as_bytes()).unwrap();
        config.has_instances_on(&BTreeSet::from([&NodeName::new(name).unwrap()]))
    };
    let unknown_state = CONFIG.replace("\"up\"", "\"ready\"");
    assert!(has(&unknown_state, "n1.lab") && !has(&unknown_state, "n2.lab"));
    let unknown_node = CONFIG.replacen(
        "\"name\": \"web\", \"primary_node\": \"u1\"",
        "\"name\": \"web\", \"primary_node\": \"u9\"",
        1,
    );
    assert!(has(&unknown_node, "n1.lab") && has(&unknown_node, "n2.lab"));
    assert!(!has(&unknown_node.replace("\"up\"", "\"down\""), "n2.lab"));
}
