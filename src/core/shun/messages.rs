//! What nodes ask of each other, and answer: one question, `ganeti-oob peer`, that tells and asks in one.
//!
//! It goes by noded's `run_oob`, which hands on two arguments and reads JSON back (`lib/backend.py`, `RunOob`), or by SSH.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::lease_times::LeaseTimes;
use super::list::{Epoch, ShunList, ShunScope};
use crate::core::node::NodeName;
use crate::core::power_receipt::PowerReceipt;

/// The version of both.
pub const VERSION: u32 = 1;

/// The command word of `ganeti-oob` (noded's `command`); the question is the second argument, or stdin after `-`.
pub const COMMAND: &str = "peer";

/// The most that a question may hold, in bytes: what one argument of a process may (`MAX_ARG_STRLEN`, execve(2)).
pub const LIMIT: usize = 128 * 1024 - 1;

/// The most that an answer may hold, in bytes, by whichever way it comes; `noded-call` reads as much.
pub const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// What a node is told and asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRequest {
    /// [`VERSION`].
    pub version: u32,
    /// Who asks.
    pub from: NodeName,
    /// Entries to take in; none for a mere question.
    #[serde(default)]
    pub register: ShunList,
    /// The nodes whose self-fencing it is asked about; its own is always told.
    #[serde(default)]
    pub about: Vec<NodeName>,
    /// The master IP of a proven-gone master: its noded's port is made unreachable for a while, so that a failover does not
    /// wait for it.
    #[serde(default)]
    pub gone_master_ip: Option<IpAddr>,
    /// The nodes whose receipts it is asked for: those of fencings that the node itself has run. An older version refuses the
    /// question, so it stands alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<NodeName>,
}

impl PeerRequest {
    /// A mere question of `from`: it tells nothing, and each node answers for itself. What is to be told or asked beside that is
    /// set in the fields.
    #[must_use]
    pub fn requested_by(from: NodeName) -> Self {
        Self {
            version: VERSION,
            from,
            register: ShunList::default(),
            about: Vec::new(),
            gone_master_ip: None,
            receipts: Vec::new(),
        }
    }

    /// The same in as many questions as it takes so that none has more than `limit` bytes as JSON: the entries are merged, so
    /// any order will do, and the answer to the last one is the answer to all.
    ///
    /// # Errors
    /// When one entry alone is too large.
    pub fn parts(&self, limit: usize) -> Result<Vec<Self>, String> {
        let length = |question: &Self| serde_json::to_string(question).map_or(usize::MAX, |text| text.len());
        if length(self) <= limit {
            return Ok(vec![self.clone()]);
        }
        let entries = self.register.0.iter().map(|(node, entry)| (node.clone(), entry.clone()));
        if self.register.0.len() < 2 {
            return Err(format!("the request has {} bytes, the maximum is {limit}", length(self)));
        }
        let half = self.register.0.len() / 2;
        let of = |register: ShunList| Self { register, ..self.clone() };
        let first = of(ShunList(entries.clone().take(half).collect())).parts(limit)?;
        let second = of(ShunList(entries.skip(half).collect())).parts(limit)?;
        Ok(first.into_iter().chain(second).collect())
    }
}

/// What it answers, with all that it was told done, flushed to its disk, and read back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerReport {
    /// [`VERSION`].
    pub version: u32,
    /// Who answers.
    pub node: NodeName,
    /// Its boot (`proc_sys_kernel(5)`, `boot_id`).
    pub boot_id: String,
    /// How long it has been up, in milliseconds of its clock since boot.
    #[serde(default)]
    pub uptime_ms: Option<u64>,
    /// All that it remembers.
    pub register: ShunList,
    /// The nodes whose every address its kernel refuses now, read back, each with the epoch.
    pub refuses: BTreeMap<NodeName, Epoch>,
    /// What of each of them is refused, read back. What is not named here counts as [`ShunScope::Tcp`].
    #[serde(default)]
    pub scopes: BTreeMap<NodeName, ShunScope>,
    /// The identity of the rules (the kernel's handles): another one means that they were gone for a moment.
    pub ruleset_id: String,
    /// What it was told and did not do, with the reason: an address of its own, one that is protected.
    #[serde(default)]
    pub not_applied: BTreeMap<NodeName, String>,
    /// Why what it refuses is not on its disk: its next boot forgets it. None if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_durable: Option<String>,
    /// Its own self-fencing.
    #[serde(default)]
    pub self_fence: Option<SelfFenceReport>,
    /// What it was told of others' self-fences, with the age in milliseconds by its own clock since boot.
    #[serde(default)]
    pub self_fences: BTreeMap<NodeName, DatedSelfFenceReport>,
    /// The nodes that said, when they were asked last, that their self-fencing is not armed.
    #[serde(default)]
    pub denials: BTreeMap<NodeName, Denial>,
    /// The serial number of Ganeti's configuration here; none on a node that does not hold it.
    #[serde(default)]
    pub serial: Option<u64>,
    /// The instances that run here, where that can be told without Ganeti's master.
    #[serde(default)]
    pub instances: Option<u32>,
    /// The DRBD minors that are primary here.
    #[serde(default)]
    pub drbd_primaries: Option<u32>,
    /// Its own receipts of the nodes that were asked about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub receipts: BTreeMap<NodeName, Vec<PowerReceipt>>,
    /// What stands behind the answer; none of an older version.
    #[serde(default)]
    pub program: Option<Program>,
}

/// What stands behind an answer: two nodes that differ in it may decide differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// The SHA-1 of its configuration file, in hexadecimal; none where there is no such file.
    pub config: Option<String>,
    /// The digest of what that file decides ([`Config::digest`]), in words; none where there is no such file, where it cannot be
    /// read, and of an older version.
    ///
    /// [`Config::digest`]: crate::core::config::Config::digest
    #[serde(default)]
    pub digest: Option<String>,
    /// Its host's clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The fingerprint of its host's key for Pacemaker remote nodes: the first bytes of an HMAC-SHA256 by that key of a fixed label, in
    /// hexadecimal. None without a key, or of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_key: Option<String>,
}

/// What self-fencing says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfFenceReport {
    /// Its node's boot.
    pub boot_id: String,
    /// The watchdog's driver (`identity` in `/sys/class/watchdog`).
    pub driver: String,
    /// Whether closing the device leaves it armed.
    pub nowayout: bool,
    /// The times that it keeps; `watchdog_ms` is the time within which the watchdog has reset the host: what was measured on
    /// this host, or follows from the driver and from what was read back from the device ([`super::expiry`]).
    pub terms: LeaseTimes,
    /// The candidates that it asks.
    pub candidates: Vec<IpAddr>,
    /// The address that its questions are sent from; none of an older version.
    #[serde(default)]
    pub asks_from: Option<IpAddr>,
    /// Whether its CPU has the flag `hypervisor`: the host can be paused, and clock and watchdog with it. None of an older
    /// version, or where it cannot be read.
    #[serde(default)]
    pub is_virtual: Option<bool>,
    /// It keeps the self-fence's discipline for at least that long from now, in milliseconds, unless its node stops or boots.
    pub guaranteed_for_ms: u64,
    /// How long ago the question was sent that its lease counts from, in milliseconds.
    pub lease_age_ms: u64,
}

/// A node's own statement that its self-fencing is not armed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The boot that said so.
    pub boot_id: String,
    /// Milliseconds since it was *asked*, by the clock since boot of the node that holds it.
    pub age_ms: u64,
    /// For how long it had been up when it answered, in milliseconds of its own clock since boot; none of an older version.
    #[serde(default)]
    pub uptime_ms: Option<u64>,
}

/// Self-fencing's report with its age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatedSelfFenceReport {
    /// What it said.
    pub self_fence: SelfFenceReport,
    /// Milliseconds since it was *asked*, by the clock since boot of whoever holds it.
    pub age_ms: u64,
    /// For how long it had been up when it answered, in milliseconds of its own clock since boot; none of an older version.
    #[serde(default)]
    pub uptime_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A shun list that is larger than one argument of a process is told in several questions, and none is lost.
    #[test]
    fn a_list_beyond_one_argument_is_told_in_parts() {
        let entry = json!({"epoch": 1, "addresses": ["192.0.2.1", "2001:db8::1"], "reach": "tcp", "grade": "off", "boot_id": null,
                           "since_ms": 1, "by": "x".repeat(200)});
        let all: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("n{n}.lab"), entry.clone())).collect();
        let question = json!({"version": VERSION, "from": "n1", "register": all, "about": ["n2"]});
        let question: PeerRequest = serde_json::from_value(question).unwrap();
        let parts = question.parts(LIMIT).unwrap();
        assert!(parts.len() > 1);
        let mut merged = ShunList::default();
        for part in &parts {
            assert!(serde_json::to_string(part).unwrap().len() <= LIMIT && part.about == question.about);
            merged.merge(&part.register);
        }
        assert_eq!(merged, question.register);
        let small = PeerRequest { register: ShunList::default(), ..question };
        assert_eq!(small.parts(LIMIT).unwrap(), std::slice::from_ref(&small));
        assert!(small.parts(10).is_err());
    }
}
