//! BMCs that differ from the specification, each as reported of a real one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::VecDeque;

use bmc_responder::{Behaviour, BrokenSuite, Completion, PrivilegeReply};
use ipmi_lan::{ChassisControl, CipherSuite, Error};
use support::{open, refused, soon, start, target, target_with};

const ONLY_17: [CipherSuite; 1] = [CipherSuite::Suite17];

/// VirtualBMC, and everything else on pyghmi, answers each Open Session with suite 3. `ipmitool` works with it.
#[test]
fn another_allowed_suite_is_used() {
    let behaviour = Behaviour { answered_suite: Some(CipherSuite::Suite3), ..Behaviour::default() };
    let bmc = start(behaviour.clone());
    let mut session = open(&bmc);
    assert_eq!(session.cipher_suite(), CipherSuite::Suite3);
    assert!(session.chassis_status().unwrap().power_on);
    let bmc = start(behaviour);
    let error = refused(&target_with(&bmc, &ONLY_17), soon());
    assert!(error.to_string().contains("it answered with cipher suite 3, which is not allowed"), "{error}");
    assert_eq!(bmc.seen().rakp1, 0);
}

/// Suite 17 is accepted, and its RAKP 2 has zeros, or a refusal of role or name. `ipmitool -C 3` works.
#[test]
fn a_broken_suite_leads_to_the_next_one() {
    for broken in [BrokenSuite::Zeros, BrokenSuite::Refusal(0x09), BrokenSuite::Refusal(0x0D)] {
        let behaviour = Behaviour { broken_17: Some(broken), ..Behaviour::default() };
        let bmc = start(behaviour.clone());
        assert_eq!(open(&bmc).cipher_suite(), CipherSuite::Suite3, "{broken:?}");
        assert_eq!((bmc.seen().open_sessions, bmc.seen().logins), (vec![3, 1], 1), "{broken:?}");
        let bmc = start(behaviour);
        let error = refused(&target_with(&bmc, &ONLY_17), soon());
        let is_named = match broken {
            BrokenSuite::Zeros => matches!(error, Error::NoCode { suite: CipherSuite::Suite17, .. }),
            BrokenSuite::Refusal(0x09) => matches!(error, Error::PrivilegeRefused { .. }),
            BrokenSuite::Refusal(_) => matches!(error, Error::UserRefused { .. }),
        };
        assert!(is_named, "{broken:?}: {error}");
        assert_eq!(bmc.seen().rakp1, 1, "{broken:?}");
    }
}

/// Some BMCs refuse suite 17 with the status of another fault. Open Session names no user, so that no account is at risk.
#[test]
fn every_refusal_of_open_session_leads_to_the_next_suite() {
    for status in (0x01..=0x12).chain([0x55]) {
        let bmc = start(Behaviour { open_statuses: VecDeque::from([status]), ..Behaviour::default() });
        assert_eq!(open(&bmc).cipher_suite(), CipherSuite::Suite3, "{status:02X}h");
        assert_eq!(bmc.seen().open_sessions, [3, 1], "{status:02X}h");
    }
    for status in [0x09, 0x0A, 0x0D, 0x0F] {
        let bmc = start(Behaviour { open_statuses: VecDeque::from([status; 2]), ..Behaviour::default() });
        let error = refused(&target(&bmc), soon());
        let is_named = matches!(error, Error::HandshakeRefused { asked: "Open Session Request", .. });
        assert!(is_named && !error.is_login_failure(), "{status:02X}h: {error}");
        assert_eq!((bmc.seen().open_sessions.len(), bmc.seen().rakp1), (2, 0), "{status:02X}h");
    }
}

/// OpenBMC refuses with tag 0 and session ID 0: 24 logins in 8 s, reported as packet loss.
#[test]
fn a_blank_refusal_counts() {
    let behaviour = Behaviour { blank_refusals: true, users: Vec::new(), ..Behaviour::default() };
    let bmc = start(behaviour.clone());
    let error = refused(&target_with(&bmc, &ONLY_17), soon());
    assert!(matches!(error, Error::UserRefused { status: 0x0D, .. }), "{error}");
    assert_eq!((bmc.seen().open_sessions.len(), bmc.seen().rakp1), (1, 1));
    let bmc = start(Behaviour { suites: vec![CipherSuite::Suite3], ..behaviour });
    let error = refused(&target_with(&bmc, &ONLY_17), soon());
    assert!(matches!(error, Error::CipherSuiteRefused { status: 0x11, .. }), "{error}");
    assert_eq!(bmc.seen().open_sessions.len(), 1);
}

/// More bytes behind the codes of RAKP 2 and 4.
#[test]
fn bytes_behind_a_code_do_no_harm() {
    for junk in [1, 16] {
        let bmc = start(Behaviour { junk, ..Behaviour::default() });
        assert!(open(&bmc).chassis_status().unwrap().power_on);
        assert_eq!(bmc.seen().open_sessions.len(), 1);
    }
}

/// Some BMCs answer Set Session Privilege Level with nothing, or grant more than was asked for. Less is refused.
#[test]
fn an_odd_privilege_level_is_no_refusal() {
    for (privilege_reply, works) in [
        (PrivilegeReply::Absent, true),
        (PrivilegeReply::Level(4), true),
        (PrivilegeReply::Level(5), true),
        (PrivilegeReply::Level(2), false),
        (PrivilegeReply::Level(0), false),
    ] {
        let bmc = start(Behaviour { privilege_reply, ..Behaviour::default() });
        if works {
            open(&bmc).chassis_control(ChassisControl::PowerDown).unwrap();
            assert!(!bmc.power());
        } else {
            let error = refused(&target(&bmc), soon());
            assert!(matches!(error, Error::PrivilegeRefused { in_session: true, .. }), "{error}");
        }
    }
}

/// Codes that mostly stay, and that BMCs return now and then all the same. They are tried again twice, and then named.
#[test]
fn an_odd_completion_code_is_tried_again() {
    for code in [0xCE, 0xD4, 0xD5, 0xFF] {
        for command in [1, 2] {
            for (times, works) in [(1, true), (2, true), (u32::MAX, false)] {
                let completions = vec![Completion { net_fn: 0, command, code, times }];
                let bmc = start(Behaviour { completions, ..Behaviour::default() });
                let mut session = open(&bmc);
                let result = match command {
                    1 => session.chassis_status().map(drop),
                    _ => session.chassis_control(ChassisControl::PowerDown),
                };
                assert_eq!(result.is_ok(), works, "{code:02X}h {command} {times}: {result:?}");
                assert_eq!(bmc.power(), command == 1 || !works, "{code:02X}h {command} {times}");
            }
        }
    }
}
