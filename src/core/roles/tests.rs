use super::*;
use proptest::prelude::*;

const CLONE: RunAs = RunAs::Promotable { started: true };
const NEW_CLONE: RunAs = RunAs::Promotable { started: false };

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn view(rank: NodeRole, run_as: RunAs) -> MasterView {
    MasterView {
        rank,
        run_as,
        standing: MasterStanding::Undisputed,
        alone: false,
        ignored: None,
        stopped: false,
        served: MasterService::Now,
        left: false,
        failures: None,
    }
}

fn code(view: &MasterView) -> u8 {
    monitor_master(view).code.number()
}

/// The role is started on the master, stopped on candidates, an error elsewhere; as a clone it is banned from no node.
#[test]
fn a_healthy_cluster_in_each_way_to_run_it() {
    for (rank, run_as, expected) in [
        (NodeRole::Master, RunAs::Primitive, 0),
        (NodeRole::Candidate, RunAs::Primitive, 7),
        (NodeRole::Other, RunAs::Primitive, 5),
        (NodeRole::Master, CLONE, 8),
        (NodeRole::Master, NEW_CLONE, 8),
        (NodeRole::Candidate, CLONE, 0),
        (NodeRole::Candidate, NEW_CLONE, 7),
        (NodeRole::Other, CLONE, 0),
        (NodeRole::Other, NEW_CLONE, 7),
    ] {
        assert_eq!(code(&view(rank, run_as)), expected, "{rank:?} {run_as:?}");
    }
}

/// A returned master whose peers are silent at the probe would otherwise have Pacemaker stop both, the healthy one too.
#[test]
fn no_node_is_believed_after_a_first_round_alone() {
    let alone = MasterView { alone: true, served: MasterService::Never, ..view(NodeRole::Master, RunAs::Primitive) };
    assert_eq!(code(&alone), 7);
    assert_eq!(code(&MasterView { run_as: NEW_CLONE, ..alone }), 7);
}

/// An administrator who restarts luxid by hand must not cause a failover in partial mode.
#[test]
fn partial_mode_does_not_check_daemons() {
    for served in [MasterService::ThisBoot, MasterService::Never] {
        assert_eq!(code(&MasterView { served, ..view(NodeRole::Master, RunAs::Primitive) }), 0);
    }
}

#[test]
fn what_was_stopped_on_purpose_is_not_running_until_it_serves_again() {
    let stopped =
        MasterView { stopped: true, served: MasterService::Never, ..view(NodeRole::Master, RunAs::Primitive) };
    assert_eq!(code(&stopped), 7);
    assert_eq!(code(&MasterView { run_as: CLONE, ..stopped.clone() }), 0);
    // The administrator's own master-failover brought the role back.
    assert_eq!(code(&MasterView { served: MasterService::Now, ..stopped }), 0);
}

#[test]
fn full_mode_distinguishes_failed_from_not_running() {
    let failures = Some(vec![Failure { check: "luxid", found: "no answer within 2 s".to_owned() }]);
    let failed = MasterView { failures, ..view(NodeRole::Master, RunAs::Primitive) };
    assert_eq!(monitor_master(&failed).reason.as_deref(), Some("luxid: no answer within 2 s"));
    assert_eq!(code(&failed), 1);
    assert_eq!(code(&MasterView { run_as: CLONE, ..failed.clone() }), 9);
    assert_eq!(code(&MasterView { served: MasterService::ThisBoot, ..failed }), 7);
}

/// luxid was killed and the master IP stayed. After "not running" no stop would run, and the next master would find
/// that the IP answers here.
#[test]
fn what_is_left_of_a_failed_role_is_stopped() {
    let failures = Some(vec![Failure { check: "luxid", found: "no answer".to_owned() }]);
    let left = MasterView {
        failures,
        served: MasterService::ThisBoot,
        left: true,
        ..view(NodeRole::Master, RunAs::Primitive)
    };
    assert_eq!(code(&left), 1);
    assert_eq!(code(&MasterView { run_as: CLONE, ..left.clone() }), 9);
    assert_eq!(code(&MasterView { stopped: true, ..left }), 7);
}

/// Ganeti issue 1018: the old master returns and still takes itself for the master.
#[test]
fn a_stale_master_is_not_running() {
    let stale =
        MasterView { standing: MasterStanding::Outdated("n2.lab".into()), ..view(NodeRole::Master, RunAs::Primitive) };
    assert_eq!(code(&stale), 7);
    assert_eq!(code(&MasterView { run_as: CLONE, ..stale }), 0);
}

/// A doubt that does not overrule a node is reported, and ends no role that was served here since the boot.
#[test]
fn a_doubt_is_reported_and_ends_no_role() {
    for doubt in [
        MasterStanding::Unconfirmed("n2.lab names n2.lab".into()),
        MasterStanding::Disputed("n2.lab names n2.lab".into()),
    ] {
        for (served, primitive, clone) in
            [(MasterService::Now, 0, 8), (MasterService::ThisBoot, 0, 8), (MasterService::Never, 7, 0)]
        {
            let doubted = MasterView { standing: doubt.clone(), served, ..view(NodeRole::Master, RunAs::Primitive) };
            assert_eq!(code(&doubted), primitive, "{served:?}");
            assert_eq!(code(&MasterView { run_as: CLONE, ..doubted.clone() }), clone, "{served:?}");
            assert_eq!(monitor_master(&doubted).reason.as_deref(), Some("n2.lab names n2.lab"));
        }
    }
    let shunned = MasterView { ignored: Some("n3.lab: shunned here".into()), ..view(NodeRole::Master, CLONE) };
    assert_eq!(monitor_master(&shunned), OcfResult::because(OcfCode::RunningPromoted, "n3.lab: shunned here"));
}

fn takeover() -> TakeoverView {
    TakeoverView {
        rank: NodeRole::Candidate,
        standing: MasterStanding::Undisputed,
        served_elsewhere: false,
        newer_copy: None,
        newer: None,
        any_serial: false,
        nodes: 3,
        voters: 2,
        gone: None,
        unproven: Some(name("n1.lab")),
    }
}

fn objection(view: &TakeoverView) -> String {
    match take_over(view) {
        Takeover::Blocked(result) | Takeover::NotYet(result) => result.reason.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// `--no-voting` needs a proof that the old master is gone.
#[test]
fn voting_comes_first_and_no_voting_needs_proof() {
    let proof = Some("a receipt".to_owned());
    let voted = Takeover::Failover { no_voting: None };
    assert_eq!(take_over(&takeover()), voted);
    assert_eq!(take_over(&TakeoverView { gone: proof.clone(), ..takeover() }), voted);
    let two = TakeoverView { nodes: 2, voters: 1, ..takeover() };
    assert!(objection(&two).contains("gnt-ha confirm-off n1.lab"));
    assert_eq!(
        take_over(&TakeoverView { gone: proof.clone(), ..two.clone() }),
        Takeover::Failover { no_voting: proof.clone() }
    );
    let restart = TakeoverView { rank: NodeRole::Master, gone: proof.clone(), ..two };
    assert_eq!(take_over(&restart), Takeover::StartDaemons { no_voting: proof });
    assert_eq!(
        take_over(&TakeoverView { rank: NodeRole::Master, ..takeover() }),
        Takeover::StartDaemons { no_voting: None }
    );
}

#[test]
fn a_role_that_is_held_elsewhere_is_not_taken() {
    assert!(objection(&TakeoverView { served_elsewhere: true, ..takeover() }).contains("held elsewhere"));
    let stale =
        TakeoverView { rank: NodeRole::Master, standing: MasterStanding::Outdated("n2.lab".into()), ..takeover() };
    assert!(objection(&stale).contains("n2.lab"));
    let older = TakeoverView { newer_copy: Some((3, 4)), ..takeover() };
    assert!(objection(&older).contains("any-serial"));
    assert_eq!(take_over(&TakeoverView { any_serial: true, ..older.clone() }), Takeover::Failover { no_voting: None });
    let restored = TakeoverView { rank: NodeRole::Master, ..older };
    assert!(objection(&restored).contains("serial 4, here 3"), "a master that was restored from a backup");
    let standing = MasterStanding::Disputed("n1.lab names n1.lab (serial 9), n2.lab names n2.lab (serial 9)".into());
    let disputed = TakeoverView { rank: NodeRole::Master, standing, ..takeover() };
    assert!(objection(&disputed).contains("n1.lab names n1.lab (serial 9), n2.lab names n2.lab (serial 9)"));
    assert_eq!(
        take_over(&TakeoverView { any_serial: true, ..disputed }),
        Takeover::StartDaemons { no_voting: None },
        "by the tag"
    );
    let newer = NewerConfig { serial: 150, master: "n2.lab".into(), confirmed: true };
    for rank in [NodeRole::Master, NodeRole::Candidate] {
        let behind = TakeoverView { rank, newer: Some((100, newer.clone())), ..takeover() };
        assert!(objection(&behind).contains("n2.lab had 150"));
    }
    assert!(matches!(
        take_over(&TakeoverView { rank: NodeRole::Other, ..takeover() }),
        Takeover::Blocked(OcfResult { code: OcfCode::ErrInstalled, .. })
    ));
}

#[test]
fn a_node_is_well_failed_or_stopped() {
    let failures = [Failure { check: "noded", found: "no answer".into() }];
    assert_eq!(monitor_node(false, &[]).code, OcfCode::Success);
    assert_eq!(monitor_node(false, &failures).code, OcfCode::ErrGeneric);
    assert_eq!(monitor_node(true, &failures).code, OcfCode::NotRunning);
}

fn any_rank() -> impl Strategy<Value = NodeRole> {
    prop_oneof![Just(NodeRole::Master), Just(NodeRole::Candidate), Just(NodeRole::Other)]
}

fn any_run_as() -> impl Strategy<Value = RunAs> {
    prop_oneof![Just(RunAs::Primitive), Just(CLONE), Just(NEW_CLONE)]
}

proptest! {
    /// A node that is not the master by its own files never reports the role, whatever else it sees.
    #[test]
    fn only_a_believed_master_holds_the_role(
        rank in any_rank(), run_as in any_run_as(), stale: bool, stopped: bool, listening: bool, left: bool,
        full in 0..3_u8,
    ) {
        let failures = match full {
            0 => None,
            1 => Some(vec![]),
            _ => Some(vec![Failure { check: "luxid", found: "x".into() }]),
        };
        let standing = if stale { MasterStanding::Outdated("n9.lab".to_owned()) } else { MasterStanding::Undisputed };
        let served = if listening { MasterService::Now } else { MasterService::Never };
        let seen = MasterView { rank, run_as, standing, alone: false, ignored: None, stopped, served, left, failures };
        let code = monitor_master(&seen).code;
        let holds = match run_as {
            RunAs::Primitive => code == OcfCode::Success,
            RunAs::Promotable { .. } => code == OcfCode::RunningPromoted,
        };
        prop_assert!(!holds || rank == NodeRole::Master && !stale);
        // The instance of a clone never bans its node.
        let bans = matches!(code, OcfCode::ErrInstalled | OcfCode::ErrArgs | OcfCode::ErrConfigured);
        prop_assert!(!bans || run_as == RunAs::Primitive && rank == NodeRole::Other);
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
}
