use super::*;
use proptest::prelude::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn rules() -> Rules {
    Rules {
        readings: 2,
        confirm_pause: MS(200),
        poll_pause: MS(500),
        settle: MS(0),
        limit: MS(20_000),
        sends: 2,
        silence_limit: Duration::MAX,
        lag: None,
        soonest: MS(0),
    }
}

fn unread(why: &str) -> Result<Power, ReadFailure> {
    Err(ReadFailure { why: why.to_owned(), is_final: false })
}

const ANYWAY: PowerChangeStep = PowerChangeStep::Send { already: true };

fn lagging() -> PowerChange {
    PowerChange::new(Power::Off, Rules { lag: Some(MS(1_000)), ..rules() })
}

fn failed(is_final: bool) -> Result<(), ReadFailure> {
    Err(ReadFailure { why: "no".to_owned(), is_final })
}

/// A BMC reported "off" for a while although its host had been switched on: the host ran on, recorded as off.
#[test]
fn an_off_that_may_lag_is_commanded_first() {
    let mut off = lagging();
    assert_eq!(off.read(Ok(Power::Off), MS(0)), ANYWAY);
    assert_eq!(off.sent(Ok(()), MS(10)), PowerChangeStep::Read(MS(1_000)));
    assert_eq!(off.read(Ok(Power::Off), MS(1_010)), PowerChangeStep::Read(MS(200)));
    assert_eq!(off.read(Ok(Power::Off), MS(1_220)), PowerChangeStep::Reached { already: true, caution: None });
    let mut lags = lagging();
    assert_eq!(lags.read(Ok(Power::Off), MS(0)), ANYWAY);
    lags.sent(Ok(()), MS(10));
    assert_eq!(lags.read(Ok(Power::On), MS(20)), PowerChangeStep::Read(MS(500)));
    lags.read(Ok(Power::Off), MS(520));
    assert_eq!(lags.read(Ok(Power::Off), MS(720)), PowerChangeStep::Reached { already: false, caution: None });
}

/// A user who may only read, or a BMC that refuses to switch off what is off, must not keep a host from being fenced.
/// A command that was lost is repeated: the state may be that of before.
#[test]
fn an_off_whose_command_fails_counts_with_a_caution() {
    let mut refused = lagging();
    assert_eq!(refused.read(Ok(Power::Off), MS(0)), ANYWAY);
    assert_eq!(refused.sent(failed(true), MS(10)), PowerChangeStep::Read(MS(1_000)));
    assert_eq!(refused.read(Ok(Power::Off), MS(1_010)), PowerChangeStep::Read(MS(200)));
    let end = refused.read(Ok(Power::Off), MS(1_220));
    assert!(matches!(end, PowerChangeStep::Reached { already: true, caution: Some(_) }), "{end:?}");

    let mut lost = lagging();
    assert_eq!(lost.read(Ok(Power::Off), MS(0)), ANYWAY);
    lost.sent(failed(false), MS(10));
    assert_eq!(lost.read(Ok(Power::Off), MS(1_010)), ANYWAY);
    lost.sent(Ok(()), MS(1_020));
    lost.read(Ok(Power::Off), MS(2_020));
    let end = lost.read(Ok(Power::Off), MS(2_220));
    assert_eq!(end, PowerChangeStep::Reached { already: true, caution: None });
}

fn slow() -> PowerChange {
    PowerChange::new(Power::Off, Rules { lag: Some(MS(10_000)), soonest: MS(5_000), ..rules() })
}

/// Another program's power cycle was in its off phase: the BMC took the power-off, ignored it, and switched on again.
#[test]
fn an_off_that_comes_sooner_than_a_host_ends_is_waited_for() {
    let mut cycle = slow();
    assert_eq!(cycle.read(Ok(Power::On), MS(100)), PowerChangeStep::Send { already: false });
    assert_eq!(cycle.sent(Ok(()), MS(600)), PowerChangeStep::Read(MS(0)));
    assert_eq!(cycle.read(Ok(Power::Off), MS(700)), PowerChangeStep::Read(MS(10_000)));
    assert_eq!(cycle.read(Ok(Power::On), MS(10_700)), PowerChangeStep::Send { already: false });
    assert_eq!(cycle.sent(Ok(()), MS(11_000)), PowerChangeStep::Read(MS(0)));
    // A host that was switched off takes its time.
    assert_eq!(cycle.read(Ok(Power::On), MS(11_100)), PowerChangeStep::Read(MS(500)));
    assert_eq!(cycle.read(Ok(Power::Off), MS(16_000)), PowerChangeStep::Read(MS(200)));
    assert_eq!(cycle.read(Ok(Power::Off), MS(16_200)), PowerChangeStep::Reached { already: false, caution: None });
    let mut swift = slow();
    swift.read(Ok(Power::On), MS(100));
    // A BMC that is busy takes the command late: the time counts from its response.
    swift.sent(Ok(()), MS(5_600));
    assert_eq!(swift.read(Ok(Power::Off), MS(5_700)), PowerChangeStep::Read(MS(10_000)));
    assert_eq!(swift.read(Ok(Power::Off), MS(15_700)), PowerChangeStep::Read(MS(200)));
    assert_eq!(swift.read(Ok(Power::Off), MS(15_900)), PowerChangeStep::Reached { already: false, caution: None });
}

/// A refused command switched nothing: the "off" that the BMC reported with it may be an old one, or another's.
#[test]
fn a_refusal_with_the_state_there_waits_and_is_named() {
    for first in [Power::Off, Power::On] {
        let mut off = slow();
        off.read(Ok(first), MS(0));
        assert_eq!(off.refused("409".to_owned(), MS(100)), PowerChangeStep::Read(MS(10_000)));
        if first == Power::Off {
            // "Busy" has the same status as "already off".
            assert_eq!(off.read(Ok(Power::Off), MS(10_100)), ANYWAY);
            assert_eq!(off.refused("409".to_owned(), MS(10_100)), PowerChangeStep::Read(MS(0)));
        }
        assert_eq!(off.read(Ok(Power::Off), MS(10_100)), PowerChangeStep::Read(MS(200)));
        let end = off.read(Ok(Power::Off), MS(10_300));
        let PowerChangeStep::Reached { caution: Some(caution), .. } = end else { panic!("{end:?}") };
        assert!(caution.ends_with("409"), "{caution}");
    }
}

/// A BMC that answers each command with 503 may report an old state: an off that it reported before proves nothing.
#[test]
fn an_off_without_a_command_that_was_taken_is_not_proven() {
    let mut off = slow();
    assert_eq!(off.read(Ok(Power::Off), MS(0)), ANYWAY);
    off.sent(failed(false), MS(100));
    assert_eq!(off.read(Ok(Power::Off), MS(10_100)), ANYWAY);
    off.sent(failed(false), MS(10_200));
    let end = off.read(Ok(Power::Off), MS(20_200));
    assert!(matches!(&end, PowerChangeStep::Failed(why) if why.contains("took no command")), "{end:?}");
}

#[test]
fn a_required_command_is_sent_to_a_host_that_is_off() {
    let mut off = PowerChange::new(Power::Off, rules());
    off.require_command();
    assert_eq!(off.read(Ok(Power::Off), MS(0)), ANYWAY);
    assert_eq!(off.sent(Ok(()), MS(10)), PowerChangeStep::Read(MS(0)));
    off.read(Ok(Power::Off), MS(20));
    assert_eq!(off.read(Ok(Power::Off), MS(220)), PowerChangeStep::Reached { already: true, caution: None });
}

#[test]
fn already_off_sends_nothing_but_reads_twice() {
    let mut off = PowerChange::new(Power::Off, rules());
    assert_eq!(off.read(Ok(Power::Off), MS(0)), PowerChangeStep::Read(MS(200)));
    assert_eq!(off.read(Ok(Power::Off), MS(200)), PowerChangeStep::Reached { already: true, caution: None });
}

/// A short off inside another program's power cycle must not pass as off.
#[test]
fn off_then_on_again_starts_the_count_anew() {
    let mut off = PowerChange::new(Power::Off, rules());
    assert_eq!(off.read(Ok(Power::Off), MS(0)), PowerChangeStep::Read(MS(200)));
    assert_eq!(off.read(Ok(Power::On), MS(200)), PowerChangeStep::Send { already: false });
    assert_eq!(off.sent(Ok(()), MS(210)), PowerChangeStep::Read(MS(0)));
    assert_eq!(off.read(Ok(Power::Off), MS(220)), PowerChangeStep::Read(MS(200)));
    assert_eq!(off.read(Ok(Power::Off), MS(420)), PowerChangeStep::Reached { already: false, caution: None });
}

/// IPMI: a BMC may acknowledge and not act. The command is sent once more, then the change fails.
#[test]
fn an_acknowledgement_is_not_proof() {
    let mut off = PowerChange::new(Power::Off, rules());
    let mut now = MS(0);
    let mut sends = 0;
    let mut next = off.read(Ok(Power::On), now);
    let why = loop {
        match next {
            PowerChangeStep::Send { .. } => {
                sends += 1;
                next = off.sent(Ok(()), now);
            }
            PowerChangeStep::Read(pause) => {
                now += pause + MS(10);
                next = off.read(Ok(Power::On), now);
            }
            PowerChangeStep::Reached { .. } => panic!("believed an acknowledgement"),
            PowerChangeStep::Failed(why) => break why,
        }
    };
    assert_eq!(sends, 2);
    assert!(why.contains("it still reads on"), "{why}");
}

/// A BMC that does not answer is unknown, never off: the command is sent, and nothing is proven.
#[test]
fn silence_is_a_failure() {
    let mut off = PowerChange::new(Power::Off, rules());
    assert_eq!(off.read(unread("no answer"), MS(5_000)), PowerChangeStep::Send { already: false });
    let unsent = Err(ReadFailure { why: "no answer".into(), is_final: false });
    assert_eq!(off.sent(unsent, MS(10_000)), PowerChangeStep::Read(MS(0)));
    assert_eq!(off.read(unread("no answer"), MS(15_000)), PowerChangeStep::Read(MS(500)));
    let next = off.read(unread("no answer"), MS(20_100));
    assert!(matches!(&next, PowerChangeStep::Failed(why) if why.contains("no answer")), "{next:?}");
}

/// Pacemaker asks other peers only if an agent fails in time: a silent device must not use up all of the time.
#[test]
fn silence_after_the_command_is_put_up_with_for_a_while() {
    let mut off = PowerChange::new(Power::Off, Rules { silence_limit: MS(5_000), ..rules() });
    assert_eq!(off.read(unread("no answer"), MS(8_000)), PowerChangeStep::Send { already: false });
    off.sent(Err(ReadFailure { why: "no answer".into(), is_final: false }), MS(16_000));
    assert_eq!(off.read(unread("away for a moment"), MS(17_000)), PowerChangeStep::Read(MS(500)));
    assert!(matches!(off.read(unread("no answer"), MS(21_000)), PowerChangeStep::Failed(_)));
}

/// A command that took all of the time is still followed by a reading, which decides.
#[test]
fn there_is_always_a_reading_after_the_command() {
    let mut off = PowerChange::new(Power::Off, Rules { readings: 1, ..rules() });
    assert_eq!(off.read(Ok(Power::On), MS(10)), PowerChangeStep::Send { already: false });
    assert_eq!(off.sent(Ok(()), MS(30_000)), PowerChangeStep::Read(MS(0)));
    assert_eq!(off.read(Ok(Power::Off), MS(30_010)), PowerChangeStep::Reached { already: false, caution: None });
}

/// A rejected login is never tried again: BMCs lock accounts.
#[test]
fn a_final_failure_ends_at_once() {
    let mut off = PowerChange::new(Power::Off, rules());
    let refused = Err(ReadFailure { why: "wrong password".into(), is_final: true });
    assert_eq!(off.read(refused, MS(5)), PowerChangeStep::Failed("wrong password".into()));
}

/// Some BMCs answer D5h to "off" when the host is off by then: the reading decides.
#[test]
fn a_refused_command_is_judged_by_the_state() {
    let mut off = PowerChange::new(Power::Off, rules());
    assert_eq!(off.read(Ok(Power::On), MS(0)), PowerChangeStep::Send { already: false });
    let refused = Err(ReadFailure { why: "D5h".into(), is_final: false });
    assert_eq!(off.sent(refused, MS(1)), PowerChangeStep::Read(MS(0)));
    off.read(Ok(Power::Off), MS(2));
    assert_eq!(off.read(Ok(Power::Off), MS(202)), PowerChangeStep::Reached { already: false, caution: None });
}

fn reading() -> impl Strategy<Value = Result<Power, ReadFailure>> {
    prop_oneof![
        Just(Ok(Power::On)),
        Just(Ok(Power::Off)),
        any::<bool>().prop_map(|is_final| Err(ReadFailure { why: "?".into(), is_final })),
    ]
}

proptest! {
    /// For any readings: success only after `readings` equal ones in a row, and always an end.
    #[test]
    fn success_needs_its_readings_in_a_row(script in proptest::collection::vec(reading(), 200)) {
        let mut off = PowerChange::new(Power::Off, rules());
        let mut now = MS(0);
        let mut last = Vec::new();
        let mut script = script.into_iter();
        let mut next = PowerChangeStep::Read(MS(0));
        loop {
            next = match next {
                PowerChangeStep::Read(pause) => {
                    now += pause + MS(50);
                    let Some(seen) = script.next() else { prop_assert!(false, "no end"); break };
                    last.push(seen.clone());
                    off.read(seen, now)
                }
                PowerChangeStep::Send { .. } => off.sent(Ok(()), now),
                PowerChangeStep::Failed(_) => break,
                PowerChangeStep::Reached { .. } => {
                    prop_assert!(last.ends_with(&[Ok(Power::Off), Ok(Power::Off)]));
                    break;
                }
            };
        }
    }
}
