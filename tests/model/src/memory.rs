//! The model of memory: a host knows that the node had stopped, and others have readmitted it since, with the next
//! boot.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gnt_ha::core::shun::list::Epoch;
use gnt_ha::core::shun::memory::{is_known_to_enough, still_holds};
use stateright::{Model, Property};

use crate::address;

/// The candidates besides the node; the first of them is the host that remembers.
const CANDIDATES: [u8; 4] = [1, 2, 3, 4];

/// A node that is not a candidate.
const REGULAR: u8 = 8;

/// The model of memory.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Whether the memory is used without asking other nodes.
    pub unasked: bool,
}

/// A state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The epoch in which each node has the target.
    epochs: BTreeMap<u8, Epoch>,
    /// Whether it is reported as readmitted, and may run instances.
    runs: bool,
    /// Whether it was reported as stopped after that, from memory.
    is_proven: bool,
    proven_before: bool,
}

/// The steps of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A node gets the readmission.
    Learn(u8),
    /// The readmitting node checks whether enough candidates know it.
    Report,
    /// The first host is asked for the state, and gets answers from these nodes.
    Recall(u8),
}

impl Memory {
    fn all() -> impl Iterator<Item = u8> {
        CANDIDATES.into_iter().chain([REGULAR])
    }

    fn candidates() -> BTreeSet<IpAddr> {
        CANDIDATES.map(address).into()
    }
}

impl Model for Memory {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let epochs = Self::all().map(|number| (number, Epoch(1))).collect();
        vec![State { epochs, runs: false, is_proven: false, proven_before: false }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // The host that remembers has missed the readmission.
        actions.extend(Self::all().skip(1).map(Action::Learn));
        actions.push(Action::Report);
        if !state.is_proven {
            actions.extend((0..16).map(Action::Recall));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Learn(number) => {
                state.epochs.insert(number, Epoch(2));
            }
            Action::Report => {
                let informed = state.epochs.iter().filter(|(_, epoch)| **epoch == Epoch(2));
                let informed = informed.map(|(number, _)| address(*number)).collect();
                state.runs = is_known_to_enough(&informed, &Self::candidates()).is_ok();
            }
            // Each bit stands for one of the other nodes, which answers.
            Action::Recall(bits) => {
                let others = Self::all().skip(1).enumerate();
                let answering = others.filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, number)| number);
                let answered: Vec<_> =
                    [1].into_iter().chain(answering).map(|number| (address(number), state.epochs[&number])).collect();
                if self.unasked || still_holds(Epoch(1), &answered, &Self::candidates()).is_ok() {
                    state.is_proven |= state.runs;
                    state.proven_before |= !state.runs;
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what was readmitted is not proven to have stopped", |_, state: &State| !state.is_proven),
            Property::sometimes("it is proven", |_, state: &State| state.proven_before),
            Property::sometimes("it is readmitted", |_, state: &State| state.runs),
        ]
    }
}
