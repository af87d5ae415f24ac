//! Rules and epochs: three candidates with registers on their disks and rules in their kernels, orders that come late, twice
//! and in any order, flushes, boots, a second asker, and a person who admits the node meanwhile.
//!
//! Time is left out: between the first look and the last one as much of it goes by as is waited for. What is asked is
//! whether a majority of the candidates can have granted in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gnt_ha::core::grade::Grade;
use gnt_ha::core::shun::register::{Entry, Epoch, Reach, Register};
use gnt_ha::core::shun::terms::Terms;
use gnt_ha::core::shun::verdict::{Known, Look, Peer, Stand, Verdict, begins_anew, judge, look};
use gnt_ha::core::shun::words::{Attestation, LeashReport};
use stateright::{Model, Property};

use crate::{TARGET, address, name};

/// What the argument stands on, and may be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    /// Nothing is taken away.
    Nothing,
    /// Rules that were made again have another seal: here it is not looked at.
    Seal,
    /// The epochs of both looks are the same: here it is not looked at.
    SameEpoch,
    /// The greater epoch wins: here whatever comes last does.
    GreaterEpoch,
    /// A boot is a new seal, and the rules stand before the network is up: here neither.
    BootOrder,
    /// Everybody refuses, read back: here an order that was sent counts.
    ReadBack,
}

/// The candidates.
const PEERS: [u8; 3] = [1, 2, 3];

/// How often rules are flushed, and peers boot, in all.
const FAULTS: u8 = 2;

const MAJORITY: usize = 2;

/// The model.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What is taken away.
    pub without: Without,
}

/// One candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Candidate {
    epoch: Epoch,
    refuses: bool,
    seal: u8,
}

/// A state of the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    candidates: BTreeMap<u8, Candidate>,
    orders: BTreeSet<Epoch>,
    asked: Epoch,
    faults: u8,
    first: Option<(Epoch, BTreeMap<u8, u8>)>,
    opened: BTreeSet<u8>,
    said: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The asker sends an order to refuse the node.
    Shun,
    /// A person sends an order to admit it.
    Admit,
    /// An order arrives, perhaps not for the first time.
    Deliver(u8, Epoch),
    /// Somebody flushes all rules.
    Flush(u8),
    /// They are made again.
    Apply(u8),
    /// A candidate boots.
    Boot(u8),
    /// Everybody is looked at.
    Look,
}

fn entry(epoch: Epoch) -> Entry {
    Entry {
        epoch,
        addresses: [address(TARGET)].into(),
        reach: Reach::Everything,
        grade: Grade::Isolated,
        boot_id: Some("old".to_owned()),
        since_ms: 1,
        by: "the model".to_owned(),
    }
}

fn register(epoch: Epoch) -> Register {
    Register(BTreeMap::from([(name(TARGET), entry(epoch))]))
}

impl Rules {
    /// What the asker is told.
    fn peers(&self, state: &State) -> Vec<Peer> {
        let stand = |number: &u8| {
            let candidate = &state.candidates[number];
            let is_told = self.without == Without::ReadBack && state.orders.contains(&state.asked);
            match candidate.refuses || is_told {
                true => Stand::Refuses {
                    epoch: if is_told { state.asked } else { candidate.epoch },
                    seal: candidate.seal.to_string(),
                },
                false => Stand::Unconfirmed("does not refuse it".to_owned()),
            }
        };
        let peer = |number: &u8| Peer {
            node: name(*number),
            address: address(*number),
            stand: stand(number),
            refused_by: BTreeSet::new(),
        };
        PEERS.iter().map(peer).collect()
    }

    fn verdict(&self, first: &Look, last: &Look) -> Verdict {
        let terms = Terms { lease_ms: 10, watchdog_ms: 5, drift_ppm: 0, stop_ms: 0 };
        let leash = LeashReport {
            boot_id: "old".to_owned(),
            driver: "hardware".to_owned(),
            nowayout: true,
            terms,
            candidates: PEERS.map(address).into(),
            kept_for_ms: 1_000_000,
            lease_age_ms: 0,
        };
        let leash = Attestation { leash, age_ms: 0 };
        let candidates = PEERS.map(address).into();
        let target = address(TARGET);
        judge(
            first,
            last,
            Known { target, candidates: &candidates, leash: Some(&leash), boot_id: Some("old"), accept_softdog: false },
        )
    }

    /// A look as `ganeti-oob` makes it: the first one of an epoch is kept, and forgotten when it did not hold.
    fn look(&self, state: &mut State) -> Option<()> {
        // Long after the first one, as far as the first one goes.
        const LATER: Duration = Duration::from_secs(1);
        let last = look(&name(TARGET), state.asked, &self.peers(state), LATER, LATER, "boot").ok()?;
        let seals: BTreeMap<u8, u8> = state.candidates.iter().map(|(number, one)| (*number, one.seal)).collect();
        let begin = |state: &mut State| {
            state.first = Some((state.asked, seals.clone()));
            state.opened = PEERS.into_iter().filter(|number| !state.candidates[number].refuses).collect();
        };
        let Some((epoch, first_seals)) = &state.first else {
            begin(state);
            return Some(());
        };
        let first_seals = if self.without == Without::Seal { &seals } else { first_seals };
        let first = Look {
            asked: Duration::ZERO,
            at: Duration::ZERO,
            epoch: if self.without == Without::SameEpoch { last.epoch } else { *epoch },
            seals: first_seals.iter().map(|(number, seal)| (name(*number), seal.to_string())).collect(),
            ..last.clone()
        };
        if begins_anew(&first, &last) {
            begin(state);
        } else if self.verdict(&first, &last) == Verdict::Bounded {
            state.said = true;
        }
        Some(())
    }
}

impl Model for Rules {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let candidates = PEERS.iter().map(|number| (*number, Candidate::default())).collect();
        vec![State { candidates, ..State::default() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        const LAST: Epoch = Epoch(3);
        if state.said {
            return;
        }
        if state.asked < LAST {
            actions.push(Action::Shun);
        }
        let newest = state.orders.iter().max().copied().unwrap_or_default();
        if newest.is_shunned() && newest < LAST {
            actions.push(Action::Admit);
        }
        for number in PEERS {
            actions.extend(state.orders.iter().map(|epoch| Action::Deliver(number, *epoch)));
            actions.push(Action::Apply(number));
            if state.faults < FAULTS {
                actions.extend([Action::Flush(number), Action::Boot(number)]);
            }
        }
        actions.push(Action::Look);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            // The epoch that it asks for follows what it has seen of others' orders.
            Action::Shun => {
                let seen = state.candidates.values().map(|one| one.epoch).max().unwrap_or_default();
                state.asked = seen.max(state.asked).shunned();
                state.orders.insert(state.asked);
            }
            Action::Admit => {
                let newest = state.orders.iter().max().copied()?;
                state.orders.insert(newest.admitted().ok()?);
            }
            Action::Deliver(number, epoch) => {
                let candidate = state.candidates.get_mut(&number)?;
                let mut kept = register(candidate.epoch);
                if self.without == Without::GreaterEpoch {
                    kept = register(epoch);
                } else {
                    kept.merge(&register(epoch));
                }
                let new = kept.epoch(&name(TARGET));
                if new != candidate.epoch {
                    // An address comes or goes: the rules stand as they were, with their seal.
                    candidate.epoch = new;
                    candidate.refuses = new.is_shunned();
                }
            }
            Action::Flush(number) => {
                state.candidates.get_mut(&number)?.refuses = false;
                state.faults += 1;
            }
            Action::Apply(number) => {
                let candidate = state.candidates.get_mut(&number)?;
                if candidate.epoch.is_shunned() && !candidate.refuses {
                    candidate.refuses = true;
                    candidate.seal += u8::from(self.without != Without::BootOrder);
                }
            }
            Action::Boot(number) => {
                state.faults += 1;
                let candidate = state.candidates.get_mut(&number)?;
                if self.without == Without::BootOrder {
                    candidate.refuses = false;
                } else {
                    candidate.refuses = candidate.epoch.is_shunned();
                    candidate.seal += 1;
                }
            }
            Action::Look => self.look(&mut state)?,
        }
        // Whoever did not refuse it for a moment may have granted in that moment.
        let open: Vec<u8> =
            state.candidates.iter().filter(|(_, one)| !one.refuses).map(|(number, _)| *number).collect();
        if state.first.is_some() {
            state.opened.extend(open);
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no majority can have granted", |_, state: &State| {
                !state.said || state.opened.len() < MAJORITY
            }),
            Property::sometimes("it is said", |_, state: &State| state.said),
        ]
    }
}
