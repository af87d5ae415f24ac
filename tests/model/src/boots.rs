//! The model of boots. The node boots at any time, is armed or not, and is asked by some nodes and not by others. A
//! master that may be lost together with it starts instances where it can.
//!
//! Time goes in steps of 20 s; the promise is 120 s, and the wait is 25 s. An armed boot has stopped when the wait is
//! over, which the other models check; a boot that is not armed never stops by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use gnt_ha::core::grade::Grade;
use gnt_ha::core::shun::evaluation::{Peer, ProofInput, ProofResult, Round, evaluate_proof, evaluate_round, first_of};
use gnt_ha::core::shun::last_state::KeptReports;
use gnt_ha::core::shun::lease_times::LeaseTimes;
use gnt_ha::core::shun::list::{Epoch, ShunScope};
use gnt_ha::core::shun::messages::{DatedSelfFenceReport, Denial};
use gnt_ha::core::shun::peer_state::{Answer, PeerFacts, peer_state};
use gnt_ha::core::shun::readiness::{Boot, may_serve};
use stateright::{Model, Property};

use crate::{TARGET, address, known, name, self_fence};

/// The conditions of the proof, which a test can remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    /// No condition is removed.
    Nothing,
    /// The node daemon waits until self-fencing is armed, or no node relies on one: here it does not.
    Readiness,
}

/// The asker, another candidate, and Ganeti's master.
const ASKER: u8 = 1;
const OTHER: u8 = 2;
const MASTER: u8 = 3;

const STEP_MS: u64 = 20_000;
const PROMISE_MS: u64 = 120_000;
const LEASE_TIMES: LeaseTimes = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 5_000 };

/// The most steps that an armed boot still runs after it was shunned.
const WAIT: u64 = 2;

const STEPS: u64 = 8;

const EPOCH: Epoch = Epoch(1);

/// The model of boots.
#[derive(Clone, Debug)]
pub struct Boots {
    /// The condition that is removed.
    pub without: Without,
}

/// The node's last answer to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateReport {
    boot: u8,
    is_armed: bool,
    at: u64,
    uptime: u64,
}

/// A state of the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    step: u64,
    /// The step at which the second boot began.
    booted_at: Option<u64>,
    /// Whether the first boot has ended, by the watchdog or by the second boot.
    has_stopped: bool,
    is_armed: bool,
    serves: bool,
    /// Whether an instance runs on the present boot.
    runs: bool,
    answers: BTreeMap<u8, StateReport>,
    is_master_lost: bool,
    has_master_ended: bool,
    shunned_at: Option<u64>,
    /// The time of the shunning, whether the master shunned the node, and whether it was lost.
    first: Option<(u64, bool, bool)>,
    is_proven: bool,
}

/// The steps of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Time advances by one step.
    Step,
    /// A candidate asks the node.
    Ask(u8),
    /// The node boots again.
    Reboot,
    /// The node's self-fencing gets a first lease.
    Arm,
    /// The node's node daemon starts.
    Serve,
    /// The master starts an instance on the node.
    Start,
    /// The master is cut off together with the node.
    LoseMaster,
    /// The master has reset itself, and that is known.
    EndMaster,
    /// The asker shuns the node.
    Shun,
    /// The asker sends a round to all nodes.
    Round,
}

impl State {
    fn boot(&self) -> u8 {
        if self.booted_at.is_some() { 2 } else { 1 }
    }

    /// The uptime of the present boot in steps; the first boot had run for 10 steps at the beginning.
    fn uptime(&self) -> u64 {
        self.booted_at.map_or(self.step + 10, |at| self.step - at)
    }

    fn kept(&self) -> KeptReports {
        let mut kept = KeptReports::default();
        for report in self.answers.values() {
            let age_ms = (self.step - report.at) * STEP_MS;
            let (boot_id, uptime_ms) = (report.boot.to_string(), Some(report.uptime * STEP_MS));
            if report.is_armed {
                let self_fence = self_fence(&boot_id, LEASE_TIMES, &candidates(), PROMISE_MS);
                kept.reports.push(DatedSelfFenceReport { self_fence, age_ms, uptime_ms });
            } else {
                kept.denials.push(Denial { boot_id, age_ms, uptime_ms });
            }
        }
        kept
    }
}

fn candidates() -> BTreeSet<IpAddr> {
    [ASKER, OTHER, MASTER].map(address).into()
}

impl Boots {
    fn peers(state: &State) -> Vec<Peer> {
        let peer = |number: u8| {
            let is_lost = number == MASTER && state.is_master_lost;
            let shuns = Answer { shuns: Some(EPOCH), scope: ShunScope::All, ruleset_id: "ruleset", objection: "" };
            let facts = PeerFacts {
                answer: if is_lost { Err("does not answer") } else { Ok(shuns) },
                proven: (is_lost && state.has_master_ended).then_some((Grade::Bounded, "the model")),
                recorded_offline: false,
                serves: true,
            };
            let shunned_by = if is_lost { [ASKER, OTHER].map(name).into() } else { BTreeSet::new() };
            Peer { node: name(number), address: address(number), state: peer_state(&facts), shunned_by }
        };
        [ASKER, OTHER, MASTER].map(peer).into()
    }

    fn proof_result(state: &State, first: &Round, last: &Round) -> ProofResult {
        let since = u64::try_from((last.at - first.at).as_millis()).unwrap_or(u64::MAX);
        let newest = state.kept().newest();
        let newest = newest.map(|one| DatedSelfFenceReport { age_ms: one.age_ms.saturating_sub(since), ..one });
        let reported = newest.as_ref().map(|one| one.self_fence.boot_id.clone()).unwrap_or_default();
        // The boot id in the shun list: the one that the asker got from the node.
        let boot_id = state.answers.get(&ASKER).map_or(reported, |report| report.boot.to_string());
        let (addresses, candidates, master) = ([address(TARGET)].into(), candidates(), name(MASTER));
        let known = known(&addresses, &candidates, newest.as_ref().map_err(|error| *error), &boot_id);
        evaluate_proof(first, last, ProofInput { master: Some(&master), ..known })
    }

    fn round(state: &mut State) -> Option<()> {
        let at = Duration::from_millis(state.step * STEP_MS);
        let asked = (EPOCH, ShunScope::All);
        let last = evaluate_round(&name(TARGET), asked, &Self::peers(state), at, at, "boot").ok()?;
        let shunning = |is_master: bool| [ASKER, OTHER].into_iter().chain(is_master.then_some(MASTER));
        let kept = state.first.map(|(at, is_master, was_lost)| Round {
            asked: Duration::from_millis(at * STEP_MS),
            at: Duration::from_millis(at * STEP_MS),
            shunning: shunning(is_master).map(address).collect(),
            ruleset_ids: shunning(is_master).map(|number| (name(number), "ruleset".to_owned())).collect(),
            lost: was_lost.then(|| name(MASTER)).into_iter().collect(),
            ..last.clone()
        });
        let first = first_of(kept.as_ref(), &last);
        if Some(first) != kept.as_ref() {
            let is_master = last.shunning.contains(&address(MASTER));
            state.first = Some((state.step, is_master, last.lost.contains(&name(MASTER))));
        } else if Self::proof_result(state, first, &last) == ProofResult::Bounded {
            state.is_proven = true;
        }
        Some(())
    }
}

impl Model for Boots {
    type State = State;
    type Action = Action;

    /// The node is armed, and runs an instance.
    fn init_states(&self) -> Vec<State> {
        vec![State { is_armed: true, serves: true, runs: true, ..State::default() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.step < STEPS {
            actions.push(Action::Step);
        }
        actions.extend([Action::Serve, Action::Start, Action::EndMaster]);
        if state.is_proven {
            return;
        }
        if state.shunned_at.is_none() {
            actions.extend([Action::Ask(ASKER), Action::Ask(OTHER), Action::Arm, Action::LoseMaster, Action::Shun]);
        } else {
            actions.push(Action::Round);
        }
        if state.booted_at.is_none() {
            actions.push(Action::Reboot);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Step => {
                state.step += 1;
                let is_over = state.shunned_at.is_some_and(|at| state.step >= at + WAIT);
                if is_over && state.is_armed {
                    // The watchdog has reset the node; it may boot.
                    (state.is_armed, state.runs, state.serves) = (false, false, false);
                    state.has_stopped = true;
                }
            }
            Action::Ask(_) if state.has_stopped => return None,
            Action::Ask(number) => {
                let (boot, is_armed, at, uptime) = (state.boot(), state.is_armed, state.step, state.uptime());
                state.answers.insert(number, StateReport { boot, is_armed, at, uptime });
            }
            Action::Reboot => {
                state.booted_at = Some(state.step);
                (state.is_armed, state.runs, state.serves, state.has_stopped) = (false, false, false, false);
            }
            Action::Arm if state.booted_at.is_some() => state.is_armed = true,
            Action::Arm => return None,
            Action::Serve => {
                let uptime = Duration::from_millis(state.uptime() * STEP_MS);
                let boot = Boot { is_armed: state.is_armed, is_wanted: true, was_promised: true, uptime };
                let may = may_serve(boot, Duration::from_millis(PROMISE_MS)) || self.without == Without::Readiness;
                state.serves |= may && !state.has_stopped;
            }
            Action::Start => {
                let reaches = if state.is_master_lost { !state.has_master_ended } else { state.shunned_at.is_none() };
                state.runs |= reaches && state.serves;
            }
            Action::LoseMaster => state.is_master_lost = true,
            Action::EndMaster => state.has_master_ended |= state.is_master_lost,
            Action::Shun => state.shunned_at = Some(state.step),
            Action::Round => Self::round(&mut state)?,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // Also later: no node asks again before its instances are started on another node.
            Property::always("nothing runs where it is proven to have stopped", |_, state: &State| {
                !(state.is_proven && state.runs)
            }),
            Property::sometimes("it is proven", |_, state: &State| state.is_proven),
        ]
    }
}
