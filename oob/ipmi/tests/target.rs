//! Tests that values which IPMI cannot transmit are rejected, never truncated.
#![allow(clippy::unwrap_used, reason = "tests")]

use ipmi_lan::{CipherSuite, Secret, Target, TargetError};

fn new(host: &str, user: &str, password: &str) -> Result<Target, TargetError> {
    Target::new(host, user, Secret::new(password))
}

/// ipmi-rs truncates a user name after 16 bytes and converts a non-ASCII one to the empty name.
#[test]
fn nothing_is_cut() {
    assert_eq!(new("", "user", "x").unwrap_err(), TargetError::EmptyHost);
    assert_eq!(new("bmc", "seventeen-letters", "x").unwrap_err(), TargetError::LongUsername(17));
    assert_eq!(new("bmc", "ääääääääa", "x").unwrap_err(), TargetError::LongUsername(17));
    assert_eq!(new("bmc", "user", "twenty-one-bytes-long").unwrap_err(), TargetError::LongPassword(21));
    assert_eq!(new("bmc", "user", "zero\0").unwrap_err(), TargetError::ZeroInPassword);
    let target = new("bmc", "user", "x").unwrap();
    assert_eq!(target.clone().with_kg(Secret::new("short")).unwrap_err(), TargetError::KgLength(5));
    assert_eq!(target.clone().with_cipher_suites([]).unwrap_err(), TargetError::CipherSuites);
    let twice = [CipherSuite::Suite3, CipherSuite::Suite3];
    assert_eq!(target.with_cipher_suites(twice).unwrap_err(), TargetError::CipherSuites);
}

/// No suites but 17 and 3 can be configured.
#[test]
fn weak_suites_have_no_name() {
    let named: Vec<u8> = (0..=255).filter(|id| CipherSuite::from_id(*id).is_some()).collect();
    assert_eq!(named, [3, 17]);
}

/// Debug output can reach logs.
#[test]
fn secrets_are_not_printed() {
    let target = new("bmc", "user", "hidden-one").unwrap().with_kg(Secret::new("hidden-two-hidden-tw")).unwrap();
    assert!(!format!("{target:?}").contains("hidden"));
}
