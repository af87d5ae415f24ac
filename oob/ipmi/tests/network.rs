//! Tests on networks that lose, delay or refuse packets.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use bmc_responder::{Behaviour, Noise, Responder};
use ipmi_lan::{ChassisControl, Error, Secret, Session, Target};
use support::{after, open, refused, soon, start, target};

/// `ipmitool` and `ipmipower` need 20 s for a closed port; Ganeti gives 60 s for all of an off-and-on.
#[test]
fn a_closed_port_is_named() {
    for host in ["127.0.0.1", "::1", "localhost"] {
        let free = match host {
            "::1" => UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)),
            _ => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)),
        };
        let port = free.unwrap().local_addr().unwrap().port();
        let target = Target::new(host, "admin", Secret::new("secret16")).unwrap().with_port(port);
        let error = refused(&target, soon());
        assert!(matches!(error, Error::Refused { .. }) && error.is_unreachable(), "{error}");
    }
}

/// After silence the state is unknown, never off; the wait ends with the deadline.
#[test]
fn silence_ends_with_the_deadline() {
    let bmc = start(Behaviour { silent: true, ..Behaviour::default() });
    let error = refused(&target(&bmc), after(500));
    assert!(matches!(error, Error::NoAnswer { sent, .. } if sent > 1) && error.is_unreachable(), "{error}");
    assert!(matches!(refused(&target(&bmc), after(0)), Error::DeadlinePassed { .. }));
}

/// The same inside a session, with a deadline of its own for each call.
#[test]
fn silence_in_a_session_ends_with_the_deadline() {
    let bmc = start(Behaviour::default());
    let mut session = open(&bmc);
    bmc.change(|behaviour| behaviour.silent = true);
    session.set_deadline(after(300));
    let error = session.chassis_status().unwrap_err();
    assert!(matches!(error, Error::NoAnswer { asked: "Get Chassis Status", sent: 2.., .. }), "{error}");
    assert!(matches!(session.chassis_status(), Err(Error::DeadlinePassed { .. })));
    bmc.change(|behaviour| behaviour.silent = false);
    session.set_deadline(soon());
    assert!(session.chassis_status().unwrap().power_on);
}

/// A BMC that stops answering within a session is reported as fast as one that never answered.
#[test]
fn a_bmc_that_goes_away_is_named() {
    let bmc = start(Behaviour::default());
    let mut session = open(&bmc);
    drop(bmc);
    let error = session.chassis_status().unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

/// A name that does not resolve is an error of the configuration, and not of the BMC.
#[test]
fn an_unknown_name_is_named() {
    let target = Target::new("bmc.invalid", "admin", Secret::new("secret16")).unwrap();
    assert!(matches!(refused(&target, soon()), Error::Resolve { .. }));
}

/// IPv6, which the measurements for this library did not cover.
#[test]
fn ipv6_works() {
    let bmc = Responder::start_at((Ipv6Addr::LOCALHOST, 0).into(), Behaviour::default()).unwrap();
    let mut session = open(&bmc);
    assert!(session.peer().is_ipv6());
    assert!(session.chassis_status().unwrap().power_on);
}

/// With 30 % loss each way ipmi-rs got 1 status of 40, `ipmitool` 6 of 20.
#[test]
fn a_third_of_all_packets_may_be_lost() {
    for (seed, ignore_repeated_rakp1) in [(1, true), (2, false)] {
        let noise = Noise { seed, lose_requests: 30, lose_replies: 30, ..Noise::default() };
        let bmc = start(Behaviour { ignore_repeated_rakp1, noise, ..Behaviour::default() });
        let mut session = Session::open(&target(&bmc), after(60_000)).unwrap();
        session.chassis_control(ChassisControl::PowerDown).unwrap();
        assert!(!session.chassis_status().unwrap().power_on);
        assert_eq!((bmc.power(), bmc.failed_logins()), (false, 0));
    }
}

/// A request is sent again with the same `rqSeq` and a new session sequence number (a BMC drops a repeated one).
#[test]
fn a_lost_reply_is_asked_for_again() {
    let bmc = start(Behaviour::default());
    let mut session = open(&bmc);
    let before = bmc.seen().requests.len();
    bmc.change(|behaviour| behaviour.noise = Noise { seed: 3, lose_replies: 50, ..Noise::default() });
    for _ in 0..6 {
        assert!(session.chassis_status().unwrap().power_on);
    }
    let requests = bmc.seen().requests.split_off(before);
    assert!(requests.len() > 6, "nothing was lost: {requests:?}");
    assert!(requests.windows(2).all(|pair| pair[0].0 < pair[1].0), "{requests:?}");
    let mut questions: Vec<u8> = requests.iter().map(|request| request.1).collect();
    questions.dedup();
    assert_eq!(questions.len(), 6, "{requests:?}");
}

/// Slow BMCs need more than 1 s for RAKP 2, some for one at a time; new attempts must not flood them.
#[test]
fn slow_bmcs_get_through() {
    for rakp2_serial in [false, true] {
        let rakp2_delay = Duration::from_millis(1200);
        let bmc = start(Behaviour { rakp2_delay, rakp2_serial, ..Behaviour::default() });
        assert!(open(&bmc).chassis_status().unwrap().power_on);
        assert_eq!((bmc.seen().logins, bmc.failed_logins()), (1, 0));
    }
}

/// A BMC that works off one packet after another, 400 ms each, got so many copies that it never came to a power command:
/// `ipmitool` had switched it off after 4.5 s.
#[test]
fn a_serial_bmc_gets_no_needless_copies() {
    for millis in [100, 400] {
        let bmc = start(Behaviour { packet_time: Duration::from_millis(millis), ..Behaviour::default() });
        let mut session = open(&bmc);
        assert!(session.chassis_status().unwrap().power_on);
        session.chassis_control(ChassisControl::PowerDown).unwrap();
        assert!(!session.chassis_status().unwrap().power_on);
        // Open Session, RAKP 1 and 3, Set Session Privilege Level, two readings, the command; and one question more
        // before anything was measured.
        let seen = bmc.seen();
        assert!(seen.datagrams <= 8, "{millis} ms: {seen:?}");
        assert_eq!((seen.open_sessions.len(), seen.controls.len(), seen.logins), (1, 1, 1), "{millis} ms");
    }
}

/// With 8 s for each power operation, 12 copies of the command filled the queue of a BMC, and it stayed deaf for a minute.
#[test]
fn a_power_command_that_takes_long_is_not_sent_again() {
    let power_time = Duration::from_secs(3);
    let bmc = start(Behaviour { packet_time: Duration::from_millis(1), power_time, ..Behaviour::default() });
    let mut session = open(&bmc);
    session.chassis_control(ChassisControl::PowerDown).unwrap();
    assert!(!session.chassis_status().unwrap().power_on);
    assert_eq!(bmc.seen().controls, [0]);
}

/// A command that was lost is sent again as soon as the BMC has answered a later question.
#[test]
fn a_lost_power_command_is_sent_again() {
    for seed in 0..4 {
        let bmc = start(Behaviour::default());
        let mut session = open(&bmc);
        bmc.change(|behaviour| behaviour.noise = Noise { seed, lose_requests: 60, ..Noise::default() });
        session.chassis_control(ChassisControl::PowerDown).unwrap();
        assert!(!bmc.power());
    }
}

/// A BMC that answered one message of a login, and no later one, has power.
#[test]
fn a_bmc_that_has_answered_is_not_taken_for_one_without_power() {
    let long = Duration::from_secs(60);
    for (behaviour, after_ms) in [
        (Behaviour { rakp2_delay: long, slots: 1, ..Behaviour::default() }, 2_500),
        (Behaviour { silent_handshake: true, ..Behaviour::default() }, 2_500),
    ] {
        let bmc = start(behaviour);
        let error = refused(&target(&bmc), after(after_ms));
        assert!(!error.is_total_silence(Duration::from_secs(1)), "{error}");
    }
    let bmc = start(Behaviour { silent: true, ..Behaviour::default() });
    let error = refused(&target(&bmc), after(2_500));
    assert!(error.is_total_silence(Duration::from_secs(1)), "{error}");
}

/// The status may be that of before. A command without an answer of its own is not reported as accepted.
#[test]
fn a_power_command_without_an_answer_is_an_error() {
    let mut behaviour = Behaviour { lose_controls: true, ..Behaviour::default() };
    behaviour.chassis.power_on = false;
    let bmc = start(behaviour);
    let error = open(&bmc).chassis_control(ChassisControl::PowerDown).unwrap_err();
    assert!(matches!(error, Error::NoAnswer { asked: "Chassis Control", .. }), "{error}");
    assert!(bmc.seen().controls.len() <= 6);
}
