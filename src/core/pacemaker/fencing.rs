//! The devices with which Pacemaker may have fenced a node, and their kinds: primitives, host lists, fencing topology,
//! watchdog. Pure.
//!
//! Sources: Pacemaker Explained, fencing-2.4.rng; `lib/fencing/st_client.c` (host lists), `fenced_commands.c`
//! (topology). Rules and references are not followed: a value that they could change counts as the one that allows
//! least. Devices that were registered by hand (`stonith_admin --register`) or deleted since are not seen.

mod device;
mod topology;

use std::collections::BTreeSet;
use std::fmt;

use super::duration::milliseconds;
use super::tree::Element;
use crate::core::evidence::{Worth, of_options};
use crate::core::fence_agents::{FenceDeviceKind, WATCHDOG};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
pub use device::FenceDevice;
use device::{all_values, least_of};
use topology::{FencingLevel, Topology};

/// The fence devices and levels of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fencing {
    devices: Vec<FenceDevice>,
    topology: Topology,
    /// Whether watchdog fencing is on for all nodes (`stonith-watchdog-timeout`).
    watchdog: bool,
}

/// One option to fence a node: all of these devices must succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FencingOption {
    /// The level of the fencing topology; `None` without one.
    pub level: Option<u32>,
    /// The devices that are used together.
    pub devices: Vec<FenceDevice>,
}

/// The options that Pacemaker has to fence a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FencingOptions(pub Vec<FencingOption>);

impl FencingOptions {
    /// Returns the options of a node whose only device is a `fence_ganeti` that accepts this grade.
    #[must_use]
    pub fn ours(least: Grade) -> Self {
        Self::of_kinds(&[&[FenceDeviceKind::Ours { least }]])
    }

    /// Returns options with devices of these kinds.
    #[must_use]
    pub fn of_kinds(options: &[&[FenceDeviceKind]]) -> Self {
        let device = |kind: &FenceDeviceKind| FenceDevice::only_known_as("", "", *kind);
        let option =
            |kinds: &&[FenceDeviceKind]| FencingOption { level: None, devices: kinds.iter().map(device).collect() };
        Self(options.iter().map(option).collect())
    }

    /// Returns what a success proves that has no receipt. `stays_off`: the action was `off`, not `reboot`.
    #[must_use]
    pub fn worth(&self, stays_off: bool) -> Worth {
        self.0
            .iter()
            .map(|option| option.worth(stays_off))
            .reduce(Worth::weaker)
            .unwrap_or_else(|| of_options([], stays_off))
    }

    /// Returns whether a `fence_ganeti` device is part of an option.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.0.iter().any(FencingOption::has_ours)
    }
}

impl fmt::Display for FencingOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(level) = self.level {
            write!(f, "fencing level {level}: ")?;
        }
        let devices = self.devices.iter().map(|device| format!("{} ({})", device.id, device.agent));
        f.write_str(&devices.collect::<Vec<_>>().join(" + "))
    }
}

impl FencingOption {
    /// Returns whether a `fence_ganeti` device is part of the option.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.devices.iter().any(|device| matches!(device.kind, FenceDeviceKind::Ours { .. }))
    }

    fn kinds(&self) -> Vec<FenceDeviceKind> {
        self.devices.iter().map(|device| device.kind).collect()
    }

    /// Returns what a success by this option proves without a receipt. `stays_off`: the action was `off`, not `reboot`.
    #[must_use]
    pub fn worth(&self, stays_off: bool) -> Worth {
        // A host that one of the devices switches on again is on.
        let stays_off = stays_off && !self.devices.iter().any(|device| device.reboots_for_off.is_some());
        of_options([self.kinds().as_slice()], stays_off)
    }
}

impl Fencing {
    /// Reads a whole CIB. `power_agents` are agents that the configuration names in addition to the known ones.
    #[must_use]
    pub fn of(cib: &Element, power_agents: &BTreeSet<String>) -> Self {
        let templates = cib.all("template");
        let promises = least_of(&all_values(cib, "minimum_grade"), true);
        let device = |primitive: &&Element| FenceDevice::of(primitive, &templates, promises, power_agents);
        let property = |pair: &&&Element| {
            matches!(pair.get("name"), Some("stonith-watchdog-timeout" | "fencing-watchdog-timeout"))
        };
        let pairs: Vec<&Element> = cib.all("crm_config").into_iter().flat_map(|config| config.all("nvpair")).collect();
        // A value that is not zero or cannot be read counts as on.
        let is_on = |pair: &&Element| pair.get("value").and_then(milliseconds) != Some(0);
        Self {
            devices: cib.all("primitive").iter().filter_map(device).collect(),
            topology: Topology::of(cib),
            watchdog: pairs.iter().filter(property).any(is_on),
        }
    }

    /// Returns the same devices, with these agents as power agents.
    #[must_use]
    pub fn with(&self, power_agents: &BTreeSet<String>) -> Self {
        let mut all = self.clone();
        for device in
            all.devices.iter_mut().filter(|device| device.kind == FenceDeviceKind::Unknown && device.is_odd.is_none())
        {
            device.kind = FenceDeviceKind::of(&device.agent, power_agents);
        }
        all
    }

    /// Returns the weakest grade that a `fence_ganeti` device accepts; `None` without such a device.
    #[must_use]
    pub fn least_of_ours(&self) -> Option<Grade> {
        let least = |device: &FenceDevice| match device.kind {
            FenceDeviceKind::Ours { least } => Some(least),
            // A device with an odd parameter does not count by its `minimum_grade`: it checks no grade at all.
            _ => None,
        };
        self.devices.iter().filter_map(least).min()
    }

    /// Returns all fence devices of the CIB.
    #[must_use]
    pub fn devices(&self) -> &[FenceDevice] {
        &self.devices
    }

    /// Returns the options to fence `node`, one of Ganeti's nodes `all`. If another node has the machine of a device,
    /// too, it is unknown whose power the device has read.
    #[must_use]
    pub fn options(&self, node: &NodeName, all: &[NodeName]) -> FencingOptions {
        let (levels, is_sure) = self.topology.levels_of(node, all);
        let mut options: Vec<FencingOption> =
            levels.iter().filter_map(|level| self.of_level(level, node, all).ok()).collect();
        if levels.is_empty() || !is_sure {
            let alone = self.devices.iter().filter(|device| device.may_fence(node, all));
            options.extend(alone.map(|device| FencingOption { level: None, devices: vec![device.clone()] }));
        }
        // Pacemaker tries the watchdog last, whatever else there is.
        if self.watchdog {
            options.push(FencingOption { level: None, devices: vec![FenceDevice::watchdog()] });
        }
        for device in options.iter_mut().flat_map(|option| &mut option.devices) {
            if self.shared_with(device, node, all).is_some() {
                device.kind = FenceDeviceKind::Unknown;
            }
        }
        FencingOptions(options)
    }

    /// Returns another node whose power a device, or one beside it, would switch where `node` is meant.
    #[must_use]
    pub fn shared_with<'a>(
        &'a self,
        device: &FenceDevice,
        node: &'a NodeName,
        all: &'a [NodeName],
    ) -> Option<(&'a NodeName, &'a FenceDevice)> {
        if !matches!(device.kind, FenceDeviceKind::Power { .. }) {
            return None;
        }
        let machine = device.machine_of(node, &self.topology, all);
        let all_targets = self.topology.all_targets(all);
        let same =
            |other: &NodeName, beside: &FenceDevice| match (&machine, beside.machine_of(other, &self.topology, all)) {
                (Some(one), Some(other)) => !one.is_disjoint(&other),
                // A machine that is unknown may be any, but only the same device is suspected of it.
                _ => beside.id == device.id,
            };
        let switches = self.devices.iter().filter(|beside| matches!(beside.kind, FenceDeviceKind::Power { .. }));
        let mut pairs = switches.flat_map(|beside| all_targets.iter().map(move |other| (*other, beside)));
        pairs.find(|(other, beside)| {
            *other != node && beside.may_fence(other, all) && same(other, beside) && self.uses(beside, other, all)
        })
    }

    /// Returns whether Pacemaker may choose a device for a node, by its topology.
    fn uses(&self, device: &FenceDevice, node: &NodeName, all: &[NodeName]) -> bool {
        let (levels, is_sure) = self.topology.levels_of(node, all);
        !is_sure || levels.iter().any(|level| level.devices.contains(&device.id))
    }

    /// Returns the ids of the fencing levels that are for a node.
    #[must_use]
    pub fn level_ids(&self, node: &NodeName, all: &[NodeName]) -> Vec<&str> {
        self.topology.levels_of(node, all).0.into_iter().map(|level| level.id.as_str()).collect()
    }

    /// Returns the ids of the fencing levels that are never used, each with the reason.
    #[must_use]
    pub fn ignored_levels(&self, all: &[NodeName]) -> Vec<(String, String)> {
        let all_targets = self.topology.all_targets(all);
        let why = |level: &FencingLevel| {
            let of: Vec<&NodeName> =
                all_targets.iter().copied().filter(|node| self.topology.may_be_for(level, node, all)).collect();
            if of.is_empty() {
                return Some(level.of.words());
            }
            let used = |node: &&&NodeName| self.topology.levels_of(node, all).0.contains(&level);
            let of: Vec<&NodeName> = of.iter().filter(used).copied().collect();
            if of.is_empty() {
                return Some("each node that it is for has levels by its name".to_owned());
            }
            if let Some(id) = level.devices.iter().find(|id| *id != WATCHDOG && self.device(id).is_none()) {
                return Some(format!("there is no device {id}"));
            }
            let each: Vec<NotForNode> = of.iter().filter_map(|node| self.of_level(level, node, all).err()).collect();
            each.first().filter(|_| each.len() == of.len()).map(NotForNode::to_string)
        };
        let unused = self.topology.levels.iter().filter_map(|level| Some((level.id.clone(), why(level)?)));
        self.topology.refused.iter().cloned().chain(unused).collect()
    }

    fn device(&self, id: &str) -> Option<&FenceDevice> {
        self.devices.iter().find(|device| device.id == *id)
    }

    /// Returns the option of a level; if one of its devices cannot fence the node, the level never succeeds, and the
    /// error names the device.
    fn of_level(&self, level: &FencingLevel, node: &NodeName, all: &[NodeName]) -> Result<FencingOption, NotForNode> {
        let device = |id: &String| match self.device(id) {
            Some(device) if device.may_fence(node, all) => Ok(device.clone()),
            Some(_) => Err(NotForNode { device: id.clone(), node: node.clone() }),
            None if id == WATCHDOG => Ok(FenceDevice::watchdog()),
            None => Ok(FenceDevice::only_known_as(id, "", FenceDeviceKind::Unknown)),
        };
        let devices = level.devices.iter().map(device).collect::<Result<Vec<FenceDevice>, NotForNode>>()?;
        Ok(FencingOption { level: Some(level.number), devices })
    }
}

/// A device of a level that cannot fence the level's node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{device} is not for {node}")]
struct NotForNode {
    device: String,
    node: NodeName,
}

#[cfg(test)]
mod tests;
