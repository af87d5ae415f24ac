//! Driver `agent`: any installed fence agent, by the fence-agent API (`doc/FenceAgentAPI.md` of fence-agents).

use std::path::{Path, PathBuf};
use std::time::Duration;

use gnt_ha::config::{AgentDevice, Config};
use gnt_ha::core::grade::Grade;
use gnt_ha::core::oob::{self, Health, HealthItem, OUTPUT_LIMIT};
use gnt_ha::core::power::Power;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::guarded_file::read_secret;
use gnt_ha::sys::lock::Lock;
use gnt_ha::sys::process::{End, Ended, Job};

use super::{Device, DeviceError, Reading};

/// Where Pacemaker has its agents (`PCMK__FENCE_BINDIR`).
const AGENT_FOLDER: &str = "/usr/sbin";

/// Between SIGTERM and SIGKILL.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Agent {
    program: PathBuf,
    /// Everything but the action, as lines.
    options: String,
    lock_path: PathBuf,
    lock: Option<Lock>,
}

impl Agent {
    pub(super) fn new(name: &str, agent: &AgentDevice, config: &Config) -> Result<Self, DeviceError> {
        let program = Path::new(AGENT_FOLDER).join(&agent.agent);
        if !program.is_file() {
            return Err(DeviceError::hopeless(format!(
                "there is no fence agent {}: install the package that has it (Debian: fence-agents) on every master \
                 candidate",
                program.display()
            )));
        }
        let mut options: String =
            agent.options.iter().map(|(name, value)| format!("{name}={}\n", value.text())).collect();
        if let Some(file) = &agent.password_file {
            let password = read_secret(Path::new(file)).map_err(DeviceError::hopeless)?;
            options.push_str(&format!("password={password}\n"));
        }
        // A PDU serves many hosts and often takes one login at a time: the lock is the device's, not the host's.
        let lock_path = config.run.join("lock").join(format!("agent-{name}"));
        Ok(Self { program, options, lock_path, lock: None })
    }

    fn call(&mut self, action: &str, deadline: Deadline) -> Result<Ended, DeviceError> {
        if self.lock.is_none() {
            self.lock = super::ipmi::take_lock(&self.lock_path, deadline)?;
        }
        Job {
            program: &self.program,
            arguments: &[],
            stdin: format!("action={action}\n{}", self.options).as_bytes(),
            environment: &[],
            deadline: deadline.earlier(LINGER.min(deadline.left() / 10)),
            linger: LINGER,
            output_limit: OUTPUT_LIMIT,
        }
        .run()
        .map_err(|error| DeviceError::hopeless(format!("cannot run {}: {error}", self.program.display())))
    }

    fn failed(&self, action: &str, ended: &Ended) -> DeviceError {
        let how = match ended.end {
            End::Exited(code) => format!("failed with exit code {code}"),
            End::Killed(signal) => format!("was killed by signal {signal}"),
            End::TimedOut => format!("timed out after {:.1} s and was killed", ended.took.as_secs_f64()),
        };
        let reason = oob::reason_in(&ended.stderr).map(|reason| format!(": {reason}")).unwrap_or_default();
        DeviceError::later(format!("{} {action} {how}{reason}", self.program.display()))
    }
}

impl Device for Agent {
    /// Exit code 0 is on, 2 is off, any other is not known.
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        let ended = self.call("status", deadline)?;
        let power = match ended.end {
            End::Exited(0) => Power::On,
            End::Exited(2) => Power::Off,
            _ => return Err(self.failed("status", &ended)),
        };
        Ok(Reading { power, grade: Grade::Off, detail: power.to_string() })
    }

    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<(), DeviceError> {
        let ended = self.call(to.word(), deadline)?;
        if ended.end == End::Exited(0) { Ok(()) } else { Err(self.failed(to.word(), &ended)) }
    }

    /// An agent knows no more of the hardware than whether its device answers.
    fn health(&mut self, deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        let ended = self.call("monitor", deadline)?;
        if ended.end != End::Exited(0) {
            return Err(self.failed("monitor", &ended));
        }
        Ok(vec![HealthItem("device answers".to_owned(), Health::Ok)])
    }
}
