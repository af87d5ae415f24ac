//! Tests the table of the module row by row, and hostile answers.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::core::grade::Grade;
use crate::core::shun::list::ShunScope;

mod hostile;

const OWN: LeaseTimes = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn addresses(all: &[&str]) -> BTreeSet<IpAddr> {
    all.iter().map(|text| text.parse().unwrap()).collect()
}

fn entry(epoch: u64, grade: Grade, all: &[&str]) -> ShunEntry {
    ShunEntry {
        epoch: Epoch(epoch),
        addresses: addresses(all),
        scope: ShunScope::All,
        grade,
        boot_id: None,
        since_ms: 1,
        by: "x".into(),
    }
}

fn shun_list(entries: &[(&str, ShunEntry)]) -> ShunList {
    ShunList(entries.iter().map(|(node, entry)| (name(node), entry.clone())).collect())
}

/// This node is n1; n1 and n2 are candidates, n3 and n4 are not.
fn members() -> ClusterMembers {
    let member = |n: u8| (name(&format!("n{n}")), addresses(&[&format!("192.0.2.{n}"), &format!("198.51.100.{n}")]));
    ClusterMembers {
        here: Some(name("n1")),
        members: (1..=4).map(member).collect(),
        candidates: [name("n1"), name("n2")].into(),
        master_ip: Some("192.0.2.100".parse().unwrap()),
    }
}

fn report(node: &str) -> PeerReport {
    serde_json::from_value(
        json!({"version": VERSION, "node": node, "boot_id": "b1", "shun_list": {}, "shunned": {}, "ruleset_id": "b1 1 2"}),
    )
    .unwrap()
}

fn self_fence(boot_id: &str) -> SelfFenceReport {
    SelfFenceReport {
        asks_from: None,
        is_virtual: Some(false),
        boot_id: boot_id.into(),
        driver: "iTCO_wdt".into(),
        nowayout: true,
        lease_times: OWN,
        candidates: vec![],
        guaranteed_for_ms: 600_000,
        lease_age_ms: 1,
    }
}

fn accept(report: PeerReport, is_candidate: bool) -> Result<PeerReport, PeerAnswerError> {
    let node = name("n3");
    answer(
        report,
        SentRequest {
            node: &node,
            is_candidate,
            about: &[name("n4")],
            receipts: &[name("n4")],
            drbd: false,
            own_lease_times: OWN,
        },
    )
}

/// A regular node answers that n4 is off for ever and that the gateway is to be dropped: nothing of that counts.
#[test]
fn a_regular_node_says_nothing_of_others() {
    let mut lie = report("n3");
    lie.shun_list = shun_list(&[
        ("n4", entry(Epoch::MOST, Grade::Bounded, &["192.0.2.4"])),
        ("foreign", entry(1, Grade::Off, &["192.0.2.254", "192.0.2.53"])),
    ]);
    lie.self_fences = BTreeMap::from([(
        name("n4"),
        DatedSelfFenceReport { self_fence: self_fence("b4"), age_ms: 1, uptime_ms: None },
    )]);
    let accepted = accept(lie.clone(), false).unwrap();
    assert_eq!((accepted.shun_list, accepted.self_fences), (ShunList::default(), BTreeMap::new()));
    // The same list does not count as an order either, by any channel.
    for by in [Channel::Noded, Channel::Answer] {
        let why = members().believe(&name("n3"), by, &lie.shun_list, &ShunList::default()).unwrap_err();
        assert_eq!(why, Disbelief::NoCandidate(name("n3")));
    }
    let why = members().believe(&name("n9"), Channel::Root, &lie.shun_list, &ShunList::default()).unwrap_err();
    assert_eq!(why, Disbelief::Stranger(name("n9")));
}

/// A candidate's statement is an order, within limits: nodes of the cluster, their own addresses, an epoch that can
/// follow.
#[test]
fn a_candidate_is_believed_within_limits() {
    let own = shun_list(&[
        ("n3", entry(2, Grade::Unknown, &["203.0.113.3"])),
        ("gone", entry(1, Grade::Off, &["203.0.113.9"])),
    ]);
    let says = |node: &str, entry: ShunEntry| {
        let belief = members().believe(&name("n2"), Channel::Noded, &shun_list(&[(node, entry)]), &own).unwrap();
        match belief.rejected.into_values().next() {
            Some(why) => {
                let mut taken = belief.accepted.0.into_values().flat_map(|entry| entry.addresses);
                assert!(taken.all(|address| address.to_string() == "192.0.2.3"));
                Err(why.to_string())
            }
            None => Ok(belief.accepted.0.into_values().next().unwrap()),
        }
    };
    assert_eq!(says("n3", entry(3, Grade::Bounded, &["192.0.2.3"])).unwrap().grade, Grade::Bounded);
    says("n3", entry(3, Grade::Off, &["192.0.2.3", "198.51.100.3"])).unwrap();
    says("n3", entry(3, Grade::Off, &["203.0.113.3"])).expect("an address that is remembered");
    says("gone", entry(2, Grade::Unknown, &["203.0.113.9"]))
        .expect("a node that was removed from Ganeti, and is remembered");
    says("n4", entry(FIRST_STEPS, Grade::Unknown, &[])).expect("of a node that nothing is remembered of");
    // A node that orders a first shunning before it has received those of the others can take their epochs later.
    for own in [0, 1] {
        let own = shun_list(&[("n4", entry(own, Grade::Unknown, &["192.0.2.4"]))]);
        let stated = shun_list(&[("n4", entry(FIRST_STEPS, Grade::Unknown, &["192.0.2.4"]))]);
        let belief = members().believe(&name("n2"), Channel::Noded, &stated, &own).unwrap();
        assert_eq!(belief.accepted, stated);
    }
    for (node, epoch, all, why) in [
        ("n1", 1, &["192.0.2.1"][..], "this node itself"),
        ("foreign", 1, &["192.0.2.254"], "not a node of this cluster"),
        ("n3", 3, &["192.0.2.254"], "192.0.2.254 is not an address of it"),
        ("n3", 3, &["192.0.2.3", "192.0.2.4"], "192.0.2.4 is not an address of it"),
        ("n3", 3, &["192.0.2.100"], "192.0.2.100 is not an address of it"),
        ("n3", 2 + EPOCH_STEPS_MOST + 1, &["192.0.2.3"], "too far ahead of 2"),
        ("n4", FIRST_STEPS + 1, &["192.0.2.4"], "too far ahead of 0"),
        ("n3", RECEIVED_MOST.0 + 1, &["192.0.2.3"], "the largest that is taken"),
        ("n3", u64::MAX, &["192.0.2.3"], "the largest that is taken"),
    ] {
        let error = says(node, entry(epoch, Grade::Off, all)).unwrap_err();
        assert!(error.contains(why), "{node} {epoch} {all:?}: {error}");
    }
    // A readmission with a foreign address is taken, and that address is left out.
    let open = says("n3", entry(4, Grade::Unknown, &["192.0.2.254", "192.0.2.3"])).unwrap();
    assert_eq!(open.addresses, addresses(&["192.0.2.3"]));
}

/// A node in the scope `all` was never read as off. In the scope `tcp` an `off` is taken: the list proves no off by it.
#[test]
fn no_node_is_off_by_a_candidates_report() {
    for (scope, stated, taken) in [
        (ShunScope::All, Grade::Off, Grade::Bounded),
        (ShunScope::All, Grade::Bounded, Grade::Bounded),
        (ShunScope::All, Grade::Isolated, Grade::Isolated),
        (ShunScope::Tcp, Grade::Off, Grade::Off),
    ] {
        let sent = shun_list(&[("n3", ShunEntry { scope, ..entry(1, stated, &["192.0.2.3"]) })]);
        let belief = members().believe(&name("n2"), Channel::Answer, &sent, &ShunList::default()).unwrap();
        assert_eq!(belief.accepted.0[&name("n3")].grade, taken, "{scope:?} {stated}");
    }
}

/// No statement of a shunned node counts, by any channel.
#[test]
fn a_shunned_node_orders_nothing() {
    let own = shun_list(&[("n2", entry(1, Grade::Off, &["192.0.2.2"]))]);
    for by in [Channel::Noded, Channel::Root, Channel::Answer] {
        let why = members().believe(&name("n2"), by, &ShunList::default(), &own).unwrap_err();
        assert_eq!(why, Disbelief::Shunned(name("n2"), Epoch(1)));
    }
}

/// A host that returns may have an older list of candidates; the root login of a new candidate counts.
#[test]
fn a_root_login_of_a_node_is_believed() {
    members().believe(&name("n4"), Channel::Root, &ShunList::default(), &ShunList::default()).unwrap();
    ClusterMembers::default().believe(&name("n4"), Channel::Root, &ShunList::default(), &ShunList::default()).unwrap();
    assert!(
        ClusterMembers::default()
            .believe(&name("n4"), Channel::Noded, &ShunList::default(), &ShunList::default())
            .is_err()
    );
}

/// An answer is about the node that was asked, of its own boot, with numbers that a host can have.
#[test]
fn an_answer_outside_of_what_a_node_can_say_is_none() {
    accept(report("n3"), false).unwrap();
    for (change, why) in [
        ((|report| report.node = name("n4")) as fn(&mut PeerReport), "answers as n4"),
        (|report| report.version += 1, "version 2"),
        (|report| report.boot_id = "a\nb".into(), "invalid boot id"),
        (|report| report.boot_id = String::new(), "invalid boot id"),
        (|report| report.ruleset_id = "x".repeat(5_000), "invalid ruleset id"),
        (|report| report.ruleset_id = "\u{1b}[2J".into(), "invalid ruleset id"),
        (|report| report.instances = Some(u32::MAX), "instances"),
        (|report| report.drbd_primaries = Some(u32::MAX), "instances"),
        (|report| report.self_fence = Some(self_fence("b2")), "another boot"),
        (
            |report| {
                report.self_fence =
                    Some(SelfFenceReport { candidates: vec![[192, 0, 2, 1].into(); 2_000], ..self_fence("b1") })
            },
            "impossible report",
        ),
        (
            |report| {
                report.self_fence =
                    Some(SelfFenceReport { lease_times: LeaseTimes { watchdog_ms: 1, ..OWN }, ..self_fence("b1") })
            },
            "watchdog time is 1 ms",
        ),
    ] {
        let mut lie = report("n3");
        change(&mut lie);
        let error = accept(lie, true).unwrap_err().to_string();
        assert!(error.contains(why) && !error.chars().any(char::is_control), "{error:?}");
    }
}

/// The claims of the node that is waited for, about clocks and disks, do not shorten the wait.
#[test]
fn self_fencing_is_believed_with_our_own_floors() {
    let bare = LeaseTimes { drift_ppm: 0, stop_ms: 0, ..OWN };
    let mut answer = report("n3");
    answer.self_fence = Some(SelfFenceReport {
        lease_times: bare,
        guaranteed_for_ms: u64::MAX,
        driver: "\u{1b}]0;x".into(),
        ..self_fence("b1")
    });
    answer.self_fences = BTreeMap::from([
        (
            name("n4"),
            DatedSelfFenceReport {
                self_fence: SelfFenceReport { lease_times: bare, ..self_fence("b4") },
                age_ms: 1,
                uptime_ms: None,
            },
        ),
        (name("n2"), DatedSelfFenceReport { self_fence: self_fence("b2"), age_ms: 1, uptime_ms: None }),
    ]);
    let accepted = accept(answer, true).unwrap();
    let own = accepted.self_fence.unwrap();
    assert_eq!((own.lease_times, own.guaranteed_for_ms, own.driver.as_str()), (OWN, AGE_MOST_MS, " ]0;x"));
    assert_eq!(accepted.self_fences.keys().collect::<Vec<_>>(), [&name("n4")], "only of whom was asked about");
    assert_eq!(accepted.self_fences[&name("n4")].self_fence.lease_times, OWN);
}

fn any_entry() -> impl Strategy<Value = ShunEntry> {
    let epoch = prop_oneof![0u64..6, Just(RECEIVED_MOST.0), Just(Epoch::MOST), Just(u64::MAX), any::<u64>()];
    let all = proptest::collection::btree_set((1u8..=255).prop_map(|n| IpAddr::from([192, 0, 2, n])), 0..4);
    let grade = prop_oneof![Just(Grade::Unknown), Just(Grade::Isolated), Just(Grade::Bounded), Just(Grade::Off)];
    (epoch, all, grade).prop_map(|(epoch, addresses, grade)| ShunEntry { addresses, ..entry(epoch, grade, &[]) })
}

proptest! {
    /// No statement uses up the epochs or adds a foreign address, neither one of a node that may not order nor one of a
    /// candidate beyond its limits. The list can always be written, read back and readmitted.
    #[test]
    fn no_statement_leaves_the_limits(
        sent in proptest::collection::vec(("n[1-5]", any_entry(), "n[1-5]", 0usize..3), 0..40)
    ) {
        let mut own = ShunList::default();
        for (node, entry, sender, by) in sent {
            let by = [Channel::Noded, Channel::Root, Channel::Answer][by];
            let before = own.clone();
            match members().believe(&name(&sender), by, &shun_list(&[(&node, entry)]), &own) {
                Ok(belief) => own.merge(&belief.accepted),
                Err(_) => prop_assert_eq!(&before, &own),
            }
            if by != Channel::Root && !members().candidates.contains(&name(&sender)) {
                prop_assert_eq!(&before, &own);
            }
            own.check().unwrap();
            for (node, entry) in &own.0 {
                let member = &members().members[node];
                prop_assert!(entry.addresses.is_subset(member), "{node}: {:?}", entry.addresses);
                let open = entry.epoch.readmitted().unwrap();
                prop_assert!(!open.is_shunned() && open.shunned().readmitted().unwrap() > open);
            }
        }
    }
}

/// A candidate's own receipts are taken, for the nodes that were asked about. Those of a regular node are not, and the
/// number of scopes has a limit.
#[test]
fn receipts_are_a_candidates_and_only_those_that_were_asked_for() {
    let receipt = json!({"id": "a-1", "action": "off", "outcome": "done", "grade": "off", "proven_by": "bmc", "ended_ms": 7, "by_fencer": true});
    let mut sent = report("n3");
    sent.receipts = serde_json::from_value(json!({"n4": [receipt], "n2": [receipt]})).unwrap();
    assert_eq!(accept(sent.clone(), true).unwrap().receipts.into_keys().collect::<Vec<_>>(), [name("n4")]);
    assert!(accept(sent.clone(), false).unwrap().receipts.is_empty());
    sent.scopes =
        (0..=crate::core::shun::list::ENTRIES_MOST).map(|n| (name(&format!("x{n}")), ShunScope::All)).collect();
    assert_eq!(accept(sent, true), Err(PeerAnswerError::TooManyNodes));
}
