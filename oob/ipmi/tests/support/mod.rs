//! Helpers for the tests with a responder.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "each test binary uses a part of it")]

use std::time::{Duration, Instant};

use bmc_responder::{Behaviour, Responder};
use ipmi_lan::{CipherSuite, Error, Secret, Session, Target};

/// A deadline that only a hanging test reaches.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(crate) fn after(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}

pub(crate) fn start(behaviour: Behaviour) -> Responder {
    Responder::start(behaviour).unwrap()
}

pub(crate) fn target_as(bmc: &Responder, user: &str, password: &str) -> Target {
    Target::new(bmc.addr().ip().to_string(), user, Secret::new(password)).unwrap().with_port(bmc.addr().port())
}

pub(crate) fn target(bmc: &Responder) -> Target {
    target_as(bmc, "admin", "secret16")
}

pub(crate) fn target_with(bmc: &Responder, suites: &[CipherSuite]) -> Target {
    target(bmc).with_cipher_suites(suites).unwrap()
}

pub(crate) fn open(bmc: &Responder) -> Session {
    Session::open(&target(bmc), soon()).unwrap()
}

/// Returns the error of a login, and checks that its message and hint are one line without the secrets.
pub(crate) fn refused(target: &Target, deadline: Instant) -> Error {
    let error = Session::open(target, deadline).expect_err("the login must fail");
    for text in [error.to_string(), error.hint().to_owned(), format!("{error:?} {target:?}")] {
        assert!(!text.contains('\n') && !text.is_empty(), "{text:?}");
        assert!(!text.contains("secret") && !text.contains("wrong-one"), "{text:?}");
    }
    error
}
