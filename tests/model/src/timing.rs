//! Time: a leashed node, three candidates that begin to refuse it one by one, and whoever waits for it to have stopped.
//!
//! The node and the asker have clocks of their own, each up to a tenth too fast or too slow. Questions and answers may be
//! lost, repeated and late; the node may be stopped anywhere, also between its look at the lease and its pet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use gnt_ha::core::shun::lease::{Lease, Word};
use gnt_ha::core::shun::register::Epoch;
use gnt_ha::core::shun::terms::Terms;
use gnt_ha::core::shun::verdict::{Known, Look, Peer, Stand, Verdict, judge, look};
use gnt_ha::core::shun::words::{Attestation, LeashReport};
use stateright::{Model, Property};

use crate::{TARGET, address, name};

/// What the argument stands on, and may be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    /// Nothing is taken away.
    Nothing,
    /// The second watchdog time in the wait: for a pet that comes late after its look.
    SecondWatchdog,
    /// The factor for clocks that run wrong.
    Drift,
    /// The lease counts from the sending of its questions: here from the receipt of an answer.
    Sending,
    /// A majority grants: here one candidate does.
    Majority,
    /// Enough candidates refuse: here one is enough for the asker.
    BlockingSet,
    /// Silence proves nothing: here a candidate that was not reached counts as one that refuses.
    Confirmation,
    /// A leash that is disarmed keeps its discipline for as long as it has promised: here it does not.
    Promise,
    /// The asker looks how long the promise holds: here it believes any attestation.
    AgeOfPromise,
}

/// In units of which ten are one step of true time.
const STEP: u64 = 10;
const LEASE: u64 = 20;
const WATCHDOG: u64 = 10;
const DRIFT_PPM: u32 = 100_000;

/// How many steps are looked at.
const STEPS: u64 = 7;

const EPOCH: Epoch = Epoch(1);

/// The model.
#[derive(Clone, Debug)]
pub struct Timing {
    /// What is taken away.
    pub without: Without,
    /// The node that is shunned is one of the three candidates, and grants to itself.
    pub own_candidate: bool,
    /// How long a leash promises to keep its discipline, in units.
    pub promise: u64,
    /// How many rounds the node asks, beside the one by which it is leased.
    pub rounds: usize,
    /// Whether the administrator may want it disarmed.
    pub disarms: bool,
}

/// Whether the node keeps its discipline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discipline {
    /// It does.
    Armed,
    /// Until then, by its clock.
    Until(u64),
    /// It pets whatever comes.
    Free,
}

/// A state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    step: u64,
    node_rate: u64,
    asker_rate: u64,
    lease: Lease,
    sent: BTreeSet<u64>,
    answered: BTreeSet<(u64, u8)>,
    heard: BTreeMap<u64, BTreeSet<u8>>,
    looked: bool,
    petted: u64,
    stopped: bool,
    discipline: Discipline,
    refusing: BTreeSet<u8>,
    first: Option<u64>,
    first_refusing: BTreeSet<u8>,
    said: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Time goes on.
    Step,
    /// The node asks everybody.
    Ask,
    /// A candidate answers a round.
    Answer(u64, u8),
    /// The answer arrives; perhaps once more.
    Hear(u64, u8),
    /// The node looks at its lease.
    Look,
    /// It pets, having looked.
    Pet,
    /// The administrator wants it disarmed.
    Disarm,
    /// A candidate refuses from now on.
    Refuse(u8),
    /// Everybody is looked at, for the first or the last time.
    AskPeers,
}

impl State {
    fn node_clock(&self) -> u64 {
        self.step * self.node_rate
    }

    fn asker_clock(&self) -> u64 {
        self.step * self.asker_rate
    }
}

fn units(units: u64) -> Duration {
    Duration::from_millis(units)
}

impl Timing {
    fn terms(&self) -> Terms {
        Terms { lease_ms: LEASE, watchdog_ms: WATCHDOG, drift_ppm: DRIFT_PPM, stop_ms: 0 }
    }

    /// What the asker reckons with.
    fn attested(&self) -> Terms {
        match self.without {
            // Half of twice.
            Without::SecondWatchdog => Terms { watchdog_ms: WATCHDOG / 2, ..self.terms() },
            Without::Drift => Terms { drift_ppm: 0, ..self.terms() },
            _ => self.terms(),
        }
    }

    fn candidates(&self) -> [u8; 3] {
        if self.own_candidate { [1, 2, TARGET] } else { [1, 2, 3] }
    }

    fn list(&self) -> BTreeSet<IpAddr> {
        self.candidates().map(address).into()
    }

    fn peers(&self, state: &State) -> Vec<Peer> {
        let stand = |number: u8| {
            let refuses = state.refusing.contains(&number) || self.without == Without::Confirmation;
            match refuses {
                true => Stand::Refuses { epoch: EPOCH, seal: "seal".to_owned() },
                // One candidate that refuses is taken for enough: the others are left out.
                false if self.without == Without::BlockingSet => Stand::ServesNothing,
                false => Stand::Unconfirmed("does not answer".to_owned()),
            }
        };
        let others = self.candidates().into_iter().filter(|number| *number != TARGET);
        others
            .map(|number| Peer {
                node: name(number),
                address: address(number),
                stand: stand(number),
                refused_by: BTreeSet::new(),
            })
            .collect()
    }

    /// What the asker sees now.
    fn look(&self, state: &State) -> Option<Look> {
        let at = units(state.asker_clock());
        let mut seen = look(&name(TARGET), EPOCH, &self.peers(state), at, at, "boot").ok()?;
        if self.without == Without::BlockingSet {
            seen.refusing.extend(self.list());
        }
        Some(seen)
    }

    fn verdict(&self, first: &Look, last: &Look) -> Verdict {
        let kept_for_ms = if self.without == Without::AgeOfPromise { 1_000_000 } else { self.promise };
        let leash = LeashReport {
            boot_id: "old".to_owned(),
            driver: "hardware".to_owned(),
            nowayout: true,
            terms: self.attested(),
            candidates: self.list().into_iter().collect(),
            kept_for_ms,
            lease_age_ms: 0,
        };
        // It was attested at the beginning.
        let age_ms = u64::try_from(first.at.as_millis()).unwrap_or(u64::MAX);
        let leash = Attestation { leash, age_ms };
        let candidates = self.list();
        let target = address(TARGET);
        judge(
            first,
            last,
            Known { target, candidates: &candidates, leash: Some(&leash), boot_id: Some("old"), accept_softdog: false },
        )
    }

    fn hear(&self, state: &mut State, sent: u64) {
        let words: BTreeMap<IpAddr, Word> =
            state.heard.get(&sent).into_iter().flatten().map(|number| (address(*number), Word::MayRun)).collect();
        let counts_from = if self.without == Without::Sending { state.node_clock() } else { sent };
        let list = self.list();
        if self.without == Without::Majority && !words.is_empty() {
            let all = list.iter().map(|address| (*address, Word::MayRun)).collect();
            state.lease.round(units(counts_from), &list, &all);
        }
        state.lease.round(units(counts_from), &list, &words);
    }
}

impl Model for Timing {
    type State = State;
    type Action = Action;

    /// The node is leased, armed and has just been petted; its clock and the asker's run as wrong as they may.
    fn init_states(&self) -> Vec<State> {
        let rates = [STEP - 1, STEP + 1];
        let state = |node_rate, asker_rate| {
            let mut lease = Lease::new(self.terms(), self.list());
            lease.round(Duration::ZERO, &self.list(), &self.list().into_iter().map(|at| (at, Word::MayRun)).collect());
            State {
                step: 0,
                node_rate,
                asker_rate,
                lease,
                sent: BTreeSet::new(),
                answered: BTreeSet::new(),
                heard: BTreeMap::new(),
                looked: false,
                petted: 0,
                stopped: false,
                discipline: Discipline::Armed,
                refusing: BTreeSet::new(),
                first: None,
                first_refusing: BTreeSet::new(),
                said: false,
            }
        };
        rates.iter().flat_map(|node| rates.map(|asker| state(*node, asker))).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.said {
            return;
        }
        if state.step < STEPS {
            actions.push(Action::Step);
        }
        if !state.stopped {
            if state.sent.len() < self.rounds && !state.sent.contains(&state.node_clock()) {
                actions.push(Action::Ask);
            }
            actions.extend(state.answered.iter().map(|(sent, number)| Action::Hear(*sent, *number)));
            if !state.looked {
                actions.push(Action::Look);
            } else {
                actions.push(Action::Pet);
            }
            if self.disarms && state.discipline == Discipline::Armed {
                actions.push(Action::Disarm);
            }
        }
        for sent in &state.sent {
            let may_answer =
                |number: &u8| !state.refusing.contains(number) && !state.answered.contains(&(*sent, *number));
            actions
                .extend(self.candidates().into_iter().filter(may_answer).map(|number| Action::Answer(*sent, number)));
        }
        let others = self.candidates().into_iter().filter(|number| *number != TARGET);
        actions.extend(others.filter(|number| !state.refusing.contains(number)).map(Action::Refuse));
        actions.push(Action::AskPeers);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Step => {
                state.step += 1;
                // The watchdog is the node's own, and as wrong as its clock.
                state.stopped |= state.node_clock() >= state.petted + WATCHDOG;
                if let Discipline::Until(until) = state.discipline
                    && state.node_clock() >= until
                {
                    state.discipline = Discipline::Free;
                }
            }
            Action::Ask => {
                state.sent.insert(state.node_clock());
            }
            Action::Answer(sent, number) => {
                state.answered.insert((sent, number));
            }
            Action::Hear(sent, number) => {
                state.heard.entry(sent).or_default().insert(number);
                self.hear(&mut state, sent);
            }
            Action::Look => {
                state.looked = state.discipline == Discipline::Free || state.lease.may_pet(units(state.node_clock()));
            }
            Action::Pet => {
                state.petted = state.node_clock();
                state.looked = false;
            }
            Action::Disarm => {
                // As the daemon does it: the promise by the slowest of clocks.
                let until = state.node_clock() + (self.promise * 11).div_ceil(9);
                state.discipline =
                    if self.without == Without::Promise { Discipline::Free } else { Discipline::Until(until) };
            }
            Action::Refuse(number) => {
                state.refusing.insert(number);
            }
            Action::AskPeers => {
                let seen = self.look(&state)?;
                match state.first {
                    None => {
                        state.first = Some(state.asker_clock());
                        state.first_refusing.clone_from(&state.refusing);
                    }
                    Some(at) => {
                        let first = Look { asked: units(at), at: units(at), ..seen.clone() };
                        if self.verdict(&first, &seen) != Verdict::Bounded {
                            return None;
                        }
                        state.said = true;
                    }
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("who is said to have stopped has", |_, state: &State| !state.said || state.stopped),
            Property::sometimes("it is said", |_, state: &State| state.said),
        ]
    }
}
