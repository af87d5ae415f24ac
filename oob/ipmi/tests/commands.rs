//! Tests of commands on an open session.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use bmc_responder::{Behaviour, Completion, PowerActs};
use ipmi_lan::ipmi_rs::Ipmi;
use ipmi_lan::ipmi_rs::app::GetDeviceId;
use ipmi_lan::{ChassisControl, ChassisStatus, Error, Privilege, SelfTest, SelfTestFailures, Session};
use support::{after, open, soon, start, target};

fn failing(net_fn: u8, command: u8, code: u8, times: u32) -> Behaviour {
    Behaviour { completions: vec![Completion { net_fn, command, code, times }], ..Behaviour::default() }
}

/// The whole sequence: on, off, on again, and the session closed.
#[test]
fn power_follows() {
    let bmc = start(Behaviour::default());
    let mut session = open(&bmc);
    assert!(session.chassis_status().unwrap().power_on);
    session.chassis_control(ChassisControl::PowerDown).unwrap();
    assert!(!bmc.power() && !session.chassis_status().unwrap().power_on);
    session.chassis_control(ChassisControl::PowerUp).unwrap();
    assert!(bmc.power() && session.chassis_status().unwrap().power_on);
    session.close();
    assert_eq!((bmc.seen().controls, bmc.seen().closes, bmc.sessions()), (vec![0, 1], 1, 0));
}

/// An acknowledgement is not a proof: `fence_ipmilan` with too short a wait reported "off" too early.
#[test]
fn an_acknowledgement_is_no_proof() {
    let bmc = start(Behaviour { power_acts: PowerActs::Never, ..Behaviour::default() });
    let mut session = open(&bmc);
    session.chassis_control(ChassisControl::PowerDown).unwrap();
    assert!(session.chassis_status().unwrap().power_on);
}

/// The bytes are those of the BMC: their order differs between makers.
#[test]
fn the_identity_of_the_host_is_read_as_it_comes() {
    let guid = *b"0123456789abcdef";
    let bmc = start(Behaviour { system_guid: Some(guid), ..Behaviour::default() });
    let mut session = open(&bmc);
    assert_eq!(session.system_guid().unwrap(), guid);
    assert!(session.chassis_status().unwrap().power_on);
    let bmc = start(Behaviour::default());
    assert!(matches!(open(&bmc).system_guid().unwrap_err(), Error::Unsupported { .. }));
    let bmc = start(Behaviour { system_guid: Some(guid), cut: 1, ..Behaviour::default() });
    let short = Session::open(&target(&bmc), soon()).and_then(|mut session| session.system_guid());
    assert!(matches!(short.unwrap_err(), Error::MalformedReply { .. }));
}

/// A BMC that acts late is read as off only when it is.
#[test]
fn late_power_off_is_seen_late() {
    let delay = Duration::from_millis(150);
    let bmc = start(Behaviour { power_acts: PowerActs::After(delay), ..Behaviour::default() });
    let mut session = open(&bmc);
    session.chassis_control(ChassisControl::PowerDown).unwrap();
    while session.chassis_status().unwrap().power_on {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!bmc.power());
}

/// `ipmipower` 1.6.10 exits with 0 and without output when a command fails in an IPMI 2.0 session.
#[test]
fn a_failed_command_is_an_error() {
    for code in [0xC7, 0xC9, 0xCC, 0xD3, 0xD5, 0xD6, 0xFF, 0x80, 0x01] {
        let bmc = start(failing(0x00, 0x02, code, u32::MAX));
        let error = open(&bmc).chassis_control(ChassisControl::PowerDown).unwrap_err();
        assert!(
            matches!(error, Error::Completion { net_fn: 0, command: 2, code: found, .. } if found == code),
            "{error}"
        );
        assert!(error.to_string().contains("Chassis Control") && bmc.power());
    }
    let bmc = start(failing(0x00, 0x01, 0xC1, u32::MAX));
    assert!(matches!(open(&bmc).chassis_status(), Err(Error::Unsupported { .. })));
}

/// Commands with codes that mean "later" (node busy, timeout, out of space, initializing) are repeated within the
/// deadline.
#[test]
fn busy_bmcs_are_asked_again() {
    for code in [0xC0, 0xC3, 0xC4, 0xD2] {
        let bmc = start(failing(0x00, 0x01, code, 2));
        assert!(open(&bmc).chassis_status().unwrap().power_on, "{code:02X}h");
        let bmc = start(failing(0x00, 0x01, code, u32::MAX));
        let mut session = open(&bmc);
        session.set_deadline(after(400));
        assert!(matches!(session.chassis_status(), Err(Error::Busy { code: found, .. }) if found == code));
    }
}

/// Every session starts at user level, whatever Open Session promised: without raising it, control fails with D4h.
#[test]
fn user_level_cannot_control() {
    let bmc = start(Behaviour::default());
    let mut session = Session::open(&target(&bmc).with_privilege(Privilege::User), soon()).unwrap();
    assert!(session.chassis_status().unwrap().power_on);
    let error = session.chassis_control(ChassisControl::PowerDown).unwrap_err();
    assert!(matches!(error, Error::InsufficientPrivilege { .. }) && bmc.power(), "{error}");
}

/// Each fault of the chassis status has its own flag.
#[test]
fn faults_are_distinguished() {
    let healthy = ChassisStatus { power_on: true, ..ChassisStatus::default() };
    for chassis in [
        ChassisStatus { power_overload: true, ..healthy },
        ChassisStatus { interlock: true, ..healthy },
        ChassisStatus { power_fault: true, ..healthy },
        ChassisStatus { power_control_fault: true, ..healthy },
        ChassisStatus { intrusion: true, ..healthy },
        ChassisStatus { drive_fault: true, ..healthy },
        ChassisStatus { cooling_fault: true, ..healthy },
    ] {
        let bmc = start(Behaviour { chassis, ..Behaviour::default() });
        assert_eq!(open(&bmc).chassis_status().unwrap(), chassis);
    }
}

/// A short reply does not count as "all bits clear", which would be "off".
#[test]
fn a_short_status_is_no_status() {
    for cut in 1..=3 {
        let bmc = start(Behaviour { cut, ..Behaviour::default() });
        let session = Session::open(&target(&bmc).with_privilege(Privilege::User), soon());
        let error = session.unwrap().chassis_status().unwrap_err();
        assert!(matches!(error, Error::MalformedReply { .. }), "{error}");
    }
}

/// The values that `health` reads besides the chassis status.
#[test]
fn health_is_read() {
    let corrupt = SelfTestFailures { sel: true, firmware: true, ..SelfTestFailures::default() };
    for (bytes, expected) in [
        (Some([0x55, 0]), Some(SelfTest::Passed)),
        (Some([0x56, 0]), Some(SelfTest::NotImplemented)),
        (Some([0x57, 0x81]), Some(SelfTest::Failed(corrupt))),
        (Some([0x58, 7]), Some(SelfTest::Fatal(7))),
        (Some([0x70, 1]), Some(SelfTest::Other(0x70, 1))),
        (None, None),
    ] {
        let bmc = start(Behaviour { self_test: bytes, sel: (512, 0, true), ..Behaviour::default() });
        let mut session = open(&bmc);
        match (session.self_test(), expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected),
            (Err(Error::Unsupported { .. }), None) => {}
            (found, _) => panic!("{found:?}"),
        }
        let sel = session.sel_info().unwrap();
        assert_eq!((sel.entries, sel.bytes_free, sel.overflow), (512, 0, true));
        assert!(session.device_id().unwrap().device_available);
    }
}

/// The session serves `ipmi-rs` as a connection, so that its commands and iterators work on it.
#[test]
fn ipmi_rs_commands_run() {
    let bmc = start(Behaviour::default());
    let mut ipmi = Ipmi::new(open(&bmc));
    assert_eq!(ipmi.send_recv(GetDeviceId).unwrap().major_version, 2);
    ipmi.release().close();
    assert_eq!(bmc.sessions(), 0);
}

/// A BMC that never answers Close Session must not delay a fencing that is done.
#[test]
fn close_is_best_effort() {
    let bmc = start(Behaviour { silent_close: true, ..Behaviour::default() });
    open(&bmc).close();
    assert!(bmc.seen().closes >= 1);
}

/// A session that is dropped after an error is also closed: Cisco IMC has four slots.
#[test]
fn a_dropped_session_is_given_back() {
    let bmc = start(Behaviour { slots: 1, ..Behaviour::default() });
    for _ in 0..3 {
        drop(open(&bmc));
    }
    assert!(open(&bmc).chassis_status().unwrap().power_on);
}
