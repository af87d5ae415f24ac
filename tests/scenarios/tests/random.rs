//! Random scripts: no sequence of events makes a decision break an invariant.
//!
//! Each run tries the same sequences, so that a failure comes from a change. `GNT_HA_SEED` asks for others, as `make soak`
//! does.

use gnt_ha::core::grade::Grade;
use gnt_ha::core::receipt::{Action, Outcome};
use gnt_ha::core::reconcile::FenceAction;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scenarios::command::{Command, Device, Flag};
use scenarios::{Script, run};

/// The time between two commands, in s: more than a monitor's interval, so that each is seen before the next.
const STEP: u64 = 13;

fn grade() -> impl Strategy<Value = Grade> {
    prop::sample::select(Grade::ACCEPTABLE.to_vec())
}

fn fence_action() -> impl Strategy<Value = FenceAction> {
    prop::sample::select(vec![FenceAction::Off, FenceAction::Reboot, FenceAction::On])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![Outcome::Done, Outcome::OffOnly, Outcome::Refused, Outcome::Unknown])
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![Action::On, Action::Off, Action::Cycle, Action::Reboot])
}

/// Events of hosts.
fn accident(hosts: usize) -> impl Strategy<Value = Command> {
    let host = || 0..hosts;
    prop_oneof![
        host().prop_map(Command::PowerCut),
        host().prop_map(Command::PowerOn),
        host().prop_map(Command::Crash),
        host().prop_map(Command::Cut),
        host().prop_map(Command::Heal),
        (host(), any::<bool>()).prop_map(|(host, alive)| Command::Bmc(host, alive)),
        (host(), any::<bool>()).prop_map(|(host, answers)| Command::Noded(host, answers)),
        any::<bool>().prop_map(Command::QuorumLost),
        any::<bool>().prop_map(Command::NotifyMuted),
        any::<bool>().prop_map(Command::Jobs),
        any::<bool>().prop_map(Command::ReceiptsOfAll),
        host().prop_map(Command::HistoryGone),
    ]
}

/// Commands of administrators.
fn deed(hosts: usize) -> impl Strategy<Value = Command> {
    let host = || 0..hosts;
    let flag = prop::sample::select(vec![Flag::Offline, Flag::Drained, Flag::MasterCapable, Flag::OobProgram]);
    let device = prop::sample::select(vec![Device::Ganeti, Device::Other]);
    prop_oneof![
        host().prop_map(Command::StopStack),
        host().prop_map(Command::StartStack),
        (host(), any::<bool>()).prop_map(|(host, on)| Command::Autostart(host, on)),
        (host(), any::<bool>()).prop_map(|(host, on)| Command::Standby(host, on)),
        (host(), fence_action(), any::<bool>()).prop_map(|(host, action, ends)| Command::Fence(host, action, ends)),
        host().prop_map(Command::Confirm),
        (host(), outcome()).prop_map(|(host, outcome)| Command::Receipt(host, Action::Reboot, outcome, Grade::Off)),
        (host(), outcome()).prop_map(|(host, outcome)| Command::Receipt(host, Action::Off, outcome, Grade::Off)),
        (host(), outcome()).prop_map(|(host, outcome)| Command::Receipt(host, Action::Cycle, outcome, Grade::Off)),
        (host(), action()).prop_map(|(host, action)| Command::Begun(host, action)),
        Just(Command::Pause("random".to_owned())),
        Just(Command::Resume),
        any::<bool>().prop_map(Command::Maintenance),
        any::<bool>().prop_map(Command::Drain),
        grade().prop_map(Command::LeastGrade),
        device.prop_map(Command::Device),
        fence_action().prop_map(|action| {
            Command::FenceWith(if action == FenceAction::On { FenceAction::Reboot } else { action })
        }),
        host().prop_map(Command::MasterFailover),
        host().prop_map(Command::Readd),
        (host(), flag, any::<bool>()).prop_map(|(host, flag, value)| Command::Modify(host, flag, value)),
        host().prop_map(Command::Touch),
        Just(Command::BreakerReset),
    ]
}

fn script(hosts: usize) -> impl Strategy<Value = Script> {
    let command = prop_oneof![accident(hosts), deed(hosts)];
    let commands = prop::collection::vec((1..6_u64, command), 5..40);
    (commands, 0..hosts, 1..hosts + 1, prop::sample::select(vec![5_u64, 40, 150])).prop_map(
        move |(commands, master, pool, boot)| {
            let mut at = 0;
            let commands: Vec<(u64, Command)> = commands
                .into_iter()
                .map(|(steps, command)| {
                    at += steps * STEP;
                    (at, command)
                })
                .collect();
            Script { hosts, master, pool, boot, until: at + 60, commands, ..Script::default() }
        },
    )
}

/// Prints the failed script in readable form.
fn with_log(script: &Script, log: &str) -> String {
    format!("{:#?}\n{log}", script.commands)
}

/// Returns the number in an environment variable.
fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// The number of scripts, which takes seconds; `PROPTEST_CASES` asks for more. `GNT_HA_SEED` chooses them.
fn config() -> ProptestConfig {
    let cases = variable("PROPTEST_CASES").unwrap_or(80);
    let rng_seed = RngSeed::Fixed(variable("GNT_HA_SEED").unwrap_or(20_261_201));
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_invariant_is_broken_in_three_hosts(script in script(3)) {
        let outcome = run(&script).map_err(TestCaseError::fail)?;
        prop_assert!(outcome.broken.is_empty(), "{:?}\n{}", outcome.broken, with_log(&script, &outcome.log));
    }

    #[test]
    fn no_invariant_is_broken_in_seven_hosts(script in script(7)) {
        let outcome = run(&script).map_err(TestCaseError::fail)?;
        prop_assert!(outcome.broken.is_empty(), "{:?}\n{}", outcome.broken, with_log(&script, &outcome.log));
    }

    /// Without noded, Pacemaker's view alone shows that a node has returned.
    #[test]
    fn no_invariant_is_broken_without_asking_noded(script in script(4)) {
        let mut script = Script { boot: 150, ..script };
        script.commands.insert(0, (0, Command::AskNoded(false)));
        let outcome = run(&script).map_err(TestCaseError::fail)?;
        prop_assert!(outcome.broken.is_empty(), "{:?}\n{}", outcome.broken, with_log(&script, &outcome.log));
    }

    /// A lost memory at any time, and changed clocks, may prevent a record; they never lead to a wrong one.
    #[test]
    fn no_invariant_is_broken_by_lost_memories_and_clocks(
        script in script(4),
        harm in prop::collection::vec((0..1_500_u64, 0..4_usize, any::<bool>(), -7_200..7_200_i64), 1..6),
    ) {
        let mut script = script;
        for (at, host, forget, by) in harm {
            let command = if forget { Command::Forget(host) } else { Command::Clock(host, by) };
            script.commands.push((at, command));
        }
        script.commands.sort_by_key(|(at, _)| *at);
        let outcome = run(&script).map_err(TestCaseError::fail)?;
        prop_assert!(outcome.broken.is_empty(), "{:?}\n{}", outcome.broken, with_log(&script, &outcome.log));
    }
}
