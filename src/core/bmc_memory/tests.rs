use super::*;

const ONE: &str = "4c4c4544-0042-3310-8052-b7c04f4d4b01";
const TWO: &str = "4c4c4544-0042-3310-8052-b7c04f4d4b02";
const FOREIGN: &str = "27946b59-9e44-4fa7-8e91-f3527a1ef094";

fn uuid(text: &str) -> HostIdentity {
    HostIdentity { uuid: Some(text.to_owned()), serial_number: None }
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// A node with what it reported of itself, and with what its BMC reported when it was proven.
fn known(host: Option<&str>, bmc: Option<&str>) -> KnownHost {
    let bmcs = bmc.map(|bmc| ("bmc".to_owned(), ProvenBmc { identity: uuid(bmc), proven_ms: 1 }));
    KnownHost { host: host.map(uuid), bmcs: bmcs.into_iter().collect() }
}

fn memory(first: KnownHost, second: KnownHost) -> BmcMemory {
    BmcMemory([(name("n1.lab"), first), (name("n2.lab"), second)].into())
}

fn judged(memory: &BmcMemory, now: &str) -> String {
    match memory.judge(&name("n1.lab"), "bmc", &uuid(now), "/m") {
        BmcVerdict::Proven => "proven".to_owned(),
        BmcVerdict::Unproven(why) => format!("unproven: {why}"),
        BmcVerdict::Wrong(wrong) => match *wrong {
            WrongBmc::Another { owner, .. } => format!("{owner}'s"),
            WrongBmc::Changed { .. } => "changed".to_owned(),
        },
    }
}

#[test]
fn a_bmc_of_another_node_is_not_used() {
    let all = memory(known(Some(ONE), Some(ONE)), known(Some(TWO), Some(TWO)));
    assert_eq!(judged(&all, ONE), "proven");
    assert_eq!(judged(&all, TWO), "n2.lab's");
    assert_eq!(judged(&all, FOREIGN), "changed");
    // Also without a check in which it was proven, and of a node that reports nothing.
    assert_eq!(judged(&memory(known(Some(ONE), None), known(Some(TWO), None)), TWO), "n2.lab's");
    assert_eq!(judged(&memory(known(None, None), known(Some(TWO), None)), TWO), "n2.lab's");
}

/// Boards that were exchanged keep their BMCs' addresses. The nodes report their new boards, and the memory has the old ones.
#[test]
fn what_the_nodes_report_counts_before_what_was_proven() {
    let exchanged = memory(known(Some(TWO), Some(ONE)), known(Some(ONE), Some(TWO)));
    assert_eq!(judged(&exchanged, ONE), "n2.lab's");
    assert_eq!(judged(&exchanged, TWO), "proven");
    let replaced = memory(known(Some(FOREIGN), Some(ONE)), known(Some(TWO), Some(TWO)));
    assert_eq!(judged(&replaced, FOREIGN), "proven", "the board was replaced, and the node reports the new one");
}

/// What is not known prevents no fencing.
#[test]
fn what_is_unknown_is_not_wrong() {
    let all = memory(known(Some(ONE), Some(ONE)), known(Some(TWO), None));
    for unusable in ["", "00000000-0000-0000-0000-000000000000", "03000200-0400-0500-0006-000700080009"] {
        assert_eq!(judged(&all, unusable), "unproven: its BMC reports no usable identity");
    }
    // A BMC with an identity of its own was never proven.
    let own = memory(known(Some(ONE), None), known(Some(TWO), None));
    assert_eq!(judged(&own, FOREIGN), "unproven: no node reports the identity of its BMC");
    // A node that reports the identity of another one prevents nothing where the BMC was proven.
    let liar = memory(known(Some(ONE), Some(ONE)), known(Some(ONE), None));
    assert_eq!(judged(&liar, ONE), "proven");
    assert!(!BmcMemory::default().can_judge(&name("n1.lab")) && all.can_judge(&name("n3.lab")));
}

#[test]
fn only_news_is_written() {
    let all = memory(known(Some(ONE), Some(ONE)), known(Some(TWO), Some(TWO)));
    let members = [name("n1.lab"), name("n2.lab")];
    assert_eq!(BmcMemory::default().after(&all, &members), Some(all.clone()));
    assert_eq!(all.after(&all, &members), None);
    let dated = |days: u64| {
        let mut later = all.clone();
        later.0.values_mut().flat_map(|known| known.bmcs.values_mut()).for_each(|bmc| bmc.proven_ms += days * DATE_MS);
        later
    };
    assert_eq!(all.after(&dated(1), &members), Some(dated(1)));
    // A node that did not answer keeps what it has; a node that left the cluster does not.
    let silent = BmcMemory([(name("n2.lab"), KnownHost::default())].into());
    assert_eq!(all.after(&silent, &members), None);
    let left = all.after(&BmcMemory::default(), &members[..1]).unwrap();
    assert_eq!(left.0.keys().collect::<Vec<_>>(), [&members[0]]);
}

/// A request is one argument of a process, and has a limit in bytes.
#[test]
fn no_part_is_larger_than_a_request() {
    let all = memory(known(Some(ONE), Some(ONE)), known(Some(TWO), Some(TWO)));
    let length = |memory: &BmcMemory| serde_json::to_string(memory).unwrap().len();
    assert_eq!(all.parts(length(&all)), std::slice::from_ref(&all));
    let parts = all.parts(length(&all) - 10);
    assert!(parts.len() == 2 && parts.iter().all(|part| length(part) < length(&all) - 10), "{parts:?}");
    assert_eq!(all.parts(1).len(), 2, "a large node is a part of its own");
    assert!(BmcMemory::default().parts(1).is_empty());
}

/// The node has a new board, and the configuration still names the BMC of the old one, which may run in another host now.
#[test]
fn the_bmc_of_an_old_board_is_no_longer_proven() {
    let replaced = memory(known(Some(FOREIGN), Some(ONE)), known(Some(TWO), Some(TWO)));
    assert_eq!(judged(&replaced, ONE), "unproven: no node reports the identity of its BMC");
    let before = memory(known(Some(ONE), Some(ONE)), known(Some(TWO), Some(TWO)));
    let learned = BmcMemory([(name("n1.lab"), known(Some(FOREIGN), None))].into());
    let after = before.after(&learned, &[]).unwrap();
    assert!(after.0[&name("n1.lab")].bmcs.is_empty() && !after.0[&name("n2.lab")].bmcs.is_empty());
}

/// A node that no longer reports what it did must not hold the identity against the node that has the board now.
#[test]
fn what_a_node_reports_takes_the_place_of_what_it_reported() {
    let before = memory(known(None, None), known(Some(ONE), None));
    assert_eq!(judged(&before, ONE), "n2.lab's");
    let learned = BmcMemory([(name("n2.lab"), known(Some(""), None))].into());
    let after = before.after(&learned, &[]).unwrap();
    assert_eq!(judged(&after, ONE), "unproven: the identity of the node is unknown");
}

#[test]
fn a_memory_of_another_host_is_bounded() {
    let bmcs =
        (0..100).map(|n| (format!("\u{1b}{n}"), ProvenBmc { identity: uuid("\u{1b}x"), proven_ms: 1 })).collect();
    let hostile = BmcMemory([(name("n1.lab"), KnownHost { host: Some(uuid(&"x".repeat(9_999))), bmcs })].into());
    let text = serde_json::to_string(&hostile.bounded()).unwrap();
    assert!(!text.contains("u001b") && text.len() < 5_000, "{}", text.len());
}
