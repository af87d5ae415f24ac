//! Recovery in a simulated cluster: hosts that die, are cut off and return, Ganeti's job queue with its opcodes, and
//! administrators. No sequence of events makes gnt-ha start an instance that runs elsewhere or was stopped by hand, or
//! lose one without naming it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its simulated world is wrong")]

mod event;
mod ganeti;
mod record;
mod world;

use event::Event;
use world::{Broken, Guard, HOSTS, INSTANCES, World, vm_name};

/// How many random sequences are tried; `RECOVERY_SEEDS` sets another number, and `GNT_HA_SEED` the first one. Of one
/// alone, the jobs of each instance are printed.
fn seeds() -> u64 {
    std::env::var("RECOVERY_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

/// Runs a random sequence of events in a cluster without these guards, and then lets it come to rest.
fn ran(seed: u64, without: &[Guard]) -> World {
    let mut world = World::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    world.without = without.to_vec();
    world.plans = 60;
    // A duplicate needs a lost answer and two losses: other events hide it.
    if without.contains(&Guard::Memory) {
        (world.has_only_losses, world.plans) = (true, 35);
    }
    for _ in 0..world.chance(40) + 5 {
        let event = world.random_event();
        world.step(&event);
    }
    world.plans = 100;
    for event in [Event::Paused(false), Event::HailFails(false)] {
        world.step(&event);
    }
    for _ in 0..40 {
        world.step(&Event::Nothing);
    }
    world
}

#[test]
fn nothing_runs_twice_and_nothing_is_lost() {
    let first = std::env::var("GNT_HA_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds() {
        let mut world = ran(seed, &[]);
        if seeds() == 1 && !world.broken.is_empty() {
            (0..INSTANCES).for_each(|number| eprintln!("vm{number}{}", world.jobs_of(number)));
        }
        assert_eq!(world.broken, [], "seed {seed}");
        let plan = world.planned();
        assert!(plan.starts.is_empty() && plan.under_way.is_empty(), "seed {seed} is never done: {plan:?}");
        for (number, vm) in world.vms.iter().enumerate() {
            let runs = world.hosts.iter().any(|host| host.running.contains(&number));
            let is_named = plan.not_recovered.iter().any(|(name, _)| *name == vm_name(number));
            let is_of_dead = world.hosts[vm.primary].is_offline;
            let is_to_run = vm.is_up && (is_of_dead || world.is_moved_in_vain(number));
            if seeds() == 1 {
                eprintln!("vm{number}, runs: {runs}{}", world.jobs_of(number));
            }
            assert!(
                runs || is_named || !is_to_run,
                "seed {seed}: vm{number} is lost: {plan:?}{}",
                world.jobs_of(number)
            );
        }
    }
}

/// The simulation finds the fault that each guard prevents: a search that finds nothing shows nothing.
#[test]
fn without_a_guard_the_fault_is_found() {
    let cases: [(&[Guard], Broken); 5] = [
        (&[Guard::Hook], Broken::Stopped),
        (&[Guard::Hook, Guard::Memory], Broken::Twice),
        (&[Guard::Running], Broken::Twice),
        (&[Guard::Proof], Broken::Twice),
        (&[Guard::Record], Broken::Twice),
    ];
    for (without, fault) in cases {
        let is_found = |seed: &u64| ran(*seed, without).broken.iter().any(|(broken, _)| *broken == fault);
        let found = (0..2_000).find(is_found);
        assert!(found.is_some(), "{fault:?} is not found without {without:?}");
    }
}

/// One host dies in a cluster that is otherwise well, and the master dies at any step of the recovery: everything runs
/// again.
#[test]
fn everything_runs_again() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        let dead = 1 + world.chance(HOSTS - 1);
        let is_cut = world.chance(2) == 0;
        world.step(&if is_cut { Event::Cut(dead) } else { Event::Die(dead) });
        for _ in 0..12 {
            let dies = world.chance(2) == 0;
            world.step(&if dies { Event::MasterDies } else { Event::Nothing });
        }
        for _ in 0..10 {
            world.step(&Event::Nothing);
        }
        assert_eq!(world.broken, [], "seed {seed}");
        for number in 0..INSTANCES {
            assert!(world.hosts.iter().any(|host| host.running.contains(&number)), "seed {seed}: vm{number}");
        }
    }
}

/// luxid takes the jobs and its answer is lost: nothing is submitted twice, and all run again.
#[test]
fn a_lost_answer_starts_nothing_twice() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.step(&Event::Die(1));
        for _ in 0..12 {
            let is_lost = world.chance(2) == 0;
            world.step(&if is_lost { Event::AnswerLost } else { Event::Nothing });
        }
        for _ in 0..20 {
            world.step(&Event::Nothing);
        }
        assert_eq!(world.broken, [], "seed {seed}");
        let starts = world.queue.iter().filter(|job| job.ops[0]["instance_name"] == "vm0").count();
        assert_eq!(starts, 1, "seed {seed}");
    }
}

/// The start fails on the first host that is chosen, and the second one takes the instance.
#[test]
fn a_host_that_starts_nothing_is_left_out() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.hosts[2].starts_fail = true;
        world.step(&Event::Die(1));
        for _ in 0..12 {
            world.step(&Event::Nothing);
        }
        assert_eq!(world.broken, []);
        let on = (0..HOSTS).find(|host| world.hosts[*host].running.contains(&0));
        assert!(on.is_some_and(|host| host > 2), "seed {seed}: {on:?}");
    }
}

/// After its record, the host is readmitted, added again, starts its instances, is set offline by hand, and does not answer:
/// before a plan, and while starts wait in the queue. gnt-ha names its instances. Without the guard it starts them.
#[test]
fn a_host_that_was_back_between_two_reconciliations_keeps_its_instances() {
    let ran = |seed: u64, without: &[Guard]| {
        let mut world = World::new(seed);
        world.without = without.to_vec();
        world.step(&Event::Die(1));
        while !world.hosts[1].is_offline {
            world.step(&Event::Nothing);
        }
        for _ in 0..world.chance(2) {
            world.step(&Event::Nothing);
        }
        world.step(&Event::BackUnseen(1));
        for _ in 0..20 {
            world.step(&Event::Nothing);
        }
        world
    };
    let mut stayed = 0;
    for seed in 0..200 {
        let mut world = ran(seed, &[]);
        assert_eq!(world.broken, [], "seed {seed}");
        let plan = world.planned();
        for vm in world.hosts[1].running.clone() {
            stayed += 1;
            let is_named = plan.not_recovered.iter().any(|(name, _)| *name == vm_name(vm));
            assert!(is_named, "seed {seed}: vm{vm}: {plan:?}");
        }
    }
    assert!(stayed > 20, "{stayed}");
    assert!((0..200).any(|seed| !ran(seed, &[Guard::Record]).broken.is_empty()));
}

/// A stop by hand at any step of the recovery: before the death, while the start waits for the record, and after.
#[test]
fn a_stop_by_hand_is_respected() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        let stop_at = world.chance(8);
        world.step(&if stop_at == 0 { Event::Stop(0) } else { Event::Nothing });
        world.step(&Event::Die(1));
        for step in 1..20 {
            world.step(&if step == stop_at { Event::Stop(0) } else { Event::Nothing });
        }
        assert_eq!(world.broken, [], "seed {seed}");
        assert!(world.hosts.iter().all(|host| !host.running.contains(&0)), "seed {seed}");
        assert!(world.vms[0].stopped_by_hand && !world.vms[0].is_up);
    }
}
