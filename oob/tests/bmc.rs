//! The driver `ipmi` against a BMC that works, reports a wrong state, is late, has no free session or is absent (IPMI
//! 2.0).

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use bmc_responder::{Behaviour, Completion, Forgery, Noise, PowerActs};
use common::{NODE, Site, bmc, bmc_with};
use ipmi_lan::{ChassisStatus, CipherSuite};
use serde_json::json;

/// Chassis Control (IPMI 2.0 section 28.3) and Get Chassis Status (28.2).
const CONTROL: (u8, u8) = (0x00, 0x02);
const STATUS: (u8, u8) = (0x00, 0x01);

fn answering(command: (u8, u8), code: u8, times: u32) -> Behaviour {
    let completions = vec![Completion { net_fn: command.0, command: command.1, code, times }];
    Behaviour { completions, ..Behaviour::default() }
}

fn off_is_failure(site: &Site, words: &[&str]) {
    site.oob_within("1.5", "power-off").failed_for(NODE, &["bmc"]).failed(words);
    assert_eq!(site.receipt()["grade"], "unknown");
}

/// Every command on a correct BMC, with each of the two suites that protect power control.
#[test]
fn a_bmc_is_switched_and_read_with_suite_17_and_3() {
    for (offered, number) in [(CipherSuite::Suite17, "17"), (CipherSuite::Suite3, "3")] {
        let (bmc, site) = bmc(Behaviour { suites: vec![offered], ..Behaviour::default() });
        let on = site.oob("power-status").answered();
        assert_eq!(on["powered"], true);
        assert!(on["devices"][0]["text"].as_str().unwrap().ends_with(&format!("cipher suite {number})")), "{on}");
        site.oob("power-off").silent();
        assert!(!bmc.power());
        let off = site.oob("power-status").answered();
        assert_eq!((&off["powered"], &off["grade"]), (&json!(false), &json!("off")));
        site.oob("power-on").silent();
        site.oob("power-cycle").silent();
        assert!(bmc.power());
        assert_eq!(bmc.seen().controls, [0, 1, 0, 1]);
        assert_eq!(bmc.failed_logins(), 0);
        assert!(bmc.all_sessions_end(), "every session is given back");
    }
}

/// The only allowed suite is not offered: no weaker one is used.
#[test]
fn a_suite_that_is_not_allowed_is_not_used() {
    let offered = Behaviour { suites: vec![CipherSuite::Suite3], ..Behaviour::default() };
    let (bmc, site) = bmc_with(offered, "cipher_suites = [17]");
    site.oob("power-status").failed_for(NODE, &["bmc", "cipher suite 17", "refused"]);
    assert_eq!(bmc.seen().rakp1, 0);
}

/// A BMC acknowledges Chassis Control before it acts, or without acting.
#[test]
fn an_acknowledgement_without_action_is_a_failure() {
    let (bmc, site) = bmc(Behaviour { power_acts: PowerActs::Never, ..Behaviour::default() });
    off_is_failure(&site, &["it still reads on"]);
    assert_eq!(bmc.seen().controls, [0, 0], "the command goes out once more, not for ever");
}

/// The same BMC, late: the new state is waited for.
#[test]
fn a_bmc_that_acts_late_is_waited_for() {
    let (bmc, site) =
        bmc(Behaviour { power_acts: PowerActs::After(Duration::from_millis(700)), ..Behaviour::default() });
    site.oob("power-off").silent();
    assert!(!bmc.power());
}

/// Completion codes (table 5-2): after "busy" the request is repeated; the others are an error with its code, never an
/// off.
#[test]
fn completion_codes_are_never_an_off() {
    let (bmc, site) = bmc(answering(CONTROL, 0xC0, 2));
    site.oob("power-off").silent();
    assert!(!bmc.power());
    for code in [0xD5, 0xFF, 0xD4] {
        let (bmc, site) = common::bmc(answering(CONTROL, code, 99));
        off_is_failure(&site, &[&format!("{code:02X}h")]);
        assert!(bmc.power());
    }
    for code in [0xC1, 0xCC, 0xFF] {
        let (bmc, site) = common::bmc(answering(STATUS, code, 99));
        bmc.set_power(false);
        site.oob_within("2", "power-status").failed_for(NODE, &["bmc", &format!("{code:02X}h")]);
        off_is_failure(&site, &["power-off failed"]);
    }
}

/// A truncated answer shows nothing of the power, whatever its first bits are.
#[test]
fn a_reply_that_is_cut_short_is_unknown() {
    for cut in [2, 3, 4] {
        let (bmc, site) = bmc(Behaviour { cut, ..Behaviour::default() });
        bmc.set_power(false);
        site.oob_within("2", "power-status").failed_for(NODE, &["bmc"]);
    }
}

/// Forged packets, each with one flaw, before each true reply: none is believed.
#[test]
fn forged_replies_are_not_believed() {
    for forgery in Forgery::ALL {
        let (_bmc, site) = bmc(Behaviour { forgery: Some(forgery), ..Behaviour::default() });
        assert_eq!(site.oob("power-status").answered()["powered"], true, "{forgery:?}");
    }
}

/// A bad network delays the answer and does not change it.
#[test]
fn a_lossy_network_is_overcome() {
    let noise = Noise { seed: 7, lose_requests: 15, lose_replies: 15, duplicate: 20, corrupt: 5, ..Noise::default() };
    let (bmc, site) = bmc(Behaviour { noise, ..Behaviour::default() });
    site.configure(&site.text("config.toml").replace("deadline = 6", "deadline = 50"));
    site.oob("power-off").silent();
    assert!(!bmc.power());
}

/// Consoles and monitoring hold every session: the error line says so, and what to do.
#[test]
fn a_full_session_table_is_unknown() {
    let (bmc, site) = bmc(Behaviour { slots: 0, ..Behaviour::default() });
    bmc.set_power(false);
    site.oob_within("1", "power-status")
        .failed_for(NODE, &["bmc", "all sessions are taken", "close other IPMI sessions"]);
    off_is_failure(&site, &["all sessions are taken"]);
}

/// Two commands for a BMC with one session wait for each other.
#[test]
fn two_commands_share_a_bmc_with_one_session() {
    let (bmc, site) = bmc(Behaviour { slots: 1, ..Behaviour::default() });
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                site.oob("power-off").silent();
            });
        }
    });
    assert!(!bmc.power());
}

/// Silence is the most common failure of a BMC: the state is unknown, and never off.
#[test]
fn a_silent_bmc_is_unknown() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let site = Site::with_bmc(socket.local_addr().unwrap().port(), "login_timeout = 1");
    site.oob("power-status").failed_for(NODE, &["bmc", "no answer", "check that the BMC has power"]);
    off_is_failure(&site, &["no answer"]);
}

/// No program listens on the port: the failure is known at once, and is still not an off.
#[test]
fn a_closed_port_is_unknown() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let site = Site::with_bmc(socket.local_addr().unwrap().port(), "login_timeout = 1");
    drop(socket);
    site.oob("power-status").failed_for(NODE, &["bmc", "nothing listens"]);
    off_is_failure(&site, &["nothing listens"]);
}

/// A BMC on the host's shared port is away for a moment after a power change.
#[test]
fn a_bmc_that_goes_silent_is_failed_over() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let site = Site::with_bmc(socket.local_addr().unwrap().port(), "login_timeout = 1");
    let text = site.text("config.toml").replace(r#"[["bmc"]]"#, r#"[["bmc"], ["dev"]]"#);
    site.configure(&format!("{text}[devices.dev]\ndriver = \"exec\"\nprogram = \"{{dir}}/dev\"\n"));
    site.script("dev", "");
    site.set_power("dev", "on");
    site.oob("power-off").silent();
    assert_eq!((site.power("dev"), &site.receipt()["proven_by"]), ("off".into(), &json!("dev")));
}

/// Get Chassis Status (28.2), Get Self Test Results (20.4), Get SEL Info (31.2): each fault is an item of its own.
#[test]
fn health_reports_the_faults() {
    let (_bmc, site) = bmc(Behaviour::default());
    for item in
        ["bmc main power fault", "bmc drive fault", "bmc cooling or fan fault", "bmc BMC self test", "bmc event log"]
    {
        assert_eq!(site.health_of(item), "OK", "{item}");
    }
    let chassis = ChassisStatus { power_on: true, cooling_fault: true, intrusion: true, ..ChassisStatus::default() };
    let broken = Behaviour { chassis, self_test: Some([0x57, 0x01]), sel: (512, 0, true), ..Behaviour::default() };
    let (_bmc, site) = bmc(broken);
    for (item, health) in [
        ("bmc cooling or fan fault", "CRITICAL"),
        ("bmc chassis intrusion", "WARNING"),
        ("bmc main power fault", "OK"),
        ("bmc BMC self test", "WARNING"),
        ("bmc event log", "WARNING"),
    ] {
        assert_eq!(site.health_of(item), health, "{item}");
    }
}

/// Some BMCs return no sensor record whole (CAh). A name that fills the last block of a message is padded with a whole one
/// by others.
#[test]
fn sensor_records_are_read_in_parts_where_they_must_be() {
    let sensors = vec![("Fan_1".to_owned(), 0), ("Inlet Temp".to_owned(), 0x08), ("PSU".to_owned(), 0x10)];
    for record_bytes in [u8::MAX, 20, 16] {
        let (_bmc, site) = bmc(Behaviour { sensors: sensors.clone(), record_bytes, ..Behaviour::default() });
        for (item, health) in
            [("bmc sensor Fan_1", "OK"), ("bmc sensor Inlet Temp", "WARNING"), ("bmc sensor PSU", "CRITICAL")]
        {
            assert_eq!(site.health_of(item), health, "{item}, {record_bytes} bytes");
        }
    }
}
