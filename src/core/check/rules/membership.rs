//! Holds the rules about Pacemaker and Ganeti together.

use super::rule::{Rule, rule_of};
use crate::core::check::severity::Severity::{Error, Warning};

pub(super) const RULES: &[Rule] = &[
    rule_of(
        "master-inactive",
        Error,
        "Pacemaker does not run the master role: no node takes over when the master's host dies",
        "find the reason: crm_mon --one-shot --failcounts; when that is fixed: crm_resource --cleanup",
    ),
    rule_of(
        "master-elsewhere",
        Error,
        "this host's copy of Ganeti's configuration is stale, or the role was moved without Pacemaker: two hosts may act as the \
         master",
        "on {}: gnt-cluster getmaster; if it is the right one, there: gnt-cluster redist-conf",
    ),
    rule_of(
        "node-not-in-pacemaker",
        Error,
        "Pacemaker does not notice when this Ganeti node dies",
        "add it to Pacemaker (of more than 16 nodes gnt-ha setup --apply makes the regular ones remote nodes): \
         pcs cluster node add {}",
    ),
    rule_of(
        "remote-master-capable",
        Warning,
        "when a master candidate is lost Ganeti may promote it, and it can neither hold the master role nor fence",
        "gnt-node modify --master-capable=no {}",
    ),
    rule_of(
        "remote-key-differs",
        Error,
        "Pacemaker may start the connection to a remote node on this host: without the remote node's key that fails, and Pacemaker \
         fences the remote node, which is well",
        "on Ganeti's master, if its key is the right one: gnt-cluster copyfile --node {} /etc/pacemaker/authkey; then on {}: chgrp \
         haclient /etc/pacemaker/authkey",
    ),
    rule_of(
        "remote-connection-migrates",
        Warning,
        "Pacemaker migrates the connection when it has to move: where the other member cannot take it over, Pacemaker fences the remote \
         node, which is well",
        "crm_resource --resource {} --meta --set-parameter allow-migrate --parameter-value false",
    ),
    rule_of(
        "node-not-in-ganeti",
        Warning,
        "Pacemaker may start the master role on it, and that start fails",
        "take it out of Pacemaker (once nothing connects to it: crm_node --force --remove {}), or: gnt-node add {}",
    ),
    rule_of(
        "offline-but-online",
        Warning,
        "Ganeti does not use a host that runs",
        "when it is repaired, on the master: gnt-node add --readd {}",
    ),
    rule_of(
        "lost-but-not-offline",
        Warning,
        "Ganeti goes on to use a host that is gone, and waits for it in each job",
        "on the master, to see what blocks the record: gnt-ha reconcile",
    ),
    rule_of(
        "two-nodes-partial-mode",
        Warning,
        "of two nodes the survivor has no majority in Ganeti's own vote, and in partial mode a daemon that fails is not started \
         again",
        "with two nodes run the master role in full mode: gnt-cluster add-tags ocf:master-role:full",
    ),
];
