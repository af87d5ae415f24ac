//! Tests each kind of device in each state, with each other one, in one level and in two.

use super::super::reading::{Life, Observation, PowerDeviceKind, ReadingSubject};
use super::{RememberedDevice, Task, Walk, WalkResult, WalkStep};
use crate::core::grade::Grade;

mod levels;

/// A BMC, a chassis manager or hypervisor, a PDU outlet, a device of no known kind, shunning.
const KINDS: [(char, PowerDeviceKind); 5] = [
    ('B', PowerDeviceKind { sees: ReadingSubject::Machine, shares_power: true }),
    ('M', PowerDeviceKind { sees: ReadingSubject::Machine, shares_power: false }),
    ('F', PowerDeviceKind { sees: ReadingSubject::Feed, shares_power: false }),
    ('U', PowerDeviceKind { sees: ReadingSubject::Unknown, shares_power: false }),
    ('A', PowerDeviceKind { sees: ReadingSubject::Access, shares_power: false }),
];

/// The state and behaviour of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The device does not answer.
    Silent,
    /// The device answers that it is busy or full, or rejects the login.
    Alive,
    /// On, and can be switched.
    On,
    /// Off, and can be read.
    Off,
    /// On, and cannot be switched.
    Stuck,
}

const STATES: [(char, State); 5] =
    [('s', State::Silent), ('a', State::Alive), ('n', State::On), ('f', State::Off), ('x', State::Stuck)];

#[derive(Clone, Copy)]
struct Device {
    kind: PowerDeviceKind,
    state: State,
    /// The state of the device after a later level has switched something.
    then: Option<State>,
}

impl Device {
    fn read(&self) -> Observation {
        match self.state {
            State::Silent => Observation::Failed(Life::NoSign),
            State::Alive => Observation::Failed(Life::Alive),
            State::On | State::Stuck => Observation::On,
            State::Off if self.kind.sees == ReadingSubject::Access => Observation::Off(Grade::Bounded),
            State::Off => Observation::Off(Grade::Off),
        }
    }
}

fn name(index: usize) -> String {
    format!("d{index}")
}

/// Runs a walk on model devices as `ganeti-oob` runs it on real ones.
fn walk(
    task: Task,
    devices: &mut [Device],
    levels: &[Vec<usize>],
    remembered: &[RememberedDevice],
) -> (WalkResult, Walk) {
    let named: Vec<Vec<(String, PowerDeviceKind)>> =
        levels.iter().map(|level| level.iter().map(|index| (name(*index), devices[*index].kind)).collect()).collect();
    let mut walk = Walk::new(task, &named, remembered);
    loop {
        match walk.next() {
            WalkStep::Level(level) => {
                let mut off = Some(Grade::Off);
                for index in &levels[level] {
                    let mut reading = devices[*index].read();
                    walk.add_reading(&name(*index), reading);
                    if task == Task::Off && off.is_some() && !matches!(reading, Observation::Off(_)) {
                        walk.commanded();
                        let earlier = levels[..level].iter().flatten();
                        earlier.for_each(|index| {
                            devices[*index].state = devices[*index].then.unwrap_or(devices[*index].state)
                        });
                        if devices[*index].state == State::On {
                            devices[*index].state = State::Off;
                        }
                        reading = devices[*index].read();
                        walk.add_reading(&name(*index), reading);
                    }
                    prove(&mut walk, *index, reading);
                    off = match reading {
                        Observation::Off(grade) => off.map(|off| off.min(grade)),
                        _ => None,
                    };
                }
                walk.over(off);
            }
            WalkStep::Ask(_, names) => {
                for asked in names {
                    let device = (0..devices.len()).find(|index| name(*index) == asked).unwrap();
                    let reading = devices[device].read();
                    walk.add_reading(&asked, reading);
                    prove(&mut walk, device, reading);
                }
            }
            WalkStep::Doubt(..) => {}
            WalkStep::End(result) => return (result, walk),
        }
    }
}

/// The devices of these tests keep their state: each "off" is confirmed.
fn prove(walk: &mut Walk, device: usize, reading: Observation) {
    if reading == Observation::Off(Grade::Off) {
        walk.prove_off(&name(device));
    }
}

fn letter(result: WalkResult) -> char {
    match result {
        WalkResult::Off(0, Grade::Off) => '1',
        WalkResult::Off(_, Grade::Off) => '2',
        WalkResult::Off(0, _) => 'b',
        WalkResult::Off(..) => 'c',
        WalkResult::On(0) => 'n',
        WalkResult::On(_) => 'm',
        WalkResult::Unknown => '.',
    }
}

/// Returns a line for each kind and state of the first device, with a column for each of the second, in the order of
/// [`KINDS`] and [`STATES`].
fn table(task: Task, levels: &[Vec<usize>]) -> String {
    let all: Vec<(char, char, Device)> = KINDS
        .iter()
        .flat_map(|(k, kind)| {
            STATES.iter().map(|(s, state)| (*k, *s, Device { kind: *kind, state: *state, then: None }))
        })
        .collect();
    let mut lines = String::new();
    for (kind, state, first) in &all {
        let mut cells = String::new();
        for (column, (_, _, second)) in all.iter().enumerate() {
            if column % STATES.len() == 0 {
                cells.push(' ');
            }
            let (result, _) = walk(task, &mut [*first, *second], levels, &[]);
            // A power-off that fails reports no state.
            cells.push(if task == Task::Off && matches!(result, WalkResult::On(_)) { '.' } else { letter(result) });
        }
        lines.push_str(&format!("{kind}{state}{cells}\n"));
    }
    lines
}

#[track_caller]
fn is_table(task: Task, levels: &[Vec<usize>], right: &str) {
    let right: Vec<&str> = right.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is = table(task, levels);
    let is: Vec<&str> = is.lines().collect();
    assert_eq!(is, right, "{task:?} {levels:?}\n{}", is.join("\n"));
}

/// A power-off over two levels: proven by the first (`1`), by the second (`2`), with grade `bounded` (`b`, `c`), or not (`.`).
#[test]
fn two_levels_switched_off() {
    let right = "
        Bs ..22. ..22. ..22. ..22. ..cc.
        Ba ..22. ..22. ..22. ..22. ..cc.
        Bn 11111 11111 11111 11111 11111
        Bf 11111 11111 11111 11111 11111
        Bx ..... ..... ..... ..... ..cc.
        Ms ..22. ..22. ..22. ..22. ..cc.
        Ma ..22. ..22. ..22. ..22. ..cc.
        Mn 11111 11111 11111 11111 11111
        Mf 11111 11111 11111 11111 11111
        Mx ..... ..... ..... ..... ..cc.
        Fs ..22. ..22. ..22. ..22. ..cc.
        Fa ..22. ..22. ..22. ..22. ..cc.
        Fn 11111 11111 11111 11111 11111
        Ff 11111 11111 11111 11111 11111
        Fx ..22. ..22. ..... ..... ..cc.
        Us ..22. ..22. ..22. ..22. ..cc.
        Ua ..22. ..22. ..22. ..22. ..cc.
        Un 11111 11111 11111 11111 11111
        Uf 11111 11111 11111 11111 11111
        Ux ..... ..... ..... ..... ..cc.
        As ..22. ..22. ..22. ..22. ..cc.
        Aa ..22. ..22. ..22. ..22. ..cc.
        An bbbbb bbbbb bbbbb bbbbb bbbbb
        Af bbbbb bbbbb bbbbb bbbbb bbbbb
        Ax ..22. ..22. ..22. ..22. ..cc.";
    is_table(Task::Off, &[vec![0], vec![1]], right);
}

/// A power-off of one level: both must be off; the weaker grade counts.
#[test]
fn one_level_switched_off() {
    let right = "
        Bs ..... ..... ..... ..... .....
        Ba ..... ..... ..... ..... .....
        Bn ..11. ..11. ..11. ..11. ..bb.
        Bf ..11. ..11. ..11. ..11. ..bb.
        Bx ..... ..... ..... ..... .....
        Ms ..... ..... ..... ..... .....
        Ma ..... ..... ..... ..... .....
        Mn ..11. ..11. ..11. ..11. ..bb.
        Mf ..11. ..11. ..11. ..11. ..bb.
        Mx ..... ..... ..... ..... .....
        Fs ..... ..... ..... ..... .....
        Fa ..... ..... ..... ..... .....
        Fn ..11. ..11. ..11. ..11. ..bb.
        Ff ..11. ..11. ..11. ..11. ..bb.
        Fx ..... ..... ..... ..... .....
        Us ..... ..... ..... ..... .....
        Ua ..... ..... ..... ..... .....
        Un ..11. ..11. ..11. ..11. ..bb.
        Uf ..11. ..11. ..11. ..11. ..bb.
        Ux ..... ..... ..... ..... .....
        As ..... ..... ..... ..... .....
        Aa ..... ..... ..... ..... .....
        An ..bb. ..bb. ..bb. ..bb. ..bb.
        Af ..bb. ..bb. ..bb. ..bb. ..bb.
        Ax ..... ..... ..... ..... .....";
    is_table(Task::Off, &[vec![0, 1]], right);
}

/// A power-status over two levels: also on by the first (`n`) or by the second (`m`).
#[test]
fn two_levels_read() {
    let right = "
        Bs ..m2m ..m2m ..m2m ..m2m ..mcm
        Ba ..m2m ..m2m ..m2m ..m2m ..mcm
        Bn nnnnn nnnnn nnnnn nnnnn nnnnn
        Bf 11111 11111 11111 11111 11111
        Bx nnnnn nnnnn nnnnn nnnnn nnnnn
        Ms ..m2m ..m2m ..m2m ..m2m ..mcm
        Ma ..m2m ..m2m ..m2m ..m2m ..mcm
        Mn nnnnn nnnnn nnnnn nnnnn nnnnn
        Mf 11111 11111 11111 11111 11111
        Mx nnnnn nnnnn nnnnn nnnnn nnnnn
        Fs ..m2m ..m2m ..m2m ..m2m ..mcm
        Fa ..m2m ..m2m ..m2m ..m2m ..mcm
        Fn nnm2m nnm2m nnnnn nnmnm nnnnn
        Ff 11111 11111 11111 11111 11111
        Fx nnm2m nnm2m nnnnn nnmnm nnnnn
        Us ..m2m ..m2m ..m2m ..m2m ..mcm
        Ua ..m2m ..m2m ..m2m ..m2m ..mcm
        Un nnnnn nnnnn nnnnn nnnnn nnnnn
        Uf 11111 11111 11111 11111 11111
        Ux nnnnn nnnnn nnnnn nnnnn nnnnn
        As ..m2m ..m2m ..m2m ..m2m ..mcm
        Aa ..m2m ..m2m ..m2m ..m2m ..mcm
        An nnm2m nnm2m nnn2n nnm2m nnncn
        Af bbbbb bbbbb bbbbb bbbbb bbbbb
        Ax nnm2m nnm2m nnn2n nnm2m nnncn";
    is_table(Task::Read, &[vec![0], vec![1]], right);
}

/// A power-status of one level.
#[test]
fn one_level_read() {
    let right = "
        Bs ..n.n ..n.n ..n.n ..n.n ..n.n
        Ba ..n.n ..n.n ..n.n ..n.n ..n.n
        Bn nnnnn nnnnn nnnnn nnnnn nnnnn
        Bf ..n1n ..n1n ..n1n ..n1n ..nbn
        Bx nnnnn nnnnn nnnnn nnnnn nnnnn
        Ms ..n.n ..n.n ..n.n ..n.n ..n.n
        Ma ..n.n ..n.n ..n.n ..n.n ..n.n
        Mn nnnnn nnnnn nnnnn nnnnn nnnnn
        Mf ..n1n ..n1n ..n1n ..n1n ..nbn
        Mx nnnnn nnnnn nnnnn nnnnn nnnnn
        Fs ..n.n ..n.n ..n.n ..n.n ..n.n
        Fa ..n.n ..n.n ..n.n ..n.n ..n.n
        Fn nnnnn nnnnn nnnnn nnnnn nnnnn
        Ff ..n1n ..n1n ..n1n ..n1n ..nbn
        Fx nnnnn nnnnn nnnnn nnnnn nnnnn
        Us ..n.n ..n.n ..n.n ..n.n ..n.n
        Ua ..n.n ..n.n ..n.n ..n.n ..n.n
        Un nnnnn nnnnn nnnnn nnnnn nnnnn
        Uf ..n1n ..n1n ..n1n ..n1n ..nbn
        Ux nnnnn nnnnn nnnnn nnnnn nnnnn
        As ..n.n ..n.n ..n.n ..n.n ..n.n
        Aa ..n.n ..n.n ..n.n ..n.n ..n.n
        An nnnnn nnnnn nnnnn nnnnn nnnnn
        Af ..nbn ..nbn ..nbn ..nbn ..nbn
        Ax nnnnn nnnnn nnnnn nnnnn nnnnn";
    is_table(Task::Read, &[vec![0, 1]], right);
}

/// The reading of an earlier device after the next level was off decides: it had reported "on" and could not be
/// switched.
#[test]
fn what_an_earlier_device_says_after_the_off_decides() {
    use State::{Alive, Off, Silent, Stuck};
    // The earlier device, its state after the "off", and whether the "off" of a BMC, an outlet, an unknown device
    // counts.
    let cases = [
        ('B', Stuck, [false, false, false]),
        ('B', Off, [true, true, true]),
        ('B', Silent, [true, true, true]),
        ('B', Alive, [false, false, false]),
        // It has its own power supply, so no loss of power explains that it does not answer.
        ('M', Silent, [false, false, false]),
        ('M', Off, [true, true, true]),
        ('M', Alive, [false, false, false]),
        ('F', Stuck, [true, false, false]),
        ('F', Silent, [true, false, false]),
        ('F', Alive, [true, false, false]),
        ('F', Off, [true, true, true]),
        ('U', Stuck, [false, false, false]),
        ('U', Silent, [false, false, false]),
        ('U', Alive, [false, false, false]),
        ('U', Off, [true, true, true]),
        ('A', Stuck, [true, true, true]),
        ('A', Silent, [true, true, true]),
    ];
    let kind = |letter| KINDS.iter().find(|(known, _)| *known == letter).unwrap().1;
    for (letter, then, believed) in cases {
        for (later, right) in ['B', 'F', 'U'].into_iter().zip(believed) {
            let mut devices = [
                Device { kind: kind(letter), state: Stuck, then: Some(then) },
                Device { kind: kind(later), state: State::On, then: None },
            ];
            let (result, _) = walk(Task::Off, &mut devices, &[vec![0], vec![1]], &[]);
            assert_eq!(result == WalkResult::Off(1, Grade::Off), right, "{letter} {then:?}, then {later}: {result:?}");
        }
    }
}

/// An "on" that an earlier call of the same fencing has read counts in the next process. An outlet that is off does not
/// overrule a BMC that is busy or full or rejects the login now; nor a BMC in a later level.
#[test]
fn an_on_of_an_earlier_call_is_not_forgotten() {
    let bmc = |state| Device { kind: KINDS[0].1, state, then: None };
    let outlet = Device { kind: KINDS[2].1, state: State::On, then: None };
    let on = |device: usize| [RememberedDevice { device: name(device), given_up: false }];
    for (task, state) in [Task::Off, Task::Read].into_iter().flat_map(|task| STATES.map(|(_, state)| (task, state))) {
        let outlet = Device { state: if task == Task::Read { State::Off } else { outlet.state }, ..outlet };
        let (result, _) = walk(task, &mut [bmc(state), outlet], &[vec![0], vec![1]], &on(0));
        let right = match (task, state) {
            (_, State::Silent) => WalkResult::Off(1, Grade::Off),
            (_, State::Off) | (Task::Off, State::On) => WalkResult::Off(0, Grade::Off),
            (Task::Read, State::On | State::Stuck) => WalkResult::On(0),
            _ => WalkResult::Unknown,
        };
        assert_eq!(result, right, "{task:?} {state:?}");
    }
    let (result, _) = walk(Task::Off, &mut [outlet, bmc(State::Stuck)], &[vec![0], vec![1]], &on(1));
    assert_eq!(result, WalkResult::Unknown, "the outlet of another host");
}
