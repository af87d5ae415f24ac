//! Holds the type of a rule.

use crate::core::check::severity::Severity;

/// One rule of `gnt-ha check`: the name, severity and explanation of a problem.
#[derive(Debug)]
pub struct Rule {
    /// The name of the rule, which is stable from 0.2.0 on: `check --json` prints it.
    pub name: &'static str,
    /// How bad a finding of the rule is; the worst severity sets the exit code of `gnt-ha check`.
    pub severity: Severity,
    /// Why a finding of the rule matters.
    pub why: &'static str,
    /// How to fix a finding; `{}` stands for its subject.
    pub fix: &'static str,
}

pub(super) const fn rule_of(name: &'static str, severity: Severity, why: &'static str, fix: &'static str) -> Rule {
    Rule { name, severity, why, fix }
}
