//! Tests what holds for any claims of any candidates.

use proptest::prelude::*;

use super::*;

fn any_claim() -> impl Strategy<Value = MasterClaim> {
    (any::<bool>(), 2..6_u8, 1..6_u8, 0..5_u64).prop_map(|(shunned, from, n, serial)| MasterClaim {
        own: false,
        from: format!("n{from}.lab"),
        master: format!("n{n}.lab"),
        serial,
        shunned,
    })
}

/// The own claim, at most one, and those of the others.
fn any_claims() -> impl Strategy<Value = Vec<MasterClaim>> {
    (proptest::option::of(0..5_u64), proptest::collection::vec(any_claim(), 0..6))
        .prop_map(|(serial, claims)| serial.map(own).into_iter().chain(claims).collect())
}

fn any_served() -> impl Strategy<Value = MasterService> {
    prop_oneof![Just(MasterService::Now), Just(MasterService::ThisBoot), Just(MasterService::Never)]
}

/// Returns the result for a role that is not served: the master that overrules this node, and whether this node may
/// take the role.
fn taken(claims: &[MasterClaim], served: MasterService) -> (Option<String>, bool) {
    let standing = standing(&here(), claims, served);
    (standing.new_master().map(str::to_owned), standing.dispute().is_some())
}

proptest! {
    /// Claims of shunned nodes change nothing.
    #[test]
    fn shunned_nodes_change_nothing(claims in any_claims(), more in proptest::collection::vec(any_claim(), 0..6), served in any_served()) {
        let counted: Vec<MasterClaim> = claims.into_iter().filter(|claim| !claim.shunned).collect();
        let all: Vec<MasterClaim> = counted.iter().cloned().chain(more.into_iter().map(shunned)).collect();
        let own = own_serial(&counted);
        prop_assert_eq!(standing(&here(), &all, served), standing(&here(), &counted, served));
        prop_assert_eq!(disagreement(&here(), &all).is_some(), disagreement(&here(), &counted).is_some());
        prop_assert_eq!(newer_copy(own, &all), newer_copy(own, &counted));
        prop_assert_eq!(update_newer_config(None, own.unwrap_or(0), &all), update_newer_config(None, own.unwrap_or(0), &counted));
        for rank in [NodeRole::Master, NodeRole::Candidate] {
            let score = |claims: &[MasterClaim]| promotion_score(rank, &standing(&here(), claims, served), claims, None);
            prop_assert_eq!(score(&all), score(&counted));
        }
    }

    /// If the role is not served, the newest configuration alone decides: no set of older claims changes which node is
    /// master and which may take the role.
    #[test]
    fn older_claims_never_overrule_the_newest(claims in any_claims()) {
        let newest = peers(&claims).map(|claim| claim.serial).chain(own_serial(&claims)).max();
        let alone: Vec<MasterClaim> = claims.iter().filter(|claim| Some(claim.serial) == newest || claim.own).cloned().collect();
        for served in IDLE {
            prop_assert_eq!(taken(&claims, served), taken(&alone, served));
        }
    }

    /// If the role is served, no set of claims that are older than the own ends it, in partial or in full mode.
    #[test]
    fn older_claims_never_end_a_master(claims in any_claims(), more in proptest::collection::vec(any_claim(), 0..6)) {
        let Some(own) = own_serial(&claims) else { return Ok(()) };
        let older = more.into_iter().filter(|claim| claim.serial < own);
        let all: Vec<MasterClaim> = claims.iter().cloned().chain(older).collect();
        let before = standing(&here(), &claims, MasterService::Now);
        if before.new_master().is_none() {
            prop_assert!(standing(&here(), &all, MasterService::Now).new_master().is_none());
        }
        if disagreement(&here(), &claims).is_none() {
            prop_assert!(disagreement(&here(), &all).is_none());
        }
    }

    /// A master that serves is overruled only by a newer configuration that another node than its master has, too.
    #[test]
    fn a_new_master_is_another_node_with_a_newer_configuration(claims in any_claims(), served in any_served()) {
        if let Some(other) = standing(&here(), &claims, served).new_master() {
            prop_assert!(other != "n1.lab");
            let of_it = || peers(&claims).filter(|claim| claim.master == other);
            prop_assert!(own_serial(&claims).is_none_or(|own| of_it().any(|claim| claim.serial >= own)));
            if served == MasterService::Now {
                prop_assert!(of_it().any(|claim| claim.from != other));
                prop_assert!(of_it().any(|claim| Some(claim.serial) > own_serial(&claims)));
            }
        }
    }

    #[test]
    fn scores_are_below_infinity_and_follow_the_serial(claims in any_claims()) {
        if let Some(score) = promotion_score(NodeRole::Candidate, &MasterStanding::Undisputed, &claims, None) {
            prop_assert!((1..=1000).contains(&score));
        }
    }

    /// The record is dropped only when this node has caught up.
    #[test]
    fn what_is_remembered_is_newer_than_the_own(own in 0..5_u64, claims in any_claims(), rounds in 1..4_usize) {
        let mut newer = None;
        for _ in 0..rounds {
            newer = update_newer_config(newer, own, &claims);
            let newest = peers(&claims).map(|claim| claim.serial).max();
            prop_assert_eq!(newer.as_ref().map(|newer| newer.serial), newest.filter(|newest| *newest > own));
        }
        prop_assert!(newer.is_none_or(|newer| newer.confirmed == (rounds > 1)));
    }
}
