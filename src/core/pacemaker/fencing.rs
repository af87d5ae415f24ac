//! Which devices Pacemaker may have fenced a node with, and what they are: primitives, host lists, fencing topology, watchdog.
//!
//! Sources: Pacemaker Explained, fencing-2.4.rng; `lib/fencing/st_client.c` (host lists), `fenced_commands.c` (topology).
//! Rules and references are not followed: what they could change is taken for what allows least. Devices that were
//! registered by hand (`stonith_admin --register`) or deleted since are not seen.

use std::collections::BTreeSet;
use std::fmt;

use super::pattern;
use super::resources::milliseconds;
use super::tree::Element;
use crate::core::evidence::{Worth, of_ways};
use crate::core::fence_agents::{Kind, OURS, TAKES_FOR_OFF, WATCHDOG, is_not_false};
use crate::core::grade::Grade;
use crate::core::node::{Match, NodeName, compare, means};

/// What Pacemaker fences with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fencing {
    devices: Vec<Device>,
    levels: Vec<Level>,
    /// Watchdog fencing is on for all nodes (`stonith-watchdog-timeout`).
    watchdog: bool,
    /// Pacemaker's names of the nodes.
    names: Vec<NodeName>,
    /// Each node's permanent attributes.
    attributes: Vec<(NodeName, String, String)>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The id of its primitive.
    pub id: String,
    /// Its agent.
    pub agent: String,
    /// What it is.
    pub kind: Kind,
    /// It reboots where Pacemaker means off (`pcmk_off_action`).
    reboots_for_off: bool,
    /// It does another action than Pacemaker means, or takes a machine that it does not find for off.
    is_odd: bool,
    /// The nodes that it is restricted to; none where that cannot be told.
    only: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Level {
    of: Target,
    number: u32,
    devices: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Name(String),
    Pattern(String),
    Attribute(String, String),
}

/// One way to fence a node: all of these devices must succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The level of the fencing topology; none without one.
    pub level: Option<u32>,
    /// The devices.
    pub devices: Vec<Device>,
}

/// The ways in which Pacemaker may fence a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways(pub Vec<Way>);

impl Ways {
    /// Those of a node whose only device is a `fence_ganeti` that takes this grade.
    #[must_use]
    pub fn ours(least: Grade) -> Self {
        Self::of_kinds(&[&[Kind::Ours { least }]])
    }

    /// With devices of these kinds.
    #[must_use]
    pub fn of_kinds(ways: &[&[Kind]]) -> Self {
        let device = |kind: &Kind| Device {
            id: String::new(),
            agent: String::new(),
            kind: *kind,
            reboots_for_off: false,
            is_odd: false,
            only: None,
        };
        let way = |kinds: &&[Kind]| Way { level: None, devices: kinds.iter().map(device).collect() };
        Self(ways.iter().map(way).collect())
    }

    /// What a success proves that no receipt tells of.
    #[must_use]
    pub fn worth(&self, stays_off: bool) -> Worth {
        self.0.iter().map(|way| way.worth(stays_off)).reduce(Worth::weaker).unwrap_or_else(|| of_ways([], stays_off))
    }

    /// Whether a `fence_ganeti` device is part of a way.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.0.iter().any(Way::has_ours)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(level) = self.level {
            write!(f, "fencing level {level}: ")?;
        }
        let devices = self.devices.iter().map(|device| format!("{} ({})", device.id, device.agent));
        f.write_str(&devices.collect::<Vec<_>>().join(" + "))
    }
}

impl Way {
    /// Whether a `fence_ganeti` device is part of it.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.devices.iter().any(|device| matches!(device.kind, Kind::Ours { .. }))
    }

    fn kinds(&self) -> Vec<Kind> {
        self.devices.iter().map(|device| device.kind).collect()
    }

    /// What its success proves that no receipt tells of.
    #[must_use]
    pub fn worth(&self, stays_off: bool) -> Worth {
        // What one of them switches on again is on.
        let stays_off = stays_off && !self.devices.iter().any(|device| device.reboots_for_off);
        of_ways([self.kinds().as_slice()], stays_off)
    }
}

impl Fencing {
    /// What a whole CIB says; `power_agents` are agents that the configuration names beside those that are known.
    #[must_use]
    pub fn of(cib: &Element, power_agents: &BTreeSet<String>) -> Self {
        let templates = cib.all("template");
        let promises = least_of(&all_values(cib, "minimum_grade"), true);
        let device = |primitive: &&Element| Device::of(primitive, &templates, promises, power_agents);
        let property = |pair: &&&Element| {
            matches!(pair.get("name"), Some("stonith-watchdog-timeout" | "fencing-watchdog-timeout"))
        };
        let pairs: Vec<&Element> = cib.all("crm_config").into_iter().flat_map(|config| config.all("nvpair")).collect();
        // What cannot be read as zero is on.
        let is_on = |pair: &&Element| pair.get("value").and_then(milliseconds) != Some(0);
        let nodes = cib.all("nodes").into_iter().flat_map(|nodes| nodes.children_named("node"));
        let nodes: Vec<(NodeName, &Element)> =
            nodes.filter_map(|node| Some((NodeName::new(node.get("uname")?).ok()?, node))).collect();
        let names = nodes.iter().map(|(name, _)| name.clone()).collect();
        let attributes = nodes.into_iter().flat_map(|(name, node)| {
            let pair =
                |pair: &Element| Some((name.clone(), pair.get("name")?.to_owned(), pair.get("value")?.to_owned()));
            node.all("nvpair").into_iter().filter_map(pair).collect::<Vec<_>>()
        });
        Self {
            devices: cib.all("primitive").iter().filter_map(device).collect(),
            levels: cib.all("fencing-level").into_iter().filter_map(Level::of).collect(),
            watchdog: pairs.iter().filter(property).any(is_on),
            names,
            attributes: attributes.collect(),
        }
    }

    /// The same, where these agents switch power, too.
    #[must_use]
    pub fn with(&self, power_agents: &BTreeSet<String>) -> Self {
        let mut all = self.clone();
        for device in all.devices.iter_mut().filter(|device| device.kind == Kind::Unknown && !device.is_odd) {
            device.kind = Kind::of(&device.agent, power_agents);
        }
        all
    }

    /// The least proof that a `fence_ganeti` device takes; none without such a device.
    #[must_use]
    pub fn least_of_ours(&self) -> Option<Grade> {
        let least = |device: &Device| match device.kind {
            Kind::Ours { least } => Some(least),
            // Its `minimum_grade` is beside the point: it takes no grade at all.
            _ => None,
        };
        self.devices.iter().filter_map(least).min()
    }

    /// The devices.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Whether a device with this id may fence `node`, one of `all`: only a host list that leaves it out says no.
    #[must_use]
    pub fn may_fence(&self, id: &str, node: &NodeName, all: &[NodeName]) -> bool {
        self.devices.iter().filter(|device| device.id == id).any(|device| device.may_fence(node, all))
    }

    /// The ways in which `node`, one of Ganeti's nodes `all`, may be fenced.
    #[must_use]
    pub fn ways(&self, node: &NodeName, all: &[NodeName]) -> Ways {
        let (levels, is_sure) = self.levels_of(node, all);
        let mut ways: Vec<Way> = levels.iter().filter_map(|level| self.of_level(level, node, all)).collect();
        if levels.is_empty() || !is_sure {
            let alone = self.devices.iter().filter(|device| device.may_fence(node, all));
            ways.extend(alone.map(|device| Way { level: None, devices: vec![device.clone()] }));
        }
        // It is tried last, whatever else there is.
        if self.watchdog {
            ways.push(Way { level: None, devices: vec![Device::watchdog()] });
        }
        Ways(ways)
    }

    /// The levels of `node`, and whether there are no others. The name comes first; of patterns and attributes that fit, any
    /// one may be taken.
    fn levels_of(&self, node: &NodeName, all: &[NodeName]) -> (Vec<&Level>, bool) {
        let compared: Vec<(&Level, Option<bool>)> =
            self.levels.iter().map(|level| (level, self.is_of(&level.of, node, all))).collect();
        let by_name: Vec<&Level> = compared
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

    /// None where it cannot be told.
    fn is_of(&self, target: &Target, node: &NodeName, all: &[NodeName]) -> Option<bool> {
        // Pacemaker's own names of the node.
        let called = || self.names.iter().filter(move |name| means(name, node, all));
        let same = |name: &str| match NodeName::new(name).map(|name| compare(&name, node, all)) {
            Ok(Match::Same) => Some(true),
            Ok(Match::Ambiguous) => None,
            Ok(Match::Other) | Err(_) => Some(false),
        };
        match target {
            // Pacemaker compares whole names.
            Target::Name(name) if called().next().is_some() => {
                Some(called().any(|of| of.as_str().eq_ignore_ascii_case(name)))
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
                let mut names: BTreeSet<&str> = called().map(NodeName::as_str).collect();
                if names.is_empty() {
                    names = [node.as_str(), node.short()].into();
                }
                let fits: BTreeSet<Option<bool>> = names.iter().map(|name| pattern::matches(text, name)).collect();
                if fits.len() == 1 { fits.into_iter().next().flatten() } else { None }
            }
        }
    }

    /// A level with a device that cannot fence the node never succeeds.
    fn of_level(&self, level: &Level, node: &NodeName, all: &[NodeName]) -> Option<Way> {
        let device = |id: &String| match self.devices.iter().find(|device| device.id == *id) {
            Some(device) => device.may_fence(node, all).then(|| device.clone()),
            None if id == WATCHDOG => Some(Device::watchdog()),
            None => Some(Device {
                id: id.clone(),
                agent: String::new(),
                kind: Kind::Unknown,
                reboots_for_off: false,
                is_odd: false,
                only: None,
            }),
        };
        let devices = level.devices.iter().map(device).collect::<Option<Vec<Device>>>()?;
        Some(Way { level: Some(level.number), devices })
    }
}

impl Level {
    fn of(element: &Element) -> Option<Self> {
        let get = |name| element.get(name).map(str::to_owned);
        // Pacemaker takes no other (`ST_LEVEL_MAX`).
        let number = element.get("index")?.parse().ok().filter(|number| (1..=9).contains(number))?;
        let of = get("target").map(Target::Name).or_else(|| get("target-pattern").map(Target::Pattern));
        let of = of.or_else(|| Some(Target::Attribute(get("target-attribute")?, get("target-value")?)))?;
        let devices = element.get("devices")?.split(',').map(|id| id.trim().to_owned()).collect();
        Some(Self { of, number, devices })
    }
}

impl Device {
    fn watchdog() -> Self {
        Self {
            id: WATCHDOG.to_owned(),
            agent: WATCHDOG.to_owned(),
            kind: Kind::Watchdog,
            reboots_for_off: false,
            is_odd: false,
            only: None,
        }
    }

    fn of(element: &Element, templates: &[&Element], promises: Grade, power_agents: &BTreeSet<String>) -> Option<Self> {
        let template = element.get("template");
        let template_element = template.and_then(|id| templates.iter().find(|known| known.get("id") == Some(id)));
        let both: Vec<&Element> = [element].into_iter().chain(template_element.copied()).collect();
        let get = |name| both.iter().find_map(|element| element.get(name));
        let agent = get("type").unwrap_or_default();
        if get("class") != Some("stonith") && agent != OURS {
            return None;
        }
        let sets: Vec<&Element> =
            both.iter().flat_map(|element| element.children_named("instance_attributes")).collect();
        let refers = sets.iter().any(|set| {
            set.get("id-ref").is_some() || set.all("nvpair").iter().any(|pair| pair.get("id-ref").is_some())
        });
        let is_open = refers || sets.iter().any(|set| !set.all("rule").is_empty());
        let values = |name: &str| -> Vec<Option<&str>> { sets.iter().flat_map(|set| all_values(set, name)).collect() };
        let says = |name: &str, is: &dyn Fn(&str) -> bool| values(name).iter().any(|value| value.is_none_or(is));
        let odd_action = |value: &str| !matches!(value, "off" | "reboot");
        // Another action than Pacemaker means (of `action` it makes both of these, xml2device_params), or something else taken
        // for off: nobody has seen the power.
        let is_odd =
            ["pcmk_off_action", "pcmk_reboot_action", "action", "option"].iter().any(|name| says(name, &odd_action))
                || TAKES_FOR_OFF.iter().any(|(name, _)| says(name, &is_not_false));
        let reboots_for_off = says("pcmk_off_action", &|action| action == "reboot");
        let kind = match Kind::of(agent, power_agents) {
            _ if is_odd => Kind::Unknown,
            Kind::Ours { .. } => {
                let own = values("minimum_grade");
                let least = least_of(&own, own.is_empty() || is_open);
                Kind::Ours { least: if refers { least.min(promises) } else { least } }
            }
            Kind::Power { reads_reboot } => {
                let is_onoff = !is_open && says("method", &|value| value == "onoff");
                let is_cycle = says("method", &|value| value != "onoff");
                Kind::Power { reads_reboot: (reads_reboot || is_onoff) && !is_cycle }
            }
            other => other,
        };
        let checks = says("pcmk_host_check", &|check| check != "static-list");
        let (list, map) = (values("pcmk_host_list"), values("pcmk_host_map"));
        let is_told = !(is_open || checks || list.is_empty() && map.is_empty());
        let names = |list: &&str| targets(list, [' ', ',', ';']);
        let of_list = list.iter().flatten().flat_map(names);
        let of_map = map.iter().flatten().flat_map(|map| targets(map, [' ', ';', '\t']));
        let of_map = of_map.filter_map(|pair| Some(pair.split([':', '=']).next()?.to_owned()));
        Some(Self {
            id: element.get("id").unwrap_or_default().to_owned(),
            agent: agent.to_owned(),
            kind,
            reboots_for_off,
            is_odd,
            only: is_told.then(|| of_list.chain(of_map).collect()),
        })
    }

    /// Whether it may fence a node: only a list that leaves it out says no.
    fn may_fence(&self, node: &NodeName, all: &[NodeName]) -> bool {
        let names =
            |name: &String| NodeName::new(name).is_ok_and(|name| !matches!(compare(&name, node, all), Match::Other));
        self.only.as_ref().is_none_or(|only| only.iter().any(names))
    }
}

fn targets(text: &str, separators: [char; 3]) -> Vec<String> {
    text.split(|c: char| separators.contains(&c) || c.is_whitespace())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The values of a name, at any depth; none for one that cannot be read.
fn all_values<'a>(element: &'a Element, name: &str) -> Vec<Option<&'a str>> {
    let pairs = element.all("nvpair").into_iter().filter(|pair| pair.get("name") == Some(name));
    pairs.map(|pair| pair.get("value")).collect()
}

/// The least of several `minimum_grade`; of none, or where others may hold, the agent's own default is among them.
fn least_of(values: &[Option<&str>], or_default: bool) -> Grade {
    const DEFAULT: Grade = Grade::Bounded;
    let of = |value: &Option<&str>| match value.map(str::trim) {
        // An empty value is none to the agent.
        Some("") => DEFAULT,
        // With another word than these the agent fences nothing.
        Some(word) => word.parse().ok().filter(|grade| Grade::ACCEPTABLE.contains(grade)).unwrap_or(Grade::Isolated),
        None => Grade::Isolated,
    };
    let each = values.iter().map(of).chain(or_default.then_some(DEFAULT));
    each.min().unwrap_or(DEFAULT)
}

#[cfg(test)]
#[path = "fencing_tests.rs"]
mod tests;
