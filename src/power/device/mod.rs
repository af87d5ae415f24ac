//! Devices that switch a host, as one trait. Each driver has a file of its own.

mod agent;
mod exec;
mod ipmi;
mod login_backoff;
mod redfish;
mod right_bmc;
mod sensors;

use std::path::Path;
use std::time::Duration;

use crate::core::config::{Config, Device as Configured, Driver};
use crate::core::ganeti::oob::HealthItem;
use crate::core::grade::Grade;
use crate::core::host_identity::HostIdentity;
use crate::core::node::NodeName;
use crate::core::power::Power;
use crate::core::power::reading::{Life, Observation};
use crate::power::bmc_memory;
use crate::sys::clock::Deadline;
use crate::sys::lock::{Lock, LockError};

/// One answer of a device about a host's power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether the host is on or off.
    pub power: Power,
    /// The grade of an off; it has no meaning for an on.
    pub grade: Grade,
    /// The reading as text, for receipts and `power-status`.
    pub detail: String,
}

/// The answer of a device to a power command. It is never a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// The device has taken the command.
    Accepted,
    /// The device has refused the command, for this reason, and reports the wanted state.
    Refused(String),
}

/// What an off of a device would prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffPrediction {
    /// What would prove the off, or why nothing would, for an administrator.
    pub text: String,
    /// Whether the proof would be the end of the target's self-fence lease.
    pub by_self_fence: bool,
}

/// The answer of a device to the question which host is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityAnswer {
    /// The device cannot have an identity, or its identity is not to be compared.
    NotCompared,
    /// The device answers, and has not answered this question. It may the next time.
    NotAnswered,
    /// What the device reports; without any value if it says that it has none.
    Reported(HostIdentity),
}

/// The conditions under which another attempt may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The device answered, but not with the expected result: a later attempt may succeed.
    Later,
    /// The device does not answer: it may after a power change, and not before.
    AfterPowerChange,
    /// Another attempt cannot succeed: for example after a refused login, or with a wrong configuration.
    Never,
}

/// The reason why a device has no reading or did not switch. Each constructor below also states what the failure shows
/// of the device: whether a later level counts may depend on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct DeviceError {
    /// The text: what was tried, what came back, and what to do.
    pub why: String,
    /// Whether another attempt may succeed.
    pub retry: Retry,
    life: Life,
    is_wrong_bmc: bool,
}

impl DeviceError {
    /// Returns a failure of this host, or one that shows nothing of the device, after which another attempt cannot
    /// help.
    pub(crate) fn permanent(why: impl ToString) -> Self {
        Self { why: why.to_string(), retry: Retry::Never, life: Life::Unknown, is_wrong_bmc: false }
    }

    /// Returns a failure of this host, or one that shows nothing of the device, after which a later attempt may help: a
    /// lock, a deadline, a program that failed.
    pub(crate) fn transient(why: impl ToString) -> Self {
        Self { why: why.to_string(), retry: Retry::Later, life: Life::Unknown, is_wrong_bmc: false }
    }

    /// Returns a failure without an answer, where the device may not have had enough time.
    pub(crate) fn unheard(why: impl ToString) -> Self {
        Self { why: why.to_string(), retry: Retry::AfterPowerChange, life: Life::Unknown, is_wrong_bmc: false }
    }

    /// Returns a failure without any sign of life, although the device had enough time.
    pub(crate) fn no_sign(why: impl ToString) -> Self {
        Self { why: why.to_string(), retry: Retry::AfterPowerChange, life: Life::NoSign, is_wrong_bmc: false }
    }

    /// Returns a failure of a device that answered, though not with the expected result.
    pub(crate) fn alive(why: impl ToString, retry: Retry) -> Self {
        Self { why: why.to_string(), retry, life: Life::Alive, is_wrong_bmc: false }
    }

    /// Returns the refusal of a BMC that is another host's. What it answers shows nothing of the node's own BMC, and it got no
    /// command.
    pub(crate) fn wrong_bmc(why: impl ToString) -> Self {
        Self { is_wrong_bmc: true, ..Self::permanent(why) }
    }

    /// Returns whether the BMC is another host's, so that no command was sent.
    #[must_use]
    pub const fn is_wrong_bmc(&self) -> bool {
        self.is_wrong_bmc
    }

    /// Returns what the failure shows of the device.
    #[must_use]
    pub const fn life(&self) -> Life {
        self.life
    }
}

/// Converts a reading for the decision which level counts.
#[must_use]
pub fn observed(reading: &Result<Reading, DeviceError>) -> Observation {
    match reading {
        Ok(Reading { power: Power::On, .. }) => Observation::On,
        Ok(Reading { power: Power::Off, grade, .. }) => Observation::Off(*grade),
        Err(error) => Observation::Failed(error.life),
    }
}

/// The pause between two readings while the power has not changed yet.
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// The pause between two readings that must agree.
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// A device that switches one host.
pub trait PowerDevice {
    /// Reads the power state once.
    ///
    /// # Errors
    /// [`DeviceError`] for every result that is not a plain on or off.
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError>;

    /// Reads the power state once, and fails for what would prevent the proof of an off. Nothing is fenced meanwhile.
    ///
    /// # Errors
    /// [`DeviceError`] as for [`Self::read`], or why no off could be proven.
    fn check(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        self.read(deadline)
    }

    /// Sends the power command once. Success is an acknowledgement and never a proof.
    ///
    /// # Errors
    /// [`DeviceError`]; the command may have had its effect all the same.
    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<Acknowledgement, DeviceError>;

    /// Reads the hardware's health from the device; a value that could not be read is `UNKNOWN`.
    ///
    /// # Errors
    /// [`DeviceError`] if not one value could be read.
    fn health(&mut self, deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError>;

    /// Predicts what an off of the device would prove; changes nothing. A power device proves what it reads.
    ///
    /// # Errors
    /// [`DeviceError`] if it would prove too little, or nothing.
    fn rehearse(&mut self, deadline: Deadline) -> Result<OffPrediction, DeviceError> {
        self.check(deadline).map(|Reading { detail, .. }| OffPrediction { text: detail, by_self_fence: false })
    }

    /// Reads the identity of the host behind the device. Asks the device if no reading has read it.
    ///
    /// # Errors
    /// [`DeviceError`] if the device cannot be asked now: a command would not reach it either.
    fn identity(&mut self, _deadline: Deadline) -> Result<IdentityAnswer, DeviceError> {
        Ok(IdentityAnswer::NotCompared)
    }

    /// Returns the identity that the readings so far have shown, without a request; `None` for a device that shows it only when
    /// it is asked.
    fn identity_seen(&self) -> Option<HostIdentity> {
        None
    }

    /// Returns how long its "off" may lag behind a host that was switched on, where a power-off does nothing to a host
    /// that is off; `None` if it does not lag, or if the command is not harmless.
    fn lag(&self) -> Option<Duration> {
        None
    }

    /// Returns whether the last reading is an "off" that may be an old state, by the device's own word: it counts only after a
    /// power-off of this device that has succeeded.
    fn must_be_commanded(&self) -> bool {
        false
    }

    /// Returns the least time from a power-off to its effect, where the "off" may lag; 0 if it does not matter.
    fn soonest_off(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns the pause between two readings while the state has not changed yet.
    fn poll_pause(&self) -> Duration {
        POLL_PAUSE
    }

    /// Returns what the last reading could not make sure of, for the receipt of a proof that rests on it.
    fn cautions(&self) -> &[String] {
        &[]
    }

    /// Returns the pause before a reading that is to confirm the one before.
    fn confirm_pause(&self) -> Duration {
        CONFIRM_PAUSE
    }

    /// Returns a stricter configuration that the device would also work with, as a reading has shown.
    fn advice(&self) -> Option<&'static str> {
        None
    }
}

/// A device with its name in the configuration.
pub struct Named {
    /// The device's name in the configuration.
    pub name: String,
    /// The device itself, opened for one host.
    pub device: Box<dyn PowerDevice>,
}

/// The purpose for which devices are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevicePurpose {
    /// To read: nothing is changed, on this host or on another node.
    Read,
    /// To send a power command.
    Switch,
}

/// Opens the driver `shun` for a node. It asks the other nodes, which this layer cannot reach.
pub type OpenShun = fn(&NodeName, &Config, DevicePurpose) -> Box<dyn PowerDevice>;

/// Makes the devices of a level ready for `node`. Sends nothing yet. A device that cannot be used is in the result and
/// fails when it is asked: the other devices of its level are asked all the same. A BMC that is known to be another host's fails, too.
pub fn open(level: &[Configured], node: &NodeName, config: &Config, to: DevicePurpose, shun: OpenShun) -> Vec<Named> {
    let memory = bmc_memory::read(&config.state);
    let ready = |configured| open_one(configured, node, config, to, shun);
    level.iter().map(|configured| right_bmc::guarded(ready(configured), node, &memory, &config.state)).collect()
}

/// Makes one device ready for `node`, as [`open`] does, and without the comparison of its host.
pub fn open_one(configured: &Configured, node: &NodeName, config: &Config, to: DevicePurpose, shun: OpenShun) -> Named {
    let device: Result<Box<dyn PowerDevice>, DeviceError> = match &configured.driver {
        Driver::Ipmi(bmc) => ipmi::Bmc::new(bmc, config).map(|device| Box::new(device) as _),
        Driver::Redfish(bmc) => redfish::Bmc::new(bmc, config).map(|device| Box::new(device) as _),
        Driver::Agent(agent) => agent::Agent::new(&configured.name, agent, config).map(|device| Box::new(device) as _),
        Driver::Exec(exec) => exec::Exec::new(exec, node).map(|device| Box::new(device) as _),
        Driver::Shun => Ok(shun(node, config, to)),
    };
    Named { name: configured.name.clone(), device: device.unwrap_or_else(|error| Box::new(Unusable(error))) }
}

/// A device that could not be made ready, with the reason.
struct Unusable(DeviceError);

impl PowerDevice for Unusable {
    fn read(&mut self, _deadline: Deadline) -> Result<Reading, DeviceError> {
        Err(self.0.clone())
    }

    fn switch(&mut self, _to: Power, _deadline: Deadline) -> Result<Acknowledgement, DeviceError> {
        Err(self.0.clone())
    }

    fn health(&mut self, _deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        Err(self.0.clone())
    }
}

/// Takes the lock, and waits for it until the deadline. A lock file that cannot be opened is not a failure: two
/// sessions at a BMC are better than a host that is not fenced.
fn take_lock(path: &Path, deadline: Deadline) -> Result<Option<Lock>, DeviceError> {
    match Lock::take(path, deadline) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ LockError::Busy { .. }) => Err(DeviceError::transient(error)),
        Err(error @ LockError::Open { .. }) => {
            tracing::warn!(%error, "goes on without a lock");
            Ok(None)
        }
    }
}
