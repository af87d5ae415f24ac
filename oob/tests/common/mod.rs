//! A site on disk for `ganeti-oob`: a configuration, secrets, scripts as devices with their power in files, and the
//! receipts. Also calls the program as Ganeti does.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test crate uses a part of it, and a broken test stops at once"
)]

pub(crate) mod cluster;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use bmc_responder::{Behaviour, Responder};
use gnt_ha::core::node::NodeName;
use gnt_ha::power::check;
use gnt_ha::service::shun::device::open;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::config_file;
pub(crate) use program_test::{Ran, install};
use serde_json::Value;
use tempfile::TempDir;

/// The path of `ganeti-oob`.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ganeti-oob");

/// The node that every test switches.
pub(crate) const NODE: &str = "n1.lab";

/// The password of [`Behaviour::default`]'s user and of every device that needs one; no output may contain it.
pub(crate) const PASSWORD: &str = "secret16";

/// The time in s after which a hanging test is killed.
const GIVE_UP: &str = "60";

/// A temporary directory with all files of a site.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    /// Makes a site. `config` is added to the directories, a deadline of 6 s and a short power cycle interval; `{dir}`
    /// in it is the directory.
    pub(crate) fn new(config: &str) -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.write("password", &format!("{PASSWORD}\n"), 0o600);
        let dirs = "deadline = 6\npower_cycle_interval = 0.1\nstate_directory = \"{dir}/state\"\nrun_directory = \"{dir}/run\"\n";
        site.configure(&format!("{dirs}{config}"));
        site
    }

    /// Makes a site with one script for each name, all of them on, and these levels.
    pub(crate) fn with_scripts(names: &[&str], levels: &str) -> Self {
        let mut config = format!("[default]\nlevels = {levels}\n");
        for name in names {
            config.push_str(&format!("[devices.{name}]\ndriver = \"exec\"\nprogram = \"{{dir}}/{name}\"\n"));
        }
        let site = Self::new(&config);
        for name in names {
            site.script(name, "");
            site.set_power(name, "on");
        }
        site
    }

    /// Makes a site with one fence agent, which is on; `more` is added to its keys.
    pub(crate) fn with_agent(vice: &str, more: &str) -> Self {
        // An unknown agent proves no off of its own.
        let grade = if more.contains("grade") { "" } else { "grade = \"off\"\n" };
        let site = Self::new(&format!(
            "[nodes.\"n1.lab\"]\nlevels = [[\"pdu\"]]\n[devices.pdu]\ndriver = \"agent\"\nagent = \"{{dir}}/fence_fake\"\n\
             password_file = \"{{dir}}/password\"\n{grade}{more}\n"
        ));
        site.agent("fence_fake", vice);
        site.set_power("fence_fake", "on");
        site
    }

    /// Makes a site with one BMC; `more` is added to its keys.
    pub(crate) fn with_bmc(port: u16, more: &str) -> Self {
        Self::new(&format!(
            "[nodes.\"n1.lab\"]\nlevels = [[\"bmc\"]]\n[devices.bmc]\ndriver = \"ipmi\"\naddress = \"127.0.0.1\"\nport = {port}\n\
             username = \"admin\"\npassword_file = \"{{dir}}/password\"\n{more}\n"
        ))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Writes the whole configuration.
    pub(crate) fn configure(&self, text: &str) {
        self.write("config.toml", &text.replace("{dir}", &self.dir.path().display().to_string()), 0o600);
    }

    pub(crate) fn set_power(&self, name: &str, power: &str) {
        std::fs::write(self.path(&format!("power-{name}")), format!("{power}\n")).unwrap();
    }

    pub(crate) fn power(&self, name: &str) -> String {
        self.text(&format!("power-{name}")).trim().to_owned()
    }

    /// Returns the requests to the script or agent `name`, in order.
    pub(crate) fn calls(&self, name: &str) -> Vec<String> {
        self.text(&format!("calls-{name}")).lines().map(str::to_owned).collect()
    }

    /// Writes an OOB program: `vice` is shell text that runs before the correct part, with `$1` the command and `$2`
    /// the node.
    pub(crate) fn script(&self, name: &str, vice: &str) {
        let dir = self.dir.path().display();
        let body = format!(
            r#"#!/bin/sh
cd "{dir}" || exit 9
echo "$1 $2" >> calls-{name}
{vice}
case "$1" in
power-on) echo on > power-{name} ;;
power-off) echo off > power-{name} ;;
power-status)
    case "$(cat power-{name})" in
    on) echo '{{"powered": true}}' ;;
    off) echo '{{"powered": false}}' ;;
    *) echo "no such host" >&2; exit 1 ;;
    esac ;;
health) echo '[["fan", "OK"]]' ;;
*) exit 1 ;;
esac
"#
        );
        install(&self.path(name), &body);
    }

    /// Writes a fence agent that records all of its call; `vice` sees the action in `$action`.
    pub(crate) fn agent(&self, name: &str, vice: &str) {
        let dir = self.dir.path().display();
        let body = format!(
            r#"#!/bin/sh
cd "{dir}" || exit 9
cat > stdin-{name}
action=$(sed -n 's/^action=//p' stdin-{name})
echo "$action" >> calls-{name}
tr '\0' '\n' < /proc/$$/cmdline >> argv-{name}
tr '\0' '\n' < /proc/$$/environ >> environ-{name}
{vice}
case "$action" in
on|off) echo "$action" > power-{name} ;;
status)
    case "$(cat power-{name})" in
    on) echo "Status: ON"; exit 0 ;;
    off) echo "Status: OFF"; exit 2 ;;
    *) echo "no such plug" >&2; exit 1 ;;
    esac ;;
monitor) ;;
*) exit 1 ;;
esac
"#
        );
        install(&self.path(name), &body);
    }

    /// Returns the answers of the devices of these tests' node on every level, as `gnt-ha check` collects them.
    pub(crate) fn devices(&self) -> Value {
        let config = config_file::load(&self.path("config.toml")).unwrap();
        let node = NodeName::new(NODE).unwrap();
        serde_json::to_value(check::devices(&config, &node, Deadline::after(config.deadline), open, true).unwrap())
            .unwrap()
    }

    /// Runs the program as Ganeti does, with the node of these tests.
    pub(crate) fn oob(&self, command: &str) -> Ran {
        self.run(&[command, NODE], &[])
    }

    /// Does the same for a caller that has only `seconds` left.
    pub(crate) fn oob_within(&self, seconds: &str, command: &str) -> Ran {
        self.run(&[command, NODE], &[("GNT_HA_DEADLINE", seconds)])
    }

    /// Runs the program with any arguments and environment; the configuration is added, stdin is empty.
    pub(crate) fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", GIVE_UP, PROGRAM]).args(arguments).arg("--config").arg(self.path("config.toml"));
        command.env_remove("GNT_HA_DEADLINE").env_remove("GNT_HA_PARENT_RECEIPT").env("LC_ALL", "C");
        command.envs(environment.iter().copied());
        feed(command, b"")
    }

    /// Returns the status of the first `health` item whose name begins with `item`.
    #[track_caller]
    pub(crate) fn health_of(&self, item: &str) -> String {
        let items = self.oob("health").answered();
        let found = items.as_array().unwrap().iter().find(|known| known[0].as_str().unwrap().starts_with(item));
        let status = found.and_then(|found| found[1].as_str());
        status.unwrap_or_else(|| panic!("no {item} in {items}")).to_owned()
    }

    /// Returns every line of the receipts.
    pub(crate) fn receipt_log(&self) -> Vec<Value> {
        program_test::receipt_log(&self.text("state/receipts.jsonl"))
    }

    /// Returns the one receipt, after checking that it follows its intent.
    pub(crate) fn receipt(&self) -> Value {
        program_test::receipt(&self.receipt_log())
    }
}

/// Runs `command` with `input` on stdin.
pub(crate) fn feed(command: Command, input: &[u8]) -> Ran {
    program_test::feed("ganeti-oob", command, input)
}

/// Returns a BMC of this behaviour and a site that uses it.
pub(crate) fn bmc(behaviour: Behaviour) -> (Responder, Site) {
    bmc_with(behaviour, "")
}

/// Returns the same with more keys for the device.
pub(crate) fn bmc_with(behaviour: Behaviour, more: &str) -> (Responder, Site) {
    let responder = Responder::start(behaviour).unwrap();
    let site = Site::with_bmc(responder.addr().port(), more);
    (responder, site)
}
