//! The plan that `gnt-ha recover --dry-run` prints: which instances of a dead host would start where, and which would not.
//! Changes nothing.

use crate::cli;
use crate::commands::error::CommandError;
use crate::commands::paths::Paths;
use crate::core::node::NodeName;
use crate::core::recovery::plan::{RecoveryPlan, Start};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;

/// Collects the state of the cluster and prints the plan, with `died` as if that host had just died. Returns whether every
/// instance that is to run would run.
///
/// # Errors
/// [`CommandError`] if the state cannot be read.
pub(super) fn show(died: Option<&NodeName>, paths: &Paths, deadline: Deadline) -> Result<bool, CommandError> {
    let plan = paths.view().recovery(died, deadline)??;
    cli::print(&shown(&plan))?;
    if files::read_recovery_config_if_on(&paths.data_dir)?.is_none() {
        cli::print("recovery is off: gnt-ha setup --recover\n")?;
    }
    Ok(plan.not_recovered.is_empty())
}

/// Returns the plan as text, one line for each instance.
fn shown(plan: &RecoveryPlan) -> String {
    let started = plan.starts.iter().map(|start| &start.instance);
    let names = started
        .chain(plan.under_way.iter().map(|under_way| &under_way.instance))
        .chain(plan.not_recovered.iter().map(|(instance, _)| instance))
        .chain(plan.cancel.iter().map(|cancel| &cancel.instance));
    let width = names.map(|name| name.to_string().chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for start in &plan.starts {
        text.push_str(&format!("* {:width$}  {}\n", start.instance, would_start(start)));
    }
    for under_way in &plan.under_way {
        let on = under_way.on.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
        text.push_str(&format!("  {:width$}  job {} starts it{on}\n", under_way.instance, under_way.job));
    }
    for cancel in &plan.cancel {
        text.push_str(&format!(
            "* {:width$}  job {} would be cancelled: {}\n",
            cancel.instance, cancel.job, cancel.why
        ));
    }
    for (instance, reason) in &plan.not_recovered {
        text.push_str(&format!("! {instance:width$}  {reason}\n"));
    }
    for (instance, error) in &plan.bad_priorities {
        text.push_str(&format!("? {instance:width$}  starts without a priority: {error}\n"));
    }
    let (would, not) = (plan.starts.len() + plan.under_way.len(), plan.not_recovered.len());
    text.push_str(&format!("would run again: {would}; would not: {not}; nothing was changed\n"));
    text
}

fn would_start(start: &Start) -> String {
    let node = start.on.node().map_or_else(|| "a node of the allocator's choice".to_owned(), ToString::to_string);
    let after = if start.after_record { " after its record" } else { "" };
    format!("would start on {node}{after} (off {}, priority {})", start.off, start.priority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recovery::instance::InstanceName;
    use crate::core::recovery::instance_breaker::InstanceBreaker;
    use crate::core::recovery::not_recovered::NotRecovered;
    use crate::core::recovery::priority::Priority;
    use crate::core::recovery::start_node::StartNode;
    use std::collections::BTreeSet;

    #[test]
    fn each_instance_has_its_line() {
        let name = |text: &str| InstanceName::new(text).unwrap();
        let node = |text: &str| NodeName::new(text).unwrap();
        let start = Start {
            instance: name("web\u{1b}[31m"),
            off: node("n3.lab"),
            on: StartNode::Allocated(node("n2.lab")),
            priority: Priority::default(),
            after_record: false,
            moves_again: false,
            starts_per_host: 4,
            failed_on: BTreeSet::new(),
            off_version: None,
        };
        let plan = RecoveryPlan {
            starts: vec![start],
            under_way: Vec::new(),
            not_recovered: vec![(name("db"), NotRecovered::NoProof)],
            cancel: Vec::new(),
            bad_priorities: Vec::new(),
            breaker: InstanceBreaker::default(),
        };
        let text = shown(&plan);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "* web\\u001b[31m  would start on n2.lab (off n3.lab, priority 0)");
        assert!(lines[1].starts_with("! db             its host is recorded offline without a proof"), "{}", lines[1]);
        assert_eq!(lines[2], "would run again: 1; would not: 1; nothing was changed");
    }
}
