//! Keeps the shun list of this host and the kernel's rules that follow from it: the list is written first, then the
//! rules are applied and read back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ShunError;
use super::peer_reports;
use super::protected::Protected;
use super::stored::{FILE, addresses_to_shun};
pub use super::stored::{file, remembers, shun_list};
use crate::core::config::Config;
use crate::core::ganeti::network::serial_of;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::shun::belief::{Belief, Channel, ClusterMembers, Disbelief};
use crate::core::shun::list::{Epoch, ShunEntry, ShunList, ShunScope};
use crate::core::shun::messages::{PeerReport, PeerRequest, VERSION};
use crate::sys::clock::{Deadline, now};
use crate::sys::connections::{self, ConnectionChoice};
use crate::sys::ganeti::files;
use crate::sys::ganeti::running_instances;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::identity;
use crate::sys::lock::Lock;
use crate::sys::nft::shun_table::{self, AppliedRules, ApplyResult, ShunnedAddresses};
use crate::sys::nft::unreachable::make_unreachable;
use crate::sys::store::{Store, StoredAt};

/// For how long the master IP of a master that has stopped is made unreachable.
const UNREACHABLE_TIME: Duration = Duration::from_secs(60);

/// Keeps the shun list of this host, and applies it to the kernel.
#[derive(Debug)]
pub struct ShunApplier<'a> {
    config: &'a Config,
    ssconf: Ssconf,
    data_dir: PathBuf,
    here: NodeName,
}

impl<'a> ShunApplier<'a> {
    /// Returns the applier of this host, with Ganeti's files in `data_dir`.
    ///
    /// # Errors
    /// [`ShunError::HostName`] if this host's name is not a valid node name.
    pub fn new(config: &'a Config, data_dir: &Path) -> Result<Self, ShunError> {
        let ssconf = Ssconf::new(data_dir);
        let nodes = ssconf.names("node_list").unwrap_or_default();
        let here = match identity::node_among(&nodes) {
            Some(here) => here,
            None => NodeName::new(&identity::host())?,
        };
        Ok(Self { config, ssconf, data_dir: data_dir.to_owned(), here })
    }

    /// Returns this host's name, as Ganeti has it.
    #[must_use]
    pub const fn own_node(&self) -> &NodeName {
        &self.here
    }

    /// Returns the path of the shun list.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        file(&self.config.state)
    }

    /// Reads this host's shun list.
    ///
    /// # Errors
    /// [`ShunError::ShunList`] if a file that holds it cannot be read or is damaged.
    pub fn shun_list(&self) -> Result<ShunList, ShunError> {
        shun_list(&self.config.state)
    }

    /// Carries out an order of a program of this host. The list is flushed to the disk before it is applied, and the
    /// answer holds what the kernel shuns then. A statement of another node must not come here, but to
    /// [`ShunApplier::obey`] or [`ShunApplier::learn`].
    ///
    /// # Errors
    /// [`ShunError`] if the list cannot be read or written, or the rules cannot be applied. A list that was written is
    /// applied at the next occasion.
    pub fn merge_and_apply(&self, question: &PeerRequest, deadline: Deadline) -> Result<PeerReport, ShunError> {
        self.take(question, deadline, |_| Ok(Belief { accepted: question.shun_list.clone(), ..Belief::default() }))
    }

    /// Carries out the orders of another node, as far as they count, and answers as [`ShunApplier::merge_and_apply`].
    ///
    /// # Errors
    /// [`ShunError::Disbelieved`] if nothing of the request counts; otherwise as [`ShunApplier::merge_and_apply`].
    pub fn obey(&self, question: &PeerRequest, by: Channel, deadline: Deadline) -> Result<PeerReport, ShunError> {
        let members = self.members();
        let is_master_ip = |address: &IpAddr| members.is_master_ip(*address);
        let gone_master_ip = question.gone_master_ip.filter(is_master_ip);
        let question = PeerRequest { gone_master_ip, ..question.clone() };
        self.take(&question, deadline, |own| members.believe(&question.from, by, &question.shun_list, own))
    }

    /// Merges the answers of other nodes, as far as they count, and applies the result. Returns one line for each
    /// statement that does not count, and for each node that is not shunned here as the list has it.
    ///
    /// # Errors
    /// [`ShunError`] as for [`ShunApplier::merge_and_apply`].
    pub fn merge_lists(
        &self,
        lists: &BTreeMap<NodeName, ShunList>,
        deadline: Deadline,
    ) -> Result<Vec<String>, ShunError> {
        let members = self.members();
        let mut lines = Vec::new();
        let report = self.take(&PeerRequest::requested_by(self.here.clone()), deadline, |own| {
            let mut all = Belief::default();
            // The list of a node that was shunned before has an entry of the node itself; only the others decide about
            // that.
            for (sender, list) in lists {
                match members.believe(sender, Channel::Answer, list, own) {
                    Ok(belief) => {
                        all.accepted.merge(&belief.accepted);
                        let foreign = belief.rejected.iter().filter(|(node, _)| **node != self.here);
                        lines.extend(
                            foreign.map(|(node, why)| format!("{sender}: its entry of {node} is rejected: {why}")),
                        );
                    }
                    Err(why) => lines.push(format!("{sender}: its shun list is rejected: {why}")),
                }
            }
            Ok(all)
        })?;
        lines.extend(report.not_applied.iter().map(|(node, why)| format!("{node}: not shunned on this host: {why}")));
        Ok(lines)
    }

    /// Answers as [`ShunApplier::merge_and_apply`] with the shun list of this host and what its kernel shuns now. Changes nothing,
    /// and takes nothing of the request.
    ///
    /// # Errors
    /// [`ShunError::ShunList`] if the list cannot be read; [`ShunError::Rules`] if the kernel's rules cannot be read.
    pub fn answer(&self, question: &PeerRequest, deadline: Deadline) -> Result<PeerReport, ShunError> {
        let shun_list = self.shun_list()?;
        let protected = Protected::new(self.config, &self.here, &self.ssconf);
        let in_part =
            |(node, entry): (&NodeName, &ShunEntry)| Some((node.clone(), protected.why_in_part(node, entry)?));
        let not_applied = shun_list.shunned().filter_map(in_part).collect();
        let is_until_boot = Store::new(&self.config.state).is_until_boot(FILE);
        let not_durable = is_until_boot.then(|| format!("{} does not have all of it", self.file().display()));
        let rules = self.applied_rules(deadline)?;
        Ok(PeerReport { not_durable, ..self.report(shun_list, &rules, not_applied, question) })
    }

    fn take(
        &self,
        question: &PeerRequest,
        deadline: Deadline,
        believe: impl FnOnce(&ShunList) -> Result<Belief, Disbelief>,
    ) -> Result<PeerReport, ShunError> {
        if question.version != VERSION {
            return Err(ShunError::Version(question.version));
        }
        let _lock = self.lock(deadline)?;
        let before = self.shun_list()?;
        let Belief { accepted, rejected } = believe(&before)?;
        let mut not_applied: BTreeMap<NodeName, String> =
            rejected.into_iter().map(|(node, error)| (node, error.to_string())).collect();
        let protected = Protected::new(self.config, &self.here, &self.ssconf);
        let mut shun_list = before.clone();
        for (node, entry) in &accepted.0 {
            match protected.objection(node, entry).filter(|_| entry.epoch.is_shunned()) {
                Some(why) => drop(not_applied.insert(node.clone(), why)),
                None => shun_list.merge(&ShunList(BTreeMap::from([(node.clone(), entry.clone())]))),
            }
        }
        for (node, why) in &not_applied {
            tracing::warn!(from = %question.from, %node, why, "an entry of the request is rejected");
        }
        for (node, entry) in &accepted.0 {
            let own = shun_list.epoch(node);
            if entry.epoch.is_shunned() && !own.is_shunned() {
                not_applied
                    .entry(node.clone())
                    .or_insert_with(|| format!("it is readmitted on this host, in epoch {own}"));
            }
        }
        for (node, entry) in shun_list.shunned() {
            if let Some(why) = protected.why_in_part(node, entry) {
                not_applied.entry(node.clone()).or_insert(why);
            }
        }
        let (applied, not_durable) = self.keep(&before, &shun_list, &protected, deadline)?;
        if let Some(address) = question.gone_master_ip
            && protected_master(address)
        {
            make_unreachable(&[address], UNREACHABLE_TIME);
        }
        Ok(PeerReport { not_durable, ..self.report(shun_list, applied.rules(), not_applied, question) })
    }

    /// Reads what Ganeti's files on this host hold of the cluster. Of a file that cannot be read nothing counts: then
    /// no node is a candidate.
    fn members(&self) -> ClusterMembers {
        let mut members: BTreeMap<NodeName, BTreeSet<IpAddr>> = self
            .ssconf
            .names("node_list")
            .unwrap_or_default()
            .into_iter()
            .map(|node| (node, BTreeSet::new()))
            .collect();
        for key in ["node_primary_ips", "node_secondary_ips"] {
            for (node, address) in self.ssconf.name_addresses(key).unwrap_or_default() {
                members.entry(node).or_default().insert(address);
            }
        }
        ClusterMembers {
            here: Some(self.here.clone()),
            members,
            candidates: self.ssconf.names("master_candidates").unwrap_or_default().into_iter().collect(),
            master_ip: self.ssconf.addresses("master_ip").unwrap_or_default().into_iter().next(),
        }
    }

    /// Brings the kernel's rules to the shun list: after a boot, after the firewall was reloaded, or at any check.
    /// Nodes that Ganeti has recorded offline meanwhile are added to the list.
    ///
    /// # Errors
    /// [`ShunError`] as for [`ShunApplier::merge_and_apply`].
    pub fn apply(&self, deadline: Deadline) -> Result<ApplyResult, ShunError> {
        let _lock = self.lock(deadline)?;
        let before = self.shun_list()?;
        let protected = Protected::new(self.config, &self.here, &self.ssconf);
        let shun_list = self.with_offline(before.clone(), &protected);
        self.keep(&before, &shun_list, &protected, deadline).map(|(applied, _)| applied)
    }

    /// Returns a function with the reason why one of an entry's addresses is not shunned any more; `None` if all are.
    pub fn left_out(&self) -> impl Fn(&NodeName, &ShunEntry) -> Option<String> {
        let protected = Protected::new(self.config, &self.here, &self.ssconf);
        move |node, entry| protected.why_in_part(node, entry)
    }

    /// Reads what the kernel shuns; changes nothing.
    ///
    /// # Errors
    /// [`ShunError::Rules`] if the rules cannot be read.
    pub fn applied_rules(&self, deadline: Deadline) -> Result<AppliedRules, ShunError> {
        Ok(shun_table::applied_rules(deadline)?)
    }

    /// Removes `nodes` from this host's shun list, and makes the rules again, so that no round takes them for the
    /// earlier ones. It is for a node that no other node can reach, because it shuns all that could send it a
    /// readmission.
    ///
    /// A master candidate removes nothing: the other nodes follow its list.
    ///
    /// # Errors
    /// [`ShunError::Candidate`] on a master candidate; [`ShunError::Lock`] or [`ShunError::ShunList`] if the list
    /// cannot be locked or read; [`ShunError::NotForgotten`] if the disk does not take it. Nothing was changed then.
    /// With [`ShunError::Rules`] the list is changed, and the rules may not be.
    pub fn forget(&self, nodes: &BTreeSet<NodeName>, deadline: Deadline) -> Result<(), ShunError> {
        // A list of candidates that cannot be read may hold this host.
        let is_candidate = self.ssconf.names("master_candidates").map_or(true, |names| names.contains(&self.here));
        if is_candidate {
            return Err(ShunError::Candidate);
        }
        let _lock = self.lock(deadline)?;
        let mut shun_list = self.shun_list()?;
        shun_list.0.retain(|node, _| !nodes.contains(node));
        let kept = Store::new(&self.config.state).write(FILE, &shun_list, deadline.left() / 2);
        let why = kept.map_or_else(|error| Some(error.to_string()), StoredAt::not_on_disk_reason);
        if let Some(why) = why {
            return Err(ShunError::NotForgotten { path: self.file(), why });
        }
        let protected = Protected::new(self.config, &self.here, &self.ssconf);
        let wanted = addresses_to_shun(&shun_list, |node, address| protected.why_left_out(node, address).is_none());
        shun_table::apply(&ShunnedAddresses::new(), &wanted, deadline)?;
        Ok(())
    }

    fn lock(&self, deadline: Deadline) -> Result<Lock, ShunError> {
        Ok(Lock::take(&self.config.run.join("shun.lock"), deadline)?)
    }

    /// Writes the list and applies it to the kernel; returns also why the list is not on the disk. A disk that takes
    /// nothing must not prevent the shunning: then the list is kept until the next boot.
    fn keep(
        &self,
        before: &ShunList,
        shun_list: &ShunList,
        protected: &Protected<'_>,
        deadline: Deadline,
    ) -> Result<(ApplyResult, Option<String>), ShunError> {
        let store = Store::new(&self.config.state);
        let mut not_durable = None;
        if shun_list != before || store.is_until_boot(FILE) {
            shun_list.check()?;
            // The other half of the time is for the kernel, and for the answer.
            let kept = store.write(FILE, shun_list, deadline.left() / 2);
            let why = kept.map_or_else(|error| Some(error.to_string()), StoredAt::not_on_disk_reason);
            not_durable = why.map(|why| format!("{}: {why}", self.file().display()));
            if let Some(why) = &not_durable {
                tracing::warn!(why, "the shun list is lost at the next boot");
            }
        }
        let is_target = |node: &NodeName, address: IpAddr| protected.why_left_out(node, address).is_none();
        let (before, wanted) = (addresses_to_shun(before, is_target), addresses_to_shun(shun_list, is_target));
        let applied = shun_table::apply(&before, &wanted, deadline)?;
        // An address whose rules were lost and are made again may have been connected in between.
        let is_anew = matches!(applied, ApplyResult::Done(_)) && before == wanted;
        let is_new = |address: &IpAddr, scope: &ShunScope| is_anew || before.get(address) < Some(scope);
        for (of, which) in [(ShunScope::All, ConnectionChoice::All), (ShunScope::Tcp, ConnectionChoice::Tcp)] {
            let new = wanted.iter().filter(|(address, scope)| **scope == of && is_new(address, scope));
            connections::end(which, &new.map(|(address, _)| *address).collect::<Vec<_>>(), deadline);
        }
        Ok((applied, not_durable))
    }

    /// Adds the nodes that Ganeti has recorded offline while this host was away, or before it had a shun list. A node
    /// that was readmitted since is not added: otherwise it could never be readded to Ganeti.
    fn with_offline(&self, mut shun_list: ShunList, protected: &Protected<'_>) -> ShunList {
        if !self.config.shun.after_off {
            return shun_list;
        }
        let mut addresses: BTreeMap<NodeName, Vec<_>> = BTreeMap::new();
        for key in ["node_primary_ips", "node_secondary_ips"] {
            for (name, address) in self.ssconf.name_addresses(key).unwrap_or_default() {
                addresses.entry(name).or_default().push(address);
            }
        }
        for node in self.ssconf.names("offline_nodes").unwrap_or_default() {
            if shun_list.0.contains_key(&node) {
                continue;
            }
            let entry = ShunEntry {
                epoch: Epoch::default().shunned(),
                addresses: addresses.remove(&node).unwrap_or_default().into_iter().collect(),
                // The node may run for a repair, in the cluster stack.
                scope: ShunScope::Tcp,
                grade: Grade::Unknown,
                boot_id: None,
                since_ms: now().wall_ms,
                by: "Ganeti's record that it is offline".to_owned(),
            };
            if protected.objection(&node, &entry).is_none() {
                shun_list.0.insert(node, entry);
            }
        }
        shun_list
    }

    fn report(
        &self,
        shun_list: ShunList,
        rules: &AppliedRules,
        not_applied: BTreeMap<NodeName, String>,
        question: &PeerRequest,
    ) -> PeerReport {
        // If the order for a node was not carried out as it was sent, one of its addresses may be open.
        let is_shunned = |(node, entry): &(&NodeName, &ShunEntry)| {
            !not_applied.contains_key(*node)
                && entry.addresses.iter().all(|address| rules.addresses.get(address) >= Some(&entry.scope))
        };
        let all: Vec<_> = shun_list.shunned().filter(is_shunned).collect();
        let shunned = all.iter().map(|(node, entry)| ((*node).clone(), entry.epoch)).collect();
        // The scope that the kernel applies at each of its addresses.
        let scope = |entry: &ShunEntry| {
            let read_back = entry.addresses.iter().map(|address| rules.addresses.get(address).copied());
            read_back.min().flatten().unwrap_or(ShunScope::Tcp)
        };
        let scopes = all.iter().map(|(node, entry)| ((*node).clone(), scope(entry))).collect();
        let peers = if question.about.is_empty() { BTreeMap::new() } else { peer_reports::peers(&self.config.state) };
        let reported = |node: &NodeName| Some((node.clone(), peer_reports::self_fence_report(peers.get(node)?)?));
        let denied = |node: &NodeName| Some((node.clone(), peer_reports::denial(peers.get(node)?)?));
        let boot_id = identity::incarnation();
        PeerReport {
            version: VERSION,
            node: self.here.clone(),
            // The kernel's handles begin again with each boot.
            ruleset_id: format!("{boot_id} {}", rules.ruleset_id.trim_end()),
            boot_id,
            uptime_ms: identity::uptime_ms(),
            shunned,
            scopes,
            not_applied,
            self_fence: peer_reports::own_self_fence(&self.config.run),
            self_fences: question.about.iter().filter_map(reported).collect(),
            denials: question.about.iter().filter_map(denied).collect(),
            serial: files::read_config_text(&self.data_dir).ok().and_then(|text| serial_of(&text)),
            instances: running_instances::instances(),
            receipts: BTreeMap::new(),
            drbd: BTreeMap::new(),
            program: None,
            not_durable: None,
            drbd_primaries: running_instances::drbd_primaries(),
            shun_list,
        }
    }
}

/// Returns whether `address` may be made unreachable: not if it is one of this host's own.
fn protected_master(address: IpAddr) -> bool {
    crate::sys::addresses::has(address, None).is_ok_and(|is_here| !is_here)
}
