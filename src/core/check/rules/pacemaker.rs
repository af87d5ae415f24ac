//! Holds the rules about Pacemaker.

use super::rule::{Rule, rule_of};
use crate::core::check::severity::Severity::{Error, Warning};

pub(super) const RULES: &[Rule] = &[
    rule_of(
        "quorum",
        Error,
        "without quorum nothing is fenced, started or recorded here",
        "find out which hosts are missing: crm_mon --one-shot; corosync-quorumtool",
    ),
    rule_of(
        "quorum-unknown",
        Warning,
        "whether quorum survives a host's death cannot be checked",
        "on a full member of the cluster: corosync-cmapctl quorum. && corosync-quorumtool -s",
    ),
    rule_of(
        "quorum-device-stopped",
        Error,
        "without the device's vote the next host that dies takes the quorum with it: it is not fenced, and the other's master \
         role and instances are stopped",
        "on {}: systemctl enable --now corosync-qdevice # corosync-qdevice-tool -s shows more",
    ),
    rule_of(
        "quorum-device-no-answer",
        Error,
        "without the device's vote the next host that dies takes the quorum with it: it is not fenced, and the other's master \
         role and instances are stopped",
        "make sure that qnetd runs (on its host: systemctl status corosync-qnetd) and that {} reaches it; on {}: \
         corosync-qdevice-tool -s -v",
    ),
    rule_of(
        "quorum-device-two-node",
        Error,
        "corosync does not start with both settings, and a running corosync ignores one of them: two hosts that lose each \
         other may both go on",
        "take two_node out of corosync.conf on all hosts, then: corosync-cfgtool -R",
    ),
    rule_of(
        "quorum-device-votes",
        Warning,
        "without votes, corosync gives the device one vote less than there are members, and it outvotes them; ffsplit needs \
         one vote",
        "put votes: 1 into quorum.device of corosync.conf on all hosts, then: corosync-cfgtool -R",
    ),
    rule_of(
        "quorum-device-slow",
        Warning,
        "a death is detected only after the device has voted, and corosync waits for a qnetd that hangs until sync_timeout \
         ends",
        "take timeout and sync_timeout out of quorum.device of corosync.conf on all hosts (the defaults are 10000 ms and \
         30000 ms), then: corosync-cfgtool -R",
    ),
    rule_of(
        "quorum-device-no-wait",
        Warning,
        "a host that boots and reaches only qnetd has quorum: it fences the other host, which may be the one that serves",
        "put wait_for_all: 1 into quorum of corosync.conf on all hosts, then: corosync-cfgtool -R",
    ),
    rule_of(
        "quorum-device-own-host",
        Error,
        "the device is lost together with the host that it has to decide about, and quorum is lost with both",
        "run qnetd on a host of its own, in another place with its own network and power",
    ),
    rule_of(
        "fencing-delayed",
        Warning,
        "which of two hosts goes on is decided by the quorum device: when the master's host dies, its fencing waits for nothing",
        "crm_attribute --name priority-fencing-delay --delete",
    ),
    rule_of(
        "fencing-disabled",
        Error,
        "Pacemaker would take over from a dead host without making sure that it is dead",
        "crm_attribute --name stonith-enabled --update true # fencing-enabled, from Pacemaker 3.0.2 on",
    ),
    rule_of(
        "startup-fencing-disabled",
        Error,
        "a host that was never seen counts as off",
        "crm_attribute --name startup-fencing --delete",
    ),
    rule_of(
        "quorum-ignored",
        Error,
        "each half of a divided cluster would fence the other and serve",
        "crm_attribute --name no-quorum-policy --update stop",
    ),
    rule_of(
        "maintenance",
        Warning,
        "in maintenance mode nothing is fenced, moved or recorded",
        "when the work is done: crm_attribute --name maintenance-mode --delete",
    ),
    rule_of(
        "no-device",
        Error,
        "a dead host cannot be fenced, so nothing that it had is taken over",
        "gnt-ha setup --apply",
    ),
    rule_of(
        "device-stopped",
        Error,
        "a device that Pacemaker may not start is used for no fencing",
        "crm_resource --resource {} --meta --delete-parameter target-role",
    ),
    rule_of(
        "device-misses-node",
        Error,
        "no device may fence this node: it stays UNCLEAN when it dies, and nothing of it is taken over",
        "take pcmk_host_list and pcmk_host_map out of the fence_ganeti device, which finds its nodes by itself",
    ),
    rule_of(
        "device-no-monitor",
        Warning,
        "that the device does not work is found only when a host has died",
        "give {} a monitor operation with an interval of 60 s",
    ),
    rule_of(
        "device-action-limit",
        Warning,
        "of several hosts that die at once, one is fenced after the other",
        "crm_resource --resource {} --set-parameter pcmk_action_limit --parameter-value=-1",
    ),
    rule_of(
        "device-accepts-isolated",
        Warning,
        "an off with the grade isolated counts as success: the host may still run, its own half of a DRBD disk goes on, and \
         so does storage outside of the cluster",
        "use a level that proves more (a BMC, a PDU, self-fencing), then: crm_resource --resource {} --delete-parameter \
         minimum_grade",
    ),
    rule_of(
        "device-proves-little",
        Warning,
        "a host that this device alone has fenced may still run: it is not recorded offline, and neither is one whose receipt \
         is lost while Pacemaker may have used this device",
        "add power_agents = [\"AGENT\"] to /etc/gnt-ha/config.toml if its agent switches the power and reads it back; or \
         fence the nodes by levels (stonith_topology) that each have fence_ganeti or a power device; or take the device out: \
         pcs stonith delete {}",
    ),
    rule_of(
        "device-off-unproven",
        Error,
        "Pacemaker counts a fencing by this device as success although no device has read the host's power as off: what ran \
         there is started elsewhere while it may run on",
        "take the parameter out: crm_resource --resource {} --delete-parameter NAME",
    ),
    rule_of(
        "device-off-reboots",
        Warning,
        "a host that is to stay off is switched on again: its off proves only that the boot before has ended",
        "crm_resource --resource {} --delete-parameter pcmk_off_action",
    ),
    rule_of(
        "device-of-two-nodes",
        Error,
        "fencing one of these nodes switches the other one off, and proves nothing of either: none of them is recorded \
         offline by it",
        "take a fixed port or plug out of {}; for one node set pcmk_host_list, for several: crm_resource --resource {} \
         --set-parameter pcmk_host_map --parameter-value 'NODE:PORT;NODE:PORT'",
    ),
    rule_of(
        "topology-level-ignored",
        Warning,
        "Pacemaker never uses this fencing level",
        "fix the level {} (target as `crm_node --list` shows it, index 1 to 9, devices that may fence the node); or take it \
         out: cibadmin --delete --xml-text '<fencing-level id=\"{}\"/>'",
    ),
    rule_of(
        "topology-without-ours",
        Error,
        "Pacemaker never fences this node with fence_ganeti: it leaves no receipt, uses no level of ours, and no node shuns \
         it",
        "add the fence_ganeti device to them, or take them out: cibadmin --delete --xml-text '<fencing-level id=\"ID\"/>'",
    ),
    rule_of(
        "device-on-regular-nodes",
        Warning,
        "where a host lacks what the device needs, the device fails",
        "have each node report whether it can fence: gnt-ha setup --apply",
    ),
    rule_of(
        "one-fencer",
        Error,
        "when that host dies, no host is left that can fence it, and no other host takes over",
        "install gnt-ha on the other hosts, and copy the secret files that config.toml names with gnt-cluster copyfile; then: \
         gnt-cluster copyfile /etc/gnt-ha/config.toml && gnt-ha setup --apply",
    ),
    rule_of(
        "device-banned",
        Warning,
        "when the master candidates have died, this host cannot fence the next node that dies",
        "have each node report whether it can fence: gnt-ha setup --apply",
    ),
    rule_of(
        "concurrent-fencing-off",
        Warning,
        "of several hosts that die at once, one is fenced after the other",
        "crm_attribute --name concurrent-fencing --update true",
    ),
    rule_of(
        "budget",
        Error,
        "what has too little time is killed before it can prove anything, and Pacemaker asks no other host after that",
        "change the setting that the finding names (stonith-timeout or pcmk_*_timeout of the device, deadline, or the times \
         of [self_fence])",
    ),
    rule_of("master-role-missing", Error, "no node takes over when the master dies", "gnt-ha setup --apply"),
    rule_of(
        "master-role-twice",
        Error,
        "two resources would keep one role in two places",
        "delete one of them: cibadmin --delete --xml-text '<clone id=\"ID\"/>'",
    ),
    rule_of(
        "master-role-no-stickiness",
        Warning,
        "the role moves back when a host returns, and each move stops Ganeti for a moment",
        "crm_resource --resource {} --meta --set-parameter resource-stickiness --parameter-value INFINITY",
    ),
    rule_of(
        "master-role-unfenced",
        Error,
        "the role is started before the old master is fenced: two masters",
        "crm_resource --resource {} --meta --delete-parameter requires",
    ),
    rule_of(
        "master-role-start-timeout",
        Warning,
        "a failover that waits for several dead nodes is cut off, and fails",
        "give the start operation a timeout of 300 s, and in a clone promote as well: pcs resource update {} op start \
         timeout=300s",
    ),
    rule_of(
        "node-role-missing",
        Error,
        "a fenced node is recorded late, or never if no master role has a monitor",
        "gnt-ha setup --apply",
    ),
    rule_of(
        "node-role-no-clone",
        Error,
        "it runs on one node only",
        "put it into a clone, as gnt-ha setup --format crm shows it, or: pcs resource clone {}",
    ),
    rule_of(
        "node-role-no-notify",
        Warning,
        "a fencing is recorded at the next monitor instead of at once",
        "crm_resource --resource {} --meta --set-parameter notify --parameter-value true",
    ),
    rule_of(
        "role-stopped",
        Error,
        "Pacemaker may not start it, or does not manage it",
        "crm_resource --resource {} --meta --delete-parameter target-role",
    ),
    rule_of(
        "role-no-monitor",
        Error,
        "without a monitor no failure is noticed, and a node that was not recorded at its fencing is never recorded",
        "give {} a monitor operation with an interval of 10 s (30 s for ganeti-node-role)",
    ),
    rule_of(
        "role-failure-ignored",
        Warning,
        "when the master role cannot be stopped on its host, another host serves it as well: two masters",
        "take on-fail out of the operations of {}",
    ),
    rule_of(
        "node-unclean",
        Error,
        "it is lost and not fenced: nothing of it is taken over",
        "find the reason: stonith_admin --history {}; when it is certain that it is off: gnt-ha confirm-off {} --reason TEXT",
    ),
    rule_of(
        "fencing-failed",
        Warning,
        "the last fencing of this node failed",
        "to see what was tried: gnt-ha history {}; to see what its devices answer: /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "health-unused",
        Warning,
        "each node's health is published, and Pacemaker does nothing with it",
        "to use it: gnt-ha setup --health --apply; or to stop publishing it: gnt-cluster remove-tags {}",
    ),
    rule_of(
        "health-stops-role",
        Error,
        "a node whose health is red loses this role as well: it is recorded drained, and the role that would report its recovery does not run",
        "crm_resource --resource {} --meta --set-parameter allow-unhealthy-nodes --parameter-value true # or: gnt-ha setup --health --apply",
    ),
    rule_of(
        "setup-differs",
        Warning,
        "Pacemaker's configuration or Ganeti's nodes changed since the last gnt-ha setup --apply",
        "to see the changes: gnt-ha setup; to make all but those that are marked \"by hand\": gnt-ha setup --apply",
    ),
];
