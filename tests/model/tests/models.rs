//! The checker finds no counter-example with all conditions, and one if any of them is removed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use model::boots::{self, Boots};
use model::memory::Memory;
use model::rules::{self, Rules};
use model::timing::{self, Timing};
use stateright::{Checker, Model};

/// Runs a model; stops at the first counter-example, so that a broken function is found at once.
fn checked<M>(what: &str, model: M) -> impl Checker<M> + use<M>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let begun = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!(
        "{what}: {} states, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64()
    );
    checker
}

/// Checks that without one condition this property does not hold.
fn broken<M>(what: &str, model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = checked(what, model);
    let path = checker.discovery(property).unwrap_or_else(|| panic!("{what}: nothing is found"));
    println!("  {:?}", path.into_actions());
}

fn plain() -> Timing {
    Timing::plain(timing::Without::Nothing)
}

/// One or two candidates may be lost with the node, return, and shun then: different ones in each round.
fn partial(lost: &'static [u8]) -> Timing {
    Timing { lost, losses: 1, all_clocks: false, ..plain() }
}

/// The watchdog takes twice its timeout, and the asker expects that.
fn late() -> Timing {
    Timing { is_late: true, steps: 9, rounds: 0, all_clocks: false, ..plain() }
}

/// Disarmed self-fencing has a model of its own: both in one have too many states.
fn disarmed() -> Timing {
    Timing { rounds: 0, disarms: true, promise: 80, ..plain() }
}

fn paused() -> Timing {
    Timing { rounds: 0, pauses: 3, steps: 8, all_clocks: false, ..plain() }
}

fn writes_on() -> Timing {
    Timing { rounds: 0, writes_on: 2, steps: 9, ..plain() }
}

#[test]
fn time() {
    checked("time, the node is not a candidate", plain()).assert_properties();
    checked("time, itself a candidate", Timing { own_candidate: true, ..plain() }).assert_properties();
}

#[test]
fn time_disarmed_meanwhile() {
    checked("time, disarmed meanwhile", disarmed()).assert_properties();
}

/// Enough candidates shun the node in both rounds; some are lost with the node, and grant.
#[test]
fn time_some_are_lost() {
    checked("time, a candidate is lost too", partial(&[])).assert_properties();
    checked("time, two are lost, and one comes back", partial(&[2, 3])).assert_properties();
}

fn echoes() -> Timing {
    Timing { echoes: true, all_clocks: false, steps: 5, ..plain() }
}

#[test]
fn time_echoes() {
    let world = echoes();
    checked("time, confds that are silent", world).assert_properties();
}

#[test]
fn time_started_again() {
    let world = Timing { restarts: 1, all_clocks: false, ..plain() };
    checked("time, the service is started again", world).assert_properties();
}

#[test]
fn time_of_a_late_watchdog() {
    checked("time, a watchdog that takes twice its time", late()).assert_properties();
}

#[test]
fn time_of_a_host_that_is_paused() {
    checked("time, a host that can be paused", paused()).assert_properties();
}

#[test]
fn time_of_writes_that_were_accepted() {
    checked("time, writes that were accepted", writes_on()).assert_properties();
}

/// The proof is not vacuous: each condition is needed.
#[test]
fn without_any_condition_of_time_it_may_still_run() {
    use timing::Without;
    let of = |without| Timing { without, ..plain() };
    for world in [
        of(Without::SecondWatchdog),
        of(Without::Drift),
        of(Without::Sending),
        // A candidate that needs no majority grants to itself forever.
        Timing { own_candidate: true, ..of(Without::Majority) },
        of(Without::Confirmation),
        Timing { without: Without::Promise, ..disarmed() },
        Timing { without: Without::AgeOfPromise, promise: 10, ..disarmed() },
        Timing { without: Without::Measured, ..late() },
        Timing { without: Without::VirtualHost, ..paused() },
        Timing { without: Without::Stop, ..writes_on() },
        // Forged answers reach a host that has no others.
        Timing { without: Without::Signature, steps: 7, ..echoes() },
    ] {
        broken(&format!("time without {:?}", world.without), world, "who is proven to have stopped has");
    }
}

fn rules(without: rules::Without) -> Rules {
    Rules { without, faults: 2, askers: 1, epochs: 3, powered: false }
}

/// docs/self-fencing.md: from the first round to the report no majority of the candidates can have granted.
#[test]
fn rules_of_one_asker() {
    checked("rules", rules(rules::Without::Nothing)).assert_properties();
}

#[test]
fn rules_of_two_askers() {
    checked("rules, two askers", Rules { askers: 2, faults: 1, ..rules(rules::Without::Nothing) }).assert_properties();
}

#[test]
fn rules_where_the_power_is_seen_off() {
    let world = Rules { powered: true, faults: 1, ..rules(rules::Without::Nothing) };
    checked("rules, the power is seen off", world).assert_properties();
}

/// The proof is not vacuous: each condition is needed.
#[test]
fn without_any_condition_of_the_rules_a_majority_may_grant() {
    use rules::Without;
    for without in [Without::RulesetId, Without::GreaterEpoch, Without::BootOrder, Without::ReadBack] {
        broken(&format!("rules without {without:?}"), rules(without), "no majority can have granted");
    }
    let world = Rules { powered: true, ..rules(Without::Scope) };
    broken("rules without Scope", world, "no majority can have granted");
}

/// docs/self-fencing.md: nothing runs on the node's next boot either.
#[test]
fn boots_of_the_node() {
    checked("boots", Boots { without: boots::Without::Nothing }).assert_properties();
}

/// The proof is not vacuous: each condition is needed.
#[test]
fn without_any_condition_of_its_boots_the_next_one_may_run() {
    let world = Boots { without: boots::Without::Readiness };
    broken("boots without Readiness", world, "nothing runs where it is proven to have stopped");
}

#[test]
fn memory_of_one_that_was_readmitted() {
    checked("memory", Memory { unasked: false }).assert_properties();
    broken("memory without asking", Memory { unasked: true }, "what was readmitted is not proven to have stopped");
}
