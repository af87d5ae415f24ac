//! The copy of Ganeti's OOB programs of all nodes, for hosts that do not have Ganeti's configuration. It is a cluster
//! property in Pacemaker's configuration, which every full member has. Pure.
//!
//! Its form is `PATH,NODE,NODE,...` for each program and the nodes that have it, one after the other. The name of a
//! master candidate ends in `+`. A node that is not named has no program, or was added since: either way it cannot be
//! fenced by the copy. No character of the property needs quotes in a shell, in pcs or in XML.
//!
//! The copy marks the candidates because Ganeti sends nothing to a node that is offline. A host that was a candidate
//! when it was lost still has an old configuration when it is back, and cannot find out that it is old
//! (`lib/config/__init__.py`, `ConfigWriter._DistributeConfig`: only nodes that are online).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::config::GanetiConfig;
use crate::core::node::NodeName;

/// The cluster property that holds the copy.
pub const PROPERTY: &str = "gnt-ha-oob-programs";

/// The OOB program of each node, and the nodes that hold Ganeti's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    by_path: BTreeMap<PathBuf, BTreeSet<NodeName>>,
    candidates: BTreeSet<NodeName>,
}

/// The end of the name of a master candidate; no host name contains it.
const CANDIDATE: char = '+';

impl Programs {
    /// Returns the programs of Ganeti's nodes; `otherwise` is the program of a node that has none. `None` if no node
    /// has one, or if a path has characters that the property cannot hold.
    #[must_use]
    pub fn of(ganeti: &GanetiConfig, otherwise: Option<&Path>) -> Option<Self> {
        let mut all: BTreeMap<PathBuf, BTreeSet<NodeName>> = BTreeMap::new();
        for node in ganeti.nodes() {
            let Some(path) = node.oob_program.as_deref().or(otherwise) else { continue };
            all.entry(path.to_owned()).or_default().insert(node.name.clone());
        }
        let candidates = ganeti.nodes().iter().filter(|node| node.master_candidate && !node.offline);
        let candidates =
            candidates.map(|node| node.name.clone()).filter(|name| all.values().any(|nodes| nodes.contains(name)));
        let candidates = candidates.collect();
        (!all.is_empty() && all.keys().all(|path| is_plain(path))).then_some(Self { by_path: all, candidates })
    }

    /// Returns the value of the cluster property that [`Programs::of_property`] reads.
    #[must_use]
    pub fn to_property(&self) -> String {
        let words = |(path, nodes): (&PathBuf, &BTreeSet<NodeName>)| {
            let mark =
                |node: &NodeName| if self.candidates.contains(node) { CANDIDATE.to_string() } else { String::new() };
            let names = nodes.iter().map(|node| format!("{node}{}", mark(node)));
            [path.display().to_string()].into_iter().chain(names).collect::<Vec<_>>()
        };
        self.by_path.iter().flat_map(words).collect::<Vec<_>>().join(",")
    }

    /// Parses the property. `None` for any text that [`Programs::to_property`] does not write: half a copy does not
    /// count.
    #[must_use]
    pub fn of_property(text: &str) -> Option<Self> {
        let mut all: BTreeMap<PathBuf, BTreeSet<NodeName>> = BTreeMap::new();
        let mut candidates = BTreeSet::new();
        let mut path = None;
        for word in text.split(',') {
            if word.starts_with('/') {
                path = Some(PathBuf::from(word)).filter(|path| is_plain(path) && !all.contains_key(path));
                all.insert(path.clone()?, BTreeSet::new());
            } else {
                let node = NodeName::new(word.strip_suffix(CANDIDATE).unwrap_or(word)).ok()?;
                if word.ends_with(CANDIDATE) {
                    candidates.insert(node.clone());
                }
                if !all.get_mut(path.as_ref()?)?.insert(node) {
                    return None;
                }
            }
        }
        let read = Self { by_path: all, candidates };
        let names: Vec<String> = read.nodes().map(|(node, _)| node.as_str().to_ascii_lowercase()).collect();
        let is_each_once = names.iter().collect::<BTreeSet<_>>().len() == names.len();
        (is_each_once && read.by_path.values().all(|nodes| !nodes.is_empty())).then_some(read)
    }

    /// Returns the program of one of Ganeti's nodes, by Ganeti's name of it; `None` for a node that is not named.
    #[must_use]
    pub fn of_node(&self, node: &NodeName) -> Option<&Path> {
        self.nodes().find(|(name, _)| name.as_str().eq_ignore_ascii_case(node.as_str())).map(|(_, path)| path)
    }

    /// Returns whether a node is a master candidate, by the copy. A node that is not named is not one.
    #[must_use]
    pub fn is_candidate(&self, node: &NodeName) -> bool {
        self.candidates.iter().any(|name| name.as_str().eq_ignore_ascii_case(node.as_str()))
    }

    /// Returns a short text, whatever the number of nodes.
    #[must_use]
    pub fn summary(&self) -> String {
        let of = |(path, nodes): (&PathBuf, &BTreeSet<NodeName>)| match nodes.len() {
            1 => format!("{} of 1 node", path.display()),
            number => format!("{} of {number} nodes", path.display()),
        };
        self.by_path.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    /// Returns the nodes whose program or candidate mark differs between the two, or that only one of them has.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<NodeName> {
        let names = self.nodes().chain(other.nodes()).map(|(node, _)| node).collect::<BTreeSet<_>>();
        let differs = |node: &&NodeName| {
            self.of_node(node) != other.of_node(node) || self.is_candidate(node) != other.is_candidate(node)
        };
        names.into_iter().filter(differs).cloned().collect()
    }

    fn nodes(&self) -> impl Iterator<Item = (&NodeName, &Path)> {
        self.by_path.iter().flat_map(|(path, nodes)| nodes.iter().map(move |node| (node, path.as_path())))
    }
}

/// Returns whether a path is absolute, and one word for a shell, for pcs and in a list.
fn is_plain(path: &Path) -> bool {
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    path.is_absolute() && path.to_str().is_some_and(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ganeti(programs: &[&str]) -> GanetiConfig {
        let node = |(n, program): (usize, &&str)| {
            let name = format!("n{}.lab", n + 1);
            (format!("u{n}"), json!({"name": name, "group": "g", "ndparams": {"oob_program": program}}))
        };
        let nodes: serde_json::Map<String, serde_json::Value> = programs.iter().enumerate().map(node).collect();
        let text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u0"},
                          "nodegroups": {"g": {}}, "nodes": nodes});
        GanetiConfig::parse(text.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_property_says_of_each_node_what_ganeti_says() {
        for (programs, text) in [
            (&["/a/oob", "/a/oob", "/a/oob"][..], Some("/a/oob,n1.lab,n2.lab,n3.lab")),
            (&["/b", "/a/oob", "/a/oob"], Some("/a/oob,n2.lab,n3.lab,/b,n1.lab")),
            (&["/a/oob", ""], Some("/a/oob,n1.lab")),
            (&["", ""], None),
            (&["/a b", "/c"], None),
            (&["/a,n2.lab=/c", "/c"], None),
            (&["relative", "/c"], None),
        ] {
            let ganeti = ganeti(programs);
            let of = Programs::of(&ganeti, None);
            assert_eq!(of.as_ref().map(Programs::to_property).as_deref(), text, "{programs:?}");
            let Some(of) = of else { continue };
            let read = Programs::of_property(&of.to_property()).unwrap();
            assert_eq!(read, of);
            for node in ganeti.nodes() {
                assert_eq!(read.of_node(&node.name), node.oob_program.as_deref(), "{}", node.name);
            }
        }
        let otherwise = Programs::of(&ganeti(&["", "/b", ""]), Some(Path::new("/x"))).unwrap();
        assert_eq!(otherwise.to_property(), "/b,n2.lab,/x,n1.lab,n3.lab");
        assert_eq!(otherwise.summary(), "/b of 1 node, /x of 2 nodes");
    }

    /// A node that was added since does not have the common program in the copy: nothing is known of it.
    #[test]
    fn a_node_that_was_added_since_has_no_program_in_the_copy() {
        let before = Programs::of(&ganeti(&["/a", "/a"]), None).unwrap();
        let after = Programs::of(&ganeti(&["/a", "/a", "/a"]), None).unwrap();
        let added = NodeName::new("n3.lab").unwrap();
        assert_eq!((before.of_node(&added), after.of_node(&added)), (None, Some(Path::new("/a"))));
        assert_eq!(before.differing(&after), [added]);
        let otherwise = Programs::of(&ganeti(&["/a", "/b"]), None).unwrap();
        assert_eq!(otherwise.differing(&before), [NodeName::new("n2.lab").unwrap()]);
    }

    /// Pacemaker keeps the property in memory and in a file on each host: a few KB are little beside what it has of 200
    /// nodes.
    #[test]
    fn two_hundred_long_names_are_some_kilobytes() {
        let node = |n: usize| {
            let name = format!("node{n:03}.cluster7.hosting.site1.example.com");
            (
                format!("u{n}"),
                json!({"name": name, "group": "g", "ndparams": {"oob_program": "/usr/lib/gnt-ha/ganeti-oob"}}),
            )
        };
        let nodes: serde_json::Map<String, serde_json::Value> = (0..200).map(node).collect();
        let text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u0"},
                          "nodegroups": {"g": {}}, "nodes": nodes});
        let programs = Programs::of(&GanetiConfig::parse(text.to_string().as_bytes()).unwrap(), None).unwrap();
        assert!(programs.to_property().len() < 9_000, "{}", programs.to_property().len());
        assert_eq!(Programs::of_property(&programs.to_property()), Some(programs.clone()));
        assert_eq!(programs.summary(), "/usr/lib/gnt-ha/ganeti-oob of 200 nodes");
    }

    /// A node that is recorded offline is sent nothing, so its configuration is old: it is not a candidate in the copy.
    #[test]
    fn the_copy_says_who_is_a_candidate() {
        let text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1", "ndparams": {"oob_program": "/a"}},
            "nodegroups": {"g": {}}, "nodes": {
                "u1": {"name": "n1.lab", "group": "g", "master_candidate": true},
                "u2": {"name": "n2.lab", "group": "g", "master_candidate": true, "offline": true},
                "u3": {"name": "n3.lab", "group": "g"}}});
        let copy = Programs::of(&GanetiConfig::parse(text.to_string().as_bytes()).unwrap(), None).unwrap();
        assert_eq!(copy.to_property(), "/a,n1.lab+,n2.lab,n3.lab");
        let read = Programs::of_property(&copy.to_property()).unwrap();
        assert_eq!(read, copy);
        let is_candidate = |name: &str| read.is_candidate(&NodeName::new(name).unwrap());
        assert_eq!(["N1.lab", "n2.lab", "n3.lab", "n4.lab"].map(is_candidate), [true, false, false, false]);
        let other = Programs::of_property("/a,n1.lab,n2.lab,n3.lab").unwrap();
        assert_eq!(other.differing(&copy), [NodeName::new("n1.lab").unwrap()]);
        for bad in ["/a,+", "/a,n1.lab++", "/a,n1.lab+,n1.lab", "/a+,n1.lab,n1+.lab"] {
            assert_eq!(Programs::of_property(bad), None, "{bad}");
        }
    }

    /// A text of another program, half a copy, or the form of earlier versions names no program.
    #[test]
    fn what_is_no_copy_names_no_program() {
        let (earlier, other) =
            (["/a", "/a,n1.lab=/b", "/a,n1.lab="], ["/a,n1.lab,N1.LAB", "/a,n1.lab,/b,n1.lab", "/a,n1.lab,/a,n2.lab"]);
        let half =
            ["", ",", "oob", "n1.lab", "/a b,n1.lab", "/a,", "/a,n1.lab,", "/a,n1.lab,/b", "/a,n1;", "/a,n1.lab\n"];
        for text in earlier.iter().chain(&other).chain(&half) {
            assert_eq!(Programs::of_property(text), None, "{text:?}");
        }
    }
}
