//! The input of hail: the whole cluster as JSON, with a request for the instances that are to move. Pure.
//!
//! Ganeti makes the same document in `lib/masterd/iallocator.py`, in a job that takes the lock of the whole cluster
//! (`OP_TEST_ALLOCATOR`). So it is made here, from `config.data` and LUXI's live values. Policies are passed as Ganeti
//! has them: hail rejects an unknown key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::core::node::NodeName;
use crate::core::recovery::config_data::{RawInstance, RawNode, RecoveryConfig, space_of, template_of};
use crate::core::recovery::instance::{AdminState, InstanceName};

/// The version of the document (`IALLOCATOR_VERSION`).
const VERSION: u64 = 2;

/// The fields of a node that [`LiveNode::parse_all`] expects, in its order (`src/Ganeti/Query/Node.hs`).
const FIELDS: [&str; 9] = ["name", "mtotal", "mnode", "mfree", "dtotal", "dfree", "ctotal", "cnos", "sptotal"];

/// The resources of a node that answers: memory and disks in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveNode {
    /// All memory of the node, in MiB.
    pub total_memory: u64,
    /// The memory that the host itself needs, in MiB.
    pub reserved_memory: u64,
    /// The memory that no process uses now, in MiB.
    pub free_memory: u64,
    /// All disk space of Ganeti's storage on the node, in MiB.
    pub total_disk: u64,
    /// The disk space that Ganeti's storage has left on the node, in MiB.
    pub free_disk: u64,
    /// The number of its CPUs.
    pub total_cpus: u64,
    /// The number of CPUs that the host itself needs.
    pub reserved_cpus: u64,
}

/// The reason why hail's input could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// This instance, which is to be placed, does not exist or cannot be read.
    #[error("instance {0} is not in Ganeti's configuration any more")]
    NoSuchInstance(InstanceName),
    /// luxid has not answered.
    #[error("the room on the nodes is unknown: {0}")]
    NotAsked(String),
    /// luxid's answer about the nodes cannot be parsed.
    #[error("luxid's list of nodes cannot be parsed")]
    Nodes,
}

impl LiveNode {
    /// Returns the arguments of LUXI's `Query` for [`LiveNode::parse_all`]. luxid asks the nodeds of `nodes` alone: it would
    /// wait for each node that is lost (`requestedNames` in `src/Ganeti/Query/Filter.hs`).
    #[must_use]
    pub fn query<'a>(nodes: impl IntoIterator<Item = &'a NodeName>) -> Value {
        let filter = [json!("|")].into_iter().chain(nodes.into_iter().map(|node| json!(["=", "name", node])));
        json!(["node", FIELDS, filter.collect::<Vec<_>>()])
    }

    /// Parses the answer of LUXI's `Query` with [`LiveNode::query`]. A node that did not answer is left out.
    ///
    /// # Errors
    /// [`RequestError::Nodes`] if the answer has another shape.
    pub fn parse_all(answer: &Value) -> Result<BTreeMap<NodeName, Self>, RequestError> {
        let rows = answer.get("data").and_then(Value::as_array).ok_or(RequestError::Nodes)?;
        let mut nodes = BTreeMap::new();
        for row in rows {
            let cells = row.as_array().filter(|cells| cells.len() == FIELDS.len()).ok_or(RequestError::Nodes)?;
            let text = cells[0].get(1).and_then(Value::as_str).ok_or(RequestError::Nodes)?;
            let name = NodeName::new(text).map_err(|_| RequestError::Nodes)?;
            let number = |index: usize| cells[index].get(1).and_then(Value::as_u64);
            // Memory and CPUs are there if the node answers. A cluster without LVM reports no disk space.
            let (Some(total_memory), Some(reserved_memory), Some(free_memory), Some(total_cpus)) =
                (number(1), number(2), number(3), number(6))
            else {
                continue;
            };
            let live = Self {
                total_memory,
                reserved_memory,
                free_memory,
                total_disk: number(4).unwrap_or_default(),
                free_disk: number(5).unwrap_or_default(),
                total_cpus,
                reserved_cpus: number(7).unwrap_or_default(),
            };
            nodes.insert(name, live);
        }
        Ok(nodes)
    }
}

/// The input of hail.
#[derive(Clone, Copy, Debug)]
pub struct RequestInput<'a> {
    /// Ganeti's configuration, with the nodes, groups and instances of the request.
    pub config: &'a RecoveryConfig,
    /// The resources of the nodes that answer. hail places nothing on any other node.
    pub live: &'a BTreeMap<NodeName, LiveNode>,
    /// The memory in MiB that each running instance uses now.
    pub used_memory: &'a BTreeMap<InstanceName, u64>,
    /// The nodes on which nothing may be started: dead or suspect ones.
    pub excluded: &'a BTreeSet<NodeName>,
    /// The instances that are being started on another node than the recorded one already.
    pub being_started: &'a BTreeMap<InstanceName, NodeName>,
    /// The instances to place, the most important first: what comes first takes the room.
    pub instances: &'a [InstanceName],
}

/// Returns the document for hail.
///
/// # Errors
/// [`RequestError::NoSuchInstance`] if the configuration lacks an instance of the request: hail would reject all of it.
pub fn request(input: &RequestInput<'_>) -> Result<String, RequestError> {
    let config = input.config;
    let all = config.instances();
    let known: BTreeSet<&InstanceName> = all.readable.iter().map(|instance| &instance.name).collect();
    if let Some(missing) = input.instances.iter().find(|name| !known.contains(name)) {
        return Err(RequestError::NoSuchInstance(missing.clone()));
    }
    let mut instances = Map::new();
    let mut planned: BTreeMap<NodeName, u64> = BTreeMap::new();
    for raw in config.parsed() {
        let Some((value, primary, is_up)) = instance(raw, input) else { continue };
        let memory = config.backend(raw, "maxmem").unwrap_or_default();
        if is_up {
            // What a running instance may still take, and all of what is about to start (`_ComputeInstanceMemory`).
            let used = input.used_memory.get(&raw.name).copied().unwrap_or_default();
            *planned.entry(primary).or_default() += memory.saturating_sub(used);
        }
        // The entry of two with the same name is that of the last, and both have their memory.
        instances.insert(raw.name.as_str().to_owned(), value);
    }
    let nodes: Map<String, Value> = config
        .nodes
        .values()
        .map(|raw| (raw.name.to_string(), node(raw, input, planned.get(&raw.name).copied().unwrap_or_default())))
        .collect();
    let groups: Map<String, Value> = config
        .nodegroups
        .iter()
        .map(|(uuid, group)| {
            let policy = group.alloc_policy.as_deref().unwrap_or("preferred");
            let value = json!({"name": group.name, "alloc_policy": policy, "networks": [], "ipolicy": config.policy(group),
                               "tags": group.tags});
            (uuid.clone(), value)
        })
        .collect();
    let cluster = &config.cluster;
    let document = json!({
        "version": VERSION,
        "cluster_name": cluster.cluster_name,
        "cluster_tags": cluster.tags,
        "enabled_hypervisors": cluster.enabled_hypervisors,
        "ipolicy": cluster.ipolicy,
        "nodegroups": groups,
        "nodes": nodes,
        "instances": instances,
        "request": {"type": "node-evacuate", "instances": input.instances, "evac_mode": "primary-only"},
    });
    Ok(document.to_string())
}

/// Returns the entry of an instance, its primary node as it will be, and whether it is to run; `None` if its primary node is
/// unknown. One that cannot be read takes its room on that node, and is not moved: it counts as one without disks that is
/// to run, if the rest is unknown.
fn instance(raw: &RawInstance, input: &RequestInput<'_>) -> Option<(Value, NodeName, bool)> {
    let config = input.config;
    let recorded = config.node_of(&raw.primary_node).ok()?;
    let disks = config.disks_of(raw);
    let read = disks.and_then(|disks| config.secondaries_of(raw, &disks).map(|others| (disks, others)));
    let (disks, mut others) = read.unwrap_or_default();
    let admin_state = AdminState::parse(raw.admin_state()).map_or("up", |_| raw.admin_state());
    let mut primary = recorded.clone();
    if let Some(new) = input.being_started.get(&raw.name) {
        // With DRBD, both nodes change their roles.
        for other in others.iter_mut().filter(|other| *other == new) {
            *other = recorded.clone();
        }
        primary = new.clone();
    }
    let nodes: Vec<&NodeName> = std::iter::once(&primary).chain(&others).collect();
    let number = |key: &str, default: u64| config.backend(raw, key).unwrap_or(default);
    let disk_list: Vec<Value> = disks
        .iter()
        .map(|disk| {
            json!({"dev_type": disk.dev_type, "size": disk.size, "mode": disk.mode.as_deref().unwrap_or("rw"),
                           "spindles": disk.spindles})
        })
        .collect();
    let value = json!({
        "tags": raw.tags,
        "admin_state": admin_state,
        "vcpus": number("vcpus", 1),
        "memory": number("maxmem", 0),
        "spindle_use": number("spindle_use", 1),
        "os": raw.os,
        "nodes": nodes,
        "nics": [],
        "disks": disk_list,
        "disk_template": template_of(&disks).word(),
        "hypervisor": raw.hypervisor,
        "disk_space_total": space_of(&disks),
    });
    Some((value, primary, admin_state == "up"))
}

fn node(raw: &RawNode, input: &RequestInput<'_>, planned_memory: u64) -> Value {
    let parameters = input.config.node_parameters(raw);
    let live = input.live.get(&raw.name).filter(|_| !raw.offline && !input.excluded.contains(&raw.name));
    let spindles = parameters.get("spindle_count").and_then(Value::as_u64).unwrap_or(1);
    let exclusive = parameters.get("exclusive_storage").and_then(Value::as_bool).unwrap_or(false);
    let mut value = json!({
        "tags": raw.tags,
        "offline": live.is_none(),
        "drained": raw.drained,
        "group": raw.group,
        "vm_capable": raw.vm_capable,
        "ndparams": {"spindle_count": spindles, "exclusive_storage": exclusive},
    });
    if let Some(live) = live {
        let numbers = [
            ("total_memory", live.total_memory),
            ("reserved_memory", live.reserved_memory),
            ("free_memory", live.free_memory.saturating_sub(planned_memory)),
            ("total_disk", live.total_disk),
            ("free_disk", live.free_disk),
            ("total_cpus", live.total_cpus),
            ("reserved_cpus", live.reserved_cpus),
            ("total_spindles", 0),
            ("free_spindles", 0),
        ];
        for (key, number) in numbers {
            value[key] = json!(number);
        }
    }
    value
}

#[cfg(test)]
mod tests;
