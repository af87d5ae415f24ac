//! Devices that switch a host: one trait, a driver a file.

mod agent;
mod exec;
mod ipmi;
mod refusal;
mod sensors;
mod shun;

use std::path::Path;

use gnt_ha::core::config::{Config, Device as Configured, Driver};
use gnt_ha::core::ganeti::oob::HealthItem;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::Power;
use gnt_ha::core::power::reading::{Life, Observed};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::lock::{Lock, LockError};

/// What a device says of a host's power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// On or off.
    pub power: Power,
    /// How strong its off is; of no meaning for an on.
    pub grade: Grade,
    /// In words, for receipts and `power-status`.
    pub detail: String,
}

/// What another attempt could bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hope {
    /// It answered, but not with what was asked for: it may yet.
    Later,
    /// It does not answer: it may after a power change, not before.
    AfterSilence,
    /// Never: a refused login, a wrong configuration.
    None,
}

/// Why a device told or did nothing. It is made by one of the functions below, so that each failure says what it shows of the
/// device: whether a later level is believed may hang on that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct DeviceError {
    /// What was tried, what came back, what to do about it.
    pub why: String,
    /// What another attempt could bring.
    pub hope: Hope,
    life: Life,
}

impl DeviceError {
    /// A failure of ours, or one that shows nothing of the device; trying again cannot help.
    pub(crate) fn hopeless(why: impl ToString) -> Self {
        Self { why: why.to_string(), hope: Hope::None, life: Life::Unknown }
    }

    /// A failure of ours, or one that shows nothing of the device: a lock, a deadline, a program that failed.
    pub(crate) fn later(why: impl ToString) -> Self {
        Self { why: why.to_string(), hope: Hope::Later, life: Life::Unknown }
    }

    /// Nothing came back, and whether the device was given the time is not sure.
    pub(crate) fn unheard(why: impl ToString) -> Self {
        Self { why: why.to_string(), hope: Hope::AfterSilence, life: Life::Unknown }
    }

    /// Asked with time left, it showed no sign of life at all.
    pub(crate) fn no_sign(why: impl ToString) -> Self {
        Self { why: why.to_string(), hope: Hope::AfterSilence, life: Life::NoSign }
    }

    /// It answered, though not with what was asked for.
    pub(crate) fn alive(why: impl ToString, hope: Hope) -> Self {
        Self { why: why.to_string(), hope, life: Life::Alive }
    }

    /// What it shows of the device.
    #[must_use]
    pub const fn life(&self) -> Life {
        self.life
    }
}

/// What came of a reading, for the decision which level is believed.
#[must_use]
pub fn observed(reading: &Result<Reading, DeviceError>) -> Observed {
    match reading {
        Ok(Reading { power: Power::On, .. }) => Observed::On,
        Ok(Reading { power: Power::Off, grade, .. }) => Observed::Off(*grade),
        Err(error) => Observed::Failed(error.life),
    }
}

/// A device, for one host.
pub trait Device {
    /// Reads the power state once.
    ///
    /// # Errors
    /// [`DeviceError`]: whatever is not a plain on or off.
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError>;

    /// Sends the command. Success is an acknowledgement, never proof.
    ///
    /// # Errors
    /// [`DeviceError`]; the command may have had its effect all the same.
    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<(), DeviceError>;

    /// What the device knows of the hardware's health; what it could not read is `UNKNOWN`.
    ///
    /// # Errors
    /// [`DeviceError`], when nothing at all could be read.
    fn health(&mut self, deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError>;

    /// What its configuration could be stricter in, as a reading has shown.
    fn advice(&self) -> Option<&'static str> {
        None
    }
}

/// A device with its name in the configuration.
pub struct Named {
    /// The name.
    pub name: String,
    /// The device.
    pub device: Box<dyn Device>,
}

/// What the devices are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To read: nothing is changed, here or on another node.
    Read,
    /// For a power command.
    Switch,
}

/// Makes the devices of a level ready for `node`. Nothing is sent yet. One that cannot be used is among them, and says why
/// when it is asked: the others of its level are asked all the same.
pub fn open(level: &[Configured], node: &NodeName, config: &Config, to: Use) -> Vec<Named> {
    let open = |configured: &Configured| {
        let device: Result<Box<dyn Device>, DeviceError> = match &configured.driver {
            Driver::Ipmi(bmc) => ipmi::Bmc::new(bmc, config).map(|device| Box::new(device) as _),
            Driver::Agent(agent) => {
                agent::Agent::new(&configured.name, agent, config).map(|device| Box::new(device) as _)
            }
            Driver::Exec(exec) => exec::Exec::new(exec, node).map(|device| Box::new(device) as _),
            Driver::Shun => Ok(Box::new(shun::Shun::new(node, config, to)) as _),
        };
        Named { name: configured.name.clone(), device: device.unwrap_or_else(|error| Box::new(Unusable(error))) }
    };
    level.iter().map(open).collect()
}

/// A device that could not be made ready.
struct Unusable(DeviceError);

impl Device for Unusable {
    fn read(&mut self, _deadline: Deadline) -> Result<Reading, DeviceError> {
        Err(self.0.clone())
    }

    fn switch(&mut self, _to: Power, _deadline: Deadline) -> Result<(), DeviceError> {
        Err(self.0.clone())
    }

    fn health(&mut self, _deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        Err(self.0.clone())
    }
}

/// A lock that cannot be made stops nothing: two sessions at a BMC are better than a host that is not fenced.
fn take_lock(path: &Path, deadline: Deadline) -> Result<Option<Lock>, DeviceError> {
    match Lock::take(path, deadline) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ LockError::Busy { .. }) => Err(DeviceError::later(error)),
        Err(error @ LockError::Open { .. }) => {
            tracing::warn!(%error, "goes on without a lock");
            Ok(None)
        }
    }
}
