//! The master role with its agents' decisions: each host has its own copy of the configuration and shun list, and the
//! candidates' confd return claims. The decisions are those of `gnt_ha::core::roles`.

use std::collections::BTreeSet;

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::reconcile::Membership;
use gnt_ha::core::roles::gone::{OtherNode, must_be_gone, names_old_master};
use gnt_ha::core::roles::master_claims::{
    MasterClaim, MasterService, MasterStanding, disagreement, ignored, is_alone, newer_copy, promotion_score, standing,
};
use gnt_ha::core::roles::{
    Failure, MasterView, NodeRole, OcfCode, OcfResult, RunAs, Takeover, TakeoverView, monitor_master, take_over,
};
use gnt_ha::core::shun::list::{ShunList, ShunScope};

use crate::command::Host;
use crate::invariants;
use crate::world::World;

/// The interval of the role's monitors, in s.
const MONITOR: u64 = 10;

/// The interval at which the shun lists of all hosts are merged, in s.
const SYNC: u64 = 30;

/// The time from a failed role until it is taken again, in s.
const RECOVERY: u64 = 2;

/// The state of the cluster and of the role on one host.
#[derive(Clone, Debug)]
pub(crate) struct RoleState {
    /// The serial number of its copy of the configuration; the master in it is `believes_master`.
    pub(crate) serial: u64,
    /// The master candidates in that copy.
    pub(crate) candidates: BTreeSet<Host>,
    /// Whether its confd answers.
    pub(crate) confd: bool,
    /// Whether its luxid serves.
    pub(crate) serves: bool,
    /// Whether the role was served here since the host booted.
    pub(crate) served: bool,
    /// Whether the role was stopped here on purpose since then.
    pub(crate) stopped: bool,
    /// Whether its instance was monitored since its cluster stack started.
    pub(crate) probed: bool,
    /// The host's shun list.
    pub(crate) shuns: ShunList,
    /// The last result of its monitor.
    reported: Option<(OcfCode, String)>,
}

impl RoleState {
    /// Returns the state after `hosts` hosts have run for long.
    pub(crate) fn new(is_master: bool, candidates: BTreeSet<Host>) -> Self {
        Self {
            serial: 100,
            candidates,
            confd: true,
            serves: is_master,
            served: is_master,
            stopped: false,
            probed: true,
            shuns: ShunList::default(),
            reported: None,
        }
    }

    /// Takes the role on this host.
    pub(crate) fn serve(&mut self) {
        (self.serves, self.served, self.stopped) = (true, true, false);
    }

    /// Gives the role up on this host.
    pub(crate) fn give_up(&mut self) {
        (self.serves, self.stopped) = (false, true);
    }

    /// Applies a boot to the state.
    pub(crate) fn stop(&mut self) {
        self.serves = false;
        self.served = false;
        self.stopped = false;
        self.probed = false;
        self.reported = None;
    }
}

impl World {
    /// Changes the configuration on Ganeti's master, which sends it to the nodes that it reaches.
    pub(crate) fn configuration_changed(&mut self) {
        let master = self.master;
        self.hosts[master].role.serial += 1;
        let copy = (self.hosts[master].role.serial, self.current_candidates());
        for host in 0..self.hosts.len() {
            let state = &self.hosts[host];
            let gets_files = host == master || state.up && state.linked && !state.ganeti.offline;
            if gets_files && !self.is_cut_by_shunning(host, master) {
                self.hosts[host].believes_master = master;
                (self.hosts[host].role.serial, self.hosts[host].role.candidates) = copy.clone();
            }
        }
    }

    fn current_candidates(&self) -> BTreeSet<Host> {
        let is_candidate = |host: &Host| *host == self.master || self.hosts[*host].ganeti.master_candidate;
        (0..self.hosts.len()).filter(is_candidate).collect()
    }

    /// Returns the answers of the candidates' confd to `here`. confd uses UDP: only the scope `all` blocks it.
    pub(crate) fn claims(&self, here: Host) -> Vec<MasterClaim> {
        let own = &self.hosts[here];
        let closed = |by: Host, node: Host| self.shuns(by, node) == Some(ShunScope::All);
        let answers = |host: &Host| {
            let state = &self.hosts[*host];
            let reached = state.linked && own.linked && !closed(here, *host) && !closed(*host, here);
            state.up && state.role.confd && (*host == here || reached)
        };
        let claim = |host: Host| MasterClaim {
            own: host == here,
            from: self.hosts[host].name.to_string(),
            master: self.hosts[self.hosts[host].believes_master].name.to_string(),
            serial: self.hosts[host].role.serial,
            shunned: self.shuns(here, host).is_some(),
        };
        own.role.candidates.iter().copied().filter(answers).map(claim).collect()
    }

    pub(crate) fn served(&self, host: Host) -> MasterService {
        match self.hosts[host].role {
            RoleState { serves: true, .. } => MasterService::Now,
            RoleState { served: true, stopped: false, .. } => MasterService::ThisBoot,
            _ => MasterService::Never,
        }
    }

    fn rank(&self, host: Host) -> NodeRole {
        let state = &self.hosts[host];
        if state.believes_master == host {
            NodeRole::Master
        } else if state.role.candidates.contains(&host) {
            NodeRole::Candidate
        } else {
            NodeRole::Other
        }
    }

    /// Returns the result of the monitor of a clone's instance with these claims.
    pub(crate) fn role_seen(&self, host: Host, claims: &[MasterClaim]) -> (OcfResult, MasterStanding) {
        let (state, served) = (&self.hosts[host], self.served(host));
        let standing = standing(&state.name, claims, state.role.candidates.len(), served);
        let rank = self.rank(host);
        let is_probe = !state.role.probed;
        let is_full = self.roles == Some(Mode::Full) && rank == NodeRole::Master;
        let luxid = || Failure { check: "luxid", found: "no answer".to_owned() };
        let failures = is_full.then(|| {
            let peers = disagreement(&state.name, claims);
            peers.into_iter().chain((served != MasterService::Now).then(luxid)).collect()
        });
        let view = MasterView {
            rank,
            run_as: RunAs::Promotable { started: true },
            standing: standing.clone(),
            alone: is_probe && served != MasterService::Now && is_alone(claims) && state.role.candidates.len() > 1,
            ignored: ignored(&state.name, claims),
            stopped: state.role.stopped,
            served,
            left: false,
            failures,
        };
        (monitor_master(&view), standing)
    }

    /// Returns the promotion score that a host publishes.
    pub(crate) fn score(&self, host: Host, claims: &[MasterClaim]) -> Option<i32> {
        let state = &self.hosts[host];
        let standing = standing(&state.name, claims, state.role.candidates.len(), self.served(host));
        promotion_score(self.rank(host), &standing, claims, None)
    }

    /// Returns the result of a promotion on `host`.
    pub(crate) fn taken(&self, host: Host, claims: &[MasterClaim]) -> Takeover {
        let state = &self.hosts[host];
        let rank = self.rank(host);
        let votes = |other: Host| {
            let other_state = &self.hosts[other];
            other_state.up
                && other_state.linked
                && state.linked
                && other_state.noded
                && !self.is_cut_by_shunning(host, other)
        };
        let others: Vec<Host> =
            (0..self.hosts.len()).filter(|other| *other != host && !self.hosts[*other].ganeti.offline).collect();
        let voters = 1 + others.iter().filter(|other| votes(**other)).count();
        let is_gone = |node: Host| {
            let node = &self.hosts[node];
            !node.is_connected() && node.truly_fenced.last().is_some_and(|(_, grade)| *grade >= Grade::Bounded)
        };
        let known: Vec<OtherNode> = others
            .iter()
            .map(|other| OtherNode {
                name: self.hosts[*other].name.clone(),
                is_candidate: state.role.candidates.contains(other),
                votes: votes(*other),
                names_same_master: claims.iter().any(|claim| {
                    names_old_master(claim, &self.hosts[*other].name, Some(&self.hosts[state.believes_master].name))
                }),
                member: Some(self.hosts[*other].member),
            })
            .collect();
        let needed = must_be_gone(rank, &self.hosts[state.believes_master].name, &known);
        let is_named_gone =
            |name: &NodeName| (0..self.hosts.len()).any(|node| self.hosts[node].name == *name && is_gone(node));
        let unproven = needed.into_iter().find(|name| !is_named_gone(name));
        take_over(&TakeoverView {
            rank,
            standing: match rank {
                NodeRole::Master => standing(&state.name, claims, state.role.candidates.len(), MasterService::Never),
                NodeRole::Candidate | NodeRole::Other => MasterStanding::Undisputed,
            },
            served_elsewhere: (0..self.hosts.len())
                .any(|other| other != host && votes(other) && self.hosts[other].role.serves),
            newer_copy: newer_copy(Some(state.role.serial), claims),
            newer: None,
            any_serial: false,
            nodes: self.hosts.len(),
            voters,
            gone: unproven.is_none().then(|| "a fencing".to_owned()),
            unproven: unproven.cloned(),
        })
    }

    /// Simulates 1 s of the role.
    pub(crate) fn role_by_agents(&mut self) {
        if self.now.is_multiple_of(SYNC) {
            self.sync();
        }
        if self.now.is_multiple_of(MONITOR) {
            for host in 0..self.hosts.len() {
                if self.hosts[host].is_connected() && self.hosts[host].member.is_member() {
                    self.monitor_role(host);
                }
            }
        }
        if !self.has_quorum() || self.maintenance {
            return;
        }
        if let Some(host) = self.role_on {
            match self.hosts[host].member {
                Membership::Online | Membership::Unclean => return,
                _ if self.hosts[host].lost_at.is_some() => return,
                _ => self.role_leaves(host, crate::pacemaker::TAKEOVER),
            }
        }
        if self.role_moves_at.is_some_and(|at| at <= self.now) {
            self.promote();
        }
    }

    fn role_leaves(&mut self, host: Host, after: u64) {
        self.hosts[host].role.give_up();
        self.role_on = None;
        self.role_moves_at = Some(self.now + after);
    }

    /// Runs a monitor, and Pacemaker's reaction to its result.
    fn monitor_role(&mut self, host: Host) {
        let claims = self.claims(host);
        self.checks += 1;
        let broken = invariants::check_role(self, host, &claims).err();
        self.broken.extend(broken.map(|what| format!("at {}s: {what}", self.now)));
        let (result, standing) = self.role_seen(host, &claims);
        let is_promoted = result.code == OcfCode::RunningPromoted;
        let reason = result.reason.clone().unwrap_or_default();
        let result_text = (result.code, reason.clone());
        let is_new = self.hosts[host].role.reported.as_ref() != Some(&result_text);
        let was_quiet = self.hosts[host].role.reported.is_none() && reason.is_empty();
        self.hosts[host].role.reported = Some(result_text);
        self.hosts[host].role.probed = true;
        if is_new && !was_quiet {
            let state = match result.code {
                OcfCode::RunningPromoted => "promoted",
                OcfCode::FailedPromoted => "failed",
                _ => "unpromoted",
            };
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            self.say(&format!("n{} role: {state}{why}", host + 1));
        }
        if standing.new_master().is_some() && self.hosts[host].role.serves {
            self.hosts[host].role.serves = false;
            self.say(&format!("n{} stops serving", host + 1));
        }
        if self.role_on == Some(host) && !is_promoted && !self.maintenance {
            self.say(&format!("Pacemaker demotes n{}", host + 1));
            self.role_leaves(host, RECOVERY);
        } else if is_promoted && self.role_on.is_some_and(|on| on != host) && !self.maintenance {
            self.two_promoted(host);
        }
    }

    /// Of two promoted instances Pacemaker demotes the one with the lower score.
    fn two_promoted(&mut self, host: Host) {
        let Some(on) = self.role_on else { return };
        let score = |host: Host| self.score(host, &self.claims(host));
        let (loser, winner) = if score(host) > score(on) { (on, host) } else { (host, on) };
        self.say(&format!("Pacemaker finds two promoted, and demotes n{}", loser + 1));
        self.hosts[loser].role.give_up();
        self.role_on = Some(winner);
    }

    /// Pacemaker promotes the instance with the highest score, and the next one when that fails.
    fn promote(&mut self) {
        let can = |host: &Host| self.hosts[*host].member == Membership::Online && self.hosts[*host].is_connected();
        let mut offers: Vec<(i32, Host)> = (0..self.hosts.len())
            .filter(can)
            .filter_map(|host| Some((self.score(host, &self.claims(host))?, host)))
            .collect();
        offers.sort_by_key(|(score, host)| (-score, *host));
        for (_, host) in offers {
            let claims = self.claims(host);
            match self.taken(host, &claims) {
                Takeover::Blocked(result) | Takeover::NotYet(result) => {
                    let why = result.reason.unwrap_or_default();
                    self.say(&format!("n{} does not take the role: {why}", host + 1));
                }
                Takeover::StartDaemons { no_voting } if no_voting.is_none() && !self.wins_the_vote(host) => {
                    self.say(&format!("n{}: luxid gets no majority of votes", host + 1));
                }
                Takeover::StartDaemons { .. } | Takeover::Failover { .. } => {
                    self.role_moves_at = None;
                    self.role_on = Some(host);
                    self.hosts[host].role.serve();
                    self.becomes_master(host);
                    return;
                }
            }
        }
        self.role_moves_at = Some(self.now + MONITOR);
    }

    /// Runs Ganeti's own vote: more than half of all nodes must name the one that starts luxid.
    fn wins_the_vote(&self, host: Host) -> bool {
        let state = &self.hosts[host];
        let names = |other: &Host| {
            let voter = &self.hosts[*other];
            voter.up
                && voter.linked
                && state.linked
                && voter.noded
                && voter.believes_master == host
                && !self.is_cut_by_shunning(host, *other)
        };
        2 * (0..self.hosts.len()).filter(|other| *other == host || names(other)).count() > self.hosts.len()
    }
}
