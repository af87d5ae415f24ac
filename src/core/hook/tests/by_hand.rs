//! Tests of the hooks of a node that the administrator records offline.

use super::*;
use crate::core::quorum::tests::{CMAP, TOOL};
use crate::core::reconcile::{Delegate, Fence};

/// A node that is recorded offline by hand is shunned, too, and Pacemaker puts it on standby or fences it, by the tag.
#[test]
fn who_is_offline_by_hand_is_shunned_and_pacemaker_is_notified() {
    let running = recorded_offline_while(Membership::Online);
    assert_eq!(steps(&offlining(), &running), "shun=n3.lab standby=n3.lab update-setup||");
    let fence = HookInput { by_hand: OfflineByHand::Fence, ..running.clone() };
    assert_eq!(steps(&offlining(), &fence), "shun=n3.lab update-setup|fence=n3.lab|");
    let leave = HookInput { by_hand: OfflineByHand::Leave, ..running.clone() };
    assert_eq!(steps(&offlining(), &leave), "shun=n3.lab update-setup||");
    // A fenced node is shunned since its fencing, and its record must not wait for nodes that do not answer.
    let shunned = HookInput { shunned: [name("n3.lab")].into(), ..running.clone() };
    assert_eq!(steps(&offlining(), &shunned), "standby=n3.lab update-setup||");
    let not_shunned = HookInput { may_shun: false, ..running.clone() };
    assert_eq!(steps(&offlining(), &not_shunned), "standby=n3.lab update-setup||");
    let elsewhere = HookInput { is_master: false, ..running };
    assert_eq!(steps(&offlining(), &elsewhere), "||", "the target runs it, too");
}

/// A dead node that is recorded offline needs no standby, and an administrator's own standby stays.
#[test]
fn pacemaker_is_notified_of_running_nodes_only() {
    for member in [Membership::Absent, Membership::Unclean, Membership::Unknown] {
        for by_hand in [OfflineByHand::Standby, OfflineByHand::Fence] {
            let state = HookInput { by_hand, ..recorded_offline_while(member) };
            assert_eq!(steps(&offlining(), &state), "shun=n3.lab update-setup||", "{member:?} {by_hand:?}");
        }
    }
    let his = recorded_offline_while(Membership::Standby);
    assert_eq!(steps(&offlining(), &his), "shun=n3.lab update-setup||");
    // A late record does not undo a readmission by the administrator; a record by the administrator does.
    let readmitted = HookInput { readmitted: [name("n3.lab")].into(), ..recorded_offline_while(Membership::Absent) };
    assert_eq!(steps(&offlining(), &HookInput { is_our_record: true, ..readmitted.clone() }), "update-setup||");
    assert_eq!(steps(&offlining(), &readmitted), "shun=n3.lab update-setup||");
    // The node was fenced, and is back before Ganeti had recorded it: no administrator has changed the record.
    let ours =
        HookInput { is_our_record: true, by_hand: OfflineByHand::Fence, ..recorded_offline_while(Membership::Online) };
    assert_eq!(steps(&offlining(), &ours), "shun=n3.lab update-setup||");
}

/// A fenced node takes its vote with it: the other nodes must keep quorum.
#[test]
fn no_node_is_fenced_by_hand_at_the_others_cost() {
    let fence = |seen: CrmMon| {
        let state =
            HookInput { by_hand: OfflineByHand::Fence, seen: Some(seen), ..recorded_offline_while(Membership::Online) };
        steps(&offlining(), &state)
    };
    let three = recorded_offline_while(Membership::Online).seen.unwrap();
    let without_quorum = CrmMon { quorum: false, ..three.clone() };
    let in_maintenance = CrmMon { maintenance: true, ..three };
    let one_is_dead =
        pacemaker(&[("n1.lab", Membership::Online), ("n2.lab", Membership::Absent), ("n3.lab", Membership::Online)]);
    for (seen, why) in [
        (without_quorum, "Pacemaker has no quorum here"),
        (in_maintenance, "Pacemaker is in maintenance mode"),
        (one_is_dead, "1 of 3 nodes would be left, and corosync's votes are unknown"),
    ] {
        let text = fence(seen);
        let (begin, remark) = text.split_once("||").unwrap();
        assert_eq!(begin, "shun=n3.lab standby=n3.lab update-setup", "{why}");
        assert!(remark.contains(why) && remark.starts_with("n3.lab: is not fenced"), "{remark}");
    }
    // Remote nodes have no vote: of three voters one is dead, and the loss of another would leave one.
    let members = ["n1.lab", "n3.lab", "r1.lab", "r2.lab", "r3.lab"].map(|node| (node, Membership::Online));
    let mut remotes = pacemaker(&[&members[..], &[("n2.lab", Membership::Absent)]].concat());
    remotes.remotes = ["r1.lab", "r2.lab", "r3.lab"].map(PacemakerName::of_test).into();
    assert!(fence(remotes.clone()).contains("1 of 3 nodes would be left"), "{}", fence(remotes.clone()));
    assert_eq!(fencing_objection(&PacemakerName::of_test("r1.lab"), &remotes, None), None);
}

/// Of two nodes, and of four with a quorum device, corosync's votes decide. Each of two may go on alone (`two_node`),
/// or with the vote of a device that gives it.
#[test]
fn who_has_quorum_without_a_node_is_counted_by_votes() {
    let two = pacemaker(&[("n1.lab", Membership::Online), ("n3.lab", Membership::Online)]);
    let fence = |quorum: Option<Quorum>| {
        let seen = Some(two.clone());
        let ids = [(PacemakerName::of_test("n3.lab"), 2)].into();
        let state = HookInput {
            by_hand: OfflineByHand::Fence,
            seen,
            quorum,
            ids,
            ..recorded_offline_while(Membership::Online)
        };
        steps(&offlining(), &state)
    };
    let stays = "shun=n3.lab standby=n3.lab update-setup||n3.lab: is not fenced, but on standby: ";
    assert_eq!(fence(None), format!("{stays}1 of 2 nodes would be left, and corosync's votes are unknown"));
    let quorum = |tool: &str| Quorum::parse(CMAP, tool);
    assert_eq!(fence(quorum(TOOL)), "shun=n3.lab update-setup|fence=n3.lab|");
    assert_eq!(fence(quorum(&TOOL.replace("WaitForAll Qdevice", "2Node"))), "shun=n3.lab update-setup|fence=n3.lab|");
    let dead = fence(quorum(&TOOL.replace("A,V,", "A,NV,")));
    assert!(dead.starts_with(&format!("{stays}1 of 3 votes would be left, and 2 are needed")), "{dead}");
}

/// Pacemaker reaches a remote node over TCP, which shunning blocks: it would lose the node, and fence a host that is
/// well.
#[test]
fn a_remote_node_that_is_connected_to_is_not_recorded_offline_by_hand() {
    let before = HookEvent { is_pre: true, ..offlining() };
    let with = |member| {
        let mut seen = pacemaker(&[("n1.lab", Membership::Online), ("n3.lab", member)]);
        seen.remotes = [PacemakerName::of_test("n3.lab")].into();
        HookInput { seen: Some(seen), offline: BTreeSet::new(), ..well() }
    };
    let connected = HookInput { may_shun: true, ..with(Membership::Online) };
    let why = plan(&before, &connected).unwrap_err().to_string();
    assert!(why.contains("crm_resource --resource n3.lab --meta --set-parameter target-role"), "{why}");
    let may_be = |state: HookInput| plan(&before, &state).is_ok();
    assert!(
        may_be(HookInput { may_shun: true, ..with(Membership::Absent) }),
        "its connection is stopped, or it is gone"
    );
    assert!(may_be(HookInput { may_shun: false, ..connected.clone() }), "no node shuns it");
    assert!(may_be(HookInput { is_our_record: true, ..connected.clone() }));
    assert!(may_be(HookInput { by_hand: OfflineByHand::Fence, ..connected.clone() }), "it is to be fenced");
    assert!(!may_be(HookInput { by_hand: OfflineByHand::Leave, ..connected.clone() }));
    assert!(may_be(HookInput { seen: None, ..connected.clone() }));
    let mut member = connected;
    member.seen.as_mut().unwrap().remotes.clear();
    assert!(may_be(member), "a full member keeps its membership");
}

/// Pacemaker tries a wanted connection again and again. It would fence a host that is well and that all others shun,
/// also while it does not know the host's state, or is not connected yet.
#[test]
fn a_remote_node_that_pacemaker_wants_is_not_recorded_offline_by_hand() {
    let before = HookEvent { is_pre: true, ..offlining() };
    let with = |member, fences: &[(FenceAction, FenceStatus)]| {
        let mut seen = pacemaker(&[("n1.lab", Membership::Online), ("n3.lab", member)]);
        let remote = PacemakerName::of_test("n3.lab");
        seen.remotes = [remote.clone()].into();
        let fence = |&(action, status): &(FenceAction, FenceStatus)| {
            let completed_ms = (status != FenceStatus::Pending).then_some(1);
            (name("n3.lab"), Fence { action, status, completed_ms, delegate: Delegate::Host(name("n1.lab")) })
        };
        seen.fences = fences.iter().map(fence).collect();
        HookInput { seen: Some(seen), wanted: [remote].into(), offline: BTreeSet::new(), ..well() }
    };
    let fails = |state: &HookInput| plan(&before, state).is_err();
    let (off, fenced) = (FenceAction::Off, [(FenceAction::Off, FenceStatus::Success)]);
    for member in [Membership::Online, Membership::Unclean, Membership::Absent, Membership::Unknown] {
        let unfenced = [&[][..], &[(off, FenceStatus::Failed), fenced[0]], &[(off, FenceStatus::Pending), fenced[0]]];
        for fences in unfenced {
            let state = with(member, fences);
            assert!(fails(&state), "{member:?} {fences:?}");
            let stopped = HookInput { wanted: BTreeSet::new(), ..state.clone() };
            assert_eq!(fails(&stopped), member == Membership::Online, "{member:?}: its connection is stopped");
            assert!(!fails(&HookInput { may_shun: false, ..state.clone() }));
            assert!(!fails(&HookInput { is_our_record: true, ..state.clone() }));
            assert!(!fails(&HookInput { by_hand: OfflineByHand::Fence, ..state.clone() }));
            let silent = HookInput { seen: None, ..state };
            assert!(fails(&silent), "Pacemaker did not answer");
            assert!(!fails(&HookInput { in_use: false, ..silent.clone() }), "no node shuns it");
            assert!(!fails(&HookInput { is_master: false, ..silent }), "the master decides");
        }
        let connected = matches!(member, Membership::Online | Membership::Unclean);
        assert_eq!(fails(&with(member, &fenced)), connected, "{member:?}: it was fenced, and lost with that");
        // The node was switched on after that, and is not connected yet.
        let on = [(FenceAction::On, FenceStatus::Success), fenced[0]];
        assert_eq!(fails(&with(member, &on)), connected, "{member:?}");
    }
    let why = plan(&before, &with(Membership::Absent, &[])).unwrap_err().to_string();
    assert!(why.contains("crm_resource --resource n3.lab --meta --set-parameter target-role"), "{why}");
}
