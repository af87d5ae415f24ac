//! Stops the master role: stops the master daemons and removes the master IP. Pacemaker fences a node on which the stop
//! fails.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use gnt_ha::core::roles::master_claims::MasterService;
use gnt_ha::core::roles::{OcfCode, OcfResult};
use gnt_ha::sys::addresses;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::command::{ProgramError, run};
use gnt_ha::sys::ganeti::daemon_util::MASTER_DAEMONS;
use gnt_ha::sys::ganeti::ssconf::{Ssconf, SsconfError};

use super::job_queue;
use crate::call::AgentCall;
use crate::ganeti_view::GanetiView;
use crate::markers::Marker;
use crate::paths::AgentPaths;

/// The note with the master IP of the role that was served on this host.
const MASTER_IP: &str = "master-role.ip";

/// The part of the time that is reserved for killing daemons that do not end, and for removing the master IP.
const KILL_TIME: Duration = Duration::from_secs(4);

/// The most that the daemons may take to end by themselves: more than ten times what they need. A daemon that hangs
/// delays the role for as long.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The most that a killed daemon may take to vanish.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// The reason why the role, or a part of it, is still on this host.
#[derive(Debug, thiserror::Error)]
pub(super) enum StopError {
    /// Master daemons run, or luxid's socket accepts connections; with the error of `daemon-util`, if it failed.
    #[error("still running: {daemons}{}", .error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default())]
    Running {
        /// The names of the daemons, separated by commas.
        daemons: String,
        /// The error of `daemon-util stop-master`.
        error: Option<ProgramError>,
    },
    /// The role was served here, and Ganeti's files do not show its IP.
    #[error("the master IP is unknown: {0}")]
    UnknownMasterIp(MasterIpError),
    /// The kernel does not list this host's addresses.
    #[error("cannot read this host's addresses: {0}")]
    Addresses(io::Error),
    /// `ip addr del` failed, and the master IP is still on this host.
    #[error(transparent)]
    RemoveMasterIp(ProgramError),
    /// `ip addr del` succeeded, and the master IP is still on this host.
    #[error("the master IP {0} is still here")]
    MasterIp(IpAddr),
}

/// The reason why Ganeti's files do not show the master IP.
#[derive(Debug, thiserror::Error)]
pub(super) enum MasterIpError {
    /// The content of the file is not an address.
    #[error("{0:?} is not a valid master IP")]
    NotValid(String),
    /// The file cannot be read, or is not valid.
    #[error(transparent)]
    Ssconf(SsconfError),
}

pub(super) fn stop_role(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    let ganeti = paths.ganeti_view().ok();
    if paths.is_listening()
        && ganeti.as_ref().is_none_or(|ganeti| ganeti.tags().drain_queue)
        && job_queue::is_planned(paths, ganeti.as_ref(), call.deadline)
    {
        job_queue::drain(paths, call.deadline);
    }
    // The marker is set first: a monitor between the two steps must not report a failure.
    let marked = paths.markers.set(Marker::MasterStopped);
    match (take_down(paths, call.deadline), marked) {
        (Ok(()), Ok(())) => OcfResult::plain(OcfCode::Success),
        // The role is stopped. Without the marker a probe in partial mode takes it for running, with no worse effect.
        (Ok(()), Err(error)) => {
            OcfResult::because(OcfCode::Success, format!("stopped, but the marker cannot be written: {error}"))
        }
        (Err(error), _) => OcfResult::because(OcfCode::ErrGeneric, error.to_string()),
    }
}

/// Stops the master's daemons and removes the master IP; then checks that both are gone. Idempotent.
pub(super) fn take_down(paths: &AgentPaths, deadline: Deadline) -> Result<(), StopError> {
    let mut failed = None;
    let served = runs(paths);
    if served {
        // daemon-util alone waits 30 s for a daemon that hangs.
        let limit = deadline.earlier(KILL_TIME).at_most(STOP_LIMIT.min(deadline.left() / 2));
        let ended = paths.daemons.daemon_util(&["stop-master"], limit);
        failed = ended.err();
        let _ = paths.daemons.kill(&MASTER_DAEMONS);
        let until = deadline.at_most(KILL_LIMIT);
        while runs(paths) && !until.passed() {
            until.sleep(Duration::from_millis(20));
        }
    }
    let ip = remove_master_ip(paths, served, deadline);
    let left: Vec<&str> = MASTER_DAEMONS.into_iter().filter(|daemon| paths.daemons.process(daemon).is_some()).collect();
    if !left.is_empty() || paths.is_listening() {
        return Err(StopError::Running { daemons: left.join(", "), error: failed });
    }
    ip
}

/// Whether this host has a part of the role, also of a failed one: a master daemon, or the master IP.
pub(super) fn is_left(paths: &AgentPaths, ganeti: &GanetiView) -> bool {
    runs(paths) || ganeti.has_master_ip()
}

/// Whether a master daemon runs on this host, or luxid's socket accepts connections.
pub(super) fn runs(paths: &AgentPaths) -> bool {
    MASTER_DAEMONS.into_iter().any(|daemon| paths.daemons.process(daemon).is_some()) || paths.is_listening()
}

/// Returns when the role was served on this host: now, since the boot (the note of its IP is kept until the next boot),
/// or never.
pub(super) fn served(paths: &AgentPaths) -> MasterService {
    if paths.is_listening() {
        MasterService::Now
    } else if paths.markers.note(MASTER_IP).is_some() && !paths.markers.has(Marker::MasterStopped) {
        MasterService::ThisBoot
    } else {
        MasterService::Never
    }
}

/// Writes down the master IP of a role that serves here, for a stop that cannot read Ganeti's files any more.
pub(super) fn remember_master_ip(paths: &AgentPaths, ganeti: &GanetiView) {
    let Some((address, _)) = ganeti.master_ip() else { return };
    let text = address.to_string();
    if paths.markers.note(MASTER_IP).as_ref() != Some(&text) {
        // The note is missed only if Ganeti's files become unreadable as well.
        let _ = paths.markers.write_note(MASTER_IP, &text);
    }
}

/// Returns the master IP by Ganeti's files and the one that served here. They differ if the IP was changed since.
///
/// `served`: daemons of the role ran here. Only then are unreadable files an error, as a role that did not serve here
/// has no IP to remove.
fn master_ips(paths: &AgentPaths, served: bool) -> Result<BTreeSet<IpAddr>, StopError> {
    let recorded = match Ssconf::new(&paths.data_dir).line("master_ip") {
        Ok(Some(text)) => text.trim().parse().map(Some).map_err(|_| MasterIpError::NotValid(text)),
        // The host is not a node of a cluster: Ganeti writes its files together.
        Ok(None) | Err(SsconfError::Absent(_)) => Ok(None),
        Err(error) => Err(MasterIpError::Ssconf(error)),
    };
    let remembered = paths.markers.note(MASTER_IP).and_then(|text| text.trim().parse().ok());
    match (recorded, remembered) {
        (Err(error), None) if served => Err(StopError::UnknownMasterIp(error)),
        (recorded, remembered) => Ok(recorded.ok().flatten().into_iter().chain(remembered).collect()),
    }
}

fn remove_master_ip(paths: &AgentPaths, served: bool, deadline: Deadline) -> Result<(), StopError> {
    for address in master_ips(paths, served)? {
        remove(address, deadline)?;
    }
    Ok(())
}

/// Runs `ip addr del`, as Ganeti's own `master-ip-setup stop` does, but for the device and prefix length that the
/// kernel reports. Device and netmask in Ganeti's files may have changed since the address was added.
fn remove(address: IpAddr, deadline: Deadline) -> Result<(), StopError> {
    let here = || addresses::find(address).map_err(StopError::Addresses);
    let mut failed = None;
    for found in here()? {
        let with_prefix = format!("{address}/{}", found.prefix);
        let removed = run(Path::new("ip"), &["addr", "del", &with_prefix, "dev", &found.device], &[], deadline);
        failed = removed.err().or(failed);
    }
    if here()?.is_empty() {
        return Ok(());
    }
    Err(failed.map_or(StopError::MasterIp(address), StopError::RemoveMasterIp))
}
