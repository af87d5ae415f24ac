//! What is remembered: a host knows that the node had stopped itself, and others have readmitted it since, with the next boot.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gnt_ha::core::shun::list::Epoch;
use gnt_ha::core::shun::memory::{is_known_to_enough, still_holds};
use stateright::{Model, Property};

use crate::address;

/// The candidates beside the node; the first of them is the host that remembers.
const CANDIDATES: [u8; 4] = [1, 2, 3, 4];

/// A node that is no candidate.
const REGULAR: u8 = 8;

/// The model.
#[derive(Clone, Debug)]
pub struct Memory {
    /// What is remembered is said without asking anybody.
    pub unasked: bool,
}

/// A state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// In which epoch each node has it.
    epochs: BTreeMap<u8, Epoch>,
    /// It is reported as readmitted, and may run instances.
    runs: bool,
    /// It was said from memory, after that, that it has stopped.
    said: bool,
    said_before: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A node learns that it is readmitted.
    Learn(u8),
    /// Whoever readmits it looks whether enough know.
    Report,
    /// The first host is asked, and gets answers from these.
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
        vec![State { epochs, runs: false, said: false, said_before: false }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // The one that remembers has missed it.
        actions.extend(Self::all().skip(1).map(Action::Learn));
        actions.push(Action::Report);
        if !state.said {
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
                let told = state.epochs.iter().filter(|(_, epoch)| **epoch == Epoch(2));
                let told = told.map(|(number, _)| address(*number)).collect();
                state.runs = is_known_to_enough(&told, &Self::candidates()).is_ok();
            }
            // Each bit one of the others that answers.
            Action::Recall(bits) => {
                let others = Self::all().skip(1).enumerate();
                let answering = others.filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, number)| number);
                let answered: Vec<_> =
                    [1].into_iter().chain(answering).map(|number| (address(number), state.epochs[&number])).collect();
                if self.unasked || still_holds(Epoch(1), &answered, &Self::candidates()).is_ok() {
                    state.said |= state.runs;
                    state.said_before |= !state.runs;
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what was readmitted is not said to have stopped", |_, state: &State| !state.said),
            Property::sometimes("it is said", |_, state: &State| state.said_before),
            Property::sometimes("it is readmitted", |_, state: &State| state.runs),
        ]
    }
}
