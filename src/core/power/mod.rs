//! Holds the power state of a host: what devices report of it ([`reading`]), and which level of devices counts
//! ([`walk`]). It touches nothing.

pub mod reading;
pub mod walk;

use std::fmt;

use serde::{Deserialize, Serialize};

/// The power state of a host, as a device reports it. An unknown state is not a value of this type: it is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// The host has power.
    On,
    /// The host has no power.
    Off,
}

impl Power {
    /// Returns `"on"` or `"off"`, as printed and read.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// Returns whether this is [`Power::On`]: the `powered` of Ganeti's OOB contract.
    #[must_use]
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

impl From<bool> for Power {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Returns what several devices of one level report together: the host has power while any of them feeds it.
///
/// `None` without any device: then the state is unknown.
#[must_use]
pub fn combined(states: impl IntoIterator<Item = Power>) -> Option<Power> {
    states.into_iter().reduce(|a, b| Power::from(a.is_on() || b.is_on()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host with two power supplies is off only when both are (Pacemaker Explained, "Fencing topologies").
    #[test]
    fn one_live_feed_is_on() {
        assert_eq!(combined([Power::Off, Power::On]), Some(Power::On));
        assert_eq!(combined([Power::Off, Power::Off]), Some(Power::Off));
        assert_eq!(combined([]), None);
    }
}
