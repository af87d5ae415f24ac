//! Tests what holds for any claims of any candidates.

use proptest::prelude::*;

use super::*;

fn any_word() -> impl Strategy<Value = MasterClaim> {
    (any::<bool>(), 2..6_u8, 1..6_u8, 0..5_u64).prop_map(|(shunned, from, n, serial)| MasterClaim {
        own: false,
        from: format!("n{from}.lab"),
        master: format!("n{n}.lab"),
        serial,
        shunned,
    })
}

/// The own claim, at most one, and those of the others.
fn any_words() -> impl Strategy<Value = Vec<MasterClaim>> {
    (proptest::option::of(0..5_u64), proptest::collection::vec(any_word(), 0..6))
        .prop_map(|(serial, words)| serial.map(own).into_iter().chain(words).collect())
}

fn any_served() -> impl Strategy<Value = Served> {
    prop_oneof![Just(Served::Now), Just(Served::ThisBoot), Just(Served::Never)]
}

/// Returns the result for a role that is not served: the master that overrules this node, and whether this node may
/// take the role.
fn taken(words: &[MasterClaim], served: Served) -> (Option<String>, bool) {
    let standing = standing(&here(), words, served);
    (standing.new_master().map(str::to_owned), standing.dispute().is_some())
}

proptest! {
    /// Claims of shunned nodes change nothing.
    #[test]
    fn shunned_nodes_change_nothing(words in any_words(), more in proptest::collection::vec(any_word(), 0..6), served in any_served()) {
        let counted: Vec<MasterClaim> = words.into_iter().filter(|word| !word.shunned).collect();
        let all: Vec<MasterClaim> = counted.iter().cloned().chain(more.into_iter().map(shunned)).collect();
        let own = own_serial(&counted);
        prop_assert_eq!(standing(&here(), &all, served), standing(&here(), &counted, served));
        prop_assert_eq!(disagreement(&here(), &all).is_some(), disagreement(&here(), &counted).is_some());
        prop_assert_eq!(newer_copy(own, &all), newer_copy(own, &counted));
        prop_assert_eq!(update_newer_config(None, own.unwrap_or(0), &all), update_newer_config(None, own.unwrap_or(0), &counted));
        for rank in [NodeRole::Master, NodeRole::Candidate] {
            let score = |words: &[MasterClaim]| promotion_score(rank, &standing(&here(), words, served), words, None);
            prop_assert_eq!(score(&all), score(&counted));
        }
    }

    /// If the role is not served, the newest configuration alone decides: no set of older claims changes which node is
    /// master and which may take the role.
    #[test]
    fn older_words_never_overrule_the_newest(words in any_words()) {
        let newest = peers(&words).map(|word| word.serial).chain(own_serial(&words)).max();
        let alone: Vec<MasterClaim> = words.iter().filter(|word| Some(word.serial) == newest || word.own).cloned().collect();
        for served in IDLE {
            prop_assert_eq!(taken(&words, served), taken(&alone, served));
        }
    }

    /// If the role is served, no set of claims that are older than the own ends it, in partial or in full mode.
    #[test]
    fn older_words_never_end_a_master(words in any_words(), more in proptest::collection::vec(any_word(), 0..6)) {
        let Some(own) = own_serial(&words) else { return Ok(()) };
        let older = more.into_iter().filter(|word| word.serial < own);
        let all: Vec<MasterClaim> = words.iter().cloned().chain(older).collect();
        let before = standing(&here(), &words, Served::Now);
        if before.new_master().is_none() {
            prop_assert!(standing(&here(), &all, Served::Now).new_master().is_none());
        }
        if disagreement(&here(), &words).is_none() {
            prop_assert!(disagreement(&here(), &all).is_none());
        }
    }

    /// A master that serves is overruled only by a newer configuration that another node than its master has, too.
    #[test]
    fn a_successor_is_another_node_with_a_newer_configuration(words in any_words(), served in any_served()) {
        if let Some(other) = standing(&here(), &words, served).new_master() {
            prop_assert!(other != "n1.lab");
            let of_it = || peers(&words).filter(|word| word.master == other);
            prop_assert!(own_serial(&words).is_none_or(|own| of_it().any(|word| word.serial >= own)));
            if served == Served::Now {
                prop_assert!(of_it().any(|word| word.from != other));
                prop_assert!(of_it().any(|word| Some(word.serial) > own_serial(&words)));
            }
        }
    }

    #[test]
    fn scores_are_below_infinity_and_follow_the_serial(words in any_words()) {
        if let Some(score) = promotion_score(NodeRole::Candidate, &Standing::Undisputed, &words, None) {
            prop_assert!((1..=1000).contains(&score));
        }
    }

    /// The record is dropped only when this node has caught up.
    #[test]
    fn what_is_heard_is_newer_than_the_own(own in 0..5_u64, words in any_words(), rounds in 1..4_usize) {
        let mut newer = None;
        for _ in 0..rounds {
            newer = update_newer_config(newer, own, &words);
            let newest = peers(&words).map(|word| word.serial).max();
            prop_assert_eq!(newer.as_ref().map(|newer| newer.serial), newest.filter(|newest| *newest > own));
        }
        prop_assert!(newer.is_none_or(|newer| newer.missed == (rounds > 1)));
    }
}
