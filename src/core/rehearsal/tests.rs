use super::*;
use crate::core::budget::detection::{Detection, Totem};
use crate::core::ganeti::offline_job::OfflineJob;
use crate::core::node::NodeName;
use crate::core::reconcile::{NoActionReason, PowerAction, Proof, ProofSource};
use crate::core::recovery::coverage::{NotCovered, NotCoveredInstance};

fn simulation() -> Simulation {
    let resource = |action: &str, node: &str| Move::Resource {
        resource: "master".into(),
        action: action.into(),
        node: node.into(),
    };
    let fence = Move::Fence { node: "n1.lab".into(), action: "off".into() };
    Simulation {
        steps: vec![resource("stop", "n1.lab"), fence, resource("promote", "n2.lab")],
        connections: BTreeMap::new(),
    }
}

fn times() -> StepTimes {
    StepTimes {
        seen: None,
        delay: Duration::ZERO,
        put_off: String::new(),
        deadline: Duration::from_secs(55),
        levels: vec![(Duration::from_millis(43_500), Grade::Off)],
    }
}

fn ok(level: Option<usize>, text: &str) -> ProofAnswer {
    ProofAnswer { level, is_ok: true, text: text.to_owned() }
}

fn steps_of(
    times: &StepTimes,
    proof: Result<Vec<ProofAnswer>, String>,
    record: Result<&Decision, String>,
) -> Vec<RehearsalStep> {
    let (simulation, resources) = (simulation(), resources());
    let role = Some("master");
    steps(&RehearsalInput {
        died: &PacemakerName::of_test("n1.lab"),
        simulation: &simulation,
        role,
        proof,
        least: Grade::Bounded,
        record,
        times,
        resources: &resources,
        options: &FencingOptions::ours(Grade::Bounded),
        left: None,
        fencers: None,
    })
}

/// The proof comes from the devices that would be used: another device counts with its own grade.
#[test]
fn devices_beside_ours_are_steps_of_their_own() {
    let text = |topology: &str| {
        format!(
            "<cib><configuration><resources><primitive id=\"f\" class=\"stonith\" type=\"fence_ganeti\"/><primitive id=\"san\" \
             class=\"stonith\" type=\"fence_scsi\"/><primitive id=\"pdu\" class=\"stonith\" type=\"fence_apc\"/></resources>\
             <fencing-topology>{topology}</fencing-topology></configuration></cib>"
        )
    };
    let node = NodeName::new("n1.lab").unwrap();
    let of = |topology: &str| {
        let resources = Resources::parse(&text(topology)).unwrap();
        let options = resources.fencing.options(&node, std::slice::from_ref(&node));
        let (simulation, times) = (simulation(), times());
        let steps = steps(&RehearsalInput {
            died: &PacemakerName::of_test("n1.lab"),
            simulation: &simulation,
            role: None,
            proof: Ok(vec![ok(Some(1), "ok n1.lab level 1 bmc: on")]),
            least: Grade::Bounded,
            record: Err("not asked".to_owned()),
            times: &times,
            resources: &resources,
            options: &options,
            left: None,
            fencers: None,
        });
        let proofs = steps.into_iter().filter(|step| step.actor == "proof");
        proofs.map(|step| (step.action, step.blocked)).collect::<Vec<_>>()
    };
    let shown = of("");
    assert_eq!(shown[0], ("ok n1.lab level 1 bmc: on; its off has grade off".into(), false));
    let san = "san (fence_scsi), without a receipt of ours: its off has grade isolated, and minimum_grade is bounded";
    assert_eq!(
        shown[1..],
        [(san.into(), true), ("pdu (fence_apc), without a receipt of ours: its off has grade off".into(), false)]
    );
    let shown = of("<fencing-level id=\"l\" target=\"n1.lab\" index=\"2\" devices=\"san,pdu\"/>");
    assert!(shown[0].0.contains("leave fence_ganeti out") && shown[0].1);
    let level = "fencing level 2: san (fence_scsi) + pdu (fence_apc), without a receipt of ours: its off has grade off";
    assert_eq!(shown[1..], [(level.into(), false)]);
}

fn resources() -> Resources {
    let text = "<cib><configuration><resources><primitive id=\"master\" class=\"ocf\" provider=\"ganeti\" \
        type=\"ganeti-master-role\"><operations><op id=\"p\" name=\"promote\" timeout=\"300s\"/>\
        <op id=\"m\" name=\"monitor\" interval=\"10s\"/></operations></primitive></resources></configuration></cib>";
    Resources::parse(text).unwrap()
}

fn blocked(proof: Result<Vec<ProofAnswer>, String>, record: Result<&Decision, String>) -> Vec<(String, bool)> {
    steps_of(&times(), proof, record).into_iter().map(|step| (step.action, step.blocked)).collect()
}

/// Each step has its grade and its times from the time budget.
#[test]
fn each_step_has_its_time_and_each_level_its_grade() {
    let totem = Totem { token_ms: 1_650, consensus_ms: 1_980 };
    let put_off = "pcmk_delay_max 2 s".to_owned();
    let times =
        StepTimes { seen: Some(Detection::by_corosync(totem)), delay: Duration::from_secs(2), put_off, ..times() };
    let proof = vec![ok(Some(1), "ok n1.lab level 1 bmc: on (chassis status)")];
    let source = ProofSource::Administrator;
    let proven = Proof { keys: Vec::new(), at_ms: 0, grade: Grade::Bounded, source, powered: None, is_planned: false };
    let job = OfflineJob {
        node: NodeName::new("n1.lab").unwrap(),
        sets_offline: true,
        powered: Some(false),
        auto_promote: false,
    };
    let record = Decision::Offline { job, proof: proven, power_too: PowerAction::default() };
    let shown = steps_of(&times, Ok(proof), Ok(&record));
    let shown: Vec<String> = shown.iter().map(|step| format!("{} | {}", step.when(), step.action)).collect();
    assert_eq!(
        shown,
        [
            "about 3.6 s | sees that it is gone (token 1650 ms + consensus 1980 ms)",
            "about 5.6 s | fences n1.lab (off), put off by pcmk_delay_max 2 s",
            "within 50 s | ok n1.lab level 1 bmc: on (chassis status); its off has grade off",
            "within 361 s | promote master on n2.lab",
            "within 371 s | offline, powered=no, on a proof of bounded or better",
        ]
    );
    let unproven = steps_of(&times, Err("its BMC does not answer".to_owned()), Ok(&record));
    assert!(unproven[2..].iter().all(|step| step.when().is_empty() && step.latest_ms.is_none()), "{unproven:?}");
}

/// Unknown is not success: without a proof no step that waits for it is reported to happen.
#[test]
fn nothing_follows_a_proof_that_is_not_there() {
    let nothing = Decision::Nothing(NoActionReason::AsItShould);
    let shown = blocked(Err("its BMC does not answer".to_owned()), Ok(&nothing));
    assert_eq!(shown[0], ("fences n1.lab (off)".into(), false));
    assert!(
        shown[1].0.contains("an administrator confirms") && shown[1..].iter().all(|(_, blocked)| *blocked),
        "{shown:?}"
    );
    assert_eq!(shown.len(), 4, "what ran on the dead is not stopped by an action: {shown:?}");
}

/// A BMC that does not answer with a PDU behind it: the death is proven, and the failed level is reported.
#[test]
fn a_level_that_fails_is_in_the_way_of_itself_only() {
    let silent = |level, text: &str| ProofAnswer { is_ok: false, ..ok(Some(level), text) };
    let answers = |second: ProofAnswer| {
        vec![silent(1, "bmc at level 1"), ok(Some(2), "pdu-a at level 2"), ProofAnswer { level: Some(2), ..second }]
    };
    let proven = provable(answers(ok(None, "pdu-b at level 2"))).unwrap();
    let shown = blocked(Ok(proven), Err("paused".to_owned()));
    let proofs: Vec<bool> =
        shown.iter().filter(|(what, _)| what.contains(" at level ")).map(|(_, blocked)| *blocked).collect();
    assert_eq!(proofs, [true, false, false]);
    assert!(shown.contains(&("promote master on n2.lab".into(), false)), "{shown:?}");
    // Of two power supplies one is not enough.
    assert!(
        provable(answers(silent(2, "pdu-b at level 2")))
            .is_err_and(|why| why == "bmc at level 1; pdu-a at level 2; pdu-b at level 2")
    );
    for nothing in [Vec::new(), vec![ok(None, "an answer of no level")]] {
        assert!(provable(nothing.clone()).is_err(), "{nothing:?}");
    }
}

#[test]
fn a_blocked_record_is_shown_beside_what_happens() {
    let shown = blocked(Ok(vec![ok(None, "bmc: on")]), Err("paused".to_owned()));
    assert_eq!(shown[1], ("bmc: on".into(), false));
    assert_eq!(shown[2], ("promote master on n2.lab".into(), false));
    assert_eq!(shown[3], ("paused".into(), true));
}

/// A part of the cluster that loses quorum with the dead host fences no node.
#[test]
fn a_quorum_that_dies_with_the_host_is_in_the_way() {
    use crate::core::quorum::Quorum;
    use crate::core::quorum::tests::{CMAP, TOOL};
    let (simulation, resources, times, options) =
        (simulation(), resources(), times(), FencingOptions::ours(Grade::Bounded));
    let of_corosync = |tool: &str| {
        let steps = steps(&RehearsalInput {
            died: &PacemakerName::of_test("n1.lab"),
            simulation: &simulation,
            role: None,
            proof: Ok(Vec::new()),
            least: Grade::Bounded,
            record: Err("not asked".to_owned()),
            times: &times,
            resources: &resources,
            left: Quorum::parse(CMAP, tool).map(|quorum| quorum.without(&[1])),
            options: &options,
            fencers: None,
        });
        let found = steps.into_iter().filter(|step| step.actor == "corosync");
        found.map(|step| (step.action, step.blocked)).collect::<Vec<_>>()
    };
    assert_eq!(of_corosync(TOOL), []);
    let lost =
        "loses quorum: 1 of 3 votes would be left, and 2 are needed; the quorum device has none to give: gnt-ha check";
    assert_eq!(of_corosync(&TOOL.replace("A,V,", "A,NV,")), [(lost.to_owned(), true)]);
}

#[test]
fn a_role_that_no_node_takes_is_shown() {
    let mut simulation = simulation();
    simulation.steps.truncate(2);
    let record = Err("paused".to_owned());
    let (times, resources) = (times(), resources());
    let proof = Ok(Vec::new());
    let role = Some("master");
    let known = RehearsalInput {
        died: &PacemakerName::of_test("n1.lab"),
        simulation: &simulation,
        role,
        proof,
        least: Grade::Bounded,
        record,
        times: &times,
        resources: &resources,
        options: &FencingOptions::ours(Grade::Bounded),
        left: None,
        fencers: Some(Vec::new()),
    };
    let shown = steps(&known);
    assert!(
        shown.iter().any(|step| step.blocked && step.action.contains("no other host that may fence it")),
        "{shown:?}"
    );
    let known =
        RehearsalInput { fencers: Some(vec![PacemakerName::of_test("n2.lab")]), proof: Ok(Vec::new()), ..known };
    let shown = steps(&known);
    assert!(!shown.iter().any(|step| step.action.contains("may fence it")), "{shown:?}");
    assert!(shown.iter().any(|step| step.blocked && step.action.contains("promotes master on no host")), "{shown:?}");
}

/// Each instance of the dead host is named: those that start elsewhere, and those that stay down, with the reason.
#[test]
fn the_instances_of_the_dead_host_are_named() {
    let name = |text: &str| NodeName::new(text).unwrap();
    let vm = |text: &str| InstanceName::new(text).unwrap();
    let not = |instance: &str, primary: &str| NotCoveredInstance {
        instance: vm(instance),
        primary: Some(name(primary)),
        why: NotCovered::Secondaries(2),
    };
    let coverage = Coverage {
        covered: vec![(vm("a"), name("n3.lab")), (vm("b"), name("n3.lab")), (vm("c"), name("n2.lab"))],
        not_covered: vec![not("d", "n3.lab"), not("e", "n1.lab")],
    };
    let of = |node: &str| -> Vec<String> {
        instance_steps(&coverage, &name(node)).into_iter().map(|step| step.action.chars().take(60).collect()).collect()
    };
    let down = "stays down: it has 2 secondary nodes";
    assert_eq!(of("n3.lab")[0], "starts 2 instances elsewhere, if there is room: a b");
    assert!(of("n3.lab")[1].starts_with(&format!("d {down}")), "{:?}", of("n3.lab"));
    assert_eq!(of("n2.lab"), ["starts c elsewhere, if there is room"]);
    assert_eq!(of("n1.lab").len(), 1);
    assert!(instance_steps(&coverage, &name("n1.lab")).iter().all(|step| !step.blocked), "a drill is not stopped");
}
