//! The plan against configurations that are empty, ours, and somebody else's.

use super::*;
use serde_json::json;

const EMPTY: &str = "<cib><configuration><crm_config/><nodes/><resources/><constraints/></configuration></cib>";

fn ganeti(nodes: u8, candidates: u8) -> GanetiConfig {
    let node = |n: u8| {
        let name = format!("n{n}.lab");
        (format!("u{n}"), json!({"name": name, "group": "g", "master_candidate": n <= candidates, "ndparams": {}}))
    };
    let nodes: serde_json::Map<String, serde_json::Value> = (1..=nodes).map(node).collect();
    let text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1", "ndparams": {"oob_program": "/usr/lib/gnt-ha/ganeti-oob"}},
                      "nodegroups": {"g": {}}, "nodes": nodes});
    GanetiConfig::parse(text.to_string().as_bytes()).unwrap()
}

fn merged(parts: &[Part]) -> Resources {
    Resources::parse(&format!("<cib>{}</cib>", fragment(parts))).unwrap()
}

/// "Idempotent": what was applied is found as it should be, in both forms and all sizes.
#[test]
fn what_was_applied_is_the_same_afterwards() {
    let empty = Resources::parse(EMPTY).unwrap();
    for (nodes, candidates) in [(2, 2), (3, 3), (5, 3)] {
        for primitive in [false, true] {
            let wish = Wish { primitive };
            let first = plan(&empty, &ganeti(nodes, candidates), wish);
            assert!(first[1..].iter().all(|part| part.state == State::Add), "{first:#?}");
            let second = plan(&merged(&first), &ganeti(nodes, candidates), wish);
            assert!(second.iter().all(|part| part.state == State::Same), "{second:#?}");
            assert_eq!(second.len(), first.len());
        }
    }
}

/// "Changes nothing that it did not make."
#[test]
fn what_somebody_else_made_is_left() {
    let theirs = EMPTY
        .replace("<crm_config/>", "<crm_config><cluster_property_set id=\"x\"><nvpair id=\"y\" name=\"stonith-timeout\" value=\"120s\"/></cluster_property_set></crm_config>")
        .replace("<resources/>", "<resources><primitive id=\"fence-ganeti\" class=\"stonith\" type=\"fence_ganeti\"/><primitive id=\"master\" class=\"ocf\" provider=\"ganeti\" type=\"ganeti-master-role\"/></resources>");
    let parts = plan(&Resources::parse(&theirs).unwrap(), &ganeti(4, 3), Wish { primitive: false });
    let text = fragment(&parts);
    assert!(
        !text.contains("fence_ganeti\"") && !text.contains("ganeti-master-role") && !text.contains("stonith-timeout"),
        "{text}"
    );
    assert!(text.contains("ganeti-node-role") && text.contains("rsc=\"fence-ganeti\" node=\"n4.lab\""), "{text}");
    assert!(removal(&Resources::parse(&theirs).unwrap()).is_empty());
}

#[test]
fn what_was_changed_by_hand_is_said() {
    let empty = Resources::parse(EMPTY).unwrap();
    let parts = plan(&empty, &ganeti(3, 3), Wish { primitive: true });
    let changed = format!("<cib>{}</cib>", fragment(&parts)).replace("timeout=\"300s\"", "timeout=\"20s\"");
    let again = plan(&Resources::parse(&changed).unwrap(), &ganeti(3, 3), Wish { primitive: true });
    let states: Vec<&State> = again.iter().map(|part| &part.state).filter(|state| **state != State::Same).collect();
    assert_eq!(states, [&State::Change("start: timeout is 20s, not 300s".into())]);
    let other_form = plan(&merged(&parts), &ganeti(3, 3), Wish { primitive: false });
    assert!(other_form.iter().any(|part| matches!(&part.state, State::Kept(why) if why.contains("other form"))));
}

#[test]
fn all_of_it_can_be_taken_away() {
    let empty = Resources::parse(EMPTY).unwrap();
    let all = merged(&plan(&empty, &ganeti(3, 2), Wish { primitive: false }));
    assert_eq!(
        removal(&all),
        [
            "<rsc_location id=\"gnt-ha-fence-avoids-n3.lab\"/>",
            "<primitive id=\"gnt-ha-fence\"/>",
            "<clone id=\"gnt-ha-master-clone\"/>",
            "<clone id=\"gnt-ha-node-clone\"/>",
            "<alert id=\"gnt-ha-alert\"/>",
            "<cluster_property_set id=\"gnt-ha-options\"/>"
        ]
    );
}

/// A node without a program can be fenced by nobody.
#[test]
fn ganeti_is_told_of_the_program_where_a_node_has_none() {
    let empty = Resources::parse(EMPTY).unwrap();
    let with = ganeti(3, 3);
    assert_eq!(plan(&empty, &with, Wish { primitive: false })[0].state, State::Same);
    let text = r#"{"version": 3000000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}}, "nodes": {
        "u1": {"name": "n1.lab", "group": "g", "master_candidate": true, "ndparams": {"oob_program": "/x/oob"}},
        "u2": {"name": "n2.lab", "group": "g", "master_candidate": true, "ndparams": {}}}}"#;
    let one = GanetiConfig::parse(text.as_bytes()).unwrap();
    let parts = plan(&empty, &one, Wish { primitive: false });
    assert_eq!(parts[0].state, State::Change("1 of 2 nodes have none".into()));
    assert_eq!(parts[0].pcs, [TELL_GANETI.join(" ")]);
    assert!(!fragment(&parts).contains("oob_program"), "that is not Pacemaker's");
}

/// Issue: the hooks "keep scores, constraints, device lists (...) right when candidates are promoted and demoted, nodes come, go".
#[test]
fn where_the_device_may_run_follows_ganetis_nodes() {
    let nodes = "<nodes><node id=\"1\" uname=\"n1\"/><node id=\"4\" uname=\"n4\"/></nodes>";
    let empty = Resources::parse(&EMPTY.replace("<nodes/>", nodes)).unwrap();
    assert!(of_nodes(&empty, &ganeti(4, 3)).is_empty(), "setup has made nothing there");
    let made = fragment(&plan(&empty, &ganeti(4, 3), Wish { primitive: false }));
    assert!(made.contains("node=\"n4\" score=\"-INFINITY\""), "as Pacemaker calls it: {made}");
    let made = Resources::parse(&format!(
        "<cib>{}</cib>",
        made.replace("<configuration>", &format!("<configuration>{nodes}"))
    ))
    .unwrap();
    assert!(of_nodes(&made, &ganeti(4, 3)).iter().all(|part| part.state == State::Same));
    for (promoted, now) in [(ganeti(4, 4), "n4 a candidate"), (ganeti(3, 3), "n4 gone")] {
        let parts = of_nodes(&made, &promoted);
        assert_eq!(
            outdated(&parts).collect::<Vec<_>>(),
            ["<rsc_location id=\"gnt-ha-fence-avoids-n4.lab\"/>"],
            "{now}"
        );
        assert!(!fragment(&parts).contains("rsc_location"), "{now}");
    }
    let demoted = of_nodes(&made, &ganeti(4, 2));
    assert!(fragment(&demoted).contains("fence-avoids-n3.lab") && outdated(&demoted).next().is_none());
}
