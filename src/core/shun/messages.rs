//! Defines the messages between nodes: one request, `ganeti-oob peer`, that gives orders and asks, and its answer. It
//! touches nothing.
//!
//! The request goes through noded's `run_oob`, which passes two arguments and reads JSON back (`lib/backend.py`,
//! `RunOob`), or by SSH.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::lease_times::LeaseTimes;
use super::list::{Epoch, ShunList, ShunScope};
use crate::core::bmc_memory::BmcMemory;
use crate::core::host_identity::HostIdentity;
use crate::core::node::NodeName;
use crate::core::power_receipt::PowerReceipt;
use crate::core::recovery::drbd::DrbdAges;

/// The version of the request and of the answer.
pub const VERSION: u32 = 1;

/// The command of `ganeti-oob` (noded's `command`). The request is its second argument, or stdin if that is `-`.
pub const COMMAND: &str = "peer";

/// The largest size of a request, in bytes: the limit of one argument of a process (`MAX_ARG_STRLEN`, execve(2)).
pub const MAX_REQUEST_BYTES: usize = 128 * 1024 - 1;

/// The largest size of an answer, in bytes, over noded and over SSH; `noded-call` has the same limit.
pub const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// A request to a node: orders to carry out, and what it is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRequest {
    /// The version of the protocol, [`VERSION`].
    pub version: u32,
    /// The node that sends the request.
    pub from: NodeName,
    /// Entries of the shun list to merge; empty if the request only asks.
    #[serde(default)]
    pub shun_list: ShunList,
    /// The nodes whose self-fencing the node is asked about. It always reports its own.
    #[serde(default)]
    pub about: Vec<NodeName>,
    /// The master IP of a master that is proven to have stopped. Its noded port is made unreachable for a while, so
    /// that a failover does not wait for it.
    #[serde(default)]
    pub gone_master_ip: Option<IpAddr>,
    /// The nodes whose receipts are requested: those of fencings that the asked node has run itself. An older version
    /// rejects such a request, so it is sent alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<NodeName>,
    /// Whether the node is asked what it has seen of its DRBD disks. An older version rejects such a request, so it is
    /// sent alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drbd: bool,
    /// What was learned of the nodes' identities and of their BMCs, to be remembered. An older version rejects such a
    /// request, so it is sent alone.
    #[serde(default, skip_serializing_if = "has_nothing")]
    pub identities: BmcMemory,
}

/// Returns whether nothing was learned, and the field is left out.
fn has_nothing(identities: &BmcMemory) -> bool {
    identities.0.is_empty()
}

/// Returns whether a field has its default, and is left out.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to each field")]
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}

impl PeerRequest {
    /// Returns a request of `from` without orders, which each node answers for itself. The caller sets the fields of
    /// orders and of further questions.
    #[must_use]
    pub fn requested_by(from: NodeName) -> Self {
        Self {
            version: VERSION,
            from,
            shun_list: ShunList::default(),
            about: Vec::new(),
            gone_master_ip: None,
            receipts: Vec::new(),
            drbd: false,
            identities: BmcMemory::default(),
        }
    }

    /// Splits the request into as many as are needed, so that none has more than `limit` bytes as JSON. The entries are
    /// merged, so the order does not matter, and the answer to the last request is the answer to all.
    ///
    /// # Errors
    /// [`RequestTooLarge`] if the request is too large and has less than two entries.
    pub fn parts(&self, limit: usize) -> Result<Vec<Self>, RequestTooLarge> {
        let length = |question: &Self| serde_json::to_string(question).map_or(usize::MAX, |text| text.len());
        if length(self) <= limit {
            return Ok(vec![self.clone()]);
        }
        let entries = self.shun_list.0.iter().map(|(node, entry)| (node.clone(), entry.clone()));
        if self.shun_list.0.len() < 2 {
            return Err(RequestTooLarge { bytes: length(self), limit });
        }
        let half = self.shun_list.0.len() / 2;
        let of = |shun_list: ShunList| Self { shun_list, ..self.clone() };
        let first = of(ShunList(entries.clone().take(half).collect())).parts(limit)?;
        let second = of(ShunList(entries.skip(half).collect())).parts(limit)?;
        Ok(first.into_iter().chain(second).collect())
    }
}

/// A request that cannot be split into parts within the limit of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has {bytes} bytes, the maximum is {limit}")]
pub struct RequestTooLarge {
    /// The size of the request as JSON, in bytes.
    pub bytes: usize,
    /// The largest size of a message, in bytes.
    pub limit: usize,
}

/// The answer of a node, after it has carried out the orders, flushed them to its disk, and read them back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerReport {
    /// The version of the protocol, [`VERSION`].
    pub version: u32,
    /// The node that answers, by its own configuration; the sender compares it with the node that was asked.
    pub node: NodeName,
    /// Its boot id (`proc_sys_kernel(5)`, `boot_id`).
    pub boot_id: String,
    /// How long it has been up, in milliseconds of its clock since boot.
    #[serde(default)]
    pub uptime_ms: Option<u64>,
    /// Its whole shun list, after the orders were merged.
    pub shun_list: ShunList,
    /// The nodes that its kernel shuns at every address, read back, each with its epoch.
    pub shunned: BTreeMap<NodeName, Epoch>,
    /// The scope of each shunned node, read back. A node that is not named here counts as [`ShunScope::Tcp`].
    #[serde(default)]
    pub scopes: BTreeMap<NodeName, ShunScope>,
    /// The ruleset id (the kernel's handles). Another id means that the rules were absent for a moment.
    pub ruleset_id: String,
    /// The orders that it did not carry out, each with the reason, such as an address of its own or a protected one.
    #[serde(default)]
    pub not_applied: BTreeMap<NodeName, String>,
    /// Why the shun list is not on its disk, so that its next boot forgets it; `None` if it is on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_durable: Option<String>,
    /// The report of its own self-fencing; `None` if it is not armed, has lost its lease or does not run.
    #[serde(default)]
    pub self_fence: Option<SelfFenceReport>,
    /// What other nodes reported to it of their self-fencing, with the age in milliseconds by its own clock since boot.
    #[serde(default)]
    pub self_fences: BTreeMap<NodeName, DatedSelfFenceReport>,
    /// The nodes whose last answer was that their self-fencing is not armed.
    #[serde(default)]
    pub denials: BTreeMap<NodeName, Denial>,
    /// The serial number of Ganeti's configuration here; `None` on a node that does not hold it.
    #[serde(default)]
    pub serial: Option<u64>,
    /// The number of instances that run here, where that is known without Ganeti's master.
    #[serde(default)]
    pub instances: Option<u32>,
    /// The number of DRBD minors that are primary here.
    #[serde(default)]
    pub drbd_primaries: Option<u32>,
    /// Its own receipts of the nodes that were asked about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub receipts: BTreeMap<NodeName, Vec<PowerReceipt>>,
    /// What it has seen of its DRBD disks, by their minors, if it was asked for that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drbd: BTreeMap<u32, DrbdAges>,
    /// The program and configuration of the node; `None` from an older version.
    #[serde(default)]
    pub program: Option<Program>,
}

/// The program, configuration and clock of a node that answers. Two nodes that differ in them may decide differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The version of gnt-ha, as `gnt-ha --version` prints it.
    pub version: String,
    /// The SHA-1 of its configuration file, in hexadecimal; `None` if it has no such file.
    pub config: Option<String>,
    /// The digest of what that file decides ([`Config::digest`]), in words; `None` if it has no such file, cannot read
    /// it, or is an older version.
    ///
    /// [`Config::digest`]: crate::core::config::Config::digest
    #[serde(default)]
    pub digest: Option<String>,
    /// Its wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The fingerprint of its key for Pacemaker remote nodes: the first bytes of an HMAC-SHA256 by that key of a fixed
    /// label, in hexadecimal. `None` without a key, or from an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_key: Option<String>,
    /// The identity of its host by its firmware, without a value if the firmware has none; `None` from an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostIdentity>,
}

/// A node's report of its self-fencing, on which other nodes may rely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfFenceReport {
    /// The boot id of its node.
    pub boot_id: String,
    /// The watchdog's driver (`identity` in `/sys/class/watchdog`).
    pub driver: String,
    /// Whether the watchdog stays armed when the device is closed.
    pub nowayout: bool,
    /// The times that it keeps. `watchdog_ms` is the time within which the watchdog has reset the host: measured on
    /// this host, or derived from the driver and the time that was read back from the device ([`super::expiry`]).
    pub lease_times: LeaseTimes,
    /// The addresses of the candidates that it asks.
    pub candidates: Vec<IpAddr>,
    /// The address that it sends its questions from; `None` from an older version.
    #[serde(default)]
    pub asks_from: Option<IpAddr>,
    /// Whether its CPU has the flag `hypervisor`: then the host can be paused, and its clock and watchdog with it.
    /// `None` from an older version, or where it cannot be read.
    #[serde(default)]
    pub is_virtual: Option<bool>,
    /// For how long from now it keeps its rules at least, in milliseconds, unless its node stops or boots.
    pub guaranteed_for_ms: u64,
    /// The age of its lease in milliseconds, from the sending of the question that the lease counts from.
    pub lease_age_ms: u64,
}

/// A node's own statement that its self-fencing is not armed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The boot id of the node when it answered.
    pub boot_id: String,
    /// Milliseconds since it was *asked*, by the clock since boot of the node that keeps the statement.
    pub age_ms: u64,
    /// How long the node had been up when it answered, in milliseconds of its own clock since boot; `None` from an
    /// older version.
    #[serde(default)]
    pub uptime_ms: Option<u64>,
}

/// A report of self-fencing with its age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatedSelfFenceReport {
    /// The report of self-fencing itself.
    pub self_fence: SelfFenceReport,
    /// Milliseconds since it was *asked*, by the clock since boot of the node that keeps the report.
    pub age_ms: u64,
    /// How long the node had been up when it answered, in milliseconds of its own clock since boot; `None` from an
    /// older version.
    #[serde(default)]
    pub uptime_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A shun list that is larger than one argument of a process is sent in several requests, without a loss.
    #[test]
    fn a_list_beyond_one_argument_is_sent_in_parts() {
        let entry = json!({"epoch": 1, "addresses": ["192.0.2.1", "2001:db8::1"], "scope": "tcp", "grade": "off", "boot_id": null,
                           "since_ms": 1, "by": "x".repeat(200)});
        let all: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("n{n}.lab"), entry.clone())).collect();
        let question = json!({"version": VERSION, "from": "n1", "shun_list": all, "about": ["n2"]});
        let question: PeerRequest = serde_json::from_value(question).unwrap();
        let parts = question.parts(MAX_REQUEST_BYTES).unwrap();
        assert!(parts.len() > 1);
        let mut merged = ShunList::default();
        for part in &parts {
            assert!(serde_json::to_string(part).unwrap().len() <= MAX_REQUEST_BYTES && part.about == question.about);
            merged.merge(&part.shun_list);
        }
        assert_eq!(merged, question.shun_list);
        let small = PeerRequest { shun_list: ShunList::default(), ..question };
        assert_eq!(small.parts(MAX_REQUEST_BYTES).unwrap(), std::slice::from_ref(&small));
        assert!(small.parts(10).is_err());
    }

    /// Keys of before 0.2.0 are an error, never a default: an empty shun list or a closed scope would pass for a proof.
    #[test]
    fn older_keys_are_an_error() {
        let entry = |scope: &str| json!({"epoch": 1, "addresses": [], scope: "all", "grade": "isolated", "boot_id": null, "since_ms": 1, "by": "x"});
        let request = |list: &str, entry| json!({"version": VERSION, "from": "n1", list: {"n3": entry}});
        let reads = |value| serde_json::from_value::<PeerRequest>(value).is_ok();
        assert!(reads(request("shun_list", entry("scope"))));
        let older = [request("register", entry("scope")), request("shun_list", entry("reach"))]; // gnt:allow-word
        assert!(older.into_iter().all(|request| !reads(request)));
        let report = |list: &str, shunned: &str| json!({"version": VERSION, "node": "n2", "boot_id": "b", list: {}, shunned: {}, "ruleset_id": "b 1"});
        let reads = |value| serde_json::from_value::<PeerReport>(value).is_ok();
        assert!(reads(report("shun_list", "shunned")));
        let older = [report("register", "shunned"), report("shun_list", "refuses")]; // gnt:allow-word
        assert!(older.into_iter().all(|report| !reads(report)));
    }
}
