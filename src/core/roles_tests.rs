use super::*;
use proptest::prelude::*;

const CLONE: RunAs = RunAs::Promotable { started: true };
const NEW_CLONE: RunAs = RunAs::Promotable { started: false };

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn view(rank: Rank, run_as: RunAs) -> MasterView {
    MasterView { rank, run_as, successor: None, stopped: false, listening: true, failures: None }
}

fn code(view: &MasterView) -> u8 {
    monitor_master(view).code.number()
}

/// DESIGN 6: "started on the master, stopped on candidates, an error elsewhere"; as a clone nobody is banned.
#[test]
fn a_healthy_cluster_in_each_way_to_run_it() {
    for (rank, run_as, expected) in [
        (Rank::Master, RunAs::Primitive, 0),
        (Rank::Candidate, RunAs::Primitive, 7),
        (Rank::Other, RunAs::Primitive, 5),
        (Rank::Master, CLONE, 8),
        (Rank::Master, NEW_CLONE, 8),
        (Rank::Candidate, CLONE, 0),
        (Rank::Candidate, NEW_CLONE, 7),
        (Rank::Other, CLONE, 0),
        (Rank::Other, NEW_CLONE, 7),
    ] {
        assert_eq!(code(&view(rank, run_as)), expected, "{rank:?} {run_as:?}");
    }
}

/// An administrator who restarts luxid by hand must not cause a failover in partial mode.
#[test]
fn partial_mode_does_not_look_at_daemons() {
    assert_eq!(code(&MasterView { listening: false, ..view(Rank::Master, RunAs::Primitive) }), 0);
}

#[test]
fn what_was_stopped_on_purpose_is_not_running_until_it_serves_again() {
    let stopped = MasterView { stopped: true, listening: false, ..view(Rank::Master, RunAs::Primitive) };
    assert_eq!(code(&stopped), 7);
    assert_eq!(code(&MasterView { run_as: CLONE, ..stopped.clone() }), 0);
    // The administrator's own master-failover brought it back.
    assert_eq!(code(&MasterView { listening: true, ..stopped }), 0);
}

#[test]
fn full_mode_tells_failed_from_not_running() {
    let failures = Some(vec![Failure { check: "luxid", found: "no answer within 2 s".to_owned() }]);
    let failed = MasterView { failures, ..view(Rank::Master, RunAs::Primitive) };
    assert_eq!(monitor_master(&failed).reason.as_deref(), Some("luxid: no answer within 2 s"));
    assert_eq!(code(&failed), 1);
    assert_eq!(code(&MasterView { run_as: CLONE, ..failed.clone() }), 9);
    assert_eq!(code(&MasterView { listening: false, ..failed }), 7);
}

fn word(own: bool, master: &str, serial: u64) -> Word {
    Word { own, master: master.to_owned(), serial }
}

/// Ganeti issue 1018: the old master returns and still takes itself for the master.
#[test]
fn a_stale_master_is_found() {
    let n1 = name("n1.lab");
    let newer = [word(true, "n1.lab", 20), word(false, "n2.lab", 25), word(false, "n2.lab", 25)];
    assert_eq!(successor(&n1, &newer, true).as_deref(), Some("n2.lab"));
    // Its last writes counted further than its successor has got: not served, and the majority against it.
    let forked = [word(true, "n1.lab", 30), word(false, "n2.lab", 25), word(false, "n2.lab", 25)];
    assert_eq!(successor(&n1, &forked, false).as_deref(), Some("n2.lab"));
    // Just failed over to n1, and the peers' confd has not read its file yet.
    assert_eq!(successor(&n1, &forked, true), None);
    let silence = [word(true, "n1.lab", 30)];
    assert_eq!(successor(&n1, &silence, false), None);
    let agreed = [word(true, "n1.lab", 30), word(false, "n1.lab", 30), word(false, "n2.lab", 12)];
    assert_eq!(successor(&n1, &agreed, false), None);
    let stale = MasterView { successor: Some("n2.lab".into()), ..view(Rank::Master, RunAs::Primitive) };
    assert_eq!(code(&stale), 7);
    assert_eq!(code(&MasterView { run_as: CLONE, ..stale }), 0);
}

/// Full mode: the agreement of the peers. Whoever is silent has no word.
#[test]
fn a_majority_of_the_peers_that_answer_is_a_disagreement() {
    let n1 = name("n1.lab");
    let found = |words: &[Word]| disagreement(&n1, words).map(|failure| failure.found);
    let own = word(true, "n1.lab", 5);
    assert_eq!(found(std::slice::from_ref(&own)), None);
    assert_eq!(found(&[own.clone(), word(false, "N1.lab", 5)]), None);
    assert_eq!(found(&[own.clone(), word(false, "n2.lab", 5), word(false, "n1.lab", 5)]), None);
    let against = [own, word(false, "n2.lab", 5), word(false, "n2.lab", 5), word(false, "n1.lab", 5)];
    assert_eq!(found(&against).as_deref(), Some("2 of 3 that answer take n2.lab for the master"));
}

/// Ganeti issue 1242: its failover takes whichever configuration it finds.
#[test]
fn the_most_recent_candidate_is_preferred() {
    let words = |own| [word(true, "n1.lab", own), word(false, "n1.lab", 40)];
    assert_eq!(promotion_score(Rank::Candidate, None, &words(40), None), Some(1000));
    assert_eq!(promotion_score(Rank::Candidate, None, &words(37), None), Some(997));
    assert_eq!(
        promotion_score(Rank::Candidate, None, &[word(true, "n1.lab", 0), word(false, "x", u64::MAX)], None),
        Some(1)
    );
    assert_eq!(promotion_score(Rank::Candidate, None, &words(40)[1..], None), None);
    assert_eq!(promotion_score(Rank::Other, None, &words(40), None), None);
    assert_eq!(promotion_score(Rank::Master, Some("n2.lab"), &words(40), None), None, "a stale master is not chosen");
    assert_eq!(newer_copy(&words(37)), Some((37, 40)));
    assert_eq!(newer_copy(&words(41)), None);
}

/// The administrator's `gnt-cluster master-failover`, seen on the new master before the old one has looked again.
#[test]
fn of_two_masters_the_later_one_is_preferred_and_a_master_keeps_its_score() {
    let score = |serial, offered| promotion_score(Rank::Master, None, &[word(true, "n1.lab", serial)], offered);
    let old = score(40, None);
    assert_eq!(old, Some(10_040));
    assert_eq!(score(47, old), old, "no change with each change of the configuration");
    assert!(score(41, Some(1000)) > old, "a candidate that became master");
    assert_eq!(promotion_score(Rank::Master, None, &[], None), Some(MASTER_SCORE), "confd is silent");
    assert!(score(u64::MAX, None) < Some(1_000_000), "Pacemaker's infinity");
}

fn takeover() -> TakeoverView {
    TakeoverView {
        rank: Rank::Candidate,
        successor: None,
        old_master: Some(name("n1.lab")),
        served_elsewhere: false,
        newer_copy: None,
        any_serial: false,
        nodes: 3,
        voters: 2,
        gone: None,
    }
}

fn refusal(view: &TakeoverView) -> String {
    match take_over(view) {
        Takeover::Refused(verdict) => verdict.reason.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// DESIGN 6: "`--no-voting` only with a proof that the old master is gone".
#[test]
fn voting_comes_first_and_no_voting_needs_proof() {
    let proof = Some("a receipt".to_owned());
    let voted = Takeover::Failover { no_voting: None };
    assert_eq!(take_over(&takeover()), voted);
    assert_eq!(take_over(&TakeoverView { gone: proof.clone(), ..takeover() }), voted);
    let two = TakeoverView { nodes: 2, voters: 1, ..takeover() };
    assert!(refusal(&two).contains("stonith_admin --confirm n1.lab"));
    assert_eq!(
        take_over(&TakeoverView { gone: proof.clone(), ..two.clone() }),
        Takeover::Failover { no_voting: proof.clone() }
    );
    let restart = TakeoverView { rank: Rank::Master, gone: proof.clone(), ..two };
    assert_eq!(take_over(&restart), Takeover::StartDaemons { no_voting: proof });
    assert_eq!(
        take_over(&TakeoverView { rank: Rank::Master, ..takeover() }),
        Takeover::StartDaemons { no_voting: None }
    );
}

#[test]
fn a_role_that_is_held_elsewhere_is_not_taken() {
    assert!(refusal(&TakeoverView { served_elsewhere: true, ..takeover() }).contains("held elsewhere"));
    let stale = TakeoverView { rank: Rank::Master, successor: Some("n2.lab".into()), ..takeover() };
    assert!(refusal(&stale).contains("n2.lab"));
    let older = TakeoverView { newer_copy: Some((3, 4)), ..takeover() };
    assert!(refusal(&older).contains("any-serial"));
    assert_eq!(take_over(&TakeoverView { any_serial: true, ..older }), Takeover::Failover { no_voting: None });
    assert!(matches!(
        take_over(&TakeoverView { rank: Rank::Other, ..takeover() }),
        Takeover::Refused(Verdict { code: OcfCode::ErrInstalled, .. })
    ));
}

#[test]
fn a_node_is_well_failed_or_stopped() {
    let failures = [Failure { check: "noded", found: "no answer".into() }];
    assert_eq!(monitor_node(false, &[]).code, OcfCode::Success);
    assert_eq!(monitor_node(false, &failures).code, OcfCode::ErrGeneric);
    assert_eq!(monitor_node(true, &failures).code, OcfCode::NotRunning);
}

fn any_rank() -> impl Strategy<Value = Rank> {
    prop_oneof![Just(Rank::Master), Just(Rank::Candidate), Just(Rank::Other)]
}

fn any_run_as() -> impl Strategy<Value = RunAs> {
    prop_oneof![Just(RunAs::Primitive), Just(CLONE), Just(NEW_CLONE)]
}

fn any_words() -> impl Strategy<Value = Vec<Word>> {
    let word = (any::<bool>(), 1..4_u8, 0..5_u64).prop_map(|(own, n, serial)| word(own, &format!("n{n}.lab"), serial));
    proptest::collection::vec(word, 0..6)
}

proptest! {
    /// A node that is not the master by its own files never reports the role, whatever else it sees.
    #[test]
    fn only_a_believed_master_holds_the_role(
        rank in any_rank(), run_as in any_run_as(), stale: bool, stopped: bool, listening: bool, full in 0..3_u8,
    ) {
        let failures = match full {
            0 => None,
            1 => Some(vec![]),
            _ => Some(vec![Failure { check: "luxid", found: "x".into() }]),
        };
        let successor = stale.then(|| "n9.lab".to_owned());
        let seen = MasterView { rank, run_as, successor, stopped, listening, failures };
        let code = monitor_master(&seen).code;
        let holds = match run_as {
            RunAs::Primitive => code == OcfCode::Success,
            RunAs::Promotable { .. } => code == OcfCode::RunningPromoted,
        };
        prop_assert!(!holds || rank == Rank::Master && !stale);
        // A clone's instance never bans its node.
        let bans = matches!(code, OcfCode::ErrInstalled | OcfCode::ErrArgs | OcfCode::ErrConfigured);
        prop_assert!(!bans || run_as == RunAs::Primitive && rank == Rank::Other);
    }

    #[test]
    fn no_voting_is_never_chosen_without_proof_or_need(
        rank in any_rank(), nodes in 1..8_usize, voters in 1..8_usize, proven: bool, elsewhere: bool,
    ) {
        let gone = proven.then(|| "proof".to_owned());
        let seen = TakeoverView { rank, nodes, voters, gone, served_elsewhere: elsewhere, ..takeover() };
        if let Takeover::StartDaemons { no_voting: Some(_) } | Takeover::Failover { no_voting: Some(_) } = take_over(&seen) {
            prop_assert!(proven && 2 * voters <= nodes && !elsewhere);
        }
    }

    #[test]
    fn a_successor_is_another_node_that_a_peer_named(words in any_words(), serving: bool) {
        if let Some(other) = successor(&name("n1.lab"), &words, serving) {
            prop_assert!(other != "n1.lab");
            prop_assert!(words.iter().any(|word| !word.own && word.master == other));
        }
    }

    #[test]
    fn scores_are_below_infinity_and_follow_the_serial(words in any_words()) {
        if let Some(score) = promotion_score(Rank::Candidate, None, &words, None) {
            prop_assert!((1..=1000).contains(&score));
        }
    }
}
