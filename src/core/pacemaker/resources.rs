//! Pacemaker's configuration as the administrator wrote it: properties, resources, constraints. Pure.
//!
//! Sources: Pacemaker Explained; `/usr/share/pacemaker/resources-*.rng`, `constraints-*.rng`. Templates are followed,
//! rules are not: of several values the first counts, as for Pacemaker without rules.

use std::collections::{BTreeMap, BTreeSet};

use super::fencing::Fencing;
use super::names::{NoPacemakerName, PacemakerName, called};
use super::tree::{BadCib, Element};
use super::value::INFINITY;
use crate::core::grade::Grade;
use crate::core::node::NodeName;

pub use super::value::{boolean, is_true, score};

/// Names with their values, as the CIB's `nvpair` elements have them.
pub type Pairs = BTreeMap<String, String>;

/// The parts of a CIB that gnt-ha uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The cluster properties (`crm_config`), by their names.
    pub properties: Pairs,
    /// The ids of the sets of cluster properties.
    pub property_sets: Vec<String>,
    /// The id of each property's `nvpair`, by the property's name; of several, of the one that counts.
    pub property_ids: Pairs,
    /// The ids of the sets that have a property, by the property's name; the set that counts is first.
    pub sets_of_property: BTreeMap<String, Vec<String>>,
    /// The feature set of the CIB (`crm_feature_set`), which the DC writes. The DC is a node with the oldest version.
    pub feature_set: Option<String>,
    /// The ids of all `nvpair` elements.
    pub pair_ids: BTreeSet<String>,
    /// All primitives, those in clones and groups included.
    pub primitives: Vec<Primitive>,
    /// Location constraints with a resource, a node and a score; those with rules are left out.
    pub locations: Vec<Location>,
    /// Location constraints with one rule that uses a node attribute as the score where it is defined.
    pub scored: Vec<AttributeLocation>,
    /// Location constraints with one rule that keeps a resource off the nodes of one kind.
    pub by_kind: Vec<NodeKindLocation>,
    /// The ids of all location constraints, those with rules included.
    pub location_ids: Vec<String>,
    /// The full members by Pacemaker's names. Pacemaker keeps a remote node among its nodes after its connection was
    /// removed.
    pub nodes: Vec<PacemakerName>,
    /// The corosync node id of each full member.
    pub ids: BTreeMap<PacemakerName, u32>,
    /// All nodes that Pacemaker has, or is to connect to.
    pub names: BTreeSet<PacemakerName>,
    /// The permanent attributes of each node.
    pub attributes: BTreeMap<PacemakerName, Pairs>,
    /// The alert agents, each with its id and path.
    pub alerts: Vec<(String, String)>,
    /// The fence devices and levels. Agents that the configuration of gnt-ha adds do not count as power agents here
    /// (see [`Fencing::with`]).
    pub fencing: Fencing,
}

/// One primitive of the CIB: a resource or a fence device with its agent and settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Primitive {
    /// The id of the primitive, which every command of Pacemaker accepts.
    pub id: String,
    /// The id of the outermost clone, group or bundle around it; its own id without one.
    pub outer: String,
    /// The class of its agent: `ocf`, `stonith`, `systemd`...
    pub class: String,
    /// The provider of an OCF agent; empty for other classes.
    pub provider: String,
    /// The type of its agent.
    pub kind: String,
    /// The parameters of the resource.
    pub parameters: Pairs,
    /// The meta-attributes, those of the clone or group around it included.
    pub meta: Pairs,
    /// The meta-attributes of the clone or group around it alone: some of them count nowhere else.
    pub outer_meta: Pairs,
    /// The operations, those of its template included.
    pub operations: Vec<Operation>,
    /// Whether Pacemaker runs it on several nodes (`clone` or `promotable`).
    pub is_clone: bool,
    /// The ids of its sets of parameters.
    pub parameter_sets: Vec<String>,
}

/// One operation of a resource, with its timeout and interval as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// The name of the operation: `monitor`, `start`...
    pub name: String,
    /// The attributes and meta-attributes of the operation.
    pub settings: Pairs,
}

/// A location constraint: how much a resource is wanted on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The id of the constraint.
    pub id: String,
    /// The id of the resource.
    pub resource: String,
    /// The name of the node, as written.
    pub node: String,
    /// The score, as written.
    pub score: String,
}

/// A location constraint that uses a node attribute as the score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeLocation {
    /// The id of the constraint.
    pub id: String,
    /// The id of the resource.
    pub resource: String,
    /// The node attribute with the score.
    pub attribute: String,
}

/// A location constraint that keeps a resource off the nodes of one kind (`#kind`: cluster, remote, container).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeKindLocation {
    /// The id of the constraint.
    pub id: String,
    /// The id of the resource.
    pub resource: String,
    /// The kind of the nodes that the resource is kept off.
    pub kind: String,
}

impl Resources {
    /// Parses a whole CIB.
    ///
    /// # Errors
    /// [`BadCib`] if the text is not XML, or not a CIB with a configuration.
    pub fn parse(xml: &str) -> Result<Self, BadCib> {
        let cib = Element::parse(xml)?;
        if cib.name != "cib" || cib.children_named("configuration").next().is_none() {
            return Err(BadCib::Shape);
        }
        // Pacemaker takes this set first, wherever it is (`pe_unpack_nvpairs`): pcs and crmsh write to it.
        let mut sets = cib.all("cluster_property_set");
        sets.sort_by_key(|set| set.get("id") != Some("cib-bootstrap-options"));
        let in_sets = || {
            sets.iter().flat_map(|set| {
                set.all("nvpair").into_iter().map(move |pair| (set.get("id").unwrap_or_default(), pair))
            })
        };
        let (mut properties, mut property_ids) = (Pairs::new(), Pairs::new());
        let mut sets_of_property: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (set, pair) in in_sets() {
            let (Some(name), Some(id)) = (pair.get("name"), pair.get("id")) else { continue };
            sets_of_property.entry(name.to_owned()).or_default().push(set.to_owned());
            property_ids.entry(name.to_owned()).or_insert_with(|| id.to_owned());
            if let Some(value) = pair.get("value") {
                properties.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        let templates: Vec<&Element> = cib.all("template");
        let mut primitives = Vec::new();
        for section in cib.all("resources") {
            gather(section, &Around::default(), &templates, &mut primitives);
        }
        let location = |element: &Element| {
            let get = |name| element.get(name).map(str::to_owned);
            Some(Location { id: get("id")?, resource: get("rsc")?, node: get("node")?, score: get("score")? })
        };
        let nodes = cib.all("nodes").into_iter().flat_map(|nodes| nodes.children_named("node"));
        let nodes: Vec<(PacemakerName, &Element)> =
            nodes.filter_map(|node| Some((PacemakerName::read(node.get("uname")?)?, node))).collect();
        let members = || nodes.iter().filter(|(_, node)| node.get("type") != Some("remote"));
        let ids = members().filter_map(|(name, node)| Some((name.clone(), node.get("id")?.parse().ok()?))).collect();
        let remotes: Vec<PacemakerName> =
            primitives.iter().filter(is_remote).filter_map(|remote| PacemakerName::read(&remote.id)).collect();
        let alerts = cib.all("alert").into_iter();
        Ok(Self {
            fencing: Fencing::of(&cib, &BTreeSet::new()),
            property_sets: sets.iter().filter_map(|set| set.get("id")).map(str::to_owned).collect(),
            property_ids,
            sets_of_property,
            feature_set: cib.get("crm_feature_set").map(str::to_owned),
            properties,
            pair_ids: cib.all("nvpair").into_iter().filter_map(|pair| pair.get("id").map(str::to_owned)).collect(),
            primitives,
            locations: cib.all("rsc_location").into_iter().filter_map(location).collect(),
            scored: cib.all("rsc_location").into_iter().filter_map(scored).collect(),
            by_kind: cib.all("rsc_location").into_iter().filter_map(by_kind).collect(),
            location_ids: cib
                .all("rsc_location")
                .into_iter()
                .filter_map(|location| location.get("id").map(str::to_owned))
                .collect(),
            alerts: alerts
                .filter_map(|alert| Some((alert.get("id")?.to_owned(), alert.get("path")?.to_owned())))
                .collect(),
            names: nodes.iter().map(|(name, _)| name.clone()).chain(remotes).collect(),
            nodes: members().map(|(name, _)| name.clone()).collect(),
            ids,
            attributes: nodes.into_iter().map(|(name, node)| (name, pairs(node, "instance_attributes"))).collect(),
        })
    }

    /// Returns the value of the first of these names that is set (`stonith-*` became `fencing-*` in Pacemaker 3).
    #[must_use]
    pub fn property(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.properties.get(*name)).map(String::as_str)
    }

    /// Returns the command that sets a cluster property where it counts. If several sets have it, `crm_attribute`
    /// changes nothing without the id of one of them.
    #[must_use]
    pub fn set_command(&self, name: &str, value: &str) -> String {
        let set = match self.sets_of_property.get(name).map(Vec::as_slice) {
            Some([first, _, ..]) => format!(" --set-name {first}"),
            _ => String::new(),
        };
        format!("crm_attribute --name {name} --update {value}{set}")
    }

    /// Returns the command that deletes a cluster property from each set that has it.
    #[must_use]
    pub fn delete_command(&self, name: &str) -> String {
        match self.sets_of_property.get(name).map(Vec::as_slice) {
            Some(sets @ [_, _, ..]) => {
                let of_set = |set: &String| format!("crm_attribute --name {name} --delete --set-name {set}");
                sets.iter().map(of_set).collect::<Vec<_>>().join(" && ")
            }
            _ => format!("crm_attribute --name {name} --delete"),
        }
    }

    /// Returns the primitives of an OCF agent of gnt-ha.
    pub fn agents<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Primitive> {
        self.primitives.iter().filter(move |primitive| {
            primitive.class == "ocf" && primitive.provider == "ganeti" && primitive.kind == kind
        })
    }

    /// Returns the weakest grade that a `fence_ganeti` device accepts (`minimum_grade`); `None` without such a device.
    #[must_use]
    pub fn least_grade(&self) -> Option<Grade> {
        self.fencing.least_of_ours()
    }

    /// Returns the connections to Pacemaker remote nodes: the id of each is the node's name.
    pub fn remotes(&self) -> impl Iterator<Item = &Primitive> {
        self.primitives.iter().filter(is_remote)
    }

    /// Returns the remote nodes to which Pacemaker is to be connected. Pacemaker fences one that it loses, and tries to
    /// connect to each again and again.
    #[must_use]
    pub fn wanted_remotes(&self) -> BTreeSet<PacemakerName> {
        let wanted = self.remotes().filter(|remote| !remote.is_held());
        wanted.filter_map(|remote| PacemakerName::read(&remote.id)).collect()
    }

    /// Returns Pacemaker's name of `wanted`, one of Ganeti's nodes `all`.
    ///
    /// # Errors
    /// [`NoPacemakerName`] if no name means the node, or it is unknown which one does.
    pub fn called(&self, wanted: &NodeName, all: &[NodeName]) -> Result<&PacemakerName, NoPacemakerName> {
        called(wanted, &self.names, all)
    }

    /// Returns whether the version of Pacemaker that decides has at least this feature set. Without one it counts as
    /// old: all versions know the old names.
    #[must_use]
    pub fn knows(&self, feature_set: [u32; 3]) -> bool {
        let numbers =
            self.feature_set.as_deref().map(|text| text.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>());
        matches!(numbers, Some(Ok(numbers)) if numbers.as_slice() >= feature_set.as_slice())
    }

    /// Returns the fence devices.
    pub fn devices(&self) -> impl Iterator<Item = &Primitive> {
        self.primitives.iter().filter(|primitive| primitive.class == "stonith")
    }
}

impl Primitive {
    /// Returns the first operation of this name; a promotable clone has one monitor for each role.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// Returns whether a meta-attribute is true (`crm_str_to_boolean`); `None` if it is not set.
    #[must_use]
    pub fn meta_is_true(&self, name: &str) -> Option<bool> {
        self.meta.get(name).map(|value| is_true(value))
    }

    /// Returns whether Pacemaker may not start the resource, or does not manage it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.held_by().is_empty()
    }

    /// Returns the meta-attributes for which Pacemaker may not start the resource, or does not manage it.
    #[must_use]
    pub fn held_by(&self) -> Vec<&'static str> {
        let is_stopped = self.meta.get("target-role").is_some_and(|role| role.eq_ignore_ascii_case("stopped"));
        let all = [
            (is_stopped, "target-role"),
            (self.meta_is_true("is-managed") == Some(false), "is-managed"),
            (self.meta_is_true("maintenance") == Some(true), "maintenance"),
        ];
        all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect()
    }
}

fn scored(location: &Element) -> Option<AttributeLocation> {
    let [rule] = location.children.as_slice() else { return None };
    let [expression] = rule.children.as_slice() else { return None };
    let attribute = rule.get("score-attribute").filter(|_| rule.name == "rule" && expression.name == "expression")?;
    let is_defined = expression.get("operation") == Some("defined") && expression.get("attribute") == Some(attribute);
    let get = |name| location.get(name).map(str::to_owned);
    is_defined.then_some(AttributeLocation { id: get("id")?, resource: get("rsc")?, attribute: attribute.to_owned() })
}

fn by_kind(location: &Element) -> Option<NodeKindLocation> {
    let [rule] = location.children.as_slice() else { return None };
    let [expression] = rule.children.as_slice() else { return None };
    let is_rule = rule.name == "rule" && expression.name == "expression" && rule.get("role").is_none();
    let is_off = rule.get("score").and_then(score).is_some_and(|score| score <= -INFINITY);
    let is_of_kind = expression.get("attribute") == Some("#kind") && expression.get("operation") == Some("eq");
    let get = |name| location.get(name).map(str::to_owned);
    let kind = expression.get("value").filter(|_| is_rule && is_off && is_of_kind)?;
    Some(NodeKindLocation { id: get("id")?, resource: get("rsc")?, kind: kind.to_owned() })
}

fn is_remote(primitive: &&Primitive) -> bool {
    primitive.class == "ocf" && primitive.provider == "pacemaker" && primitive.kind == "remote"
}

impl Location {
    /// Returns whether the constraint keeps the resource off the node.
    #[must_use]
    pub fn keeps_off(&self) -> bool {
        score(&self.score).is_some_and(|score| score <= -INFINITY)
    }
}

#[derive(Clone, Default)]
struct Around {
    outer: Option<String>,
    meta: Pairs,
    is_clone: bool,
}

fn gather(section: &Element, around: &Around, templates: &[&Element], found: &mut Vec<Primitive>) {
    for element in &section.children {
        let id = element.get("id").unwrap_or_default().to_owned();
        match element.name.as_str() {
            "primitive" => found.push(primitive(element, id, around, templates)),
            "clone" | "master" | "group" | "bundle" => {
                let around = Around {
                    outer: around.outer.clone().or(Some(id)),
                    meta: earlier(pairs(element, "meta_attributes"), around.meta.clone()),
                    is_clone: around.is_clone || matches!(element.name.as_str(), "clone" | "master"),
                };
                gather(element, &around, templates, found);
            }
            _ => {}
        }
    }
}

fn primitive(element: &Element, id: String, around: &Around, templates: &[&Element]) -> Primitive {
    let template = element.get("template").and_then(|id| templates.iter().find(|known| known.get("id") == Some(id)));
    let both = |set: &str| earlier(pairs(element, set), template.map(|known| pairs(known, set)).unwrap_or_default());
    let get = |name| element.get(name).or_else(|| template?.get(name)).unwrap_or_default().to_owned();
    let operations = |element: &Element| -> Vec<Operation> { element.all("op").into_iter().map(operation).collect() };
    Primitive {
        outer: around.outer.clone().unwrap_or_else(|| id.clone()),
        id,
        class: get("class"),
        provider: get("provider"),
        kind: get("type"),
        parameters: both("instance_attributes"),
        meta: earlier(both("meta_attributes"), around.meta.clone()),
        outer_meta: around.meta.clone(),
        operations: operations(element)
            .into_iter()
            .chain(template.map(|known| operations(known)).unwrap_or_default())
            .collect(),
        is_clone: around.is_clone,
        parameter_sets: element
            .children_named("instance_attributes")
            .filter_map(|set| set.get("id").map(str::to_owned))
            .collect(),
    }
}

fn operation(element: &Element) -> Operation {
    let attributes = ["interval", "timeout", "role", "on-fail", "enabled"];
    let own = attributes.iter().filter_map(|name| Some(((*name).to_owned(), element.get(name)?.to_owned())));
    let settings = earlier(own.collect(), pairs(element, "meta_attributes"));
    Operation { name: element.get("name").unwrap_or_default().to_owned(), settings }
}

/// Returns the pairs of the sets of this name that are directly in an element.
fn pairs(element: &Element, set: &str) -> Pairs {
    let mut found = Pairs::new();
    for pair in element.children_named(set).flat_map(|set| set.all("nvpair")) {
        if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
            found.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    found
}

/// Merges both; the values of `first` win.
fn earlier(first: Pairs, second: Pairs) -> Pairs {
    let mut all = second;
    all.extend(first);
    all
}

#[cfg(test)]
mod tests;
