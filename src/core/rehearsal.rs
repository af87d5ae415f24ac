//! The rehearsal of a host's death: Pacemaker's simulation and gnt-ha's own decisions, as one list of steps. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::budget::recovery::{RecoveryTimes, interval, operation};
use super::grade::Grade;
use super::pacemaker::fencing::{Way, Ways};
use super::pacemaker::names::PacemakerName;
use super::pacemaker::resources::Resources;
use super::pacemaker::simulation::{SimulatedAction as Move, Simulation, unexpected_fencing};
use super::quorum::Left;
use super::reconcile::Decision;

/// One step of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RehearsalStep {
    /// What would do it: `Pacemaker`, `proof`, `Ganeti's record`; `corosync` for a loss of quorum.
    pub who: &'static str,
    /// The step as text.
    pub what: String,
    /// Whether the step would not happen, or not as it should; the text has the reason.
    pub blocked: bool,
    /// When the step usually happens or begins, in milliseconds after the death; `None` if that depends on what it
    /// waits for.
    pub typical_ms: Option<u64>,
    /// When the step happens at the latest, in milliseconds after the death, if every step before it takes all of its
    /// time.
    pub latest_ms: Option<u64>,
    /// The grade that an off by this step would prove.
    pub grade: Option<Grade>,
}

impl RehearsalStep {
    const fn open(who: &'static str, what: String) -> Self {
        Self { who, what, blocked: false, typical_ms: None, latest_ms: None, grade: None }
    }

    fn blocked(who: &'static str, what: String) -> Self {
        Self { blocked: true, ..Self::open(who, what) }
    }

    fn about(self, time: Duration) -> Self {
        Self { typical_ms: u64::try_from(time.as_millis()).ok(), ..self }
    }

    fn within(self, time: Duration) -> Self {
        Self { latest_ms: u64::try_from(time.as_millis()).ok(), ..self }
    }

    /// Returns the time as text; empty for a blocked step and an unknown time.
    #[must_use]
    pub fn when(&self) -> String {
        match (self.blocked, self.typical_ms, self.latest_ms) {
            (true, ..) => String::new(),
            (_, Some(ms), _) => format!("about {}.{} s", ms / 1_000, ms % 1_000 / 100),
            (_, _, Some(ms)) => format!("within {} s", ms.div_ceil(1_000)),
            (_, None, None) => String::new(),
        }
    }
}

/// The answer of one device, or of a node's OOB program, about the proof that it could give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofAnswer {
    /// The level of the device, from 1; `None` if it is unknown.
    pub level: Option<usize>,
    /// Whether the device could prove the death.
    pub is_ok: bool,
    /// The answer as text.
    pub text: String,
}

/// The state before the death.
#[derive(Debug)]
pub struct RehearsalInput<'a> {
    /// The node that dies, by Pacemaker's name.
    pub died: &'a PacemakerName,
    /// Pacemaker's actions by `crm_simulate`.
    pub simulation: &'a Simulation,
    /// The resource of Ganeti's master role, if the dead host had it.
    pub role: Option<&'a str>,
    /// The answers of the devices, of which one level at least could prove the death; or the reason why none could.
    pub proof: Result<Vec<ProofAnswer>, String>,
    /// The weakest grade that both programs accept for an off.
    pub least: Grade,
    /// The decision about the record after such a proof, or the reason why it is unknown.
    pub record: Result<&'a Decision, String>,
    /// The times of each step.
    pub times: &'a RecoveryTimes,
    /// Pacemaker's configuration, with the timeouts of its operations.
    pub resources: &'a Resources,
    /// The votes that would be left in corosync, if they are known.
    pub left: Option<Left>,
    /// The options that Pacemaker has to fence the node.
    pub ways: &'a Ways,
    /// The members that may fence the node with a `fence_ganeti` device; `None` if that is unknown.
    pub fencers: Option<Vec<PacemakerName>>,
}

/// `crm_simulate` plans the fencing without a host that can do it: the fencer looks for that host only when it fences.
const NO_FENCER: &str = "finds no other host that may fence it: each lacks what is needed (its node attribute gnt-ha-fence-score is \
                         -INFINITY) or is kept off by a location constraint";

/// Returns the steps, in their order.
#[must_use]
pub fn steps(known: &RehearsalInput<'_>) -> Vec<RehearsalStep> {
    const PACEMAKER: &str = "Pacemaker";
    const PROOF: &str = "proof";
    const RECORD: &str = "Ganeti's record";
    let fenced = known.simulation.fenced();
    let times = known.times;
    let mut steps: Vec<RehearsalStep> = Vec::new();
    if let Some(seen) = &times.seen {
        steps.push(RehearsalStep::open(PACEMAKER, format!("sees that it is gone ({})", seen.how)).about(seen.after));
    }
    if let Some(why) = known.left.and_then(|left| left.why_not()) {
        steps.push(RehearsalStep::blocked("corosync", format!("loses quorum: {why}")));
    }
    if let Some(unexpected) = unexpected_fencing(Some(known.died), &fenced) {
        steps.push(RehearsalStep::blocked(PACEMAKER, unexpected));
    }
    let (fencing, rest): (Vec<&Move>, Vec<&Move>) =
        known.simulation.steps.iter().partition(|step| matches!(step, Move::Fence { .. }));
    let is_enough =
        |answer: &ProofAnswer| answer.is_ok && of(answer, times).is_none_or(|(_, grade)| *grade >= known.least);
    let has_ours = known.ways.has_ours() || known.ways.0.is_empty();
    let others = || known.ways.0.iter().filter(|way| !way.has_ours());
    let is_worth = |way: &Way| way.worth(true).grade >= known.least;
    let proven = if has_ours {
        known.proof.as_ref().is_ok_and(|answers| one_proves(answers, is_enough))
    } else {
        others().all(is_worth)
    };
    let fence = |step: &Move| {
        let put_off = if times.put_off.is_empty() { String::new() } else { format!(", put off by {}", times.put_off) };
        let step = RehearsalStep::open(PACEMAKER, text_of(step) + &put_off).about(times.begins());
        if proven { step.within(times.proven()) } else { step }
    };
    steps.extend(fencing.into_iter().map(fence));
    if has_ours && others().next().is_none() && known.fencers.as_ref().is_some_and(Vec::is_empty) {
        steps.push(RehearsalStep::blocked(PACEMAKER, NO_FENCER.to_owned()));
    }
    if !has_ours {
        steps.push(RehearsalStep::blocked(
            PROOF,
            "its fencing levels leave fence_ganeti out: nothing that it could prove counts".to_owned(),
        ));
    }
    match &known.proof {
        _ if !has_ours => {}
        Ok(answers) => steps.extend(answers.iter().map(|answer| match (answer.is_ok, is_enough(answer)) {
            (true, true) => with_level(RehearsalStep::open(PROOF, answer.text.clone()), answer, times),
            (true, false) => {
                let step = with_level(RehearsalStep::blocked(PROOF, answer.text.clone()), answer, times);
                RehearsalStep { what: format!("{}, and minimum_grade is {}", step.what, known.least), ..step }
            }
            (false, _) => RehearsalStep::blocked(PROOF, answer.text.clone()),
        })),
        Err(error) => {
            let what = format!("none: {error}; no node takes over before an administrator confirms that it is off");
            steps.push(RehearsalStep::blocked(PROOF, what));
        }
    }
    steps.extend(others().map(|way| {
        let grade = way.worth(true).grade;
        let what = format!("{way}, without a receipt of ours: its off has grade {grade}");
        let step = if is_worth(way) {
            RehearsalStep::open(PROOF, what)
        } else {
            RehearsalStep::blocked(PROOF, format!("{what}, and minimum_grade is {}", known.least))
        };
        RehearsalStep { grade: Some(grade), ..step }
    }));
    // What ran on the dead host is stopped by its death.
    let is_real = |step: &&Move| !matches!(step, Move::Resource { node, .. } if node == known.died.as_str());
    // Actions of one resource run one after the other.
    let mut ends: BTreeMap<&str, Duration> = BTreeMap::new();
    let rest: Vec<&Move> = rest.into_iter().filter(is_real).collect();
    if let Some(role) =
        known.role.filter(|role| known.simulation.promoted_on(role).is_none_or(|host| host == known.died.as_str()))
    {
        steps.push(RehearsalStep::blocked(
            PACEMAKER,
            format!("starts or promotes {role} nowhere (who offers? crm_mon -1 -A)"),
        ));
    }
    for step in rest {
        let made = RehearsalStep::open(PACEMAKER, text_of(step));
        steps.push(match step {
            Move::Resource { resource, action, .. } if proven => {
                let begins = ends.get(resource.as_str()).copied().unwrap_or_else(|| times.proven());
                let end = begins + operation(resource, action, known.resources);
                ends.insert(resource, end);
                made.within(end)
            }
            _ => RehearsalStep { blocked: !proven, ..made },
        });
    }
    // The master reconciles at each monitor; if the dead host was the master, the next master does so when it has the
    // role.
    let is_role = |resource: &str| known.role.is_some_and(|role| resource.split(':').next() == Some(role));
    let taken = ends.iter().filter(|(resource, _)| is_role(resource)).map(|(_, end)| *end).max();
    let looks = known.resources.agents("ganeti-master-role").find_map(|role| interval(&role.id, known.resources));
    let recorded = taken.unwrap_or_else(|| times.proven()) + looks.unwrap_or_default();
    steps.push(match &known.record {
        Ok(decision @ Decision::Offline { proof, .. }) if proven => {
            // The proof does not exist yet, so its source is left out.
            let text = decision.to_string();
            let what = text.split(": ").next().unwrap_or_default();
            RehearsalStep::open(RECORD, format!("{what}, on a proof of {} or better", proof.grade)).within(recorded)
        }
        Ok(Decision::Offline { .. }) => RehearsalStep::blocked(RECORD, "nothing before it is proven".to_owned()),
        Ok(decision) => RehearsalStep::blocked(RECORD, decision.to_string()),
        Err(error) => RehearsalStep::blocked(RECORD, error.clone()),
    });
    steps
}

/// Returns the answers if one level could prove the death, also beside others that could not.
///
/// # Errors
/// All answers in one line, if no level could prove it.
pub fn provable(answers: Vec<ProofAnswer>) -> Result<Vec<ProofAnswer>, String> {
    if one_proves(&answers, |answer| answer.is_ok && answer.level.is_some()) {
        return Ok(answers);
    }
    Err(answers.into_iter().map(|answer| answer.text).collect::<Vec<_>>().join("; "))
}

/// Returns whether there is a level whose answers all suffice.
fn one_proves(answers: &[ProofAnswer], is_enough: impl Fn(&ProofAnswer) -> bool) -> bool {
    let levels: BTreeSet<Option<usize>> = answers.iter().map(|answer| answer.level).collect();
    levels.iter().any(|number| answers.iter().filter(|answer| answer.level == *number).all(&is_enough))
}

/// Returns when the level of an answer is done at the latest, and the grade of its off.
fn of<'a>(answer: &ProofAnswer, times: &'a RecoveryTimes) -> Option<&'a (Duration, Grade)> {
    times.levels.get(answer.level?.checked_sub(1)?)
}

/// Adds to the step of an answer, such as `ok n1.lab level 1 bmc: on`, its time and the grade of its off.
fn with_level(step: RehearsalStep, answer: &ProofAnswer, times: &RecoveryTimes) -> RehearsalStep {
    let Some((end, grade)) = of(answer, times) else {
        return step.within(times.proven());
    };
    let what = format!("{}; its off has grade {grade}", step.what);
    RehearsalStep { what, grade: Some(*grade), ..step }.within(times.begun() + *end)
}

fn text_of(step: &Move) -> String {
    match step {
        Move::Fence { node, action } => format!("fences {node} ({action})"),
        Move::Resource { resource, action, node } => format!("{action} {resource} on {node}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::budget::detection::{Detection, Totem};
    use crate::core::ganeti::offline_job::OfflineJob;
    use crate::core::node::NodeName;
    use crate::core::reconcile::{NoActionReason, PowerAction, Proof, ProofSource};

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

    fn times() -> RecoveryTimes {
        RecoveryTimes {
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
        times: &RecoveryTimes,
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
            ways: &Ways::ours(Grade::Bounded),
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
            let ways = resources.fencing.ways(&node, std::slice::from_ref(&node));
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
                ways: &ways,
                left: None,
                fencers: None,
            });
            let proofs = steps.into_iter().filter(|step| step.who == "proof");
            proofs.map(|step| (step.what, step.blocked)).collect::<Vec<_>>()
        };
        let shown = of("");
        assert_eq!(shown[0], ("ok n1.lab level 1 bmc: on; its off has grade off".into(), false));
        let san =
            "san (fence_scsi), without a receipt of ours: its off has grade isolated, and minimum_grade is bounded";
        assert_eq!(
            shown[1..],
            [(san.into(), true), ("pdu (fence_apc), without a receipt of ours: its off has grade off".into(), false)]
        );
        let shown = of("<fencing-level id=\"l\" target=\"n1.lab\" index=\"2\" devices=\"san,pdu\"/>");
        assert!(shown[0].0.contains("leave fence_ganeti out") && shown[0].1);
        let level =
            "fencing level 2: san (fence_scsi) + pdu (fence_apc), without a receipt of ours: its off has grade off";
        assert_eq!(shown[1..], [(level.into(), false)]);
    }

    fn resources() -> Resources {
        let text = "<cib><configuration><resources><primitive id=\"master\" class=\"ocf\" provider=\"ganeti\" \
            type=\"ganeti-master-role\"><operations><op id=\"p\" name=\"promote\" timeout=\"300s\"/>\
            <op id=\"m\" name=\"monitor\" interval=\"10s\"/></operations></primitive></resources></configuration></cib>";
        Resources::parse(text).unwrap()
    }

    fn blocked(proof: Result<Vec<ProofAnswer>, String>, record: Result<&Decision, String>) -> Vec<(String, bool)> {
        steps_of(&times(), proof, record).into_iter().map(|step| (step.what, step.blocked)).collect()
    }

    /// Each step has its grade and its times from the time budget.
    #[test]
    fn each_step_has_its_time_and_each_level_its_grade() {
        let totem = Totem { token_ms: 1_650, consensus_ms: 1_980 };
        let put_off = "pcmk_delay_max 2 s".to_owned();
        let times = RecoveryTimes {
            seen: Some(Detection::by_corosync(totem)),
            delay: Duration::from_secs(2),
            put_off,
            ..times()
        };
        let proof = vec![ok(Some(1), "ok n1.lab level 1 bmc: on (chassis status)")];
        let word = ProofSource::Human;
        let proven =
            Proof { keys: Vec::new(), at_ms: 0, grade: Grade::Bounded, word, powered: None, is_planned: false };
        let job = OfflineJob { node: NodeName::new("n1.lab").unwrap(), powered: Some(false), auto_promote: false };
        let record = Decision::Offline { job, proof: proven, power_too: PowerAction::default() };
        let shown = steps_of(&times, Ok(proof), Ok(&record));
        let shown: Vec<String> = shown.iter().map(|step| format!("{} | {}", step.when(), step.what)).collect();
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
        let (simulation, resources, times, ways) = (simulation(), resources(), times(), Ways::ours(Grade::Bounded));
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
                ways: &ways,
                fencers: None,
            });
            let found = steps.into_iter().filter(|step| step.who == "corosync");
            found.map(|step| (step.what, step.blocked)).collect::<Vec<_>>()
        };
        assert_eq!(of_corosync(TOOL), []);
        let lost = "loses quorum: 1 of 3 votes would be left, and 2 are needed; the quorum device has none to give: gnt-ha check";
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
            ways: &Ways::ours(Grade::Bounded),
            left: None,
            fencers: Some(Vec::new()),
        };
        let shown = steps(&known);
        assert!(
            shown.iter().any(|step| step.blocked && step.what.contains("no other host that may fence it")),
            "{shown:?}"
        );
        let known =
            RehearsalInput { fencers: Some(vec![PacemakerName::of_test("n2.lab")]), proof: Ok(Vec::new()), ..known };
        let shown = steps(&known);
        assert!(!shown.iter().any(|step| step.what.contains("may fence it")), "{shown:?}");
        assert!(shown.iter().any(|step| step.blocked && step.what.contains("promotes master nowhere")), "{shown:?}");
    }
}
