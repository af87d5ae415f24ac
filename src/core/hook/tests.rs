//! Tests of each hook against what may be known when it is called.

mod by_hand;

use super::*;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::reconcile::MasterRoleState;

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
