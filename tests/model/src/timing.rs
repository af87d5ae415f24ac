//! The model of time: an armed node, three candidates that begin to shun it one by one, and an asker that waits until
//! it has stopped.
//!
//! The node and the asker have clocks of their own, each up to a tenth too fast or too slow. Requests and answers may
//! be lost, repeated and late. The node may be stopped at any point, also between its check of the lease and its
//! keepalive, and its service started again. Candidates may be lost together with it: they grant, and the asker cannot
//! reach them.

mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use gnt_ha::core::shun::evaluation::{Peer, PeerState, ProofResult, Round, evaluate_proof, evaluate_round, first_of};
use gnt_ha::core::shun::expiry::reset_within_ms;
use gnt_ha::core::shun::lease::{CandidateAnswer, Lease};
use gnt_ha::core::shun::lease_times::LeaseTimes;
use gnt_ha::core::shun::list::{Epoch, ShunScope};
use gnt_ha::core::shun::messages::DatedSelfFenceReport;

use crate::{TARGET, address, known, name, self_fence};

/// The conditions of the proof, which a test can remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    /// No condition is removed.
    Nothing,
    /// The second watchdog timeout in the wait time: for a keepalive that comes late after its check.
    SecondWatchdog,
    /// The factor for wrong clock rates.
    Drift,
    /// The lease counts from the sending of its requests: here from the receipt of an answer.
    Sending,
    /// A majority has to grant: here one candidate is enough.
    Majority,
    /// Silence proves nothing: here a candidate that was not reached counts as one that shuns.
    Confirmation,
    /// Disarmed self-fencing keeps its discipline for as long as it has promised: here it does not.
    Promise,
    /// The asker checks how long the promise holds: here it believes any report.
    AgeOfPromise,
    /// The reported timeout is the time within which the watchdog resets the host: here it is the device's own value,
    /// and the reset is late.
    Measured,
    /// A host that can be paused reports that: here it does not.
    VirtualHost,
    /// Writes that were accepted before the reset end within the stop time: here no time is added for them.
    Stop,
    /// An echo is signed: here any host answers in the place of a candidate that shuns.
    Signature,
}

/// A time in units; ten units are one step of true time.
const STEP: u64 = 10;
const LEASE: u64 = 20;
const WATCHDOG: u64 = 10;
const DRIFT_PPM: u32 = 100_000;

const EPOCH: Epoch = Epoch(1);

/// The model of time, with its parameters.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The condition that is removed.
    pub without: Without,
    /// The number of steps that are checked.
    pub steps: u64,
    /// Whether the target is one of the three candidates, and grants to itself.
    pub own_candidate: bool,
    /// How long self-fencing promises to keep its discipline, in units.
    pub promise: u64,
    /// The number of rounds of the node, besides the one of its first lease.
    pub rounds: usize,
    /// Whether the administrator may disarm it.
    pub disarms: bool,
    /// How often a candidate is lost together with the node, or returns.
    pub losses: u8,
    /// The candidates that are lost with it from the beginning.
    pub lost: &'static [u8],
    /// Whether candidates may have a silent confd and a daemon of ours that answers echoes.
    pub echoes: bool,
    /// How often the self-fencing service is started again.
    pub restarts: u8,
    /// Whether the watchdog resets the host only after twice its reported timeout.
    pub is_late: bool,
    /// How often the host is paused for a step, with its clock and its watchdog.
    pub pauses: u8,
    /// For how many steps of true time data is still written after the reset: writes that remote storage had accepted.
    pub writes_on: u64,
    /// Whether all clock rates are tried, and not only a slow node with a fast asker.
    pub all_clocks: bool,
}

/// Whether the node keeps its discipline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discipline {
    /// The node keeps its discipline.
    Armed,
    /// The node keeps it until this time, by its clock.
    Until(u64),
    /// The node sends keepalives in any case.
    Free,
}

/// The kept state of the first round.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct First {
    at: u64,
    shunning: BTreeSet<u8>,
    lost: BTreeSet<u8>,
}

/// A state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    step: u64,
    paused: u64,
    node_rate: u64,
    asker_rate: u64,
    lease: Lease,
    sent: BTreeSet<u64>,
    answered: BTreeSet<(u64, u8, bool)>,
    received: BTreeMap<u64, BTreeMap<u8, bool>>,
    has_checked: bool,
    written: u64,
    stopped_at: Option<u64>,
    restarts: u8,
    discipline: Discipline,
    shunning: BTreeSet<u8>,
    lost: BTreeSet<u8>,
    losses: u8,
    first: Option<First>,
    is_proven: bool,
}

/// The steps of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Time advances by one step.
    Step,
    /// Time advances, and the host is paused.
    Pause,
    /// The node asks all candidates.
    Ask,
    /// A candidate answers a round: its confd, or the daemon of ours alone.
    Answer(u64, u8, bool),
    /// The answer arrives, perhaps a second time.
    Receive(u64, u8, bool),
    /// The node checks its lease.
    Check,
    /// The node sends a keepalive after its check.
    Keepalive,
    /// The self-fencing service is started again, and goes on with its written state.
    Restart,
    /// The administrator disarms it.
    Disarm,
    /// A candidate shuns the node from now on.
    Shun(u8),
    /// A candidate is cut off from the asker, not from the node.
    Lose(u8),
    /// The candidate can be reached again.
    Return(u8),
    /// The asker sends a round to all nodes.
    AskPeers,
}

impl State {
    fn node_clock(&self) -> u64 {
        (self.step - self.paused) * self.node_rate
    }

    fn asker_clock(&self) -> u64 {
        self.step * self.asker_rate
    }
}

fn units(units: u64) -> Duration {
    Duration::from_millis(units)
}

impl Timing {
    /// Returns a model in which only time passes, messages are sent and candidates shun.
    #[must_use]
    pub const fn plain(without: Without) -> Self {
        Self {
            without,
            steps: 7,
            own_candidate: false,
            promise: 400,
            rounds: 1,
            disarms: false,
            losses: 0,
            lost: &[],
            echoes: false,
            restarts: 0,
            is_late: false,
            pauses: 0,
            writes_on: 0,
            all_clocks: true,
        }
    }

    fn lease_times(&self) -> LeaseTimes {
        let stop_ms = if self.without == Without::Stop { 0 } else { self.writes_on * STEP };
        LeaseTimes { lease_ms: LEASE, watchdog_ms: WATCHDOG, drift_ppm: DRIFT_PPM, stop_ms }
    }

    /// Returns the units of its own clock after which the watchdog really resets the host.
    const fn resets_after(&self) -> u64 {
        if self.is_late { 2 * WATCHDOG } else { WATCHDOG }
    }

    /// Returns the times that the asker uses.
    fn reported(&self) -> LeaseTimes {
        let driver = if self.is_late && self.without != Without::Measured { "iTCO_wdt" } else { "hardware" };
        let lease_times = LeaseTimes { watchdog_ms: reset_within_ms(driver, WATCHDOG, None), ..self.lease_times() };
        match self.without {
            // Half of the doubled time.
            Without::SecondWatchdog => LeaseTimes { watchdog_ms: WATCHDOG / 2, ..lease_times },
            Without::Drift => LeaseTimes { drift_ppm: 0, ..lease_times },
            _ => lease_times,
        }
    }

    const fn candidates(&self) -> [u8; 3] {
        if self.own_candidate { [1, 2, TARGET] } else { [1, 2, 3] }
    }

    fn list(&self) -> BTreeSet<IpAddr> {
        self.candidates().map(address).into()
    }

    fn others(&self) -> impl Iterator<Item = u8> {
        self.candidates().into_iter().filter(|number| *number != TARGET)
    }

    fn peers(&self, state: &State) -> Vec<Peer> {
        let state_of = |number: u8| {
            let is_shunning = state.shunning.contains(&number) && !state.lost.contains(&number);
            match is_shunning || self.without == Without::Confirmation {
                true => shuns(),
                false => PeerState::Unconfirmed("does not answer".to_owned()),
            }
        };
        // The asker is not one of the three, and shuns both the node and the candidates that are lost with it.
        let asker = Peer { node: name(4), address: address(4), state: shuns(), shunned_by: BTreeSet::new() };
        let others = self.others().map(|number| {
            // Candidates that are not lost shun those that are.
            let is_lost = state.lost.contains(&number);
            let shunned_by = if is_lost { self.others().chain([4]).map(name).collect() } else { BTreeSet::new() };
            Peer { node: name(number), address: address(number), state: state_of(number), shunned_by }
        });
        others.chain([asker]).collect()
    }

    /// Returns the asker's view now.
    fn round(&self, state: &State) -> Option<Round> {
        let at = units(state.asker_clock());
        evaluate_round(&name(TARGET), (EPOCH, ShunScope::All), &self.peers(state), at, at, "boot").ok()
    }

    fn proof_result(&self, first: &Round, last: &Round) -> ProofResult {
        let guaranteed_for_ms = if self.without == Without::AgeOfPromise { 1_000_000 } else { self.promise };
        let list = self.list();
        let mut report = self_fence("old", self.reported(), &list, guaranteed_for_ms);
        report.is_virtual = Some(self.pauses > 0 && self.without != Without::VirtualHost);
        // The report is from the beginning.
        let age_ms = u64::try_from(first.at.as_millis()).unwrap_or(u64::MAX);
        let reported = DatedSelfFenceReport { self_fence: report, age_ms, uptime_ms: None };
        evaluate_proof(first, last, known(&[address(TARGET)].into(), &list, Ok(&reported), "old"))
    }

    fn receive(&self, state: &mut State, sent: u64) {
        let answer = |is_confd: bool| if is_confd { CandidateAnswer::Granted } else { CandidateAnswer::Alive };
        let received = state.received.get(&sent).into_iter().flatten();
        let answers: BTreeMap<IpAddr, CandidateAnswer> =
            received.map(|(number, is_confd)| (address(*number), answer(*is_confd))).collect();
        let counts_from = if self.without == Without::Sending { state.node_clock() } else { sent };
        let list = self.list();
        if self.without == Without::Majority && !answers.is_empty() {
            let all = list.iter().map(|address| (*address, CandidateAnswer::Granted)).collect();
            state.lease.round(units(counts_from), &list, &all);
        }
        state.lease.round(units(counts_from), &list, &answers);
    }

    /// Runs a round as `ganeti-oob` does: the first one is kept while it holds.
    fn ask_peers(&self, state: &mut State) -> Option<()> {
        let last = self.round(state)?;
        let kept = state.first.as_ref().map(|first| Round {
            asked: units(first.at),
            at: units(first.at),
            shunning: first.shunning.iter().copied().map(address).collect(),
            ruleset_ids: first.shunning.iter().map(|number| (name(*number), "ruleset".to_owned())).collect(),
            lost: first.lost.iter().copied().map(name).collect(),
            ..last.clone()
        });
        let first = first_of(kept.as_ref(), &last);
        if Some(first) != kept.as_ref() {
            let numbers = self.others().chain([4]);
            let (shunning, lost) = (
                numbers.filter(|number| last.shunning.contains(&address(*number))).collect(),
                self.others().filter(|number| last.lost.contains(&name(*number))).collect(),
            );
            state.first = Some(First { at: state.asker_clock(), shunning, lost });
        } else if self.proof_result(first, &last) == ProofResult::Bounded {
            state.is_proven = true;
        }
        Some(())
    }
}

fn shuns() -> PeerState {
    PeerState::Shuns { epoch: EPOCH, ruleset_id: "ruleset".to_owned(), scope: ShunScope::All }
}
