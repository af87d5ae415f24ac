//! Node names: validated before they reach a process, a path or a rule; matched, never guessed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest node name that is accepted, in bytes (a host name's limit, RFC 1035 2.3.4).
pub const MAX_LENGTH: usize = 255;

/// A node's name: letters, digits, `.`, `_` and `-`, beginning with a letter or a digit.
///
/// That is what Pacemaker's list parser keeps of a name (`lib/fencing/st_client.c`, `parse_list_line`) and
/// more than a host name may hold, so no shell character, path or newline ever gets past it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// The text cannot be a node's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNodeName {
    /// Nothing was given.
    #[error("the node name is empty: give a node's name as `gnt-node list` shows it")]
    Empty,
    /// More than [`MAX_LENGTH`] bytes.
    #[error("{start:?}... is not a valid node name: {length} bytes, the maximum is 255")]
    TooLong {
        /// The first characters.
        start: String,
        /// All of its bytes.
        length: usize,
    },
    /// A character that no host name has.
    #[error("{name:?} is not a valid node name: {character:?} cannot be part of one (letters, digits, '.', '_', '-')")]
    Character {
        /// What was given.
        name: String,
        /// The first character that is wrong.
        character: char,
    },
    /// It would be read as an option, a hidden file or a way up.
    #[error("{0:?} is not a valid node name: it must begin with a letter or a digit and have no empty part")]
    Shape(String),
}

impl NodeName {
    /// Checks `text` and keeps it as it is, upper and lower case included.
    ///
    /// # Errors
    /// [`BadNodeName`] with the reason.
    pub fn new(text: &str) -> Result<Self, BadNodeName> {
        if text.is_empty() {
            return Err(BadNodeName::Empty);
        }
        if text.len() > MAX_LENGTH {
            let start = text.chars().take(20).collect();
            return Err(BadNodeName::TooLong { start, length: text.len() });
        }
        if let Some(character) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
            return Err(BadNodeName::Character { name: text.to_owned(), character });
        }
        let first_fits = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !first_fits || text.contains("..") || text.ends_with('.') {
            return Err(BadNodeName::Shape(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first dot.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }

    fn is_short(&self) -> bool {
        !self.0.contains('.')
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for NodeName {
    type Error = BadNodeName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl std::str::FromStr for NodeName {
    type Err = BadNodeName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// Why a name does not stand for exactly one node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchNode {
    /// No node of that name.
    #[error("no node {given} in Ganeti's configuration")]
    Unknown {
        /// What was asked for.
        given: NodeName,
    },
    /// A short name that several nodes have.
    #[error("{given} may be any of {}: give the full name", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        given: NodeName,
        /// The full names that it could be.
        candidates: Vec<String>,
    },
}

/// Finds the one node that Pacemaker means by `given`: its full name, or its short one if no other node
/// shares that. Case does not count (Pacemaker compares host names that way).
///
/// A full name never matches a node of another domain.
///
/// # Errors
/// [`NoSuchNode`], when it is none or could be several.
pub fn find<'a, I>(given: &NodeName, names: I) -> Result<&'a NodeName, NoSuchNode>
where
    I: IntoIterator<Item = &'a NodeName>,
{
    let mut same_short = Vec::new();
    for name in names {
        if name.0.eq_ignore_ascii_case(&given.0) {
            return Ok(name);
        }
        // A cluster may name its nodes without a domain while Pacemaker uses one, or the other way round.
        let is_alike = (given.is_short() || name.is_short()) && name.short().eq_ignore_ascii_case(given.short());
        if is_alike && !same_short.contains(&name) {
            same_short.push(name);
        }
    }
    match same_short.as_slice() {
        [] => Err(NoSuchNode::Unknown { given: given.clone() }),
        [one] => Ok(one),
        several => Err(NoSuchNode::Ambiguous {
            given: given.clone(),
            candidates: several.iter().map(ToString::to_string).collect(),
        }),
    }
}

/// How a name that another program gives stands to one of a cluster's nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It means this node, and no other.
    Same,
    /// It means another node, or none.
    Other,
    /// It may mean this node or another: never a match.
    Ambiguous,
}

/// Compares a name that another program gives with `wanted`, one of the nodes `all`.
#[must_use]
pub fn compare<'a>(given: &NodeName, wanted: &'a NodeName, all: impl IntoIterator<Item = &'a NodeName>) -> Match {
    // Nothing else could be it: in a large cluster most comparisons end here.
    if !given.short().eq_ignore_ascii_case(wanted.short()) {
        return Match::Other;
    }
    match find(given, all.into_iter().chain([wanted])) {
        Ok(found) if found.0.eq_ignore_ascii_case(&wanted.0) => Match::Same,
        Err(NoSuchNode::Ambiguous { candidates, .. }) if candidates.contains(&wanted.0) => Match::Ambiguous,
        Ok(_) | Err(_) => Match::Other,
    }
}

/// Whether a name that another program gives means `wanted`, one of the nodes `all`, and no other of them.
#[must_use]
pub fn means<'a>(given: &NodeName, wanted: &'a NodeName, all: impl IntoIterator<Item = &'a NodeName>) -> bool {
    compare(given, wanted, all) == Match::Same
}

/// Whether two names, of which either may be short, are one node's; `all` are the names that could be meant by it. A short name
/// that several full ones share is nobody's.
#[must_use]
pub fn same<'a>(one: &'a NodeName, other: &'a NodeName, all: impl IntoIterator<Item = &'a NodeName>) -> bool {
    if one.0.eq_ignore_ascii_case(&other.0) {
        return true;
    }
    if !(one.is_short() || other.is_short()) || !one.short().eq_ignore_ascii_case(other.short()) {
        return false;
    }
    let alike = |name: &&NodeName| !name.is_short() && name.short().eq_ignore_ascii_case(one.short());
    let mut full = all.into_iter().chain([one, other]).filter(alike);
    let first = full.next();
    full.all(|name| first.is_some_and(|first| first.0.eq_ignore_ascii_case(&name.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    /// House rule: "node names are validated before they reach a process or a rule set".
    #[test]
    fn hostile_names_are_refused() {
        let long = "a".repeat(300);
        for bad in [
            "",
            "n1;reboot",
            "$(id)",
            "../etc/passwd",
            "/etc/passwd",
            "n1\nn2",
            "n 1",
            "-o",
            ".hidden",
            "n1..lab",
            "n1.",
            "n\u{fc}rnberg",
            "n1\0",
            &long,
        ] {
            assert!(NodeName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_short_name_finds_its_node() {
        let nodes = [name("n1.lab"), name("n2.lab")];
        assert_eq!(find(&name("n2"), &nodes), Ok(&nodes[1]));
        assert_eq!(find(&name("N2.LAB"), &nodes), Ok(&nodes[1]));
    }

    /// fence-agents#316: the wrong machine was fenced because a name stood for two.
    #[test]
    fn an_ambiguous_name_is_an_error_and_names_the_candidates() {
        let nodes = [name("n1.east"), name("n1.west")];
        let error = find(&name("n1"), &nodes).unwrap_err();
        assert_eq!(error.to_string(), "n1 may be any of n1.east, n1.west: give the full name");
        assert_eq!(find(&name("n1.west"), &nodes), Ok(&nodes[1]));
    }

    #[test]
    fn a_full_name_never_matches_another_domain() {
        let nodes = [name("n1.east")];
        assert!(matches!(find(&name("n1.west"), &nodes), Err(NoSuchNode::Unknown { .. })));
    }

    #[test]
    fn an_exact_name_wins_over_a_shared_short_one() {
        let nodes = [name("n1.lab"), name("n1")];
        assert_eq!(find(&name("n1"), &nodes), Ok(&nodes[1]));
    }

    /// Ambiguity is never a match, on whichever side the short name stands.
    #[test]
    fn a_short_name_of_two_domains_means_neither() {
        let all = [name("n1.east"), name("n1.west"), name("n2.east")];
        assert_eq!(compare(&name("n1"), &all[0], &all), Match::Ambiguous);
        assert_eq!(compare(&name("n1.east"), &all[0], &all), Match::Same);
        assert_eq!(compare(&name("n1.west"), &all[0], &all), Match::Other);
        assert_eq!(compare(&name("N2"), &all[2], &all), Match::Same);
    }

    /// One node in the place of all makes the first match of a short name the right one: no program asks that way.
    #[test]
    fn nobody_looks_a_name_up_among_one() {
        fn look_at(folder: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    look_at(&entry, found);
                } else if entry.extension().is_some_and(|end| end == "rs") {
                    let text = std::fs::read_to_string(&entry).unwrap();
                    let call = ["node::find", "("].concat();
                    for (at, _) in text.match_indices(&call) {
                        let rest: String = text[at + call.len()..].split_whitespace().collect();
                        let end = rest.find(')').unwrap_or(rest.len());
                        if rest[..end].contains(",[") || rest[..end].contains("from_ref") {
                            found.push(format!("{}: {}", entry.display(), &rest[..end]));
                        }
                    }
                }
            }
        }
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        for folder in ["src", "agents/src", "fence/src", "oob/src"] {
            look_at(&root.join(folder), &mut found);
        }
        assert_eq!(found, [""; 0]);
    }

    /// A short name that two full names share is no match, never the first; in which order they come is no matter.
    #[test]
    fn a_short_name_of_two_is_the_same_as_neither() {
        let (short, east, west) = (name("n1"), name("n1.east"), name("n1.west"));
        assert!(same(&short, &east, []) && same(&east, &short, []) && same(&short, &name("N1"), [&east, &west]));
        for all in [[&east, &west], [&west, &east]] {
            assert!(!same(&short, &east, all) && !same(&west, &short, all));
        }
        assert!(!same(&short, &east, [&west]) && same(&short, &east, [&name("n2.west"), &name("N1.EAST")]));
        assert!(same(&east, &name("N1.east"), [&west]) && !same(&east, &west, []));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_harmless(text in ".*") {
            if let Ok(name) = NodeName::new(&text) {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
                prop_assert!(!name.as_str().starts_with(['-', '.']));
            }
        }
    }
}
