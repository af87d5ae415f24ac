//! Tests of logins that work, and of logins that must fail after one attempt.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::VecDeque;

use bmc_responder::{Behaviour, User};
use ipmi_lan::{CipherSuite, Error, Privilege, Secret, Session};
use support::{after, open, refused, soon, start, target, target_as, target_with};

const BOTH: [CipherSuite; 2] = CipherSuite::DEFAULT_ORDER;
const ONLY_17: [CipherSuite; 1] = [CipherSuite::Suite17];
const ONLY_3: [CipherSuite; 1] = [CipherSuite::Suite3];
const KG: &str = "twenty-bytes-of-key!";

fn offering(suites: &[CipherSuite]) -> Behaviour {
    Behaviour { suites: suites.to_vec(), ..Behaviour::default() }
}

/// OpenBMC offers only suite 17 by default; some old BMCs only 3 (ipmi-rs: only 3, `ipmipower` without `-I`: only 3).
#[test]
fn the_best_common_suite_is_used() {
    for (offered, wanted, used, tried) in [
        (&BOTH[..], &BOTH[..], CipherSuite::Suite17, &[3][..]),
        (&ONLY_17, &BOTH, CipherSuite::Suite17, &[3]),
        (&ONLY_3, &BOTH, CipherSuite::Suite3, &[3, 1]),
        (&BOTH, &ONLY_3, CipherSuite::Suite3, &[1]),
        (&BOTH, &ONLY_17, CipherSuite::Suite17, &[3]),
    ] {
        let bmc = start(offering(offered));
        let mut session = Session::open(&target_with(&bmc, wanted), soon()).unwrap();
        assert_eq!(session.cipher_suite(), used);
        assert!(session.chassis_status().unwrap().power_on);
        session.close();
        assert_eq!(bmc.seen().open_sessions, tried);
        assert_eq!((bmc.seen().logins, bmc.failed_logins(), bmc.sessions()), (1, 0, 0));
    }
}

/// BMCs word the refusal of a suite differently; all of them lead to the next suite.
#[test]
fn every_suite_refusal_falls_back() {
    for status in [0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12] {
        let bmc = start(Behaviour { suite_status: status, ..offering(&ONLY_3) });
        assert_eq!(open(&bmc).cipher_suite(), CipherSuite::Suite3, "{status:02X}h");
    }
}

/// A suite that was not allowed is not used, whatever the BMC offers.
#[test]
fn a_suite_not_allowed_is_not_used() {
    let bmc = start(offering(&ONLY_3));
    let error = refused(&target_with(&bmc, &ONLY_17), soon());
    assert!(matches!(error, Error::CipherSuiteRefused { suite: CipherSuite::Suite17, status: 0x11, .. }), "{error}");
    assert_eq!(bmc.seen().open_sessions, [3]);
}

/// Suite 0 is the known bypass: a login ends if a BMC answers with other algorithms than requested.
#[test]
fn changed_algorithms_are_refused() {
    let bmc = start(Behaviour { algorithms_changed: true, ..Behaviour::default() });
    let error = refused(&target(&bmc), soon());
    assert!(matches!(error, Error::CipherSuiteChanged { suite: CipherSuite::Suite17, .. }), "{error}");
    assert_eq!(bmc.seen().rakp1, 0);
}

/// Some BMCs lock an account after a few bad logins: a wrong password is tried once, with one suite.
#[test]
fn a_wrong_password_is_tried_once() {
    for suites in [&BOTH[..], &ONLY_3] {
        let bmc = start(Behaviour { lock_after: Some(2), ..offering(suites) });
        let error = refused(&target_as(&bmc, "admin", "wrong-one"), soon());
        assert!(matches!(error, Error::WrongPassword { message: 2, .. }) && error.is_login_failure(), "{error}");
        assert_eq!((bmc.seen().rakp1, bmc.seen().rakp3), (1, 0));
        let tried = if suites.len() == 2 { 1 } else { 2 };
        assert_eq!(bmc.seen().open_sessions.len(), tried);
        assert_eq!(bmc.failed_logins(), 0, "the BMC need not even hear of it");
        assert!(open(&bmc).chassis_status().unwrap().power_on, "the account must not be locked");
    }
}

/// The same for a user that the BMC does not know, distinguished from a wrong password (ipmi-rs and ipmitool cannot).
/// BMCs that do not compute suite 17 refuse the name, too, so it is tried once with each suite. No password is proven.
#[test]
fn an_unknown_user_is_tried_once_with_each_suite() {
    let bmc = start(Behaviour::default());
    let error = refused(&target_as(&bmc, "stranger", "secret16"), soon());
    assert!(matches!(error, Error::UserRefused { status: 0x0D, .. }) && error.is_login_failure(), "{error}");
    assert_eq!((bmc.seen().rakp1, bmc.seen().rakp3, bmc.seen().open_sessions), (2, 0, vec![3, 1]));
}

/// A login to a locked account is not repeated with the same suite, and its password is not proven.
#[test]
fn a_locked_account_is_tried_once_with_each_suite() {
    let bmc = start(Behaviour { lock_after: Some(0), ..Behaviour::default() });
    assert!(matches!(refused(&target(&bmc), soon()), Error::UserRefused { .. }));
    assert_eq!((bmc.failed_logins(), bmc.seen().rakp3), (2, 0));
}

/// A refusal in RAKP 2 or 4 is final, also with a status that means "suite" in Open Session. In RAKP 2 those two are not
/// that BMCs send for a suite which they do not compute; after RAKP 3, which proves the password, all are.
#[test]
fn no_fallback_once_rakp_began() {
    for status in [0x04, 0x05, 0x09, 0x0D, 0x0F, 0x10, 0x11, 0x12] {
        if !matches!(status, 0x09 | 0x0D) {
            let bmc = start(Behaviour { rakp1_statuses: VecDeque::from([status]), ..Behaviour::default() });
            refused(&target(&bmc), soon());
            assert_eq!((bmc.seen().open_sessions, bmc.seen().rakp1), (vec![3], 1), "{status:02X}h");
        }
        let bmc = start(Behaviour { rakp3_statuses: VecDeque::from([status]), ..Behaviour::default() });
        refused(&target(&bmc), soon());
        assert_eq!((bmc.seen().open_sessions, bmc.seen().rakp3), (vec![3], 1), "{status:02X}h");
    }
}

fn with_kg() -> Behaviour {
    Behaviour { kg: Some(KG.as_bytes().to_vec()), ..Behaviour::default() }
}

/// K_g works with suite 17 and with suite 3.
#[test]
fn kg_opens() {
    for suites in [&ONLY_17, &ONLY_3] {
        let bmc = start(with_kg());
        let target = target_with(&bmc, suites).with_kg(Secret::new(KG)).unwrap();
        assert!(Session::open(&target, soon()).unwrap().chassis_status().unwrap().power_on);
    }
}

/// A wrong or missing K_g shows in RAKP 4; it is a failed login as well and tried once.
#[test]
fn a_wrong_kg_is_tried_once() {
    for (given, behaviour) in
        [(Some("twenty-bytes-of-junk"), with_kg()), (None, with_kg()), (Some(KG), Behaviour::default())]
    {
        let bmc = start(behaviour);
        let mut target = target(&bmc);
        if let Some(kg) = given {
            target = target.with_kg(Secret::new(kg)).unwrap();
        }
        let error = refused(&target, soon());
        assert!(matches!(error, Error::WrongKg { kg_given, .. } if kg_given == given.is_some()), "{error}");
        assert_eq!((bmc.seen().rakp1, bmc.seen().rakp3), (1, 1));
        assert!(!error.to_string().contains("twenty"));
    }
}

fn operator_only(strict_role: bool) -> Behaviour {
    let user = User { name: "admin".to_owned(), password: b"secret16".to_vec(), privilege: Privilege::Operator };
    Behaviour { users: vec![user], strict_role, ..Behaviour::default() }
}

/// ipmi-rs always asks for administrator, so an operator account cannot log in at all.
#[test]
fn an_operator_logs_in() {
    for strict in [true, false] {
        let bmc = start(operator_only(strict));
        let mut session = open(&bmc);
        session.chassis_control(ipmi_lan::ChassisControl::PowerDown).unwrap();
        assert!(!bmc.power());
    }
}

/// A level above the account's is refused in RAKP 2 or by Set Session Privilege Level, and not tried again.
#[test]
fn a_privilege_too_high_is_tried_once() {
    for strict in [true, false] {
        let bmc = start(operator_only(strict));
        let error = refused(&target(&bmc).with_privilege(Privilege::Administrator), soon());
        let named = matches!(error, Error::PrivilegeRefused { privilege: Privilege::Administrator, .. });
        assert!(named && error.is_login_failure(), "{error}");
        assert_eq!((bmc.seen().rakp1, bmc.failed_logins()), (1, u32::from(strict)));
    }
}

/// Cisco IMC has four slots; a slot that becomes free within the deadline is used (status 01h, 0Bh).
#[test]
fn a_taken_slot_is_waited_for() {
    let bmc = start(Behaviour {
        open_statuses: VecDeque::from([0x01]),
        rakp1_statuses: VecDeque::from([0x01]),
        ..Behaviour::default()
    });
    assert!(open(&bmc).chassis_status().unwrap().power_on);
    assert_eq!(bmc.failed_logins(), 0);
}

/// "No slot" is not "no answer": the administrator has to close other sessions.
#[test]
fn taken_slots_are_named() {
    let bmc = start(Behaviour { slots: 0, ..Behaviour::default() });
    let error = refused(&target(&bmc), after(700));
    assert!(matches!(error, Error::NoSessionSlot { status: 0x01, .. }), "{error}");
}

/// OpenBMC loses a session that is being opened just after a power change (phosphor-net-ipmid issue 16).
#[test]
fn a_forgotten_session_is_opened_again() {
    let bmc = start(Behaviour { rakp3_statuses: VecDeque::from([0x02, 0x08]), ..Behaviour::default() });
    assert!(open(&bmc).chassis_status().unwrap().power_on);
}

/// `ipmi_sim` frees a session that stays unused for about a second after RAKP 4; under loss that happens.
#[test]
fn a_session_lost_right_after_the_login_is_opened_again() {
    let bmc = start(Behaviour { deaf_sessions: 1, ..Behaviour::default() });
    assert!(open(&bmc).chassis_status().unwrap().power_on);
    assert_eq!((bmc.seen().logins, bmc.failed_logins()), (2, 0));
}

/// Some BMCs answer Open Session with maximum privilege 0 (FreeIPMI calls it `opensesspriv`).
#[test]
fn maximum_privilege_zero_is_accepted() {
    let bmc = start(Behaviour { privilege_zero: true, ..Behaviour::default() });
    assert!(open(&bmc).chassis_status().unwrap().power_on);
}

/// A forged or damaged RAKP 2 or 4 must not prevail over the right one that follows it.
#[test]
fn a_forged_code_does_not_end_the_login() {
    let bmc = start(Behaviour { forge_rakp: true, ..Behaviour::default() });
    assert!(open(&bmc).chassis_status().unwrap().power_on);
    assert_eq!((bmc.seen().rakp1, bmc.failed_logins()), (1, 0));
}

/// A BMC without IPMI 2.0 is reported soon, and not waited for.
#[test]
fn ipmi_15_is_named() {
    let bmc = start(Behaviour { ipmi20: false, silent_handshake: true, ..Behaviour::default() });
    assert!(matches!(refused(&target(&bmc), soon()), Error::NoIpmi20 { .. }));
    assert_eq!(bmc.seen().logins, 0);
}

/// No ASF ping: a BMC that ignores it is unusable for ipmi-rs.
#[test]
fn no_presence_ping_is_needed() {
    let bmc = start(Behaviour { asf_pong: false, ..Behaviour::default() });
    assert!(open(&bmc).chassis_status().unwrap().power_on);
}

/// Passwords up to 20 bytes are used completely: `ipmi_sim` and others truncate them to 16.
#[test]
fn twenty_bytes_of_password() {
    let password = "twenty-bytes-passwrd";
    let user = User { name: "sixteen-letters-".to_owned(), password: password.into(), privilege: Privilege::Operator };
    let bmc = start(Behaviour { users: vec![user], ..Behaviour::default() });
    let target = target_as(&bmc, "sixteen-letters-", password);
    assert!(Session::open(&target, soon()).unwrap().chassis_status().unwrap().power_on);
}
