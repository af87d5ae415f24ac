//! The nodes besides the target of a shunning: which they are, what is sent to them, and what they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::config::Config;
use crate::core::ganeti::network::{ClusterNetwork, NodeAddresses};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::shun::belief::is_near;
use crate::core::shun::last_state::Held;
use crate::core::shun::list::{Epoch, ShunEntry, ShunList, ShunScope};
use crate::core::shun::memory;
use crate::core::shun::messages::{PeerReport, PeerRequest};
use crate::core::shun::peer_state::{Answer, Facts, stand};
use crate::core::shun::verdict::{Missing, Peer, Round, look};
use crate::service::shun::applier::{self, ShunApplier};
use crate::service::shun::peer_reports;
use crate::sys::clock::{Deadline, now};
use crate::sys::identity;

use crate::sys::ganeti::network;
use crate::sys::ganeti::peer_channel::{Answers, PeerChannel};

/// The most attempts with a higher epoch, while other nodes have a later one.
const AHEAD: usize = 3;

/// What this host knows of the cluster, in order to shun one of its nodes.
pub struct ShunCoordinator<'a> {
    pub(super) config: &'a Config,
    pub(super) network: ClusterNetwork,
    data_dir: PathBuf,
    keeper: ShunApplier<'a>,
    channel: PeerChannel,
    target: NodeName,
    pub(super) member: NodeAddresses,
    /// No entry is sent, nothing is kept, and the kernel's rules stay as they are.
    pub(super) is_reading: bool,
}

/// The result of one round.
pub struct RoundResult {
    /// The answer of each node.
    pub answers: Answers,
    /// The epoch that the round checked.
    pub epoch: Epoch,
    /// The round, if every node shuns the target; otherwise the nodes that do not, each with the reason.
    pub look: Result<Round, Vec<Missing>>,
    /// What is known of the target's self-fencing, at the end of the round.
    pub self_fence: Held,
    /// Ganeti's configuration with which the round was evaluated.
    pub network: ClusterNetwork,
}

impl RoundResult {
    /// Checks that what this host remembers of a shunned node still holds by these answers.
    ///
    /// # Errors
    /// The reason why it may not hold.
    pub fn still_holds(&self, node: &NodeName, epoch: Epoch) -> Result<(), String> {
        memory::still_holds(epoch, &answered(&self.network, &self.answers, node), &electorate(&self.network, node))
            .map_err(|error| error.to_string())
    }

    /// Checks that so many candidates have `node` in `epoch`, or in a later one, that no older memory prevails. A
    /// candidate that loses the entry at its next boot does not count: the older entry on its disk would hold then.
    ///
    /// # Errors
    /// The number of candidates that have it, if there are too few.
    pub fn is_known_to_enough(&self, node: &NodeName, epoch: Epoch) -> Result<(), String> {
        let is_durable =
            |answer: &Result<PeerReport, String>| answer.as_ref().is_ok_and(|report| report.not_durable.is_none());
        let durable = self.answers.iter().filter(|(_, answer)| is_durable(answer));
        let durable = durable.map(|(name, answer)| (name.clone(), answer.clone())).collect();
        let told = answered(&self.network, &durable, node)
            .into_iter()
            .filter(|(_, theirs)| *theirs >= epoch)
            .map(|(from, _)| from)
            .collect();
        memory::is_known_to_enough(&told, &electorate(&self.network, node)).map_err(|error| error.to_string())
    }
}

/// Returns the epoch that each answering node has for `node`.
fn answered(network: &ClusterNetwork, answers: &Answers, node: &NodeName) -> Vec<(IpAddr, Epoch)> {
    let one = |(name, answer): (&NodeName, &Result<PeerReport, String>)| {
        Some((network.members.get(name)?.primary, answer.as_ref().ok()?.register.epoch(node)))
    };
    answers.iter().filter_map(one).collect()
}

/// Returns the candidates besides `node` itself: the nodes that remember whether it is shunned.
fn electorate(network: &ClusterNetwork, node: &NodeName) -> BTreeSet<IpAddr> {
    let mut candidates = network.candidates();
    network.members.get(node).map(|member| candidates.remove(&member.primary));
    candidates
}

impl RoundResult {
    /// Returns the nodes that shun the target only until their next boot, because their disk could not be written; as
    /// text for a receipt, empty if there are none.
    #[must_use]
    pub fn until_boot(&self) -> String {
        let weak = |(node, answer): (&NodeName, &Result<PeerReport, String>)| {
            Some(format!("{node} ({})", answer.as_ref().ok()?.not_durable.as_ref()?))
        };
        let weak: Vec<String> = self.answers.iter().filter_map(weak).collect();
        if weak.is_empty() { String::new() } else { format!("; until its next boot only: {}", weak.join(", ")) }
    }
}

impl<'a> ShunCoordinator<'a> {
    /// Returns all nodes besides `target`, by this host's copy of Ganeti's configuration.
    ///
    /// # Errors
    /// The reason why this host cannot shun the target.
    pub fn of(target: &NodeName, config: &'a Config, data_dir: &Path) -> Result<Self, String> {
        let network = network::read(data_dir)?;
        let target = network.find(target).map_err(|error| error.to_string())?.clone();
        let member = network.members.get(&target).cloned().ok_or("it has no address in Ganeti")?;
        Self::with(target, member, network, config, data_dir)
    }

    /// The same for a node that Ganeti does not have any more and this host still shuns: by the addresses in the shun
    /// list.
    ///
    /// # Errors
    /// If the shun list does not have the node or an address of it, or Ganeti's configuration cannot be read.
    pub fn of_removed(target: &NodeName, config: &'a Config, data_dir: &Path) -> Result<Self, String> {
        let register = applier::register(&config.state).map_err(|error| error.to_string())?;
        let found = crate::core::node::find(target, register.0.keys()).map_err(|error| error.to_string())?;
        let addresses = register.0.get(found).map(|entry| entry.addresses.clone()).unwrap_or_default();
        let primary = addresses.first().copied().ok_or("no address of it is remembered")?;
        let member = NodeAddresses { primary, addresses, offline: true, candidate: false };
        Self::with(found.clone(), member, network::read(data_dir)?, config, data_dir)
    }

    fn with(
        target: NodeName,
        member: NodeAddresses,
        network: ClusterNetwork,
        config: &'a Config,
        data_dir: &Path,
    ) -> Result<Self, String> {
        let keeper = ShunApplier::new(config, data_dir)?;
        if *keeper.here() == target {
            return Err("this is the node itself: it is shunned by the others".to_owned());
        }
        let channel = PeerChannel::new(config, &network, data_dir);
        Ok(Self { config, network, data_dir: data_dir.to_owned(), keeper, channel, target, member, is_reading: false })
    }

    /// Returns the same for a caller that only reads: [`ShunCoordinator::look`] asks and sends no entry, [`ShunCoordinator::judge`]
    /// keeps nothing.
    #[must_use]
    pub fn only_reading(self) -> Self {
        Self { is_reading: true, ..self }
    }

    /// The target's name in Ganeti.
    #[must_use]
    pub const fn target(&self) -> &NodeName {
        &self.target
    }

    /// This host's name in Ganeti.
    #[must_use]
    pub const fn here(&self) -> &NodeName {
        self.keeper.here()
    }

    /// The target's primary address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.member.primary
    }

    /// The channel to the target and to the other nodes.
    #[must_use]
    pub const fn channel(&self) -> &PeerChannel {
        &self.channel
    }

    /// Returns this host's shun list entry of the target.
    ///
    /// # Errors
    /// If the shun list cannot be read.
    pub fn entry(&self) -> Result<Option<ShunEntry>, String> {
        Ok(self.register()?.0.get(&self.target).cloned())
    }

    /// Returns this host's shun list.
    ///
    /// # Errors
    /// If the shun list cannot be read.
    pub fn register(&self) -> Result<ShunList, String> {
        self.keeper.register().map_err(|error| error.to_string())
    }

    /// Returns all nodes but the target, this host and those that are recorded offline, with their addresses. A
    /// readmitted node runs again, also while it is still recorded offline.
    pub(super) fn others(&self, network: &ClusterNetwork) -> BTreeMap<NodeName, IpAddr> {
        let register = self.register().unwrap_or_default();
        let members = network.members.iter();
        let is_other = |(name, member): &(&NodeName, &NodeAddresses)| {
            **name != self.target && *name != self.keeper.here() && (!member.offline || is_readmitted(&register, name))
        };
        members.filter(is_other).map(|(name, member)| (name.clone(), member.primary)).collect()
    }

    /// Has this host, and then every other node, shun the target. Returns the answers.
    ///
    /// # Errors
    /// The reason why this host itself does not shun the target.
    pub fn shun(&self, grade: Grade, reach: ShunScope, by: &str, deadline: Deadline) -> Result<RoundResult, String> {
        let before = self.entry()?;
        let mut epoch = match &before {
            Some(entry) => next(entry, reach)?,
            None => Epoch::default().shunned(),
        };
        let mut attempt = 0;
        loop {
            let told = peer_reports::peers(&self.config.state);
            let is_new = before.as_ref().is_none_or(|entry| entry.epoch != epoch);
            let entry = ShunEntry {
                epoch,
                addresses: self.member.addresses.clone(),
                reach,
                grade,
                boot_id: told.get(&self.target).map(|told| told.report.boot_id.clone()),
                since_ms: if is_new { now().wall_ms } else { before.as_ref().map_or(0, |entry| entry.since_ms) },
                by: before.as_ref().filter(|_| !is_new).map_or_else(|| by.to_owned(), |entry| entry.by.clone()),
            };
            let seen = self.tell(entry, deadline)?;
            // Another node readmitted the target meanwhile, or knew of a readmission that this host had missed. The
            // channel removes the list from a regular node's answer, so such a node moves no epoch.
            let ahead = seen.answers.values().flatten().map(|report| report.register.epoch(&self.target));
            let ahead = ahead.filter(|stated| is_near(*stated, Some(epoch)).is_ok()).max();
            // A node has the same epoch with a narrower scope, by the proof of an earlier boot. That would stay so.
            let is_less = seen.answers.values().flatten().any(|report| {
                report.register.0.get(&self.target).is_some_and(|entry| entry.epoch == epoch && entry.reach < reach)
            });
            attempt += 1;
            match ahead {
                Some(ahead) if ahead > epoch && attempt < AHEAD => epoch = ahead.shunned(),
                _ if is_less && attempt < AHEAD => epoch = epoch.anew().map_err(|error| error.to_string())?,
                _ => return Ok(seen),
            }
        }
    }

    /// Applies an entry on this host first, and then sends it to all other nodes.
    ///
    /// # Errors
    /// The reason why this host itself does not apply it.
    pub fn tell(&self, entry: ShunEntry, deadline: Deadline) -> Result<RoundResult, String> {
        let gone = self.network.master.as_ref() == Some(&self.target)
            && entry.grade >= Grade::Bounded
            && entry.epoch.is_shunned();
        let epoch = entry.epoch;
        let question = PeerRequest {
            register: ShunList(BTreeMap::from([(self.target.clone(), entry)])),
            about: vec![self.target.clone()],
            gone_master_ip: self.network.master_ip.filter(|_| gone),
            ..PeerRequest::requested_by(self.keeper.here().clone())
        };
        self.ask(&question, epoch, deadline)
    }

    /// Runs another round. The nodes get this host's entry again, in case one of them has lost it; a caller that only
    /// reads sends no entry.
    ///
    /// # Errors
    /// The reason why this host itself does not answer.
    pub fn look(&self, deadline: Deadline) -> Result<RoundResult, String> {
        let entry = self.entry()?.ok_or("it is not shunned")?;
        if !self.is_reading {
            return self.tell(entry, deadline);
        }
        let question =
            PeerRequest { about: vec![self.target.clone()], ..PeerRequest::requested_by(self.keeper.here().clone()) };
        self.ask(&question, entry.epoch, deadline)
    }

    fn ask(&self, question: &PeerRequest, epoch: Epoch, deadline: Deadline) -> Result<RoundResult, String> {
        // The candidates and the instances' nodes may have changed since the last round.
        let mut network = self.current();
        let asked = Duration::from_millis(now().boottime_ms);
        let own = match self.is_reading {
            true => self.keeper.look(question, deadline),
            false => self.keeper.tell(question, deadline),
        };
        let own = own.map_err(|error| error.to_string())?;
        // If the target was readmitted here meanwhile, the caller that sees the epoch shuns it again.
        let is_ahead = own.register.epoch(&self.target) > epoch;
        if let Some(why) = own.not_applied.get(&self.target).filter(|_| !is_ahead) {
            return Err(format!("this host must not refuse it: {why}"));
        }
        let reach = own.register.0.get(&self.target).map_or(ShunScope::All, |entry| entry.reach);
        let mut answers = self.channel.ask(&self.others(&network), question, deadline);
        answers.insert(self.keeper.here().clone(), Ok(own));
        let at = Duration::from_millis(now().boottime_ms);
        let newest = newest_serial(&network, &answers);
        if newest > network.serial {
            network = self.current();
        }
        let mut look =
            look(&self.target, (epoch, reach), &self.peers(&network, &answers), asked, at, &identity::incarnation());
        if newest > network.serial {
            let (theirs, ours) = (newest.unwrap_or_default(), network.serial.unwrap_or_default());
            let why = format!("has configuration {ours} of Ganeti, and another candidate has {theirs}");
            let missing = Missing { node: self.keeper.here().clone(), why };
            look = Err(look.err().into_iter().flatten().chain([missing]).collect());
        }
        let took = u64::try_from((at - asked).as_millis()).unwrap_or(u64::MAX);
        let self_fence = self.held(&answers, took);
        Ok(RoundResult { answers, epoch, look, self_fence, network })
    }

    /// Returns Ganeti's configuration as it is on this host now; if it cannot be read, the earlier one.
    fn current(&self) -> ClusterNetwork {
        network::read(&self.data_dir).unwrap_or_else(|_| self.network.clone())
    }

    /// Returns the state of every other node towards the target, by the answers.
    fn peers(&self, network: &ClusterNetwork, answers: &Answers) -> Vec<Peer> {
        let refused_by = |node: &NodeName| -> BTreeSet<NodeName> {
            let refuse = |(from, answer): (&NodeName, &Result<PeerReport, String>)| {
                answer.as_ref().is_ok_and(|report| report.refuses.contains_key(node)).then(|| from.clone())
            };
            answers.iter().filter_map(refuse).collect()
        };
        let register = self.keeper.register().unwrap_or_default();
        let members = network.members.iter().filter(|(name, _)| **name != self.target);
        let peer = |(name, member): (&NodeName, &NodeAddresses)| Peer {
            node: name.clone(),
            address: member.primary,
            stand: stand(&self.facts(network, (name, member), answers, &register)),
            refused_by: refused_by(name),
        };
        members.map(peer).collect()
    }

    fn facts<'b>(
        &self,
        network: &ClusterNetwork,
        (name, member): (&NodeName, &NodeAddresses),
        answers: &'b Answers,
        register: &'b ShunList,
    ) -> Facts<'b> {
        let answer = match answers.get(name) {
            Some(Ok(report)) => Ok(Answer {
                refuses: report.refuses.get(&self.target).copied(),
                reach: report.scopes.get(&self.target).copied().unwrap_or(ShunScope::Tcp),
                ruleset_id: &report.ruleset_id,
                why_not: report.not_applied.get(&self.target).map_or("it is readmitted there", String::as_str),
            }),
            Some(Err(why)) => Err(why.as_str()),
            None => Err("was not asked"),
        };
        // The entry may be of an earlier boot, which was readmitted since.
        let holds = |entry: &&ShunEntry| {
            let answered = answered(network, answers, name);
            memory::still_holds(entry.epoch, &answered, &electorate(network, name)).is_ok()
        };
        let shunned = register.0.get(name).filter(|entry| entry.epoch.is_shunned());
        Facts {
            answer,
            proven: shunned.filter(holds).map(|entry| (entry.grade, entry.by.as_str())),
            recorded_offline: member.offline && !is_readmitted(register, name),
            serves: network.serves(&self.target, name),
        }
    }

    /// Returns all that any node has of the target's self-fencing, after a round that took `took` ms. Statements from
    /// its beginning are older by that time at its end.
    fn held(&self, answers: &Answers, took: u64) -> Held {
        let told = peer_reports::peers(&self.config.state);
        let own = told.get(&self.target);
        let reports = || answers.values().flatten();
        let mut held = Held {
            reports: reports().filter_map(|report| report.self_fences.get(&self.target).cloned()).collect(),
            denials: reports().filter_map(|report| report.denials.get(&self.target).cloned()).collect(),
        }
        .later(took);
        held.reports.extend(own.and_then(peer_reports::attestation));
        held.denials.extend(own.and_then(peer_reports::denial));
        held
    }
}

/// Returns the greatest serial number of Ganeti's configuration that a master candidate has.
fn newest_serial(network: &ClusterNetwork, answers: &Answers) -> Option<u64> {
    let is_candidate = |node: &NodeName| network.members.get(node).is_some_and(|member| member.candidate);
    let of = |(node, answer): (&NodeName, &Result<PeerReport, String>)| {
        answer.as_ref().ok().filter(|_| is_candidate(node))?.serial
    };
    answers.iter().filter_map(of).max()
}

/// Whether a node was shunned, and is not any more.
pub(super) fn is_readmitted(register: &ShunList, node: &NodeName) -> bool {
    let epoch = register.epoch(node);
    epoch > Epoch::default() && !epoch.is_shunned()
}

/// Returns the epoch in which a node is shunned with this scope. A proof of an earlier boot proves nothing of a later
/// boot in the cluster stack, and it outweighs all other statements in the same epoch. So such a node gets a new epoch.
fn next(before: &ShunEntry, reach: ShunScope) -> Result<Epoch, String> {
    let stale = before.epoch.is_shunned() && before.reach == ShunScope::Tcp && reach == ShunScope::All;
    if stale { before.epoch.anew().map_err(|error| error.to_string()) } else { Ok(before.epoch.shunned()) }
}

/// Whether this host can shun at all: it has Ganeti's configuration and a candidate's certificate.
#[must_use]
pub fn can_shun(data_dir: &Path) -> bool {
    data_dir.join("config.data").is_file() && data_dir.join("client.pem").is_file()
}

/// Returns this host's shun list entry of a node. Does not need Ganeti's files.
///
/// # Errors
/// If the shun list cannot be read.
pub fn remembered(config: &Config, node: &NodeName) -> Result<Option<ShunEntry>, String> {
    let register = applier::register(&config.state).map_err(|error| error.to_string())?;
    let found = crate::core::node::find(node, register.0.keys()).ok().cloned();
    Ok(found.and_then(|name| register.0.get(&name).cloned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shun::messages::VERSION;
    use crate::sys::config_file;
    use serde_json::json;

    /// Returns a directory with Ganeti's configuration of `n1` to `n4`, all candidates, and a shun list.
    fn place(list: &serde_json::Value) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let node = |n: u8| {
            json!({"name": format!("n{n}.lab"), "primary_ip": format!("192.0.2.{n}"), "master_candidate": true,
                                "offline": false})
        };
        let nodes = json!({"u1": node(1), "u2": node(2), "u3": node(3), "u4": node(4)});
        let ganeti = json!({"cluster": {"cluster_name": "c.lab", "master_node": "u1"}, "nodes": nodes, "disks": {}});
        std::fs::write(dir.path().join("config.data"), ganeti.to_string()).unwrap();
        std::fs::write(dir.path().join("shun-list.json"), list.to_string()).unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, format!("state_directory = \"{}\"\n", dir.path().display())).unwrap();
        let config = config_file::load(&path).unwrap();
        (dir, config)
    }

    fn shunned(epoch: u64) -> serde_json::Value {
        json!({"n4.lab": {"epoch": epoch, "addresses": ["192.0.2.4"], "reach": "all", "grade": "unknown",
                          "boot_id": null, "since_ms": 1, "by": "the test"}})
    }

    /// A candidate whose disk could not store the readmission loses it with its next boot, and takes the running boot
    /// for the one that has stopped.
    #[test]
    fn a_readmission_that_is_in_memory_only_is_not_known() {
        let (dir, _config) = place(&json!({}));
        let node = NodeName::new("n4.lab").unwrap();
        let is_known = |not_durable: Option<&str>| {
            let report = |name: &str, not_durable: Option<&str>| -> (NodeName, Result<PeerReport, String>) {
                let report = json!({"version": VERSION, "node": name, "boot_id": "b", "register": shunned(2), "refuses": {},
                                    "ruleset_id": "", "not_durable": not_durable});
                (NodeName::new(name).unwrap(), Ok(serde_json::from_value(report).unwrap()))
            };
            let answers = BTreeMap::from([report("n1.lab", None), report("n2.lab", not_durable)]);
            let network = network::read(dir.path()).unwrap();
            let (epoch, look, self_fence) = (Epoch(2), Err(Vec::new()), Held::default());
            RoundResult { answers, epoch, look, self_fence, network }.is_known_to_enough(&node, epoch)
        };
        assert_eq!(is_known(None), Ok(()));
        assert!(is_known(Some("no space left")).unwrap_err().contains("1 of 3 master candidates"));
    }

    /// A proof in one epoch proves nothing of the boot that is shunned in a later one.
    #[test]
    fn a_proof_is_kept_for_the_epoch_that_was_looked_at() {
        let (dir, config) = place(&shunned(3));
        let coordinator = ShunCoordinator::of(&NodeName::new("n4.lab").unwrap(), &config, dir.path()).unwrap();
        let kept = coordinator.keep_bounded(Epoch(1), Deadline::after(Duration::from_secs(1)));
        assert!(kept.unwrap_err().contains("epoch 3 now"));
    }

    /// When a node was removed from Ganeti while it was shunned, its address stayed shunned: new hardware of its name
    /// could not be added.
    #[test]
    fn one_that_ganeti_has_no_more_is_known_by_what_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let node = json!({"name": "n1.lab", "primary_ip": "192.0.2.1", "master_candidate": true, "offline": false});
        let ganeti =
            json!({"cluster": {"cluster_name": "c.lab", "master_node": "u1"}, "nodes": {"u1": node}, "disks": {}});
        std::fs::write(dir.join("config.data"), ganeti.to_string()).unwrap();
        let entry = json!({"epoch": 1, "addresses": ["192.0.2.3", "198.51.100.3"], "reach": "tcp", "grade": "off",
                           "boot_id": null, "since_ms": 1, "by": "the test"});
        std::fs::write(dir.join("shun-list.json"), json!({"n3.lab": entry}).to_string()).unwrap();
        let path = dir.join("config.toml");
        std::fs::write(&path, format!("state_directory = \"{}\"\n", dir.display())).unwrap();
        let config = config_file::load(&path).unwrap();
        let gone = NodeName::new("n3").unwrap();
        assert!(ShunCoordinator::of(&gone, &config, dir).is_err());
        let coordinator = ShunCoordinator::of_removed(&gone, &config, dir).unwrap();
        assert_eq!(
            (coordinator.target().as_str(), coordinator.address().to_string()),
            ("n3.lab", "192.0.2.3".to_owned())
        );
        assert!(
            ShunCoordinator::of_removed(&NodeName::new("n9").unwrap(), &config, dir).is_err(),
            "nobody remembers it"
        );
    }
}
