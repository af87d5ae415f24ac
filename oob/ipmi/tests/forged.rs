//! A sender of packets in the BMC's name cannot end a login: a packet before the session is open proves nothing, and
//! the BMC's own answer counts for as long as it is waited for.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use bmc_responder::{Attack, Behaviour, User};
use ipmi_lan::{CipherSuite, Error, Privilege};
use support::{open, refused, soon, start, target};

/// An Open Session refusal ended the login at once, a RAKP refusal did not. Now each waits for the BMC's own answer,
/// and none makes the login use a weaker suite.
#[test]
fn a_forged_refusal_ends_no_login() {
    for status in 0x01..=0x13 {
        for attack in [Attack::Refusal(status), Attack::Spray(status)] {
            let bmc = start(Behaviour {
                attack: Some(attack),
                rakp2_delay: Duration::from_millis(20),
                ..Behaviour::default()
            });
            let mut session = open(&bmc);
            assert!(session.chassis_status().unwrap().power_on, "{attack:?}");
            assert_eq!(session.cipher_suite(), CipherSuite::Suite17, "{attack:?}");
            assert_eq!((bmc.seen().logins, bmc.failed_logins()), (1, 0), "{attack:?}");
        }
    }
}

/// One packet of IPMI 1.5, which has no session and no secret, claimed that the BMC does not support 2.0.
#[test]
fn a_forged_answer_of_ipmi_15_ends_no_login() {
    let bmc = start(Behaviour { attack: Some(Attack::NoIpmi20), ..Behaviour::default() });
    assert!(open(&bmc).chassis_status().unwrap().power_on);
    assert_eq!((bmc.seen().logins, bmc.failed_logins()), (1, 0));
}

/// A BMC that refuses, and an attacker with another refusal: the login fails for one of the two reasons, and once.
#[test]
fn a_refusal_that_stays_is_named() {
    let bmc = start(Behaviour { users: Vec::new(), ..Behaviour::default() });
    assert!(matches!(refused(&target(&bmc), soon()), Error::UserRefused { status: 0x0D, .. }));
    let bmc = start(Behaviour { users: Vec::new(), attack: Some(Attack::NoIpmi20), ..Behaviour::default() });
    assert!(matches!(refused(&target(&bmc), soon()), Error::UserRefused { status: 0x0D, .. }));
    assert_eq!(bmc.seen().rakp1, 2, "once with each suite");
}

/// Only a packet that is signed with the session's keys is the BMC's own.
#[test]
fn a_refusal_is_proven_in_the_session_only() {
    let user = |privilege| vec![User { name: "admin".to_owned(), password: b"secret16".to_vec(), privilege }];
    for (strict_role, proven) in [(true, false), (false, true)] {
        let bmc = start(Behaviour { users: user(Privilege::User), strict_role, ..Behaviour::default() });
        let error = refused(&target(&bmc), soon());
        assert_eq!((error.is_login_failure(), error.is_proven()), (true, proven), "{error}");
    }
    let bmc = start(Behaviour { users: Vec::new(), ..Behaviour::default() });
    assert!(!refused(&target(&bmc), soon()).is_proven());
}

/// A sender that does not see the requests cannot know their tags: a login begins with a random one.
#[test]
fn the_first_tag_is_any() {
    let bmc = start(Behaviour::default());
    (0..12).for_each(|_| open(&bmc).close());
    let tags = bmc.seen().tags;
    assert!(tags.len() == 12 && tags.iter().any(|tag| *tag != tags[0]), "{tags:?}");
}
