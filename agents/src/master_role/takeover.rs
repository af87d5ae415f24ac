//! Takes the master role: checks the guards, waits for what blocks it, fails over or starts the daemons, and verifies
//! that luxid serves.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::roles::gone::{OtherNode, must_be_gone, names_old_master};
use gnt_ha::core::roles::master_claims::{MasterService, MasterStanding, disagreement, newer_copy, standing};
use gnt_ha::core::roles::{NodeRole, OcfCode, OcfResult, Takeover, TakeoverView, take_over};
use gnt_ha::service::shun::own::{AddressState, OwnRules};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::command::{ProgramError, run};
use gnt_ha::sys::ganeti::daemon_util;
use gnt_ha::sys::nft::unreachable::{make_reachable, make_unreachable};
use gnt_ha::sys::tcp_check;

use super::job_queue::take_jobs;
use super::{REQUEST_LIMIT, offer, stop};
use crate::call::AgentCall;
use crate::evidence::NodesEvidence;
use crate::ganeti_view::GanetiView;
use crate::markers::Marker;
use crate::newer_config::{self, PEER_LIMIT};
use crate::paths::AgentPaths;
use crate::reconcile::reconcile_now;

/// The most that nodes that may vote are waited for.
const VOTE_LIMIT: Duration = Duration::from_secs(1);

/// The most that the master IP and the old master are waited for, on their own network.
const PRESENCE_LIMIT: Duration = Duration::from_millis(500);

/// The pause between two checks of what blocks the take-over.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The most that Pacemaker is waited for when a proof is needed.
const PROOF_LIMIT: Duration = Duration::from_secs(5);

/// How long the addresses of nodes that are gone are made unreachable while the role is taken. A failover that takes
/// longer waits for their timeouts.
const UNREACHABLE_TIME: Duration = Duration::from_secs(30);

/// The pause between two requests to luxid whether it serves.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The most that luxid may take to appear after a command that failed.
const LUXID_START_TIMEOUT: Duration = Duration::from_secs(2);

/// The most that luxid may take to appear after a command that succeeded: luxid asks the nodes for their votes, three
/// times.
const LUXID_VOTE_TIMEOUT: Duration = Duration::from_secs(40);

/// The part of the time that is reserved for the verification, if the command does not end.
const VERIFY_TIME: Duration = Duration::from_secs(3);

/// The most that the master IP may take to appear after luxid, and the peers to agree. Ganeti waits as long for the IP.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

pub(super) fn take(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    if let Err(error) = paths.ganeti_view() {
        return OcfResult::because(error.code(), error.to_string());
    }
    // What blocks the start may end by itself. At a boot of the whole cluster noded starts after Pacemaker, and a start
    // that fails takes the role from this node for good.
    let limit = call.deadline.at_most(call.deadline.left() / 2);
    // The administrator's own command must not be disturbed: it starts and stops wconfd several times.
    while daemon_util::failover_under_way() {
        if limit.passed() {
            let reason =
                "a gnt-cluster master-failover runs on this host and does not end (does it wait for an answer?)";
            return OcfResult::because(OcfCode::ErrGeneric, reason);
        }
        call.deadline.sleep(POLL_INTERVAL);
    }
    loop {
        // Read in each round: the role of this node may have changed.
        let Ok(ganeti) = paths.ganeti_view() else {
            return OcfResult::because(OcfCode::ErrGeneric, "Ganeti's files cannot be read any more");
        };
        if ganeti.rank == NodeRole::Master && serves(paths, &ganeti, REQUEST_LIMIT) {
            return taken(call, paths, &ganeti);
        }
        let (view, gone) = view(call, paths, &ganeti);
        match take_over(&view) {
            Takeover::NotYet(_) if !limit.passed() => limit.sleep(RETRY_PAUSE),
            Takeover::NotYet(result) | Takeover::Blocked(result) => return result,
            command => return carry_out(call, paths, &command, &gone),
        }
    }
}

/// Carries out `command` and verifies the result. `gone` are addresses that need not be waited for.
fn carry_out(call: &AgentCall, paths: &AgentPaths, command: &Takeover, gone: &[IpAddr]) -> OcfResult {
    if let Err(error) = paths.daemons.clear_stale_pidfiles() {
        return OcfResult::because(OcfCode::ErrGeneric, format!("cannot remove a stale pidfile: {error}"));
    }
    // The command's result is not reliable: it may fail after the role was taken, and succeed without it. luxid is
    // asked.
    make_unreachable(gone, UNREACHABLE_TIME);
    let ended = execute(paths, command, call.deadline.earlier(VERIFY_TIME));
    if !gone.is_empty() {
        make_reachable();
    }
    // While luxid asks for votes it has no pidfile yet.
    let appears = call.deadline.at_most(if ended.is_ok() { LUXID_VOTE_TIMEOUT } else { LUXID_START_TIMEOUT });
    loop {
        if let Ok(ganeti) = paths.ganeti_view()
            && ganeti.rank == NodeRole::Master
            && serves(paths, &ganeti, REQUEST_LIMIT)
        {
            return taken(call, paths, &ganeti);
        }
        let is_absent = paths.daemons.process("ganeti-luxid").is_none() && !paths.is_listening();
        if call.deadline.passed() || is_absent && appears.passed() {
            break;
        }
        call.deadline.sleep(POLL_INTERVAL);
    }
    let reason = match ended {
        Ok(()) => "luxid does not serve here, though the role was taken without an error".to_owned(),
        Err(error) => error.to_string(),
    };
    OcfResult::because(OcfCode::ErrGeneric, reason)
}

fn execute(paths: &AgentPaths, command: &Takeover, deadline: Deadline) -> Result<(), ProgramError> {
    match command {
        Takeover::StartDaemons { no_voting } => paths.daemons.start_master(no_voting.is_some(), deadline),
        Takeover::Failover { no_voting } => {
            let arguments: &[&str] = match no_voting {
                None => &["master-failover"],
                Some(_) => &["master-failover", "--no-voting", "--yes-do-it"],
            };
            run(Path::new("gnt-cluster"), arguments, &[], deadline).map(drop)
        }
        Takeover::Blocked(_) | Takeover::NotYet(_) => Ok(()),
    }
}

/// Whether luxid on this host answers, and names this host as the master.
fn serves(paths: &AgentPaths, ganeti: &GanetiView, within: Duration) -> bool {
    paths.luxids_master(Deadline::after(within)).is_ok_and(|master| ganeti.is_here(&master))
}

/// Finishes a take-over: the role is on this host and serves. Clears the marker, opens the queue, publishes the score
/// and starts a reconciliation.
fn taken(call: &AgentCall, paths: &AgentPaths, ganeti: &GanetiView) -> OcfResult {
    let cleared = paths.markers.clear(Marker::MasterStopped);
    take_jobs(paths, call.deadline);
    stop::remember_master_ip(paths, ganeti);
    if ganeti.tags().master_mode == Mode::Full {
        // The next monitor needs both. luxid has the master IP added a moment after it starts, and the peers learn of
        // their new master about then.
        let until = call.deadline.at_most(SETTLE_LIMIT);
        let agree = || disagreement(&ganeti.here, &ganeti.master_claims(paths, until.at_most(PEER_LIMIT))).is_none();
        while !(until.passed() || ganeti.has_master_ip() && agree()) {
            until.sleep(POLL_INTERVAL);
        }
    }
    offer(call, paths, ganeti, true);
    reconcile_now(paths, call.deadline);
    match cleared {
        Ok(()) => OcfResult::plain(OcfCode::Success),
        Err(error) => OcfResult::because(OcfCode::ErrGeneric, format!("cannot write the state: {error}")),
    }
}

/// Collects the input of the decision; asks nodes, master IP and confd at the same time. Also returns the addresses
/// that need not be waited for: of nodes that do not answer and are proven to be gone, and of the master IP that went
/// with them.
fn view(call: &AgentCall, paths: &AgentPaths, ganeti: &GanetiView) -> (TakeoverView, Vec<IpAddr>) {
    let online = ganeti.ssconf.names("online_nodes").unwrap_or_else(|_| ganeti.nodes.clone());
    let others: Vec<&NodeName> = online.iter().filter(|node| **node != ganeti.here).collect();
    let addresses: Vec<_> = others.iter().filter_map(|node| ganeti.address(node)).collect();
    // A node that this host's kernel shuns cannot be asked. Where that is in doubt it is asked: a refused connection
    // counts neither as a vote nor as silence.
    let own_rules = OwnRules::read(&paths.state_dir, call.deadline.at_most(VOTE_LIMIT));
    let (not_asked, addresses): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(|address| own_rules.of(*address) == AddressState::Shunned);
    let enough = ganeti.nodes.len() / 2;
    // An address that could not be asked counts as in use.
    let (voting, served_elsewhere, silent, claims) = std::thread::scope(|scope| {
        let voting = spawn(scope, || {
            tcp_check::accepting(&addresses, tcp_check::NODED_PORT, enough, call.deadline.at_most(VOTE_LIMIT))
        });
        let silent = spawn(scope, || {
            tcp_check::find_silent(&addresses, tcp_check::NODED_PORT, call.deadline.at_most(PRESENCE_LIMIT))
        });
        let elsewhere = spawn(scope, || {
            let is_there =
                |address| tcp_check::is_there(address, tcp_check::NODED_PORT, call.deadline.at_most(PRESENCE_LIMIT));
            !ganeti.has_master_ip() && ganeti.master_ip().is_some_and(|(address, _)| is_there(address))
        });
        let claims = ganeti.master_claims(paths, call.deadline.at_most(PEER_LIMIT));
        let (voting, silent) = (answer(voting).unwrap_or_default(), answer(silent).unwrap_or_default());
        (voting, answer(elsewhere).unwrap_or(true), silent, claims)
    });
    let silent: BTreeSet<IpAddr> = silent.into_iter().chain(not_asked).collect();
    let voters = 1 + voting.len();
    let among = |found: &BTreeSet<IpAddr>, node: &NodeName| ganeti.address(node).is_some_and(|at| found.contains(&at));
    let names_same_master =
        |node: &NodeName| claims.iter().any(|claim| names_old_master(claim, node, ganeti.master.as_ref()));
    let known = |node: &NodeName, evidence: Option<&NodesEvidence>| OtherNode {
        name: node.clone(),
        is_candidate: ganeti.candidates.contains(node),
        votes: among(&voting, node),
        names_same_master: names_same_master(node),
        member: evidence.and_then(|evidence| evidence.membership(node)),
    };
    let nodes: Vec<NodeName> = others.iter().copied().cloned().collect();
    let silent: Vec<NodeName> = others.into_iter().filter(|node| among(&silent, node)).cloned().collect();
    // A proof costs a request to Pacemaker: only where a node does not answer or a majority is missing.
    let is_outvoted = 2 * voters <= ganeti.nodes.len();
    let proof_by = call.deadline.at_most(PROOF_LIMIT);
    let mut evidence = (!silent.is_empty() || is_outvoted).then(|| NodesEvidence::collect(paths, ganeti, proof_by));
    let others: Vec<OtherNode> = nodes.iter().map(|node| known(node, evidence.as_ref())).collect();
    let needed: Vec<NodeName> = match &ganeti.master {
        Some(master) if is_outvoted => must_be_gone(ganeti.rank, master, &others).into_iter().cloned().collect(),
        _ => Vec::new(),
    };
    if let Some(evidence) = &mut evidence {
        // Of all others nothing has to be proven, and each question may take its time.
        let asked: Vec<NodeName> = needed.iter().chain(&silent).cloned().collect();
        evidence.ask_others(&asked, paths, ganeti, proof_by);
    }
    let proof = |node: &NodeName| evidence.as_ref().and_then(|evidence| evidence.proof_that_gone(node));
    let own =
        ganeti.serial(&paths.data_dir).or_else(|| claims.iter().find(|claim| claim.own).map(|claim| claim.serial));
    let gone = gone_addresses(ganeti, &silent, proof);
    let (proven, unproven) = match proof_of_all(ganeti, &needed, &silent, proof) {
        _ if !is_outvoted || ganeti.master.is_none() => (None, None),
        Ok(proof) => (Some(proof), None),
        Err(unproven) => (None, Some(unproven)),
    };
    let view = TakeoverView {
        rank: ganeti.rank,
        standing: match ganeti.rank {
            // luxid does not serve here, whether or not it listens.
            NodeRole::Master => standing(&ganeti.here, &claims, ganeti.candidates.len(), MasterService::Never),
            NodeRole::Candidate | NodeRole::Other => MasterStanding::Undisputed,
        },
        served_elsewhere,
        newer_copy: newer_copy(own, &claims),
        newer: newer_config::if_newer(paths, own),
        any_serial: ganeti.tags().any_serial,
        nodes: ganeti.nodes.len(),
        voters,
        gone: proven,
        unproven,
    };
    (view, gone)
}

type PendingAnswer<'scope, T> = std::io::Result<ScopedJoinHandle<'scope, T>>;

/// Starts `ask` in a thread. On a host that is out of threads the agent must not fail: the answer is unknown then. Each
/// question has an answer of its own type, so they are not items of [`gnt_ha::sys::fan_out::each`].
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    ask: impl FnOnce() -> T + Send + 'scope,
) -> PendingAnswer<'scope, T> {
    std::thread::Builder::new().spawn_scoped(scope, ask)
}

fn answer<T>(asked: PendingAnswer<'_, T>) -> Option<T> {
    asked.ok()?.join().ok()
}

fn gone_addresses(
    ganeti: &GanetiView,
    silent: &[NodeName],
    proof: impl Fn(&NodeName) -> Option<String>,
) -> Vec<IpAddr> {
    let gone: Vec<&NodeName> = silent.iter().filter(|node| proof(node).is_some()).collect();
    let mut addresses: Vec<IpAddr> = gone.iter().filter_map(|node| ganeti.address(node)).collect();
    if gone.iter().any(|node| Some(*node) == ganeti.master.as_ref())
        && let Some((address, _)) = ganeti.master_ip()
    {
        addresses.push(address);
    }
    addresses
}

/// Returns the proofs that no other node holds the role, or the node without a proof. Only a node that does not
/// answer or is recorded offline can be proven gone: a node that answers is not gone, whatever was done to it before.
fn proof_of_all(
    ganeti: &GanetiView,
    needed: &[NodeName],
    silent: &[NodeName],
    proof: impl Fn(&NodeName) -> Option<String>,
) -> Result<String, NodeName> {
    let offline = ganeti.ssconf.names("offline_nodes").unwrap_or_default();
    let may_be_gone = |node: &NodeName| silent.contains(node) || offline.contains(node);
    let proven = |node: &NodeName| proof(node).filter(|_| may_be_gone(node)).ok_or_else(|| node.clone());
    let proofs: Vec<String> = needed.iter().map(proven).collect::<Result<_, _>>()?;
    Ok(if proofs.is_empty() { "every other node is recorded offline".to_owned() } else { proofs.join("; ") })
}
