use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn sample() -> Value {
    json!({
        "version": 3_000_000, "serial_no": 17, "mtime": 1.5,
        "cluster": {"master_node": "u1", "candidate_pool_size": 10,
                    "ndparams": {"oob_program": "/cluster", "ssh_port": 22}},
        "nodegroups": {"g1": {"ndparams": {}}, "g2": {"ndparams": {"oob_program": "/group"}}},
        "nodes": {
            "u1": {"name": "n1.lab", "group": "g1", "master_candidate": true, "ndparams": {}},
            "u2": {"name": "n2.lab", "group": "g2", "master_candidate": true, "ndparams": {}},
            "u3": {"name": "n3.lab", "group": "g2", "ndparams": {"oob_program": "/node"}, "offline": true},
            "u4": {"name": "n4.lab", "group": "g2", "ndparams": {"oob_program": ""}}},
        "instances": {"x": {"name": "vm"}}, "networks": {}, "disks": {}, "filters": {}
    })
}

fn parse(value: &Value) -> Result<GanetiConfig, BadConfigData> {
    GanetiConfig::parse(value.to_string().as_bytes())
}

fn program(config: &GanetiConfig, node: &str) -> Option<PathBuf> {
    config.find(&NodeName::new(node).unwrap()).unwrap().oob_program.clone()
}

/// `lib/objects.py`, `FillND`: node, else group, else cluster; an empty string at the node opts out.
#[test]
fn the_nearest_oob_program_wins() {
    let config = parse(&sample()).unwrap();
    assert_eq!(program(&config, "n1"), Some("/cluster".into()));
    assert_eq!(program(&config, "n2"), Some("/group".into()));
    assert_eq!(program(&config, "n3"), Some("/node".into()));
    assert_eq!(program(&config, "n4"), None);
    assert_eq!(config.master().map(NodeName::as_str), Some("n1.lab"));
}

/// A change of the candidate pool locks the whole cluster, so a promotion is requested only when needed.
#[test]
fn promotion_is_asked_for_only_when_the_pool_is_short() {
    let config = parse(&sample()).unwrap();
    let n2 = config.find(&NodeName::new("n2").unwrap()).unwrap();
    // n1 stays; n4 is eligible and could be one: Ganeti would reject the change without `auto_promote`.
    assert!(config.needs_promotion_without(n2));
    let mut small_pool = sample();
    small_pool["cluster"]["candidate_pool_size"] = json!(1);
    assert!(!parse(&small_pool).unwrap().needs_promotion_without(n2));
    let n4 = config.find(&NodeName::new("n4").unwrap()).unwrap();
    assert!(!config.needs_promotion_without(n4), "no candidate leaves");
}

/// `lib/storage/drbd_cmdgen.py`: the options of `net-custom` come after Ganeti's own.
#[test]
fn drbd_options_are_read_where_drbd_is_in_use() {
    let mut value = sample();
    value["nodegroups"]["g2"] = json!({"name": "rack2", "diskparams": {"drbd": {"net-custom": "--x"}}});
    value["cluster"]["diskparams"] = json!({"drbd": {"net-custom": ""}, "plain": {"stripes": 1}});
    let options = |value: &Value| parse(value).unwrap().drbd_options().to_vec();
    assert_eq!(options(&value), [(ParametersOwner::Group("rack2".into()), "--x".into())]);
    value["cluster"]["enabled_disk_templates"] = json!(["plain"]);
    assert_eq!(options(&value), []);
}

#[test]
fn a_short_pool_is_counted_as_ganeti_does() {
    let mut value = sample();
    assert_eq!(parse(&value).unwrap().candidates_missing(), 1, "n3 is offline, n4 could be one");
    value["nodes"]["u4"]["drained"] = json!(true);
    assert_eq!(parse(&value).unwrap().candidates_missing(), 0);
    value["nodes"]["u4"]["drained"] = json!(false);
    value["cluster"]["candidate_pool_size"] = json!(2);
    assert_eq!(parse(&value).unwrap().candidates_missing(), 0);
}

/// A node must never count as missing because the file was half-written.
#[test]
fn every_truncation_is_an_error() {
    let text = sample().to_string();
    for end in 0..text.len() {
        assert!(GanetiConfig::parse(&text.as_bytes()[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn other_versions_and_empty_clusters_are_errors() {
    let mut value = sample();
    value["version"] = json!(4_000_000);
    assert!(matches!(parse(&value), Err(BadConfigData::Version(4_000_000))));
    let mut value = sample();
    value["nodes"] = json!({});
    assert!(matches!(parse(&value), Err(BadConfigData::NoNodes)));
}

#[test]
fn a_hostile_name_is_refused() {
    let mut value = sample();
    value["nodes"]["u2"]["name"] = json!("n2;reboot");
    assert!(parse(&value).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = GanetiConfig::parse(&bytes);
    }
}
