//! Tests of each hook against what may be known when it is called.

use super::*;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::quorum::tests::{CMAP, TOOL};
use crate::core::reconcile::{Delegate, Fence, MasterRoleState};

const ALL: [&str; 7] =
    ["cluster-verify", "config-update", "master-ip-turnup", "node-add", "node-modify", "node-remove", ""];

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn event(path: &str, phase: &str, variables: &[(&str, &str)]) -> HookEvent {
    let fixed = [("GANETI_HOOKS_PATH", path), ("GANETI_HOOKS_PHASE", phase)];
    let all = fixed.iter().filter(|_| !path.is_empty()).chain(variables);
    let all: Vec<(String, String)> = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HookEvent::read(|wanted| all.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())).unwrap()
}

/// `gnt-node modify --offline=yes n3`, after it was done.
fn offlining() -> HookEvent {
    let variables = [
        ("GANETI_OP_TARGET", "n3.lab"),
        ("GANETI_OFFLINE", "True"),
        ("GANETI_DRAINED", "None"),
        ("GANETI_MASTER_CANDIDATE", "None"),
    ];
    event("node-modify", "post", &variables)
}

/// The hook before the start of an instance also runs on the master and on secondary nodes: only the node on which it
/// is to run counts.
#[test]
fn an_instance_runs_on_the_node_that_it_comes_to() {
    let here = name("n3.lab");
    let on = |path: &str, variables: &[(&str, &str)]| {
        let event = event(path, "pre", variables);
        assert_eq!((event.hook, event.is_pre), (Hook::Instance, true));
        event.is_to_run_on(&here)
    };
    for path in ["instance-add", "instance-reboot", "instance-start"] {
        assert!(on(path, &[("GANETI_INSTANCE_PRIMARY", "n3.lab")]), "{path}");
        assert!(!on(path, &[("GANETI_INSTANCE_PRIMARY", "n2.lab")]), "{path}");
    }
    for path in ["instance-failover", "instance-migrate"] {
        assert!(on(path, &[("GANETI_INSTANCE_PRIMARY", "n2.lab"), ("GANETI_NEW_PRIMARY", "n3.lab")]), "{path}");
        assert!(!on(path, &[("GANETI_INSTANCE_PRIMARY", "n3.lab"), ("GANETI_NEW_PRIMARY", "n2.lab")]), "{path}");
        assert!(on(path, &[("GANETI_INSTANCE_PRIMARY", "n3.lab"), ("GANETI_NEW_PRIMARY", "None")]), "{path}");
    }
    assert!(on("instance-move", &[("GANETI_INSTANCE_PRIMARY", "n2.lab"), ("GANETI_TARGET_NODE", "n3.lab")]));
    assert!(on("instance-start", &[]), "what is unknown may be here");
}

/// The master of three nodes, all online in Ganeti and in Pacemaker.
fn well() -> HookInput {
    HookInput {
        here: name("n1.lab"),
        is_master: true,
        in_use: true,
        shuns: false,
        may_shun: true,
        runs: true,
        offline: BTreeSet::new(),
        nodes: ["n1.lab", "n2.lab", "n3.lab"].map(name).into(),
        shunned: BTreeSet::new(),
        readmitted: BTreeSet::new(),
        standby: BTreeSet::new(),
        is_our_record: false,
        wanted: BTreeSet::new(),
        seen: None,
        quorum: None,
        ids: BTreeMap::new(),
        by_hand: OfflineByHand::Standby,
    }
}

fn pacemaker(members: &[(&str, Membership)]) -> CrmMon {
    CrmMon {
        connections: BTreeSet::new(),
        quorum: true,
        maintenance: false,
        remotes: BTreeSet::new(),
        nodes: members.iter().map(|(node, member)| (PacemakerName::of_test(node), *member)).collect(),
        fences: Vec::new(),
        master_role: MasterRoleState::ActiveOn(name("n1.lab")),
    }
}

/// The node n3 was just recorded offline, and has this state in Pacemaker.
fn recorded_offline_while(member: Membership) -> HookInput {
    let seen = pacemaker(&[("n1.lab", Membership::Online), ("n2.lab", Membership::Online), ("n3.lab", member)]);
    HookInput { offline: [name("n3.lab")].into(), seen: Some(seen), ..well() }
}

fn steps(event: &HookEvent, state: &HookInput) -> String {
    let plan = plan(event, state).unwrap();
    let words = |steps: &[HookStep]| steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    format!("{}|{}|{}", words(&plan.now), words(&plan.later), plan.remarks.join(" "))
}

/// The steps of each hook on the master of a whole cluster, and on another node of it.
#[test]
fn every_hook_has_its_steps() {
    let expected = [
        ("cluster-verify", "check||", "||"),
        ("config-update", "update-setup||", "||"),
        // A host that takes the IP becomes master, whatever its files still have.
        ("master-ip-turnup", "|reconcile sync|", "|reconcile sync|"),
        ("node-add", "update-setup sync||", "||"),
        ("node-modify", "update-setup||", "||"),
        ("node-remove", "update-setup||", "||"),
        ("", "apply-rules sync update-setup||", "apply-rules sync||"),
    ];
    for (hook, on_master, elsewhere) in expected {
        let event = event(hook, "post", &[]);
        let state = HookInput { shuns: true, ..well() };
        assert_eq!(steps(&event, &state), on_master, "{hook}");
        assert_eq!(steps(&event, &HookInput { is_master: false, ..state }), elsewhere, "{hook}");
    }
}

/// A hook does nothing and prints nothing if there is no Pacemaker, `gnt-ha setup` has made nothing, or gnt-ha is not
/// configured.
#[test]
fn where_nothing_of_ours_is_configured_nothing_is_done() {
    for is_master in [true, false] {
        for runs in [true, false] {
            let state = HookInput { in_use: false, is_master, runs, ..recorded_offline_while(Membership::Online) };
            for hook in ALL {
                assert_eq!(steps(&event(hook, "post", &[]), &state), "||", "{hook}");
                assert_eq!(steps(&event(hook, "pre", &[]), &state), "||", "{hook}");
            }
            assert_eq!(steps(&offlining(), &state), "||");
        }
    }
    let stopped = HookInput { runs: false, ..well() };
    for hook in ["config-update", "master-ip-turnup", "node-add", "node-modify", "node-remove"] {
        assert_eq!(steps(&event(hook, "post", &[]), &stopped), "||", "{hook}: Pacemaker does not run");
    }
}

#[test]
fn a_hook_of_others_is_none() {
    for path in ["instance-stop", "cluster-modify", "master-ip-turndown", "x"] {
        let read = HookEvent::read(|name| (name == "GANETI_HOOKS_PATH").then(|| path.to_owned()));
        assert_eq!(read, None, "{path}");
    }
}

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

/// Unknown is never success: a host that cannot ask Pacemaker reports what is left to do.
#[test]
fn what_pacemaker_was_not_notified_of_is_reported() {
    let state = HookInput { seen: None, ..recorded_offline_while(Membership::Online) };
    let text = steps(&offlining(), &state);
    assert!(
        text.starts_with("shun=n3.lab update-setup||n3.lab: whether Pacemaker has it running is unknown"),
        "{text}"
    );
}

#[test]
fn the_master_itself_is_never_touched() {
    let mut event = offlining();
    event.target = Some(name("n1.lab"));
    let state = HookInput { offline: [name("n1.lab")].into(), ..recorded_offline_while(Membership::Online) };
    assert_eq!(steps(&event, &state), "update-setup||");
    event.target = None;
    assert_eq!(steps(&event, &state), "update-setup||", "no node is named");
    // The job did not make the change of its hook.
    let state = HookInput { offline: BTreeSet::new(), ..state };
    assert_eq!(steps(&offlining(), &state), "update-setup||");
}

/// A node that is online in Ganeti again loses exactly the standby that gnt-ha has set, by whichever command it was
/// changed and whichever hook comes first.
#[test]
fn our_standby_ends_when_ganeti_has_the_node_again() {
    // The name that Pacemaker has.
    let state = HookInput { standby: ["n3", "gone.lab"].map(PacemakerName::of_test).into(), ..well() };
    for hook in ["config-update", "node-add", "node-modify", "node-remove"] {
        let text = steps(&event(hook, "post", &[]), &state);
        assert_eq!(text, "clear-standby=n3.lab update-setup||", "{hook}");
    }
    assert_eq!(steps(&event("", "post", &[]), &state), "apply-rules sync clear-standby=n3.lab update-setup||");
    let removed = HookInput { in_use: false, ..state.clone() };
    assert_eq!(
        steps(&event("config-update", "post", &[]), &removed),
        "clear-standby=n3.lab||",
        "setup --remove left it"
    );
    let offline = HookInput { offline: [name("n3.lab")].into(), ..state };
    assert_eq!(steps(&event("config-update", "post", &[]), &offline), "update-setup||");
}

/// The hook before `offline=no` of a node that the others shun fails with one line that names `gnt-ha readmit`.
#[test]
fn a_shunned_node_is_not_added_again() {
    let before =
        |variable: &str, value: &str| event("node-modify", "pre", &[("GANETI_OP_TARGET", "n3.lab"), (variable, value)]);
    let shunned =
        HookInput { shunned: [name("n3.lab")].into(), offline: [name("n3.lab")].into(), shuns: true, ..well() };
    for (variable, value) in
        [("GANETI_OFFLINE", "False"), ("GANETI_DRAINED", "True"), ("GANETI_MASTER_CANDIDATE", "True")]
    {
        let why = plan(&before(variable, value), &shunned).unwrap_err().to_string();
        assert!(why.contains("gnt-ha readmit n3.lab"), "{why}");
        for fine in [
            HookInput { shunned: BTreeSet::new(), ..shunned.clone() },
            HookInput { offline: BTreeSet::new(), ..shunned.clone() },
        ] {
            assert_eq!(steps(&before(variable, value), &fine), "||", "{variable}");
        }
    }
    for (variable, value) in [("GANETI_OFFLINE", "True"), ("GANETI_OFFLINE", "None"), ("GANETI_DRAINED", "False")] {
        assert_eq!(steps(&before(variable, value), &shunned), "||", "{variable}={value}");
    }
}

#[test]
fn what_is_put_off_is_read_back() {
    let node = || name("n3.lab");
    for step in [
        HookStep::ApplyRules,
        HookStep::Check,
        HookStep::UpdateSetup,
        HookStep::Reconcile,
        HookStep::Sync,
        HookStep::Fence(node()),
        HookStep::Shun(node()),
        HookStep::ClearStandby(node()),
        HookStep::Standby(node()),
    ] {
        assert_eq!(step.to_string().parse(), Ok(step));
    }
    for bad in ["", "fence", "fence=", "fence=--all", "sync=n1", "reboot=n1"] {
        assert!(bad.parse::<HookStep>().is_err(), "{bad:?}");
    }
}
