//! Routes that make an address unreachable from this host for a while: connections to it fail at once.
//!
//! Ganeti waits 5 s for a connection to a dead node (`lib/rpc/node.py`), and in one failover it tries seven times; an
//! *unreachable* address ends each of these at once, and ends its wait for the master IP to vanish, too
//! (`lib/bootstrap.py`). Only for what is proven to be gone, as nothing of it must ever be waited for in vain.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::Deadline;
use super::daemon_util::run;

/// How long the program `ip` may take for one route.
const EACH: Duration = Duration::from_secs(2);

/// Unreachable addresses; reachable again when this value is dropped.
///
/// What is set is written to a file first, so that a later program can undo it ([`undo_left_over`]) if this one is killed.
#[derive(Debug)]
pub struct Unreachable {
    note: PathBuf,
}

impl Unreachable {
    /// Makes `addresses` unreachable, as far as that works: it saves time, and nothing depends on it.
    #[must_use]
    pub fn set(addresses: &[IpAddr], note: &Path) -> Self {
        undo_left_over(note);
        let text: String = addresses.iter().map(|address| format!("{address}\n")).collect();
        if fs::write(note, text).is_ok() {
            for address in addresses {
                route("add", *address);
            }
        }
        Self { note: note.to_owned() }
    }
}

impl Drop for Unreachable {
    fn drop(&mut self) {
        undo_left_over(&self.note);
    }
}

/// Makes reachable again what a program that was killed has left unreachable. Without a note it starts nothing.
pub fn undo_left_over(note: &Path) {
    let Ok(text) = fs::read_to_string(note) else { return };
    for address in text.lines().filter_map(|line| line.parse().ok()) {
        route("del", address);
    }
    let _ = fs::remove_file(note);
}

fn route(what: &str, address: IpAddr) {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let words = ["route", what, "unreachable", &format!("{address}/{bits}")];
    if let Err(error) = run(Path::new("ip"), &words, &[], Deadline::after(EACH)) {
        tracing::warn!(%error, "no route is changed");
    }
}
