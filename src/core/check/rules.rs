//! The table of rules: for each finding its name, how bad it is, why it matters, and how to fix it. The manual page is
//! made from this table.

use super::severity::Severity::{self, Error, Warning};

/// One rule of `gnt-ha check`.
#[derive(Debug)]
pub struct Rule {
    /// The name of the rule, for programs.
    pub name: &'static str,
    /// How bad a finding of the rule is.
    pub severity: Severity,
    /// Why a finding of the rule matters.
    pub why: &'static str,
    /// How to fix a finding; `{}` stands for what it is about.
    pub fix: &'static str,
}

const fn rule_of(name: &'static str, severity: Severity, why: &'static str, fix: &'static str) -> Rule {
    Rule { name, severity, why, fix }
}

/// The rule for a name that is not in the table: a fault of this program.
const NO_RULE: Rule = rule_of("no-rule", Error, "this finding is not in the table of rules", "report it");

/// Returns the rule of this name, or one that reports that the name is not in the table.
#[must_use]
pub fn rule(name: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.name == name).unwrap_or(&NO_RULE)
}

/// All rules; each name occurs once.
pub const RULES: &[Rule] = &[
    // State that cannot be read.
    rule_of(
        "pacemaker-unknown",
        Error,
        "nothing on this host is fenced or moved while its cluster stack does not run or answer",
        "start it (systemctl start pacemaker), or run this check on a node where it runs",
    ),
    rule_of(
        "cib-unknown",
        Error,
        "what Pacemaker will do cannot be checked",
        "run this check on a full member of the cluster: cibadmin --query must print the configuration",
    ),
    rule_of(
        "ganeti-unknown",
        Error,
        "which node has which OOB program is known on master candidates only",
        "run this check on a master candidate: gnt-node list -o name,role",
    ),
    // Pacemaker.
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
        "see what corosync-quorumtool -s and corosync-cmapctl quorum. say, on a full member of the cluster",
    ),
    rule_of(
        "quorum-device-stopped",
        Error,
        "without the device's vote the next host that dies takes the quorum with it: it is not fenced, and the other's master role \
         and instances are stopped",
        "on {}: systemctl enable --now corosync-qdevice; corosync-qdevice-tool -s tells more",
    ),
    rule_of(
        "quorum-device-silent",
        Error,
        "without the device's vote the next host that dies takes the quorum with it: it is not fenced, and the other's master role \
         and instances are stopped",
        "see that qnetd runs and is reached from {} (corosync-qdevice-tool -s -v there; systemctl status corosync-qnetd on its host)",
    ),
    rule_of(
        "quorum-device-two-node",
        Error,
        "corosync does not start with both, and takes one of the two where it runs already: two hosts that lose each other may both \
         go on",
        "take two_node out of corosync.conf on all hosts, then: corosync-cfgtool -R",
    ),
    rule_of(
        "quorum-device-votes",
        Warning,
        "ffsplit gives one vote; with as many as there are members less one, which is what is taken, the device outvotes them",
        "put votes: 1 into quorum.device of corosync.conf on all hosts, then: corosync-cfgtool -R",
    ),
    rule_of(
        "quorum-device-slow",
        Warning,
        "a death is seen only when the device has given its vote, and a qnetd that hangs is waited for for all of its sync_timeout",
        "take timeout and sync_timeout out of quorum.device of corosync.conf on all hosts (10000 and 30000), then: corosync-cfgtool -R",
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
        "it dies with the host that it is to decide about, and the quorum with both",
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
        "crm_attribute --name stonith-enabled --update true (fencing-enabled, from Pacemaker 3.0.2 on)",
    ),
    rule_of(
        "startup-fencing-disabled",
        Error,
        "a host that was never seen is taken for off",
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
        "crm_resource --resource {} --meta --set-parameter target-role --parameter-value Started",
    ),
    rule_of(
        "device-misses-node",
        Error,
        "no device may fence this node: it stays UNCLEAN when it dies, and nothing of it is taken over",
        "take pcmk_host_list and pcmk_host_map out of the fence_ganeti device: it knows its nodes itself",
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
        "an off that is only isolated is taken for success: the host may still run, its own half of a DRBD disk goes on, and \
         so does storage outside of the cluster",
        "use a level that proves more (a BMC, a PDU, self-fencing), then: crm_resource --resource {} --delete-parameter minimum_grade",
    ),
    rule_of(
        "device-proves-little",
        Warning,
        "a host that this device alone has fenced may still run: it is not recorded offline, and neither is one whose receipt is lost \
         while Pacemaker may have used this device",
        "fence the nodes by levels that each have fence_ganeti or a power device (stonith_topology), or take {} out; if its agent switches \
         the power and reads it back: power_agents = [\"AGENT\"] in /etc/gnt-ha/config.toml",
    ),
    rule_of(
        "device-off-is-none",
        Error,
        "Pacemaker takes a fencing by this device for success although no device has read the host's power as off: what ran there \
         is started elsewhere while it may run on",
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
        "fencing one of these nodes switches the other one off, and proves nothing of either: none of them is recorded offline by it",
        "give {} each node's own port (pcmk_host_map = NODE:PORT;...) or only one node (pcmk_host_list), and no fixed port or plug",
    ),
    rule_of(
        "topology-level-ignored",
        Warning,
        "Pacemaker never fences by this level, whatever it was meant for",
        "fix the level {} (target as `crm_node --list` shows it, index 1 to 9, devices that may fence the node), or take it out: \
         cibadmin --delete --xml-text '<fencing-level id=\"{}\"/>'",
    ),
    rule_of(
        "topology-without-ours",
        Error,
        "Pacemaker never fences this node with fence_ganeti: it leaves no receipt, uses no level of ours, and no node shuns it",
        "add the device to the fencing levels of {} (pcs stonith level add 1 {} fence-ganeti), or take those levels out",
    ),
    rule_of(
        "device-on-regular-nodes",
        Warning,
        "where a host lacks what the device needs, the device fails",
        "have each node say itself whether it can fence: gnt-ha setup --apply",
    ),
    rule_of(
        "one-fencer",
        Error,
        "when it dies, no host is left that can fence it, and nothing takes over from it",
        "give the others what is needed: make install or the package, then gnt-cluster copyfile of /etc/gnt-ha/config.toml and of \
         the secret files that it names; then gnt-ha setup",
    ),
    rule_of(
        "device-kept-off",
        Warning,
        "when the master candidates have died, this host cannot fence the next node that dies",
        "have each node say itself whether it can fence: gnt-ha setup --apply",
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
        "change the figure that it names: stonith-timeout or pcmk_*_timeout of the device, deadline, or the times of [self_fence]",
    ),
    rule_of("master-role-missing", Error, "no node takes over when the master dies", "gnt-ha setup --apply"),
    rule_of(
        "master-role-twice",
        Error,
        "two resources would keep one role in two places",
        "delete one of them: cibadmin --delete --xpath \"//primitive[@id='{}']\"",
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
        "give the start operation of {} (and promote, in a clone) a timeout of 300 s",
    ),
    rule_of(
        "node-role-missing",
        Error,
        "what was fenced is recorded late, or not at all where no master role monitors",
        "gnt-ha setup --apply",
    ),
    rule_of(
        "node-role-no-clone",
        Error,
        "it runs on one node only",
        "put it into a clone: pcs resource clone {} (gnt-ha setup --format crm shows it whole)",
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
        "crm_resource --resource {} --meta --delete-parameter target-role (or is-managed)",
    ),
    rule_of(
        "role-no-monitor",
        Error,
        "without a monitor nothing is noticed, and what was missed is never recorded",
        "give {} a monitor operation with an interval of 10 s (ganeti-node-role: 30 s)",
    ),
    rule_of(
        "role-failure-ignored",
        Warning,
        "a master that cannot be stopped is served elsewhere all the same",
        "take on-fail out of the operations of {}",
    ),
    rule_of(
        "node-unclean",
        Error,
        "it is lost and not fenced: nothing of it is taken over",
        "find the reason: stonith_admin --history {}; when you have seen that it is off: gnt-ha confirm-off {} --reason TEXT",
    ),
    rule_of(
        "fencing-failed",
        Warning,
        "the last fencing of this node failed",
        "ganeti-oob check {} shows what its devices answer; gnt-ha history {} shows what was tried",
    ),
    rule_of(
        "health-unused",
        Warning,
        "each node's health is published, and Pacemaker does nothing with it",
        "gnt-ha setup --health --apply, which sets all that belongs to it; or gnt-cluster remove-tags {}",
    ),
    rule_of(
        "health-stops-role",
        Error,
        "a node whose health is red loses this role as well: it is drained, and no role is left there to report when it is well again",
        "crm_resource --resource {} --meta --set-parameter allow-unhealthy-nodes --parameter-value true (gnt-ha setup --health has it)",
    ),
    rule_of(
        "setup-differs",
        Warning,
        "what gnt-ha setup has made is not as it was, or the nodes are others by now",
        "gnt-ha setup shows it, gnt-ha setup --apply makes it so, but for what it marks as by hand",
    ),
    // Pacemaker and Ganeti together.
    rule_of(
        "master-inactive",
        Error,
        "Pacemaker does not keep the master where it is, and no node takes over when it dies",
        "find the reason: crm_mon --one-shot --failcounts; when that is fixed: crm_resource --cleanup",
    ),
    rule_of(
        "master-elsewhere",
        Error,
        "this host's copy of Ganeti's configuration is stale, or the role was moved behind Pacemaker's back: two hosts may take \
         themselves for the master",
        "on {}: gnt-cluster getmaster; if it is the right one, there: gnt-cluster redist-conf",
    ),
    rule_of(
        "node-not-in-pacemaker",
        Error,
        "Pacemaker does not notice when this Ganeti node dies",
        "add it to the Pacemaker cluster (pcs cluster node add {}; of more than 16 nodes gnt-ha setup --apply makes the regular ones \
         remote nodes), or remove it from Ganeti",
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
        "it may be given the master role's resource and can never hold it",
        "add it to Ganeti (gnt-node add {}), or take it out of Pacemaker (crm_node --force --remove {}, once nothing connects to it)",
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
        "gnt-ha reconcile on the master shows what blocks the record",
    ),
    rule_of(
        "two-nodes-partial-mode",
        Warning,
        "of two nodes the survivor has no majority in Ganeti's own vote, and in partial mode a daemon that fails is not started \
         again",
        "with two nodes run the master role in full mode: gnt-cluster add-tags ocf:master-role:full",
    ),
    // Ganeti.
    rule_of(
        "no-oob-program",
        Error,
        "fence_ganeti has no way to switch this node",
        "gnt-node modify --node-parameters oob_program=/usr/lib/gnt-ha/ganeti-oob {}",
    ),
    rule_of(
        "oob-program-missing",
        Error,
        "the OOB program that Ganeti names cannot be run on this host, so this host can fence no node with it",
        "install it here (make install), or name another: gnt-cluster modify --node-parameters oob_program=FILE",
    ),
    rule_of(
        "device-no-answer",
        Error,
        "this node cannot be fenced by its OOB program as it is now",
        "ganeti-oob check {} asks each of its devices, and shows what to do",
    ),
    rule_of(
        "level-no-answer",
        Warning,
        "one level less can prove this node off: when the others fail too, nothing of it is taken over",
        "ganeti-oob check {} asks each of its devices, and shows what to do",
    ),
    rule_of(
        "machine-shared",
        Error,
        "a machine belongs to one node: to fence one would switch the other off, so neither is fenced",
        "give {} a BMC, an outlet or an address of its own in /etc/gnt-ha/config.toml: ganeti-oob check {}",
    ),
    rule_of(
        "levels-disagree",
        Error,
        "one of them switches something else: another host would lose its power, and this one be taken for off while it runs",
        "find out which outlet feeds {}, and correct /etc/gnt-ha/config.toml: ganeti-oob check {}",
    ),
    rule_of(
        "grade-too-weak",
        Error,
        "the fencing of this node fails, whatever is done: the best that can be proven is less than what is taken for off",
        "on {}: gnt-ha self-fence arm (docs/shunning.md), or give it a level with a BMC or a PDU; then ganeti-oob check {}",
    ),
    rule_of(
        "configuration-wrong",
        Error,
        "ganeti-oob can switch no node from this host",
        "correct it, then: ganeti-oob check",
    ),
    rule_of(
        "no-levels",
        Error,
        "ganeti-oob does not know how to switch this node",
        "add it to /etc/gnt-ha/config.toml: [nodes.\"{}\"], or [default]; then gnt-cluster copyfile /etc/gnt-ha/config.toml",
    ),
    rule_of(
        "configuration-accepts-isolated",
        Warning,
        "ganeti-oob takes an off that is only isolated for success: the host may still run",
        "take minimum_grade out of {}",
    ),
    rule_of(
        "one-candidate",
        Error,
        "only the master holds the configuration: when it dies, no node can take over and the configuration is lost",
        "gnt-node modify --master-candidate=yes NODE, or gnt-cluster modify --candidate-pool-size=10",
    ),
    rule_of(
        "candidates-missing",
        Warning,
        "fewer nodes hold the configuration than you want: each that dies leaves fewer who could take over",
        "gnt-node modify --master-candidate=yes NODE, or gnt-cluster modify --candidate-pool-size=NUMBER",
    ),
    rule_of(
        "drbd-discards",
        Warning,
        "when both halves of a disk were written to, DRBD discards one of them by itself, without a report",
        "take it out of net-custom: gnt-cluster modify --disk-parameters drbd:net-custom=OPTIONS, or gnt-group modify \
         --disk-parameters drbd:net-custom=OPTIONS GROUP; it holds for disks that are activated after that",
    ),
    rule_of(
        "candidate-no-answer",
        Warning,
        "its confd does not answer: a stale node cannot be recognized, and after a death its master claim is missing",
        "on {}: /usr/lib/ganeti/daemon-util start ganeti-confd",
    ),
    rule_of(
        "masters-disagree",
        Error,
        "candidates name different masters: one of them has an old configuration, and would lead with it",
        "on the right master: gnt-cluster redist-conf; then find out whether {} is offline or cut off",
    ),
    rule_of(
        "node-drained",
        Warning,
        "Ganeti puts nothing on it, and does not make it a candidate",
        "when it is well again: gnt-node modify --drained=no {}",
    ),
    rule_of("unknown-tag", Warning, "it does nothing: man gnt-ha-tags has those that do", "gnt-cluster remove-tags {}"),
    rule_of(
        "ineffective-tag",
        Warning,
        "it has no effect beside the other tags: the cluster does not do what the tag asks for",
        "gnt-cluster remove-tags {}, or add the tag that it needs (man gnt-ha-tags)",
    ),
    // This host.
    rule_of("no-fence-agent", Error, "Pacemaker on this host cannot run fence_ganeti", "install gnt-ha on this host"),
    rule_of(
        "example-agent",
        Error,
        "Ganeti's example does not take over: its stop fails, and the new master is fenced as well",
        "install gnt-ha's agent over it (make install), on every node",
    ),
    rule_of("no-agent", Error, "Pacemaker cannot run the role on this host", "install gnt-ha on this host"),
    rule_of(
        "hook-missing",
        Warning,
        "what changes in Ganeti (nodes, roles) is not followed in Pacemaker at once, and gnt-cluster verify does not show what is \
         wrong",
        "install gnt-ha on this host again (make install): each has to be an executable file called gnt-ha",
    ),
    rule_of(
        "no-voting-default",
        Error,
        "with --no-voting in {} an old master serves again after each boot, whichever node is master by then",
        "take --no-voting out of {}: the agent gives it when it is proven that no other node serves",
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
        "what died is not started again: ganeti-watcher does that, from cron",
        "install {} again: it comes with the package ganeti",
    ),
    rule_of("watcher-paused", Warning, "what died is not started again", "gnt-cluster watcher continue"),
    rule_of(
        "simulated",
        Warning,
        "a rehearsal goes on: the role behaves as if this were so",
        "rm /var/lib/gnt-ha/simulate/{}",
    ),
    rule_of(
        "unknown-simulation",
        Warning,
        "this file simulates nothing: a misspelt name",
        "rm /var/lib/gnt-ha/simulate/{}",
    ),
    rule_of("paused", Warning, "nothing is recorded in Ganeti until it is resumed", "gnt-ha resume"),
    rule_of(
        "breaker-open",
        Error,
        "too many nodes were lost at once: nothing more is recorded until the breaker is reset",
        "gnt-ha status says which; then: gnt-ha breaker reset",
    ),
    rule_of(
        "state-unreadable",
        Error,
        "what it held is unknown: nothing is recorded here, or the nodes that this host shuns are unknown",
        "repair the file, or remove it once you know what it held; gnt-ha status shows the consequence",
    ),
    rule_of(
        "role-refused",
        Error,
        "this candidate does not take the master role: it knows of a newer configuration than its own, or cannot tell; where every \
         candidate is like that, no node takes over when the master dies",
        "on the master: gnt-cluster redist-conf (gnt-node add --readd NODE, if this node is offline there); if this is still found then, \
         no node that answers has that configuration: bring the node back that has it, or, if none has, here: rm /var/lib/gnt-ha/{}",
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
        "the self-fence of this host is armed: it resets this host when no majority of the master candidates answers, and echoes alone \
         keep it while every confd is stopped, as during an upgrade of Ganeti",
        "fix what the finding names before Ganeti is stopped anywhere, or: gnt-ha self-fence disarm",
    ),
    // The other nodes.
    rule_of(
        "survey-unknown",
        Warning,
        "whether the other nodes have the same program and configuration is not known",
        "correct what the reason names; then again: gnt-ha check",
    ),
    rule_of(
        "candidate-program-no-answer",
        Error,
        "should this candidate have to fence, or become the master, nothing shows that it can; and it shuns no node",
        "on {}: is gnt-ha installed (/usr/lib/gnt-ha/ganeti-oob --version), does noded run, is /etc/gnt-ha/config.toml right?",
    ),
    rule_of(
        "node-program-no-answer",
        Warning,
        "this node does not shun a lost node that the others shun",
        "on {}: is gnt-ha installed (/usr/lib/gnt-ha/ganeti-oob --version), does noded run?",
    ),
    rule_of(
        "versions-differ",
        Warning,
        "what one version does and the other does not understand shows when a host has died",
        "install the same version on every node",
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
        "clocks decide which of two events came first: a fencing and a boot, a proof and its age; confd's answers count for 15 s",
        "have {} keep time: chronyc tracking, or timedatectl timesync-status",
    ),
];
