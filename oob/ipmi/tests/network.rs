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
    let error = refused(&target(&bmc), after(300));
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
