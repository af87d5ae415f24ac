//! Tests against OpenIPMI's simulator, which shares no code with this library.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ipmi_lan::{ChassisControl, CipherSuite, Error, Secret, Session, Target};

const CHASSIS: &str = r#"#!/bin/sh
state=$1; action=$2; shift 2
case $action in
get) for name in "$@"; do case $name in
    power) echo "power:$(cat "$state")" ;;
    *) echo "$name:default" ;;
    esac; done ;;
set) while [ $# -gt 0 ]; do case $1 in
    power) echo "$2" >"$state.new" && mv "$state.new" "$state" ;;
    esac; shift 2; done ;;
esac
"#;

const EMULATION: &str = "mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
";

/// A simulator with its own directory and port; it ends with the test.
struct Simulator {
    child: Child,
    directory: PathBuf,
    port: u16,
}

impl Simulator {
    /// Starts a simulator; `None` if the simulator is not installed.
    fn start(name: &str) -> Option<Self> {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(directory.join("state")).unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |file: &str| directory.join(file).display().to_string();
        let lan = format!(
            "name \"{name}\"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control \"/bin/sh {} {}\"
  user 2 true \"admin\" \"secret16\" admin 10 none md2 md5 straight
  user 3 true \"oper\" \"operpw\" operator 10 none md2 md5 straight
",
            path("chassis.sh"),
            path("power")
        );
        for (file, text) in
            [("lan.conf", lan.as_str()), ("bmc.emu", EMULATION), ("chassis.sh", CHASSIS), ("power", "1\n")]
        {
            fs::write(directory.join(file), text).unwrap();
        }
        let child = Command::new("ipmi_sim")
            .args(["-n", "-c", &path("lan.conf"), "-f", &path("bmc.emu"), "-s", &path("state")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            eprintln!("skipped: ipmi_sim (Debian package openipmi) is not installed");
            return None;
        };
        Some(Self { child, directory, port })
    }

    fn target(&self, user: &str, password: &str) -> Target {
        Target::new("127.0.0.1", user, Secret::new(password)).unwrap().with_port(self.port)
    }

    /// Opens a session, also while the simulator is still starting and its port is closed.
    fn open(&self, target: &Target) -> Result<Session, Error> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match Session::open(target, deadline) {
                Err(Error::Refused { .. }) if Instant::now() < deadline => {}
                result => return result,
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Status, off, on and the values of `health`, after the fallback from suite 17, which the simulator does not have.
#[test]
fn power_and_health() {
    let Some(simulator) = Simulator::start("power") else { return };
    let mut session = simulator.open(&simulator.target("oper", "operpw")).unwrap();
    assert_eq!(session.cipher_suite(), CipherSuite::Suite3);
    assert!(session.chassis_status().unwrap().power_on);
    session.chassis_control(ChassisControl::PowerDown).unwrap();
    assert!(!session.chassis_status().unwrap().power_on);
    session.chassis_control(ChassisControl::PowerUp).unwrap();
    assert!(session.chassis_status().unwrap().power_on);
    assert!(matches!(session.self_test(), Err(Error::Unsupported { .. })));
    assert_eq!(session.sel_info().unwrap().entries, 0);
    assert!(session.device_id().unwrap().device_available);
    session.close();
}

/// Refusals of a BMC that is not ours have the meaning that this library assumes.
#[test]
fn refusals() {
    let Some(simulator) = Simulator::start("refusals") else { return };
    let wrong = simulator.open(&simulator.target("admin", "wrong")).unwrap_err();
    assert!(matches!(wrong, Error::WrongPassword { .. }), "{wrong}");
    let stranger = simulator.open(&simulator.target("stranger", "secret16")).unwrap_err();
    assert!(matches!(stranger, Error::UserRefused { .. }), "{stranger}");
    let only_17 = simulator.target("admin", "secret16").with_cipher_suites([CipherSuite::Suite17]).unwrap();
    let suite = simulator.open(&only_17).unwrap_err();
    assert!(matches!(suite, Error::CipherSuiteRefused { .. }), "{suite}");
}
