//! Runs OpenIPMI's `ipmi_sim`: a BMC that shares no code with gnt-ha, for our programs and the others alike.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ipmi_lan::{CipherSuite, Error, Secret, Session, Target};

use crate::Result;
use crate::fixture::{PASSWORD, USER};

/// The most that a simulator may take until its first answer.
const START: Duration = Duration::from_secs(10);

const EMULATION: &str = "mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
";

/// The configuration of a simulator whose chassis is always on. It starts only the shell, as its time counts in every
/// row.
const CHASSIS: &str = r#"#!/bin/sh
[ "$1" = get ] || exit 1
shift
for name in "$@"; do case $name in
    power) echo power:1 ;;
    *) echo "$name:default" ;;
esac; done
"#;

/// A simulator, which ends when it is dropped.
pub(crate) struct Simulator {
    child: Child,
    address: IpAddr,
}

impl Simulator {
    /// Starts a simulator on IPMI's port of `address` and waits until it answers.
    pub(crate) fn start(dir: &Path, address: IpAddr) -> Result<Self> {
        let dir = dir.join(format!("simulator-{address}"));
        fs::create_dir_all(dir.join("state"))?;
        let path = |file: &str| dir.join(file).display().to_string();
        let levels: String = ["callback", "user", "operator", "admin"]
            .iter()
            .map(|level| format!("    allowed_auths_{level} none md2 md5 straight\n"))
            .collect();
        let lan = format!(
            "name \"bench\"\nset_working_mc 0x20\n  startlan 1\n    addr {address} {}\n    priv_limit admin\n{levels}    \
             guid a123456789abcdefa123456789abcdef\n  endlan\n  chassis_control \"/bin/sh {}\"\n  \
             user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 none md2 md5 straight\n",
            ipmi_lan::DEFAULT_PORT,
            path("chassis.sh"),
        );
        fs::write(path("lan.conf"), lan)?;
        fs::write(path("bmc.emu"), EMULATION)?;
        fs::write(path("chassis.sh"), CHASSIS)?;
        let child = Command::new("ipmi_sim")
            .args(["-n", "-c", &path("lan.conf"), "-f", &path("bmc.emu"), "-s", &path("state")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("ipmi_sim: {error}"))?;
        let simulator = Self { child, address };
        simulator.wait()?;
        Ok(simulator)
    }

    /// Whether it still runs: measurements after its end are not valid.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(format!("ipmi_sim at {} ended by itself ({status}): run it again", self.address).into())
            }
        }
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    fn wait(&self) -> Result<()> {
        let target =
            Target::new(self.address(), USER, Secret::new(PASSWORD))?.with_cipher_suites([CipherSuite::Suite3])?;
        let until = Instant::now() + START;
        loop {
            match Session::open(&target, until) {
                Ok(session) => {
                    session.close();
                    return Ok(());
                }
                Err(Error::Refused { .. }) if Instant::now() < until => {}
                Err(error) => return Err(format!("ipmi_sim does not answer: {error}").into()),
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
