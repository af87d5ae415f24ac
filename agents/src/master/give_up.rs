//! Gives the master role up: stops the master daemons and removes the master IP. A stop that fails has the node fenced.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use gnt_ha::core::roles::master_claims::Served;
use gnt_ha::core::roles::{OcfCode, OcfResult};
use gnt_ha::sys::addresses;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::command::run;
use gnt_ha::sys::ganeti::daemon_util::MASTER_DAEMONS;
use gnt_ha::sys::ganeti::ssconf::{Ssconf, SsconfError};

use super::queue;
use crate::call::Call;
use crate::markers::Marker;
use crate::site::{Place, Site};

/// The note with the master IP of the role that was served on this host.
const MASTER_IP: &str = "master-role.ip";

/// The part of the time that is reserved for killing daemons that do not end, and for removing the master IP.
const KILL: Duration = Duration::from_secs(4);

/// The most that the daemons may take to end by themselves: more than ten times what they need. A daemon that hangs
/// delays the role for as long.
const ENDS: Duration = Duration::from_secs(10);

/// The most that a killed daemon may take to vanish.
const VANISH: Duration = Duration::from_secs(2);

pub(super) fn give_up(call: &Call, place: &Place) -> OcfResult {
    let site = place.site().ok();
    if place.is_listening()
        && site.as_ref().is_none_or(|site| site.tags().drain_queue)
        && queue::is_planned(place, site.as_ref(), call.deadline)
    {
        queue::drain(place, call.deadline);
    }
    // The marker is set first: a monitor between the two steps must not report a failure.
    let marked = place.markers.set(Marker::MasterStopped);
    match (take_down(place, call.deadline), marked) {
        (Ok(()), Ok(())) => OcfResult::plain(OcfCode::Success),
        // The role is stopped. Without the marker a probe in partial mode takes it for running, with no worse effect.
        (Ok(()), Err(error)) => {
            OcfResult::because(OcfCode::Success, format!("stopped, but it cannot be kept: {error}"))
        }
        (Err(reason), _) => OcfResult::because(OcfCode::ErrGeneric, reason),
    }
}

/// Stops the master's daemons and removes the master IP; then checks that both are gone. Idempotent.
pub(super) fn take_down(place: &Place, deadline: Deadline) -> Result<(), String> {
    let mut failed = None;
    let served = runs(place);
    if served {
        // daemon-util alone waits 30 s for a daemon that hangs.
        let patience = deadline.earlier(KILL).at_most(ENDS.min(deadline.left() / 2));
        let ended = place.daemons.daemon_util(&["stop-master"], patience);
        failed = ended.err();
        let _ = place.daemons.kill(&MASTER_DAEMONS);
        let until = deadline.at_most(VANISH);
        while runs(place) && !until.passed() {
            until.sleep(Duration::from_millis(20));
        }
    }
    let ip = remove_master_ip(place, served, deadline);
    let left: Vec<&str> = MASTER_DAEMONS.into_iter().filter(|daemon| place.daemons.process(daemon).is_some()).collect();
    if !left.is_empty() || place.is_listening() {
        let why = failed.map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!("still running: {}{why}", left.join(", ")));
    }
    ip
}

/// Whether this host has a part of the role, also of a failed one: a master daemon, or the master IP.
pub(super) fn is_left(place: &Place, site: &Site) -> bool {
    runs(place) || site.has_master_ip()
}

/// Whether a master daemon runs on this host, or luxid's socket accepts connections.
pub(super) fn runs(place: &Place) -> bool {
    MASTER_DAEMONS.into_iter().any(|daemon| place.daemons.process(daemon).is_some()) || place.is_listening()
}

/// Returns when the role was served on this host: now, since the boot (the note of its IP is kept until the next boot),
/// or never.
pub(super) fn served(place: &Place) -> Served {
    if place.is_listening() {
        Served::Now
    } else if place.markers.note(MASTER_IP).is_some() && !place.markers.has(Marker::MasterStopped) {
        Served::ThisBoot
    } else {
        Served::Never
    }
}

/// Writes down the master IP of a role that serves here, for a stop that cannot read Ganeti's files any more.
pub(super) fn remember_master_ip(place: &Place, site: &Site) {
    let Some((address, _)) = site.master_ip() else { return };
    let text = address.to_string();
    if place.markers.note(MASTER_IP).as_ref() != Some(&text) {
        // The note is missed only if Ganeti's files become unreadable as well.
        let _ = place.markers.write_note(MASTER_IP, &text);
    }
}

/// Returns the master IP by Ganeti's files and the one that served here. They differ if the IP was changed since.
///
/// `served`: daemons of the role ran here. Only then are unreadable files an error, as a role that did not serve here
/// has no IP to remove.
fn master_ips(place: &Place, served: bool) -> Result<BTreeSet<IpAddr>, String> {
    let recorded = match Ssconf::new(&place.data_dir).line("master_ip") {
        Ok(Some(text)) => text.trim().parse().map(Some).map_err(|_| format!("{text:?} is no master IP")),
        // The host is not a node of a cluster: Ganeti writes its files together.
        Ok(None) | Err(SsconfError::Absent(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let remembered = place.markers.note(MASTER_IP).and_then(|text| text.trim().parse().ok());
    match (recorded, remembered) {
        (Err(error), None) if served => Err(format!("the master IP is not known: {error}")),
        (recorded, remembered) => Ok(recorded.ok().flatten().into_iter().chain(remembered).collect()),
    }
}

fn remove_master_ip(place: &Place, served: bool, deadline: Deadline) -> Result<(), String> {
    for address in master_ips(place, served)? {
        remove(address, deadline)?;
    }
    Ok(())
}

/// Runs `ip addr del`, as Ganeti's own `master-ip-setup stop` does, but for the device and prefix length that the
/// kernel reports. Device and netmask in Ganeti's files may have changed since the address was added.
fn remove(address: IpAddr, deadline: Deadline) -> Result<(), String> {
    let here = || addresses::find(address).map_err(|error| format!("cannot see this host's addresses: {error}"));
    let mut failed = None;
    for found in here()? {
        let with_prefix = format!("{address}/{}", found.prefix);
        let removed = run(Path::new("ip"), &["addr", "del", &with_prefix, "dev", &found.device], &[], deadline);
        failed = removed.err().or(failed);
    }
    if here()?.is_empty() {
        return Ok(());
    }
    Err(failed.map_or_else(|| format!("the master IP {address} is still here"), |error| error.to_string()))
}
