//! Holds the rules about the other nodes.

use super::rule::{Rule, rule_of};
use crate::core::check::severity::Severity::{Error, Warning};

pub(super) const RULES: &[Rule] = &[
    rule_of(
        "survey-unknown",
        Warning,
        "whether the other nodes have the same program and configuration is unknown",
        "correct what the reason names; then again: gnt-ha check",
    ),
    rule_of(
        "candidate-program-no-answer",
        Error,
        "it is unknown whether this candidate can fence or take the master role, and it shuns no node",
        "install gnt-ha on {}, start noded there and correct /etc/gnt-ha/config.toml; to test that, on {}: \
         /usr/lib/gnt-ha/ganeti-oob check",
    ),
    rule_of(
        "node-program-no-answer",
        Warning,
        "this node does not shun a lost node that the others shun",
        "install gnt-ha on {} and start noded there; to test that, on {}: /usr/lib/gnt-ha/ganeti-oob --version",
    ),
    rule_of(
        "versions-differ",
        Warning,
        "nodes of different versions may reject each other's requests, which shows only when a host has died",
        "install the same version on every node; to see the version of a host: /usr/lib/gnt-ha/ganeti-oob --version",
    ),
    rule_of(
        "configurations-differ",
        Error,
        "which machine a node has, and what proves that it is off, depends on which host fences: another machine may be switched off",
        "find out which config.toml is right; on a host that has it: gnt-cluster copyfile /etc/gnt-ha/config.toml; then on Ganeti's \
         master: gnt-ha setup --apply",
    ),
    rule_of(
        "clock-skew",
        Warning,
        "clocks decide which of two events came first: a fencing and a boot, a proof and its age; confd's answers count for \
         15 s",
        "find out why the clock of {} is wrong; on {}: chronyc tracking # or: timedatectl timesync-status",
    ),
];
