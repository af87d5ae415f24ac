//! Giving the role up, so that nothing of it is left: a stop that fails has the node fenced.

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

/// The note with the master IP that served here.
const MASTER_IP: &str = "master-role.ip";

/// What is kept of the time to kill daemons that do not end, and to take the master IP down.
const KILL: Duration = Duration::from_secs(4);

/// How long the daemons may take to end by themselves; it is more than ten times what they need. One that hangs has the
/// role down for as long.
const ENDS: Duration = Duration::from_secs(10);

/// How long a killed daemon may take to vanish.
const VANISH: Duration = Duration::from_secs(2);

pub(super) fn give_up(call: &Call, place: &Place) -> OcfResult {
    let site = place.site().ok();
    if place.is_listening()
        && site.as_ref().is_none_or(|site| site.tags().drain_queue)
        && queue::is_planned(place, site.as_ref(), call.deadline)
    {
        queue::drain(place, call.deadline);
    }
    // Before it is true: between the two a monitor must not take it for a failure.
    let marked = place.markers.set(Marker::MasterStopped);
    match (take_down(place, call.deadline), marked) {
        (Ok(()), Ok(())) => OcfResult::plain(OcfCode::Success),
        // Stopped is stopped. In partial mode a probe would take it for running, and nothing worse.
        (Ok(()), Err(error)) => {
            OcfResult::because(OcfCode::Success, format!("stopped, but it cannot be kept: {error}"))
        }
        (Err(reason), _) => OcfResult::because(OcfCode::ErrGeneric, reason),
    }
}

/// Stops the master's daemons and takes the master IP down; then looks whether that is so.
pub(super) fn take_down(place: &Place, deadline: Deadline) -> Result<(), String> {
    let mut failed = None;
    let served = runs(place);
    if served {
        // Of itself it waits half a minute for a daemon that hangs.
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

/// Whether something of the role is here, be it of a role that has failed: a master daemon, or the master IP.
pub(super) fn is_left(place: &Place, site: &Site) -> bool {
    runs(place) || site.has_master_ip()
}

/// Whether a master daemon runs here.
pub(super) fn runs(place: &Place) -> bool {
    MASTER_DAEMONS.into_iter().any(|daemon| place.daemons.process(daemon).is_some()) || place.is_listening()
}

/// When the role was served here: the note of its IP is true until the next boot.
pub(super) fn served(place: &Place) -> Served {
    if place.is_listening() {
        Served::Now
    } else if place.markers.note(MASTER_IP).is_some() && !place.markers.has(Marker::MasterStopped) {
        Served::ThisBoot
    } else {
        Served::Never
    }
}

/// Keeps in mind the master IP of a role that serves here, for a stop that cannot read Ganeti's files any more.
pub(super) fn remember_master_ip(place: &Place, site: &Site) {
    let Some((address, _)) = site.master_ip() else { return };
    let text = address.to_string();
    if place.markers.note(MASTER_IP).as_ref() != Some(&text) {
        // What cannot be kept is missed only if Ganeti's files become unreadable as well.
        let _ = place.markers.write_note(MASTER_IP, &text);
    }
}

/// The master IP by Ganeti's files, and the one that served here, which may be another after a change.
///
/// `served`: daemons of the role ran here. Of a role that did not serve here there is no IP to look for.
fn master_ips(place: &Place, served: bool) -> Result<BTreeSet<IpAddr>, String> {
    let recorded = match Ssconf::new(&place.data_dir).line("master_ip") {
        Ok(Some(text)) => text.trim().parse().map(Some).map_err(|_| format!("{text:?} is no master IP")),
        // No node of a cluster; Ganeti writes its files together.
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

/// `ip addr del`, as Ganeti's own `master-ip-setup stop` does it, but where the address is and as it is: what the files
/// say of device and netmask may have changed since it was brought up.
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
