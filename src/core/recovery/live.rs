//! Which instances run on which node, as the nodes themselves report it to their nodeds. Pure.
//!
//! luxid asks the recorded primary nodes only. An instance that was being migrated when its host died may run on another
//! node, so every node is asked (`instance_list` in `lib/server/noded.py`, `ListInstances` in `lib/hypervisor`).
//! `all_instances_info` would not do: for KVM it lists the instances with a runtime file, which the target of a migration
//! writes last (`FinalizeMigrationDst` in `lib/hypervisor/hv_kvm/__init__.py`), and it waits for each QEMU.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::instance::InstanceName;
use crate::core::node::NodeName;
use crate::core::pacemaker::state::Membership;

/// How long a node that was fenced is certain not to answer, in milliseconds, if Pacemaker does not see it either: no host
/// boots faster.
const BOOT_MS: u64 = 60_000;

/// The procedure of noded that lists the running instances. For KVM these are the processes with a pid file, which the
/// target of a migration has from its beginning.
pub const LIST: &str = "instance_list";

/// The procedure of noded that describes the instances, for the memory that they use.
pub const DESCRIBE: &str = "all_instances_info";

/// The beginning, or the end, that Xen adds to the name of an instance while it migrates it
/// (`FinalizeMigrationSource` in `lib/hypervisor/hv_xen.py`; `xl` gives the incoming one a name of its own, too).
const XEN_PREFIX: &str = "migrating-";
const XEN_SUFFIXES: [&str; 2] = ["--incoming", "--migratedaway"];

/// The request by which a node is asked which instances it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The node is not asked: no answer can come.
    NotAsked,
    /// The node is asked as any other.
    Plain,
    /// The node runs again and is shunned until it is readmitted: it is asked through a temporary exception in this
    /// host's own rules. What it runs is not to be started elsewhere; that it does not run an instance does not count.
    Excepted,
}

impl Question {
    /// Decides how a node is asked. `proven_age_ms` is the time since its end was proven, if it is recorded offline, or is
    /// about to be; `is_offline` is Ganeti's record.
    #[must_use]
    pub fn of(member: Membership, is_offline: bool, is_shunned: bool, proven_age_ms: Option<u64>) -> Self {
        let is_gone = matches!(member, Membership::Absent | Membership::Unclean);
        if is_gone && (is_shunned || proven_age_ms.is_some_and(|age_ms| age_ms < BOOT_MS)) {
            return Self::NotAsked;
        }
        match (is_shunned, is_offline) {
            (false, _) => Self::Plain,
            (true, true) => Self::Excepted,
            (true, false) => Self::NotAsked,
        }
    }
}

/// The reports of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveInstances {
    /// The instances that run on each node that answered, also those that are being migrated from it or to it.
    pub running: BTreeMap<NodeName, BTreeSet<InstanceName>>,
    /// The memory that each running instance uses, in MiB.
    pub used_memory: BTreeMap<InstanceName, u64>,
}

/// A node's answer about its instances cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: its list of instances cannot be parsed")]
pub struct BadLiveInstances(NodeName);

impl LiveInstances {
    /// Adds the payload of noded's answer to [`LIST`]: the names of the running instances.
    ///
    /// # Errors
    /// [`BadLiveInstances`] if the payload has another shape. Nothing is added then: a part of a list would show that the
    /// rest does not run.
    pub fn add(&mut self, node: &NodeName, payload: &Value) -> Result<(), BadLiveInstances> {
        let bad = || BadLiveInstances(node.clone());
        let mut running = BTreeSet::new();
        for name in payload.as_array().ok_or_else(bad)? {
            let name = name.as_str().ok_or_else(bad)?;
            running.insert(InstanceName::new(name).map_err(|_| bad())?);
            running.extend(migrated_name(name));
        }
        self.running.insert(node.clone(), running);
        Ok(())
    }

    /// Adds what the payload of noded's answer to [`DESCRIBE`] has of the memory that the instances use. What it does not
    /// have is unknown.
    pub fn add_memory(&mut self, payload: &Value) {
        let used = |(name, values): (&String, &Value)| {
            Some((InstanceName::new(name).ok()?, values.get("memory").and_then(Value::as_u64)?))
        };
        self.used_memory.extend(payload.as_object().into_iter().flatten().filter_map(used));
    }
}

/// Returns the name in Ganeti of an instance that Xen lists under the name of a migration. An instance may really have
/// such a name, so both names count.
fn migrated_name(listed: &str) -> Option<InstanceName> {
    let suffixed = || XEN_SUFFIXES.iter().find_map(|suffix| listed.strip_suffix(suffix));
    InstanceName::new(listed.strip_prefix(XEN_PREFIX).or_else(suffixed)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A host that was fenced and is back while its instances start elsewhere is shunned: what it runs is not to start.
    #[test]
    fn a_shunned_node_that_runs_again_is_asked_through_an_exception() {
        let of = Question::of;
        assert_eq!(of(Membership::Online, true, true, Some(5_000)), Question::Excepted);
        assert_eq!(of(Membership::Absent, true, true, Some(5_000)), Question::NotAsked);
        assert_eq!(of(Membership::Absent, true, false, Some(5_000)), Question::NotAsked, "no host boots so fast");
        assert_eq!(of(Membership::Absent, true, false, Some(90_000)), Question::Plain);
        assert_eq!(of(Membership::Online, false, true, None), Question::NotAsked, "the shunning comes first");
        assert_eq!(of(Membership::Online, false, false, None), Question::Plain);
    }

    #[test]
    fn a_node_without_a_whole_answer_has_no_list() {
        let name = |text: &str| NodeName::new(text).unwrap();
        let mut live = LiveInstances::default();
        live.add(&name("n1.lab"), &json!(["a", "b"])).unwrap();
        live.add(&name("n2.lab"), &json!([])).unwrap();
        for bad in [json!(null), json!({"a": {}}), json!(["a", ""]), json!(["a", 1])] {
            assert_eq!(live.add(&name("n3.lab"), &bad), Err(BadLiveInstances(name("n3.lab"))));
        }
        let running: Vec<(&str, usize)> = live.running.iter().map(|(node, all)| (node.as_str(), all.len())).collect();
        assert_eq!(running, [("n1.lab", 2), ("n2.lab", 0)]);
    }

    /// KVM's target of a migration has no runtime file until the end and is only in the list by its process; Xen lists an
    /// instance under another name meanwhile.
    #[test]
    fn an_instance_that_is_being_migrated_runs_on_both_nodes() {
        let node = |text: &str| NodeName::new(text).unwrap();
        let mut live = LiveInstances::default();
        let listed = json!(["web", "migrating-a", "b--incoming", "c--migratedaway", "--incoming"]);
        live.add(&node("n4.lab"), &listed).unwrap();
        // The description of the same moment lacks it.
        live.add_memory(&json!({"a": {"memory": 512, "vcpus": 1, "state": 0, "time": 1.5}, "b": {"state": 1}}));
        let runs = |text: &str| live.running[&node("n4.lab")].contains(&InstanceName::new(text).unwrap());
        assert!(["web", "a", "b", "c", "migrating-a"].into_iter().all(runs), "{live:?}");
        assert_eq!(live.used_memory.values().copied().collect::<Vec<u64>>(), [512]);
        live.add_memory(&json!(null));
    }
}
