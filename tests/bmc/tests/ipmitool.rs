//! Tests the responder with `ipmitool`, which shares no code with it: this proves the real protocol.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use bmc_responder::{Behaviour, PowerActs, Responder};
use ipmi_lan::ChassisStatus;

struct Tool {
    password: PathBuf,
}

impl Tool {
    /// Starts a responder; `None` if `ipmitool` is not installed.
    fn new(name: &str) -> Option<Self> {
        if Command::new("ipmitool").arg("-V").output().is_err() {
            eprintln!("skipped: ipmitool is not installed");
            return None;
        }
        let password = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::write(&password, "secret16\n").unwrap();
        Some(Self { password })
    }

    fn run(&self, bmc: &Responder, suite: u8, arguments: &[&str]) -> Output {
        let address = bmc.addr();
        Command::new("ipmitool")
            .args(["-I", "lanplus", "-N", "1", "-R", "2", "-U", "admin", "-C", &suite.to_string()])
            .args(["-H", &address.ip().to_string(), "-p", &address.port().to_string(), "-f"])
            .arg(&self.password)
            .args(arguments)
            .output()
            .unwrap()
    }

    fn text(&self, bmc: &Responder, suite: u8, arguments: &[&str]) -> String {
        let output = self.run(bmc, suite, arguments);
        assert!(output.status.success(), "{arguments:?} with suite {suite}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.password);
    }
}

/// Reading and switching works with both suites.
#[test]
fn power() {
    let Some(tool) = Tool::new("power") else { return };
    for suite in [17, 3] {
        let bmc = Responder::start(Behaviour::default()).unwrap();
        assert_eq!(tool.text(&bmc, suite, &["chassis", "power", "status"]), "Chassis Power is on\n");
        tool.text(&bmc, suite, &["chassis", "power", "off"]);
        assert!(!bmc.power());
        assert_eq!(tool.text(&bmc, suite, &["chassis", "power", "status"]), "Chassis Power is off\n");
        tool.text(&bmc, suite, &["chassis", "power", "on"]);
        assert!(bmc.power());
        assert_eq!((bmc.failed_logins(), bmc.sessions()), (0, 0));
    }
}

/// K_g works with both suites.
#[test]
fn kg() {
    let Some(tool) = Tool::new("kg") else { return };
    let key = "twenty-bytes-of-key!";
    for suite in [17, 3] {
        let bmc = Responder::start(Behaviour { kg: Some(key.into()), ..Behaviour::default() }).unwrap();
        let arguments = ["-k", key, "chassis", "power", "status"];
        assert_eq!(tool.text(&bmc, suite, &arguments), "Chassis Power is on\n");
        assert!(!tool.run(&bmc, suite, &["chassis", "power", "status"]).status.success());
    }
}

/// Faults, self test and event log are read as they were set.
#[test]
fn health() {
    let Some(tool) = Tool::new("health") else { return };
    let chassis = ChassisStatus { power_on: true, drive_fault: true, power_fault: true, ..ChassisStatus::default() };
    let bmc = Responder::start(Behaviour { chassis, sel: (3, 64, true), ..Behaviour::default() }).unwrap();
    let status = tool.text(&bmc, 17, &["chassis", "status"]);
    for (name, value) in [("Main Power Fault", "true"), ("Drive Fault", "true"), ("Cooling/Fan Fault", "false")] {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.ends_with(value), "{line}");
    }
    assert!(tool.text(&bmc, 17, &["mc", "selftest"]).contains("passed"));
    assert!(tool.text(&bmc, 17, &["sel", "info"]).contains("Overflow         : true"));
    assert!(tool.text(&bmc, 17, &["mc", "info"]).contains("IPMI Version              : 2.0"));
}

/// A wrong password opens no session.
#[test]
fn wrong_password() {
    let Some(tool) = Tool::new("wrong") else { return };
    fs::write(&tool.password, "wrong\n").unwrap();
    let bmc = Responder::start(Behaviour::default()).unwrap();
    assert!(!tool.run(&bmc, 17, &["chassis", "power", "off"]).status.success());
    let seen = bmc.seen();
    // `ipmitool` checks RAKP 2 itself and ends without a message to the BMC.
    assert_eq!((bmc.power(), seen.rakp1, seen.rakp3, seen.logins), (true, 1, 0, 0));
}

/// The wrong acknowledgement that makes reading back necessary: acknowledged, but never done.
#[test]
fn acknowledged_only() {
    let Some(tool) = Tool::new("lie") else { return };
    let bmc = Responder::start(Behaviour { power_acts: PowerActs::Never, ..Behaviour::default() }).unwrap();
    tool.text(&bmc, 17, &["chassis", "power", "off"]);
    assert_eq!(tool.text(&bmc, 17, &["chassis", "power", "status"]), "Chassis Power is on\n");
}
