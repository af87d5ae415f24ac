//! The driver `redfish`: a BMC over Redfish. Runs the program `redfish-call` for each operation. Holds the BMC's lock from
//! its first request until it is dropped.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redfish::{
    Call, CallAnswer, CallFailure, CallOperation, CallOutcome, Choice, FailureKind, HealthState, HttpSecret,
    KnownSystem, Login, PowerSeen, Tls, Trust,
};
use zeroize::Zeroizing;

use crate::core::budget::redfish::{CONFIRM_PAUSE, LONGEST_LAG, POLL_PAUSE, SOONEST_OFF};
use crate::core::config::{Config, OldestTls, RedfishDevice, RedfishLogin, is_host_local};
use crate::core::ganeti::oob::{self, HealthItem, OobHealth};
use crate::core::grade::Grade;
use crate::core::host_identity::HostIdentity;
use crate::core::power::Power;
use crate::sys::clock::{Deadline, millis};
use crate::sys::command::child::{ChildProcess, End, ProgramResult};
use crate::sys::ganeti::noded_call::{inherited, redfish_call};
use crate::sys::lock::Lock;
use crate::sys::resolve;
use crate::sys::trusted_file::{Secret, read_secret};

use super::login_backoff::LoginBackoff;
use super::{Acknowledgement, DeviceError, IdentityAnswer, PowerDevice, Reading, Retry, take_lock};

/// The most that the name service may take. Its own wait has no limit that libcurl would keep.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// The time that the program has to end and print after its own deadline.
const EXIT_MARGIN: Duration = Duration::from_millis(300);

/// The most that is read of the program's output, in bytes.
const OUTPUT_LIMIT: usize = 256 * 1024;

/// The room for a call: the buffer does not grow, as a smaller one would stay behind with the password.
const CALL_CAPACITY: usize = 32 * 1024;

pub(super) struct Bmc {
    program: PathBuf,
    settings: RedfishDevice,
    password: Secret,
    /// The system that was found: each further operation is at that one, and fails if it has another identity.
    known: Option<KnownSystem>,
    /// The addresses of the BMC's name; none for an address. They stay the same for the whole action.
    addresses: Option<Vec<IpAddr>>,
    /// What the last reading could not make sure of.
    cautions: Vec<String>,
    lock_path: PathBuf,
    lock: Option<Lock>,
    backoff: LoginBackoff,
}

impl Bmc {
    pub(super) fn new(settings: &RedfishDevice, config: &Config) -> Result<Self, DeviceError> {
        let password = read_secret(Path::new(&settings.password_file)).map_err(DeviceError::permanent)?;
        let place = format!("redfish-{}-{}", settings.address, settings.port);
        let files = [Path::new(&settings.password_file), config.path.as_path()];
        Ok(Self {
            program: redfish_call(),
            settings: settings.clone(),
            password,
            known: None,
            addresses: settings.address.parse::<IpAddr>().is_ok().then(Vec::new),
            cautions: Vec::new(),
            lock_path: config.run.join("lock").join(&place),
            lock: None,
            backoff: LoginBackoff::new(config.run.join(format!("login-backoff-{place}")), &files),
        })
    }

    /// Carries the operation out within `deadline`.
    fn call(&mut self, operation: CallOperation, deadline: Deadline) -> Result<CallAnswer, DeviceError> {
        if self.lock.is_none() {
            self.lock = take_lock(&self.lock_path, deadline)?;
        }
        if let Some(why) = self.backoff.stands() {
            return Err(DeviceError::permanent(why));
        }
        let addresses = self.addresses(deadline)?;
        let ended = self.run(operation, addresses, deadline)?;
        let Ok(outcome) = serde_json::from_slice::<CallOutcome>(&ended.stdout) else { return Err(self.failed(&ended)) };
        let answer = match outcome {
            CallOutcome::Ok(answer) if ended.end == End::Exited(0) => answer,
            CallOutcome::Ok(_) => return Err(self.failed(&ended)),
            CallOutcome::Error(failure) => {
                if failure.shows == FailureKind::Login {
                    // The certificate was checked before: it was the BMC that has refused.
                    self.backoff.note(&failure.why, true);
                }
                return Err(device_error(failure));
            }
        };
        self.keep(answer.known());
        Ok(answer)
    }

    /// Keeps the identity that was read first, and the chassis that have agreed: their later silence counts.
    fn keep(&mut self, seen: &KnownSystem) {
        let known = self.known.get_or_insert_with(|| seen.clone());
        known.uuid = known.uuid.take().or_else(|| seen.uuid.clone());
        known.serial_number = known.serial_number.take().or_else(|| seen.serial_number.clone());
        known.chassis.clone_from(&seen.chassis);
    }

    /// Returns the addresses of the BMC's name. The certificate must still be for the name.
    fn addresses(&mut self, deadline: Deadline) -> Result<Vec<IpAddr>, DeviceError> {
        if let Some(addresses) = &self.addresses {
            return Ok(addresses.clone());
        }
        let name = self.settings.address.clone();
        let found = resolve::addresses(&[name.clone()].into(), deadline.at_most(LOOKUP_LIMIT));
        let addresses: Vec<IpAddr> = found.into_values().flatten().collect();
        if addresses.is_empty() {
            let why = format!("BMC {name}: the name service has no address for it, or does not answer");
            return Err(DeviceError::unheard(why));
        }
        if let Some(own) = addresses.iter().find(|address| is_host_local(**address)) {
            let why =
                format!("BMC {name}: the name means {own}, which is another machine on each host; correct the name");
            return Err(DeviceError::permanent(why));
        }
        self.addresses = Some(addresses.clone());
        Ok(addresses)
    }

    fn run(
        &self,
        operation: CallOperation,
        addresses: Vec<IpAddr>,
        deadline: Deadline,
    ) -> Result<ProgramResult, DeviceError> {
        let call = self.message(operation, addresses, millis(deadline.left().saturating_sub(EXIT_MARGIN)));
        let mut stdin = Zeroizing::new(Vec::with_capacity(CALL_CAPACITY));
        serde_json::to_writer(&mut *stdin, &call).map_err(DeviceError::permanent)?;
        let inherited = inherited();
        let inherited: Vec<&str> = inherited.iter().map(String::as_str).collect();
        ChildProcess {
            program: &self.program,
            arguments: &[],
            stdin: &stdin,
            environment: &[],
            without: &inherited,
            guarded: matches!(operation, CallOperation::SwitchOn | CallOperation::SwitchOff),
            deadline,
            linger: Duration::from_millis(100),
            output_limit: OUTPUT_LIMIT,
        }
        .run()
        .map_err(|error| {
            let program = self.program.display();
            DeviceError::permanent(format!(
                "cannot run {program}: {error}; the package gnt-ha has that file: apt-get install --reinstall gnt-ha"
            ))
        })
    }

    fn message(&self, operation: CallOperation, addresses: Vec<IpAddr>, timeout_ms: u64) -> Call {
        let settings = &self.settings;
        let trust = match (&settings.fingerprint, &settings.ca_file) {
            (Some(fingerprint), _) => Trust::Fingerprint(fingerprint.clone()),
            (None, Some(file)) => Trust::CaFile(file.clone()),
            (None, None) => Trust::System,
        };
        Call {
            address: settings.address.clone(),
            addresses,
            port: settings.port,
            username: settings.username.clone(),
            password: HttpSecret::new(self.password.as_str()),
            login: match settings.login {
                RedfishLogin::Basic => Login::Basic,
                RedfishLogin::Session => Login::Session,
            },
            trust,
            tls: match settings.tls {
                OldestTls::V12 => Tls::V12,
                OldestTls::V10 => Tls::V10,
            },
            choice: Choice {
                uri: settings.system.clone(),
                serial_number: settings.serial_number.clone(),
                uuid: settings.uuid.clone(),
            },
            known: self.known.clone(),
            chassis: settings.chassis,
            operation,
            timeout_ms,
        }
    }

    fn failed(&self, ended: &ProgramResult) -> DeviceError {
        DeviceError::transient(format!("{} {}", self.program.display(), fault(ended)))
    }

    fn time(&self, deadline: Deadline) -> Deadline {
        deadline.at_most(self.settings.timeout.0)
    }
}

/// Returns how `redfish-call` ended, if not with one complete outcome and exit code 0.
fn fault(ended: &ProgramResult) -> String {
    let how = match ended.end {
        End::Exited(0) => {
            "succeeded, and printed no outcome that can be read; both programs must be of one version of the package gnt-ha"
                .to_owned()
        }
        End::Exited(code) => format!("failed with exit code {code}"),
        End::Killed(signal) => format!("was killed by signal {signal}"),
        End::TimedOut => format!("timed out after {:.1} s and was killed", ended.took.as_secs_f64()),
    };
    let reason = oob::reason_in(&ended.stderr).map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{how}{reason}")
}

fn device_error(failure: CallFailure) -> DeviceError {
    let CallFailure { shows, why } = failure;
    match shows {
        FailureKind::Local => DeviceError::permanent(why),
        FailureKind::Unheard => DeviceError::unheard(why),
        FailureKind::NoSign => DeviceError::no_sign(why),
        // A host that reports a closed port has that address, and power.
        FailureKind::Closed => DeviceError::alive(why, Retry::AfterPowerChange),
        FailureKind::Later => DeviceError::alive(why, Retry::Later),
        FailureKind::Never | FailureKind::Login => DeviceError::alive(why, Retry::Never),
    }
}

/// The error for an answer to another operation than the one that was asked for.
fn mixed_up() -> DeviceError {
    DeviceError::permanent("redfish-call answered another operation: is it of the same version?")
}

impl Bmc {
    fn reading(&mut self, operation: CallOperation, deadline: Deadline) -> Result<Reading, DeviceError> {
        self.cautions.clear();
        let answer = self.call(operation, self.time(deadline))?;
        let CallAnswer::Power { power, detail, cautions, .. } = answer else { return Err(mixed_up()) };
        self.cautions = cautions;
        let power = match power {
            PowerSeen::Off => Power::Off,
            PowerSeen::On => Power::On,
        };
        Ok(Reading { power, grade: Grade::Off, detail: format!("{power} ({detail})") })
    }
}

impl PowerDevice for Bmc {
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        self.reading(CallOperation::Read, deadline)
    }

    fn check(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        let reading = self.reading(CallOperation::Rehearse, deadline)?;
        let cautions: String = self.cautions.iter().map(|caution| format!("; {caution}")).collect();
        Ok(Reading { detail: reading.detail + &cautions, ..reading })
    }

    /// Sends the command, again and again while the BMC answers that it cannot take it now, for at most half of the time.
    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<Acknowledgement, DeviceError> {
        let operation = match to {
            Power::On => CallOperation::SwitchOn,
            Power::Off => CallOperation::SwitchOff,
        };
        let until = deadline.at_most(self.settings.timeout.0.max(deadline.left() / 2));
        match self.call(operation, until)? {
            CallAnswer::Accepted { refused: None, .. } => Ok(Acknowledgement::Accepted),
            CallAnswer::Accepted { refused: Some(why), .. } => Ok(Acknowledgement::Refused(why)),
            _ => Err(mixed_up()),
        }
    }

    fn health(&mut self, deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        let CallAnswer::Health { items, .. } = self.call(CallOperation::Health, self.time(deadline))? else {
            return Err(mixed_up());
        };
        let health = |state| match state {
            HealthState::Ok => OobHealth::Ok,
            HealthState::Warning => OobHealth::Warning,
            HealthState::Critical => OobHealth::Critical,
            HealthState::Unknown => OobHealth::Unknown,
        };
        Ok(items.into_iter().map(|item| HealthItem(item.name, health(item.health))).collect())
    }

    /// Returns what a reading has read with the power. Asks the BMC if there was none, also one that does not report the power.
    fn identity(&mut self, deadline: Deadline) -> Result<IdentityAnswer, DeviceError> {
        if !self.settings.compare_identity {
            return Ok(IdentityAnswer::NotCompared);
        }
        // Some BMCs show it only while the host runs, or some time after they have started.
        if self.identity_seen().is_none_or(|seen| seen == HostIdentity::default()) {
            self.call(CallOperation::Identify, self.time(deadline))?;
        }
        Ok(self.identity_seen().map_or(IdentityAnswer::NotAnswered, IdentityAnswer::Reported))
    }

    fn identity_seen(&self) -> Option<HostIdentity> {
        let KnownSystem { uuid, serial_number, .. } = self.known.as_ref().filter(|_| self.settings.compare_identity)?;
        Some(HostIdentity { uuid: uuid.clone(), serial_number: serial_number.clone() }.bounded())
    }

    fn lag(&self) -> Option<Duration> {
        Some(LONGEST_LAG)
    }

    fn soonest_off(&self) -> Duration {
        SOONEST_OFF
    }

    fn poll_pause(&self) -> Duration {
        POLL_PAUSE
    }

    fn cautions(&self) -> &[String] {
        &self.cautions
    }

    fn confirm_pause(&self) -> Duration {
        CONFIRM_PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "failed with exit code 0" says neither what failed nor what to do.
    #[test]
    fn an_outcome_that_cannot_be_read_is_no_failure_with_exit_code_0() {
        let ended = |end| ProgramResult {
            end,
            stdout: b"{".to_vec(),
            stderr: Vec::new(),
            took: Duration::ZERO,
            flooded: false,
        };
        let text = fault(&ended(End::Exited(0)));
        assert!(text.starts_with("succeeded, and printed no outcome that can be read; both programs"), "{text}");
        assert_eq!(fault(&ended(End::Exited(1))), "failed with exit code 1");
    }
}
