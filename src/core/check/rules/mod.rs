//! The table of rules: for each finding its name, how bad it is, why it matters, and how to fix it. The manual page is
//! made from this table.

mod ganeti;
mod host;
mod membership;
mod pacemaker;
mod peers;
mod rule;
mod unread;

use self::rule::rule_of;
use super::severity::Severity::Error;

pub use self::rule::Rule;

/// The rule for a name that is not in the table: a fault of this program.
const NO_RULE: Rule = rule_of("no-rule", Error, "this finding is not in the table of rules", "report it");

/// Returns the rule of this name, or one that reports that the name is not in the table.
#[must_use]
pub fn rule(name: &str) -> &'static Rule {
    all().find(|rule| rule.name == name).unwrap_or(&NO_RULE)
}

/// All rules, by what they are about.
const GROUPS: [&[Rule]; 6] =
    [unread::RULES, pacemaker::RULES, membership::RULES, ganeti::RULES, host::RULES, peers::RULES];

/// Returns all rules; each name occurs once.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    GROUPS.into_iter().flatten()
}
