//! Tests of the plan, against configurations that are empty, gnt-ha's, and another administrator's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;
use crate::core::config::Digest;
use crate::core::node::NodeName;
use crate::core::shun::messages::Program;
use crate::core::survey::{NodeSurvey, Survey};
use serde_json::json;

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

/// Returns a cluster of `nodes` nodes, of which `candidates` are candidates and known to Pacemaker.
fn large(nodes: u8, candidates: u8) -> (Resources, GanetiConfig) {
    let known: String = (1..=candidates).map(|n| format!("<node id=\"{n}\" uname=\"n{n}.lab\"/>")).collect();
    let cib = EMPTY.replace("<nodes/>", &format!("<nodes>{known}</nodes>"));
    (Resources::parse(&cib).unwrap(), ganeti(nodes, candidates))
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
            let wish =
                SetupOptions { primitive, health: nodes == 3, digest: DIGEST.parse().ok(), ..SetupOptions::default() };
            let first = plan(&empty, &ganeti(nodes, candidates), wish);
            assert!(first[1..].iter().all(|part| part.state == PartState::Add), "{first:#?}");
            let second = plan(&merged(&first), &ganeti(nodes, candidates), wish);
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
    let wish = SetupOptions::default();
    let first = plan(&empty, &ganeti(3, 3), wish);
    let typed = fragment(&first)
        .replace("interval=\"0\"", "interval=\"0s\"")
        .replace("timeout=\"60s\"", "timeout=\"1min\"")
        .replace("\"Promoted\"", "\"Master\"");
    let again = |cib: &str| plan(&Resources::parse(&format!("<cib>{cib}</cib>")).unwrap(), &ganeti(3, 3), wish);
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
fn what_somebody_else_made_is_left() {
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
fn what_was_changed_by_hand_is_said() {
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
fn ganeti_is_told_of_the_program_where_a_node_has_none() {
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
    assert!(parts.iter().any(|part| part.state == PartState::Change("it says something else".into())), "{parts:#?}");
}

/// The master role is kept off remote nodes if there are any: it would be tried there, and cannot be held.
#[test]
fn the_master_role_never_runs_on_a_remote_node() {
    const ID: &str = "gnt-ha-master-off-remotes";
    let of = |parts: Vec<Part>| parts.into_iter().find(|part| part.xml.contains(ID));
    let (cib, twenty) = large(20, 10);
    assert_eq!(of(plan(&cib, &large(16, 10).1, SetupOptions::default())), None, "there is no remote node");
    let unreached = plan_reached(&cib, &twenty, SetupOptions::default(), Some(&Reached::default()));
    assert_eq!(of(unreached), None, "nor is one added");
    for (primitive, role) in [(false, "gnt-ha-master-clone"), (true, "gnt-ha-master")] {
        let wish = SetupOptions { primitive, ..SetupOptions::default() };
        let first = plan(&cib, &twenty, wish);
        let one = of(first.clone()).unwrap();
        assert_eq!((&one.state, one.section), (&PartState::Add, "constraints"));
        let pcs = format!(
            "pcs constraint location {role} rule id={ID}-rule constraint-id={ID} score=-INFINITY '#kind' eq remote"
        );
        assert_eq!((one.pcs, one.crm), (vec![pcs], vec![format!("location {ID} {role} rule -inf: #kind eq remote")]));
        let made = fragment(&first);
        let whole = |made: &str| Resources::parse(&format!("<cib>{made}</cib>")).unwrap();
        let there = whole(&made);
        let kinds: Vec<_> = there.by_kind.iter().map(|kept| (kept.resource.as_str(), kept.kind.as_str())).collect();
        assert_eq!(kinds, [(role, "remote")]);
        assert_eq!(of(plan(&there, &twenty, wish)).unwrap().state, PartState::Unchanged);
        assert!(of_nodes(&there, &twenty).iter().all(|part| !part.xml.contains(ID)), "no hook changes it");
        assert!(deletions(&there).contains(&format!("<rsc_location id=\"{ID}\"/>")));
        for (from, to) in [
            ("value=\"remote\"", "value=\"container\""),
            ("score=\"-INFINITY\"", "score=\"-100\""),
            ("operation=\"eq\"", "operation=\"ne\""),
            ("score=\"-INFINITY\"", "role=\"Promoted\" score=\"-INFINITY\""),
        ] {
            assert!(made.contains(from), "{made}");
            let changed = of(plan(&whole(&made.replace(from, to)), &twenty, wish)).unwrap();
            assert_eq!(changed.state, PartState::Change("it says something else".into()), "{to}");
        }
        // An equal constraint that gnt-ha has not made is enough, also for a role that gnt-ha has not made.
        assert_eq!(of(plan(&whole(&made.replace(ID, "mine")), &twenty, wish)).unwrap().state, PartState::Unchanged);
        let theirs = plan(&whole(&made.replace("gnt-ha-master", "theirs")), &twenty, wish);
        assert!(
            theirs.iter().all(|part| part.section != "constraints" || part.state == PartState::Unchanged),
            "{theirs:#?}"
        );
    }
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
    assert_eq!(changed.state, PartState::Change("it is not so for n2.lab".into()));
    assert!(changed.xml.contains("value=\"/x/oob,n1.lab+,/y/oob,n2.lab+\""), "{}", changed.xml);
    let expected =
        "crm_attribute --name gnt-ha-oob-programs --set-name=gnt-ha-options --update=/x/oob,n1.lab+,/y/oob,n2.lab+";
    assert_eq!((changed.pcs, changed.crm), (vec![expected.to_owned()], vec![format!("# {expected}")]));
    // A path that the property cannot hold leaves no partial copy.
    let gone = of_nodes(&made, "/y z");
    assert_eq!(gone.xml.trim(), "<nvpair id=\"gnt-ha-options-gnt-ha-oob-programs\"/>");
    assert!(gone.state.is_removal());
    let elsewhere = made.replace("gnt-ha-options-gnt-ha-oob-programs", "cib-bootstrap-options-x");
    assert!(of_nodes(&elsewhere, "/y/oob").state.is_by_hand());
    assert_eq!(of_nodes(&elsewhere, "/x/oob").state, PartState::Unchanged);
}

/// The digest of the configuration is written only for an administrator, not by a hook. A host that becomes master with
/// an outdated file would otherwise declare that file right.
#[test]
fn the_digest_of_the_configuration_is_kept_in_pacemakers() {
    let [first, other]: [Digest; 2] = [DIGEST, "000000000000000000000000000000ab"].map(|text| text.parse().unwrap());
    let wish = |digest| SetupOptions { digest: Some(digest), ..SetupOptions::default() };
    let made = merged(&plan(&Resources::parse(EMPTY).unwrap(), &ganeti(3, 3), wish(first)));
    assert_eq!(made.property(&["gnt-ha-config-digest"]), Some(DIGEST));
    let find = |parts: Vec<Part>| parts.into_iter().find(|part| part.what.contains("config-digest"));
    assert_eq!(find(of_nodes(&made, &ganeti(3, 3))), None, "left");
    assert_eq!(find(plan(&made, &ganeti(3, 3), SetupOptions::default())), None, "left");
    assert_eq!(find(plan(&made, &ganeti(3, 3), wish(first))).unwrap().state, PartState::Unchanged);
    let changed = find(plan(&made, &ganeti(3, 3), wish(other))).unwrap();
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
    let wish = SetupOptions { digest: Some(DIGEST.parse().unwrap()), ..SetupOptions::default() };
    let first = plan(&Resources::parse(EMPTY).unwrap(), &ganeti(4, 3), wish);
    let kept: Vec<&str> = first.iter().filter(|part| is_only_kept(part)).map(|part| part.what.as_str()).collect();
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
    assert_eq!(part.state, PartState::Change("it is not so for n3.lab".into()));
}

/// Clusters larger than corosync carries (over 16 hosts): candidates are full members, the other nodes Pacemaker remote
/// nodes.
#[test]
fn beyond_what_corosync_carries_the_rest_are_remote_nodes() {
    let wish = SetupOptions::default();
    let remote = |parts: &[Part]| -> Vec<String> {
        let of = parts.iter().filter(|part| part.state == PartState::Add && part.xml.contains("type=\"remote\""));
        of.map(|part| part.what.split(' ').next().unwrap().to_owned()).collect()
    };
    let (cib, few) = large(16, 3);
    assert!(remote(&plan(&cib, &few, wish)).is_empty(), "corosync carries them: gnt-ha check says what is missing");
    let (cib, many) = large(20, 10);
    let parts = plan(&cib, &many, wish);
    assert_eq!(remote(&parts).len(), 10);
    let one = parts.iter().find(|part| part.what.starts_with("n17.lab ")).unwrap();
    assert!(one.xml.contains("<primitive id=\"n17.lab\""), "the id is the node's name: {}", one.xml);
    assert!(one.pcs[0].starts_with("pcs cluster node add-remote n17.lab n17.lab reconnect_interval="), "{:?}", one.pcs);
    assert!(one.crm[0].starts_with("primitive n17.lab ocf:pacemaker:remote params server="), "{:?}", one.crm);
    // A connection that migrates can have a node fenced that is well.
    let is_said = |line: &str| line.ends_with("meta resource-stickiness=INFINITY allow-migrate=false");
    assert!(is_said(&one.pcs[0]) && is_said(&one.crm[0]), "{one:?}");
    let made = merged(&parts);
    assert!(made.remotes().all(|remote| remote.meta_is_true("allow-migrate") == Some(false)), "{made:?}");
    let by_earlier = fragment(&parts).replace("name=\"allow-migrate\"", "name=\"x\"");
    let changed = plan(&Resources::parse(&format!("<cib>{by_earlier}</cib>")).unwrap(), &many, wish);
    let why = PartState::Change("allow-migrate is not set, not false".into());
    assert_eq!(changed.iter().filter(|part| part.state == why).count(), 10, "{changed:#?}");

    // The plan is idempotent, also if Pacemaker has the remote nodes among its nodes.
    let kind = |n: u8| if n > 10 { " type=\"remote\"" } else { "" };
    let known: String = (1..=20).map(|n| format!("<node id=\"{n}\" uname=\"n{n}.lab\"{}/>", kind(n))).collect();
    let applied = fragment(&parts).replace("<configuration>", &format!("<configuration><nodes>{known}</nodes>"));
    let applied = Resources::parse(&format!("<cib>{applied}</cib>")).unwrap();
    let again = plan(&applied, &many, wish);
    assert!(again.iter().all(|part| part.state == PartState::Unchanged), "{again:#?}");

    // The elements of gnt-ha are removed, and no others.
    let all = deletions(&applied);
    assert_eq!(all.iter().filter(|element| element.starts_with("<primitive id=\"n")).count(), 10, "{all:?}");
    let theirs = fragment(&parts).replace("gnt-ha-remote-n17.lab\"", "mine\"");
    let theirs = Resources::parse(&format!("<cib>{theirs}</cib>")).unwrap();
    assert!(!deletions(&theirs).contains(&"<primitive id=\"n17.lab\"/>".to_owned()));
    let kept = plan(&theirs, &many, wish);
    let n17 = kept.iter().find(|part| part.what.starts_with("n17.lab ") && part.section == "resources").unwrap();
    assert_eq!(n17.state, PartState::Unchanged, "it is as it is wanted");
    let theirs = fragment(&parts).replace("gnt-ha-remote-n17.lab\"", "mine\"").replace("\"60s\"", "\"90s\"");
    let kept = plan(&Resources::parse(&format!("<cib>{theirs}</cib>")).unwrap(), &many, wish);
    assert!(kept.iter().any(|part| part.state == PartState::Foreign("n17.lab does it".into())), "{kept:#?}");
    // A remote node whose connection was removed is still among the nodes.
    let bare = EMPTY.replace("<nodes/>", &format!("<nodes>{known}</nodes>"));
    assert_eq!(remote(&plan(&Resources::parse(&bare).unwrap(), &many, wish)).len(), 10);
    let smaller = plan(&applied, &large(19, 10).1, wish);
    assert_eq!(
        outdated(&smaller).filter(|element| element.contains("n20.lab\"")).collect::<Vec<_>>(),
        ["<primitive id=\"n20.lab\"/>"]
    );
}

/// If a connection starts on no member, Pacemaker fences a host that is well: no connection is added to a node that was
/// not reached.
#[test]
fn a_remote_node_that_was_not_reached_is_not_connected_to() {
    let (cib, _) = large(20, 10);
    let address = |n: u8| IpAddr::from([192, 0, 2, n]);
    let mut text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}}, "nodes": {}});
    for n in 1..=20_u8 {
        text["nodes"][format!("u{n}")] = json!({"name": format!("n{n}.lab"), "group": "g", "master_candidate": n <= 10,
            "master_capable": n <= 10, "offline": n == 20, "primary_ip": address(n).to_string()});
    }
    let ganeti = GanetiConfig::parse(text.to_string().as_bytes()).unwrap();
    let asked = to_connect(&cib, &ganeti, MEMBERS);
    assert_eq!(asked, (11..=19).map(address).collect::<BTreeSet<_>>());
    let refused = |at: &IpAddr| if *at == address(17) { Err("Connection refused".to_owned()) } else { Ok(()) };
    let addresses = asked.into_iter().map(|at| (at, refused(&at))).collect();
    let reached = Reached { addresses, other_key: None };
    let parts = plan_reached(&cib, &ganeti, SetupOptions::default(), Some(&reached));
    let of = |node: &str| parts.iter().find(|part| part.what.starts_with(node) && part.section == "resources").unwrap();
    assert_eq!(of("n18.lab ").state, PartState::Add);
    assert!(
        matches!(&of("n17.lab ").state, PartState::Manual(why) if why.contains("192.0.2.17 port 3121: Connection refused")),
        "{parts:#?}"
    );
    let made = fragment(&parts);
    assert!(!made.contains("\"n17.lab\" class") && made.contains("\"n18.lab\" class"), "{made}");
    // A node that is connected is not asked again.
    let applied = merged(&parts);
    assert_eq!(to_connect(&applied, &ganeti, MEMBERS), BTreeSet::from([address(17)]));
    let again = plan_reached(&applied, &ganeti, SetupOptions::default(), Some(&Reached::default()));
    assert!(
        again.iter().any(|part| part.what.starts_with("n18.lab ") && part.state == PartState::Unchanged),
        "{again:#?}"
    );
}

/// Pacemaker may start a connection on any full member, and fences the node if that fails because of its key. No
/// connection is added unless all members report the key that was tried.
#[test]
fn no_connection_is_added_while_a_member_may_have_another_key() {
    let node = |n: u8| NodeName::new(&format!("n{n}.lab")).unwrap();
    let (here, wish) = (node(1), SetupOptions { members: 3, ..SetupOptions::default() });
    let known: String = (1..=3).map(|n| format!("<node id=\"{n}\" uname=\"n{n}\"/>")).collect();
    let cib =
        |more: &str| Resources::parse(&EMPTY.replace("<nodes/>", &format!("<nodes>{known}{more}</nodes>"))).unwrap();
    let program = |key: Option<&str>| Program {
        version: "0.1.0".into(),
        config: None,
        digest: None,
        wall_ms: 1,
        remote_key: key.map(str::to_owned),
    };
    let says = |key| NodeSurvey::Answered { program: Some(program(key)), skew_ms: 0, self_fence: None };
    let survey = |second: Option<NodeSurvey>| {
        let asked = [(node(2), second), (node(3), Some(says(Some("k")))), (node(4), Some(says(None)))];
        let nodes = asked.into_iter().filter_map(|(node, answer)| Some((node, answer?))).collect();
        Survey { own: program(Some("k")), own_self_fence: None, nodes }
    };
    let asked_for = |survey: &Survey| other_key(&cib(""), &many(), Some(&here), survey);
    assert_eq!(
        asked_for(&survey(Some(says(Some("k"))))),
        None,
        "a node that is to be a remote node connects to no host"
    );
    let other = "n2.lab has another key for remote nodes, or none".to_owned();
    let older = NodeSurvey::Answered { program: None, skew_ms: 0, self_fence: None };
    for differs in [says(Some("other")), says(None), older] {
        assert_eq!(asked_for(&survey(Some(differs))).as_ref(), Some(&other));
    }
    let unknown = asked_for(&survey(Some(NodeSurvey::NoAnswer("did not answer in time".into())))).unwrap();
    assert_eq!(unknown, "n2.lab does not say which key for remote nodes it has: did not answer in time");
    assert!(asked_for(&survey(None)).unwrap().contains("it is offline in Ganeti or refused"));
    let keyless = Survey { own: program(None), ..survey(Some(says(None))) };
    assert_eq!(asked_for(&keyless), Some("n1.lab has another key for remote nodes, or none".to_owned()));
    let strange = cib("<node id=\"9\" uname=\"q9.lab\"/>");
    let expected = other_key(&strange, &many(), Some(&here), &survey(Some(says(Some("k"))))).unwrap();
    assert!(expected.starts_with("q9.lab cannot be asked"), "{expected}");

    let addresses = to_connect(&cib(""), &many(), 3).into_iter().map(|at| (at, Ok(()))).collect();
    let reached = Reached { addresses, other_key: Some(other.clone()) };
    let parts = plan_reached(&cib(""), &many(), wish, Some(&reached));
    let by_hand = PartState::Manual(other);
    assert_eq!(parts.iter().filter(|part| part.state == by_hand).count(), 2, "{parts:#?}");
    assert!(!fragment(&parts).contains("type=\"remote\""));
    // The present connections stay.
    let made = fragment(&plan(&cib(""), &many(), wish));
    let made = made.replace("<configuration>", &format!("<configuration><nodes>{known}</nodes>"));
    let made = Resources::parse(&format!("<cib>{made}</cib>")).unwrap();
    let again = plan_reached(&made, &many(), wish, Some(&reached));
    assert!(again.iter().all(|part| !part.state.is_by_hand()), "{again:#?}");
}

/// Pacemaker keeps the entry of a node whose connection was removed: the node is asked and connected again. A node
/// whose short and full names are both full members gets no connection.
#[test]
fn an_entry_that_is_left_over_is_no_connection() {
    let address = |n: u8| IpAddr::from([192, 0, 2, n]);
    let wish = SetupOptions { members: 3, ..SetupOptions::default() };
    let cib = |more: &str| {
        let known: String = (1..=3).map(|n| format!("<node id=\"{n}\" uname=\"n{n}.lab\"/>")).collect();
        Resources::parse(&EMPTY.replace("<nodes/>", &format!("<nodes>{known}{more}</nodes>"))).unwrap()
    };
    let of = |resources: &Resources| {
        let asked = to_connect(resources, &many(), 3);
        let reached = Reached { addresses: asked.iter().map(|at| (*at, Ok(()))).collect(), other_key: None };
        let parts = plan_reached(resources, &many(), wish, Some(&reached));
        let added = parts.iter().filter(|part| part.state == PartState::Add && part.xml.contains("type=\"remote\""));
        (asked, added.map(|part| part.what.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let both = (BTreeSet::from([address(4), address(17)]), vec!["n17.lab".to_owned(), "n4.lab".to_owned()]);
    assert_eq!(of(&cib("")), both);
    let left_over = "<node id=\"n4.lab\" uname=\"n4.lab\" type=\"remote\"/><node id=\"n17.lab\" uname=\"n17.lab\" type=\"remote\"/>";
    assert_eq!(of(&cib(left_over)), both);
    let one = (BTreeSet::from([address(17)]), vec!["n17.lab".to_owned()]);
    assert_eq!(of(&cib("<node id=\"4\" uname=\"n4\"/>")), one);
    assert_eq!(of(&cib("<node id=\"4\" uname=\"n4\"/><node id=\"5\" uname=\"n4.lab\"/>")), one);
}

/// If two full members have lost each other, the one with the master is to win, however many remote nodes there are.
#[test]
fn remote_nodes_have_no_part_in_a_tie() {
    let (cib, five) = large(5, 2);
    let wish = SetupOptions { members: 2, ..SetupOptions::default() };
    let delays =
        |resources: &Resources, wish| fragment(&plan(resources, &five, wish)).contains("priority-fencing-delay");
    assert_eq!(full_members(&cib, &five, 2), 2);
    assert!(delays(&cib, wish));
    assert!(!delays(&cib, SetupOptions { has_device: true, ..wish }));
    assert!(!delays(&cib, SetupOptions { members: 16, ..wish }), "the others are to be full members");
    // Existing full members stay what they are, whatever the options are.
    let known = "<nodes><node id=\"1\" uname=\"n1\"/><node id=\"2\" uname=\"n2\"/></nodes>";
    let made = fragment(&plan(&cib, &five, wish)).replace("<configuration>", &format!("<configuration>{known}"));
    let made = Resources::parse(&format!("<cib>{made}</cib>")).unwrap();
    assert_eq!([2, 16].map(|members| full_members(&made, &five, members)), [2, 2]);
    assert!(
        plan(&made, &five, wish)
            .iter()
            .any(|part| part.what.contains("priority-") && part.state == PartState::Unchanged)
    );
    let third = Resources { nodes: large(5, 3).0.nodes, ..cib };
    assert_eq!(full_members(&third, &five, 2), 3, "a regular node that is a full member stays one");
    assert!(!delays(&third, wish));
}

/// An administrator may have fewer full members than corosync carries. Ganeti fills its pool with any capable node: a
/// remote node must not be capable, with a connection of gnt-ha or another one.
#[test]
fn fewer_members_can_be_wished_for_and_ganeti_promotes_no_remote_node() {
    let (cib, few) = large(5, 3);
    let wish = SetupOptions { members: 3, ..SetupOptions::default() };
    let address: BTreeSet<IpAddr> = BTreeSet::new();
    assert_eq!(
        (to_connect(&cib, &few, 3), to_connect(&cib, &few, 5)),
        (address.clone(), address),
        "no addresses there"
    );
    let of = |parts: &[Part]| -> (Vec<String>, usize) {
        let asked_for = parts.iter().filter(|part| part.section == GANETI && part.state.is_open());
        let remotes = parts.iter().filter(|part| part.xml.contains("type=\"remote\"")).count();
        (asked_for.map(|part| part.pcs.join("; ")).collect(), remotes)
    };
    assert_eq!(of(&plan(&cib, &few, SetupOptions::default())), (Vec::new(), 0));
    let asked_for = ["gnt-node modify --master-capable=no n4.lab", "gnt-node modify --master-capable=no n5.lab"];
    let parts = plan(&cib, &few, wish);
    assert_eq!(of(&parts), (asked_for.map(str::to_owned).to_vec(), 2));
    let crm: Vec<&String> = parts.iter().filter(|part| part.section == GANETI).flat_map(|part| &part.crm).collect();
    assert!(crm.iter().all(|line| line.starts_with("# gnt-")), "no word for crmsh: {crm:?}");
    // A node that is connected stays so; one that was not reached stays a regular node.
    assert_eq!(of(&plan(&merged(&parts), &few, SetupOptions::default())).0, asked_for);
    assert_eq!(of(&plan_reached(&cib, &few, wish, Some(&Reached::default()))).0, [""; 0]);
}

/// A remote node fences no node and cannot hold the master role. The plan reports that, and leaves the change to the
/// administrator.
#[test]
fn a_candidate_is_no_remote_node() {
    let (cib, _) = large(20, 10);
    let promoted = ganeti(20, 11);
    let parts = plan(&cib, &promoted, SetupOptions::default());
    let by_hand = |parts: &[Part]| -> Vec<String> {
        let of = parts.iter().filter(|part| matches!(part.state, PartState::Manual(_)));
        of.map(|part| part.what.clone()).collect()
    };
    let expected = ["n11.lab, a master candidate, as a full member of Pacemaker's cluster"];
    assert_eq!(by_hand(&parts), expected);
    assert!(!fragment(&parts).contains("id=\"n11.lab\""));
    let was_remote = merged(&plan(&cib, &ganeti(20, 10), SetupOptions::default()));
    assert!(
        by_hand(&plan(&was_remote, &promoted, SetupOptions::default())).iter().any(|what| what.starts_with("n11.lab"))
    );
}

/// Option names that this Pacemaker knows (2.1 or 3). 2.1.5 has feature set 3.16.1, 3.0.1 has 3.20.1, 3.0.2 has 3.20.5.
#[test]
fn properties_have_the_names_that_this_pacemaker_knows() {
    let of = |feature_set: &str, there: &str| {
        let cib = EMPTY.replace("<cib>", &format!("<cib crm_feature_set=\"{feature_set}\">"));
        let set = format!("<crm_config><cluster_property_set id=\"s\">{there}</cluster_property_set></crm_config>");
        let resources = Resources::parse(&cib.replace("<crm_config/>", &set)).unwrap();
        let parts = plan(&resources, &ganeti(3, 3), SetupOptions::default());
        let is_pacemakers = |part: &Part| part.section == "crm_config" && !part.what.contains("gnt-ha-");
        let properties = parts.into_iter().filter(is_pacemakers);
        properties.map(|part| (part.what, part.state)).collect::<Vec<_>>()
    };
    let add =
        |names: &[&str]| names.iter().map(|name| (format!("property {name}"), PartState::Add)).collect::<Vec<_>>();
    let older = add(&["stonith-enabled = true", "stonith-timeout = 72s", "concurrent-fencing = true"]);
    assert_eq!(of("3.16.1", ""), older);
    assert_eq!(of("3.9.0", ""), older, "as numbers");
    assert_eq!(of("3.20.1", ""), older[..2], "concurrent-fencing is deprecated, and so by default");
    let later = add(&["fencing-enabled = true", "fencing-timeout = 72s"]);
    assert_eq!(of("3.20.5", ""), later);

    // After an upgrade gnt-ha's property is renamed and keeps its value; the administrator's property stays.
    let pair = |id: &str, name: &str| format!("<nvpair id=\"{id}\" name=\"{name}\" value=\"90s\"/>");
    let renamed = of("3.20.5", &pair("gnt-ha-options-stonith-timeout", "stonith-timeout"));
    let gone = PartState::Remove("this Pacemaker calls it fencing-timeout".into());
    assert_eq!(
        renamed[1..],
        [("property fencing-timeout = 90s".into(), PartState::Add), ("property stonith-timeout".into(), gone)]
    );
    let kept = of("3.20.5", &pair("x", "stonith-timeout"));
    assert_eq!(kept[1].1, PartState::Foreign("it is 90s, as stonith-timeout".into()));
    // A name that this Pacemaker does not know has no effect.
    assert_eq!(of("3.16.1", &pair("x", "fencing-timeout"))[1], older[1]);
}

/// Without allow-unhealthy-nodes the clone that publishes a red health is stopped by it.
#[test]
fn health_counts_where_it_is_wished_for() {
    let empty = Resources::parse(EMPTY).unwrap();
    let without = plan(&empty, &ganeti(3, 3), SetupOptions::default());
    assert!(!fragment(&without).contains("health") && without.iter().all(|part| !part.what.contains("health")));
    let wish = SetupOptions { health: true, ..SetupOptions::default() };
    let parts = plan(&empty, &ganeti(3, 3), wish);
    let made = fragment(&parts);
    assert!(made.contains("name=\"node-health-strategy\" value=\"migrate-on-red\""), "{made}");
    assert!(made.contains("name=\"allow-unhealthy-nodes\" value=\"true\""), "{made}");
    let asked_for: Vec<&Part> = parts.iter().filter(|part| part.section == GANETI && part.state.is_open()).collect();
    assert_eq!(
        asked_for.iter().map(|part| part.pcs[0].as_str()).collect::<Vec<_>>(),
        ["gnt-cluster add-tags ocf:health:on"]
    );
    // A configuration that has it without the option keeps it; one without it gets the clone changed.
    assert!(
        plan(&merged(&parts), &ganeti(3, 3), SetupOptions::default())
            .iter()
            .all(|part| part.state == PartState::Unchanged)
    );
    let later = plan(&merged(&without), &ganeti(3, 3), wish);
    let why = PartState::Change("allow-unhealthy-nodes is not set, not true".into());
    assert!(later.iter().any(|part| part.state == why), "{later:#?}");
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
        let (cluster, wish) = match by.rsplit(' ').next() {
            Some("many") => (many(), SetupOptions { health: true, ..SetupOptions::default() }),
            Some("two") => (ganeti(2, 2), SetupOptions::default()),
            _ => (ganeti(2, 2), SetupOptions { primitive: true, ..SetupOptions::default() }),
        };
        let wish = SetupOptions { digest: DIGEST.parse().ok(), ..wish };
        let parts = plan(&Resources::parse(cib).unwrap(), &cluster, wish);
        let parts = parts.iter().filter(|part| part.section != GANETI);
        let open: Vec<(&str, &PartState)> = parts
            .filter(|part| part.state != PartState::Unchanged)
            .map(|part| (part.what.as_str(), &part.state))
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

/// A quorum device decides a tie: no node is preferred, and what was made for that is removed, whichever tool made it.
#[test]
fn with_a_quorum_device_nobody_of_two_is_preferred() {
    let empty = Resources::parse(EMPTY).unwrap();
    for primitive in [false, true] {
        let without = SetupOptions { primitive, ..SetupOptions::default() };
        let with = SetupOptions { has_device: true, ..without };
        let first = plan(&empty, &ganeti(2, 2), with);
        assert!(!fragment(&first).contains("priority"), "{}", fragment(&first));
        let before = fragment(&plan(&empty, &ganeti(2, 2), without));
        for (from, to) in
            [("no such id", ""), ("gnt-ha-master-priority", "gnt-ha-master-clone-meta_attributes-priority")]
        {
            let there = Resources::parse(&format!("<cib>{}</cib>", before.replace(from, to))).unwrap();
            let parts = plan(&there, &ganeti(2, 2), with);
            let gone: Vec<&str> = outdated(&parts).collect();
            let id = if to.is_empty() { "gnt-ha-master-priority" } else { to };
            let delay = "<nvpair id=\"gnt-ha-options-priority-fencing-delay\"/>";
            assert_eq!(gone, [format!("<nvpair id=\"{id}\"/>").as_str(), delay]);
            let open = parts.iter().filter(|part| part.state.is_open() && !part.state.is_removal());
            assert_eq!(open.count(), 0, "nothing else changes");
        }
        // The administrator's own property stays, and `gnt-ha check` reports it.
        let theirs = before.replace("gnt-ha-options-priority-fencing-delay", "own-delay");
        let parts = plan(&Resources::parse(&format!("<cib>{theirs}</cib>")).unwrap(), &ganeti(2, 2), with);
        assert_eq!(outdated(&parts).count(), 1);
    }
}
