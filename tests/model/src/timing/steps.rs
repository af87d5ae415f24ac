//! The steps that the checker may take in any order, and what must hold after each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gnt_ha::core::shun::lease::{CandidateAnswer, Lease};
use stateright::{Model, Property};

use super::{Action, Discipline, STEP, State, Timing, Without, units};

impl Model for Timing {
    type State = State;
    type Action = Action;

    /// The node has a lease, is armed and has just sent a keepalive; its clock and the asker's have their maximum
    /// errors.
    fn init_states(&self) -> Vec<State> {
        let (slow, fast) = (STEP - 1, STEP + 1);
        let state = |(node_rate, asker_rate)| {
            let mut lease = Lease::new(self.lease_times(), self.list());
            lease.round(
                Duration::ZERO,
                &self.list(),
                &self.list().into_iter().map(|at| (at, CandidateAnswer::Granted)).collect(),
            );
            State {
                step: 0,
                paused: 0,
                node_rate,
                asker_rate,
                lease,
                sent: BTreeSet::new(),
                answered: BTreeSet::new(),
                received: BTreeMap::new(),
                has_checked: false,
                written: 0,
                stopped_at: None,
                restarts: 0,
                discipline: Discipline::Armed,
                shunning: BTreeSet::new(),
                lost: self.lost.iter().copied().collect(),
                losses: 0,
                first: None,
                is_proven: false,
            }
        };
        let all = [(slow, fast), (slow, slow), (fast, slow), (fast, fast)];
        all.into_iter().take(if self.all_clocks { 4 } else { 1 }).map(state).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.is_proven {
            return;
        }
        if state.step < self.steps {
            actions.push(Action::Step);
            if state.paused < u64::from(self.pauses) && state.stopped_at.is_none() {
                actions.push(Action::Pause);
            }
        }
        if state.stopped_at.is_none() {
            if state.sent.len() < self.rounds && !state.sent.contains(&state.node_clock()) {
                actions.push(Action::Ask);
            }
            actions.extend(
                state.answered.iter().map(|(sent, number, is_confd)| Action::Receive(*sent, *number, *is_confd)),
            );
            actions.push(if state.has_checked { Action::Keepalive } else { Action::Check });
            if self.disarms && state.discipline == Discipline::Armed {
                actions.push(Action::Disarm);
            }
            if state.restarts < self.restarts {
                actions.push(Action::Restart);
            }
        }
        for sent in &state.sent {
            for number in self.candidates() {
                let kinds: &[bool] = match (state.shunning.contains(&number), self.without) {
                    (true, Without::Signature) => &[false],
                    (true, _) => continue,
                    (false, _) if self.echoes => &[true, false],
                    (false, _) => &[true],
                };
                let new = kinds.iter().filter(|kind| !state.answered.contains(&(*sent, number, **kind)));
                actions.extend(new.map(|kind| Action::Answer(*sent, number, *kind)));
            }
        }
        for number in self.others() {
            let is_lost = state.lost.contains(&number);
            // A lost candidate gets no entries.
            if !state.shunning.contains(&number) && !is_lost {
                actions.push(Action::Shun(number));
            }
            if state.losses < self.losses {
                actions.push(if is_lost { Action::Return(number) } else { Action::Lose(number) });
            }
        }
        actions.push(Action::AskPeers);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Step | Action::Pause => {
                state.step += 1;
                state.paused += u64::from(action == Action::Pause);
                // The watchdog is part of the node, and as wrong as its clock.
                if state.node_clock() >= state.written + self.resets_after() {
                    state.stopped_at = state.stopped_at.or(Some(state.step));
                }
                if let Discipline::Until(until) = state.discipline
                    && state.node_clock() >= until
                {
                    state.discipline = Discipline::Free;
                }
            }
            Action::Ask => {
                state.sent.insert(state.node_clock());
            }
            Action::Answer(sent, number, is_confd) => {
                state.answered.insert((sent, number, is_confd));
            }
            Action::Receive(sent, number, is_confd) => {
                let received = state.received.entry(sent).or_default().entry(number).or_insert(is_confd);
                // A signed answer counts more, whichever comes first.
                *received |= is_confd;
                self.receive(&mut state, sent);
            }
            Action::Check => {
                state.has_checked =
                    state.discipline == Discipline::Free || state.lease.is_valid(units(state.node_clock()));
            }
            Action::Keepalive => {
                state.written = state.node_clock();
                state.has_checked = false;
            }
            Action::Restart => {
                let granted_at = state.lease.granted_at()?;
                state.lease = Lease::restored(self.lease_times(), state.lease.candidates().clone(), granted_at);
                // The new process does not know earlier requests.
                (state.has_checked, state.received, state.answered) = (false, BTreeMap::new(), BTreeSet::new());
                state.restarts += 1;
            }
            Action::Disarm => {
                // As in the daemon: the promise counts by the slowest possible clock.
                let until = state.node_clock() + (self.promise * 11).div_ceil(9);
                state.discipline =
                    if self.without == Without::Promise { Discipline::Free } else { Discipline::Until(until) };
            }
            Action::Shun(number) => {
                state.shunning.insert(number);
            }
            Action::Lose(number) => {
                state.lost.insert(number);
                state.losses += 1;
            }
            Action::Return(number) => {
                state.lost.remove(&number);
                state.losses += 1;
            }
            Action::AskPeers => self.ask_peers(&mut state)?,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![Property::always("who is proven to have stopped has", |model: &Self, state: &State| {
            !state.is_proven || state.stopped_at.is_some_and(|at| state.step >= at + model.writes_on)
        })];
        // A host that can be paused is never reported as stopped.
        if self.pauses == 0 {
            all.push(Property::sometimes("it is proven", |_, state: &State| state.is_proven));
        }
        all
    }
}
