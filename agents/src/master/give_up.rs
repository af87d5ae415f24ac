//! Giving the role up, so that nothing of it is left: a stop that fails has the node fenced.

use std::path::Path;
use std::time::Duration;

use gnt_ha::core::roles::{OcfCode, Verdict};
use gnt_ha::sys::addresses;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::daemon_util::MASTER_DAEMONS;
use gnt_ha::sys::luxi::Luxi;
use gnt_ha::sys::program::run;

use crate::call::Call;
use crate::markers::Marker;
use crate::site::{Place, Site};

/// The part of the time that running jobs are waited for.
const DRAIN_SHARE: u32 = 3;

/// How often running jobs are counted.
const DRAIN_PAUSE: Duration = Duration::from_millis(200);

/// How long one question to luxid may take. One that hangs is not waited for: then nothing is planned any more.
const QUESTION: Duration = Duration::from_secs(2);

/// What is kept of the time to kill daemons that do not end, and to take the master IP down.
const KILL: Duration = Duration::from_secs(4);

/// How long the daemons may take to end by themselves; it is more than ten times what they need. One that hangs has the
/// role down for as long.
const ENDS: Duration = Duration::from_secs(10);

/// How long a killed daemon may take to vanish.
const VANISH: Duration = Duration::from_secs(2);

pub(super) fn give_up(call: &Call, place: &Place) -> Verdict {
    let site = place.site().ok();
    if place.is_listening() && site.as_ref().is_none_or(|site| site.tags().drain_queue) {
        drain(place, call.deadline);
    }
    // Before it is true: between the two a monitor must not take it for a failure.
    let marked = place.markers.set(Marker::MasterStopped);
    match (take_down(place, site.as_ref(), call.deadline), marked) {
        (Ok(()), Ok(())) => Verdict::plain(OcfCode::Success),
        // Stopped is stopped. In partial mode a probe would take it for running, and nothing worse.
        (Ok(()), Err(error)) => Verdict::because(OcfCode::Success, format!("stopped, but it cannot be kept: {error}")),
        (Err(reason), _) => Verdict::because(OcfCode::ErrGeneric, reason),
    }
}

/// Lets running jobs end, for a part of the time. Whatever goes wrong here, the stop goes on.
fn drain(place: &Place, deadline: Deadline) {
    let until = deadline.at_most(deadline.left() / DRAIN_SHARE);
    let question = || Luxi::connect(&place.luxid(), until.at_most(QUESTION));
    // Before it is true: Ganeti waits 5 s for each dead candidate, and the flag is set long before it confirms that.
    let _ = place.markers.set(Marker::QueueDrained);
    let _ = question().and_then(|mut luxi| luxi.set_drain_flag(true));
    while question().and_then(|mut luxi| luxi.jobs_under_way()).is_ok_and(|jobs| jobs > 0) && !until.passed() {
        until.sleep(DRAIN_PAUSE);
    }
}

/// Stops the master's daemons and takes the master IP down; then looks whether that is so.
pub(super) fn take_down(place: &Place, site: Option<&Site>, deadline: Deadline) -> Result<(), String> {
    let runs = || MASTER_DAEMONS.into_iter().filter(|daemon| place.daemons.process(daemon).is_some());
    let mut failed = None;
    if runs().next().is_some() || place.is_listening() {
        // Of itself it waits half a minute for a daemon that hangs.
        let patience = deadline.earlier(KILL).at_most(ENDS.min(deadline.left() / 2));
        let ended = place.daemons.daemon_util(&["stop-master"], patience);
        failed = ended.err();
        let _ = place.daemons.kill(&MASTER_DAEMONS);
        let until = deadline.at_most(VANISH);
        while (runs().next().is_some() || place.is_listening()) && !until.passed() {
            until.sleep(Duration::from_millis(20));
        }
    }
    let ip = site.map_or(Ok(()), |site| remove_master_ip(site, deadline));
    let left: Vec<&str> = runs().collect();
    if !left.is_empty() || place.is_listening() {
        let why = failed.map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!("still running: {}{why}", left.join(", ")));
    }
    ip
}

/// `ip addr del`, as Ganeti's own `master-ip-setup stop` does it. It is looked for on every device.
fn remove_master_ip(site: &Site, deadline: Deadline) -> Result<(), String> {
    let Some((address, device)) = site.master_ip() else { return Ok(()) };
    let is_here =
        || addresses::has(address, None).map_err(|error| format!("cannot see this host's addresses: {error}"));
    if !is_here()? {
        return Ok(());
    }
    let Some(device) = device else { return Err(format!("the master IP {address} is here, on an unknown device")) };
    let mask = site.ssconf.line("master_netmask").ok().flatten();
    let mask = mask.unwrap_or_else(|| if address.is_ipv4() { "32" } else { "128" }.to_owned());
    let removed = run(Path::new("ip"), &["addr", "del", &format!("{address}/{mask}"), "dev", &device], &[], deadline);
    match (is_here()?, removed) {
        (false, _) => Ok(()),
        (true, Ok(_)) => Err(format!("the master IP {address} is still here")),
        (true, Err(error)) => Err(error.to_string()),
    }
}
