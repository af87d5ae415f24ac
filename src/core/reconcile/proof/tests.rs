use super::*;
use crate::core::fence_agents::FenceDeviceKind;

const POWER: FenceDeviceKind = FenceDeviceKind::Power { reads_reboot: true };

fn fence(at_ms: u64) -> Fence {
    let delegate = Delegate::Host(NodeName::new("n1").unwrap());
    Fence { action: FenceAction::Off, status: FenceStatus::Success, completed_ms: Some(at_ms), delegate }
}

fn receipt(id: &str, ended_ms: u64, grade: Grade) -> PowerReceipt {
    let (action, outcome, proven_by) = (Action::Off, Outcome::Done, "bmc".to_owned());
    PowerReceipt { id: id.to_owned(), action, outcome, grade, proven_by, ended_ms, by_fencer: true, unfinished: false }
}

/// Returns the proofs where Pacemaker may have used any one of these kinds of devices.
fn proven(fences: &[Fence], receipts: &[PowerReceipt], kinds: &[FenceDeviceKind]) -> Vec<Proof> {
    let kinds: Vec<&[FenceDeviceKind]> = kinds.iter().map(std::slice::from_ref).collect();
    let options = FencingOptions::of_kinds(&kinds);
    proofs(&FencingEvidence { fences, receipts, options: &options, first: &First::new() })
}

/// Returns the same as (grade, keys), with a `fence_ganeti` device of the default grade.
fn found(fences: Vec<Fence>, receipts: Vec<PowerReceipt>) -> Vec<(Grade, Vec<String>)> {
    let ours = [FenceDeviceKind::Ours { least: Grade::Bounded }];
    proven(&fences, &receipts, &ours).into_iter().map(|proof| (proof.grade, proof.keys)).collect()
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

/// Two programs write one fencing down a moment apart: it counts as one.
#[test]
fn a_receipt_and_its_entry_are_one_fencing_with_the_grade_of_the_receipt() {
    let found = found(vec![fence(100_000)], vec![receipt("a", 99_500, Grade::Isolated)]);
    assert_eq!(found, [(Grade::Isolated, keys(&["receipt a", "fence off 100"]))]);
}

#[test]
fn each_receipt_is_of_one_fencing_only_the_nearest() {
    let found = found(vec![fence(100_000), fence(130_000)], vec![receipt("b", 129_000, Grade::Off)]);
    assert_eq!(found[1], (Grade::Off, keys(&["receipt b", "fence off 130"])));
    assert_eq!(found[0], (Grade::Bounded, keys(&["fence off 100"])));
}

/// A success without a receipt is worth the weakest of the devices that may have done it. It sets `powered` only if
/// each of them reads the power.
#[test]
fn without_a_receipt_the_weakest_device_counts() {
    let ours = |least| FenceDeviceKind::Ours { least };
    for (kinds, grade, powered) in [
        (vec![POWER], Grade::Off, Some(false)),
        (vec![ours(Grade::Bounded)], Grade::Bounded, None),
        (vec![ours(Grade::Isolated)], Grade::Isolated, None),
        (vec![POWER, ours(Grade::Bounded)], Grade::Bounded, None),
        (vec![FenceDeviceKind::Fabric, ours(Grade::Bounded)], Grade::Isolated, None),
        (vec![FenceDeviceKind::Unknown, POWER], Grade::Isolated, None),
        (vec![FenceDeviceKind::Watchdog, POWER], Grade::Bounded, None),
        (vec![], Grade::Isolated, None),
    ] {
        let proof = &proven(&[fence(100_000)], &[], &kinds)[0];
        assert_eq!((proof.grade, proof.powered), (grade, powered), "{kinds:?}");
    }
}

/// A confirmation counts whatever the devices are; the watchdog proves only that the boot has ended.
#[test]
fn a_human_and_the_watchdog_are_no_devices() {
    for (delegate, grade, powered) in
        [(Delegate::Human, Grade::Off, Some(false)), (Delegate::Watchdog, Grade::Bounded, None)]
    {
        let fence = Fence { delegate, ..fence(100_000) };
        let proofs = proven(&[fence], &[receipt("a", 100_000, Grade::Isolated)], &[FenceDeviceKind::Fabric]);
        let proof = proofs.iter().find(|proof| proof.keys == keys(&["fence off 100"])).unwrap();
        assert_eq!((proof.grade, proof.powered), (grade, powered));
    }
}

/// If the clocks are further apart than a minute, the receipt matches no fencing and still lowers the grade.
#[test]
fn a_weaker_receipt_nearby_lowers_a_fencing_without_one() {
    let proofs = proven(&[fence(700_000)], &[receipt("a", 500_000, Grade::Isolated)], &[POWER]);
    assert!(proofs.iter().all(|proof| proof.grade == Grade::Isolated && proof.powered.is_none()));
}

/// An action by hand a moment before a fabric device fenced is not a receipt of that fencing.
#[test]
fn a_receipt_of_another_program_is_not_of_the_fencing() {
    let by_hand = PowerReceipt { by_fencer: false, action: Action::Cycle, ..receipt("a", 99_000, Grade::Off) };
    let proofs = proven(&[fence(100_000)], &[by_hand], &[FenceDeviceKind::Fabric]);
    let of_fence = proofs.iter().find(|proof| proof.keys == keys(&["fence off 100"])).unwrap();
    assert_eq!(of_fence.grade, Grade::Isolated);
}

/// A cycle that ended on proves only that the earlier boot is gone; outside a fencing it is a planned one.
#[test]
fn a_cycle_that_ended_on_is_no_off() {
    let of = |action, outcome, by_fencer| {
        let receipt = PowerReceipt { action, outcome, by_fencer, ..receipt("a", 100_000, Grade::Off) };
        let proof = proven(&[], &[receipt], &[POWER]).remove(0);
        (proof.grade, proof.powered, proof.is_planned)
    };
    assert_eq!(of(Action::Cycle, Outcome::Done, false), (Grade::Bounded, Some(true), true));
    assert_eq!(of(Action::Reboot, Outcome::Done, false), (Grade::Bounded, Some(true), true));
    assert_eq!(of(Action::Reboot, Outcome::Done, true), (Grade::Bounded, Some(true), false));
    // A power-on that was sent and not seen may have switched the node on.
    for action in [Action::Reboot, Action::Cycle] {
        assert_eq!(of(action, Outcome::OffOnly, false), (Grade::Bounded, None, true));
        assert_eq!(of(action, Outcome::OffOnly, true), (Grade::Bounded, None, false));
    }
    // Pacemaker reports a reboot as a success if its off part succeeded, whatever came of the on part.
    let reboot = Fence { action: FenceAction::Reboot, ..fence(100_000) };
    let proof = &proven(&[reboot], &[], &[POWER])[0];
    assert_eq!((proof.grade, proof.powered), (Grade::Bounded, None));
}

/// A node that was off and was switched on since is not off.
#[test]
fn a_later_power_on_takes_the_off_away() {
    let on = PowerReceipt { action: Action::On, ..receipt("b", 200_000, Grade::Unknown) };
    let cycle = PowerReceipt { action: Action::Cycle, by_fencer: false, ..receipt("c", 200_000, Grade::Off) };
    for later in [on, cycle] {
        let proof = &proven(&[fence(100_000)], &[receipt("a", 100_000, Grade::Off), later], &[POWER])[0];
        assert_eq!((proof.grade, proof.powered), (Grade::Bounded, Some(true)));
    }
}

/// A power-on that was sent and not seen may have worked. Its cycle may have failed half-way, ended after its off, or
/// been interrupted. The power was not read since, so it is recorded neither as off nor as on.
#[test]
fn a_later_power_on_that_was_not_seen_takes_the_off_away_and_leaves_the_power_unknown() {
    let by_hand =
        |action, outcome, grade| PowerReceipt { action, outcome, by_fencer: false, ..receipt("b", 400_000, grade) };
    let unfinished = |later: PowerReceipt| PowerReceipt { unfinished: true, ..later };
    let unknown = |action| by_hand(action, Outcome::Unknown, Grade::Unknown);
    let all = [
        unknown(Action::Cycle),
        unknown(Action::Reboot),
        unknown(Action::On),
        by_hand(Action::Cycle, Outcome::OffOnly, Grade::Off),
        by_hand(Action::Cycle, Outcome::OffOnly, Grade::Bounded),
        by_hand(Action::Reboot, Outcome::OffOnly, Grade::Off),
        unfinished(unknown(Action::On)),
        unfinished(unknown(Action::Cycle)),
        unfinished(unknown(Action::Reboot)),
        unfinished(PowerReceipt { by_fencer: true, ..unknown(Action::On) }),
        unfinished(PowerReceipt { by_fencer: true, ..unknown(Action::Reboot) }),
    ];
    let is_taken_away = |later: &PowerReceipt| {
        let proof = &proven(&[fence(100_000)], &[receipt("a", 100_000, Grade::Off), later.clone()], &[POWER])[0];
        (proof.grade, proof.powered) == (Grade::Bounded, None)
    };
    assert_eq!(all.iter().filter(|later| !is_taken_away(later)).collect::<Vec<_>>(), [&all[0]; 0]);
    for later in all {
        // A node that was seen on before may have been switched off by the later action.
        let on = PowerReceipt { action: Action::On, ..receipt("c", 200_000, Grade::Unknown) };
        let receipts = [receipt("a", 100_000, Grade::Off), on, later.clone()];
        let powered = proven(&[fence(100_000)], &receipts, &[POWER])[0].powered;
        assert_ne!(powered, Some(false), "{later:?}");
        assert!(later.by_fencer || powered.is_none(), "{later:?}");
    }
    let unfence = Fence { action: FenceAction::On, status: FenceStatus::Failed, ..fence(400_000) };
    let proof = &proven(&[fence(100_000), unfence], &[], &[POWER])[0];
    assert_eq!((proof.grade, proof.powered), (Grade::Bounded, None));
}

/// A fencing is not a power-on before it has switched off what it is to switch on again. Pacemaker repeats it with a
/// dead BMC while an administrator confirms. A rejected action is not a power-on either.
#[test]
fn what_sent_no_power_on_leaves_the_off() {
    let at = |action, outcome, ended_ms| PowerReceipt { action, outcome, ..receipt("b", ended_ms, Grade::Unknown) };
    let by_hand = |receipt| PowerReceipt { by_fencer: false, ..receipt };
    let begun = |action, ended_ms| PowerReceipt { unfinished: true, ..at(action, Outcome::Unknown, ended_ms) };
    for other in [
        begun(Action::Off, 400_000),
        by_hand(begun(Action::Off, 400_000)),
        at(Action::Off, Outcome::Unknown, 400_000),
        at(Action::Reboot, Outcome::Unknown, 400_000),
        at(Action::Reboot, Outcome::Unknown, 110_000),
        begun(Action::Reboot, 90_000),
        by_hand(at(Action::On, Outcome::Refused, 400_000)),
        by_hand(at(Action::Cycle, Outcome::Refused, 400_000)),
    ] {
        let confirmed = Fence { delegate: Delegate::Human, ..fence(100_000) };
        let proof = &proven(&[confirmed], std::slice::from_ref(&other), &[POWER])[0];
        assert_eq!((proof.grade, proof.powered), (Grade::Off, Some(false)), "{other:?}");
    }
}

/// A host whose clock is ahead dates its off after the power-on that followed it.
#[test]
fn of_an_off_and_a_power_on_within_a_minute_the_order_is_not_known() {
    let on = |at_ms| PowerReceipt { action: Action::On, by_fencer: false, ..receipt("b", at_ms, Grade::Unknown) };
    let of = |at_ms| {
        let proof = &proven(&[fence(100_000)], &[receipt("a", 100_000, Grade::Off), on(at_ms)], &[POWER])[0];
        (proof.grade, proof.powered)
    };
    assert_eq!(of(85_000), (Grade::Bounded, None));
    assert_eq!(of(39_000), (Grade::Off, Some(false)));
}

#[test]
fn what_failed_proves_nothing() {
    let failed = Fence { status: FenceStatus::Failed, ..fence(100_000) };
    let on = Fence { action: FenceAction::On, ..fence(100_000) };
    let pending = Fence { status: FenceStatus::Pending, completed_ms: None, ..fence(0) };
    let unknown = PowerReceipt { outcome: Outcome::Unknown, ..receipt("a", 1, Grade::Off) };
    let graded_unknown = receipt("b", 1, Grade::Unknown);
    assert!(found(vec![failed, on, pending], vec![unknown, graded_unknown]).is_empty());
}

fn reboot(at_ms: u64) -> Fence {
    Fence { action: FenceAction::Reboot, ..fence(at_ms) }
}

/// With several devices in a level, Pacemaker makes a reboot into an off of each, then an on of each. The receipt of
/// such an off does not show that the node has no power now.
#[test]
fn an_off_that_was_part_of_a_reboot_says_nothing_of_the_power_now() {
    let on = PowerReceipt { action: Action::On, grade: Grade::Unknown, ..receipt("b", 100_300, Grade::Unknown) };
    for receipts in [vec![receipt("a", 99_000, Grade::Off)], vec![receipt("a", 99_000, Grade::Off), on]] {
        for completed_ms in [100_000, 100_900] {
            let proof = &proven(&[reboot(completed_ms)], &receipts, &[POWER])[0];
            assert_eq!((proof.grade, proof.powered), (Grade::Bounded, None), "{completed_ms}");
        }
    }
}

/// After a later reboot no earlier proof shows that the node is off, whichever host fenced.
#[test]
fn a_later_reboot_switched_it_on_again() {
    let cycled = PowerReceipt { action: Action::Reboot, ..receipt("b", 400_000, Grade::Off) };
    for (fences, receipts) in [
        (vec![fence(100_000), reboot(400_000)], vec![receipt("a", 100_000, Grade::Off), cycled.clone()]),
        (vec![fence(100_000), reboot(400_000)], vec![receipt("a", 100_000, Grade::Off)]),
        (vec![], vec![receipt("a", 100_000, Grade::Off), cycled]),
    ] {
        let proofs = proven(&fences, &receipts, &[POWER]);
        assert_eq!(proofs[0].at_ms, 100_000);
        assert!(proofs.iter().all(|proof| proof.grade == Grade::Bounded && proof.powered != Some(false)), "{proofs:?}");
    }
}

/// A node that is fenced again a boot later was back in between: the newer and weaker proof counts.
#[test]
fn what_was_stronger_before_a_later_loss_is_of_another_boot() {
    let isolated = |at_ms| receipt("b", at_ms, Grade::Isolated);
    let first = receipt("a", 100_000, Grade::Off);
    let proofs = proven(&[], &[first.clone(), isolated(400_000)], &[POWER]);
    assert!(proofs.iter().all(|proof| proof.grade == Grade::Isolated && proof.powered.is_none()), "{proofs:?}");
    // A host does not boot within 20 s.
    let proofs = proven(&[], &[first, isolated(120_000)], &[POWER]);
    assert_eq!((proofs[0].grade, proofs[0].powered), (Grade::Off, Some(false)));
}

/// A fencing is worth what the devices of the time when it was first seen give. A device that was added since does not
/// raise it, a receipt that is found later does, and a weaker device lowers it.
#[test]
fn a_device_of_today_lifts_no_fencing_of_before() {
    let of = |first: Option<Worth>, options: &[FenceDeviceKind], receipts: &[PowerReceipt]| {
        let first = first.map(|worth| ("fence off 100".to_owned(), worth)).into_iter().collect();
        let kinds: Vec<&[FenceDeviceKind]> = options.iter().map(std::slice::from_ref).collect();
        let options = FencingOptions::of_kinds(&kinds);
        let proofs = proofs(&FencingEvidence { fences: &[fence(100_000)], receipts, options: &options, first: &first });
        (proofs[0].grade, proofs[0].powered)
    };
    let fabric = Some(Evidence::Fabric.worth());
    assert_eq!(of(None, &[POWER], &[]), (Grade::Off, Some(false)));
    assert_eq!(of(fabric, &[POWER], &[]), (Grade::Isolated, None));
    assert_eq!(of(Some(Evidence::PowerOff.worth()), &[FenceDeviceKind::Fabric], &[]), (Grade::Isolated, None));
    assert_eq!(of(fabric, &[POWER], &[receipt("a", 99_000, Grade::Off)]), (Grade::Off, Some(false)));
    let by_human = Fence { delegate: Delegate::Human, ..fence(100_000) };
    let first = [("fence off 100".to_owned(), Evidence::Fabric.worth())].into();
    let confirmed =
        FencingEvidence { fences: &[by_human], receipts: &[], options: &FencingOptions::default(), first: &first };
    assert_eq!(proofs(&confirmed)[0].grade, Grade::Off, "a confirmation needs no grade of a device");
}
