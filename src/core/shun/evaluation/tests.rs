use super::*;
use crate::core::shun::lease_times::LeaseTimes;
use crate::core::shun::messages::SelfFenceReport;

const S: fn(u64) -> Duration = Duration::from_secs;
const EPOCH: Epoch = Epoch(3);

fn node(n: u8) -> NodeName {
    NodeName::new(&format!("n{n}.lab")).unwrap()
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn peer(n: u8, state: PeerState) -> Peer {
    Peer { node: node(n), address: address(n), state, shunned_by: BTreeSet::new() }
}

fn shuns(n: u8) -> Peer {
    peer(n, PeerState::Shuns { epoch: EPOCH, ruleset_id: format!("ruleset {n}"), scope: ShunScope::All })
}

fn silent(n: u8) -> Peer {
    peer(n, PeerState::Unconfirmed("does not answer".into()))
}

fn seen(peers: &[Peer], at: u64) -> Result<Round, Vec<MissingConfirmation>> {
    evaluate_round(&node(9), (EPOCH, ShunScope::All), peers, S(at), S(at), "boot")
}

fn self_fence() -> DatedSelfFenceReport {
    let lease_times = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };
    let self_fence = SelfFenceReport {
        boot_id: "old".into(),
        driver: "iTCO_wdt".into(),
        nowayout: true,
        lease_times,
        candidates: [1, 2, 3].map(address).into(),
        asks_from: Some(address(9)),
        is_virtual: Some(false),
        guaranteed_for_ms: 600_000,
        lease_age_ms: 500,
    };
    DatedSelfFenceReport { self_fence, age_ms: 100_000, uptime_ms: None }
}

fn judged(first: &Round, last: &Round, target: u8, self_fence: Option<&DatedSelfFenceReport>) -> ProofResult {
    judged_by(first, last, target, self_fence, |_| {})
}

fn judged_by(
    first: &Round,
    last: &Round,
    target: u8,
    self_fence: Option<&DatedSelfFenceReport>,
    change: fn(&mut ProofInput<'_>),
) -> ProofResult {
    let candidates = [1, 2, 3].map(address).into();
    let addresses = [target, 9].map(address).into();
    let mut known = ProofInput {
        target: address(target),
        addresses: &addresses,
        candidates: &candidates,
        lists: &[],
        master: None,
        self_fence: self_fence.ok_or(LastStateError::NoReport),
        boot_id: Some("old"),
        accepted: AcceptedWatchdogs::default(),
    };
    change(&mut known);
    evaluate_proof(first, last, known)
}

fn why(result: ProofResult) -> String {
    match result {
        ProofResult::Isolated { why_not_bounded } => why_not_bounded,
        other => panic!("{other:?}"),
    }
}

/// A quorum is not enough: two majorities intersect, but a DRBD secondary that does not shun the node lets it go on. A
/// missing answer is never a confirmation.
#[test]
fn everyone_has_to_confirm() {
    assert!(seen(&[shuns(1), shuns(2), shuns(3)], 0).is_ok());
    let missing = seen(&[shuns(1), shuns(2), silent(3)], 0).unwrap_err();
    assert_eq!(missing.iter().map(ToString::to_string).collect::<Vec<_>>(), ["n3.lab does not answer"]);
    assert!(seen(&[shuns(1), peer(3, PeerState::ProvenOff("fenced".into()))], 0).is_ok());
    assert!(seen(&[shuns(1), peer(3, PeerState::ServesNothing)], 0).is_ok());
    assert!(seen(&[], 0).is_err() && seen(&[peer(3, PeerState::ProvenOff("fenced".into()))], 0).is_err());
    let old = peer(2, PeerState::Shuns { epoch: Epoch(1), ruleset_id: "x".into(), scope: ShunScope::All });
    assert_eq!(seen(&[shuns(1), old], 0).unwrap_err()[0].why, "is in epoch 1, not 3");
}

/// Without this rule two nodes that are lost together would block each other's proof for ever.
#[test]
fn who_is_lost_together_counts_when_every_survivor_shuns_it() {
    let mut lost = silent(4);
    lost.shunned_by = [1, 2].map(node).into();
    assert!(seen(&[shuns(1), shuns(2), lost.clone()], 0).is_ok());
    assert!(seen(&[shuns(1), shuns(2), shuns(3), lost.clone()], 0).is_err(), "n3 still serves it");
    assert!(seen(&[lost], 0).is_err());
}

#[test]
fn bounded_is_proven_after_the_wait_and_not_before() {
    let all = |at| seen(&[shuns(1), shuns(2), shuns(3), shuns(4)], at).unwrap();
    let until = S(50) + self_fence().self_fence.lease_times.wait_time();
    assert_eq!(judged(&all(50), &all(50), 9, Some(&self_fence())), ProofResult::Waiting { until });
    assert_eq!(judged(&all(50), &all(75), 9, Some(&self_fence())), ProofResult::Waiting { until });
    assert_eq!(judged(&all(50), &all(76), 9, Some(&self_fence())), ProofResult::Bounded);
}

/// Without self-fencing that counts the node stays `isolated`, with the reason.
#[test]
fn without_a_self_fence_that_can_be_believed_it_is_isolated() {
    let all = |at| seen(&[shuns(1), shuns(2), shuns(3)], at).unwrap();
    let with = |change: fn(&mut DatedSelfFenceReport)| {
        let mut self_fence = self_fence();
        change(&mut self_fence);
        why(judged(&all(0), &all(90), 9, Some(&self_fence)))
    };
    assert!(why(judged(&all(0), &all(90), 9, None)).contains("its self-fencing is unknown"));
    assert!(with(|report| report.self_fence.nowayout = false).contains("nowayout"));
    assert!(with(|report| report.self_fence.driver = SOFTDOG.into()).contains("softdog"));
    assert!(with(|report| report.self_fence.boot_id = "new".into()).contains("another boot"));
    assert!(with(|report| report.self_fence.is_virtual = Some(true)).contains("virtual machine"));
    assert!(with(|report| report.self_fence.is_virtual = None).contains("install the same version"));
    assert!(
        with(|report| report.self_fence.asks_from = Some(address(8)))
            .contains("asks from 192.0.2.8, which is not shunned")
    );
    assert!(with(|report| report.self_fence.asks_from = None).contains("install the same version"));
    assert!(with(|report| report.age_ms = 570_000).contains("may have been disarmed"));
    assert!(
        with(|report| report.self_fence.candidates.extend([5, 6, 7, 8].map(address))).contains("its self-fencing asks")
    );
}

/// n - majority + 1 candidates have to shun the node; a candidate that is shunned grants to itself.
#[test]
fn enough_candidates_have_to_shun() {
    let two = |at| seen(&[shuns(1), shuns(2), peer(3, PeerState::ProvenOff("fenced".into()))], at).unwrap();
    assert_eq!(judged(&two(0), &two(90), 9, Some(&self_fence())), ProofResult::Bounded);
    assert_eq!(judged(&two(0), &two(90), 3, Some(&self_fence())), ProofResult::Bounded, "itself a candidate");
    let one = |at| seen(&[shuns(1), peer(2, PeerState::ProvenOff("fenced".into())), shuns(4)], at).unwrap();
    let proof = why(judged(&one(0), &one(90), 3, Some(&self_fence())));
    assert!(proof.contains("1 of the 3 candidates") && proof.contains("itself one of them"), "{proof}");
}

/// The wait begins again after rules were absent for a moment, the epoch changed, or the asker has booted.
#[test]
fn what_did_not_hold_all_the_time_proves_nothing() {
    let all = |at| seen(&[shuns(1), shuns(2), shuns(3)], at).unwrap();
    let mut flushed = all(90);
    flushed.ruleset_ids.insert(node(2), "another".into());
    let mut readmitted = all(90);
    readmitted.epoch = Epoch(5);
    let mut booted = all(90);
    booted.boot_id = "another".into();
    for last in [flushed, readmitted, booted] {
        assert!(must_restart_wait(&all(0), &last));
        let until = S(90) + self_fence().self_fence.lease_times.wait_time();
        assert_eq!(judged(&all(0), &last, 9, Some(&self_fence())), ProofResult::Waiting { until });
    }
    assert!(!must_restart_wait(&all(0), &all(90)));
    let fewer = seen(&[shuns(1), peer(2, PeerState::ProvenOff("fenced".into())), shuns(3)], 90).unwrap();
    assert!(must_restart_wait(&all(0), &fewer), "who left may have come back and granted");
}

/// An answer from before the end of the wait proves nothing about its end, however late the last answer of its round
/// is.
#[test]
fn the_last_round_is_asked_after_the_wait() {
    let all = [shuns(1), shuns(2), shuns(3)];
    let first = seen(&all, 100).unwrap();
    let last = seen(&all, 200).unwrap();
    assert_eq!(judged(&first, &last, 9, Some(&self_fence())), ProofResult::Bounded);
    let astride = Round { asked: S(101), ..last };
    assert!(matches!(judged(&first, &astride, 9, Some(&self_fence())), ProofResult::Waiting { .. }));
}

/// A softdog, or the watchdog of a host that can be paused, counts only where the configuration accepts it.
#[test]
fn weaker_watchdogs_count_by_name_only() {
    let all = |at| seen(&[shuns(1), shuns(2), shuns(3)], at).unwrap();
    let judged = |softdog: bool, is_virtual: bool, accepted: AcceptedWatchdogs| {
        let mut report = self_fence();
        report.self_fence.is_virtual = Some(is_virtual);
        report.self_fence.driver = if softdog { SOFTDOG } else { "iTCO_wdt" }.to_owned();
        watchdog_objection(&report.self_fence, accepted).is_none()
    };
    assert_eq!(
        judged_by(&all(0), &all(90), 9, Some(&self_fence()), |known| known.accepted = AcceptedWatchdogs::default()),
        ProofResult::Bounded
    );
    for softdog in [false, true] {
        for virtual_host in [false, true] {
            let accepted = AcceptedWatchdogs { softdog, virtual_host };
            assert_eq!(judged(true, false, accepted), softdog);
            assert_eq!(judged(false, true, accepted), virtual_host);
            assert_eq!(judged(true, true, accepted), softdog && virtual_host);
        }
    }
}

/// A candidate with the scope `tcp` answers confd, which uses UDP, and echoes: it renews the lease.
#[test]
fn who_shuns_tcp_only_does_not_deny_the_lease() {
    let tcp =
        |n: u8| peer(n, PeerState::Shuns { epoch: EPOCH, ruleset_id: format!("ruleset {n}"), scope: ShunScope::Tcp });
    let missing = seen(&[shuns(1), tcp(2), shuns(3)], 0).unwrap_err();
    assert_eq!(missing.iter().map(ToString::to_string).collect::<Vec<_>>(), ["n2.lab shuns it with scope tcp only"]);
    let all = [tcp(1), tcp(2), tcp(3)];
    let round = evaluate_round(&node(9), (EPOCH, ShunScope::Tcp), &all, S(0), S(0), "boot").unwrap();
    assert_eq!((round.ruleset_ids.len(), round.shunning.len()), (3, 0));
}

/// Nothing ends the node's next boot, which had no lease: a master that is lost with it could start instances there.
#[test]
fn a_master_that_is_lost_too_is_waited_for() {
    const MASTER: fn(&mut ProofInput<'_>) = |known| known.master = Some(Box::leak(Box::new(node(4))));
    let mut lost = silent(4);
    lost.shunned_by = [1, 2].map(node).into();
    let with =
        |four: Peer, at| seen(&[shuns(1), shuns(2), peer(3, PeerState::ProvenOff("fenced".into())), four], at).unwrap();
    let of = |four: Peer| judged_by(&with(lost.clone(), 0), &with(four, 90), 9, Some(&self_fence()), MASTER);
    assert_eq!(of(lost.clone()), ProofResult::Waiting { until: S(91) });
    let ended = || peer(4, PeerState::ProvenOff("bounded".into()));
    assert_eq!(of(ended()), ProofResult::Bounded);
    // Reported 100 s before the first round, for 600 s: after that the next boot serves without self-fencing.
    let late = judged_by(&with(lost.clone(), 0), &with(ended(), 495), 9, Some(&self_fence()), MASTER);
    assert!(why(late).contains("lost together with it"));
    assert_eq!(judged_by(&with(ended(), 0), &with(ended(), 495), 9, Some(&self_fence()), MASTER), ProofResult::Bounded);
    assert_eq!(
        judged(&with(lost.clone(), 0), &with(lost, 90), 9, Some(&self_fence())),
        ProofResult::Bounded,
        "it is not the master"
    );
}

/// A list that was current lately may become current again: its majority must be unable to grant, too.
#[test]
fn every_list_of_late_has_to_be_blocked() {
    let all = |at| seen(&[shuns(1), shuns(2), shuns(3)], at).unwrap();
    let proof = judged_by(&all(0), &all(90), 9, Some(&self_fence()), |known| {
        known.lists = Box::leak(Box::new([[3, 5, 6].map(address).into()]));
    });
    assert!(why(proof).contains("were configured until lately"));
}

/// The wait counts from the first round while its conditions hold.
#[test]
fn the_first_round_is_kept_while_it_holds() {
    let all = |at| seen(&[shuns(1), shuns(2), shuns(3)], at).unwrap();
    let fewer = seen(&[shuns(1), shuns(2), peer(3, PeerState::ProvenOff("fenced".into()))], 10).unwrap();
    assert_eq!(first_of(Some(&all(0)), &all(90)), &all(0));
    assert_eq!(first_of(None, &all(90)), &all(90));
    assert_eq!(first_of(Some(&all(0)), &fewer), &fewer);
    assert_eq!(first_of(Some(&fewer), &all(90)), &fewer);
    let mut later = all(0);
    later.at = S(91);
    assert_eq!(first_of(Some(&later), &all(90)), &all(90), "a clock that went back");
}

/// The asker's configuration may name candidates that the node does not know yet, and may learn of.
#[test]
fn the_askers_own_list_has_to_be_blocked_too() {
    let all = |at| seen(&[shuns(1), shuns(2), shuns(3)], at).unwrap();
    let proof = judged_by(&all(0), &all(90), 9, Some(&self_fence()), |known| {
        known.candidates = Box::leak(Box::new([3, 5, 6].map(address).into()));
    });
    assert!(why(proof).contains("are configured"));
}

/// A shunning counts from the last answer of the round: each answer only shows that the rules stood when it was made.
#[test]
fn the_wait_counts_from_the_last_answer_of_the_first_round() {
    let all = [shuns(1), shuns(2), shuns(3)];
    let first = Round { asked: S(0), ..seen(&all, 40).unwrap() };
    let until = S(40) + self_fence().self_fence.lease_times.wait_time();
    assert_eq!(judged(&first, &seen(&all, 60).unwrap(), 9, Some(&self_fence())), ProofResult::Waiting { until });
}

/// Neither an earlier nor a later epoch counts: the node was readmitted in between.
#[test]
fn shunning_in_another_epoch_does_not_count() {
    for other in [Epoch(1), Epoch(5)] {
        let theirs = peer(2, PeerState::Shuns { epoch: other, ruleset_id: "x".into(), scope: ShunScope::All });
        assert!(seen(&[shuns(1), theirs, shuns(3)], 0).is_err(), "{other}");
    }
}
