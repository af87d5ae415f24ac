//! The rules of `gnt-ha check`: take the state of both clusters and return findings, each with its fix. Pure.
//!
//! [`rules::all`] is the one table of possible findings. The other files compare Pacemaker, Ganeti, both together,
//! this host and the other nodes with the rules. [`notes`] returns information that is not a problem.
//!
//! ```
//! let rule = gnt_ha::core::check::rules::rule("maintenance");
//! assert_eq!(rule.fix, "when the work is done: crm_attribute --name maintenance-mode --delete");
//! ```

mod bmc_identity;
mod budget;
#[cfg(test)]
mod faults;
mod ganeti;
mod grades;
mod host;
pub mod input;
mod membership;
mod pacemaker;
mod peers;
mod quorum;
pub mod rules;
#[cfg(test)]
mod scene;
mod setup;
mod severity;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use bmc_identity::learned;
pub use grades::{CheckNote, notes};
pub use input::CheckInput;
use rules::{Rule, rule};
pub use severity::Severity;

/// The version of the JSON output. Later versions may add keys; the meaning of a key stays.
pub const VERSION: u32 = 1;

/// A problem that a rule found in the input, with the fix for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the rule, which is stable.
    pub rule: &'static str,
    /// The severity of the problem; the worst one is the exit code.
    pub severity: Severity,
    /// The node, resource or file that has the problem.
    pub subject: String,
    /// The state that the rule found, in one line: `SUBJECT: PROBLEM` is printed.
    pub problem: String,
    /// Why the problem matters: what would go wrong when a host dies.
    pub why: &'static str,
    /// The command or change that removes the problem.
    pub fix: String,
}

/// The findings, while the rules run.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding of the rule `name`, one of [`rules::all`]. `{}` in its fix stands for `subject`.
    fn add(&mut self, name: &'static str, subject: impl ToString, problem: impl Into<String>) {
        let subject = subject.to_string();
        let fix = rule(name).fix.replace("{}", &subject);
        self.add_with_fix(name, subject, problem, fix);
    }

    /// Adds a finding with a fix that follows from the observed state.
    fn add_with_fix(&mut self, name: &'static str, subject: String, problem: impl Into<String>, fix: String) {
        let Rule { name, severity, why, .. } = rule(name);
        self.0.push(Finding { rule: name, severity: *severity, subject, problem: problem.into(), why, fix });
    }
}

/// Returns all findings, the worst first.
///
/// An empty list does not prove that nothing is wrong. State that could not be read is a finding, too.
#[must_use]
pub fn check(view: &CheckInput) -> Vec<Finding> {
    let mut findings = Findings::default();
    pacemaker::check(view, &mut findings);
    quorum::check(view, &mut findings);
    budget::check(view, &mut findings);
    let is_well = findings.0.is_empty();
    ganeti::check(view, &mut findings);
    membership::check(view, &mut findings);
    host::check(view, &mut findings);
    peers::check(view, &mut findings);
    grades::check(view, &mut findings);
    bmc_identity::check(view, &mut findings);
    if is_well {
        setup::check(view, &mut findings);
    }
    let mut found = findings.0;
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.subject.cmp(&b.subject)));
    found
}
