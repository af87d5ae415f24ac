//! Tests of the parts for Pacemaker remote nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;
use crate::core::config::FULL_MEMBERS_MOST;
use crate::core::node::NodeName;
use crate::core::shun::messages::Program;
use crate::core::survey::{NodeSurvey, Survey};

/// Returns a cluster of `nodes` nodes, of which `candidates` are candidates and known to Pacemaker.
fn large(nodes: u8, candidates: u8) -> (Resources, GanetiConfig) {
    let known: String = (1..=candidates).map(|n| format!("<node id=\"{n}\" uname=\"n{n}.lab\"/>")).collect();
    let cib = EMPTY.replace("<nodes/>", &format!("<nodes>{known}</nodes>"));
    (Resources::parse(&cib).unwrap(), ganeti(nodes, candidates))
}

/// The master role is kept off remote nodes if there are any: it would be tried there, and cannot be held.
#[test]
fn the_master_role_never_runs_on_a_remote_node() {
    const ID: &str = "gnt-ha-master-off-remotes";
    let of = |parts: Vec<Part>| parts.into_iter().find(|part| part.xml.contains(ID));
    let (cib, twenty) = large(20, 10);
    assert_eq!(of(plan(&cib, &large(16, 10).1, SetupOptions::default())), None, "there is no remote node");
    let unreached = plan_reached(&cib, &twenty, SetupOptions::default(), Some(&RemoteChecks::default()));
    assert_eq!(of(unreached), None, "nor is one added");
    for (primitive, role) in [(false, "gnt-ha-master-clone"), (true, "gnt-ha-master")] {
        let options = SetupOptions { primitive, ..SetupOptions::default() };
        let first = plan(&cib, &twenty, options);
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
        assert_eq!(of(plan(&there, &twenty, options)).unwrap().state, PartState::Unchanged);
        assert!(of_nodes(&there, &twenty).iter().all(|part| !part.xml.contains(ID)), "no hook changes it");
        assert!(deletions(&there).contains(&format!("<rsc_location id=\"{ID}\"/>")));
        for (from, to) in [
            ("value=\"remote\"", "value=\"container\""),
            ("score=\"-INFINITY\"", "score=\"-100\""),
            ("operation=\"eq\"", "operation=\"ne\""),
            ("score=\"-INFINITY\"", "role=\"Promoted\" score=\"-INFINITY\""),
        ] {
            assert!(made.contains(from), "{made}");
            let changed = of(plan(&whole(&made.replace(from, to)), &twenty, options)).unwrap();
            assert_eq!(changed.state, PartState::Change("it has another rule".into()), "{to}");
        }
        // An equal constraint that gnt-ha has not made is enough, also for a role that gnt-ha has not made.
        assert_eq!(of(plan(&whole(&made.replace(ID, "mine")), &twenty, options)).unwrap().state, PartState::Unchanged);
        let theirs = plan(&whole(&made.replace("gnt-ha-master", "theirs")), &twenty, options);
        assert!(
            theirs.iter().all(|part| part.section != "constraints" || part.state == PartState::Unchanged),
            "{theirs:#?}"
        );
    }
}

/// Clusters larger than corosync carries (over 16 hosts): candidates are full members, the other nodes Pacemaker remote
/// nodes.
#[test]
fn beyond_what_corosync_carries_the_rest_are_remote_nodes() {
    let options = SetupOptions::default();
    let remote = |parts: &[Part]| -> Vec<String> {
        let of = parts.iter().filter(|part| part.state == PartState::Add && part.xml.contains("type=\"remote\""));
        of.map(|part| part.description.split(' ').next().unwrap().to_owned()).collect()
    };
    let (cib, few) = large(16, 3);
    assert!(remote(&plan(&cib, &few, options)).is_empty(), "corosync carries them: gnt-ha check says what is missing");
    let (cib, many) = large(20, 10);
    let parts = plan(&cib, &many, options);
    assert_eq!(remote(&parts).len(), 10);
    let one = parts.iter().find(|part| part.description.starts_with("n17.lab ")).unwrap();
    assert!(one.xml.contains("<primitive id=\"n17.lab\""), "the id is the node's name: {}", one.xml);
    assert!(one.pcs[0].starts_with("pcs cluster node add-remote n17.lab n17.lab reconnect_interval="), "{:?}", one.pcs);
    assert!(one.crm[0].starts_with("primitive n17.lab ocf:pacemaker:remote params server="), "{:?}", one.crm);
    // A connection that migrates can have a node fenced that is well.
    let has_stickiness = |line: &str| line.ends_with("meta resource-stickiness=INFINITY allow-migrate=false");
    assert!(has_stickiness(&one.pcs[0]) && has_stickiness(&one.crm[0]), "{one:?}");
    let made = merged(&parts);
    assert!(made.remotes().all(|remote| remote.meta_is_true("allow-migrate") == Some(false)), "{made:?}");
    let by_earlier = fragment(&parts).replace("name=\"allow-migrate\"", "name=\"x\"");
    let changed = plan(&Resources::parse(&format!("<cib>{by_earlier}</cib>")).unwrap(), &many, options);
    let why = PartState::Change("allow-migrate is not set, not false".into());
    assert_eq!(changed.iter().filter(|part| part.state == why).count(), 10, "{changed:#?}");

    // The plan is idempotent, also if Pacemaker has the remote nodes among its nodes.
    let kind = |n: u8| if n > 10 { " type=\"remote\"" } else { "" };
    let known: String = (1..=20).map(|n| format!("<node id=\"{n}\" uname=\"n{n}.lab\"{}/>", kind(n))).collect();
    let applied = fragment(&parts).replace("<configuration>", &format!("<configuration><nodes>{known}</nodes>"));
    let applied = Resources::parse(&format!("<cib>{applied}</cib>")).unwrap();
    let again = plan(&applied, &many, options);
    assert!(again.iter().all(|part| part.state == PartState::Unchanged), "{again:#?}");

    // The elements of gnt-ha are removed, and no others.
    let all = deletions(&applied);
    assert_eq!(all.iter().filter(|element| element.starts_with("<primitive id=\"n")).count(), 10, "{all:?}");
    let theirs = fragment(&parts).replace("gnt-ha-remote-n17.lab\"", "mine\"");
    let theirs = Resources::parse(&format!("<cib>{theirs}</cib>")).unwrap();
    assert!(!deletions(&theirs).contains(&"<primitive id=\"n17.lab\"/>".to_owned()));
    let kept = plan(&theirs, &many, options);
    let n17 = kept.iter().find(|part| part.description.starts_with("n17.lab ") && part.section == "resources").unwrap();
    assert_eq!(n17.state, PartState::Unchanged, "it is as it is wanted");
    let theirs = fragment(&parts).replace("gnt-ha-remote-n17.lab\"", "mine\"").replace("\"60s\"", "\"90s\"");
    let kept = plan(&Resources::parse(&format!("<cib>{theirs}</cib>")).unwrap(), &many, options);
    assert!(kept.iter().any(|part| part.state == PartState::Foreign("n17.lab does it".into())), "{kept:#?}");
    // A remote node whose connection was removed is still among the nodes.
    let bare = EMPTY.replace("<nodes/>", &format!("<nodes>{known}</nodes>"));
    assert_eq!(remote(&plan(&Resources::parse(&bare).unwrap(), &many, options)).len(), 10);
    let smaller = plan(&applied, &large(19, 10).1, options);
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
    let asked = to_connect(&cib, &ganeti, FULL_MEMBERS_MOST);
    assert_eq!(asked, (11..=19).map(address).collect::<BTreeSet<_>>());
    let refused = |at: &IpAddr| if *at == address(17) { Err("Connection refused".to_owned()) } else { Ok(()) };
    let addresses = asked.into_iter().map(|at| (at, refused(&at))).collect();
    let reached = RemoteChecks { addresses, other_key: None };
    let parts = plan_reached(&cib, &ganeti, SetupOptions::default(), Some(&reached));
    let of = |node: &str| {
        parts.iter().find(|part| part.description.starts_with(node) && part.section == "resources").unwrap()
    };
    assert_eq!(of("n18.lab ").state, PartState::Add);
    assert!(
        matches!(&of("n17.lab ").state, PartState::Manual(why) if why.contains("192.0.2.17 port 3121: Connection refused")),
        "{parts:#?}"
    );
    let made = fragment(&parts);
    assert!(!made.contains("\"n17.lab\" class") && made.contains("\"n18.lab\" class"), "{made}");
    // A node that is connected is not asked again.
    let applied = merged(&parts);
    assert_eq!(to_connect(&applied, &ganeti, FULL_MEMBERS_MOST), BTreeSet::from([address(17)]));
    let again = plan_reached(&applied, &ganeti, SetupOptions::default(), Some(&RemoteChecks::default()));
    assert!(
        again.iter().any(|part| part.description.starts_with("n18.lab ") && part.state == PartState::Unchanged),
        "{again:#?}"
    );
}

/// Pacemaker may start a connection on any full member, and fences the node if that fails because of its key. No
/// connection is added unless all members report the key that was tried.
#[test]
fn no_connection_is_added_while_a_member_may_have_another_key() {
    let node = |n: u8| NodeName::new(&format!("n{n}.lab")).unwrap();
    let (here, options) = (node(1), SetupOptions { members: 3, ..SetupOptions::default() });
    let known: String = (1..=3).map(|n| format!("<node id=\"{n}\" uname=\"n{n}\"/>")).collect();
    let cib =
        |more: &str| Resources::parse(&EMPTY.replace("<nodes/>", &format!("<nodes>{known}{more}</nodes>"))).unwrap();
    let program = |key: Option<&str>| Program {
        version: "0.2.0".into(),
        config: None,
        digest: None,
        wall_ms: 1,
        remote_key: key.map(str::to_owned),
        host: None,
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
    assert_eq!(unknown, "n2.lab does not report which key for remote nodes it has: did not answer in time");
    assert!(asked_for(&survey(None)).unwrap().contains("it is offline in Ganeti or shunned"));
    let keyless = Survey { own: program(None), ..survey(Some(says(None))) };
    assert_eq!(asked_for(&keyless), Some("n1.lab has another key for remote nodes, or none".to_owned()));
    let strange = cib("<node id=\"9\" uname=\"q9.lab\"/>");
    let expected = other_key(&strange, &many(), Some(&here), &survey(Some(says(Some("k"))))).unwrap();
    assert!(expected.starts_with("q9.lab cannot be asked"), "{expected}");

    let addresses = to_connect(&cib(""), &many(), 3).into_iter().map(|at| (at, Ok(()))).collect();
    let reached = RemoteChecks { addresses, other_key: Some(other.clone()) };
    let parts = plan_reached(&cib(""), &many(), options, Some(&reached));
    let by_hand = PartState::Manual(other);
    assert_eq!(parts.iter().filter(|part| part.state == by_hand).count(), 2, "{parts:#?}");
    assert!(!fragment(&parts).contains("type=\"remote\""));
    // The present connections stay.
    let made = fragment(&plan(&cib(""), &many(), options));
    let made = made.replace("<configuration>", &format!("<configuration><nodes>{known}</nodes>"));
    let made = Resources::parse(&format!("<cib>{made}</cib>")).unwrap();
    let again = plan_reached(&made, &many(), options, Some(&reached));
    assert!(again.iter().all(|part| !part.state.is_by_hand()), "{again:#?}");
}

/// Pacemaker keeps the entry of a node whose connection was removed: the node is asked and connected again. A node
/// whose short and full names are both full members gets no connection.
#[test]
fn an_entry_that_is_left_over_is_no_connection() {
    let address = |n: u8| IpAddr::from([192, 0, 2, n]);
    let options = SetupOptions { members: 3, ..SetupOptions::default() };
    let cib = |more: &str| {
        let known: String = (1..=3).map(|n| format!("<node id=\"{n}\" uname=\"n{n}.lab\"/>")).collect();
        Resources::parse(&EMPTY.replace("<nodes/>", &format!("<nodes>{known}{more}</nodes>"))).unwrap()
    };
    let of = |resources: &Resources| {
        let asked = to_connect(resources, &many(), 3);
        let reached = RemoteChecks { addresses: asked.iter().map(|at| (*at, Ok(()))).collect(), other_key: None };
        let parts = plan_reached(resources, &many(), options, Some(&reached));
        let added = parts.iter().filter(|part| part.state == PartState::Add && part.xml.contains("type=\"remote\""));
        (asked, added.map(|part| part.description.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>())
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
    let options = SetupOptions { members: 2, ..SetupOptions::default() };
    let delays =
        |resources: &Resources, options| fragment(&plan(resources, &five, options)).contains("priority-fencing-delay");
    assert_eq!(full_members(&cib, &five, 2), 2);
    assert!(delays(&cib, options));
    assert!(!delays(&cib, SetupOptions { has_device: true, ..options }));
    assert!(!delays(&cib, SetupOptions { members: 16, ..options }), "the others are to be full members");
    // Existing full members stay what they are, whatever the options are.
    let known = "<nodes><node id=\"1\" uname=\"n1\"/><node id=\"2\" uname=\"n2\"/></nodes>";
    let made = fragment(&plan(&cib, &five, options)).replace("<configuration>", &format!("<configuration>{known}"));
    let made = Resources::parse(&format!("<cib>{made}</cib>")).unwrap();
    assert_eq!([2, 16].map(|members| full_members(&made, &five, members)), [2, 2]);
    assert!(
        plan(&made, &five, options)
            .iter()
            .any(|part| part.description.contains("priority-") && part.state == PartState::Unchanged)
    );
    let third = Resources { nodes: large(5, 3).0.nodes, ..cib };
    assert_eq!(full_members(&third, &five, 2), 3, "a regular node that is a full member stays one");
    assert!(!delays(&third, options));
}

/// An administrator may have fewer full members than corosync carries. Ganeti fills its pool with any capable node: a
/// remote node must not be capable, with a connection of gnt-ha or another one.
#[test]
fn fewer_members_can_be_wished_for_and_ganeti_promotes_no_remote_node() {
    let (cib, few) = large(5, 3);
    let options = SetupOptions { members: 3, ..SetupOptions::default() };
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
    let parts = plan(&cib, &few, options);
    assert_eq!(of(&parts), (asked_for.map(str::to_owned).to_vec(), 2));
    let crm: Vec<&String> = parts.iter().filter(|part| part.section == GANETI).flat_map(|part| &part.crm).collect();
    assert!(crm.iter().all(|line| line.starts_with("# gnt-")), "no word for crmsh: {crm:?}");
    // A node that is connected stays so; one that was not reached stays a regular node.
    assert_eq!(of(&plan(&merged(&parts), &few, SetupOptions::default())).0, asked_for);
    assert_eq!(of(&plan_reached(&cib, &few, options, Some(&RemoteChecks::default()))).0, [""; 0]);
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
        of.map(|part| part.description.clone()).collect()
    };
    let expected = ["n11.lab, a master candidate, as a full member of Pacemaker's cluster"];
    assert_eq!(by_hand(&parts), expected);
    assert!(!fragment(&parts).contains("id=\"n11.lab\""));
    let was_remote = merged(&plan(&cib, &ganeti(20, 10), SetupOptions::default()));
    assert!(
        by_hand(&plan(&was_remote, &promoted, SetupOptions::default())).iter().any(|what| what.starts_with("n11.lab"))
    );
}
