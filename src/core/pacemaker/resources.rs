//! Pacemaker's configuration as the administrator wrote it: properties, resources, constraints.
//!
//! Sources: Pacemaker Explained; `/usr/share/pacemaker/resources-*.rng`, `constraints-*.rng`. Templates are followed, rules
//! are not: of several values the first counts, as for Pacemaker without rules.

use crate::core::grade::Grade;
use std::collections::{BTreeMap, BTreeSet};

use super::fencing::Fencing;
use super::names::{NoPacemakerName, PacemakerName, called};
use super::tree::{BadCib, Element};
use crate::core::node::NodeName;

/// Names with their values.
pub type Pairs = BTreeMap<String, String>;

/// What is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Cluster properties.
    pub properties: Pairs,
    /// The ids of their sets.
    pub property_sets: Vec<String>,
    /// The id of each property's pair.
    pub property_ids: Pairs,
    /// What the version of Pacemaker that decides knows (`crm_feature_set` of the CIB, which the DC writes); the DC is of the
    /// oldest version.
    pub feature_set: Option<String>,
    /// The id of each pair that sets a meta-attribute or a parameter.
    pub pair_ids: BTreeSet<String>,
    /// Every primitive.
    pub primitives: Vec<Primitive>,
    /// Locations: resource, node, score; those by rules are left out.
    pub locations: Vec<Location>,
    /// Locations whose one rule takes a node attribute as the score where that is defined.
    pub scored: Vec<Scored>,
    /// Locations whose one rule keeps a resource off the nodes of one kind.
    pub by_kind: Vec<ByKind>,
    /// The ids of all locations, those by rules too.
    pub location_ids: Vec<String>,
    /// The full members, as Pacemaker calls them. A remote node is kept among the nodes after its connection is gone.
    pub nodes: Vec<PacemakerName>,
    /// corosync's number of each full member.
    pub ids: BTreeMap<PacemakerName, u32>,
    /// Every node that it has or is to connect to.
    pub names: BTreeSet<PacemakerName>,
    /// The permanent attributes of each node.
    pub attributes: BTreeMap<PacemakerName, Pairs>,
    /// Alert agents, each as its id and its path.
    pub alerts: Vec<(String, String)>,
    /// What it fences with; agents that our configuration adds are not among those that switch power (see [`Fencing::with`]).
    pub fencing: Fencing,
}

/// One resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Primitive {
    /// Its id.
    pub id: String,
    /// The id of the clone, group or bundle around it; its own without one.
    pub outer: String,
    /// `ocf`, `stonith`, `systemd`...
    pub class: String,
    /// Of an OCF agent.
    pub provider: String,
    /// The agent.
    pub kind: String,
    /// Its parameters.
    pub parameters: Pairs,
    /// Its meta-attributes, those of the clone around it included.
    pub meta: Pairs,
    /// Those of the clone or group around it alone: some count nowhere else.
    pub outer_meta: Pairs,
    /// Its operations.
    pub operations: Vec<Operation>,
    /// A clone is around it.
    pub is_clone: bool,
    /// The ids of its sets of parameters.
    pub parameter_sets: Vec<String>,
}

/// One operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// `monitor`, `start`...
    pub name: String,
    /// Its attributes and meta-attributes.
    pub settings: Pairs,
}

/// Where a resource may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Its own id.
    pub id: String,
    /// The resource's id.
    pub resource: String,
    /// The node.
    pub node: String,
    /// How much it is wanted there.
    pub score: String,
}

/// Where a resource may run, by what each node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scored {
    /// The location's id.
    pub id: String,
    /// The resource's id.
    pub resource: String,
    /// The node attribute that is the score.
    pub attribute: String,
}

/// Where a resource never runs, by the kind of a node (`#kind`: cluster, remote, container).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByKind {
    /// The location's id.
    pub id: String,
    /// The resource's id.
    pub resource: String,
    /// The kind of the nodes that it is kept off.
    pub kind: String,
}

impl Resources {
    /// Reads a whole CIB.
    ///
    /// # Errors
    /// [`BadCib`].
    pub fn parse(xml: &str) -> Result<Self, BadCib> {
        let cib = Element::parse(xml)?;
        if cib.name != "cib" || cib.children_named("configuration").next().is_none() {
            return Err(BadCib::Shape);
        }
        let properties = cib.all("crm_config").into_iter().map(|config| pairs(config, "cluster_property_set"));
        let templates: Vec<&Element> = cib.all("template");
        let mut primitives = Vec::new();
        for section in cib.all("resources") {
            gather(section, &Around::default(), &templates, &mut primitives);
        }
        let location = |element: &Element| {
            let get = |name| element.get(name).map(str::to_owned);
            Some(Location { id: get("id")?, resource: get("rsc")?, node: get("node")?, score: get("score")? })
        };
        let sets = cib.all("cluster_property_set").into_iter().filter_map(|set| set.get("id"));
        let pairs_of_sets = cib.all("cluster_property_set").into_iter().flat_map(|set| set.all("nvpair"));
        let property_ids =
            pairs_of_sets.filter_map(|pair| Some((pair.get("name")?.to_owned(), pair.get("id")?.to_owned())));
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
            property_sets: sets.map(str::to_owned).collect(),
            property_ids: property_ids.collect(),
            feature_set: cib.get("crm_feature_set").map(str::to_owned),
            properties: properties.reduce(earlier).unwrap_or_default(),
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

    /// The value of a property that has had one of these names (`stonith-*` became `fencing-*` in Pacemaker 3).
    #[must_use]
    pub fn property(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.properties.get(*name)).map(String::as_str)
    }

    /// The primitives of an OCF agent of ours.
    pub fn agents<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Primitive> {
        self.primitives.iter().filter(move |primitive| {
            primitive.class == "ocf" && primitive.provider == "ganeti" && primitive.kind == kind
        })
    }

    /// The least proof that a `fence_ganeti` device takes (`minimum_grade`); of several the least. None without such a device.
    #[must_use]
    pub fn least_grade(&self) -> Option<Grade> {
        self.fencing.least_of_ours()
    }

    /// The connections to Pacemaker remote nodes: the id of each is the node's name.
    pub fn remotes(&self) -> impl Iterator<Item = &Primitive> {
        self.primitives.iter().filter(is_remote)
    }

    /// The remote nodes that Pacemaker is to be connected to: it fences one that it loses, and tries each of them again and again.
    #[must_use]
    pub fn wanted_remotes(&self) -> BTreeSet<PacemakerName> {
        let wanted = self.remotes().filter(|remote| !remote.is_held());
        wanted.filter_map(|remote| PacemakerName::read(&remote.id)).collect()
    }

    /// What Pacemaker calls `wanted`, one of Ganeti's nodes `all`.
    ///
    /// # Errors
    /// [`NoPacemakerName`].
    pub fn called(&self, wanted: &NodeName, all: &[NodeName]) -> Result<&PacemakerName, NoPacemakerName> {
        called(wanted, &self.names, all)
    }

    /// Whether the version of Pacemaker that decides knows at least this feature set. One that is not told is taken for old:
    /// the old names are understood by all.
    #[must_use]
    pub fn knows(&self, feature_set: [u32; 3]) -> bool {
        let numbers =
            self.feature_set.as_deref().map(|text| text.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>());
        matches!(numbers, Some(Ok(numbers)) if numbers.as_slice() >= feature_set.as_slice())
    }

    /// The fence devices.
    pub fn devices(&self) -> impl Iterator<Item = &Primitive> {
        self.primitives.iter().filter(|primitive| primitive.class == "stonith")
    }
}

impl Primitive {
    /// The first operation of that name; for a promotable clone's monitors each role has one.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// Whether a meta-attribute is one of Pacemaker's words for true (`crm_str_to_boolean`).
    #[must_use]
    pub fn meta_is_true(&self, name: &str) -> Option<bool> {
        self.meta.get(name).map(|value| is_true(value))
    }

    /// Whether Pacemaker may not start it, or does not manage it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.meta.get("target-role").is_some_and(|role| role.eq_ignore_ascii_case("stopped"))
            || self.meta_is_true("is-managed") == Some(false)
            || self.meta_is_true("maintenance") == Some(true)
    }
}

fn scored(location: &Element) -> Option<Scored> {
    let [rule] = location.children.as_slice() else { return None };
    let [expression] = rule.children.as_slice() else { return None };
    let attribute = rule.get("score-attribute").filter(|_| rule.name == "rule" && expression.name == "expression")?;
    let is_defined = expression.get("operation") == Some("defined") && expression.get("attribute") == Some(attribute);
    let get = |name| location.get(name).map(str::to_owned);
    is_defined.then_some(Scored { id: get("id")?, resource: get("rsc")?, attribute: attribute.to_owned() })
}

fn by_kind(location: &Element) -> Option<ByKind> {
    let [rule] = location.children.as_slice() else { return None };
    let [expression] = rule.children.as_slice() else { return None };
    let is_rule = rule.name == "rule" && expression.name == "expression" && rule.get("role").is_none();
    let is_off = rule.get("score").and_then(score).is_some_and(|score| score <= -INFINITY);
    let is_of_kind = expression.get("attribute") == Some("#kind") && expression.get("operation") == Some("eq");
    let get = |name| location.get(name).map(str::to_owned);
    let kind = expression.get("value").filter(|_| is_rule && is_off && is_of_kind)?;
    Some(ByKind { id: get("id")?, resource: get("rsc")?, kind: kind.to_owned() })
}

fn is_remote(primitive: &&Primitive) -> bool {
    primitive.class == "ocf" && primitive.provider == "pacemaker" && primitive.kind == "remote"
}

impl Location {
    /// Whether the resource never runs on the node.
    #[must_use]
    pub fn keeps_off(&self) -> bool {
        score(&self.score).is_some_and(|score| score <= -INFINITY)
    }
}

/// Pacemaker's words for true (`crm_str_to_boolean`).
#[must_use]
pub fn is_true(value: &str) -> bool {
    boolean(value) == Some(true)
}

/// Pacemaker's words for true and false (`crm_str_to_boolean`).
#[must_use]
pub fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Some(true),
        "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// From here on a score is infinite (`PCMK_SCORE_INFINITY`).
const INFINITY: i64 = 1_000_000;

/// A score, as Pacemaker reads it (`char2score`).
#[must_use]
pub fn score(text: &str) -> Option<i64> {
    let text = text.trim();
    match text.to_ascii_uppercase().as_str() {
        "INFINITY" | "+INFINITY" => Some(INFINITY),
        "-INFINITY" => Some(-INFINITY),
        _ => Some(text.parse::<i64>().ok()?.clamp(-INFINITY, INFINITY)),
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

/// The pairs of the sets of that name directly in an element.
fn pairs(element: &Element, set: &str) -> Pairs {
    let mut found = Pairs::new();
    for pair in element.children_named(set).flat_map(|set| set.all("nvpair")) {
        if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
            found.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    found
}

/// Of both, what the first one says where it says something.
fn earlier(first: Pairs, second: Pairs) -> Pairs {
    let mut all = second;
    all.extend(first);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::pacemaker::duration::milliseconds;

    const CIB: &str = r#"<cib><configuration><crm_config><cluster_property_set id="p">
        <nvpair id="a" name="stonith-enabled" value="true"/></cluster_property_set></crm_config><nodes/>
        <resources><template id="t" class="stonith" type="fence_ganeti"><operations><op id="o" name="monitor" interval="60s"/></operations></template>
        <primitive id="f" template="t"><instance_attributes id="i"><nvpair id="l" name="pcmk_action_limit" value="-1"/></instance_attributes></primitive>
        <clone id="nodes"><meta_attributes id="m"><nvpair id="n" name="notify" value="true"/></meta_attributes>
        <primitive id="node" class="ocf" provider="ganeti" type="ganeti-node-role"><operations><op id="q" name="start" interval="0" timeout="2min"/></operations></primitive></clone></resources>
        <constraints><rsc_location id="c" rsc="f" node="n1" score="-INFINITY"/></constraints></configuration></cib>"#;

    #[test]
    fn templates_and_clones_give_what_they_have() {
        let found = Resources::parse(CIB).unwrap();
        assert_eq!(found.property(&["fencing-enabled", "stonith-enabled"]), Some("true"));
        let device = found.devices().next().unwrap();
        assert_eq!((device.kind.as_str(), device.parameters["pcmk_action_limit"].as_str()), ("fence_ganeti", "-1"));
        assert_eq!(device.operation("monitor").unwrap().settings["interval"], "60s");
        let node = found.agents("ganeti-node-role").next().unwrap();
        assert_eq!((node.outer.as_str(), node.is_clone, node.meta_is_true("notify")), ("nodes", true, Some(true)));
        assert_eq!(milliseconds(&node.operation("start").unwrap().settings["timeout"]), Some(120_000));
        assert_eq!(found.locations[0].score, "-INFINITY");
        assert_eq!(found.location_ids, ["c"]);
    }

    #[test]
    fn what_is_no_cib_is_an_error() {
        for bad in ["", "<cib/>", "<pacemaker-result/>", "<cib><configuration>"] {
            assert!(Resources::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_have_units() {
        let all = ["20", "20s", "20ms", "2min", "1h", "x", "", "5 parsecs", "99999999999999999999"];
        let read: Vec<_> = all.iter().map(|text| milliseconds(text)).collect();
        let seconds = |s: u64| Some(s * 1_000);
        assert_eq!(read, [seconds(20), seconds(20), Some(20), seconds(120), seconds(3_600), None, None, None, None]);
    }
}
