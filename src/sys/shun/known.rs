//! What this host was told: by its own leash, and by the other nodes when they were asked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::node::NodeName;
use crate::core::shun::words::{Attestation, Denial, LeashReport, Report};
use crate::sys::clock::now;
use crate::sys::store::Store;
use crate::sys::{identity, state_file};

/// How old the leash's own word may be, in milliseconds: it refreshes it each second.
const FRESH_MS: u64 = 3_000;

/// What the leash of this host keeps in the run folder while it may be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attested {
    /// When, in milliseconds of the clock since boot.
    pub at_boottime_ms: u64,
    /// What it says.
    pub report: LeashReport,
}

/// Where the leash keeps it.
#[must_use]
pub fn leash_file(run: &Path) -> PathBuf {
    run.join("leash.json")
}

/// What the leash of this host says now; none if it is not armed, does not attest, or does not run.
#[must_use]
pub fn own_leash(run: &Path) -> Option<LeashReport> {
    let attested: Attested = state_file::read(&leash_file(run)).ok().flatten()?;
    let age = now().boottime_ms.checked_sub(attested.at_boottime_ms)?;
    let mut report = attested.report;
    report.lease_age_ms += age;
    report.kept_for_ms = report.kept_for_ms.saturating_sub(age);
    (age <= FRESH_MS && report.boot_id == identity::incarnation()).then_some(report)
}

/// What another node said, and when it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When it was asked, in milliseconds of this host's clock since boot.
    pub asked_boottime_ms: u64,
    /// The boot of this host that the clock is of.
    pub boot_id: String,
    /// What it said.
    pub report: Report,
}

/// The last word of each node.
pub type Peers = BTreeMap<NodeName, Told>;

/// Its name in the state folder.
const PEERS: &str = "peers.json";

/// The last word of each node; nothing if the file cannot be read: it is told again.
#[must_use]
pub fn peers(state: &Path) -> Peers {
    Store::new(state).read(PEERS).ok().flatten().unwrap_or_default()
}

/// Keeps the last word of each node.
///
/// # Errors
/// What the file system says.
pub fn keep_peers(state: &Path, peers: &Peers) -> io::Result<()> {
    Store::new(state).write_unflushed(PEERS, peers).map(drop)
}

/// How long ago a node was asked, in milliseconds; none if that was before this host's boot.
#[must_use]
pub fn age_ms(told: &Told) -> Option<u64> {
    let age_ms = now().boottime_ms.checked_sub(told.asked_boottime_ms)?;
    (told.boot_id == identity::incarnation()).then_some(age_ms)
}

/// What a node's leash attested when it was asked last, with its age; none if it did not, or before this host's boot.
#[must_use]
pub fn attestation(told: &Told) -> Option<Attestation> {
    let leash = told.report.leash.clone()?;
    Some(Attestation { leash, age_ms: age_ms(told)?, uptime_ms: told.report.uptime_ms })
}

/// That a node said, when it was asked last, that no leash of it is armed; none if it has one, or before this host's boot.
#[must_use]
pub fn denial(told: &Told) -> Option<Denial> {
    let is_denied = told.report.leash.is_none();
    let age_ms = age_ms(told)?;
    let (boot_id, uptime_ms) = (told.report.boot_id.clone(), told.report.uptime_ms);
    is_denied.then_some(Denial { boot_id, age_ms, uptime_ms })
}
