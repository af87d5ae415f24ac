//! Holds the rules about state that cannot be read.

use super::rule::{Rule, rule_of};
use crate::core::check::severity::Severity::Error;

pub(super) const RULES: &[Rule] = &[
    rule_of(
        "pacemaker-unknown",
        Error,
        "nothing on this host is fenced or moved while its cluster stack does not run or answer",
        "run this check on a node where it runs, or start it: systemctl start pacemaker",
    ),
    rule_of(
        "cib-unknown",
        Error,
        "what Pacemaker will do cannot be checked",
        "run this check on a full member of the cluster, where this command prints the configuration: cibadmin --query",
    ),
    rule_of(
        "ganeti-unknown",
        Error,
        "which node has which OOB program is known on master candidates only",
        "run this check on a master candidate: gnt-node list -o name,role",
    ),
];
