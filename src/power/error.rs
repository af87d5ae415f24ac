//! The reasons why a node's power is unknown or was not changed.

use std::path::PathBuf;

use crate::core::config::{ConfigError, SharedMachine};
use crate::core::power::walk::Doubt;

use super::device::DeviceError;

/// The reason why a node's power is unknown, or its change is not proven. The texts follow the node's name.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The configuration has no valid levels for the node.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration names no node.
    #[error("{} names no node by its name: give one, as in /usr/lib/gnt-ha/ganeti-oob check NODE", .0.display())]
    NoNode(PathBuf),
    /// A machine of the node also belongs to another node.
    #[error("{shared}: switching one would switch the other; give each node its own machine in {}, then: /usr/lib/gnt-ha/ganeti-oob check", path.display())]
    Shared {
        /// The two nodes and their machine.
        shared: Box<SharedMachine>,
        /// The path of the configuration.
        path: PathBuf,
    },
    /// A level has no device.
    #[error("the level has no device")]
    NoDevice,
    /// A device could not be reached, or rejected the request.
    #[error("{device}: {error}")]
    Device {
        /// The device's name in the configuration.
        device: String,
        /// The error of the device's driver.
        error: DeviceError,
    },
    /// The power change of a device is not proven.
    #[error("{device}: {why}")]
    Change {
        /// The device's name in the configuration.
        device: String,
        /// The last reading or failure.
        why: String,
    },
    /// A device reports off, which may lag, and the time is too short for a command and the readings after it. No later
    /// level is tried: it would cut the power of the BMC of a host that is off.
    #[error(
        "{device}: it reports off, and there is no time to command it and to read it again: {needed:.0} s are needed; give fence_ganeti's device a longer deadline, or this node fewer levels"
    )]
    ShortTime {
        /// The device's name in the configuration.
        device: String,
        /// The time that is needed at least, in seconds.
        needed: f64,
    },
    /// Each device was off, and another one was on meanwhile.
    #[error("the devices were never off in the same moment")]
    NeverTogether,
    /// The off of a level does not count.
    #[error("{0}")]
    Doubt(Doubt),
    /// A level failed, of several.
    #[error("level {level}: {error}")]
    Level {
        /// The number of the level, from 1.
        level: usize,
        /// The failures of the level's devices.
        error: Box<PowerError>,
    },
    /// Several devices or levels failed.
    #[error("{}", joined(.0))]
    All(Vec<PowerError>),
}

/// Returns several failures in one line.
pub(super) fn joined(errors: &[PowerError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
