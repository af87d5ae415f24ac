use super::*;

mod properties;

const ALL: [MasterService; 3] = [MasterService::Now, MasterService::ThisBoot, MasterService::Never];
const IDLE: [MasterService; 2] = [MasterService::ThisBoot, MasterService::Never];

fn here() -> NodeName {
    NodeName::new("n1.lab").unwrap()
}

/// The own claim of n1.
fn own(serial: u64) -> MasterClaim {
    MasterClaim { own: true, ..claim_of("n1.lab", "n1.lab", serial) }
}

/// A claim of another candidate.
fn claim_of(from: &str, master: &str, serial: u64) -> MasterClaim {
    MasterClaim { own: false, from: from.to_owned(), master: master.to_owned(), serial, shunned: false }
}

/// A claim of a candidate that names itself.
fn claims_itself(master: &str, serial: u64) -> MasterClaim {
    claim_of(master, master, serial)
}

fn shunned(claim: MasterClaim) -> MasterClaim {
    MasterClaim { shunned: true, ..claim }
}

fn outdated(master: &str) -> MasterStanding {
    MasterStanding::Outdated(master.to_owned())
}

/// Returns the standing among five candidates.
fn standing(here: &NodeName, claims: &[MasterClaim], served: MasterService) -> MasterStanding {
    super::standing(here, claims, 5, served)
}

/// Returns the same claims as another of the candidates receives them: its own is the one from itself.
fn seen_by(node: &str, claims: &[MasterClaim]) -> (NodeName, Vec<MasterClaim>) {
    let own = |claim: &MasterClaim| MasterClaim { own: claim.from == node, ..claim.clone() };
    (NodeName::new(node).unwrap(), claims.iter().map(own).collect())
}

/// Ganeti issue 1018: the old master returns and still takes itself for the master.
#[test]
fn a_stale_master_is_found() {
    let newer = [own(20), claims_itself("n2.lab", 25), claim_of("n3.lab", "n2.lab", 25)];
    for served in ALL {
        assert_eq!(standing(&here(), &newer, served), outdated("n2.lab"), "{served:?}");
    }
    for served in IDLE {
        assert_eq!(
            standing(&here(), &[own(10), claims_itself("n2.lab", 25)], served),
            outdated("n2.lab"),
            "of two nodes"
        );
    }
    // A failover to n1 has just ended, and the confd of the others has not read its file yet.
    let late = [own(30), claims_itself("n2.lab", 29), claim_of("n3.lab", "n2.lab", 29)];
    assert_eq!(standing(&here(), &late, MasterService::Now), MasterStanding::Undisputed);
    for served in ALL {
        let confirmed = [own(30), claim_of("n3.lab", "n1.lab", 30), claims_itself("n2.lab", 12)];
        assert_eq!(standing(&here(), &confirmed, served), MasterStanding::Undisputed);
    }
}

/// A returned master names itself in an older configuration, and no other node answers: of two nodes, of three with one
/// silent, of five with three silent. The real master keeps its role in partial and full mode, and may take it again
/// after a pause.
#[test]
fn an_older_configuration_never_overrules_a_newer_one() {
    let two = [own(150), claims_itself("n2.lab", 100)];
    let five = [own(150), claims_itself("n2.lab", 100), claim_of("n3.lab", "n2.lab", 90)];
    let all_five = [&five[..], &[claim_of("n4.lab", "n2.lab", 149), claim_of("n5.lab", "n2.lab", 149)]].concat();
    for claims in [&two[..], &five, &all_five] {
        for served in [MasterService::Now, MasterService::ThisBoot] {
            assert_eq!(standing(&here(), claims, served), MasterStanding::Undisputed, "{claims:?}");
        }
        assert_eq!(
            standing(&here(), claims, MasterService::Never).new_master(),
            None,
            "it may take the role: {claims:?}"
        );
        assert_eq!(disagreement(&here(), claims), None, "full mode: {claims:?}");
        assert_eq!(newer_copy(own_serial(claims), claims), None, "{claims:?}");
        // The returned one may not take it.
        let (returned, seen) = seen_by("n2.lab", claims);
        for served in IDLE {
            assert_eq!(standing(&returned, &seen, served), outdated("n1.lab"), "{claims:?}");
        }
        assert_eq!(promotion_score(NodeRole::Master, &outdated("n1.lab"), &seen, None), None);
        assert_eq!(newer_copy(own_serial(&seen), &seen), Some((100, 150)));
    }
}

/// Of all nodes that receive the same claims and do not serve, exactly one may take the role, whichever are silent.
/// Otherwise the role could not be taken again.
#[test]
fn of_nodes_that_do_not_serve_one_may_take_the_role() {
    let claims = [claims_itself("n1.lab", 150), claims_itself("n2.lab", 100), claims_itself("n3.lab", 120)];
    for silent in ["none", "n1.lab", "n2.lab", "n3.lab"] {
        let answered: Vec<MasterClaim> = claims.iter().filter(|claim| claim.from != silent).cloned().collect();
        let may = answered.iter().filter(|claim| {
            let (node, seen) = seen_by(&claim.from, &answered);
            let standing = standing(&node, &seen, MasterService::Never);
            standing.new_master().is_none() && standing.dispute().is_none()
        });
        assert_eq!(may.count(), 1, "{silent} is silent");
    }
}

/// A host that booted with the newest configuration of all: a master that was cut off wrote on while another took the
/// role. It takes nothing from the one that serves, and does not report that it is promoted.
#[test]
fn a_fork_is_not_promoted_before_it_serves() {
    let forked = [own(30), claims_itself("n2.lab", 25), claim_of("n3.lab", "n2.lab", 25)];
    let unconfirmed = standing(&here(), &forked, MasterService::Never);
    let who = "n2.lab names n2.lab (serial 25), this node names n1.lab (serial 30)";
    assert_eq!(unconfirmed, MasterStanding::Unconfirmed(who.to_owned()));
    let score = promotion_score(NodeRole::Master, &unconfirmed, &forked, None);
    assert!(score.is_some_and(|score| score < MASTER_SCORE), "{score:?}");
    assert_eq!(
        standing(&here(), &forked, MasterService::ThisBoot),
        MasterStanding::Undisputed,
        "its luxid is started again"
    );
}

/// A host that receives no claim that counts may be shunned, or its shun list is old. It is promoted only if it has
/// served, or is the only candidate.
#[test]
fn a_host_without_answers_is_not_promoted_before_it_serves() {
    for claims in [vec![], vec![own(160)], vec![own(160), shunned(claims_itself("n2.lab", 162))]] {
        let alone = standing(&here(), &claims, MasterService::Never);
        assert!(matches!(alone, MasterStanding::Unconfirmed(_)), "{alone:?}");
        let score = promotion_score(NodeRole::Master, &alone, &claims, None);
        assert!(
            score.is_some_and(|score| score < MASTER_SCORE),
            "it may take the role, after every master that serves"
        );
        for served in [MasterService::Now, MasterService::ThisBoot] {
            assert_eq!(standing(&here(), &claims, served), MasterStanding::Undisputed);
        }
        assert_eq!(
            super::standing(&here(), &claims, 1, MasterService::Never),
            MasterStanding::Undisputed,
            "the only candidate"
        );
    }
}

/// An old master that was cut off wrote on, is back, and names itself with the newest serial of all. This one claim
/// must not end a master that serves.
#[test]
fn one_voice_does_not_end_a_master() {
    let returned = [own(110), claims_itself("n3.lab", 130), claim_of("n2.lab", "n1.lab", 110)];
    assert_eq!(standing(&here(), &returned, MasterService::Now), MasterStanding::Undisputed);
    assert_eq!(disagreement(&here(), &returned), None);
    let of_two = [own(110), claims_itself("n2.lab", 130)];
    assert_eq!(
        standing(&here(), &of_two, MasterService::Now),
        MasterStanding::Undisputed,
        "of two nodes, the one that serves"
    );
    // A second forked configuration does not change the result.
    let two_forks =
        [own(20), claims_itself("n2.lab", 30), claims_itself("n4.lab", 25), claim_of("n3.lab", "n4.lab", 25)];
    assert_eq!(standing(&here(), &two_forks, MasterService::Now), outdated("n4.lab"));
}

/// A node that was fenced may return with the newest serial of all; its claims do not count before it is readmitted.
#[test]
fn the_claim_of_a_shunned_node_never_counts() {
    let returned = [own(110), shunned(claims_itself("n2.lab", 130)), shunned(claim_of("n3.lab", "n2.lab", 130))];
    for served in [MasterService::Now, MasterService::ThisBoot] {
        assert_eq!(standing(&here(), &returned, served), MasterStanding::Undisputed, "{served:?}");
    }
    assert_eq!(standing(&here(), &returned, MasterService::Never).new_master(), None);
    assert_eq!(disagreement(&here(), &returned), None);
    assert_eq!(newer_copy(Some(110), &returned), None);
    assert_eq!(update_newer_config(None, 110, &returned), None);
    assert_eq!(promotion_score(NodeRole::Candidate, &MasterStanding::Undisputed, &returned, None), Some(1000));
    assert!(is_alone(&returned));
    let text = ignored(&here(), &returned).unwrap();
    assert!(text.starts_with("n2.lab, n3.lab: shunned here, ignored: n2.lab names n2.lab (serial 130)"), "{text}");
    assert_eq!(
        ignored(&here(), &[own(110), shunned(claims_itself("n2.lab", 90))]),
        None,
        "what is old anyway is not worth a word"
    );
    assert_eq!(ignored(&here(), &[own(110), claims_itself("n2.lab", 130)]), None);
}

/// Equal serial numbers with different masters are an error that names both; a majority of them settles it.
#[test]
fn equal_serials_with_different_masters_name_both() {
    let tie = [own(101), claims_itself("n2.lab", 101)];
    for served in ALL {
        let disputed = standing(&here(), &tie, served);
        let what = disputed.dispute().unwrap();
        assert!(
            what.contains("n2.lab names n2.lab (serial 101)") && what.contains("this node names n1.lab (serial 101)"),
            "{what}"
        );
        assert_eq!(disputed.new_master(), None, "no candidate is overruled");
    }
    assert_eq!(disagreement(&here(), &tie), None, "full mode ends no master for it");
    let for_us = [own(101), claim_of("n3.lab", "n1.lab", 101), claims_itself("n2.lab", 101)];
    assert_eq!(standing(&here(), &for_us, MasterService::Never), MasterStanding::Undisputed);
    let against = [own(101), claim_of("n3.lab", "n2.lab", 101), claims_itself("n2.lab", 101)];
    assert_eq!(standing(&here(), &against, MasterService::Never), outdated("n2.lab"));
}

/// Restored from a backup: the other candidates have a newer configuration that names this node.
#[test]
fn a_master_that_is_behind_does_not_lead_with_its_old_copy() {
    let restored = [own(50), claim_of("n2.lab", "n1.lab", 150), claim_of("n3.lab", "n1.lab", 149)];
    for served in IDLE {
        assert_eq!(standing(&here(), &restored, served), MasterStanding::Behind);
    }
    assert_eq!(standing(&here(), &restored, MasterService::Now), MasterStanding::Undisputed);
    assert_eq!(newer_copy(Some(50), &restored), Some((50, 150)));
    let score =
        |claims: &[MasterClaim]| promotion_score(NodeRole::Candidate, &MasterStanding::Undisputed, claims, None);
    let (_, as_n2) = seen_by("n2.lab", &restored);
    assert!(promotion_score(NodeRole::Master, &MasterStanding::Behind, &restored, None) < score(&as_n2));
}

/// Full mode: the agreement of the peers. A silent node does not count, and an old configuration is not a disagreement.
#[test]
fn a_majority_of_newer_configurations_is_a_disagreement() {
    let found = |claims: &[MasterClaim]| disagreement(&here(), claims).map(|failure| failure.found);
    assert_eq!(found(&[own(5)]), None);
    assert_eq!(found(&[own(5), claim_of("n2.lab", "N1.lab", 5)]), None);
    assert_eq!(found(&[own(5), claims_itself("n2.lab", 6), claim_of("n3.lab", "n1.lab", 5)]), None);
    let against =
        [own(5), claims_itself("n2.lab", 6), claim_of("n3.lab", "n2.lab", 6), claim_of("n4.lab", "n1.lab", 5)];
    let text = "2 of 3 candidates name n2.lab in a newer configuration (serial 6, here 5)";
    assert_eq!(found(&against).as_deref(), Some(text));
}

/// Ganeti issue 1242: its failover uses whichever configuration it finds.
#[test]
fn the_most_recent_candidate_is_preferred() {
    let score =
        |claims: &[MasterClaim]| promotion_score(NodeRole::Candidate, &MasterStanding::Undisputed, claims, None);
    assert_eq!(score(&[own(40), claim_of("n2.lab", "n1.lab", 40)]), Some(1000));
    assert_eq!(score(&[own(37), claim_of("n2.lab", "n1.lab", 40)]), Some(997));
    assert_eq!(score(&[own(0), claim_of("n2.lab", "x", u64::MAX)]), Some(1));
    assert_eq!(score(&[claim_of("n2.lab", "n1.lab", 40)]), Some(1), "an own copy of unknown age: after all others");
    assert_eq!(score(&[]), Some(1));
    assert_eq!(promotion_score(NodeRole::Other, &MasterStanding::Undisputed, &[own(40)], None), None);
    assert_eq!(
        promotion_score(NodeRole::Master, &outdated("n2.lab"), &[own(40)], None),
        None,
        "a stale master is not chosen"
    );
    assert_eq!(newer_copy(Some(37), &[claim_of("n2.lab", "n1.lab", 40)]), Some((37, 40)));
    assert_eq!(newer_copy(Some(41), &[claim_of("n2.lab", "n1.lab", 40)]), None);
    let unknown = newer_copy(None, &[claim_of("n2.lab", "n1.lab", 40)]);
    assert_eq!(unknown, Some((0, 40)), "a copy of unknown age is not the newest");
}

/// The administrator's `gnt-cluster master-failover`, seen on the new master before the old one has run its monitor
/// again.
#[test]
fn of_two_masters_the_later_one_is_preferred_and_a_master_keeps_its_score() {
    let score =
        |serial, offered| promotion_score(NodeRole::Master, &MasterStanding::Undisputed, &[own(serial)], offered);
    let old = score(40, None);
    assert_eq!(old, Some(10_040));
    assert_eq!(score(47, old), old, "no change with each change of the configuration");
    assert!(score(41, Some(1000)) > old, "a candidate that became master");
    assert_eq!(
        promotion_score(NodeRole::Master, &MasterStanding::Undisputed, &[], None),
        Some(MASTER_SCORE),
        "confd is silent"
    );
    assert!(score(u64::MAX, None) < Some(1_000_000), "Pacemaker's infinity");
}

/// An offline node joins Pacemaker again without being re-added; then the master dies. The node's stale configuration
/// must not be used because no node is left that has a newer one.
#[test]
fn a_newer_configuration_that_was_missed_twice_is_remembered() {
    let first = update_newer_config(None, 100, &[own(100), claims_itself("n2.lab", 150)]).unwrap();
    assert_eq!(first, NewerConfig { serial: 150, master: "n2.lab".to_owned(), confirmed: false });
    let second = update_newer_config(Some(first.clone()), 100, &[own(100), claims_itself("n2.lab", 151)]).unwrap();
    assert_eq!(second, NewerConfig { serial: 151, master: "n2.lab".to_owned(), confirmed: true });
    // No node is left that has the newer configuration.
    assert_eq!(update_newer_config(Some(second.clone()), 100, &[own(100)]), Some(second.clone()));
    // After `gnt-node add --readd` the node has caught up.
    assert_eq!(update_newer_config(Some(second), 160, &[own(160), claims_itself("n2.lab", 160)]), None);
    // A configuration that was on its way has arrived by the next check.
    assert_eq!(update_newer_config(Some(first), 150, &[own(150), claims_itself("n2.lab", 150)]), None);
}

/// Each node has the key that signs claims. One that answers in the place of a silent candidate must not keep every
/// candidate from the role for ever. While it answers its claim counts, because the newest configuration may be that
/// far ahead.
#[test]
fn a_serial_that_is_far_ahead_is_remembered_of_two_candidates_only() {
    let far = 100 + AHEAD_MOST + 1;
    for serial in [far, 1 << 60, u64::MAX] {
        let lie = [own(100), claim_of("n3.lab", "n4.lab", serial)];
        assert_eq!(update_newer_config(None, 100, &lie), None, "{serial}");
        assert_eq!(unlikely_claim(100, &lie), Some(&lie[1]), "it is reported");
        assert_eq!(newer_copy(Some(100), &lie), Some((100, serial)), "it may be true");
        let beside = [own(100), claim_of("n3.lab", "n4.lab", serial), claims_itself("n2.lab", 150)];
        assert_eq!(
            update_newer_config(None, 100, &beside),
            Some(NewerConfig { serial: 150, master: "n2.lab".to_owned(), confirmed: false })
        );
        let two = [own(100), claim_of("n3.lab", "n2.lab", serial), claims_itself("n2.lab", serial)];
        assert_eq!(update_newer_config(None, 100, &two).map(|newer| newer.serial), Some(serial), "away for years");
        assert_eq!(unlikely_claim(100, &two), None);
        let shunned = [own(100), claim_of("n3.lab", "n2.lab", serial), shunned(claims_itself("n2.lab", serial))];
        assert_eq!(update_newer_config(None, 100, &shunned), None, "a shunned node confirms nothing");
    }
    let near = [own(100), claims_itself("n2.lab", far - 1)];
    assert_eq!(update_newer_config(None, 100, &near).map(|newer| newer.serial), Some(far - 1));
    assert_eq!(unlikely_claim(100, &near), None);
}
