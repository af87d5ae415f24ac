//! The commands of `gnt-ha`: a file each.

pub mod check;
pub mod confirm_off;
pub mod drill;
pub mod history;
pub mod hook;
mod oob;
pub mod pause;
pub mod places;
pub mod readmit;
pub mod reconcile;
pub mod rehearse;
pub mod report;
pub mod self_fence;
pub mod setup;
pub mod shun;
pub mod status;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The bridge between Ganeti and Pacemaker, for the administrator.
#[derive(Debug, Parser)]
#[command(name = "gnt-ha", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = crate::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show each node, what is about to happen to its record in Ganeti, and what is in the way
    ///
    /// Changes nothing, and works on every node as far as its files tell. In front of a line: `!` needs a look, `*` is
    /// about to be done, `?` cannot be known. Below the nodes stands what holds for all of them: quorum, maintenance, a
    /// pause, the breaker, simulated conditions, tags that mean nothing.
    ///
    /// Exit code: 0 all is well, 1 something is refused or needs a look, 2 something cannot be known.
    Status(status::Arguments),
    /// Look for everything that would go wrong when a host dies, and say how to mend it
    ///
    /// Looks at Pacemaker's and Ganeti's configuration and state, at both together, at this host, and asks every node's
    /// OOB program, which logs in to its device. Changes nothing. Run it on a master candidate: only those hold Ganeti's
    /// configuration.
    ///
    /// Exit code: 0 nothing was found, 1 warnings, 2 errors, or this host could not be looked at.
    Check(check::Arguments),
    /// Have Pacemaker protect this Ganeti cluster: fence device, roles, properties
    ///
    /// Without --apply it only shows what is missing or different, as a table, XML, or commands for pcs and crm. Everything
    /// that it makes has an id that begins with gnt-ha-; what somebody else made is left as it is. Run it on a master
    /// candidate.
    ///
    /// Of more than 16 nodes, those that Pacemaker does not know and that are no master candidates become Pacemaker remote
    /// nodes: pacemaker_remote has to run there, with the cluster's authkey. (The id of such a connection is the node's name;
    /// that of its parameters begins with gnt-ha-remote-.)
    ///
    /// Where the times of Pacemaker, of the device and of self-fencing do not hold together, nothing is changed, and the sum is
    /// shown with the figure to change.
    ///
    /// Exit code: 0 everything is as it should be, 1 something is to be changed, 2 it could not be done, or the times do not
    /// hold together.
    Setup(setup::Arguments),
    /// Print what was done to nodes, by whom, and how it was proven
    History(history::Arguments),
    /// Bring Ganeti's record of its nodes to what Pacemaker and the receipts prove
    ///
    /// Runs by itself at each monitor of the master; by hand it says what is blocked, and why: `*` is done, `!` is
    /// refused.
    Reconcile(reconcile::Arguments),
    /// Show what would happen if a host died now, step by step
    ///
    /// Pacemaker's own simulation, what the node's OOB program could prove, and what would be recorded in Ganeti by the host
    /// that takes over; with the grade that each level's off has, and times counted from the death: "about" is when a step
    /// usually comes, "within" when whatever waits for it gives up, were every step to take all the time that it has. Changes
    /// nothing. In front of a step: `!` is in the way, or would not happen. Run it on a master
    /// candidate.
    ///
    /// Exit code: 0 nothing is in the way, 1 something is, 2 it cannot be rehearsed.
    Rehearse(rehearse::Arguments),
    /// Fence a host for practice, and hold what follows against the rehearsal
    ///
    /// The host loses its power (stonith_admin --reboot), and what runs on it dies. Refused where the rehearsal finds something
    /// in the way, where another host is not online, and of this host. Asks twice. Run it on a master candidate.
    ///
    /// Exit code: 0 as it was rehearsed, 1 not, 2 refused, or not fenced.
    Drill(drill::Arguments),
    /// Tell what is known to programs that watch: Ganeti's monitoring, Prometheus
    ///
    /// The same that gnt-ha status shows, as a file, on stdout, or as the answer to an HTTP request. Changes nothing.
    Report(report::Arguments),
    /// Stop recording in the whole cluster, for a reason
    ///
    /// Nothing is recorded offline or drained any more, whichever host is or becomes Ganeti's master. Fencing and the
    /// master role go on. The pause is kept in Pacemaker's configuration (property gnt-ha-pause), so run it where
    /// Pacemaker runs; elsewhere it pauses that host alone, says so, and fails.
    Pause(pause::Arguments),
    /// Let recording go on, in the whole cluster
    ///
    /// What was fenced meanwhile is recorded at the next look of the master, if it is still proven.
    Resume(places::Paths),
    /// Run by Ganeti's hooks: what protects the cluster follows its nodes
    ///
    /// The scripts in /etc/ganeti/hooks call it, and it reads what has happened from their environment. On the master: what
    /// gnt-ha setup has made follows as nodes come, go, and change their role (config-update, node-add, node-remove,
    /// node-modify); a node that is recorded offline by hand is refused by the others, over TCP, and put on standby in
    /// Pacemaker, or as the cluster's tag says (gnt-ha-tags(7)), until it is online again; Ganeti's record is looked at after
    /// the master has moved (master-ip-turnup); gnt-cluster verify shows the errors of gnt-ha check. On every node the watcher
    /// has the refusals made anew; and a host with self-fencing starts no instance (instance-start, -add, -failover, -migrate,
    /// -move, -reboot) for some 10 minutes after a boot, unless it is armed: other nodes may still take it for armed. Nothing is done where nothing of gnt-ha is configured in Pacemaker.
    Hook(hook::Arguments),
    /// Let a shunned node in again: one that has booted since and runs nothing, or at your word
    ///
    /// Run it on a master candidate. Then have Ganeti take it back: gnt-node add --readd NODE.
    Readmit(readmit::Arguments),
    /// Say that a node is off: a human's word, with a name and a reason
    ///
    /// For a node that nobody can prove off: you have pulled its plugs. Pacemaker is told (stonith_admin --confirm), and a
    /// receipt keeps who said it, and why. Refused of a node that is seen running. A word that is not true lets two hosts write
    /// to one disk.
    ConfirmOff(confirm_off::Arguments),
    /// A watchdog that resets this node when the master candidates do not let it run
    ///
    /// With it, a node that the others refuse is proven to have stopped itself after a while (grade bounded); without, it
    /// may still run (isolated).
    #[command(subcommand)]
    SelfFence(self_fence::Command),
    /// Have every other node refuse one, or see to the rules of this host
    ///
    /// For a node that is not to be talked to any more, and whose power nobody can see. Nothing is proven by it: the node may
    /// run on (gnt-ha confirm-off, stonith_admin). Run it on a master candidate; gnt-ha readmit NODE ends it.
    Shun(shun::Arguments),
    /// Too many nodes at once: the breaker
    #[command(subcommand)]
    Breaker(reconcile::BreakerCommand),
}
