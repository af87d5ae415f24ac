//! Parses the language of `cmdlist`, which README.md describes.

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::reconcile::FenceAction;

use crate::command::{Command, Device, Flag, Host};

/// A parsed scenario.
#[derive(Clone, Debug)]
pub struct Script {
    /// The rule that it tests, from the first line.
    pub guards: String,
    /// The number of hosts.
    pub hosts: usize,
    /// Ganeti's master at the beginning.
    pub master: Host,
    /// The master candidates at the beginning; empty for all.
    pub candidates: Vec<Host>,
    /// `candidate_pool_size`.
    pub pool: usize,
    /// The time that a host takes to boot, in s.
    pub boot: u64,
    /// The end of the scenario, in s since its beginning.
    pub until: u64,
    /// The commands, each with its time in s since the beginning.
    pub commands: Vec<(u64, Command)>,
}

/// The error for a line that is not valid.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {text:?}: {why}")]
pub struct ScriptError {
    line: usize,
    text: String,
    why: String,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            guards: String::new(),
            hosts: 3,
            master: 0,
            candidates: Vec::new(),
            pool: 10,
            boot: 120,
            until: 120,
            commands: Vec::new(),
        }
    }
}

impl Script {
    /// Parses the text of a `cmdlist`.
    ///
    /// # Errors
    /// The first line that cannot be parsed.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        for (index, line) in text.lines().enumerate() {
            script.line(line, index == 0).map_err(|why| ScriptError { line: index + 1, text: line.to_owned(), why })?;
        }
        script.commands.sort_by_key(|(at, _)| *at);
        Ok(script)
    }

    fn line(&mut self, line: &str, first: bool) -> Result<(), String> {
        if first {
            let guards = line.strip_prefix("# guards: ").filter(|guards| !guards.is_empty());
            self.guards = guards.ok_or("the first line is `# guards: ...`")?.to_owned();
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [comment, ..] if comment.starts_with('#') => {}
            ["hosts", n] => self.hosts = number(n)?,
            ["master", n] => self.master = self.host(n)?,
            ["candidates", names @ ..] => {
                self.candidates = names.iter().map(|name| self.host(name)).collect::<Result<_, _>>()?;
            }
            ["pool", n] => self.pool = number(n)?,
            ["boot", time] => self.boot = seconds(time)?,
            ["until", time] => self.until = seconds(time)?,
            ["at", time, words @ ..] => {
                let at = seconds(time)?;
                let command = self.command(words)?;
                self.commands.push((at, command));
            }
            words => {
                let command = self.command(words)?;
                self.commands.push((0, command));
            }
        }
        Ok(())
    }

    fn host(&self, name: &str) -> Result<Host, String> {
        let number: usize = name
            .strip_prefix('n')
            .ok_or("a node is n1, n2, ...")
            .and_then(|n| n.parse().map_err(|_| "a node is n1, n2, ..."))?;
        number.checked_sub(1).filter(|host| *host < self.hosts).ok_or_else(|| format!("there is no {name}"))
    }

    fn command(&self, words: &[&str]) -> Result<Command, String> {
        Ok(match words {
            ["power-cut", n] => Command::PowerCut(self.host(n)?),
            ["power-on", n] => Command::PowerOn(self.host(n)?),
            ["crash", n] => Command::Crash(self.host(n)?),
            ["cut", n] => Command::Cut(self.host(n)?),
            ["heal", n] => Command::Heal(self.host(n)?),
            ["bmc", n, word] => Command::Bmc(self.host(n)?, either(word, "alive", "dead")?),
            ["noded", n, word] => Command::Noded(self.host(n)?, either(word, "answers", "hung")?),
            ["stop-stack", n] => Command::StopStack(self.host(n)?),
            ["start-stack", n] => Command::StartStack(self.host(n)?),
            ["autostart", n, word] => Command::Autostart(self.host(n)?, either(word, "on", "off")?),
            ["standby", n] => Command::Standby(self.host(n)?, true),
            ["unstandby", n] => Command::Standby(self.host(n)?, false),
            ["fence", n, action, end] => {
                Command::Fence(self.host(n)?, fence_action(action)?, either(end, "success", "failed")?)
            }
            ["confirm", n] => Command::Confirm(self.host(n)?),
            ["receipt", n, asked, outcome, grade] => Command::Receipt(
                self.host(n)?,
                asked_action(asked)?,
                word(
                    &[
                        ("done", O::Done),
                        ("unchanged", O::Unchanged),
                        ("off-only", O::OffOnly),
                        ("refused", O::Refused),
                        ("unknown", O::Unknown),
                    ],
                    outcome,
                )?,
                grade.parse().map_err(|error| format!("{error}"))?,
            ),
            ["begun", n, asked] => Command::Begun(self.host(n)?, asked_action(asked)?),
            ["pause", reason @ ..] if !reason.is_empty() => {
                Command::Pause(reason.join(" ").trim_matches('"').to_owned())
            }
            ["resume"] => Command::Resume,
            ["maintenance", word] => Command::Maintenance(either(word, "on", "off")?),
            ["quorum", word] => Command::QuorumLost(either(word, "lost", "back")?),
            ["set", "least-grade", grade] => Command::LeastGrade(grade.parse().map_err(|error| format!("{error}"))?),
            ["set", "device-grade", grade] => Command::DeviceGrade(grade.parse().map_err(|error| format!("{error}"))?),
            ["set", "use-poweroff", word] => Command::PowerOff(either(word, "on", "off")?),
            ["set", "drain", word] => Command::Drain(either(word, "on", "off")?),
            ["device", name] => Command::Device(device(name)?),
            ["beside", name] => Command::Beside(device(name)?),
            ["topology", n, names @ ..] if !names.is_empty() => {
                Command::Topology(self.host(n)?, names.iter().map(|name| device(name)).collect::<Result<_, _>>()?)
            }
            ["watchdog-timeout"] => Command::WatchdogTimeout,
            ["power-agent"] => Command::PowerAgent,
            ["fence-with", action] => Command::FenceWith(fence_action(action)?),
            ["notify", word] => Command::NotifyMuted(either(word, "muted", "on")?),
            ["master-failover", n] => Command::MasterFailover(self.host(n)?),
            ["role", "unmanaged"] => Command::RoleUnmanaged,
            ["names", word] => Command::NamesDiffer(either(word, "differ", "same")?),
            ["outside", n] => Command::Outside(self.host(n)?),
            ["readd", n] => Command::Readd(self.host(n)?),
            ["modify", n, change] => {
                let (flag, value) = change.split_once('=').ok_or("modify NODE FLAG=yes|no")?;
                let flags = [
                    ("offline", Flag::Offline),
                    ("drained", Flag::Drained),
                    ("master_capable", Flag::MasterCapable),
                    ("oob_program", Flag::OobProgram),
                ];
                Command::Modify(self.host(n)?, word(&flags, flag)?, either(value, "yes", "no")?)
            }
            ["touch", n] => Command::Touch(self.host(n)?),
            ["history-gone", n] => Command::HistoryGone(self.host(n)?),
            ["forget", n] => Command::Forget(self.host(n)?),
            ["clock", n, by] => Command::Clock(
                self.host(n)?,
                by.strip_suffix('s').and_then(|by| by.parse().ok()).ok_or("a clock is set by +10s or -10s")?,
            ),
            ["breaker-reset"] => Command::BreakerReset,
            ["jobs", word] => Command::Jobs(either(word, "work", "fail")?),
            ["receipts", word] => Command::ReceiptsOfAll(either(word, "all", "own")?),
            ["ask-noded", word] => Command::AskNoded(either(word, "on", "off")?),
            ["reconcile", n] => Command::Reconcile(self.host(n)?),
            ["roles", mode] => Command::Roles(word(&[("partial", Mode::Partial), ("full", Mode::Full)], mode)?),
            ["copy", n, master, serial] => Command::Copy(
                self.host(n)?,
                self.host(master)?,
                serial.parse().map_err(|_| format!("{serial} is not a serial number"))?,
            ),
            ["confd", n, word] => Command::Confd(self.host(n)?, either(word, "answers", "silent")?),
            ["luxid", n, "stopped"] => Command::LuxidStopped(self.host(n)?),
            ["readmit", n] => Command::Readmit(self.host(n)?),
            ["disk", n, word] => Command::DiskFull(self.host(n)?, either(word, "full", "writable")?),
            _ => return Err("no such command".to_owned()),
        })
    }
}

use gnt_ha::core::receipt::{Action as A, Outcome as O};

fn asked_action(text: &str) -> Result<A, String> {
    word(&[("off", A::Off), ("on", A::On), ("reboot", A::Reboot), ("cycle", A::Cycle)], text)
}

fn fence_action(text: &str) -> Result<FenceAction, String> {
    word(&[("off", FenceAction::Off), ("reboot", FenceAction::Reboot), ("on", FenceAction::On)], text)
}

fn device(text: &str) -> Result<Device, String> {
    word(&Device::ALL.map(|(name, device, _)| (name, device)), text)
}

fn word<T: Copy>(known: &[(&str, T)], text: &str) -> Result<T, String> {
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("{text} is not one of {}", names.join(", "))
    })
}

fn either(text: &str, yes: &str, no: &str) -> Result<bool, String> {
    word(&[(yes, true), (no, false)], text)
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn seconds(text: &str) -> Result<u64, String> {
    text.strip_suffix('s').and_then(|text| text.parse().ok()).ok_or_else(|| format!("{text} is not a time (10s)"))
}
