//! The copy of which node has which OOB program, for hosts that do not hold Ganeti's configuration: a cluster property in
//! Pacemaker's, which every full member holds.
//!
//! In words: `PATH` for every node, then `,NODE=PATH` for each that has another program, and `,NODE=` for each that has none. No
//! character of it needs quotes in a shell, in pcs or in XML.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::config::GanetiConfig;
use crate::core::node::NodeName;

/// The cluster property that holds the copy.
pub const PROPERTY: &str = "gnt-ha-oob-programs";

/// Which node has which OOB program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// Of every node that is not named.
    common: PathBuf,
    /// Of those that are; none where a node has none.
    own: BTreeMap<NodeName, Option<PathBuf>>,
}

impl Programs {
    /// The programs of Ganeti's nodes; `otherwise` is that of a node that has none. `None` where no node has one, or where a path
    /// has characters that the property cannot hold.
    #[must_use]
    pub fn of(ganeti: &GanetiConfig, otherwise: Option<&Path>) -> Option<Self> {
        let program = |path: &Option<PathBuf>| path.clone().or_else(|| otherwise.map(Path::to_owned));
        let all: Vec<(&NodeName, Option<PathBuf>)> =
            ganeti.nodes().iter().map(|node| (&node.name, program(&node.oob_program))).collect();
        let paths: BTreeSet<&PathBuf> = all.iter().filter_map(|(_, path)| path.as_ref()).collect();
        let users = |path: &PathBuf| all.iter().filter(|(_, own)| own.as_ref() == Some(path)).count();
        // Of several that are as common, the first by name: the property is the same however often it is made.
        let common = paths.iter().rev().max_by_key(|path| users(path))?;
        let own = all.iter().filter(|(_, path)| path.as_ref() != Some(*common));
        let own = own.map(|(name, path)| ((*name).clone(), path.clone())).collect();
        paths.iter().all(|path| is_plain(path)).then(|| Self { common: (*common).clone(), own })
    }

    /// The value of the property.
    #[must_use]
    pub fn to_property(&self) -> String {
        let own = self.own.iter().map(|(node, path)| {
            format!(",{node}={}", path.as_ref().map_or_else(String::new, |path| path.display().to_string()))
        });
        format!("{}{}", self.common.display(), own.collect::<String>())
    }

    /// Reads the property. `None` of anything that [`Programs::to_property`] does not write: half a copy is none.
    #[must_use]
    pub fn of_property(text: &str) -> Option<Self> {
        let mut words = text.split(',');
        let path = |text: &str| Some(PathBuf::from(text)).filter(|path| is_plain(path));
        let common = path(words.next()?)?;
        let mut own = BTreeMap::new();
        for word in words {
            let (node, program) = word.split_once('=')?;
            let program = if program.is_empty() { None } else { Some(path(program)?) };
            own.insert(NodeName::new(node).ok()?, program);
        }
        Some(Self { common, own })
    }

    /// The program of one of Ganeti's nodes, by Ganeti's name of it.
    #[must_use]
    pub fn of_node(&self, node: &NodeName) -> Option<&Path> {
        let own = self.own.iter().find(|(name, _)| name.as_str().eq_ignore_ascii_case(node.as_str()));
        own.map_or(Some(self.common.as_path()), |(_, path)| path.as_deref())
    }
}

/// An absolute path that no shell, pcs or list takes for more than one word.
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
            (&["/a/oob", "/a/oob", "/a/oob"][..], Some("/a/oob")),
            (&["/b", "/a/oob", "/a/oob"], Some("/a/oob,n1.lab=/b")),
            (&["/b", "/a/oob"], Some("/a/oob,n1.lab=/b")),
            (&["/a/oob", ""], Some("/a/oob,n2.lab=")),
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
        assert_eq!(otherwise.to_property(), "/x,n2.lab=/b");
    }

    /// What somebody else wrote there, or half of it, names no program.
    #[test]
    fn what_is_no_copy_names_no_program() {
        for text in ["", ",", "oob", "/a b", "/a,", "/a,n1.lab", "/a,n1.lab=b", "/a,=/b", "/a,n1;=/b", "/a\n"] {
            assert_eq!(Programs::of_property(text), None, "{text:?}");
        }
    }
}
