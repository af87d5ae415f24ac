//! The instances of `config.data`: those that can be read, and the others with the reason. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{InstanceEntry, RawInstance, RecoveryConfig, template_of};
use crate::core::recovery::instance::{AdminState, Instance, InstanceName};
use crate::core::recovery::unreadable::{BadInstance, UnreadableInstance};
use crate::core::text::one_line;

/// The greatest length of the parser's words about an entry, in characters.
const SHAPE_LIMIT: usize = 200;

/// All instances of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigInstances {
    /// The instances that can be read, sorted by name.
    pub readable: Vec<Instance>,
    /// The others, sorted by name.
    pub unreadable: Vec<UnreadableInstance>,
}

impl RecoveryConfig {
    /// Returns the instances. Those that cannot be read are named with the reason, and none is left out. Of two with the
    /// same name, neither is read: a job or a report would mean both.
    #[must_use]
    pub fn instances(&self) -> ConfigInstances {
        let mut all = ConfigInstances::default();
        let mut names: BTreeMap<InstanceName, usize> = BTreeMap::new();
        for (uuid, entry) in &self.instances {
            match self.instance(uuid, entry) {
                Ok(instance) => {
                    *names.entry(instance.name.clone()).or_default() += 1;
                    all.readable.push(instance);
                }
                Err(bad) => {
                    *names.entry(bad.name.clone()).or_default() += 1;
                    all.unreadable.push(bad);
                }
            }
        }
        let is_alone = |instance: &Instance| names.get(&instance.name) == Some(&1);
        let (readable, twice): (Vec<Instance>, Vec<Instance>) = all.readable.into_iter().partition(is_alone);
        all.readable = readable;
        all.unreadable.extend(twice.into_iter().map(|Instance { name, admin_state, primary, .. }| {
            UnreadableInstance {
                name,
                primary: Some(primary),
                admin_state: Some(admin_state),
                why: BadInstance::SameName,
            }
        }));
        all.readable.sort_by(|a, b| a.name.cmp(&b.name));
        all.unreadable.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn instance(&self, uuid: &str, entry: &InstanceEntry) -> Result<Instance, UnreadableInstance> {
        let raw = match entry {
            InstanceEntry::Parsed(raw) => raw,
            InstanceEntry::Other(value) => return Err(self.unparsed(uuid, value)),
        };
        self.read(raw).map_err(|why| UnreadableInstance {
            name: raw.name.clone(),
            primary: self.node_of(&raw.primary_node).ok(),
            admin_state: AdminState::parse(&raw.admin_state),
            why,
        })
    }

    fn read(&self, raw: &RawInstance) -> Result<Instance, BadInstance> {
        let disks = self.disks_of(raw)?;
        Ok(Instance {
            name: raw.name.clone(),
            admin_state: AdminState::parse(&raw.admin_state).ok_or(BadInstance::AdminState)?,
            primary: self.node_of(&raw.primary_node)?,
            secondaries: self.secondaries_of(raw, &disks)?,
            template: template_of(&disks),
            tags: raw.tags.clone(),
        })
    }

    /// Returns what is readable of an entry that cannot be parsed.
    fn unparsed(&self, uuid: &str, value: &Value) -> UnreadableInstance {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let named = |text: &str| InstanceName::new(text).ok();
        let why = RawInstance::deserialize(value).err().map(|error| error.to_string()).unwrap_or_default();
        UnreadableInstance {
            name: text("name").and_then(named).or_else(|| named(uuid)).unwrap_or_else(InstanceName::unknown),
            primary: text("primary_node").and_then(|uuid| self.node_of(uuid).ok()),
            admin_state: text("admin_state").and_then(AdminState::parse),
            why: BadInstance::Shape(one_line(&why, SHAPE_LIMIT)),
        }
    }
}
