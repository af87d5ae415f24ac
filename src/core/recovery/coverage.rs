//! Which instances recovery would start elsewhere if their hosts died, and which not and why, as far as tags and disk
//! templates decide. Room and the state at the death are unknown before. Pure.

use std::fmt;

use super::config_data::{ConfigInstances, RecoveryConfig};
use super::harep::{HarepRepair, repair_in_tags};
use super::instance::{AdminState, InstanceName};
use super::permission::{NotPermitted, RepairTags, permission};
use super::template::{DiskTemplate, Mobility};
use super::unreadable::{BadInstance, UnreadableInstance};
use crate::core::node::NodeName;

/// The instances that are marked up, by whether they are covered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The instances that would be started elsewhere, each with its primary node.
    pub covered: Vec<(InstanceName, NodeName)>,
    /// The instances that would stay down, each with the reason.
    pub not_covered: Vec<NotCoveredInstance>,
}

/// An instance that would not be started elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCoveredInstance {
    /// The instance that would stay down.
    pub instance: InstanceName,
    /// Its recorded primary node; `None` if it cannot be read.
    pub primary: Option<NodeName>,
    /// The reason why the instance would not be started elsewhere.
    pub why: NotCovered,
}

/// The reason why an instance would not be started elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCovered {
    /// It cannot be read in Ganeti's configuration.
    Unreadable(BadInstance),
    /// The tags do not permit it now.
    NotPermitted(NotPermitted),
    /// A repair of harep has the instance.
    Harep(HarepRepair),
    /// Its disks are on its host alone.
    NotMovable(DiskTemplate),
    /// Its template is not known to gnt-ha.
    UnknownTemplate(DiskTemplate),
    /// It has no secondary node, or several.
    Secondaries(usize),
}

impl fmt::Display for NotCovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "gnt-ha cannot read it in Ganeti's configuration: {why}"),
            Self::NotPermitted(why) => why.fmt(f),
            Self::Harep(repair) => repair.fmt(f),
            Self::NotMovable(template) => {
                write!(f, "not movable: its disks (template {template}) are on its host alone")
            }
            Self::UnknownTemplate(template) => write!(f, "gnt-ha does not support its disk template {template}"),
            Self::Secondaries(count) => write!(f, "it has {count} secondary nodes, and 1 is needed"),
        }
    }
}

impl Coverage {
    /// Returns the coverage by Ganeti's configuration. `now_s` is the wall clock, in seconds since 1970.
    #[must_use]
    pub fn of(config: &RecoveryConfig, now_s: u64) -> Self {
        let (nodes, groups) = (config.nodes(), config.group_tags());
        let ConfigInstances { readable, unreadable } = config.instances();
        let mut coverage = Self::default();
        for UnreadableInstance { name, primary, why, .. } in unreadable.into_iter().filter(|bad| bad.may_be_up()) {
            coverage.not_covered.push(NotCoveredInstance { instance: name, primary, why: NotCovered::Unreadable(why) });
        }
        for instance in readable.into_iter().filter(|instance| instance.admin_state == AdminState::Up) {
            let group =
                nodes.iter().find(|node| node.name == instance.primary).and_then(|node| groups.get(&node.group));
            let tags = RepairTags {
                instance: &instance.tags,
                group: group.map(Vec::as_slice).unwrap_or_default(),
                cluster: config.cluster_tags(),
            };
            let why = match (permission(tags, now_s), repair_in_tags(&instance.tags), instance.template.mobility()) {
                (Err(why), _, _) => NotCovered::NotPermitted(why),
                (_, Some(repair), _) => NotCovered::Harep(repair),
                (_, _, Mobility::Fixed) => NotCovered::NotMovable(instance.template),
                (_, _, Mobility::Unknown) => NotCovered::UnknownTemplate(instance.template),
                (_, _, Mobility::Secondary) if instance.secondaries.len() != 1 => {
                    NotCovered::Secondaries(instance.secondaries.len())
                }
                (_, _, Mobility::Anywhere | Mobility::Secondary) => {
                    coverage.covered.push((instance.name, instance.primary));
                    continue;
                }
            };
            let (primary, instance) = (Some(instance.primary), instance.name);
            coverage.not_covered.push(NotCoveredInstance { instance, primary, why });
        }
        coverage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_that_would_stay_down_has_its_reason() {
        let config = r#"{"cluster": {"tags": ["ganeti:watcher:autorepair:failover"]}, "nodegroups": {"g": {"name": "default"}},
            "nodes": {"u1": {"name": "n1.lab", "group": "g"}, "u2": {"name": "n2.lab", "group": "g"}},
            "disks": {"d0": {"dev_type": "drbd", "logical_id": ["u1", "u1"]},
                      "d1": {"dev_type": "drbd", "logical_id": ["u1", "u2"]}, "d2": {"dev_type": "plain"},
                      "d3": {"dev_type": "rbd"}, "d4": {"dev_type": "new"}},
            "instances": {"h": {"name": "half", "primary_node": "u1", "admin_state": "up", "disks": ["d0"]},
                "a": {"name": "drbd", "primary_node": "u1", "admin_state": "up", "disks": ["d1"]},
                "b": {"name": "plain", "primary_node": "u1", "admin_state": "up", "disks": ["d2"]},
                "c": {"name": "rbd", "primary_node": "u1", "admin_state": "up", "disks": ["d3"]},
                "d": {"name": "new", "primary_node": "u1", "admin_state": "up", "disks": ["d4"]},
                "e": {"name": "stopped", "primary_node": "u1", "admin_state": "down"},
                "f": {"name": "suspended", "primary_node": "u1", "admin_state": "up",
                      "tags": ["ganeti:watcher:autorepair:suspend"]},
                "g": {"name": "harep", "primary_node": "u1", "admin_state": "up", "disks": ["d3"],
                      "tags": ["ganeti:watcher:autorepair:pending:failover:u:1700000000:12"]},
                "i": {"name": "bad", "primary_node": "u9", "admin_state": "up"},
                "j": {"name": "bad-and-stopped", "primary_node": "u9", "admin_state": "down"}}}"#;
        let config = RecoveryConfig::parse(config.as_bytes()).unwrap();
        let coverage = Coverage::of(&config, 1_700_000_000);
        let n1 = NodeName::new("n1.lab").unwrap();
        assert_eq!(coverage.covered, ["drbd", "rbd"].map(|name| (InstanceName::new(name).unwrap(), n1.clone())));
        let primary = |not: &NotCoveredInstance| not.primary.as_ref().map_or("?".to_owned(), NodeName::to_string);
        let all: Vec<String> =
            coverage.not_covered.iter().map(|not| format!("{} {}: {}", not.instance, primary(not), not.why)).collect();
        let begins = [
            "bad ?: gnt-ha cannot read it in Ganeti's configuration: it names a node that does not exist",
            "half n1.lab: it has 0 secondary nodes",
            "harep n1.lab: harep repairs it",
            "new n1.lab: gnt-ha does not support its disk template new",
            "plain n1.lab: not movable",
            "suspended n1.lab: suspended by the tag",
        ];
        assert_eq!(all.len(), begins.len());
        for (line, begin) in all.iter().zip(begins) {
            assert!(line.starts_with(begin), "{line}");
        }
    }
}
