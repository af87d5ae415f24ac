//! Taking the role: guard, clear what is in the way, fail over or start, and see that it serves.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::roles::gone::{Other, is_word_for, must_be_gone};
use gnt_ha::core::roles::master_claims::{Served, Standing, disagreement, newer_copy, standing};
use gnt_ha::core::roles::{NodeRole, OcfCode, OcfResult, Takeover, TakeoverView, take_over};
use gnt_ha::service::shun::own::{Own, OwnRefusals};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::command::{ProgramError, run};
use gnt_ha::sys::ganeti::daemon_util;
use gnt_ha::sys::nft::unreachable::{make_reachable, make_unreachable};
use gnt_ha::sys::tcp_check;

use super::queue::take_jobs;
use super::{QUESTION, give_up, offer};
use crate::call::Call;
use crate::heard::{self, PEERS};
use crate::markers::Marker;
use crate::proof::Evidence;
use crate::record::record_now;
use crate::site::{Place, Site};

/// How long nodes are waited for that may vote.
const VOTERS: Duration = Duration::from_secs(1);

/// How long the master IP and the old master are waited for, on their own network.
const THERE: Duration = Duration::from_millis(500);

/// How often it is looked again at what is in the way.
const AGAIN: Duration = Duration::from_secs(1);

/// How long Pacemaker is waited for when a proof is needed.
const PROOF: Duration = Duration::from_secs(5);

/// For how long what is gone is unreachable while the role is taken: a failover that takes longer takes its time.
const UNREACHABLE: Duration = Duration::from_secs(30);

/// How often luxid is asked whether it serves by now.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a luxid may take to appear after a command that failed.
const LUXID_APPEARS: Duration = Duration::from_secs(2);

/// The same after one that did not: luxid asks the nodes for their votes, three times.
const LUXID_VOTES: Duration = Duration::from_secs(40);

/// What is kept of the time for the verification, when the command does not end.
const VERIFY: Duration = Duration::from_secs(3);

/// How long the master IP may take to come up after luxid has, and the peers to agree; Ganeti waits as long for the IP.
const SETTLES: Duration = Duration::from_secs(30);

pub(super) fn take(call: &Call, place: &Place) -> OcfResult {
    if let Err(error) = place.site() {
        return OcfResult::because(error.code(), error.to_string());
    }
    // What is in the way may go away: at a boot of the whole cluster noded comes up after Pacemaker, and a start that
    // fails takes the role from this node for good.
    let patience = call.deadline.at_most(call.deadline.left() / 2);
    // The administrator's own command is not to be disturbed: it starts and stops wconfd several times.
    while daemon_util::failover_under_way() {
        if patience.passed() {
            let reason =
                "a gnt-cluster master-failover runs on this host and does not end (does it wait for an answer?)";
            return OcfResult::because(OcfCode::ErrGeneric, reason);
        }
        call.deadline.sleep(PAUSE);
    }
    loop {
        // Each time anew: who this node is may have changed.
        let Ok(site) = place.site() else {
            return OcfResult::because(OcfCode::ErrGeneric, "Ganeti's files have just become unreadable");
        };
        if site.rank == NodeRole::Master && serves(place, &site, QUESTION) {
            return taken(call, place, &site);
        }
        let (view, gone) = view(call, place, &site);
        match take_over(&view) {
            Takeover::NotYet(_) if !patience.passed() => patience.sleep(AGAIN),
            Takeover::NotYet(verdict) | Takeover::Refused(verdict) => return verdict,
            command => return carry_out(call, place, &command, &gone),
        }
    }
}

/// Does what was decided; `gone` are addresses that are not to be waited for.
fn carry_out(call: &Call, place: &Place, command: &Takeover, gone: &[IpAddr]) -> OcfResult {
    if let Err(error) = place.daemons.clear_stale_pidfiles() {
        return OcfResult::because(OcfCode::ErrGeneric, format!("cannot remove a stale pidfile: {error}"));
    }
    // The command may fail though the role was taken, and not fail though it was not: luxid is asked.
    make_unreachable(gone, UNREACHABLE);
    let ended = execute(place, command, call.deadline.earlier(VERIFY));
    if !gone.is_empty() {
        make_reachable();
    }
    // While it asks for votes it has no pidfile yet.
    let appears = call.deadline.at_most(if ended.is_ok() { LUXID_VOTES } else { LUXID_APPEARS });
    loop {
        if let Ok(site) = place.site()
            && site.rank == NodeRole::Master
            && serves(place, &site, QUESTION)
        {
            return taken(call, place, &site);
        }
        let is_absent = place.daemons.process("ganeti-luxid").is_none() && !place.is_listening();
        if call.deadline.passed() || is_absent && appears.passed() {
            break;
        }
        call.deadline.sleep(PAUSE);
    }
    let reason = match ended {
        Ok(()) => "luxid does not serve here, though the role was taken without an error".to_owned(),
        Err(error) => error.to_string(),
    };
    OcfResult::because(OcfCode::ErrGeneric, reason)
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
        Takeover::Refused(_) | Takeover::NotYet(_) => Ok(()),
    }
}

/// Whether luxid here answers, and takes this host for the master.
fn serves(place: &Place, site: &Site, within: Duration) -> bool {
    place.luxids_master(Deadline::after(within)).is_ok_and(|master| site.is_here(&master))
}

/// The role is here and serves.
fn taken(call: &Call, place: &Place, site: &Site) -> OcfResult {
    let cleared = place.markers.clear(Marker::MasterStopped);
    take_jobs(place, call.deadline);
    give_up::remember_master_ip(place, site);
    if site.tags().master_mode == Mode::Full {
        // The next monitor will want both: luxid has the master IP brought up a moment after it starts, and the peers
        // learn of their new master about then.
        let until = call.deadline.at_most(SETTLES);
        let agree = || disagreement(&site.here, &site.words(place, until.at_most(PEERS))).is_none();
        while !(until.passed() || site.has_master_ip() && agree()) {
            until.sleep(PAUSE);
        }
    }
    offer(call, place, site, true);
    record_now(place, call.deadline);
    match cleared {
        Ok(()) => OcfResult::plain(OcfCode::Success),
        Err(error) => OcfResult::because(OcfCode::ErrGeneric, format!("cannot keep the state: {error}")),
    }
}

/// Everything that the decision needs; nodes, master IP and confd are asked at once. Beside it, the addresses that need
/// not be waited for: of nodes that are silent and proven to be gone, and of the master IP that went with them.
fn view(call: &Call, place: &Place, site: &Site) -> (TakeoverView, Vec<IpAddr>) {
    let online = site.ssconf.names("online_nodes").unwrap_or_else(|_| site.nodes.clone());
    let others: Vec<&NodeName> = online.iter().filter(|node| **node != site.here).collect();
    let addresses: Vec<_> = others.iter().filter_map(|node| site.address(node)).collect();
    // Whoever is shunned and is refused by this host's kernel cannot be asked. Where that is in doubt it is asked: a refused
    // connection is no vote, and no silence.
    let refusals = OwnRefusals::read(&place.state_dir, call.deadline.at_most(VOTERS));
    let (refused, addresses): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(|address| refusals.of(*address) == Own::Shunned);
    let enough = site.nodes.len() / 2;
    // What could not be asked is taken for there.
    let (voting, served_elsewhere, silent, words) = std::thread::scope(|scope| {
        let voting = spawn(scope, || {
            tcp_check::accepting(&addresses, tcp_check::NODED_PORT, enough, call.deadline.at_most(VOTERS))
        });
        let silent =
            spawn(scope, || tcp_check::silent(&addresses, tcp_check::NODED_PORT, call.deadline.at_most(THERE)));
        let elsewhere = spawn(scope, || {
            let is_there = |address| tcp_check::is_there(address, tcp_check::NODED_PORT, call.deadline.at_most(THERE));
            !site.has_master_ip() && site.master_ip().is_some_and(|(address, _)| is_there(address))
        });
        let words = site.words(place, call.deadline.at_most(PEERS));
        let (voting, silent) = (answer(voting).unwrap_or_default(), answer(silent).unwrap_or_default());
        (voting, answer(elsewhere).unwrap_or(true), silent, words)
    });
    let silent: BTreeSet<IpAddr> = silent.into_iter().chain(refused).collect();
    let voters = 1 + voting.len();
    let among = |found: &BTreeSet<IpAddr>, node: &NodeName| site.address(node).is_some_and(|at| found.contains(&at));
    let is_heard = |node: &NodeName| words.iter().any(|word| is_word_for(word, node, site.master.as_ref()));
    let known = |node: &NodeName, evidence: Option<&Evidence>| Other {
        name: node.clone(),
        is_candidate: site.candidates.contains(node),
        votes: among(&voting, node),
        is_heard: is_heard(node),
        member: evidence.and_then(|evidence| evidence.membership(node)),
    };
    let nodes: Vec<NodeName> = others.iter().copied().cloned().collect();
    let silent: Vec<NodeName> = others.into_iter().filter(|node| among(&silent, node)).cloned().collect();
    // A proof costs a question to Pacemaker: only where somebody is silent.
    let is_outvoted = 2 * voters <= site.nodes.len();
    let proof_by = call.deadline.at_most(PROOF);
    let mut evidence = (!silent.is_empty() || is_outvoted).then(|| Evidence::gather(place, site, proof_by));
    let others: Vec<Other> = nodes.iter().map(|node| known(node, evidence.as_ref())).collect();
    let needed: Vec<NodeName> = match &site.master {
        Some(master) if is_outvoted => must_be_gone(site.rank, master, &others).into_iter().cloned().collect(),
        _ => Vec::new(),
    };
    if let Some(evidence) = &mut evidence {
        // Of all others nothing has to be proven, and each question may take its time.
        let asked: Vec<NodeName> = needed.iter().chain(&silent).cloned().collect();
        evidence.ask_others(&asked, place, site, proof_by);
    }
    let proof = |node: &NodeName| evidence.as_ref().and_then(|evidence| evidence.proof_that_gone(node));
    let own = site.serial(&place.data_dir).or_else(|| words.iter().find(|word| word.own).map(|word| word.serial));
    let gone = gone_addresses(site, &silent, proof);
    let (proven, unproven) = match proof_of_all(site, &needed, &silent, proof) {
        _ if !is_outvoted || site.master.is_none() => (None, None),
        Ok(proof) => (Some(proof), None),
        Err(unproven) => (None, Some(unproven)),
    };
    let view = TakeoverView {
        rank: site.rank,
        standing: match site.rank {
            // luxid does not serve here, whether or not it listens.
            NodeRole::Master => standing(&site.here, &words, site.candidates.len(), Served::Never),
            NodeRole::Candidate | NodeRole::Other => Standing::Undisputed,
        },
        served_elsewhere,
        newer_copy: newer_copy(own, &words),
        missed: heard::missed(place, own),
        any_serial: site.tags().any_serial,
        nodes: site.nodes.len(),
        voters,
        gone: proven,
        unproven,
    };
    (view, gone)
}

type Asked<'scope, T> = std::io::Result<ScopedJoinHandle<'scope, T>>;

/// A host that is out of threads must not make an agent fail: what is asked is not known then.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    ask: impl FnOnce() -> T + Send + 'scope,
) -> Asked<'scope, T> {
    std::thread::Builder::new().spawn_scoped(scope, ask)
}

fn answer<T>(asked: Asked<'_, T>) -> Option<T> {
    asked.ok()?.join().ok()
}

fn gone_addresses(site: &Site, silent: &[NodeName], proof: impl Fn(&NodeName) -> Option<String>) -> Vec<IpAddr> {
    let gone: Vec<&NodeName> = silent.iter().filter(|node| proof(node).is_some()).collect();
    let mut addresses: Vec<IpAddr> = gone.iter().filter_map(|node| site.address(node)).collect();
    if gone.iter().any(|node| Some(*node) == site.master.as_ref())
        && let Some((address, _)) = site.master_ip()
    {
        addresses.push(address);
    }
    addresses
}

/// What proves that nobody else holds the role, or of whom nothing proves it. A node that Ganeti has recorded offline is proven
/// already, and one that answers is not gone, whatever was done to it before.
fn proof_of_all(
    site: &Site,
    needed: &[NodeName],
    silent: &[NodeName],
    proof: impl Fn(&NodeName) -> Option<String>,
) -> Result<String, NodeName> {
    let offline = site.ssconf.names("offline_nodes").unwrap_or_default();
    let may_be_gone = |node: &NodeName| silent.contains(node) || offline.contains(node);
    let proven = |node: &NodeName| proof(node).filter(|_| may_be_gone(node)).ok_or_else(|| node.clone());
    let proofs: Vec<String> = needed.iter().map(proven).collect::<Result<_, _>>()?;
    Ok(if proofs.is_empty() { "every other node is recorded offline".to_owned() } else { proofs.join("; ") })
}
