//! Taking the role: guard, clear what is in the way, fail over or start, and see that it serves.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use gnt_ha::core::node::NodeName;
use gnt_ha::core::roles::{
    OcfCode, Rank, Takeover, TakeoverView, Verdict, disagreement, newer_copy, successor, take_over,
};
use gnt_ha::core::tags::Mode;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::daemon_util;
use gnt_ha::sys::program::{ProgramError, run};
use gnt_ha::sys::reachable;
use gnt_ha::sys::unreachable::{make_reachable, make_unreachable};

use super::{PEERS, QUESTION, offer, take_jobs};
use crate::call::Call;
use crate::markers::Marker;
use crate::proof::proof_that_gone;
use crate::record::record_now;
use crate::site::{Place, Site};

/// How long nodes are waited for that may vote.
const VOTERS: Duration = Duration::from_secs(1);

/// How long the master IP is waited for, on its own network.
const MASTER_IP: Duration = Duration::from_millis(500);

/// How long Pacemaker is waited for when a proof is needed.
const PROOF: Duration = Duration::from_secs(5);

/// For how long what is gone is unreachable while the role is taken: a failover that takes longer takes its time.
const UNREACHABLE: Duration = Duration::from_secs(30);

/// How often luxid is asked whether it serves by now.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a luxid may take to appear after a command that failed.
const LUXID_APPEARS: Duration = Duration::from_secs(2);

/// What is kept of the time for the verification, when the command does not end.
const VERIFY: Duration = Duration::from_secs(3);

/// How long the master IP may take to come up after luxid has, and the peers to agree; Ganeti waits as long for the IP.
const SETTLES: Duration = Duration::from_secs(30);

pub(super) fn take(call: &Call, place: &Place) -> Verdict {
    if let Err(error) = place.site() {
        return Verdict::because(OcfCode::ErrInstalled, error.to_string());
    }
    // The administrator's own command is not to be disturbed: it starts and stops wconfd several times.
    while daemon_util::failover_under_way() && !call.deadline.passed() {
        call.deadline.sleep(PAUSE);
    }
    // It may have changed who this node is.
    let Ok(site) = place.site() else {
        return Verdict::because(OcfCode::ErrGeneric, "Ganeti's files have just become unreadable");
    };
    if site.rank == Rank::Master && serves(place, &site, QUESTION) {
        return taken(call, place, &site);
    }
    let (view, silent) = view(call, place, &site);
    let command = match take_over(&view) {
        Takeover::Refused(verdict) => return verdict,
        taking => taking,
    };
    if let Err(error) = place.daemons.clear_stale_pidfiles() {
        return Verdict::because(OcfCode::ErrGeneric, format!("cannot remove a stale pidfile: {error}"));
    }
    // The command may fail though the role was taken, and not fail though it was not: luxid is asked.
    let gone = gone_addresses(call, place, &site, &silent);
    make_unreachable(&gone, UNREACHABLE);
    let ended = execute(place, &command, call.deadline.earlier(VERIFY));
    if !gone.is_empty() {
        make_reachable();
    }
    let patience = call.deadline.at_most(LUXID_APPEARS);
    loop {
        if let Ok(site) = place.site()
            && site.rank == Rank::Master
            && serves(place, &site, QUESTION)
        {
            return taken(call, place, &site);
        }
        // A command that failed and left no luxid behind: nothing comes up any more.
        let hopeless = ended.is_err() && place.daemons.process("ganeti-luxid").is_none() && !place.is_listening();
        if call.deadline.passed() || hopeless && patience.passed() {
            break;
        }
        call.deadline.sleep(PAUSE);
    }
    let reason = match ended {
        Ok(()) => "luxid does not serve here, though the role was taken without an error".to_owned(),
        Err(error) => error.to_string(),
    };
    Verdict::because(OcfCode::ErrGeneric, reason)
}

fn execute(place: &Place, command: &Takeover, deadline: Deadline) -> Result<(), ProgramError> {
    match command {
        Takeover::StartDaemons { no_voting } => place.daemons.start_master(no_voting.is_some(), deadline),
        Takeover::Failover { no_voting } => {
            let words: &[&str] = match no_voting {
                None => &["master-failover"],
                Some(_) => &["master-failover", "--no-voting", "--yes-do-it"],
            };
            run(Path::new("gnt-cluster"), words, &[], deadline).map(drop)
        }
        Takeover::Refused(_) => Ok(()),
    }
}

/// Nodes that are silent and proven to be gone are not waited for; nor is the master IP, which went with them.
fn gone_addresses(call: &Call, place: &Place, site: &Site, silent: &[NodeName]) -> Vec<IpAddr> {
    let is_gone = |node: &&NodeName| proof_that_gone(place, site, node, call.deadline.at_most(PROOF)).is_some();
    let gone: Vec<&NodeName> = silent.iter().filter(is_gone).collect();
    let mut addresses: Vec<IpAddr> = gone.iter().filter_map(|node| site.address(node)).collect();
    if gone.iter().any(|node| Some(*node) == site.master.as_ref())
        && let Some((address, _)) = site.master_ip()
    {
        addresses.push(address);
    }
    addresses
}

/// Whether luxid here answers, and takes this host for the master.
fn serves(place: &Place, site: &Site, within: Duration) -> bool {
    place.luxids_master(Deadline::after(within)).is_ok_and(|master| site.is_here(&master))
}

/// The role is here and serves.
fn taken(call: &Call, place: &Place, site: &Site) -> Verdict {
    let cleared = place.markers.clear(Marker::MasterStopped);
    take_jobs(place, call.deadline);
    if site.tags().master_mode == Mode::Full {
        // The next monitor will want both: luxid has the master IP brought up a moment after it starts, and the peers
        // learn of their new master about then.
        let until = call.deadline.at_most(SETTLES);
        let agree = || disagreement(&site.here, &site.words(&place.data_dir, until.at_most(PEERS))).is_none();
        while !(until.passed() || site.has_master_ip() && agree()) {
            until.sleep(PAUSE);
        }
    }
    offer(call, place, site, true);
    record_now(place, call.deadline);
    match cleared {
        Ok(()) => Verdict::plain(OcfCode::Success),
        Err(error) => Verdict::because(OcfCode::ErrGeneric, format!("cannot keep the state: {error}")),
    }
}

/// Everything that the decision needs; nodes, master IP and confd are asked at once.
/// Beside it, the nodes that should answer and did not by then.
fn view(call: &Call, place: &Place, site: &Site) -> (TakeoverView, Vec<NodeName>) {
    let online = site.ssconf.names("online_nodes").unwrap_or_else(|_| site.nodes.clone());
    let others: Vec<&NodeName> = online.iter().filter(|node| **node != site.here).collect();
    let addresses: Vec<_> = others.iter().filter_map(|node| site.address(node)).collect();
    let (voting, served_elsewhere, words) = std::thread::scope(|scope| {
        let voting = scope.spawn(|| {
            let enough = site.nodes.len() / 2;
            reachable::accepting(&addresses, reachable::NODED, enough, call.deadline.at_most(VOTERS))
        });
        let elsewhere = scope.spawn(|| {
            !site.has_master_ip()
                && site.master_ip().is_some_and(|(address, _)| {
                    reachable::is_there(address, reachable::NODED, call.deadline.at_most(MASTER_IP))
                })
        });
        let words = site.words(&place.data_dir, call.deadline.at_most(PEERS));
        (voting.join().unwrap_or_default(), elsewhere.join().unwrap_or_default(), words)
    });
    let voters = 1 + voting.len();
    let answers = |node: &NodeName| site.address(node).is_some_and(|address| voting.contains(&address));
    let silent: Vec<NodeName> = others.into_iter().filter(|node| !answers(node)).cloned().collect();
    // A proof costs a question to Pacemaker: only where voting cannot be won.
    let gone = if 2 * voters > site.nodes.len() { None } else { gone(call, place, site, &silent) };
    let view = TakeoverView {
        rank: site.rank,
        successor: (site.rank == Rank::Master).then(|| successor(&site.here, &words, false)).flatten(),
        old_master: site.master.clone().filter(|master| *master != site.here),
        served_elsewhere,
        newer_copy: newer_copy(&words),
        any_serial: site.tags().any_serial,
        nodes: site.nodes.len(),
        voters,
        gone,
    };
    (view, silent)
}

/// What proves that nobody else can hold the role: for a failover, that the old master is gone; for a start on the
/// master itself, that every node is that does not answer. One that Ganeti has recorded offline is proven already.
fn gone(call: &Call, place: &Place, site: &Site, silent: &[NodeName]) -> Option<String> {
    let needed: Vec<&NodeName> = if site.rank == Rank::Master {
        silent.iter().collect()
    } else {
        let old = site.master.as_ref()?;
        let offline = site.ssconf.names("offline_nodes").unwrap_or_default();
        // An old master that answers is not gone, whatever was done to it before.
        if !silent.contains(old) && !offline.contains(old) {
            return None;
        }
        vec![old]
    };
    let mut proofs = Vec::new();
    for node in needed {
        proofs.push(proof_that_gone(place, site, node, call.deadline.at_most(PROOF))?);
    }
    Some(if proofs.is_empty() { "every other node is recorded offline".to_owned() } else { proofs.join("; ") })
}
