//! The kinds of fence agents, by what their success proves: the power was switched, a path was cut, or the node is
//! trusted to have reset itself. Pure.
//!
//! The facts about the agents are in one table, [`kind_of`]. Sources: the metadata of fence-agents 4.12 (an agent
//! without the action `reboot` is a fabric agent, FenceAgentAPI.md), its manual pages, and pacemaker-fenced(7) for the
//! watchdog.

use std::collections::BTreeSet;

use super::grade::Grade;
use super::power::reading::ReadingSubject;
use crate::core::config::agents::kind_of;

/// The name of gnt-ha's own agent.
pub const OURS: &str = "fence_ganeti";

/// The id and the delegate of Pacemaker's watchdog fencing (`STONITH_WATCHDOG_ID`).
pub const WATCHDOG: &str = "watchdog";

/// The kind of a fence device, which decides what its success proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceDeviceKind {
    /// `fence_ganeti`: its receipt has the grade.
    Ours {
        /// The weakest grade that it accepts (`minimum_grade`).
        least: Grade,
    },
    /// A device that switches the power and reads it back.
    Power {
        /// Whether its reboot is off, read, then on; not the device's own cycle (`method=cycle`).
        reads_reboot: bool,
    },
    /// A device that cuts a path to storage or to a network: the host runs on.
    Fabric,
    /// The host is trusted to reset itself in time.
    Watchdog,
    /// A device of which it is unknown whether it switches power or cuts a path.
    Unknown,
}

/// Agents that leave the reset to the host's own watchdog.
const SELF_FENCING: [&str; 3] = ["external/sbd", "fence_sbd", "fence_watchdog"];

/// Agents whose reboot is a reset by the device itself unless an option changes that (`method=onoff`).
const CYCLES: [&str; 1] = ["fence_gce"];

/// Options, each with what the agents then report as off: a machine that does not exist, or one without network
/// (fence-agents 4.12: `fencing.py`, `fence_azure_arm`). The agents' library treats `-` as `_`.
pub const TAKES_FOR_OFF: [(&str, &str); 4] = [
    ("missing_as_off", "a machine that it does not find"),
    ("missing-as-off", "a machine that it does not find"),
    ("network_fencing", "a machine without network"),
    ("network-fencing", "a machine without network"),
];

/// Returns whether the value of an option is not one of the agents' words for false.
#[must_use]
pub fn is_not_false(value: &str) -> bool {
    !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "off" | "false")
}

/// Returns the name of an agent: the part after the last slash of a path. Names of cluster-glue contain a directory
/// (`external/sbd`).
fn name_of(agent: &str) -> &str {
    if agent.starts_with('/') { agent.rsplit('/').next().unwrap_or_default() } else { agent }
}

impl FenceDeviceKind {
    /// Returns the kind of an agent, by its name or its path; `power_agents` are those that the configuration adds.
    #[must_use]
    pub fn of(agent: &str, power_agents: &BTreeSet<String>) -> Self {
        let name = name_of(agent);
        let power = Self::Power { reads_reboot: !CYCLES.contains(&name) };
        match name {
            OURS => Self::Ours { least: Grade::Bounded },
            _ if SELF_FENCING.contains(&name) => Self::Watchdog,
            _ if power_agents.contains(name) && kind_of(name).sees == ReadingSubject::Unknown => power,
            // An agent of cluster-glue, which has its own agents under any name.
            _ if name.contains('/') => Self::Unknown,
            _ => match kind_of(name).sees {
                ReadingSubject::Access => Self::Fabric,
                ReadingSubject::Machine | ReadingSubject::Feed => power,
                ReadingSubject::Unknown => Self::Unknown,
            },
        }
    }
}

/// An agent that cannot be named in `power_agents`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PowerAgentError {
    /// The name is not that of an agent.
    #[error("power_agents: {0:?} is not a valid agent name: give it as Pacemaker has it (fence_...)")]
    Name(String),
    /// The agent is `fence_ganeti`.
    #[error("power_agents: {0} writes receipts with a grade: take it out")]
    Ours(String),
    /// The agent is known to cut a path.
    #[error("power_agents: {0} cuts a path and switches no power: take it out")]
    Fabric(String),
    /// The agent is known to rely on a watchdog.
    #[error("power_agents: {0} leaves the reset to a watchdog: take it out")]
    Watchdog(String),
}

/// Checks a name that the configuration gives for a power agent.
///
/// # Errors
/// [`PowerAgentError`] if the name is not valid, or the agent is known not to switch the power.
pub fn check_power_agent(agent: &str) -> Result<(), PowerAgentError> {
    let is_plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    if !(1..=2).contains(&agent.split('/').count()) || !agent.split('/').all(is_plain) {
        return Err(PowerAgentError::Name(agent.to_owned()));
    }
    match FenceDeviceKind::of(agent, &BTreeSet::new()) {
        FenceDeviceKind::Unknown | FenceDeviceKind::Power { .. } => Ok(()),
        FenceDeviceKind::Ours { .. } => Err(PowerAgentError::Ours(agent.to_owned())),
        FenceDeviceKind::Fabric => Err(PowerAgentError::Fabric(agent.to_owned())),
        FenceDeviceKind::Watchdog => Err(PowerAgentError::Watchdog(agent.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(agent: &str) -> FenceDeviceKind {
        FenceDeviceKind::of(agent, &BTreeSet::new())
    }

    /// An agent of an unknown kind never counts as one that switches the power.
    #[test]
    fn each_agent_has_its_kind_and_what_is_not_known_has_none() {
        let power = FenceDeviceKind::Power { reads_reboot: true };
        for agent in ["fence_ipmilan", "fence_apc_snmp", "fence_virsh", "fence_xvm", "/usr/sbin/fence_redfish"] {
            assert_eq!(kind(agent), power, "{agent}");
        }
        for agent in ["fence_scsi", "fence_mpath", "fence_brocade", "fence_ifmib", "fence_sanbox2", "fence_cisco_mds"] {
            assert_eq!(kind(agent), FenceDeviceKind::Fabric, "{agent}");
        }
        for agent in ["fence_sbd", "fence_watchdog", "external/sbd"] {
            assert_eq!(kind(agent), FenceDeviceKind::Watchdog, "{agent}");
        }
        for agent in
            ["fence_mine", "fence_kdump", "fence_heuristics_ping", "fence_dummy", "fence_legacy", "", "external/x"]
        {
            assert_eq!(kind(agent), FenceDeviceKind::Unknown, "{agent}");
        }
        assert_eq!(kind("fence_ganeti"), FenceDeviceKind::Ours { least: Grade::Bounded });
    }

    #[test]
    fn the_configuration_adds_agents_that_switch_power_and_no_others() {
        let added = BTreeSet::from(["fence_mine".to_owned(), "fence_scsi".to_owned()]);
        assert_eq!(FenceDeviceKind::of("fence_mine", &added), FenceDeviceKind::Power { reads_reboot: true });
        assert_eq!(
            FenceDeviceKind::of("fence_scsi", &added),
            FenceDeviceKind::Fabric,
            "what is known is not overruled"
        );
        for good in ["fence_mine", "external/vcenter", "fence_ipmilan"] {
            check_power_agent(good).unwrap();
        }
        for bad in ["", "fence_scsi", "fence_sbd", "fence_ganeti", "/usr/sbin/x", "a/b/c", "fence mine", "../x", "x\n"]
        {
            assert!(check_power_agent(bad).is_err(), "{bad:?}");
        }
    }
}
