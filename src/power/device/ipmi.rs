//! The driver `ipmi`: a BMC by IPMI 2.0 over LAN. Holds the BMC's lock from its first request until it is dropped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::config::{Config, IpmiDevice, Privilege as ConfiguredPrivilege};
use crate::core::ganeti::oob::{HealthItem, OobHealth};
use crate::core::grade::Grade;
use crate::core::host_identity::HostIdentity;
use crate::core::power::Power;
use crate::sys::clock::Deadline;
use crate::sys::lock::Lock;
use crate::sys::trusted_file::read_secret;
use ipmi_lan::{ChassisControl, ChassisStatus, CipherSuite, Error, Privilege, Secret, SelfTest, Session, Target};

use super::login_backoff::LoginBackoff;
use super::{Acknowledgement, DeviceError, IdentityAnswer, PowerDevice, Reading, Retry, sensors, take_lock};

/// The most that reading all sensors may take.
const SENSORS_TIMEOUT: Duration = Duration::from_secs(10);

/// The most that reading the identity may take.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(2);

/// The part of the time that reading the identity may take.
const IDENTITY_SHARE: u32 = 8;

/// How long after a power-off the state of a host that was off is read. Some BMCs act that late, and report the old state
/// until then.
const OFF_LAG: Duration = Duration::from_secs(1);

pub(super) struct Bmc {
    target: Target,
    login_timeout: Duration,
    lock_path: PathBuf,
    lock: Option<Lock>,
    backoff: LoginBackoff,
    session: Option<Session>,
    compare_identity: bool,
    /// The GUID that the BMC has reported: two BMCs may have one address.
    guid: Option<[u8; 16]>,
    /// The last power command that this session has sent.
    commanded: Option<Power>,
}

impl Bmc {
    pub(super) fn new(bmc: &IpmiDevice, config: &Config) -> Result<Self, DeviceError> {
        let suites: Option<Vec<CipherSuite>> = bmc.cipher_suites.iter().map(|id| CipherSuite::from_id(*id)).collect();
        let privilege = match bmc.privilege {
            ConfiguredPrivilege::Operator => Privilege::Operator,
            ConfiguredPrivilege::Administrator => Privilege::Administrator,
        };
        let password = read_secret(Path::new(&bmc.password_file)).map_err(DeviceError::permanent)?;
        let mut target = Target::new(bmc.address.clone(), bmc.username.clone(), Secret::new(password.as_bytes()))
            .and_then(|target| target.with_cipher_suites(suites.unwrap_or_default()))
            .map_err(DeviceError::permanent)?
            .with_port(bmc.port)
            .with_privilege(privilege);
        if let Some(file) = &bmc.kg_file {
            let key = read_secret(Path::new(file)).map_err(DeviceError::permanent)?;
            let key = bmc_key(&key).ok_or_else(|| {
                DeviceError::permanent(format!("{file} has no BMC key: 20 characters, or 0x and 40 hex digits"))
            })?;
            target = target.with_kg(Secret::new(key)).map_err(DeviceError::permanent)?;
        }
        let place = format!("ipmi-{}-{}", bmc.address, bmc.port);
        let lock_path = config.run.join("lock").join(&place);
        let files: Vec<&Path> = std::iter::once(&bmc.password_file)
            .chain(&bmc.kg_file)
            .map(Path::new)
            .chain([config.path.as_path()])
            .collect();
        let backoff = LoginBackoff::new(config.run.join(format!("login-backoff-{place}")), &files);
        Ok(Self {
            target,
            login_timeout: bmc.login_timeout.0,
            lock_path,
            lock: None,
            backoff,
            session: None,
            compare_identity: bmc.compare_identity,
            guid: None,
            commanded: None,
        })
    }

    /// Runs `ask` in the session. A session that no longer answers is opened again, once, while there is time.
    fn ask<T>(
        &mut self,
        deadline: Deadline,
        mut ask: impl FnMut(&mut Session) -> Result<T, Error>,
    ) -> Result<T, DeviceError> {
        if self.lock.is_none() {
            self.lock = take_lock(&self.lock_path, deadline)?;
        }
        if let Some(why) = self.backoff.stands().filter(|_| self.session.is_none()) {
            return Err(DeviceError::permanent(why));
        }
        let mut was_open = self.session.is_some();
        loop {
            let before = self.guid.filter(|_| self.session.is_none());
            let until = deadline.at_most(self.login_timeout);
            let error = match self.session(deadline) {
                Ok(session) => {
                    if let Some(now) = before.and_then(|before| other_guid(session, before, until)) {
                        self.session = None;
                        return Err(another_bmc(self.guid, now));
                    }
                    match ask(session) {
                        Ok(answer) => return Ok(answer),
                        Err(error) => error,
                    }
                }
                Err(error) => {
                    was_open = false;
                    error
                }
            };
            if error.is_login_failure() {
                self.backoff.note(&device_error(&error, self.login_timeout).why, error.is_proven());
            }
            if !error.is_unreachable() {
                return Err(device_error(&error, self.login_timeout));
            }
            self.session = None;
            if !was_open || deadline.passed() {
                return Err(device_error(&error, self.login_timeout));
            }
            was_open = false;
        }
    }

    fn session(&mut self, deadline: Deadline) -> Result<&mut Session, Error> {
        let until = deadline.at_most(self.login_timeout).instant();
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                self.commanded = None;
                let session = Session::open(&self.target, until)?;
                tracing::debug!(peer = %session.peer(), suite = %session.cipher_suite(), "logged in");
                session
            }
        };
        let session = self.session.insert(session);
        session.set_deadline(until);
        Ok(session)
    }
}

impl PowerDevice for Bmc {
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        let (status, suite) = self.ask(deadline, |session| Ok((session.chassis_status()?, session.cipher_suite())))?;
        let power = Power::from(status.power_on);
        Ok(Reading {
            power,
            grade: Grade::Off,
            detail: format!("{power} (chassis status, cipher suite {})", suite.id()),
        })
    }

    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<Acknowledgement, DeviceError> {
        // A copy of the opposite command may still be on its way in this session.
        if self.commanded.is_some_and(|commanded| commanded != to) {
            self.session = None;
        }
        let control = match to {
            Power::On => ChassisControl::PowerUp,
            Power::Off => ChassisControl::PowerDown,
        };
        let answer = self.ask(deadline, |session| session.chassis_control(control));
        self.commanded = Some(to);
        answer.map(|()| Acknowledgement::Accepted)
    }

    fn health(&mut self, deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        let status = self.ask(deadline, Session::chassis_status)?;
        let mut items = chassis_items(&status);
        items.push(self_test_item(self.ask(deadline, Session::self_test)));
        items.push(match self.ask(deadline, Session::sel_info) {
            Ok(sel) if sel.overflow => {
                HealthItem(format!("event log ({} entries, overflowed)", sel.entries), OobHealth::Warning)
            }
            Ok(sel) => HealthItem(format!("event log ({} entries)", sel.entries), OobHealth::Ok),
            Err(_) => HealthItem("event log".to_owned(), OobHealth::Unknown),
        });
        // This process holds the BMC's lock meanwhile, and a fencing must not wait long for it.
        let until = deadline.at_most(SENSORS_TIMEOUT);
        let sensors = self.ask(until, |session| {
            session.set_deadline(until.instant());
            Ok(sensors::read(session, until))
        });
        items.extend(sensors.unwrap_or_else(|_| vec![HealthItem("sensors".to_owned(), OobHealth::Unknown)]));
        Ok(items)
    }

    /// Asks in the session that the reading has opened, or opens one. A BMC that does not answer this question costs no session
    /// and no further login.
    fn identity(&mut self, deadline: Deadline) -> Result<IdentityAnswer, DeviceError> {
        if !self.compare_identity {
            return Ok(IdentityAnswer::NotCompared);
        }
        self.ask(deadline, |_| Ok(()))?;
        let Some(session) = self.session.as_mut() else { return Ok(IdentityAnswer::NotAnswered) };
        let limit = IDENTITY_TIMEOUT.min(deadline.left() / IDENTITY_SHARE);
        session.set_deadline(deadline.at_most(limit).instant());
        Ok(match session.system_guid() {
            Ok(bytes) => {
                self.guid = Some(bytes);
                IdentityAnswer::Reported(HostIdentity::of_bytes(bytes))
            }
            Err(Error::Unsupported { .. } | Error::InsufficientPrivilege { .. }) => {
                IdentityAnswer::Reported(HostIdentity::default())
            }
            Err(error) => {
                tracing::debug!(%error, "the BMC has not answered the question for its identity");
                IdentityAnswer::NotAnswered
            }
        })
    }

    fn lag(&self) -> Option<Duration> {
        Some(OFF_LAG)
    }

    fn advice(&self) -> Option<&'static str> {
        let is_best = self.session.as_ref().is_some_and(|session| session.cipher_suite() == CipherSuite::Suite17);
        (is_best && self.target.cipher_suites().len() > 1).then_some(ONE_SUITE)
    }
}

/// Returns the GUID that the BMC reports in a new session, if it is another one than before.
fn other_guid(session: &mut Session, before: [u8; 16], until: Deadline) -> Option<[u8; 16]> {
    session.set_deadline(until.at_most(IDENTITY_TIMEOUT.min(until.left() / IDENTITY_SHARE)).instant());
    let now = session.system_guid().ok().filter(|now| *now != before);
    session.set_deadline(until.instant());
    now
}

fn another_bmc(before: Option<[u8; 16]>, now: [u8; 16]) -> DeviceError {
    let before = before.map(HostIdentity::of_bytes).unwrap_or_default();
    DeviceError::permanent(format!(
        "another BMC answers at this address: it reported {before}, and in a new session {}; nothing more was sent; give each \
         BMC an address of its own",
        HostIdentity::of_bytes(now)
    ))
}

/// The time after which a silent BMC may have lost its power. A working BMC answers its first message within 1 s, and
/// the message is sent several times meanwhile.
const SILENCE_LEAST: Duration = Duration::from_secs(5);

/// The advice of `check` where the better suite works and the other one is allowed beside it.
const ONE_SUITE: &str =
    "cipher suite 17 works: with cipher_suites = [17] no refusal, which any host can forge, leads to suite 3";

fn device_error(error: &Error, login_timeout: Duration) -> DeviceError {
    let why = format!("{error}: {}", error.hint());
    match error {
        _ if error.is_total_silence(login_timeout.min(SILENCE_LEAST)) => DeviceError::no_sign(why),
        // The name service or the local network may also work again in a moment.
        Error::Resolve { .. }
        | Error::Socket { .. }
        | Error::DeadlinePassed { .. }
        | Error::Unreachable { .. }
        | Error::NoAnswer { .. } => DeviceError::unheard(why),
        _ if error.is_local() => DeviceError::permanent(why),
        // A host that reports a closed port has that address, and power.
        Error::Refused { .. } => DeviceError::alive(why, Retry::AfterPowerChange),
        Error::Busy { .. } | Error::Completion { .. } | Error::MalformedReply { .. } | Error::NoSessionSlot { .. } => {
            DeviceError::alive(why, Retry::Later)
        }
        _ => DeviceError::alive(why, Retry::Never),
    }
}

/// Parses the BMC key (K_g) as administrators write it: the 20 characters themselves, or `0x` and 40 hex digits.
fn bmc_key(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix("0x").filter(|digits| digits.len() == 40) else {
        return (text.len() == 20).then(|| text.as_bytes().to_vec());
    };
    (0..40).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// Returns the faults of a Get Chassis Status response (IPMI 2.0 section 28.2).
fn chassis_items(status: &ChassisStatus) -> Vec<HealthItem> {
    let item =
        |name: &str, fault: bool, bad: OobHealth| HealthItem(name.to_owned(), if fault { bad } else { OobHealth::Ok });
    vec![
        item("power overload", status.power_overload, OobHealth::Critical),
        item("main power fault", status.power_fault, OobHealth::Critical),
        item("power control fault", status.power_control_fault, OobHealth::Critical),
        item("interlock", status.interlock, OobHealth::Critical),
        item("drive fault", status.drive_fault, OobHealth::Critical),
        item("cooling or fan fault", status.cooling_fault, OobHealth::Critical),
        item("chassis intrusion", status.intrusion, OobHealth::Warning),
    ]
}

fn self_test_item(result: Result<SelfTest, DeviceError>) -> HealthItem {
    let name = "BMC self test".to_owned();
    match result {
        Ok(SelfTest::Passed) => HealthItem(name, OobHealth::Ok),
        Ok(SelfTest::Failed(failures)) => HealthItem(format!("{name}: {failures:?}"), OobHealth::Warning),
        Ok(SelfTest::Fatal(_)) => HealthItem(name, OobHealth::Critical),
        _ => HealthItem(name, OobHealth::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bmc_key_is_text_or_hex() {
        assert_eq!(bmc_key("0123456789abcdefghij").unwrap().len(), 20);
        let hex = format!("0x{}", "0f".repeat(20));
        assert_eq!(bmc_key(&hex), Some(vec![15; 20]));
        for bad in ["", "short", "0x12", &format!("0x{}", "zz".repeat(20)), &"x".repeat(21)] {
            assert_eq!(bmc_key(bad), None, "{bad}");
        }
    }
}
