//! Tests of what the levels of one node prove together.

use super::*;

/// All devices of a level are asked before it is given up: a device that was never asked cannot contradict.
#[test]
fn the_rest_of_a_level_that_fails_counts() {
    let device = |kind: usize, state| Device { kind: KINDS[kind].1, state, then: None };
    let levels = [vec![0, 1], vec![2]];
    for silent in [State::Silent, State::Alive] {
        let mut devices = [device(2, silent), device(2, State::Stuck), device(2, State::On)];
        assert_eq!(walk(Task::Off, &mut devices, &levels, &[]).0, WalkResult::Unknown);
        let mut devices = [device(2, silent), device(2, State::Stuck), device(0, State::On)];
        assert_eq!(walk(Task::Off, &mut devices, &levels, &[]).0, WalkResult::Off(2 - 1, Grade::Off));
    }
}

/// `bounded` is about the boot. A BMC that reports "on" and cannot switch does not overrule it, neither in the command
/// nor when the same fencing reads the state back. The BMC answers a later question for the power.
#[test]
fn bounded_is_reached_behind_a_bmc_that_cannot_switch() {
    let site = || {
        [
            Device { kind: KINDS[0].1, state: State::Stuck, then: None },
            Device { kind: KINDS[4].1, state: State::On, then: None },
        ]
    };
    let levels = [vec![0], vec![1]];
    let mut devices = site();
    let (result, after) = walk(Task::Off, &mut devices, &levels, &[]);
    assert_eq!(result, WalkResult::Off(1, Grade::Bounded));
    let remembered = after.to_remember();
    assert!(remembered.iter().all(|known| known.given_up), "{remembered:?}");
    assert_eq!(walk(Task::Read, &mut devices, &levels, &remembered).0, WalkResult::Off(1, Grade::Bounded));
    assert_eq!(walk(Task::Read, &mut devices, &levels, &[]).0, WalkResult::On(0));
}

/// With any devices, order and memory: an `off` never counts against a machine that reports "on", nor that of an outlet
/// against another live one.
#[test]
fn no_off_against_a_running_machine() {
    let all: Vec<Device> = KINDS
        .iter()
        .flat_map(|(_, kind)| STATES.iter().map(|(_, state)| Device { kind: *kind, state: *state, then: None }))
        .collect();
    let shapes = [vec![vec![0], vec![1], vec![2]], vec![vec![0, 1], vec![2]], vec![vec![0], vec![1, 2]]];
    for (first, second, third) in all
        .iter()
        .flat_map(|a| all.iter().map(move |b| (a, b)))
        .flat_map(|(a, b)| all.iter().map(move |c| (*a, *b, *c)))
    {
        for levels in &shapes {
            let mut devices = [first, second, third];
            let (result, after) = walk(Task::Off, &mut devices, levels, &[]);
            let WalkResult::Off(level, Grade::Off) = result else { continue };
            let seen = after.to_remember();
            let members = &levels[level];
            assert!(members.iter().all(|index| devices[*index].state == State::Off));
            for known in seen {
                let index = (0..devices.len()).find(|index| name(*index) == known.device).unwrap();
                let own: Vec<PowerDeviceKind> = members.iter().map(|index| devices[*index].kind).collect();
                let may = match devices[index].kind.sees {
                    ReadingSubject::Access => true,
                    ReadingSubject::Feed => own.iter().any(|kind| kind.sees == ReadingSubject::Machine),
                    ReadingSubject::Machine | ReadingSubject::Unknown => false,
                };
                assert!(may, "{known:?} reported on, and level {level} of {levels:?} is believed");
            }
        }
    }
}

/// A live feed does not prove a running machine: behind an outlet that was never switched, the BMC is requested to switch
/// on.
#[test]
fn on_goes_by_the_machine_where_a_level_sees_it() {
    let on = |kinds: &[usize], already| {
        let levels: Vec<_> = kinds.iter().enumerate().map(|(at, kind)| vec![(name(at), KINDS[*kind].1)]).collect();
        let mut walk = Walk::new(Task::On, &levels, &[]);
        walk.next();
        walk.over_on(already);
        walk.next()
    };
    assert_eq!(on(&[2, 0], true), WalkStep::Level(1));
    assert_eq!(on(&[2, 0], false), WalkStep::End(WalkResult::On(0)), "its BMC has only now been given power");
    assert_eq!(on(&[0, 2], true), WalkStep::End(WalkResult::On(0)));
    assert_eq!(on(&[2, 4], true), WalkStep::End(WalkResult::On(0)), "no node is readmitted on the way");
}

/// One reading of "off" may be a moment: a device that has reported "on" in this fencing contradicts a later level until
/// its own off is proven.
#[test]
fn one_off_clears_no_earlier_on() {
    let levels: Vec<_> = [0, 2].iter().enumerate().map(|(at, kind)| vec![(name(at), KINDS[*kind].1)]).collect();
    for is_proven in [false, true] {
        let on = [RememberedDevice { device: name(0), given_up: false }];
        let mut walk = Walk::new(Task::Off, &levels, &on);
        walk.next();
        walk.add_reading(&name(0), Observation::Off(Grade::Off));
        walk.over(None);
        walk.next();
        walk.add_reading(&name(1), Observation::Off(Grade::Off));
        walk.over(Some(Grade::Off));
        assert_eq!(walk.next(), WalkStep::Ask(1, vec![name(0)]));
        walk.add_reading(&name(0), Observation::Off(Grade::Off));
        if is_proven {
            walk.prove_off(&name(0));
            assert_eq!(walk.next(), WalkStep::End(WalkResult::Off(1, Grade::Off)));
            continue;
        }
        let WalkStep::Doubt(1, doubt) = walk.next() else { panic!("the off of the outlet counts") };
        assert!(doubt.to_string().contains("reports an off that no second reading has confirmed"), "{doubt}");
        assert_eq!(walk.to_remember(), [RememberedDevice { device: name(0), given_up: true }]);
    }
}
