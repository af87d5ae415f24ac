//! Holds the rules about this host.

use super::rule::{Rule, rule_of};
use crate::core::check::severity::Severity::{Error, Warning};

pub(super) const RULES: &[Rule] = &[
    rule_of("no-fence-agent", Error, "Pacemaker on this host cannot run fence_ganeti", "install gnt-ha on this host"),
    rule_of(
        "example-agent",
        Error,
        "Ganeti's example does not take over: its stop fails, and the new master is fenced as well",
        "install gnt-ha's agent over it, on every node: make install",
    ),
    rule_of("no-agent", Error, "Pacemaker cannot run the role on this host", "install gnt-ha on this host"),
    rule_of(
        "hook-missing",
        Warning,
        "Pacemaker's configuration does not follow a change of nodes and roles in Ganeti at once, and gnt-cluster verify \
         shows no findings",
        "each has to be an executable file called gnt-ha; to install them again on this host: make install",
    ),
    rule_of(
        "no-voting-default",
        Error,
        "with --no-voting in {} an old master serves again after each boot, whichever node is master by then",
        "take --no-voting out of {}; the agent gives it when it is proven that no other node serves",
    ),
    rule_of(
        "harep-beside",
        Warning,
        "harep counts a drained node as dead: when a node leaves gracefully, gnt-ha drains it, and harep restarts its \
         instances elsewhere although they run",
        "take harep out of {}; to see what gnt-ha does instead: gnt-ha recover --dry-run",
    ),
    rule_of(
        "stale-pidfile",
        Warning,
        "on Debian 12 start-stop-daemon refuses to start a daemon whose old pidfile is not root's; only the roles clear it",
        "rm {}",
    ),
    rule_of(
        "watcher-absent",
        Warning,
        "daemons and instances that ended are not started again: ganeti-watcher does that, from cron",
        "install {} again; it comes with the package ganeti",
    ),
    rule_of(
        "watcher-paused",
        Warning,
        "daemons and instances that ended are not started again",
        "gnt-cluster watcher continue",
    ),
    rule_of(
        "simulated",
        Warning,
        "a simulation goes on: the role reports this condition",
        "rm /var/lib/gnt-ha/simulate/{}",
    ),
    rule_of(
        "unknown-simulation",
        Warning,
        "the file simulates nothing: its name is not that of a condition",
        "rm /var/lib/gnt-ha/simulate/{}",
    ),
    rule_of("paused", Warning, "nothing is recorded in Ganeti until it is resumed", "gnt-ha resume"),
    rule_of(
        "breaker-open",
        Error,
        "too many nodes were lost at once: nothing more is recorded until the breaker is reset",
        "make sure that the nodes are gone (gnt-ha status); then: gnt-ha breaker reset",
    ),
    rule_of(
        "state-unreadable",
        Error,
        "its contents are unknown: nothing is recorded here, or the nodes that this host shuns are unknown",
        "repair the file, or remove it when you know its contents; gnt-ha status shows the consequence",
    ),
    rule_of(
        "role-blocked",
        Error,
        "this candidate does not take the master role: another candidate had a newer configuration, or the file that records \
         this cannot be read; if all candidates are blocked, no node takes over when the master dies",
        "on the master: gnt-cluster redist-conf (gnt-node add --readd NODE, if this node is offline there); if this is still \
         found then, no node that answers has that configuration: start the node that has it; if it is lost for ever, on this \
         host: rm /var/lib/gnt-ha/{}",
    ),
    rule_of(
        "shunned",
        Warning,
        "the other nodes shun this node until it is readmitted",
        "when it may come back: gnt-ha readmit {}",
    ),
    rule_of(
        "systemd-watchdog",
        Warning,
        "systemd opens the watchdog that self-fencing needs, or sets it to that time at a shutdown: a host that hangs in its \
         shutdown runs on after the other nodes take it for stopped",
        "in /etc/systemd/system.conf.d/gnt-ha.conf, below [Manager]: RuntimeWatchdogSec=off, RebootWatchdogSec=off, \
         KExecWatchdogSec=off; then: systemctl daemon-reexec",
    ),
    rule_of(
        "unit-not-enabled",
        Warning,
        "after its next boot this host is not armed, or does not shun the nodes that it shuns now",
        "systemctl enable {}",
    ),
    rule_of(
        "lease-at-risk",
        Warning,
        "self-fencing is armed: without a majority of the master candidates this host is reset; while every confd is stopped, \
         as during an upgrade of Ganeti, only their echoes keep its lease",
        "fix what the finding names before Ganeti is stopped anywhere, or: gnt-ha self-fence disarm",
    ),
];
