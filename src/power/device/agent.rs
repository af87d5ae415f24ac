//! The driver `agent`: starts any installed fence agent, by the fence-agent API (`doc/FenceAgentAPI.md` of
//! fence-agents).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::config::{AgentDevice, Config};
use crate::core::ganeti::oob::{self, HealthItem, OUTPUT_LIMIT, OobHealth};
use crate::core::grade::Grade;
use crate::core::power::Power;
use crate::sys::clock::Deadline;
use crate::sys::command::child::{ChildProcess, End, ProgramResult};
use crate::sys::trusted_file::{Secret, check_program, read_secret};

use super::{Acknowledgement, DeviceError, PowerDevice, Reading, take_lock};

/// The most between SIGTERM and SIGKILL.
const KILL_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Agent {
    program: PathBuf,
    options: Vec<(String, String)>,
    secrets: Vec<(String, Secret)>,
    by_exit_code: bool,
    grade: Grade,
    lock_path: PathBuf,
}

impl Agent {
    pub(super) fn new(name: &str, agent: &AgentDevice, config: &Config) -> Result<Self, DeviceError> {
        let program = agent.program();
        if !program.is_file() {
            return Err(DeviceError::permanent(format!(
                "there is no fence agent {}: install the package that has it (Debian: fence-agents) on every master \
                 candidate",
                program.display()
            )));
        }
        check_program(&program).map_err(|error| {
            DeviceError::permanent(format!(
                "the fence agent {} is not run: a user other than root could replace it: {error}",
                program.display()
            ))
        })?;
        let secrets = agent
            .secret_files()
            .map(|(option, file)| {
                Ok((option.to_owned(), read_secret(Path::new(file)).map_err(DeviceError::permanent)?))
            })
            .collect::<Result<_, DeviceError>>()?;
        Ok(Self {
            program,
            options: agent.options.iter().map(|(name, value)| (name.clone(), value.text())).collect(),
            secrets,
            by_exit_code: agent.status_by_exit_code,
            grade: agent.grade(),
            // A PDU serves many hosts and often accepts one login at a time: the lock is for the device, not for the
            // host.
            lock_path: config.run.join("lock").join(format!("agent-{name}")),
        })
    }

    /// Runs the agent once. The lock is held for one call only: two hosts that use the same two PDUs must be able to
    /// alternate.
    fn call(&mut self, action: &str, deadline: Deadline) -> Result<ProgramResult, DeviceError> {
        let _lock = take_lock(&self.lock_path, deadline)?;
        let mut stdin = Secret::new(format!("action={action}\n"));
        for (name, value) in &self.options {
            stdin.push_str(&format!("{name}={value}\n"));
        }
        for (name, secret) in &self.secrets {
            stdin.push_str(name);
            stdin.push('=');
            stdin.push_str(secret);
            stdin.push('\n');
        }
        let linger = KILL_DELAY.min(deadline.left() / 10);
        ChildProcess {
            program: &self.program,
            arguments: &[],
            stdin: stdin.as_bytes(),
            environment: &[],
            // With this variable the agents' library waits without limit, and no time is left for reading back.
            without: &["PCMK_service"],
            guarded: ["on", "off"].contains(&action),
            deadline: deadline.earlier(linger),
            linger,
            output_limit: OUTPUT_LIMIT,
        }
        .run()
        .map_err(|error| DeviceError::permanent(format!("cannot run {}: {error}", self.program.display())))
    }

    fn failed(&self, action: &str, ended: &ProgramResult) -> DeviceError {
        let how = match ended.end {
            End::Exited(code) => format!("failed with exit code {code}"),
            End::Killed(signal) => format!("was killed by signal {signal}"),
            End::TimedOut => format!("timed out after {:.1} s and was killed", ended.took.as_secs_f64()),
        };
        self.error(&format!("{action} {how}"), ended)
    }

    fn error(&self, what: &str, ended: &ProgramResult) -> DeviceError {
        // Some agents print their input again. The secret is removed before the line is cut, as a part of it is secret, too.
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        let text = self.secrets.iter().fold(text, |text, (_, secret)| text.replace(secret.as_str(), "***"));
        let reason = reason(&text).map(|reason| format!(": {reason}")).unwrap_or_default();
        if rejects_options(&text) {
            return DeviceError::permanent(format!(
                "{} {what}{reason}; correct the options of this device in the configuration",
                self.program.display()
            ));
        }
        DeviceError::transient(format!("{} {what}{reason}", self.program.display()))
    }
}

/// The line with which the agents' library ends in `fail_usage` (`fencing.py`). Many agents also end so when a request to
/// their device fails.
const USAGE: &str = "Please use '-h' for usage";

/// Parts of the texts with which `fencing.py` rejects options (`check_input`, `process_input`), before it asks the device.
/// Agents have similar texts of their own for a device that does not answer, so each is long.
const REJECTED: [&str; 8] = [
    "You have to enter fence address",
    "You have to set login name",
    "You have to enter password",
    "You have to use identity file",
    "You have to enter plug number",
    "Unrecognised action",
    "Parse error: unknown option",
    "is not a valid time in seconds",
];

/// Whether an agent rejects its options. Another attempt with the same ones cannot help.
fn rejects_options(stderr: &str) -> bool {
    let is_rejection = |line: &str| REJECTED.iter().any(|part| line.contains(part));
    stderr.lines().any(|line| line.contains(USAGE)) && stderr.lines().any(is_rejection)
}

/// Returns the most specific line of an agent's stderr: the last one that is neither the usage hint nor a warning of
/// Python's with the line of code that it quotes.
fn reason(stderr: &str) -> Option<String> {
    let lines = || stderr.lines().filter(|line| !line.trim().is_empty() && !line.contains(USAGE));
    let mut kept = None;
    let mut is_quote = false;
    for line in lines() {
        let is_warning = line.contains("Warning: ");
        let is_noise = is_warning || is_quote && line.starts_with(char::is_whitespace);
        if !is_noise {
            kept = Some(line);
        }
        is_quote = is_warning;
    }
    let line = kept.or_else(|| lines().next_back())?;
    // The agents' library logs with time and level.
    let line = line.split_once(" ERROR: ").map_or(line, |(_, text)| text);
    oob::reason_in(line.as_bytes())
}

impl PowerDevice for Agent {
    /// Reads the power by the agent's action `status`. Exit code 2 means off, and the library's output must agree: a
    /// shell and Perl also end with 2 when the agent itself is broken.
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        let ended = self.call("status", deadline)?;
        let power = match ended.end {
            End::Exited(0) => Power::On,
            End::Exited(2) => Power::Off,
            _ => return Err(self.failed("status", &ended)),
        };
        if !self.by_exit_code && parse_status(&ended.stdout) != Some(power) {
            return Err(self.error(
                &format!(
                    "status ended as for {power} and did not print it (if the agent never does: status_by_exit_code = true)"
                ),
                &ended,
            ));
        }
        Ok(Reading { power, grade: self.grade, detail: power.to_string() })
    }

    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<Acknowledgement, DeviceError> {
        let ended = self.call(to.word(), deadline)?;
        if ended.end == End::Exited(0) { Ok(Acknowledgement::Accepted) } else { Err(self.failed(to.word(), &ended)) }
    }

    /// Runs the agent's action `monitor`, which shows only whether the device answers.
    fn health(&mut self, deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        let ended = self.call("monitor", deadline)?;
        if ended.end != End::Exited(0) {
            return Err(self.failed("monitor", &ended));
        }
        Ok(vec![HealthItem("device answers".to_owned(), OobHealth::Ok)])
    }
}

/// Parses `Status: ON` or `Status: OFF`, as `fence_action` of the agents' library prints it. Any other output, or two
/// such lines, is not a reading.
fn parse_status(stdout: &[u8]) -> Option<Power> {
    let text = String::from_utf8_lossy(stdout);
    let mut words = text.lines().filter_map(|line| line.trim().strip_prefix("Status:")).map(str::trim);
    match (words.next(), words.next()) {
        (Some(word), None) if word.eq_ignore_ascii_case("on") => Some(Power::On),
        (Some(word), None) if word.eq_ignore_ascii_case("off") => Some(Power::Off),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Please use '-h' for usage" and "from pipes import quote" were reported as the reasons, for 50 s.
    #[test]
    fn the_reason_of_an_agent_is_not_its_last_line() {
        let usage = "2026-01-02 03:04:05,678 ERROR: Failed: You have to enter fence address\n\n\
                     2026-01-02 03:04:05,679 ERROR: Please use '-h' for usage\n\n";
        assert_eq!(reason(usage).unwrap(), "Failed: You have to enter fence address");
        assert!(rejects_options(usage));
        let warned = "2026-01-02 03:04:05,678 ERROR: Unable to connect/login to fencing device\n\
                      /usr/sbin/fence_x:9: DeprecationWarning: 'pipes' is deprecated\n  from pipes import quote\n";
        assert_eq!(reason(warned).unwrap(), "Unable to connect/login to fencing device");
        assert!(!rejects_options(warned));
        let plain = "cannot reach the outlet\n/x:9: DeprecationWarning: 'pipes'\n  from pipes import quote\n";
        assert_eq!(reason(plain).unwrap(), "cannot reach the outlet");
        let trace = "Traceback (most recent call last):\n  File \"x\", line 1\n    f()\nKeyError: 'PowerState'\n";
        assert_eq!(reason(trace).unwrap(), "KeyError: 'PowerState'");
        // fence_redfish ends with its usage when a request failed: it may work at the next one.
        let failed = "2026-01-02 03:04:05,678 ERROR: Failed: Unable to get Systems\n\n\
                      2026-01-02 03:04:05,679 ERROR: Please use '-h' for usage\n\n";
        assert_eq!(reason(failed).unwrap(), "Failed: Unable to get Systems");
        assert!(!rejects_options(failed));
        let only = "/x:9: DeprecationWarning: 'pipes' is deprecated\n  from pipes import quote\n";
        assert_eq!(reason(only).unwrap(), "from pipes import quote");
        assert_eq!(reason("\n \n"), None);
    }

    #[test]
    fn only_one_status_line_counts() {
        assert_eq!(parse_status(b"Status: OFF\n"), Some(Power::Off));
        assert_eq!(parse_status(b"noise\nStatus: ON"), Some(Power::On));
        for no in [&b""[..], b"OFF", b"Status: UNKNOWN", b"Status: OFF\nStatus: ON"] {
            assert_eq!(parse_status(no), None);
        }
    }
}
