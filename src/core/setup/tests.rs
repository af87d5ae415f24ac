//! Tests of the plan, against configurations that are empty, gnt-ha's, and another administrator's.

use super::*;
use crate::core::config::Digest;
use serde_json::json;

mod properties;
mod remotes;

/// The digest in the configuration of each file of `written`.
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015";

const EMPTY: &str = "<cib><configuration><crm_config/><nodes/><resources/><constraints/></configuration></cib>";

fn ganeti(nodes: u8, candidates: u8) -> GanetiConfig {
    let node = |n: u8| {
        let name = format!("n{n}.lab");
        (
            format!("u{n}"),
            json!({"name": name, "group": "g", "master_candidate": n <= candidates, "master_capable": nodes <= 16 || n <= candidates, "ndparams": {}}),
        )
    };
    let nodes: serde_json::Map<String, serde_json::Value> = (1..=nodes).map(node).collect();
    let text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1", "ndparams": {"oob_program": "/usr/lib/gnt-ha/ganeti-oob"}},
                      "nodegroups": {"g": {}}, "nodes": nodes});
    GanetiConfig::parse(text.to_string().as_bytes()).unwrap()
}

fn merged(parts: &[Part]) -> Resources {
    Resources::parse(&format!("<cib>{}</cib>", fragment(parts))).unwrap()
}

/// A plan that was applied is found as it should be, in both forms and all sizes: it is idempotent.
#[test]
fn what_was_applied_is_the_same_afterwards() {
    let empty = Resources::parse(EMPTY).unwrap();
    for (nodes, candidates) in [(2, 2), (3, 3), (5, 3)] {
        for primitive in [false, true] {
            let options =
                SetupOptions { primitive, health: nodes == 3, digest: DIGEST.parse().ok(), ..SetupOptions::default() };
            let first = plan(&empty, &ganeti(nodes, candidates), options);
            assert!(first[1..].iter().all(|part| part.state == PartState::Add), "{first:#?}");
            let second = plan(&merged(&first), &ganeti(nodes, candidates), options);
            assert!(
                second.iter().all(|part| part.state == PartState::Unchanged || part.pcs == [TAG_HEALTH.join(" ")]),
                "{second:#?}"
            );
            assert_eq!(second.len(), first.len());
        }
    }
}

/// The printed commands lead to the wanted configuration, in whichever form pcs and crmsh write it: seen of pcs 0.11
/// and crmsh 5.
#[test]
fn what_was_typed_is_the_same_afterwards() {
    let empty = Resources::parse(EMPTY).unwrap();
    let options = SetupOptions::default();
    let first = plan(&empty, &ganeti(3, 3), options);
    let typed = fragment(&first)
        .replace("interval=\"0\"", "interval=\"0s\"")
        .replace("timeout=\"60s\"", "timeout=\"1min\"")
        .replace("\"Promoted\"", "\"Master\"");
    let again = |cib: &str| plan(&Resources::parse(&format!("<cib>{cib}</cib>")).unwrap(), &ganeti(3, 3), options);
    let second = again(&typed);
    assert!(second.iter().all(|part| part.state == PartState::Unchanged), "{second:#?}");
    // A different time is a difference.
    let shorter =
        again(&typed.replace("timeout=\"300s\"", "timeout=\"300\"").replace("interval=\"10s\"", "interval=\"10\""));
    assert!(shorter.iter().all(|part| part.state == PartState::Unchanged), "{shorter:#?}");
    let other = again(&typed.replace("timeout=\"300s\"", "timeout=\"300ms\""));
    assert!(other.iter().any(|part| matches!(part.state, PartState::Change(_))), "{other:#?}");
}

/// An element that gnt-ha has not made is not changed.
#[test]
fn what_another_program_made_is_left() {
    let theirs = EMPTY
        .replace("<crm_config/>", "<crm_config><cluster_property_set id=\"x\"><nvpair id=\"y\" name=\"stonith-timeout\" value=\"120s\"/></cluster_property_set></crm_config>")
        .replace("<resources/>", "<resources><primitive id=\"fence-ganeti\" class=\"stonith\" type=\"fence_ganeti\"/><primitive id=\"master\" class=\"ocf\" provider=\"ganeti\" type=\"ganeti-master-role\"/></resources>");
    let parts = plan(&Resources::parse(&theirs).unwrap(), &ganeti(4, 3), SetupOptions::default());
    let text = fragment(&parts);
    assert!(
        !text.contains("fence_ganeti\"") && !text.contains("ganeti-master-role") && !text.contains("stonith-timeout"),
        "{text}"
    );
    assert!(
        text.contains("ganeti-node-role")
            && text.contains("<rsc_location id=\"gnt-ha-fence-by-score\" rsc=\"fence-ganeti\">"),
        "{text}"
    );
    assert!(deletions(&Resources::parse(&theirs).unwrap()).is_empty());
}

#[test]
fn what_was_changed_by_hand_is_reported() {
    let empty = Resources::parse(EMPTY).unwrap();
    let parts = plan(&empty, &ganeti(3, 3), SetupOptions { primitive: true, ..SetupOptions::default() });
    let changed = format!("<cib>{}</cib>", fragment(&parts)).replace("timeout=\"300s\"", "timeout=\"20s\"");
    let again = plan(
        &Resources::parse(&changed).unwrap(),
        &ganeti(3, 3),
        SetupOptions { primitive: true, ..SetupOptions::default() },
    );
    let states: Vec<&PartState> =
        again.iter().map(|part| &part.state).filter(|state| **state != PartState::Unchanged).collect();
    assert_eq!(states, [&PartState::Change("start: timeout is 20s, not 300s".into())]);
    let other_form = plan(&merged(&parts), &ganeti(3, 3), SetupOptions::default());
    assert!(other_form.iter().any(|part| matches!(&part.state, PartState::Foreign(why) if why.contains("other form"))));
}

#[test]
fn all_of_it_can_be_taken_away() {
    let empty = Resources::parse(EMPTY).unwrap();
    let all = merged(&plan(&empty, &ganeti(3, 2), SetupOptions::default()));
    assert_eq!(
        deletions(&all),
        [
            "<rsc_location id=\"gnt-ha-fence-by-score\"/>",
            "<primitive id=\"gnt-ha-fence\"/>",
            "<clone id=\"gnt-ha-master-clone\"/>",
            "<clone id=\"gnt-ha-node-clone\"/>",
            "<alert id=\"gnt-ha-alert\"/>",
            "<cluster_property_set id=\"gnt-ha-options\"/>"
        ]
    );
}

/// A node without a program cannot be fenced.
#[test]
fn ganeti_gets_the_program_where_a_node_has_none() {
    let empty = Resources::parse(EMPTY).unwrap();
    let with = ganeti(3, 3);
    assert_eq!(plan(&empty, &with, SetupOptions::default())[0].state, PartState::Unchanged);
    let text = r#"{"version": 3000000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}}, "nodes": {
        "u1": {"name": "n1.lab", "group": "g", "master_candidate": true, "ndparams": {"oob_program": "/x/oob"}},
        "u2": {"name": "n2.lab", "group": "g", "master_candidate": true, "ndparams": {}}}}"#;
    let one = GanetiConfig::parse(text.as_bytes()).unwrap();
    let parts = plan(&empty, &one, SetupOptions::default());
    assert_eq!(parts[0].state, PartState::Change("1 of 2 nodes have none".into()));
    assert_eq!(parts[0].pcs, [SET_OOB_PROGRAM.join(" ")]);
    assert!(!fragment(&parts).contains("oob_program"), "that is not Pacemaker's");
}

/// Candidates come, go and die faster than any hook runs: nothing in Pacemaker's configuration depends on which nodes
/// are candidates.
#[test]
fn where_the_device_may_run_does_not_depend_on_who_is_a_candidate() {
    let empty = Resources::parse(EMPTY).unwrap();
    assert!(of_nodes(&empty, &ganeti(4, 3)).is_empty(), "setup has made nothing there");
    let made = merged(&plan(&empty, &ganeti(4, 3), SetupOptions::default()));
    let scored = made.scored.iter().map(|scored| (scored.resource.as_str(), scored.attribute.as_str()));
    assert_eq!(scored.collect::<Vec<_>>(), [("gnt-ha-fence", "gnt-ha-fence-score")]);
    for now in [ganeti(4, 4), ganeti(4, 1), ganeti(3, 3), ganeti(5, 2)] {
        let parts = of_nodes(&made, &now);
        let parts: Vec<&Part> = parts.iter().filter(|part| part.section == "constraints").collect();
        assert!(!parts.is_empty() && parts.iter().all(|part| part.state == PartState::Unchanged), "{parts:#?}");
    }
}

/// Constraints that earlier versions made by node names keep a host from fencing for ever: a hook removes them, too.
#[test]
fn constraints_by_names_of_earlier_versions_go() {
    let made = fragment(&plan(&Resources::parse(EMPTY).unwrap(), &ganeti(4, 3), SetupOptions::default()));
    let (before, rest) = made.split_once("  <rsc_location").unwrap();
    let after = rest.split_once("</rsc_location>").unwrap().1;
    let by_name = "<rsc_location id=\"gnt-ha-fence-avoids-n4.lab\" rsc=\"gnt-ha-fence\" node=\"n4\" score=\"-INFINITY\"/>\
                   <rsc_location id=\"mine\" rsc=\"gnt-ha-fence\" node=\"n3\" score=\"-INFINITY\"/>";
    let earlier = Resources::parse(&format!("<cib>{before}{by_name}{after}</cib>")).unwrap();
    for parts in [of_nodes(&earlier, &ganeti(4, 3)), plan(&earlier, &ganeti(4, 3), SetupOptions::default())] {
        assert_eq!(outdated(&parts).collect::<Vec<_>>(), ["<rsc_location id=\"gnt-ha-fence-avoids-n4.lab\"/>"]);
        assert!(fragment(&parts).contains("<rsc_location id=\"gnt-ha-fence-by-score\""), "{}", fragment(&parts));
    }
    assert!(deletions(&earlier).contains(&"<rsc_location id=\"gnt-ha-fence-avoids-n4.lab\"/>".to_owned()));
    let other = made.replace("operation=\"defined\"", "operation=\"not_defined\"");
    let parts = of_nodes(&Resources::parse(&format!("<cib>{other}</cib>")).unwrap(), &ganeti(4, 3));
    assert!(parts.iter().any(|part| part.state == PartState::Change("it has another rule".into())), "{parts:#?}");
}

/// Hosts that do not have Ganeti's configuration fence by a copy of its programs, which follows Ganeti.
#[test]
fn the_copy_of_the_programs_follows_ganeti() {
    let with = |own: &str| {
        let text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1", "ndparams": {"oob_program": "/x/oob"}},
            "nodegroups": {"g": {}}, "nodes": {
            "u1": {"name": "n1.lab", "group": "g", "master_candidate": true, "ndparams": {}},
            "u2": {"name": "n2.lab", "group": "g", "master_candidate": true, "ndparams": {"oob_program": own}}}});
        GanetiConfig::parse(text.to_string().as_bytes()).unwrap()
    };
    let value = |text: &str| {
        let resources = Resources::parse(text).unwrap();
        resources.property(&["gnt-ha-oob-programs"]).map(str::to_owned)
    };
    let first = plan(&Resources::parse(EMPTY).unwrap(), &with("/x/oob"), SetupOptions::default());
    let made = format!("<cib>{}</cib>", fragment(&first));
    assert_eq!(value(&made).as_deref(), Some("/x/oob,n1.lab+,n2.lab+"));
    let of_nodes = |cib: &str, own: &str| {
        let parts = of_nodes(&Resources::parse(cib).unwrap(), &with(own));
        parts.into_iter().find(|part| part.section == "crm_config").unwrap()
    };
    assert_eq!(of_nodes(&made, "/x/oob").state, PartState::Unchanged);
    let changed = of_nodes(&made, "/y/oob");
    assert_eq!(changed.state, PartState::Change("it differs for n2.lab".into()));
    assert!(changed.xml.contains("value=\"/x/oob,n1.lab+,/y/oob,n2.lab+\""), "{}", changed.xml);
    let expected =
        "crm_attribute --name gnt-ha-oob-programs --set-name=gnt-ha-options --update=/x/oob,n1.lab+,/y/oob,n2.lab+";
    assert_eq!((changed.pcs, changed.crm), (vec![expected.to_owned()], vec![format!("# {expected}")]));
    // A path that the property cannot hold leaves no partial copy.
    let gone = of_nodes(&made, "/y z");
    assert_eq!(gone.xml.trim(), "<nvpair id=\"gnt-ha-options-gnt-ha-oob-programs\"/>");
    assert!(gone.state.removes());
    let elsewhere = made.replace("gnt-ha-options-gnt-ha-oob-programs", "cib-bootstrap-options-x");
    assert!(of_nodes(&elsewhere, "/y/oob").state.is_by_hand());
    assert_eq!(of_nodes(&elsewhere, "/x/oob").state, PartState::Unchanged);
}

/// The digest of the configuration is written only for an administrator, not by a hook. A host that becomes master with
/// an outdated file would otherwise declare that file right.
#[test]
fn the_digest_of_the_configuration_is_kept_in_pacemakers() {
    let [first, other]: [Digest; 2] = [DIGEST, "000000000000000000000000000000ab"].map(|text| text.parse().unwrap());
    let options = |digest| SetupOptions { digest: Some(digest), ..SetupOptions::default() };
    let made = merged(&plan(&Resources::parse(EMPTY).unwrap(), &ganeti(3, 3), options(first)));
    assert_eq!(made.property(&["gnt-ha-config-digest"]), Some(DIGEST));
    let find = |parts: Vec<Part>| parts.into_iter().find(|part| part.description.contains("config-digest"));
    assert_eq!(find(of_nodes(&made, &ganeti(3, 3))), None, "left");
    assert_eq!(find(plan(&made, &ganeti(3, 3), SetupOptions::default())), None, "left");
    assert_eq!(find(plan(&made, &ganeti(3, 3), options(first))).unwrap().state, PartState::Unchanged);
    let changed = find(plan(&made, &ganeti(3, 3), options(other))).unwrap();
    assert!(
        matches!(&changed.state, PartState::Change(why) if why.contains("only if the one here is right")),
        "{changed:?}"
    );
    let expected = format!("crm_attribute --name gnt-ha-config-digest --set-name=gnt-ha-options --update={other}");
    assert_eq!(changed.pcs, [expected]);
}

/// With 200 nodes a simulation of each death takes longer than a Ganeti hook may run: the copy of the programs was
/// never changed.
#[test]
fn only_what_pacemaker_acts_on_is_simulated() {
    let options = SetupOptions { digest: Some(DIGEST.parse().unwrap()), ..SetupOptions::default() };
    let first = plan(&Resources::parse(EMPTY).unwrap(), &ganeti(4, 3), options);
    let kept: Vec<&str> =
        first.iter().filter(|part| is_only_kept(part)).map(|part| part.description.as_str()).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|what| what.starts_with("property gnt-ha-")), "{kept:?}");
    let made = merged(&first);
    let changed: Vec<Part> = of_nodes(&made, &ganeti(4, 2)).into_iter().filter(|part| part.state.is_open()).collect();
    assert!(!changed.is_empty() && changed.iter().all(is_only_kept), "{changed:?}");
    let attribute = Part { section: "resources", ..changed[0].clone() };
    assert!(!is_only_kept(&attribute), "another section's");
}

/// A candidate that is lost or demoted is removed from the copy as soon as Ganeti has changed its record.
#[test]
fn the_copy_follows_who_is_a_candidate() {
    let made = merged(&plan(&Resources::parse(EMPTY).unwrap(), &ganeti(4, 3), SetupOptions::default()));
    let part = of_nodes(&made, &ganeti(4, 2)).into_iter().find(|part| part.section == "crm_config").unwrap();
    assert_eq!(part.state, PartState::Change("it differs for n3.lab".into()));
}

#[test]
fn what_will_be_there_is_known_before() {
    let theirs = EMPTY.replace(
        "<resources/>",
        "<resources><primitive id=\"gnt-ha-fence\" class=\"stonith\" type=\"fence_ganeti\"><instance_attributes id=\"i\">\
         <nvpair id=\"a\" name=\"pcmk_reboot_timeout\" value=\"10s\"/></instance_attributes></primitive></resources>",
    );
    let resources = Resources::parse(&theirs).unwrap();
    let after = planned(&resources, &plan(&resources, &ganeti(3, 3), SetupOptions::default()));
    assert_eq!(after.property(&["stonith-timeout"]), Some("72s"));
    let device = after.devices().next().unwrap();
    assert_eq!(
        (device.parameters["pcmk_reboot_timeout"].as_str(), device.parameters["pcmk_action_limit"].as_str()),
        ("10s", "-1")
    );
    assert_eq!(after.devices().count(), 1);
}

/// The printed commands, typed through pcs or crmsh, lead to the wanted configuration. Each file is what its version
/// wrote after the commands for the cluster of its name.
#[test]
fn what_was_typed_as_printed_is_the_same_afterwards() {
    const WRITTEN: [(&str, &str); 12] = [
        ("pcs-0.11 many", include_str!("written/pcs-0.11-many.xml")),
        ("pcs-0.11 two", include_str!("written/pcs-0.11-two.xml")),
        ("pcs-0.11 primitive", include_str!("written/pcs-0.11-primitive.xml")),
        ("crmsh-4 many", include_str!("written/crmsh-4-many.xml")),
        ("crmsh-4 two", include_str!("written/crmsh-4-two.xml")),
        ("crmsh-4 primitive", include_str!("written/crmsh-4-primitive.xml")),
        ("pcs-0.12 many", include_str!("written/pcs-0.12-many.xml")),
        ("pcs-0.12 two", include_str!("written/pcs-0.12-two.xml")),
        ("pcs-0.12 primitive", include_str!("written/pcs-0.12-primitive.xml")),
        ("crmsh-5 many", include_str!("written/crmsh-5-many.xml")),
        ("crmsh-5 two", include_str!("written/crmsh-5-two.xml")),
        ("crmsh-5 primitive", include_str!("written/crmsh-5-primitive.xml")),
    ];
    for (by, cib) in WRITTEN {
        let (cluster, options) = match by.rsplit(' ').next() {
            Some("many") => (many(), SetupOptions { health: true, ..SetupOptions::default() }),
            Some("two") => (ganeti(2, 2), SetupOptions::default()),
            _ => (ganeti(2, 2), SetupOptions { primitive: true, ..SetupOptions::default() }),
        };
        let options = SetupOptions { digest: DIGEST.parse().ok(), ..options };
        let parts = plan(&Resources::parse(cib).unwrap(), &cluster, options);
        let parts = parts.iter().filter(|part| part.section != GANETI);
        let open: Vec<(&str, &PartState)> = parts
            .filter(|part| part.state != PartState::Unchanged)
            .map(|part| (part.description.as_str(), &part.state))
            .collect();
        assert_eq!(open, [], "{by}");
    }
}

/// Three candidates, a regular node that is a full member, and one that is a remote node.
fn many() -> GanetiConfig {
    let node = |n: u8| {
        let name = format!("n{n}.lab");
        let address = format!("192.0.2.{n}");
        (
            format!("u{n}"),
            json!({"name": name, "group": "g", "master_candidate": n <= 3, "ndparams": {}, "primary_ip": address}),
        )
    };
    let nodes: serde_json::Map<String, serde_json::Value> = [1, 2, 3, 4, 17].map(node).into_iter().collect();
    let text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1", "ndparams": {"oob_program": "/usr/lib/gnt-ha/ganeti-oob"}},
                      "nodegroups": {"g": {}}, "nodes": nodes});
    GanetiConfig::parse(text.to_string().as_bytes()).unwrap()
}
