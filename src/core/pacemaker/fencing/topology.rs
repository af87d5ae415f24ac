//! Fencing levels: which of them belong to a node (`lib/fencing/st_client.c`, `daemons/fenced/fenced_commands.c`).
//! Pure.

use std::collections::BTreeSet;

use crate::core::node::{Match, NodeName, compare, means};
use crate::core::pacemaker::pattern;
use crate::core::pacemaker::tree::Element;

/// Pacemaker's nodes, and the levels that its configuration has for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology {
    /// The valid levels, in the order of the document.
    pub(super) levels: Vec<FencingLevel>,
    /// The ids of levels that Pacemaker does not accept, each with the reason.
    pub(super) refused: Vec<(String, String)>,
    /// Pacemaker's names of the nodes.
    names: Vec<NodeName>,
    /// Each node's permanent attributes: node, name, value.
    attributes: Vec<(NodeName, String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FencingLevel {
    pub(super) id: String,
    pub(super) of: Target,
    pub(super) number: u32,
    pub(super) devices: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Name(String),
    Pattern(String),
    Attribute(String, String),
}

impl Target {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Name(name) => format!("no node of Pacemaker's is called {name}"),
            Self::Pattern(pattern) => format!("no node's name fits {pattern}"),
            Self::Attribute(name, value) => format!("no node has the attribute {name}={value}"),
        }
    }
}

impl FencingLevel {
    /// Reads a level; the error has the id of a level that Pacemaker does not accept, and the reason.
    fn of(element: &Element) -> Result<Self, (String, String)> {
        let get = |name| element.get(name).map(str::to_owned);
        let id = get("id").unwrap_or_default();
        // Pacemaker accepts 1 to 9 (`ST_LEVEL_MAX`).
        let index = get("index").unwrap_or_default();
        let number = index.parse().ok().filter(|number| (1..=9).contains(number));
        let of = get("target").map(Target::Name).or_else(|| get("target-pattern").map(Target::Pattern));
        let of = of.or_else(|| Some(Target::Attribute(get("target-attribute")?, get("target-value")?)));
        match (of, number, get("devices")) {
            (_, None, _) => Err((id, format!("its index is {index:?}, and Pacemaker takes 1 to 9"))),
            (None, ..) => Err((id, "it is for no node".to_owned())),
            (.., None) => Err((id, "it has no devices".to_owned())),
            (Some(of), Some(number), Some(devices)) => {
                Ok(Self { id, of, number, devices: devices.split(',').map(|id| id.trim().to_owned()).collect() })
            }
        }
    }
}

impl Topology {
    pub(super) fn of(cib: &Element) -> Self {
        let nodes = cib.all("nodes").into_iter().flat_map(|nodes| nodes.children_named("node"));
        let nodes: Vec<(NodeName, &Element)> =
            nodes.filter_map(|node| Some((NodeName::new(node.get("uname")?).ok()?, node))).collect();
        let mut all = Self { names: nodes.iter().map(|(name, _)| name.clone()).collect(), ..Self::default() };
        for (name, node) in nodes {
            // Capacities for placement (`utilization`) are not node attributes.
            for pair in node.children_named("instance_attributes").flat_map(|set| set.all("nvpair")) {
                if let (Some(of), Some(is)) = (pair.get("name"), pair.get("value")) {
                    all.attributes.push((name.clone(), of.to_owned(), is.to_owned()));
                }
            }
        }
        for level in cib.all("fencing-level") {
            match FencingLevel::of(level) {
                Ok(level) => all.levels.push(level),
                Err(why) => all.refused.push(why),
            }
        }
        all
    }

    /// Returns Pacemaker's own names of a node.
    pub(super) fn called(&self, node: &NodeName, all: &[NodeName]) -> Vec<&NodeName> {
        self.names.iter().filter(|name| means(name, node, all)).collect()
    }

    /// Returns Ganeti's nodes, and those that Pacemaker alone has.
    pub(super) fn all_targets<'a>(&'a self, all: &'a [NodeName]) -> Vec<&'a NodeName> {
        let is_ganetis = |name: &NodeName| all.iter().any(|node| compare(name, node, all) != Match::Other);
        all.iter().chain(self.names.iter().filter(|name| !is_ganetis(name))).collect()
    }

    /// Returns the levels of `node`, and whether there are no others. A level by name comes first; of patterns and
    /// attributes that match, any one may be used.
    pub(super) fn levels_of(&self, node: &NodeName, all: &[NodeName]) -> (Vec<&FencingLevel>, bool) {
        if self.levels.is_empty() {
            return (Vec::new(), false);
        }
        let called = self.called(node, all);
        let compared: Vec<(&FencingLevel, Option<bool>)> =
            self.levels.iter().map(|level| (level, self.is_of(&level.of, node, &called, all))).collect();
        let by_name: Vec<&FencingLevel> = compared
            .iter()
            .filter(|(level, is_of)| matches!(level.of, Target::Name(_)) && *is_of == Some(true))
            .map(|(level, _)| *level)
            .collect();
        if !by_name.is_empty() {
            return (by_name, true);
        }
        let found = compared.iter().filter(|(_, is_of)| *is_of != Some(false)).map(|(level, _)| *level).collect();
        (found, compared.iter().any(|(_, is_of)| *is_of == Some(true)))
    }

    /// Returns whether a level may be for a node, regardless of the node's other levels.
    pub(super) fn may_be_for(&self, level: &FencingLevel, node: &NodeName, all: &[NodeName]) -> bool {
        self.is_of(&level.of, node, &self.called(node, all), all) != Some(false)
    }

    /// Returns whether the target means the node; `None` if that is unknown.
    fn is_of(&self, target: &Target, node: &NodeName, called: &[&NodeName], all: &[NodeName]) -> Option<bool> {
        let same = |name: &str| match NodeName::new(name).map(|name| compare(&name, node, all)) {
            Ok(Match::Same) => Some(true),
            Ok(Match::Ambiguous) => None,
            Ok(Match::Other) | Err(_) => Some(false),
        };
        match target {
            // Pacemaker compares whole names.
            Target::Name(name) if !called.is_empty() => {
                Some(called.iter().any(|of| of.as_str().eq_ignore_ascii_case(name)))
            }
            Target::Name(name) => same(name),
            Target::Attribute(name, value) => {
                let has = |(_, of, is): &&(NodeName, String, String)| of == name && is == value;
                let hits: Vec<Option<bool>> =
                    self.attributes.iter().filter(has).map(|(of, ..)| same(of.as_str())).collect();
                if hits.contains(&None) { None } else { Some(hits.contains(&Some(true))) }
            }
            Target::Pattern(text) => {
                // Pacemaker's names may be short where Ganeti's are full.
                let mut names: BTreeSet<&str> = called.iter().map(|name| name.as_str()).collect();
                if names.is_empty() {
                    names = [node.as_str(), node.short()].into();
                }
                let fits: BTreeSet<Option<bool>> = names.iter().map(|name| pattern::matches(text, name)).collect();
                if fits.len() == 1 { fits.into_iter().next().flatten() } else { None }
            }
        }
    }
}
