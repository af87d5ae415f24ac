use super::*;
use crate::core::reconcile::{BlockReason, NoActionReason};

fn line(member: Membership, offline: bool, next: Option<&Decision>) -> NodeStatus {
    let flags = Flags { role: DisplayedRole::Candidate, offline, drained: Some(false), powered: Some(true) };
    NodeStatus::new(NodeName::new("n3.lab").unwrap(), Some(member), Some(flags), None, next.map(RecordChange::of))
}

#[test]
fn a_lost_node_and_a_blocked_change_need_attention() {
    let quiet = Decision::Nothing(NoActionReason::AsItShould);
    let blocked = Decision::Blocked(BlockReason::NoQuorum);
    let level = |member, offline, next| line(member, offline, Some(next)).level;
    assert_eq!(level(Membership::Online, false, &quiet), StatusLevel::Ok);
    assert_eq!(level(Membership::Standby, false, &quiet), StatusLevel::Ok);
    assert_eq!(level(Membership::Online, false, &blocked), StatusLevel::Attention);
    assert_eq!(level(Membership::Unclean, true, &quiet), StatusLevel::Attention);
    assert_eq!(level(Membership::Absent, false, &quiet), StatusLevel::Attention);
    assert_eq!(level(Membership::Absent, true, &quiet), StatusLevel::Ok, "recorded offline: nothing is left to report");
}

#[test]
fn what_is_about_to_be_done_is_marked_so() {
    assert_eq!(line(Membership::Absent, false, Some(&Decision::Drain { auto_promote: false })).mark(), '*');
    assert_eq!(line(Membership::Absent, false, None).mark(), '!');
    assert_eq!(line(Membership::Online, false, None).mark(), ' ');
}

/// An empty status must not read as "ok".
#[test]
fn the_worst_counts_and_nothing_is_not_well() {
    let empty = ClusterStatus {
        version: VERSION,
        host: "n1".into(),
        level: StatusLevel::Ok,
        master: None,
        quorum: None,
        quorum_device: None,
        maintenance: None,
        pause: None,
        breaker: None,
        nodes: vec![],
        notes: vec![],
    };
    assert_eq!(empty.clone().judged().level.code(), 2);
    let nodes = vec![line(Membership::Online, false, None)];
    assert_eq!(ClusterStatus { nodes: nodes.clone(), ..empty.clone() }.judged().level.code(), 0);
    let notes = vec![StatusNote::new(StatusLevel::Attention, "pause", "x")];
    let worse = ClusterStatus { nodes, notes, ..empty }.judged();
    assert_eq!(worse.level.code(), 1);
    let json = serde_json::to_value(&worse).unwrap();
    assert_eq!(json["level"], "attention");
    assert_eq!(json["nodes"][0]["ganeti"]["role"], "candidate");
    assert_eq!((&json["nodes"][0]["pacemaker"], &json["quorum"]), (&"online".into(), &serde_json::Value::Null));
}

/// One member without the vote is enough: it may be the one that is left.
#[test]
fn a_quorum_device_that_does_not_vote_is_reported() {
    use crate::core::quorum::tests::{CMAP, TOOL};
    let of = |cmap: &str, tool: &str| DeviceVote::of(&Quorum::parse(cmap, tool).unwrap());
    assert_eq!(of(CMAP, TOOL).unwrap().note().level, StatusLevel::Ok);
    let silent = of(CMAP, &TOOL.replace("A,V,NMW n2", "A,NV,NMW n2")).unwrap().note();
    assert!(
        silent.level == StatusLevel::Attention && silent.text.contains("on 192.0.2.200 does not give its vote"),
        "{silent:?}"
    );
    assert_eq!(of("quorum.provider (str) = corosync_votequorum\n", TOOL), None);
}

#[test]
fn columns_are_short() {
    let flags = Flags { role: DisplayedRole::Regular, offline: true, drained: None, powered: Some(false) };
    assert_eq!(flags.words(), "regular, offline");
    let mut last = LastAction { action: Action::Reboot, outcome: Some(Outcome::Done), grade: Grade::Off, at_ms: 1_000 };
    assert_eq!(last.words(241_000), "reboot 4 min ago: proven off");
    last.outcome = Some(Outcome::Unknown);
    assert_eq!(last.words(0), "reboot 0 s ago: FAILED");
    last.outcome = None;
    assert_eq!(last.words(31_000), "reboot 30 s ago: not ended yet");
    assert_eq!(last.words(8_000_000), "reboot 2 h ago: INTERRUPTED");
}
