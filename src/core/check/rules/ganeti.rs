//! Holds the rules about Ganeti.

use super::rule::{Rule, rule_of};
use crate::core::check::severity::Severity::{Error, Warning};

pub(super) const RULES: &[Rule] = &[
    rule_of(
        "no-oob-program",
        Error,
        "fence_ganeti cannot switch this node",
        "gnt-node modify --node-parameters oob_program=/usr/lib/gnt-ha/ganeti-oob {}",
    ),
    rule_of(
        "oob-program-missing",
        Error,
        "the OOB program that Ganeti names cannot be run on this host, so this host can fence no node with it",
        "install it here (make install); or name another: gnt-cluster modify --node-parameters oob_program=FILE",
    ),
    rule_of(
        "device-no-answer",
        Error,
        "this node cannot be fenced by its OOB program as it is now",
        "to ask each of its devices, and to see what to do: /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "level-no-answer",
        Warning,
        "this level cannot prove the node off: when the other levels fail as well, this node is not recorded offline",
        "to ask each of its devices, and to see what to do: /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "machine-shared",
        Error,
        "two nodes share a machine: fencing one would switch the other off, so neither is fenced",
        "give {} a BMC, an outlet or an address of its own in /etc/gnt-ha/config.toml: /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "fingerprint-shared",
        Warning,
        "the key does not tell the two BMCs apart: if one answers at the other's address, the wrong host is switched, and the \
         other counts as off",
        "set uuid or serial_number for both nodes in /etc/gnt-ha/config.toml, or make a new key at the BMC of {}; then: \
         /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "bmc-of-another-node",
        Error,
        "fencing this node would switch the other one off, and this node would count as off while it runs",
        "find out which address is the BMC of {}, and correct /etc/gnt-ha/config.toml or the cables: \
         /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "bmc-shared",
        Error,
        "two nodes have one BMC: fencing one would switch the other off, and the first would count as off while it runs",
        "find out which address is the BMC of {}, and correct /etc/gnt-ha/config.toml: /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "bmc-identity-differs",
        Warning,
        "the BMC may belong to a host outside of the cluster, which would be switched off in place of this node; some BMCs \
         report an identity of their own, which no node has",
        "compare the BMC's web page with dmidecode -t system on {}; correct the address if it is another host, and set \
         compare_identity = false for the device in /etc/gnt-ha/config.toml if not: /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "bmc-refused",
        Error,
        "the BMC's identity contradicts what was remembered of it: a fencing of this node will not use it",
        "compare the BMC's web page with dmidecode -t system on {}; correct the address if it is another host; if it is the right \
         BMC, set compare_identity = false for its device in /etc/gnt-ha/config.toml, then: gnt-cluster copyfile \
         /etc/gnt-ha/config.toml",
    ),
    rule_of(
        "levels-disagree",
        Error,
        "one of the levels switches another machine: another host would lose its power, and this host would count as off \
         while it runs",
        "find out which outlet feeds {}, and correct /etc/gnt-ha/config.toml: /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "grade-too-weak",
        Error,
        "each fencing of this node fails: the strongest possible proof is weaker than minimum_grade",
        "give it a level with a BMC or a PDU; or, on {}: gnt-ha self-fence arm; then: /usr/lib/gnt-ha/ganeti-oob check {}",
    ),
    rule_of(
        "configuration-wrong",
        Error,
        "ganeti-oob can switch no node from this host",
        "correct it, then: /usr/lib/gnt-ha/ganeti-oob check",
    ),
    rule_of(
        "no-levels",
        Error,
        "ganeti-oob has no device for this node",
        "add it to /etc/gnt-ha/config.toml: [nodes.\"{}\"], or [default]; then: gnt-cluster copyfile /etc/gnt-ha/config.toml",
    ),
    rule_of(
        "configuration-accepts-isolated",
        Warning,
        "ganeti-oob accepts an off with the grade isolated as success: the host may still run",
        "take minimum_grade out of {}",
    ),
    rule_of(
        "one-candidate",
        Error,
        "only the master holds the configuration: when it dies, no node can take over and the configuration is lost",
        "let Ganeti choose more candidates: gnt-cluster modify --candidate-pool-size=10; or name one: gnt-node modify --master-candidate=yes NODE",
    ),
    rule_of(
        "candidates-missing",
        Warning,
        "fewer nodes hold the configuration than candidate_pool_size: each that dies leaves fewer nodes that can take over",
        "name another candidate: gnt-node modify --master-candidate=yes NODE; or lower the number: gnt-cluster modify \
         --candidate-pool-size=NUMBER",
    ),
    rule_of(
        "drbd-discards",
        Warning,
        "when both halves of a disk were written to, DRBD discards one of them by itself, without a report",
        "take the option out of net-custom, for disks that are activated after that; of the cluster: gnt-cluster modify \
         --disk-parameters drbd:net-custom=OPTIONS; of a group: gnt-group modify --disk-parameters drbd:net-custom=OPTIONS \
         GROUP",
    ),
    rule_of(
        "candidate-no-answer",
        Warning,
        "when the master dies, the candidates ask each confd who is master, and this answer would be missing",
        "on {}: /usr/lib/ganeti/daemon-util start ganeti-confd",
    ),
    rule_of(
        "masters-disagree",
        Error,
        "candidates name different masters: one of them has an old configuration, and would lead with it",
        "find out whether {} is offline or cut off; then, on the right master: gnt-cluster redist-conf",
    ),
    rule_of(
        "node-drained",
        Warning,
        "Ganeti places no instance on it, and does not make it a candidate",
        "when the node works again: gnt-node modify --drained=no {}",
    ),
    rule_of(
        "instance-not-covered",
        Warning,
        "when its host dies, this instance stays down until an administrator starts it elsewhere",
        "for the tags that permit it: man gnt-ha-tags; to see what would happen when its host dies: gnt-ha recover NODE --dry-run",
    ),
    rule_of("unknown-tag", Warning, "it does nothing: man gnt-ha-tags has those that do", "gnt-cluster remove-tags {}"),
    rule_of(
        "ineffective-tag",
        Warning,
        "it has no effect beside the other tags: the cluster does not do what the tag asks for",
        "add the tag that it needs (man gnt-ha-tags), or: gnt-cluster remove-tags {}",
    ),
];
