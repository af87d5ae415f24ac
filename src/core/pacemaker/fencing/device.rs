//! A fence device of the configuration: its kind, its targets, and which machine it switches for each. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::topology::Topology;
use crate::core::config::{canonical, machine_of_agent};
use crate::core::fence_agents::{FenceDeviceKind, OURS, TAKES_FOR_OFF, WATCHDOG, is_not_false};
use crate::core::grade::Grade;
use crate::core::node::{Match, NodeName, compare};
use crate::core::pacemaker::tree::Element;

/// A primitive of class `stonith`, with what decides what its success proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceDevice {
    /// The id of its primitive.
    pub id: String,
    /// The type of its agent.
    pub agent: String,
    /// The kind of the device, which decides what its success proves.
    pub kind: FenceDeviceKind,
    /// The parameter that makes it reboot where Pacemaker means off.
    pub reboots_for_off: Option<String>,
    /// The parameter that makes it run another action than Pacemaker means, or report a machine that it does not find
    /// as off.
    pub is_odd: Option<String>,
    /// The nodes to which it is restricted; `None` if that is unknown.
    only: Option<Vec<String>>,
    /// What decides which machine it switches; `None` if that is unknown.
    machine: Option<Machine>,
}

/// The parameters that decide which machine a device switches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Machine {
    options: BTreeMap<String, String>,
    /// The option that Pacemaker fills with the node; `None` if it fills none.
    filled: Option<String>,
    /// The values that Pacemaker fills in for a node, if they are not the node's name.
    map: Vec<(String, Vec<String>)>,
}

impl FenceDevice {
    /// Makes a device of which only these values are known.
    pub(super) fn only_known_as(id: &str, agent: &str, kind: FenceDeviceKind) -> Self {
        Self {
            id: id.to_owned(),
            agent: agent.to_owned(),
            kind,
            reboots_for_off: None,
            is_odd: None,
            only: None,
            machine: None,
        }
    }

    pub(super) fn watchdog() -> Self {
        Self::only_known_as(WATCHDOG, WATCHDOG, FenceDeviceKind::Watchdog)
    }

    pub(super) fn of(
        element: &Element,
        templates: &[&Element],
        promises: Grade,
        power_agents: &BTreeSet<String>,
    ) -> Option<Self> {
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
        let says = |name: &str, is: &dyn Fn(&str) -> bool| -> Option<String> {
            let value = values(name).into_iter().find(|value| value.is_none_or(is))?;
            Some(format!("{name}={}", value.unwrap_or("?").chars().take(40).collect::<String>()))
        };
        let odd_action = |value: &str| !matches!(value, "off" | "reboot");
        // With such a parameter the device runs another action than Pacemaker means (of `action` it makes both of
        // these, `xml2device_params`), or reports something else as off: the power was not read.
        let actions = ["pcmk_off_action", "pcmk_reboot_action", "action", "option"];
        let is_odd = actions.iter().find_map(|name| says(name, &odd_action)).or_else(|| {
            TAKES_FOR_OFF.iter().find_map(|(name, what)| Some(format!("{}: {what} is off", says(name, &is_not_false)?)))
        });
        let reboots_for_off = says("pcmk_off_action", &|action| action == "reboot");
        let kind = match FenceDeviceKind::of(agent, power_agents) {
            _ if is_odd.is_some() => FenceDeviceKind::Unknown,
            FenceDeviceKind::Ours { .. } => {
                let own = values("minimum_grade");
                let least = least_of(&own, own.is_empty() || is_open);
                FenceDeviceKind::Ours { least: if refers { least.min(promises) } else { least } }
            }
            FenceDeviceKind::Power { reads_reboot } => {
                let is_onoff = !is_open && says("method", &|value| value == "onoff").is_some();
                let is_cycle = says("method", &|value| value != "onoff").is_some();
                FenceDeviceKind::Power { reads_reboot: (reads_reboot || is_onoff) && !is_cycle }
            }
            other => other,
        };
        let checks = says("pcmk_host_check", &|check| check != "static-list").is_some();
        let (list, map) = (values("pcmk_host_list"), values("pcmk_host_map"));
        let is_set = !(is_open || checks || list.is_empty() && map.is_empty());
        let names = |list: &&str| targets(list, [' ', ',', ';']);
        let of_list = list.iter().flatten().flat_map(names);
        let map: Vec<(String, Vec<String>)> = map.iter().flatten().flat_map(|map| mapped(map)).collect();
        Some(Self {
            id: element.get("id").unwrap_or_default().to_owned(),
            agent: agent.to_owned(),
            kind,
            reboots_for_off,
            is_odd,
            only: is_set.then(|| of_list.chain(map.iter().map(|(name, _)| name.clone())).collect()),
            machine: if refers { None } else { Machine::of(&sets, map) },
        })
    }

    /// Returns whether it may fence a node: only a list without the node excludes that.
    pub(super) fn may_fence(&self, node: &NodeName, all: &[NodeName]) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|name| may_mean(name, node, all)))
    }

    /// Returns what distinguishes the machine that it switches for a node from others; `None` if that is unknown.
    pub(super) fn machine_of(&self, node: &NodeName, nodes: &Topology, all: &[NodeName]) -> Option<BTreeSet<String>> {
        let machine = self.machine.as_ref()?;
        let Some(filled) = &machine.filled else { return Some(machine_of_agent(&self.agent, &machine.options)) };
        let mapped = machine.map.iter().filter(|(name, _)| may_mean(name, node, all));
        let mut names: BTreeSet<String> = mapped.flat_map(|(_, ports)| ports.iter().cloned()).collect();
        if names.is_empty() {
            names = nodes.called(node, all).iter().map(ToString::to_string).collect();
        }
        if names.is_empty() {
            names = [node.as_str().to_owned(), node.short().to_owned()].into();
        }
        let with = |name: String| {
            let mut options = machine.options.clone();
            options.insert(filled.clone(), name);
            machine_of_agent(&self.agent, &options)
        };
        Some(names.into_iter().flat_map(with).collect())
    }
}

impl Machine {
    /// Returns `None` if a value depends on a rule, or cannot be read.
    fn of(sets: &[&Element], map: Vec<(String, Vec<String>)>) -> Option<Self> {
        const DYNAMIC: &str = "dynamic";
        let mut options: BTreeMap<String, String> = BTreeMap::new();
        let mut argument = None;
        for pair in sets.iter().flat_map(|set| set.all("nvpair")) {
            let (name, value) = (pair.get("name")?, pair.get("value")?);
            let kept = if name == "pcmk_host_argument" {
                argument.replace(value.to_owned())
            } else if name.starts_with("pcmk_") || matches!(name, "action" | "option") || value == DYNAMIC {
                None
            } else {
                options.insert(canonical(name), value.to_owned())
            };
            if kept.is_some_and(|before| before != value) {
                return None;
            }
        }
        // Pacemaker fills in `plug` or `port`, which are the same to the agents, unless the configuration has it.
        let filled = canonical(argument.as_deref().unwrap_or("plug"));
        let is_free = !filled.eq_ignore_ascii_case("none") && !options.contains_key(&filled);
        Some(Self { options, filled: is_free.then_some(filled), map })
    }
}

fn may_mean(name: &str, node: &NodeName, all: &[NodeName]) -> bool {
    NodeName::new(name).is_ok_and(|name| !matches!(compare(&name, node, all), Match::Other))
}

/// Parses `NODE:PORT[,PORT...]`, also with `=` for `:`.
fn mapped(map: &str) -> Vec<(String, Vec<String>)> {
    let pair = |pair: String| {
        let (name, ports) = pair.split_once([':', '=']).unwrap_or((&pair, ""));
        (name.to_owned(), ports.split(',').filter(|port| !port.is_empty()).map(str::to_owned).collect())
    };
    targets(map, [' ', ';', '\t']).into_iter().map(pair).collect()
}

fn targets(text: &str, separators: [char; 3]) -> Vec<String> {
    text.split(|c: char| separators.contains(&c) || c.is_whitespace())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Returns the values of a name, at any depth; `None` for one that cannot be read.
pub(super) fn all_values<'a>(element: &'a Element, name: &str) -> Vec<Option<&'a str>> {
    let pairs = element.all("nvpair").into_iter().filter(|pair| pair.get("name") == Some(name));
    pairs.map(|pair| pair.get("value")).collect()
}

/// Returns the weakest of several `minimum_grade`. Without a value, or if others may hold, the agent's own default is
/// among them.
pub(super) fn least_of(values: &[Option<&str>], or_default: bool) -> Grade {
    const DEFAULT: Grade = Grade::Bounded;
    let of = |value: &Option<&str>| match value.map(str::trim) {
        // The agent treats an empty value as none.
        Some("") => DEFAULT,
        // With another word than these the agent does not fence.
        Some(word) => word.parse().ok().filter(|grade| Grade::ACCEPTABLE.contains(grade)).unwrap_or(Grade::Isolated),
        None => Grade::Isolated,
    };
    let each = values.iter().map(of).chain(or_default.then_some(DEFAULT));
    each.min().unwrap_or(DEFAULT)
}
