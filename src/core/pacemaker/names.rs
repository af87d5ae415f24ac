//! Pacemaker's names of nodes: often short names, where Ganeti has full ones. Pure.
//!
//! Pacemaker's tools accept names that no node has. `stonith_admin --confirm` succeeds and the node stays UNCLEAN.
//! `crm_attribute --node` and a constraint then apply to no node. So a command to Pacemaker takes a [`PacemakerName`],
//! and only a name that Pacemaker itself has written becomes one.

use std::fmt;

use crate::core::node::{Match, NodeName, compare};

/// A node's name in Pacemaker, as Pacemaker wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacemakerName(NodeName);

impl PacemakerName {
    /// Reads a name from Pacemaker's output or configuration; `None` if it is not a valid node name.
    pub(super) fn read(text: &str) -> Option<Self> {
        NodeName::new(text).ok().map(Self)
    }

    /// Returns the node on which Pacemaker runs an OCF agent, by the agent's environment
    /// (`OCF_RESKEY_CRM_meta_on_node`).
    pub fn of_agent(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Self::read(&variable("OCF_RESKEY_CRM_meta_on_node")?)
    }

    /// Returns a name for a test.
    #[cfg(test)]
    pub(crate) fn of_test(text: &str) -> Self {
        Self(NodeName::new(text).unwrap())
    }

    /// Returns the name as an argument for Pacemaker's tools.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the name for a comparison with Ganeti's names.
    #[must_use]
    pub const fn name(&self) -> &NodeName {
        &self.0
    }
}

impl fmt::Display for PacemakerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reason why a node of Ganeti has no name in Pacemaker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPacemakerName {
    /// No node of Pacemaker has a name that means it.
    #[error("Pacemaker has no node {node} (it has {}); a node must have the same host name in both", list(known))]
    Unknown {
        /// The node, as Ganeti names it.
        node: NodeName,
        /// The names of Pacemaker's nodes.
        known: Vec<String>,
    },
    /// Several names mean it, or one of them may mean it or another node of Ganeti's.
    #[error(
        "{node} may be more than one of Pacemaker's nodes: {}; remove what is left over (crm_node --force --remove NAME), or use \
         full names in Pacemaker",
        list(candidates)
    )]
    Ambiguous {
        /// The node, as Ganeti names it.
        node: NodeName,
        /// The names of Pacemaker's nodes that may mean it.
        candidates: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Returns the one of Pacemaker's `names` that means `wanted`, one of Ganeti's nodes `all`. Case does not count. A
/// short name means the one node that has it, and a full name never a node of another domain.
///
/// # Errors
/// [`NoPacemakerName`] if no name means the node, or it is unknown which one does.
pub fn called<'a>(
    wanted: &NodeName,
    names: impl IntoIterator<Item = &'a PacemakerName>,
    all: &[NodeName],
) -> Result<&'a PacemakerName, NoPacemakerName> {
    let (mut same, mut perhaps, mut known): (Vec<&PacemakerName>, Vec<&PacemakerName>, Vec<String>) =
        Default::default();
    for name in names {
        known.push(name.to_string());
        match compare(name.name(), wanted, all) {
            Match::Same if !same.contains(&name) => same.push(name),
            Match::Ambiguous => perhaps.push(name),
            Match::Same | Match::Other => {}
        }
    }
    match same.as_slice() {
        [one] => Ok(one),
        [] if perhaps.is_empty() => Err(NoPacemakerName::Unknown { node: wanted.clone(), known }),
        _ => Err(NoPacemakerName::Ambiguous {
            node: wanted.clone(),
            candidates: same.into_iter().chain(perhaps).map(ToString::to_string).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<NodeName> {
        texts.iter().map(|text| NodeName::new(text).unwrap()).collect()
    }

    /// A command to Pacemaker uses Pacemaker's own name of the node, or is not given. Pacemaker's tools accept a name
    /// that no node has, and change nothing.
    #[test]
    fn a_node_is_found_by_its_own_name_or_not_at_all() {
        // Ganeti's nodes, Pacemaker's nodes, and for each of Ganeti's its name in Pacemaker.
        type Row = (&'static [&'static str], &'static [&'static str], &'static [Option<&'static str>]);
        const ROWS: [Row; 11] = [
            (&["n1.lab", "n3.lab"], &["n1.lab", "n3.lab"], &[Some("n1.lab"), Some("n3.lab")]),
            (&["n1.lab", "n3.lab"], &["n1", "n3"], &[Some("n1"), Some("n3")]),
            (&["n1", "n3"], &["n1.lab", "n3.lab"], &[Some("n1.lab"), Some("n3.lab")]),
            (&["n1.lab", "n3.lab"], &["N1", "N3.Lab"], &[Some("N1"), Some("N3.Lab")]),
            (&["n1.lab", "n3.lab"], &["n1.lab", "n3.other"], &[Some("n1.lab"), None]),
            (&["node1.lab", "node10.lab"], &["node10", "node1"], &[Some("node1"), Some("node10")]),
            (&["node1.lab", "node10.lab"], &["node10"], &[None, Some("node10")]),
            // One name that may mean two nodes of Ganeti.
            (&["n1.east", "n1.west"], &["n1"], &[None, None]),
            (&["n1.east", "n1.west"], &["n1.east", "n1.west"], &[Some("n1.east"), Some("n1.west")]),
            // Two names for one node: one of them is left over, and Pacemaker does not show which.
            (&["n1.lab", "n3.lab"], &["n1", "n3", "n3.lab"], &[Some("n1"), None]),
            (&["n1.lab"], &[], &[None]),
        ];
        for (ganeti, pacemaker, expected) in ROWS {
            let all = names(ganeti);
            let theirs: Vec<PacemakerName> = pacemaker.iter().map(|text| PacemakerName::of_test(text)).collect();
            let found: Vec<Option<&str>> =
                all.iter().map(|node| called(node, &theirs, &all).ok().map(PacemakerName::as_str)).collect();
            assert_eq!(found, expected, "{ganeti:?} in {pacemaker:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_there_are() {
        let why = |ganeti: &[&str], pacemaker: &[&str]| {
            let all = names(ganeti);
            let theirs: Vec<PacemakerName> = pacemaker.iter().map(|text| PacemakerName::of_test(text)).collect();
            called(&all[0], &theirs, &all).unwrap_err().to_string()
        };
        let unknown = why(&["n3.lab"], &["n1.other", "n3.other"]);
        assert!(unknown.starts_with("Pacemaker has no node n3.lab (it has n1.other, n3.other)"), "{unknown}");
        for several in [why(&["n3.lab"], &["n3", "n3.lab"]), why(&["n3.lab", "n3.west"], &["n3"])] {
            assert!(several.contains("n3.lab may be more than one of Pacemaker's nodes: n3"), "{several}");
        }
    }

    /// Pacemaker passes its own name of the node to an agent.
    #[test]
    fn an_agent_gets_the_name() {
        let of =
            |value: &str| PacemakerName::of_agent(|name| (name == "OCF_RESKEY_CRM_meta_on_node").then(|| value.into()));
        assert_eq!(of("n1"), Some(PacemakerName::of_test("n1")));
        assert_eq!((of(""), of("-x")), (None, None));
    }
}
