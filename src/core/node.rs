//! Node names: validated before they reach a process, a path or a rule, and matched without guessing. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The greatest length of a node name, in bytes (the limit of a host name, RFC 1035 2.3.4).
pub const MAX_LENGTH: usize = 255;

/// A node's name: letters, digits, `.`, `_` and `-`, beginning with a letter or a digit.
///
/// Pacemaker's list parser keeps these characters of a name (`lib/fencing/st_client.c`, `parse_list_line`). They are
/// more than a host name may have. A shell character, a path or a newline never passes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// The reason why a text is not a valid node name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNodeName {
    /// The text is empty.
    #[error("the node name is empty: give a node's name as `gnt-node list` shows it")]
    Empty,
    /// The text has more than [`MAX_LENGTH`] bytes.
    #[error("{start:?}... is not a valid node name: {length} bytes, the maximum is 255")]
    TooLong {
        /// The first 20 characters of the text.
        start: String,
        /// The length of the text, in bytes.
        length: usize,
    },
    /// The text has a character that a host name cannot have.
    #[error("{name:?} is not a valid node name: {character:?} cannot be part of one (letters, digits, '.', '_', '-')")]
    Character {
        /// The text that was given.
        name: String,
        /// The first invalid character.
        character: char,
    },
    /// The text would be read as an option, a hidden file or a parent directory, or it has an empty part.
    #[error("{0:?} is not a valid node name: it must begin with a letter or a digit and have no empty part")]
    Shape(String),
}

impl NodeName {
    /// Checks `text` and keeps it unchanged, upper and lower case included.
    ///
    /// # Errors
    /// [`BadNodeName`] if the text is empty, too long, or has an invalid character or an empty part.
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

    /// Returns the name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part before the first dot.
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

/// The reason why a name does not mean exactly one node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchNode {
    /// Ganeti's configuration has no node of this name.
    #[error("no node {given} in Ganeti's configuration")]
    Unknown {
        /// The name that was given.
        given: NodeName,
    },
    /// Several nodes have this short name.
    #[error("{given} may be any of {}: give the full name", candidates.join(", "))]
    Ambiguous {
        /// The name that was given.
        given: NodeName,
        /// The full names of these nodes.
        candidates: Vec<String>,
    },
}

/// Returns the one node that Pacemaker means by `given`: by its full name, or by its short name if no other node shares
/// that. Case does not count (Pacemaker compares host names that way).
///
/// A full name never matches a node of another domain.
///
/// # Errors
/// [`NoSuchNode`] if no node has the name, or several nodes could be meant.
///
/// ```
/// use gnt_ha::core::node::{NodeName, find};
///
/// let nodes = [NodeName::new("n1.lab")?, NodeName::new("n2.lab")?, NodeName::new("n2.other")?];
/// assert_eq!(find(&NodeName::new("N1")?, &nodes), Ok(&nodes[0]));
/// assert!(find(&NodeName::new("n2")?, &nodes).is_err(), "n2.lab or n2.other");
/// # Ok::<(), gnt_ha::core::node::BadNodeName>(())
/// ```
pub fn find<'a, I>(given: &NodeName, names: I) -> Result<&'a NodeName, NoSuchNode>
where
    I: IntoIterator<Item = &'a NodeName>,
{
    let mut same_short = Vec::new();
    for name in names {
        if name.0.eq_ignore_ascii_case(&given.0) {
            return Ok(name);
        }
        // Ganeti may name its nodes without a domain while Pacemaker uses one, or the other way round.
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

/// The result of comparing another program's name of a node with a node of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The name means this node, and no other.
    Same,
    /// The name means another node, or no node.
    Other,
    /// The name may mean this node or another: never a match.
    Ambiguous,
}

/// Compares a name that another program gives with `wanted`, one of the nodes `all`.
#[must_use]
pub fn compare<'a>(given: &NodeName, wanted: &'a NodeName, all: impl IntoIterator<Item = &'a NodeName>) -> Match {
    // Other short names cannot match: in a large cluster most comparisons end here.
    if !given.short().eq_ignore_ascii_case(wanted.short()) {
        return Match::Other;
    }
    match find(given, all.into_iter().chain([wanted])) {
        Ok(found) if found.0.eq_ignore_ascii_case(&wanted.0) => Match::Same,
        Err(NoSuchNode::Ambiguous { candidates, .. }) if candidates.contains(&wanted.0) => Match::Ambiguous,
        Ok(_) | Err(_) => Match::Other,
    }
}

/// Returns whether a name that another program gives means `wanted`, one of the nodes `all`, and no other of them.
#[must_use]
pub fn means<'a>(given: &NodeName, wanted: &'a NodeName, all: impl IntoIterator<Item = &'a NodeName>) -> bool {
    compare(given, wanted, all) == Match::Same
}

/// Returns whether two names, either of which may be short, mean the same node. `all` are the names that could be
/// meant. A short name that several full ones share means none of them.
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

    /// Node names are validated before they reach a process or a rule set.
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

    /// An ambiguous name is never a match, whichever of the two names is short.
    #[test]
    fn a_short_name_of_two_domains_means_neither() {
        let all = [name("n1.east"), name("n1.west"), name("n2.east")];
        assert_eq!(compare(&name("n1"), &all[0], &all), Match::Ambiguous);
        assert_eq!(compare(&name("n1.east"), &all[0], &all), Match::Same);
        assert_eq!(compare(&name("n1.west"), &all[0], &all), Match::Other);
        assert_eq!(compare(&name("N2"), &all[2], &all), Match::Same);
    }

    /// With a single node as `names`, any short name that fits would match: no program calls [`find`] that way.
    #[test]
    fn no_caller_searches_a_name_among_one() {
        fn search(dir: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    search(&entry, found);
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
        for dir in ["src", "agents/src", "fence/src", "oob/src"] {
            search(&root.join(dir), &mut found);
        }
        assert_eq!(found, [""; 0]);
    }

    /// A short name that two full names share is not a match, in whichever order they come.
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
