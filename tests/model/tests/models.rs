//! Nothing is found with all conditions, and something with any one of them taken away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use model::rules::{self, Rules};
use model::timing::{self, Timing};
use stateright::{Checker, Model};

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

fn timing(without: timing::Without, own_candidate: bool) -> Timing {
    let promise = if without == timing::Without::AgeOfPromise { 10 } else { 80 };
    // A leash that is disarmed is a world of its own: both in one are more than can be looked at.
    let disarms = matches!(without, timing::Without::Promise | timing::Without::AgeOfPromise);
    Timing { without, own_candidate, promise, rounds: usize::from(!disarms), disarms }
}

/// docs/shunning.md: whenever it is said that a node has stopped, it has.
#[test]
fn who_is_said_to_have_stopped_has() {
    for own_candidate in [false, true] {
        let what = format!("time, {}", if own_candidate { "itself a candidate" } else { "no candidate" });
        checked(&what, timing(timing::Without::Nothing, own_candidate)).assert_properties();
    }
    let disarmed = Timing { rounds: 0, disarms: true, ..timing(timing::Without::Nothing, false) };
    checked("time, disarmed meanwhile", disarmed).assert_properties();
}

/// Not vacuous: each condition is needed.
#[test]
fn without_any_condition_of_time_it_may_still_run() {
    use timing::Without;
    for without in [
        Without::SecondWatchdog,
        Without::Drift,
        Without::Sending,
        Without::Majority,
        Without::BlockingSet,
        Without::Confirmation,
        Without::Promise,
        Without::AgeOfPromise,
    ] {
        // A candidate that needs no majority grants to itself for ever.
        let own_candidate = without == Without::Majority;
        let checker = checked(&format!("time without {without:?}"), timing(without, own_candidate));
        let path = checker.discovery("who is said to have stopped has");
        let path = path.unwrap_or_else(|| panic!("without {without:?} nothing is found"));
        println!("  {:?}", path.into_actions());
    }
}

/// docs/shunning.md: from the first look to the word no majority of the candidates can have granted.
#[test]
fn no_majority_grants_while_it_is_waited_for() {
    checked("rules", Rules { without: rules::Without::Nothing }).assert_properties();
}

/// Not vacuous: each condition is needed.
#[test]
fn without_any_condition_of_the_rules_a_majority_may_grant() {
    use rules::Without;
    for without in [Without::Seal, Without::SameEpoch, Without::GreaterEpoch, Without::BootOrder, Without::ReadBack] {
        let checker = checked(&format!("rules without {without:?}"), Rules { without });
        let path = checker.discovery("no majority can have granted");
        let path = path.unwrap_or_else(|| panic!("without {without:?} nothing is found"));
        println!("  {:?}", path.into_actions());
    }
}
