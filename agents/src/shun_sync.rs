//! Shunned nodes stay shunned: from time to time every node is told again, and asked, by `ganeti-oob sync`.

use std::path::Path;
use std::time::Duration;

use gnt_ha::service::shun::applier;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::command::{ProgramError, run_and_hear};
use gnt_ha::sys::output;

use crate::site::Place;

/// Where `make install` puts it.
const PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// How often, in milliseconds, while somebody is shunned: whoever was away has to be told.
const SHUNNED_MS: u64 = 30_000;

/// How often otherwise: what the nodes say of their boots and their self-fences has to be fresh when one is lost.
const QUIET_MS: u64 = 180_000;

/// The most that it may take of a monitor.
const LIMIT: Duration = Duration::from_secs(4);

/// The note of when it ran last, in milliseconds of the clock since boot.
const NOTE: &str = "shun-synced";

/// Runs it if it is time. What fails is said, and tried again at its next time.
pub fn sync_if_due(place: &Place, deadline: Deadline) {
    let shuns = applier::remembers(&place.state_dir);
    let pause = if shuns { SHUNNED_MS } else { QUIET_MS };
    let now_ms = now().boottime_ms;
    let last: Option<u64> = place.markers.note(NOTE).and_then(|text| text.parse().ok());
    if last.is_some_and(|last| last <= now_ms && now_ms - last < pause) || !Path::new(PROGRAM).exists() {
        return;
    }
    // Without the note it would run at each monitor.
    if place.markers.write_note(NOTE, &now_ms.to_string()).is_err() {
        return;
    }
    // What is refused, but not durable, is said by a program that ends well.
    let said = match run_and_hear(Path::new(PROGRAM), &["sync"], deadline.at_most(LIMIT)) {
        Ok(said) | Err(ProgramError::Failed { said, .. }) => said,
        Err(error) => error.to_string(),
    };
    for line in said.lines().filter(|line| !line.is_empty()) {
        output::print_error(&format!("shun: {line}"));
    }
}
