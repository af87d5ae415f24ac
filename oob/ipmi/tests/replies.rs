//! Tests that only the right reply is an answer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use bmc_responder::{Behaviour, Forgery, Noise};
use ipmi_lan::command::GetChassisStatus;
use ipmi_lan::ipmi_rs::Ipmi;
use ipmi_lan::ipmi_rs::rmcp::Rmcp;
use ipmi_lan::{ChassisStatus, CipherSuite};
use support::{open, start};

/// A BMC on a network that delivers each reply once more, right before the next one. Power is off at first.
fn stale() -> Behaviour {
    Behaviour {
        stale_duplicates: true,
        suites: vec![CipherSuite::Suite3],
        chassis: ChassisStatus::default(),
        ..Behaviour::default()
    }
}

/// A duplicated old "off" must never answer a new request: the machine is on by then.
#[test]
fn an_old_reply_is_no_answer() {
    let bmc = start(stale());
    let mut session = open(&bmc);
    assert!(!session.chassis_status().unwrap().power_on);
    bmc.set_power(true);
    assert!(session.chassis_status().unwrap().power_on);
}

/// The reason why the session of `ipmi-rs` is not used: in the same scenario it reports "off" for a machine that is on.
///
/// If this test fails after an update of `ipmi-rs`, examine its session again.
#[test]
fn ipmi_rs_takes_an_old_reply_for_an_answer() {
    let bmc = start(stale());
    let mut rmcp = Rmcp::new(bmc.addr(), Duration::from_secs(5)).unwrap();
    rmcp.activate(true, Some("admin"), Some(b"secret16")).unwrap();
    let mut ipmi = Ipmi::new(rmcp);
    let power_on = |ipmi: &mut Ipmi<Rmcp>| match ipmi.send_recv(GetChassisStatus) {
        Ok(status) => status.power_on,
        Err(error) => panic!("{error:?}"),
    };
    assert!(!power_on(&mut ipmi));
    bmc.set_power(true);
    assert!(!power_on(&mut ipmi), "ipmi-rs has learned to tell old replies from new ones");
}

/// Each forged reply states the opposite of the true one after it; the true one is accepted, at once or after another
/// attempt.
#[test]
fn lies_are_skipped() {
    for forgery in Forgery::ALL {
        for power_on in [true, false] {
            let chassis = ChassisStatus { power_on, ..ChassisStatus::default() };
            let bmc = start(Behaviour { forgery: Some(forgery), chassis, ..Behaviour::default() });
            let mut session = open(&bmc);
            for _ in 0..3 {
                assert_eq!(session.chassis_status().unwrap().power_on, power_on, "{forgery:?}");
            }
        }
    }
}

/// `ipmipower` fails when each reply comes twice, ipmi-rs reports the wrong one.
#[test]
fn every_reply_twice_and_out_of_order() {
    for seed in 0..4 {
        let delay = Duration::from_millis(30);
        let noise = Noise { seed, duplicate: 100, reorder: 30, delay, ..Noise::default() };
        let bmc = start(Behaviour { noise, ..Behaviour::default() });
        let mut session = open(&bmc);
        for power in [true, false, true, true, false] {
            bmc.set_power(power);
            assert_eq!(session.chassis_status().unwrap().power_on, power, "seed {seed}");
        }
    }
}

/// A damaged packet may delay the answer, but never change it.
#[test]
fn damaged_replies_cost_time_only() {
    for seed in 0..4 {
        let bmc = start(Behaviour::default());
        let mut session = open(&bmc);
        bmc.change(|behaviour| behaviour.noise = Noise { seed, corrupt: 50, ..Noise::default() });
        for power in [true, false, true, false] {
            bmc.set_power(power);
            assert_eq!(session.chassis_status().unwrap().power_on, power, "seed {seed}");
        }
    }
}
