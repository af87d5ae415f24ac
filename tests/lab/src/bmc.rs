//! Runs one BMC for each host: `ipmi_sim` of OpenIPMI, whose power commands are the lab's own.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::unistd::close;

use crate::error::{Error, Result};
use crate::network::{self, Network};
use crate::power::{Mains, Power};
use crate::state::{Dir, make_dir, write};

/// The user that may switch the power, on every BMC of every lab.
pub const USER: &str = "admin";

const EMULATOR: &str = "\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
sensor_add 0x20 0 1 0x01 0x01
sensor_set_value 0x20 0 1 0x60 0
sensor_set_threshold 0x20 0 1 settable 111000 0xa0 0x90 0x70 00 00 00
sensor_set_event_support 0x20 0 1 enable scanning per-state 000111111000000 000111111000000 000111111000000 000111111000000
mc_enable 0x20
";

/// Returns a password of 16 characters, the most that IPMI 2.0 over `ipmi_sim` accepts.
pub(crate) fn make_password(dir: &Dir) -> Result<()> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    File::open(source).and_then(|mut f| f.read_exact(&mut bytes)).map_err(Error::file("read", source))?;
    let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    write(&dir.password(), text.as_bytes(), 0o600)
}

pub(crate) fn password(dir: &Dir) -> Result<String> {
    let path = dir.password();
    fs::read_to_string(&path).map_err(Error::file("read", &path))
}

pub(crate) fn start(dir: &Dir, lab: &str, index: u8) -> Result<()> {
    let host = format!("n{index}");
    let home = dir.host(&host);
    make_dir(&home.join("bmc"), 0o700)?;
    let levels: String = ["callback", "user", "operator", "admin"]
        .iter()
        .map(|level| format!("    allowed_auths_{level} none md2 md5 straight\n"))
        .collect();
    let lan = format!(
        "name \"{host}\"\nset_working_mc 0x20\n  startlan 1\n    addr {address} 623\n    priv_limit admin\n{levels}    \
         guid a123456789abcdefa123456789abc{index:03x}\n  endlan\n  \
         chassis_control \"{program} chassis {lab} {host}\"\n  \
         user 2 true \"{USER}\" \"{password}\" admin 10 none md2 md5 straight\n",
        address = Network::Bmc.address(index),
        program = dir.program().display(),
        password = password(dir)?,
    );
    write(&home.join("lan.conf"), lan.as_bytes(), 0o600)?;
    write(&home.join("bmc.emu"), EMULATOR.as_bytes(), 0o600)?;
    let path = home.join("bmc.log");
    let log = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::file("open", &path))?;
    let copy = log.try_clone().map_err(Error::file("share", &path))?;
    // nsenter and not `ip netns exec`, which also makes a mount namespace: no other process would see what the BMC's
    // power-on then makes under /run/netns.
    let status = Command::new("setsid")
        .args(["--fork", "nsenter", &format!("--net={}", network::switch_file(lab).display())])
        .arg(dir.program())
        .args(["bmc", lab, &host])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy)
        .status()
        .map_err(Error::system("start setsid"))?;
    if status.success() { Ok(()) } else { Err(Error::Answer { what: "setsid".into(), detail: status.to_string() }) }
}

/// Runs a host's BMC, and starts it again if it ends: `ipmi_sim` was seen to exit without a reason.
pub fn keep(lab: &str, host: &str) -> Result<()> {
    let home = Dir::of(lab)?.host(host);
    loop {
        let status = Command::new("ipmi_sim")
            .arg("-n")
            .arg("-c")
            .arg(home.join("lan.conf"))
            .arg("-f")
            .arg(home.join("bmc.emu"))
            .arg("-s")
            .arg(home.join("bmc"))
            .status()
            .map_err(Error::system("start ipmi_sim"))?;
        eprintln!("ipmi_sim ended: {status}");
        thread::sleep(Duration::from_secs(1));
    }
}

/// Runs the command that `ipmi_sim` calls: `get power boot` or `set power 0`; returns the answer to print.
pub fn chassis(lab: &str, host: &str, words: &[String]) -> Result<String> {
    close_inherited();
    let mains = Mains::of(lab, host)?;
    let mut words = words.iter().map(String::as_str);
    let verb = words.next().unwrap_or_default();
    let mut answer = String::new();
    while let Some(parameter) = words.next() {
        match (verb, parameter) {
            ("get", "power") => answer += if mains.status() == Power::Off { "power:0\n" } else { "power:1\n" },
            ("get", "boot") => answer += "boot:default\n",
            ("set", "power") => match words.next() {
                Some("0") => mains.off()?,
                Some("1") => mains.on()?,
                other => return Err(unknown(verb, parameter, other)),
            },
            ("set", "shutdown") => {
                words.next();
                mains.off()?;
            }
            ("set", "reset") => {
                words.next();
                mains.off()?;
                mains.on()?;
            }
            ("set", "boot") => {
                words.next();
            }
            ("set", "identify") => {
                words.nth(1);
            }
            (verb, parameter) => return Err(unknown(verb, parameter, None)),
        }
    }
    Ok(answer)
}

fn unknown(verb: &str, parameter: &str, value: Option<&str>) -> Error {
    Error::Answer {
        what: "chassis command".into(),
        detail: format!("{verb} {parameter} {}", value.unwrap_or_default()),
    }
}

/// `ipmi_sim` passes its sockets on to its children; a host that inherits them would keep the BMC's port.
fn close_inherited() {
    let Ok(list) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = list.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        let _ = close(fd);
    }
}
