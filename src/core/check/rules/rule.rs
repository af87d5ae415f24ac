//! Holds the type of a rule.

use crate::core::check::severity::Severity;

/// One rule of `gnt-ha check`: the name, severity and explanation of a problem.
#[derive(Debug)]
pub struct Rule {
    /// The name of the rule, for programs.
    pub name: &'static str,
    /// The severity of a finding of the rule.
    pub severity: Severity,
    /// Why a finding of the rule matters.
    pub why: &'static str,
    /// How to fix a finding; `{}` stands for its subject.
    pub fix: &'static str,
}

pub(super) const fn rule_of(name: &'static str, severity: Severity, why: &'static str, fix: &'static str) -> Rule {
    Rule { name, severity, why, fix }
}
