//! Keeps the readings of a node's devices for the next process of the same fencing, in one file of the run directory.
//!
//! A fencing is several calls of this program: a reading, the command, a reading again. A BMC that has read "on" in the
//! first call and is busy in the second has not become unknown. Without this file the second call would accept an
//! outlet that is off, and that may feed another host.
//!
//! The file is this host's memory alone. Another host that fences the same node reads the devices itself, and has no
//! earlier reading that it could overrule.
//!
//! Each node has one file in the run directory, written as a whole, with mode 0600. It counts only in the boot that
//! wrote it, so it is not flushed: what a crash of this host could lose does not count after the crash. A reading
//! counts for the whole fencing that made it (by the request id that the caller gives), and for `MAX_AGE` in any other:
//! Pacemaker repeats a failed fencing. It ends with a proven off of the power, and with a proven on. Only an action, or
//! a reading for a fencing, writes the file: a monitor's reading of a healthy host belongs to no fencing.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::node::NodeName;
use crate::core::power::reading::Observation;
use crate::core::power::walk::{RememberedDevice, Task, Walk, WalkStep};
use crate::sys::{clock, identity, state_file};
use serde::{Deserialize, Serialize};

/// The time for which an "on" counts in another fencing: as long as two attempts of `fence_ganeti` may take.
const MAX_AGE: Duration = Duration::from_secs(120);

/// The time in ms after which an "on" is written again: a device is read twice a second.
const FRESH_MS: u64 = 5_000;

#[derive(Serialize, Deserialize)]
struct File {
    boot_id: String,
    devices: Vec<DeviceEntry>,
}

#[derive(Clone, Serialize, Deserialize)]
struct DeviceEntry {
    device: String,
    given_up: bool,
    /// The time of the reading "on", in ms since boot (`CLOCK_BOOTTIME`).
    at_ms: u64,
    /// The request id: the caller's receipt to which the reading belongs.
    request: Option<String>,
}

/// The open file of one node.
struct NodeReadings {
    path: PathBuf,
    request: Option<String>,
    writes: bool,
    /// The entries of the file that still count.
    entries: Vec<DeviceEntry>,
}

/// A walk over a node's levels whose readings survive this process.
pub struct Watch {
    walk: Walk,
    /// `None` if nothing has to be remembered.
    memory: Option<NodeReadings>,
}

impl Watch {
    /// Begins the walk with the remembered readings of `node`; `acts` is whether it may switch a device. A node with
    /// one level has no reading that could be overruled, and nothing is kept.
    pub fn new(
        config: &Config,
        node: &NodeName,
        levels: usize,
        acts: bool,
        walk: impl FnOnce(&[RememberedDevice]) -> Walk,
    ) -> Self {
        let memory = (levels > 1).then(|| NodeReadings::read(config, node, acts));
        let known = memory.iter().flat_map(|memory| &memory.entries);
        let known: Vec<RememberedDevice> = known
            .map(|DeviceEntry { device, given_up, .. }| RememberedDevice {
                device: device.clone(),
                given_up: *given_up,
            })
            .collect();
        Self { walk: walk(&known), memory }
    }

    /// Returns a watch for a power change outside of a walk. It keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { walk: Walk::new(Task::On, &[], &[]), memory: None }
    }

    /// Returns the next step, as [`Walk::next`], and writes the file if it has changed.
    #[allow(clippy::should_implement_trait, reason = "this is not an iterator: it may return the same step again")]
    pub fn next(&mut self) -> WalkStep {
        let next = self.walk.next();
        self.keep(None);
        next
    }

    /// Adds a reading, as [`Walk::add_reading`], and writes the file if it has changed.
    pub fn add_reading(&mut self, device: &str, what: Observation) {
        self.walk.add_reading(device, what);
        self.keep((what == Observation::On).then_some(device));
    }

    /// Records a proven off, as [`Walk::prove_off`], and writes the file if it has changed.
    pub fn prove_off(&mut self, device: &str) {
        self.walk.prove_off(device);
        self.keep(None);
    }

    /// Returns the walk itself.
    pub fn walk(&mut self) -> &mut Walk {
        &mut self.walk
    }

    /// Removes the file after a proven state of the power: earlier readings count no longer.
    pub fn forget(&mut self) {
        let Some(memory) = self.memory.take().filter(|memory| memory.writes) else { return };
        match std::fs::remove_file(&memory.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %memory.path.display(), "cannot remove the remembered readings of the node");
            }
            _ => {}
        }
    }

    /// Writes the file at once, as this process may be killed, and only if an entry has changed.
    fn keep(&mut self, on: Option<&str>) {
        let Some(memory) = self.memory.as_mut().filter(|memory| memory.writes) else { return };
        memory.keep(self.walk.to_remember(), on);
    }
}

impl NodeReadings {
    /// Reads the file. A damaged file counts as empty: a fencing must not fail because of it, and new readings still
    /// count.
    fn read(config: &Config, node: &NodeName, acts: bool) -> Self {
        let path = config.run.join(format!("seen-{node}"));
        let request = identity::asker().request;
        let file: Option<File> = state_file::read(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "cannot read the remembered readings of the node");
            None
        });
        let now = clock::now().boottime_ms;
        let counts = |entry: &DeviceEntry| {
            let age = now.checked_sub(entry.at_ms).map(Duration::from_millis);
            age.is_some_and(|age| age < MAX_AGE) || (request.is_some() && request == entry.request)
        };
        let file = file.filter(|file| file.boot_id == identity::boot_id());
        let entries = file.map(|file| file.devices).unwrap_or_default().into_iter().filter(counts).collect();
        Self { path, writes: acts || request.is_some(), request, entries }
    }

    fn keep(&mut self, known: Vec<RememberedDevice>, on: Option<&str>) {
        let now = clock::now().boottime_ms;
        let mut changed = known.len() != self.entries.len();
        let entries = known.into_iter().map(|RememberedDevice { device, given_up }| {
            let of_now = |device| DeviceEntry { device, given_up, at_ms: now, request: self.request.clone() };
            match self.entries.iter().find(|entry| entry.device == device) {
                // One write for each process is enough.
                Some(entry)
                    if entry.given_up == given_up
                        && (on != Some(&device)
                            || entry.request == self.request && now - entry.at_ms.min(now) < FRESH_MS) =>
                {
                    entry.clone()
                }
                Some(entry) if entry.given_up != given_up && on != Some(&device) => {
                    changed = true;
                    DeviceEntry { given_up, ..entry.clone() }
                }
                _ => {
                    changed = true;
                    of_now(device)
                }
            }
        });
        let entries: Vec<DeviceEntry> = entries.collect();
        self.entries = entries;
        if changed {
            self.write();
        }
    }

    fn write(&self) {
        let file = File { boot_id: identity::boot_id(), devices: self.entries.clone() };
        if let Err(error) = state_file::write_unflushed(&self.path, &file) {
            tracing::warn!(%error, path = %self.path.display(), "the next call of this fencing does not have the readings of this one");
        }
    }
}
