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
use crate::core::shun::evaluation::{MissingConfirmation, Peer, evaluate_round};
use crate::core::shun::last_state::KeptReports;
use crate::core::shun::list::{Epoch, EpochError, ShunEntry, ShunList, ShunScope};
use crate::core::shun::memory;
use crate::core::shun::messages::{PeerReport, PeerRequest};
use crate::core::shun::peer_state::{Answer, PeerFacts, peer_state};
use crate::service::shun::applier::{self, ShunApplier};
use crate::service::shun::error::ShunError;
use crate::service::shun::order_error::OrderError;
use crate::service::shun::peer_reports;
use crate::service::shun::round_result::{RoundResult, answered, electorate, newest_serial};
use crate::sys::clock::{Deadline, now};
use crate::sys::identity;

use crate::sys::ganeti::network;
use crate::sys::ganeti::peer_channel::{PeerAnswers, PeerChannel, PeerError};

/// The most attempts with a higher epoch, while other nodes have a later one.
const EPOCH_ATTEMPTS: usize = 3;

/// The cluster as this host has it, in order to shun one of its nodes.
pub struct ShunCoordinator<'a> {
    pub(super) config: &'a Config,
    pub(super) network: ClusterNetwork,
    data_dir: PathBuf,
    applier: ShunApplier<'a>,
    channel: PeerChannel,
    target: NodeName,
    pub(super) member: NodeAddresses,
    /// No entry is sent, nothing is kept, and the kernel's rules stay as they are.
    pub(super) is_reading: bool,
}

impl<'a> ShunCoordinator<'a> {
    /// Returns all nodes besides `target`, by this host's copy of Ganeti's configuration.
    ///
    /// # Errors
    /// [`OrderError`] if this host cannot shun the target.
    pub fn of(target: &NodeName, config: &'a Config, data_dir: &Path) -> Result<Self, OrderError> {
        let network = network::read(data_dir)?;
        let target = network.find(target)?.clone();
        let member = network.members.get(&target).cloned().ok_or(OrderError::NoAddress)?;
        Self::with(target, member, network, config, data_dir)
    }

    /// The same for a node that Ganeti does not have any more and this host still shuns: by the addresses in the shun
    /// list.
    ///
    /// # Errors
    /// [`OrderError`] if the shun list does not have the node or an address of it, or Ganeti's configuration cannot be
    /// read.
    pub fn of_removed(target: &NodeName, config: &'a Config, data_dir: &Path) -> Result<Self, OrderError> {
        let shun_list = applier::shun_list(&config.state)?;
        let found = crate::core::node::find(target, shun_list.0.keys())?;
        let addresses = shun_list.0.get(found).map(|entry| entry.addresses.clone()).unwrap_or_default();
        let primary = addresses.first().copied().ok_or(OrderError::NoListedAddress)?;
        let member = NodeAddresses { primary, addresses, offline: true, candidate: false };
        Self::with(found.clone(), member, network::read(data_dir)?, config, data_dir)
    }

    fn with(
        target: NodeName,
        member: NodeAddresses,
        network: ClusterNetwork,
        config: &'a Config,
        data_dir: &Path,
    ) -> Result<Self, OrderError> {
        let applier = ShunApplier::new(config, data_dir)?;
        if *applier.own_node() == target {
            return Err(OrderError::Itself);
        }
        let channel = PeerChannel::new(config, &network, data_dir);
        Ok(Self { config, network, data_dir: data_dir.to_owned(), applier, channel, target, member, is_reading: false })
    }

    /// Returns the same for a caller that only reads: [`ShunCoordinator::round`] asks and sends no entry, [`ShunCoordinator::judge`]
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
    pub const fn own_node(&self) -> &NodeName {
        self.applier.own_node()
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
    /// [`ShunError`] if the shun list cannot be read.
    pub fn entry(&self) -> Result<Option<ShunEntry>, ShunError> {
        Ok(self.shun_list()?.0.get(&self.target).cloned())
    }

    /// Returns this host's shun list.
    ///
    /// # Errors
    /// [`ShunError`] if the shun list cannot be read.
    pub fn shun_list(&self) -> Result<ShunList, ShunError> {
        self.applier.shun_list()
    }

    /// Returns all nodes but the target, this host and those that are recorded offline, with their addresses. A
    /// readmitted node runs again, also while it is still recorded offline.
    pub(super) fn other_nodes(&self, network: &ClusterNetwork) -> BTreeMap<NodeName, IpAddr> {
        let shun_list = self.shun_list().unwrap_or_default();
        let members = network.members.iter();
        let is_other = |(name, member): &(&NodeName, &NodeAddresses)| {
            **name != self.target
                && *name != self.applier.own_node()
                && (!member.offline || is_readmitted(&shun_list, name))
        };
        members.filter(is_other).map(|(name, member)| (name.clone(), member.primary)).collect()
    }

    /// Has this host, and then every other node, shun the target. Returns the answers.
    ///
    /// # Errors
    /// [`OrderError`] if this host itself does not shun the target.
    pub fn shun(
        &self,
        grade: Grade,
        scope: ShunScope,
        by: &str,
        deadline: Deadline,
    ) -> Result<RoundResult, OrderError> {
        let before = self.entry()?;
        let mut epoch = match &before {
            Some(entry) => next(entry, scope)?,
            None => Epoch::default().shunned(),
        };
        let mut attempt = 0;
        loop {
            let stored = peer_reports::peers(&self.config.state);
            let is_new = before.as_ref().is_none_or(|entry| entry.epoch != epoch);
            let entry = ShunEntry {
                epoch,
                addresses: self.member.addresses.clone(),
                scope,
                grade,
                boot_id: stored.get(&self.target).map(|stored| stored.report.boot_id.clone()),
                since_ms: if is_new { now().wall_ms } else { before.as_ref().map_or(0, |entry| entry.since_ms) },
                by: before.as_ref().filter(|_| !is_new).map_or_else(|| by.to_owned(), |entry| entry.by.clone()),
            };
            let seen = self.send(entry, deadline)?;
            // Another node readmitted the target meanwhile, or knew of a readmission that this host had missed. The
            // channel removes the list from a regular node's answer, so such a node moves no epoch.
            let ahead = seen.answers.values().flatten().map(|report| report.shun_list.epoch(&self.target));
            let ahead = ahead.filter(|stated| is_near(*stated, Some(epoch)).is_ok()).max();
            // A node has the same epoch with a narrower scope, by the proof of an earlier boot. That would stay so.
            let is_less = seen.answers.values().flatten().any(|report| {
                report.shun_list.0.get(&self.target).is_some_and(|entry| entry.epoch == epoch && entry.scope < scope)
            });
            attempt += 1;
            match ahead {
                Some(ahead) if ahead > epoch && attempt < EPOCH_ATTEMPTS => epoch = ahead.shunned(),
                _ if is_less && attempt < EPOCH_ATTEMPTS => epoch = epoch.anew()?,
                _ => return Ok(seen),
            }
        }
    }

    /// Applies an entry on this host first, and then sends it to all other nodes.
    ///
    /// # Errors
    /// [`OrderError`] if this host itself does not apply it.
    pub fn send(&self, entry: ShunEntry, deadline: Deadline) -> Result<RoundResult, OrderError> {
        let gone = self.network.master.as_ref() == Some(&self.target)
            && entry.grade >= Grade::Bounded
            && entry.epoch.is_shunned();
        let epoch = entry.epoch;
        let question = PeerRequest {
            shun_list: ShunList(BTreeMap::from([(self.target.clone(), entry)])),
            about: vec![self.target.clone()],
            gone_master_ip: self.network.master_ip.filter(|_| gone),
            ..PeerRequest::requested_by(self.applier.own_node().clone())
        };
        self.ask(&question, epoch, deadline)
    }

    /// Runs another round. The nodes get this host's entry again, in case one of them has lost it; a caller that only
    /// reads sends no entry.
    ///
    /// # Errors
    /// [`OrderError`] if this host itself does not answer.
    pub fn round(&self, deadline: Deadline) -> Result<RoundResult, OrderError> {
        let entry = self.entry()?.ok_or(OrderError::NotShunned)?;
        if !self.is_reading {
            return self.send(entry, deadline);
        }
        let question = PeerRequest {
            about: vec![self.target.clone()],
            ..PeerRequest::requested_by(self.applier.own_node().clone())
        };
        self.ask(&question, entry.epoch, deadline)
    }

    fn ask(&self, question: &PeerRequest, epoch: Epoch, deadline: Deadline) -> Result<RoundResult, OrderError> {
        // The candidates and the instances' nodes may have changed since the last round.
        let mut network = self.current();
        let asked = Duration::from_millis(now().boottime_ms);
        let own = match self.is_reading {
            true => self.applier.answer(question, deadline),
            false => self.applier.merge_and_apply(question, deadline),
        };
        let own = own?;
        // If the target was readmitted here meanwhile, the caller that sees the epoch shuns it again.
        let is_ahead = own.shun_list.epoch(&self.target) > epoch;
        if let Some(why) = own.not_applied.get(&self.target).filter(|_| !is_ahead) {
            return Err(OrderError::Protected(why.clone()));
        }
        let scope = own.shun_list.0.get(&self.target).map_or(ShunScope::All, |entry| entry.scope);
        let mut answers = self.channel.ask(&self.other_nodes(&network), question, deadline);
        answers.insert(self.applier.own_node().clone(), Ok(own));
        let at = Duration::from_millis(now().boottime_ms);
        let newest = newest_serial(&network, &answers);
        if newest > network.serial {
            network = self.current();
        }
        let mut round = evaluate_round(
            &self.target,
            (epoch, scope),
            &self.peers(&network, &answers),
            asked,
            at,
            &identity::incarnation(),
        );
        if newest > network.serial {
            let (theirs, ours) = (newest.unwrap_or_default(), network.serial.unwrap_or_default());
            let why = format!("has configuration {ours} of Ganeti, and another candidate has {theirs}");
            let missing = MissingConfirmation { node: self.applier.own_node().clone(), why };
            round = Err(round.err().into_iter().flatten().chain([missing]).collect());
        }
        let took = u64::try_from((at - asked).as_millis()).unwrap_or(u64::MAX);
        let self_fence = self.kept_reports(&answers, took);
        Ok(RoundResult { answers, epoch, round, self_fence, network })
    }

    /// Returns Ganeti's configuration as it is on this host now; if it cannot be read, the earlier one.
    fn current(&self) -> ClusterNetwork {
        network::read(&self.data_dir).unwrap_or_else(|_| self.network.clone())
    }

    /// Returns the state of every other node towards the target, by the answers.
    fn peers(&self, network: &ClusterNetwork, answers: &PeerAnswers) -> Vec<Peer> {
        let shunned_by = |node: &NodeName| -> BTreeSet<NodeName> {
            let shuns = |(from, answer): (&NodeName, &Result<PeerReport, PeerError>)| {
                answer.as_ref().is_ok_and(|report| report.shunned.contains_key(node)).then(|| from.clone())
            };
            answers.iter().filter_map(shuns).collect()
        };
        let shun_list = self.applier.shun_list().unwrap_or_default();
        let members = network.members.iter().filter(|(name, _)| **name != self.target);
        let peer = |(name, member): (&NodeName, &NodeAddresses)| {
            let answer = answers.get(name).unwrap_or(&Err(PeerError::NotAsked));
            let error = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
            let answer = answer.as_ref().map_err(|_| error.as_str());
            Peer {
                node: name.clone(),
                address: member.primary,
                state: peer_state(&self.facts(network, (name, member), answer, answers, &shun_list)),
                shunned_by: shunned_by(name),
            }
        };
        members.map(peer).collect()
    }

    fn facts<'b>(
        &self,
        network: &ClusterNetwork,
        (name, member): (&NodeName, &NodeAddresses),
        answer: Result<&'b PeerReport, &'b str>,
        answers: &PeerAnswers,
        shun_list: &'b ShunList,
    ) -> PeerFacts<'b> {
        let answer = answer.map(|report| Answer {
            shuns: report.shunned.get(&self.target).copied(),
            scope: report.scopes.get(&self.target).copied().unwrap_or(ShunScope::Tcp),
            ruleset_id: &report.ruleset_id,
            objection: report.not_applied.get(&self.target).map_or("it is readmitted there", String::as_str),
        });
        // The entry may be of an earlier boot, which was readmitted since.
        let holds = |entry: &&ShunEntry| {
            let answered = answered(network, answers, name);
            memory::still_holds(entry.epoch, &answered, &electorate(network, name)).is_ok()
        };
        let shunned = shun_list.0.get(name).filter(|entry| entry.epoch.is_shunned());
        PeerFacts {
            answer,
            proven: shunned.filter(holds).map(|entry| (entry.grade, entry.by.as_str())),
            recorded_offline: member.offline && !is_readmitted(shun_list, name),
            serves: network.serves(&self.target, name),
        }
    }

    /// Returns all that any node has of the target's self-fencing, after a round that took `took` ms. Statements from
    /// its beginning are older by that time at its end.
    fn kept_reports(&self, answers: &PeerAnswers, took: u64) -> KeptReports {
        let stored = peer_reports::peers(&self.config.state);
        let own = stored.get(&self.target);
        let reports = || answers.values().flatten();
        let mut kept = KeptReports {
            reports: reports().filter_map(|report| report.self_fences.get(&self.target).cloned()).collect(),
            denials: reports().filter_map(|report| report.denials.get(&self.target).cloned()).collect(),
        }
        .later(took);
        kept.reports.extend(own.and_then(peer_reports::self_fence_report));
        kept.denials.extend(own.and_then(peer_reports::denial));
        kept
    }
}

/// Whether a node was shunned, and is not any more.
pub(super) fn is_readmitted(shun_list: &ShunList, node: &NodeName) -> bool {
    let epoch = shun_list.epoch(node);
    epoch > Epoch::default() && !epoch.is_shunned()
}

/// Returns the epoch in which a node is shunned with this scope. A proof of an earlier boot proves nothing of a later
/// boot in the cluster stack, and it outweighs all other statements in the same epoch. So such a node gets a new epoch.
fn next(before: &ShunEntry, scope: ShunScope) -> Result<Epoch, EpochError> {
    let stale = before.epoch.is_shunned() && before.scope == ShunScope::Tcp && scope == ShunScope::All;
    if stale { before.epoch.anew() } else { Ok(before.epoch.shunned()) }
}

/// Whether this host can shun at all: it has Ganeti's configuration and a candidate's certificate.
#[must_use]
pub fn can_shun(data_dir: &Path) -> bool {
    data_dir.join("config.data").is_file() && data_dir.join("client.pem").is_file()
}

/// Returns this host's shun list entry of a node. Does not need Ganeti's files.
///
/// # Errors
/// [`ShunError`] if the shun list cannot be read.
pub fn remembered(config: &Config, node: &NodeName) -> Result<Option<ShunEntry>, ShunError> {
    let shun_list = applier::shun_list(&config.state)?;
    let found = crate::core::node::find(node, shun_list.0.keys()).ok().cloned();
    Ok(found.and_then(|name| shun_list.0.get(&name).cloned()))
}

#[cfg(test)]
mod tests;
