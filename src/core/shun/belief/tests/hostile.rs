//! Tests hostile answers to `sync`, and hostile requests to `peer`: none of them changes a grade, an epoch, an address
//! or what is shunned.

use program_test::hostile::{Dice, mutated, reworded};
use serde_json::json;

use super::*;
use crate::core::grade::Grade;
use crate::core::shun::messages::PeerRequest;

/// The number of hostile messages of each of the two kinds.
const ROUNDS: usize = 20_000;

/// The shun list of this node before the test.
fn own() -> ShunList {
    shun_list(&[
        ("n3", entry(2, Grade::Unknown, &["192.0.2.3"])),
        ("n4", entry(5, Grade::Isolated, &["192.0.2.4", "198.51.100.4"])),
    ])
}

/// A shun list with an attacker's aims: other nodes are off for ever, and the gateway is to be dropped.
fn lies() -> ShunList {
    shun_list(&[
        ("n2", entry(1, Grade::Off, &["192.0.2.2"])),
        ("n4", entry(7, Grade::Off, &["192.0.2.4", "192.0.2.254"])),
        ("foreign", entry(Epoch::MOST, Grade::Bounded, &["192.0.2.53"])),
    ])
}

fn receipt() -> serde_json::Value {
    json!({"id": "a-1", "action": "off", "outcome": "done", "grade": "off", "proven_by": "bmc", "ended_ms": 7, "by_fencer": true})
}

fn answers() -> Vec<Vec<u8>> {
    let self_fence = json!({"boot_id": "b1", "driver": "iTCO_wdt", "nowayout": true, "lease_times": OWN, "candidates": ["192.0.2.1"],
        "guaranteed_for_ms": 600_000, "lease_age_ms": 1});
    let plain = json!({"version": VERSION, "node": "n3", "boot_id": "b1", "shun_list": {}, "shunned": {"n4": 5}, "ruleset_id": "b1 1 2"});
    let full = json!({"version": VERSION, "node": "n3", "boot_id": "b1", "uptime_ms": 1, "shun_list": lies(),
        "shunned": {"n4": 7, "n2": 1}, "ruleset_id": "b1 1 2", "not_applied": {"n2": "x"}, "self_fence": self_fence,
        "self_fences": {"n4": {"self_fence": self_fence, "age_ms": 1}}, "receipts": {"n4": [receipt()], "n2": [receipt()]}, "instances": 0, "drbd_primaries": 0,
        "program": {"version": "0", "config": "a", "wall_ms": 1}});
    [plain, full].iter().map(|answer| answer.to_string().into_bytes()).collect()
}

/// The answer of a regular node never counts about another node. A shunned node and a stranger are not believed at all.
#[test]
fn no_answer_of_a_regular_node_changes_what_is_remembered() {
    let (mut dice, valid, node) = (Dice::new(1), answers(), name("n3"));
    let (members, own, about) = (members(), own(), [name("n4")]);
    let senders = ["n3", "n4", "foreign"].map(name);
    let valid: Vec<&[u8]> = valid.iter().map(Vec::as_slice).collect();
    let mut read = 0;
    for number in 0..ROUNDS {
        // Most changed bytes are not JSON any more. So every other message has changed values instead.
        let bytes = if number % 2 == 0 { mutated(&mut dice, &valid) } else { reworded(&mut dice, &valid) };
        let Ok(sent) = serde_json::from_slice::<PeerReport>(&bytes) else { continue };
        read += 1;
        let asked = SentRequest {
            node: &node,
            is_candidate: false,
            about: &about,
            receipts: &about,
            drbd: false,
            own_lease_times: OWN,
        };
        let shown = || format!("{number}: {}", String::from_utf8_lossy(&bytes));
        if let Ok(accepted) = answer(sent.clone(), asked) {
            assert_eq!((&accepted.shun_list, accepted.self_fences.len()), (&ShunList::default(), 0), "{}", shown());
            assert!(
                accepted.receipts.is_empty() && accepted.scopes.len() <= crate::core::shun::list::ENTRIES_MOST,
                "{}",
                shown()
            );
            assert!(
                accepted.node == node && accepted.shunned.len() <= crate::core::shun::list::ENTRIES_MOST,
                "{}",
                shown()
            );
        }
        // The receipts of a candidate that lies are taken: only those that were requested, bounded, and of fencings.
        let of_candidate = SentRequest { is_candidate: true, ..asked };
        for (node, receipts) in answer(sent.clone(), of_candidate).into_iter().flat_map(|accepted| accepted.receipts) {
            assert!(about.contains(&node) && receipts.len() <= power_receipt::EACH_MOST, "{}", shown());
            assert!(receipts.iter().all(|receipt| receipt.by_fencer && receipt.proven_by.len() <= 200), "{}", shown());
        }
        for sender in &senders {
            for by in [Channel::Noded, Channel::Answer] {
                assert!(members.believe(sender, by, &sent.shun_list, &own).is_err(), "{}", shown());
            }
        }
    }
    assert!(read > ROUNDS / 20, "only {read} of {ROUNDS} were answers at all");
}

/// A request of a node that may not order changes nothing. Of a candidate's orders nothing beyond the limits is taken.
#[test]
fn no_question_changes_more_than_a_candidate_may() {
    let question = |from: &str, shun_list: ShunList| {
        json!({"version": VERSION, "from": from, "shun_list": shun_list, "about": ["n4"], "gone_master_ip": "192.0.2.254"})
            .to_string()
            .into_bytes()
    };
    let good = shun_list(&[("n3", entry(3, Grade::Off, &["192.0.2.3"]))]);
    let valid = [question("n3", lies()), question("n2", lies()), question("n2", good)];
    let valid: Vec<&[u8]> = valid.iter().map(Vec::as_slice).collect();
    let (mut dice, mut read) = (Dice::new(2), 0);
    let (members, own) = (members(), own());
    for number in 0..ROUNDS {
        let bytes = if number % 2 == 0 { mutated(&mut dice, &valid) } else { reworded(&mut dice, &valid) };
        let Ok(sent) = serde_json::from_slice::<PeerRequest>(&bytes) else { continue };
        read += 1;
        let shown = || format!("{number}: {}", String::from_utf8_lossy(&bytes));
        let is_master_ip = sent.gone_master_ip.is_some_and(|address| members.is_master_ip(address));
        assert_eq!(is_master_ip, sent.gone_master_ip == members.master_ip, "{}", shown());
        let Ok(belief) = members.believe(&sent.from, Channel::Noded, &sent.shun_list, &own) else {
            continue;
        };
        assert!(members.candidates.contains(&sent.from), "{}", shown());
        let mut merged = own.clone();
        merged.merge(&belief.accepted);
        assert!(!merged.0.contains_key(&name("n1")) && !merged.0.contains_key(&name("foreign")), "{}", shown());
        for (node, entry) in &merged.0 {
            let before = own.epoch(node);
            assert!(entry.epoch >= before && entry.epoch <= RECEIVED_MOST, "{}", shown());
            assert!(entry.epoch.0 <= before.0 + FIRST_STEPS, "{}", shown());
            let known = &members.members[node];
            let all = own.0.get(node).map(|own| own.addresses.clone()).unwrap_or_default();
            assert!(entry.addresses.iter().all(|one| known.contains(one) || all.contains(one)), "{}", shown());
        }
    }
    assert!(read > ROUNDS / 20, "only {read} of {ROUNDS} were questions at all");
}
