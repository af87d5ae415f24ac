//! The commands of `gnt-ha`, one file each.

pub mod check;
pub mod confirm_off;
pub mod drill;
pub mod error;
pub mod history;
pub mod hook;
pub mod paths;
pub mod pause;
pub mod readmit;
pub mod reconcile;
pub mod recover;
pub mod rehearse;
pub mod report;
pub mod self_fence;
pub mod setup;
pub mod shun;
pub mod status;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Administration tool of gnt-ha, which connects Ganeti and Pacemaker.
#[derive(Debug, Parser)]
#[command(name = "gnt-ha", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = crate::core::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// The command to run
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `gnt-ha`; what each does is its help text.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show each node's state, its pending record change and what blocks it
    ///
    /// Changes nothing. Run on any node: it shows what that node knows, and on Ganeti's master most is known. In front of a
    /// line: `!` needs attention, `*` is pending, `?` is unknown. Below the nodes: what holds for all of them, such as
    /// quorum, maintenance, a pause, the breaker, simulated conditions, tags without effect.
    ///
    /// Exit codes: 0 no node needs attention, 1 a change is blocked or a node needs attention, 2 a state is unknown.
    Status(status::Arguments),
    /// Check both clusters for problems and print a fix for each
    ///
    /// Checks the configuration and state of Pacemaker and Ganeti, each against the other, this host, and the OOB program of
    /// every node, which logs in to its device. Changes nothing in either cluster. Run on a master candidate, which has Ganeti's
    /// configuration. On Ganeti's master, the nodes remember which BMCs were proven to be those of their hosts.
    ///
    /// Exit codes: 0 no finding, 1 warnings, 2 errors, or this host could not be checked.
    Check(check::Arguments),
    /// Configure Pacemaker for Ganeti: fence device, roles, properties
    ///
    /// Without --apply, only shows what is missing or different, as a table, XML, or commands for pcs and crm. The id of
    /// each element that setup makes begins with gnt-ha-; setup changes no other element. Run on a master candidate.
    ///
    /// Of more than 16 nodes, those that Pacemaker does not have and that are not master candidates become Pacemaker remote
    /// nodes: pacemaker_remote has to run there, with the cluster's authkey. The id of such a connection is the node's name;
    /// the id of its parameters begins with gnt-ha-remote-.
    ///
    /// If the times of Pacemaker, the device and self-fencing do not fit together, nothing is changed, and the time budget is
    /// shown with the figure to change.
    ///
    /// Exit codes: 0 nothing to change, 1 changes are pending, 2 failed, or the times do not fit together.
    Setup(setup::Arguments),
    /// Print each action on a node, who requested it, and how it was proven
    ///
    /// An action is a power-on, power-off, power cycle or fencing. Changes nothing. Each host keeps the receipts of the
    /// actions that it ran itself. For a fencing by another host, the entry of Pacemaker's history names that host: run
    /// the command there.
    History(history::Arguments),
    /// Bring Ganeti's record to what Pacemaker and the receipts prove
    ///
    /// Submits jobs that set Ganeti's flags offline, drained and powered, as after each fencing; --dry-run only prints them. Run
    /// on Ganeti's master, where the agents run it at each monitor. In front of a line: `*` is done, `!` is blocked, with
    /// the reason.
    Reconcile(reconcile::Arguments),
    /// Start the instances of dead hosts elsewhere, or show which would start
    ///
    /// If recovery is on (gnt-ha setup --recover), the master starts the instances by itself; this command has it done at once,
    /// with the same guards, and waits until each instance was seen running. Run on Ganeti's master. Fails without a change
    /// if recovery is off, without quorum, in maintenance mode, while gnt-ha is paused, or while the breaker is open. Nodes whose
    /// end is proven are recorded offline before, as by gnt-ha reconcile. With NODE, only the instances of that host are
    /// started; it has to be recorded offline.
    ///
    /// With --dry-run nothing is changed. Without NODE: the instances of the hosts that are recorded offline now. With NODE:
    /// the instances of that host, as if it had just died, was proven off and recorded offline. For each instance that would
    /// not start, the reason is shown. An instance needs permission by Ganeti's autorepair tags (harep(1)).
    ///
    /// In front of a line of the plan: `*` the instance would start, `!` it would not, `?` its tags cannot be read.
    ///
    /// Exit codes: 0 every instance that is to run runs, or would run, 1 some do not, 2 nothing was started, or the state is
    /// unknown.
    Recover(recover::Arguments),
    /// Predict what a failure of a node would cause, step by step
    ///
    /// Changes nothing. Run on a master candidate. Shows Pacemaker's own simulation, what the node's OOB program could prove
    /// at each level and with which grade, and what the new master would record in Ganeti.
    ///
    /// Times count from the failure: "about" is when a step usually comes, "within" is when the next step stops waiting
    /// for it. In front of a step: `!` it is blocked, or would not happen.
    ///
    /// Exit codes: 0 no step is blocked, 1 a step is blocked, 2 the failure cannot be rehearsed.
    Rehearse(rehearse::Arguments),
    /// Fence a node for practice and compare with the rehearsal
    ///
    /// The node loses its power (stonith_admin --reboot), and its instances stop. The command asks twice before that. Nothing
    /// is fenced if the rehearsal finds a blocked step, if another node is not online, or if the node is this host. Run on a
    /// master candidate.
    ///
    /// Exit codes: 0 as rehearsed, 1 not as rehearsed, 2 not fenced.
    Drill(drill::Arguments),
    /// Export the status for Ganeti's monitoring daemon or Prometheus
    ///
    /// Changes nothing. Writes what gnt-ha status shows to stdout, to a file, or as the answer to an HTTP request.
    Report(report::Arguments),
    /// Stop reconciliation in the whole cluster, for a reason
    ///
    /// Until gnt-ha resume, no node is recorded offline or drained, whichever host is or becomes Ganeti's master. Fencing and
    /// the master role go on. The pause is kept in Pacemaker's configuration (property gnt-ha-pause) and has no end of its
    /// own. Run on a host where Pacemaker runs: on another host the command pauses that host alone, and fails.
    Pause(pause::Arguments),
    /// Resume reconciliation in the whole cluster
    ///
    /// At the next reconciliation the master records each node that was fenced during the pause, if its proof still counts.
    /// Run on a host where Pacemaker runs.
    Resume(paths::Paths),
    /// Keep Pacemaker and the shun list in line with Ganeti, from its hooks
    ///
    /// Not for the administrator: the scripts in /etc/ganeti/hooks call it, and it reads the event from their environment. Does
    /// nothing if Pacemaker has no configuration of gnt-ha.
    ///
    /// On the master: Pacemaker's configuration follows Ganeti's nodes (config-update, node-add, node-remove, node-modify). A
    /// node that is recorded offline by hand is shunned over TCP and put on standby in Pacemaker, until it is online again; a
    /// tag of the cluster changes that (gnt-ha-tags(7)). After the master has moved, the record is reconciled
    /// (master-ip-turnup). gnt-cluster verify shows the errors of gnt-ha check.
    ///
    /// On every node: the watcher applies the shun rules again. A host with self-fencing starts no instance
    /// (instance-start, -add, -failover, -migrate, -move, -reboot) for some 10 minutes after a boot, unless it is armed, as
    /// other nodes may still rely on its self-fencing.
    ///
    /// If recovery is on, the master stops a start by gnt-ha whose reason is gone (instance-start, -modify).
    Hook(hook::Arguments),
    /// Readmit a shunned node after it has rebooted
    ///
    /// Ends the shunning on all nodes. Run on a master candidate. Fails unless the node reports that it has booted since it was
    /// shunned and runs no instance; --force readmits it all the same.
    ///
    /// Then, if the node is recorded offline, run on Ganeti's master: gnt-node add --readd NODE.
    Readmit(readmit::Arguments),
    /// Confirm that a node is off, with your name and a reason
    ///
    /// For a node that no device can prove off. Pull its plugs first: IF THE NODE STILL RUNS, TWO HOSTS CAN WRITE TO ONE DISK.
    /// Confirms the node as off to Pacemaker (stonith_admin --confirm), and writes a receipt with your name and the reason.
    /// Fails if a sign shows that the node runs.
    ConfirmOff(confirm_off::Arguments),
    /// Control self-fencing: a watchdog resets this node when its lease ends
    ///
    /// With self-fencing, a node that the others shun has reset itself when the wait time is over, and that proves it (grade
    /// bounded). Without it, the node may still run (grade isolated).
    #[command(subcommand)]
    SelfFence(self_fence::Command),
    /// Shun a node, or manage the shun rules of this host
    ///
    /// With NODE: every other node drops the packets of NODE, for a node whose power no device can read. This proves nothing: the
    /// node may still run. To prove it off: gnt-ha confirm-off, or stonith_admin --fence. Run on a master candidate. To end
    /// the shunning: gnt-ha readmit NODE.
    Shun(shun::Arguments),
    /// Reset the breaker that limits how many nodes are recorded offline
    #[command(subcommand)]
    Breaker(reconcile::BreakerCommand),
}
