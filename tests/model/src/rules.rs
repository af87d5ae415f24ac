//! The model of rules and epochs. Three candidates have shun lists on their disks and rules in their kernels. Entries
//! arrive late, twice and in any order. There are flushes, boots, two askers, a device that has read the power as off,
//! and an administrator who readmits the node.
//!
//! Time is left out: between the first round and the last one the full wait time passes. The property is that no
//! majority of the candidates can have granted in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gnt_ha::core::grade::Grade;
use gnt_ha::core::shun::evaluation::{Peer, PeerState, ProofResult, Round, evaluate_proof, evaluate_round, first_of};
use gnt_ha::core::shun::lease_times::LeaseTimes;
use gnt_ha::core::shun::list::{Epoch, ShunEntry, ShunList, ShunScope};
use gnt_ha::core::shun::messages::DatedSelfFenceReport;
use stateright::{Model, Property};

use crate::{TARGET, address, known, name, self_fence};

/// The conditions of the proof, which a test can remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    /// No condition is removed.
    Nothing,
    /// Rules that were made again have another ruleset id: here they have the same one.
    RulesetId,
    /// The greater epoch counts: here the last one to arrive does.
    GreaterEpoch,
    /// A boot changes the ruleset id, and the rules exist before the network is up: here neither holds.
    BootOrder,
    /// Every node shuns, which is read back: here an entry that was sent counts.
    ReadBack,
    /// The answer has the scope of the shunning: here it always has `all`.
    Scope,
}

/// The number of candidates.
const PEERS: [u8; 3] = [1, 2, 3];

/// A node that is not a candidate, and claims anything.
const LIAR: u8 = 8;

const MAJORITY: usize = 2;

/// The model of rules and epochs.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The condition that is removed.
    pub without: Without,
    /// The number of flushes and of boots of peers, together.
    pub faults: u8,
    /// The number of hosts that shun it, each with its own rounds.
    pub askers: u8,
    /// The greatest epoch in the model.
    pub epochs: u64,
    /// Whether another device may prove it off.
    pub powered: bool,
}

/// The state of a candidate since its boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Up {
    /// The candidate communicates with others.
    #[default]
    Talks,
    /// The candidate has booted: no network and no rules yet.
    Unlinked,
}

/// The state of one candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Candidate {
    epoch: Epoch,
    is_proven: bool,
    /// The packets that its kernel drops.
    rules: Option<ShunScope>,
    ruleset_id: u8,
    up: Up,
}

/// The state of an asker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asker {
    asked: Epoch,
    first: Option<(Epoch, BTreeMap<u8, u8>)>,
    /// The candidates that can have granted since.
    opened: BTreeSet<u8>,
    is_proven: bool,
}

/// A shun entry: an epoch, and whether the power was read as off in it.
type Order = (Epoch, bool);

/// A state of the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    candidates: BTreeMap<u8, Candidate>,
    orders: BTreeSet<Order>,
    askers: Vec<Asker>,
    faults: u8,
}

/// The steps of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An asker sends an entry that shuns the node.
    Shun(usize),
    /// An administrator sends an entry that readmits it.
    Readmit,
    /// A device has read its power as off: it is shunned with the scope `tcp`, in the same epoch.
    SeenOff,
    /// An entry arrives, perhaps not for the first time.
    Deliver(u8, Order),
    /// A program flushes all rules.
    Flush(u8),
    /// The rules are made again.
    Apply(u8),
    /// A candidate boots again.
    Boot(u8),
    /// A candidate's network is up.
    Talk(u8),
    /// An asker sends a round to all nodes; the liar claims that it shuns, or claims nothing.
    Round(usize, bool),
}

fn entry((epoch, is_proven): Order) -> ShunEntry {
    // A node whose power was read as off has a narrower scope, and that is the stronger proof.
    let (scope, grade) = if is_proven { (ShunScope::Tcp, Grade::Off) } else { (ShunScope::All, Grade::Isolated) };
    ShunEntry {
        epoch,
        addresses: [address(TARGET)].into(),
        scope,
        grade,
        boot_id: Some("old".to_owned()),
        since_ms: 1,
        by: "the model".to_owned(),
    }
}

fn shun_list(order: Order) -> ShunList {
    ShunList(BTreeMap::from([(name(TARGET), entry(order))]))
}

impl Candidate {
    fn order(&self) -> Order {
        (self.epoch, self.is_proven)
    }

    fn wanted(&self) -> Option<ShunScope> {
        self.epoch.is_shunned().then(|| entry(self.order()).scope)
    }

    /// Whether a candidate answers requests for a grant: not with the scope `all`, but with `tcp`.
    fn may_grant(&self) -> bool {
        self.up == Up::Talks && self.rules != Some(ShunScope::All)
    }
}

impl Rules {
    /// Returns the answers that the asker gets.
    fn peers(&self, state: &State, asker: &Asker, lies: bool) -> Vec<Peer> {
        let state_of = |number: &u8| {
            let candidate = &state.candidates[number];
            let is_ordered = self.without == Without::ReadBack && state.orders.contains(&(asker.asked, false));
            // Read back: at least the scope of the shun list.
            let read_back = candidate.rules.filter(|rules| Some(*rules) >= candidate.wanted());
            match (candidate.up, read_back) {
                _ if is_ordered => (asker.asked, ShunScope::All),
                (Up::Talks, Some(_)) if self.without == Without::Scope => (candidate.epoch, ShunScope::All),
                (Up::Talks, Some(rules)) if candidate.epoch.is_shunned() => (candidate.epoch, rules),
                _ => return PeerState::Unconfirmed("does not shun it".to_owned()),
            }
            .into_stand(candidate.ruleset_id)
        };
        let peer = |number: u8, state: PeerState| Peer {
            node: name(number),
            address: address(number),
            state,
            shunned_by: BTreeSet::new(),
        };
        let lie = if lies { (asker.asked, ShunScope::All).into_stand(0) } else { PeerState::ServesNothing };
        PEERS.iter().map(|number| peer(*number, state_of(number))).chain([peer(LIAR, lie)]).collect()
    }

    fn proof_result(first: &Round, last: &Round) -> ProofResult {
        let lease_times = LeaseTimes { lease_ms: 10, watchdog_ms: 5, drift_ppm: 0, stop_ms: 0 };
        let candidates = PEERS.map(address).into();
        let self_fence = DatedSelfFenceReport {
            self_fence: self_fence("old", lease_times, &candidates, 1_000_000),
            age_ms: 0,
            uptime_ms: None,
        };
        evaluate_proof(first, last, known(&[address(TARGET)].into(), &candidates, Ok(&self_fence), "old"))
    }

    /// Runs a round as `ganeti-oob` does: the first one of an epoch is kept, and dropped when it did not hold.
    fn round(&self, state: &mut State, asker: usize, lies: bool) -> Option<()> {
        // Long after the first round, as far as that one is concerned.
        const LATER: Duration = Duration::from_secs(1);
        let own = &state.askers[asker];
        let asked = (own.asked, ShunScope::All);
        let last = evaluate_round(&name(TARGET), asked, &self.peers(state, own, lies), LATER, LATER, "boot").ok()?;
        let ruleset_ids: BTreeMap<u8, u8> =
            state.candidates.iter().map(|(number, one)| (*number, one.ruleset_id)).collect();
        let kept = own.first.as_ref().map(|(epoch, ruleset_ids)| Round {
            asked: Duration::ZERO,
            at: Duration::ZERO,
            epoch: *epoch,
            ruleset_ids: ruleset_ids
                .iter()
                .map(|(number, ruleset_id)| (name(*number), ruleset_id.to_string()))
                .collect(),
            // All of them did, otherwise the round would not be complete.
            shunning: PEERS.map(address).into(),
            ..last.clone()
        });
        let first = first_of(kept.as_ref(), &last);
        if Some(first) != kept.as_ref() {
            let opened = PEERS.into_iter().filter(|number| state.candidates[number].may_grant()).collect();
            let own = &mut state.askers[asker];
            (own.first, own.opened) = (Some((own.asked, ruleset_ids)), opened);
        } else if Self::proof_result(first, &last) == ProofResult::Bounded {
            state.askers[asker].is_proven = true;
        }
        Some(())
    }
}

trait IntoStand {
    fn into_stand(self, ruleset_id: u8) -> PeerState;
}

impl IntoStand for (Epoch, ShunScope) {
    fn into_stand(self, ruleset_id: u8) -> PeerState {
        PeerState::Shuns { epoch: self.0, scope: self.1, ruleset_id: ruleset_id.to_string() }
    }
}

impl Model for Rules {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let candidates = PEERS.iter().map(|number| (*number, Candidate::default())).collect();
        let askers = (0..self.askers).map(|_| Asker::default()).collect();
        vec![State { candidates, askers, ..State::default() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.askers.iter().any(|asker| asker.is_proven) {
            return;
        }
        let newest = state.orders.iter().map(|(epoch, _)| *epoch).max().unwrap_or_default();
        for (number, asker) in state.askers.iter().enumerate() {
            if asker.asked.0 < self.epochs {
                actions.push(Action::Shun(number));
            }
            if asker.asked != Epoch::default() {
                actions.extend([Action::Round(number, false), Action::Round(number, true)]);
            }
        }
        if newest.is_shunned() && newest.0 < self.epochs {
            actions.push(Action::Readmit);
        }
        if newest.is_shunned() && self.powered {
            actions.push(Action::SeenOff);
        }
        for number in PEERS {
            actions.extend(state.orders.iter().map(|order| Action::Deliver(number, *order)));
            actions.extend([Action::Apply(number), Action::Talk(number)]);
            if state.faults < self.faults {
                actions.extend([Action::Flush(number), Action::Boot(number)]);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            // The requested epoch follows from the entries of others that it has seen.
            Action::Shun(number) => {
                let seen = state.candidates.values().map(|one| one.epoch).max().unwrap_or_default();
                let asker = &mut state.askers[number];
                asker.asked = seen.max(asker.asked).shunned();
                state.orders.insert((asker.asked, false));
            }
            Action::Readmit => {
                let newest = state.orders.iter().map(|(epoch, _)| *epoch).max()?;
                state.orders.insert((newest.readmitted().ok()?, false));
            }
            Action::SeenOff => {
                let newest = state.orders.iter().map(|(epoch, _)| *epoch).max()?;
                state.orders.insert((newest, true));
            }
            Action::Deliver(number, order) => {
                let candidate = state.candidates.get_mut(&number).filter(|one| one.up == Up::Talks)?;
                let mut kept = shun_list(candidate.order());
                if self.without == Without::GreaterEpoch {
                    kept = shun_list(order);
                } else {
                    kept.merge(&shun_list(order));
                }
                let new = &kept.0[&name(TARGET)];
                let before = candidate.order();
                (candidate.epoch, candidate.is_proven) = (new.epoch, new.scope == ShunScope::Tcp);
                if candidate.order() != before {
                    // An address is added, removed or moved: the rules stay as they were, with their ruleset id.
                    candidate.rules = candidate.wanted();
                }
            }
            Action::Flush(number) => {
                state.candidates.get_mut(&number)?.rules = None;
                state.faults += 1;
            }
            Action::Apply(number) => {
                let candidate = state.candidates.get_mut(&number)?;
                if candidate.rules.is_none() && candidate.epoch.is_shunned() {
                    candidate.rules = candidate.wanted();
                    candidate.ruleset_id += u8::from(!matches!(self.without, Without::BootOrder | Without::RulesetId));
                }
            }
            Action::Boot(number) => {
                let candidate = state.candidates.get_mut(&number)?;
                (candidate.rules, candidate.up) = (None, Up::Unlinked);
                candidate.ruleset_id += u8::from(self.without != Without::BootOrder);
                state.faults += 1;
            }
            Action::Talk(number) => {
                let candidate = state.candidates.get_mut(&number)?;
                // The unit is ordered before the network: it has made the rules by now.
                if candidate.rules != candidate.wanted() && self.without != Without::BootOrder {
                    return None;
                }
                candidate.up = Up::Talks;
            }
            Action::Round(number, lies) => self.round(&mut state, number, lies)?,
        }
        // A candidate that did not shun it for a moment may have granted in that moment.
        let open: Vec<u8> =
            state.candidates.iter().filter(|(_, one)| one.may_grant()).map(|(number, _)| *number).collect();
        for asker in state.askers.iter_mut().filter(|asker| asker.first.is_some()) {
            asker.opened.extend(&open);
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no majority can have granted", |_, state: &State| {
                state.askers.iter().all(|asker| !asker.is_proven || asker.opened.len() < MAJORITY)
            }),
            Property::sometimes("it is proven", |_, state: &State| state.askers.iter().any(|asker| asker.is_proven)),
        ]
    }
}
