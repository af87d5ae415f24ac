use super::*;
use proptest::prelude::*;

fn here() -> NodeName {
    NodeName::new("n1.lab").unwrap()
}

/// What n1 itself says.
fn own(serial: u64) -> Word {
    Word { own: true, master: "n1.lab".to_owned(), of_itself: true, serial }
}

/// What a peer says of another node.
fn says(master: &str, serial: u64) -> Word {
    Word { own: false, master: master.to_owned(), of_itself: false, serial }
}

/// What a peer says of itself.
fn claims(master: &str, serial: u64) -> Word {
    Word { of_itself: true, ..says(master, serial) }
}

/// Ganeti issue 1018: the old master returns and still takes itself for the master.
#[test]
fn a_stale_master_is_found() {
    let newer = [own(20), claims("n2.lab", 25), says("n2.lab", 25)];
    assert_eq!(successor(&here(), &newer, true).as_deref(), Some("n2.lab"));
    // Its last writes counted further than its successor has got: not served, and the majority against it.
    let forked = [own(30), claims("n2.lab", 25), says("n2.lab", 25)];
    assert_eq!(successor(&here(), &forked, false).as_deref(), Some("n2.lab"));
    // Just failed over to n1, and the peers' confd has not read its file yet.
    assert_eq!(successor(&here(), &forked, true), None);
    assert_eq!(successor(&here(), &[own(30)], false), None);
    assert_eq!(successor(&here(), &[own(30), says("n1.lab", 30), claims("n2.lab", 12)], false), None);
    assert_eq!(successor(&here(), &[own(10), claims("n2.lab", 25)], false).as_deref(), Some("n2.lab"), "of two nodes");
}

/// An old master that was cut off wrote on, is back, and goes on to name itself with the newest serial of all: one voice
/// must not take a master down that serves.
#[test]
fn one_voice_does_not_end_a_master() {
    for serving in [true, false] {
        let returned = [own(110), claims("n3.lab", 130), says("n1.lab", 110)];
        assert_eq!(successor(&here(), &returned, serving), None, "serving: {serving}");
    }
    assert_eq!(successor(&here(), &[own(110), claims("n2.lab", 130)], true), None, "of two nodes, the one that serves");
}

/// Full mode: the agreement of the peers. Whoever is silent has no word.
#[test]
fn a_majority_of_the_peers_that_answer_is_a_disagreement() {
    let found = |words: &[Word]| disagreement(&here(), words).map(|failure| failure.found);
    assert_eq!(found(&[own(5)]), None);
    assert_eq!(found(&[own(5), says("N1.lab", 5)]), None);
    assert_eq!(found(&[own(5), claims("n2.lab", 5), says("n1.lab", 5)]), None);
    let against = [own(5), claims("n2.lab", 5), says("n2.lab", 5), says("n1.lab", 5)];
    assert_eq!(found(&against).as_deref(), Some("2 of 3 that answer take n2.lab for the master"));
}

/// Ganeti issue 1242: its failover takes whichever configuration it finds.
#[test]
fn the_most_recent_candidate_is_preferred() {
    let score = |words: &[Word]| promotion_score(Rank::Candidate, None, words, None);
    assert_eq!(score(&[own(40), says("n1.lab", 40)]), Some(1000));
    assert_eq!(score(&[own(37), says("n1.lab", 40)]), Some(997));
    assert_eq!(score(&[own(0), says("x", u64::MAX)]), Some(1));
    assert_eq!(score(&[says("n1.lab", 40)]), Some(1), "an own confd that is silent: after all others");
    assert_eq!(score(&[]), Some(1));
    assert_eq!(promotion_score(Rank::Other, None, &[own(40)], None), None);
    assert_eq!(promotion_score(Rank::Master, Some("n2.lab"), &[own(40)], None), None, "a stale master is not chosen");
    assert_eq!(newer_copy(Some(37), &[says("n1.lab", 40)]), Some((37, 40)));
    assert_eq!(newer_copy(Some(41), &[says("n1.lab", 40)]), None);
    assert_eq!(newer_copy(None, &[says("n1.lab", 40)]), Some((0, 40)), "a copy of unknown age is not the newest");
}

/// The administrator's `gnt-cluster master-failover`, seen on the new master before the old one has looked again.
#[test]
fn of_two_masters_the_later_one_is_preferred_and_a_master_keeps_its_score() {
    let score = |serial, offered| promotion_score(Rank::Master, None, &[own(serial)], offered);
    let old = score(40, None);
    assert_eq!(old, Some(10_040));
    assert_eq!(score(47, old), old, "no change with each change of the configuration");
    assert!(score(41, Some(1000)) > old, "a candidate that became master");
    assert_eq!(promotion_score(Rank::Master, None, &[], None), Some(MASTER_SCORE), "confd is silent");
    assert!(score(u64::MAX, None) < Some(1_000_000), "Pacemaker's infinity");
}

/// An offline node rejoins Pacemaker without being re-added; then the master dies. Its stale configuration must not come
/// back to life because nobody is left who has a newer one.
#[test]
fn a_newer_configuration_that_was_missed_twice_is_remembered() {
    let first = hear(None, 100, &[own(100), claims("n2.lab", 150)]).unwrap();
    assert_eq!(first, Heard { serial: 150, master: "n2.lab".to_owned(), missed: false });
    let second = hear(Some(first.clone()), 100, &[own(100), claims("n2.lab", 151)]).unwrap();
    assert_eq!(second, Heard { serial: 151, master: "n2.lab".to_owned(), missed: true });
    // Nobody is left who knows.
    assert_eq!(hear(Some(second.clone()), 100, &[own(100)]), Some(second.clone()));
    // Re-added: it has caught up.
    assert_eq!(hear(Some(second), 160, &[own(160), claims("n2.lab", 160)]), None);
    // A configuration that was on its way has arrived by the next look.
    assert_eq!(hear(Some(first), 150, &[own(150), claims("n2.lab", 150)]), None);
}

fn any_words() -> impl Strategy<Value = Vec<Word>> {
    let word = (any::<bool>(), any::<bool>(), 1..4_u8, 0..5_u64).prop_map(|(own, of_itself, n, serial)| Word {
        own,
        of_itself,
        master: format!("n{n}.lab"),
        serial,
    });
    proptest::collection::vec(word, 0..6)
}

proptest! {
    #[test]
    fn a_successor_is_another_node_that_a_majority_is_against_us_for(words in any_words(), serving: bool) {
        if let Some(other) = successor(&here(), &words, serving) {
            prop_assert!(other != "n1.lab");
            prop_assert!(words.iter().any(|word| !word.own && word.master == other));
            let peers = words.iter().filter(|word| !word.own);
            let against = peers.clone().filter(|word| word.master != "n1.lab").count();
            prop_assert!(2 * against > peers.count());
        }
    }

    #[test]
    fn scores_are_below_infinity_and_follow_the_serial(words in any_words()) {
        if let Some(score) = promotion_score(Rank::Candidate, None, &words, None) {
            prop_assert!((1..=1000).contains(&score));
        }
    }

    /// Only a look at which this node has caught up forgets.
    #[test]
    fn what_is_heard_is_newer_than_the_own(own in 0..5_u64, words in any_words(), rounds in 1..4_usize) {
        let mut heard = None;
        for _ in 0..rounds {
            heard = hear(heard, own, &words);
            let newest = words.iter().filter(|word| !word.own).map(|word| word.serial).max();
            prop_assert_eq!(heard.as_ref().map(|heard| heard.serial), newest.filter(|newest| *newest > own));
        }
        prop_assert!(heard.is_none_or(|heard| heard.missed == (rounds > 1)));
    }
}
