//! Names and reads many nodes at once, for list, list-status and monitor.

use std::path::PathBuf;

use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::Power;
use gnt_ha::core::power_change::ReadFailure;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::fan_out::each;
use gnt_ha::sys::oob_program::{OobError, OobProgram};

use crate::options::Options;
use crate::power::evaluate;

/// Returns every name under which Pacemaker may know a node: its full name and its short one.
///
/// There is no state column: Pacemaker would take a word such as `UNKNOWN` for a node (`lib/fencing/st_client.c`).
#[must_use]
pub fn names(node: &NodeName, separator: &str) -> String {
    if node.short() == node.as_str() { node.to_string() } else { format!("{node}{separator}{}", node.short()) }
}

/// Returns the power of each node, as its program reports it.
#[must_use]
pub fn ask(nodes: &[(NodeName, PathBuf)], options: &Options, deadline: Deadline) -> Vec<Result<Power, ReadFailure>> {
    each(nodes, options.fanout, |(node, path)| {
        let answer = OobProgram::find(path).and_then(|program| program.status(node, deadline));
        evaluate(&answer, options.minimum_grade)
    })
}

/// Checks that each program can be run; each one is checked once.
///
/// # Errors
/// [`OobError`] of the first program that cannot be run.
pub fn programs_are_there(nodes: &[(NodeName, PathBuf)]) -> Result<(), OobError> {
    let mut paths: Vec<&PathBuf> = nodes.iter().map(|(_, path)| path).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().try_for_each(|path| OobProgram::find(path).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_domain_is_named_once() {
        assert_eq!(names(&NodeName::new("n1").unwrap(), ","), "n1");
        assert_eq!(names(&NodeName::new("n1.lab").unwrap(), ","), "n1.lab,n1");
    }
}
