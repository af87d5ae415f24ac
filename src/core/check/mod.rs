//! The doctor's rules: what is known of both clusters goes in, findings come out, each with its fix.
//!
//! [`rules::RULES`] is the one table of what can be found; the files beside it look: at Pacemaker's configuration and state,
//! at Ganeti's, at both together, at this host, at the others. What is no fault and good to know are [`notes`].

mod budget;
#[cfg(test)]
mod faults;
mod ganeti;
mod grades;
#[cfg(test)]
mod grades_tests;
mod host;
pub mod input;
mod membership;
mod pacemaker;
mod peers;
mod quorum;
pub mod rules;
mod setup;
mod severity;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use grades::{Note, notes};
pub use input::CheckInput;
use rules::{Rule, rule};
pub use severity::Severity;

/// The version of the JSON. Keys may be added to it; none changes its meaning.
pub const VERSION: u32 = 1;

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name: it stays the same.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// A node, a resource, a file: whatever it is about.
    pub about: String,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// How to fix it.
    pub fix: String,
}

/// What is found, while it is gathered.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// `name` is one of [`rules::RULES`]; `{}` in its fix stands for what it is about.
    fn add(&mut self, name: &'static str, about: impl ToString, what: impl Into<String>) {
        let about = about.to_string();
        let fix = rule(name).fix.replace("{}", &about);
        self.add_with_fix(name, about, what, fix);
    }

    /// The same, where the fix follows from what was found.
    fn add_with_fix(&mut self, name: &'static str, about: String, what: impl Into<String>, fix: String) {
        let Rule { name, severity, why, .. } = rule(name);
        self.0.push(Finding { rule: name, severity: *severity, about, what: what.into(), why, fix });
    }
}

/// Everything that is wrong, the worst first. Nothing found is no proof that nothing is wrong: what could not be looked at
/// is a finding, too.
#[must_use]
pub fn check(view: &CheckInput) -> Vec<Finding> {
    let mut findings = Findings::default();
    pacemaker::look(view, &mut findings);
    quorum::look(view, &mut findings);
    budget::look(view, &mut findings);
    let is_well = findings.0.is_empty();
    ganeti::look(view, &mut findings);
    membership::look(view, &mut findings);
    host::look(view, &mut findings);
    peers::look(view, &mut findings);
    grades::look(view, &mut findings);
    if is_well {
        setup::look(view, &mut findings);
    }
    let mut found = findings.0;
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.about.cmp(&b.about)));
    found
}
