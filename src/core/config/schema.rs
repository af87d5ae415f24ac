//! Parses the text of the configuration key by key, so that each error has its line; touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

use super::device::{Driver, Seconds};
use super::machine::{Resolved, shared};
use super::template::Values;
use super::{
    Config, ConfigError, FULL_MEMBERS_MOST, LevelNames, NodeRule, Pattern, Record, SelfFenceConfig, ShunConfig,
};
use crate::core::fence_agents::check_power_agent;
use crate::core::ganeti::oob::GANETI_TIMEOUT;
use crate::core::grade::Grade;

/// The levels as they are written.
#[derive(Deserialize)]
#[serde(transparent)]
struct WrittenLevels(Vec<WrittenLevel>);

/// One level as it is written. The error shows the form of the whole: `levels = ["bmc"]` is the likeliest mistake.
struct WrittenLevel(Vec<String>);

impl<'de> Deserialize<'de> for WrittenLevel {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Devices;

        impl<'de> Visitor<'de> for Devices {
            type Value = WrittenLevel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of devices for each level, as in levels = [[\"bmc\"]]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<WrittenLevel, A::Error> {
                let mut devices = Vec::new();
                while let Some(device) = items.next_element()? {
                    devices.push(device);
                }
                Ok(WrittenLevel(devices))
            }
        }

        from.deserialize_seq(Devices)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default = "fifty_seconds")]
    deadline: Spanned<Seconds>,
    #[serde(default = "five_seconds")]
    power_cycle_interval: Spanned<Seconds>,
    #[serde(default = "default_minimum_grade")]
    minimum_grade: Spanned<Grade>,
    #[serde(default = "members")]
    members: Spanned<usize>,
    #[serde(default)]
    power_agents: Vec<Spanned<String>>,
    #[serde(default = "state")]
    state_directory: PathBuf,
    #[serde(default = "run")]
    run_directory: PathBuf,
    #[serde(default)]
    shun: ShunConfig,
    #[serde(default)]
    self_fence: Option<Spanned<SelfFenceConfig>>,
    #[serde(default)]
    record: Option<Spanned<Record>>,
    #[serde(default)]
    nodes: BTreeMap<Spanned<String>, RawNodeRule>,
    #[serde(default)]
    default: Option<Default>,
    /// It was removed before; it is named here so that a misspelt `[devices]` finds its nearest valid key.
    #[serde(default)]
    devices: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNodeRule {
    #[serde(default)]
    levels: Option<Spanned<WrittenLevels>>,
    #[serde(default)]
    values: Values,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Default {
    levels: Spanned<WrittenLevels>,
}

/// The keys of a driver whose settings are in another section.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

fn fifty_seconds() -> Spanned<Seconds> {
    Spanned::new(0..0, Seconds(Duration::from_secs(50)))
}

fn five_seconds() -> Spanned<Seconds> {
    Spanned::new(0..0, Seconds(Duration::from_secs(5)))
}

fn default_minimum_grade() -> Spanned<Grade> {
    Spanned::new(0..0, Grade::Bounded)
}

fn members() -> Spanned<usize> {
    Spanned::new(0..0, FULL_MEMBERS_MOST)
}

fn state() -> PathBuf {
    super::DEFAULT_STATE.into()
}

fn run() -> PathBuf {
    super::DEFAULT_RUN.into()
}

pub(super) fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    SchemaReader { text, path }.config()
}

struct SchemaReader<'a> {
    text: &'a str,
    path: &'a Path,
}

impl SchemaReader<'_> {
    fn config(&self) -> Result<Config, ConfigError> {
        let mut root = DeTable::parse(self.text).map_err(|error| self.explain(&error))?;
        let devices = root.get_mut().remove("devices");
        let document: Document =
            Document::deserialize(Deserializer::from(root)).map_err(|error| self.explain(&error))?;
        debug_assert!(document.devices.is_none());
        let mut devices = self.devices(devices)?;
        let power_agents = self.power_agents(document.power_agents)?;
        for driver in devices.values_mut() {
            driver.set_default_grade(&power_agents);
        }

        let (deadline, power_cycle_interval) = self.times(&document.deadline, &document.power_cycle_interval)?;
        let minimum_grade = *document.minimum_grade.get_ref();
        if !Grade::ACCEPTABLE.contains(&minimum_grade) {
            let at = document.minimum_grade.span().start;
            return Err(self.error(at, "minimum_grade unknown would take anything for off: off, bounded or isolated"));
        }
        let members = *document.members.get_ref();
        if !(2..=FULL_MEMBERS_MOST).contains(&members) {
            let why = format!("members must be 2 to {FULL_MEMBERS_MOST}: corosync carries no more nodes");
            return Err(self.error(document.members.span().start, why));
        }
        let self_fence = document.self_fence.unwrap_or_else(|| Spanned::new(0..0, SelfFenceConfig::default()));
        self_fence
            .get_ref()
            .check()
            .map_err(|why| self.error(self_fence.span().start, format!("self_fence: {why}")))?;
        let record = document.record.unwrap_or_else(|| Spanned::new(0..0, Record::default()));
        record.get_ref().check().map_err(|why| self.error(record.span().start, format!("record: {why}")))?;
        let mut nodes: Vec<NodeRule> = Vec::new();
        let mut offsets = Vec::new();
        for (name, rule) in document.nodes {
            let at = name.span().start;
            let pattern = Pattern::new(name.get_ref()).map_err(|error| self.error(at, error.to_string()))?;
            if nodes.iter().any(|other| other.pattern == pattern) {
                return Err(self.error(at, format!("{pattern} is there twice (case does not count)")));
            }
            if let Some(own) = rule.values.keys().find(|key| ["name", "short"].contains(&key.as_str())) {
                return Err(self.error(at, format!("values cannot set {own}: {{{own}}} is the node's own")));
            }
            let many = pattern.exact().is_none();
            let levels = rule.levels.map(|levels| self.levels(levels, &devices, many)).transpose()?;
            nodes.push(NodeRule { pattern, levels, values: rule.values });
            offsets.push(at);
        }
        let default = document.default.map(|default| self.levels(default.levels, &devices, true)).transpose()?;
        let config = Config {
            path: self.path.to_owned(),
            deadline,
            power_cycle_interval,
            minimum_grade,
            state: document.state_directory,
            run: document.run_directory,
            shun: document.shun,
            self_fence: self_fence.into_inner(),
            record: record.into_inner(),
            members,
            power_agents,
            text: self.text.to_owned(),
            devices,
            nodes,
            default,
        };
        self.no_machine_twice(&config, &offsets)?;
        Ok(config)
    }

    fn times(
        &self,
        deadline: &Spanned<Seconds>,
        cycle: &Spanned<Seconds>,
    ) -> Result<(Duration, Duration), ConfigError> {
        let (limit, power_cycle_interval) = (deadline.get_ref().0, cycle.get_ref().0);
        if limit < Duration::from_secs(5) {
            return Err(self.error(deadline.span().start, "deadline is below 5 s, too short to prove anything"));
        }
        if limit >= GANETI_TIMEOUT {
            return Err(self.error(deadline.span().start, "deadline must be below the 60 s after which Ganeti kills"));
        }
        if power_cycle_interval > limit / 2 {
            return Err(self
                .error(cycle.span().start, "power_cycle_interval leaves too little of deadline: at most half of it"));
        }
        Ok((limit, power_cycle_interval))
    }

    fn power_agents(&self, agents: Vec<Spanned<String>>) -> Result<BTreeSet<String>, ConfigError> {
        let checked = |agent: Spanned<String>| match check_power_agent(agent.get_ref()) {
            Ok(()) => Ok(agent.into_inner()),
            Err(error) => Err(self.error(agent.span().start, error.to_string())),
        };
        agents.into_iter().map(checked).collect()
    }

    /// Checks that no machine has two nodes: it would be switched off for both, and proven off for the wrong one. Names
    /// that have to be resolved, and nodes that no rule names, are compared when a node is switched or checked.
    fn no_machine_twice(&self, config: &Config, offsets: &[usize]) -> Result<(), ConfigError> {
        let named: Vec<_> = config
            .nodes
            .iter()
            .zip(offsets)
            .filter_map(|(rule, at)| {
                let node = rule.pattern.exact()?;
                // A rule that cannot be filled in is an error of its own when the node is switched.
                let levels = config.levels_of(&node).ok()?;
                Some(((node, levels), *at))
            })
            .collect();
        let (nodes, offsets): (Vec<_>, Vec<usize>) = named.into_iter().unzip();
        let Some(found) = shared(&nodes, &Resolved::new()).into_iter().next() else { return Ok(()) };
        let [_, second] = &found.nodes;
        let at = nodes.iter().zip(offsets).find(|((node, _), _)| node == second).map_or(0, |(_, at)| at);
        Err(self.error(at, found.to_string()))
    }

    fn devices(&self, devices: Option<Spanned<DeValue<'_>>>) -> Result<BTreeMap<String, Driver>, ConfigError> {
        let Some(devices) = devices else { return Ok(BTreeMap::new()) };
        let start = devices.span().start;
        let DeValue::Table(devices) = devices.into_inner() else {
            return Err(self.error(start, "devices must be tables: [devices.NAME]"));
        };
        let mut drivers = BTreeMap::new();
        for (name, device) in devices {
            let driver = self.device(name.get_ref(), device, name.span().start)?;
            drivers.insert(name.get_ref().to_string(), driver);
        }
        Ok(drivers)
    }

    fn device(&self, name: &str, device: Spanned<DeValue<'_>>, at: usize) -> Result<Driver, ConfigError> {
        let span = device.span();
        let DeValue::Table(mut table) = device.into_inner() else {
            return Err(self.error(at, format!("device {name} must be a table: [devices.{name}]")));
        };
        // The name becomes part of a lock's file name and of a line that Ganeti shows.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
            return Err(
                self.error(at, format!("{name:?} is not a valid name for a device: use letters, digits, '_', '-'"))
            );
        }
        let words = Driver::WORDS;
        let Some(word) = table.remove("driver") else {
            return Err(self.error(at, format!("device {name} has no driver: one of {}", words.join(", "))));
        };
        let keys = Spanned::new(span, DeValue::Table(table));
        let driver = match word.get_ref().as_str() {
            Some("ipmi") => Driver::Ipmi(self.keys(keys)?),
            Some("redfish") => Driver::Redfish(self.keys(keys)?),
            Some("agent") => Driver::Agent(self.keys(keys)?),
            Some("exec") => Driver::Exec(self.keys(keys)?),
            Some("shun") => {
                let NoKeys {} = self.keys(keys)?;
                Driver::Shun
            }
            other => {
                let given = other.unwrap_or("that");
                let hint = nearest(given, words.iter().copied());
                return Err(
                    self.error(word.span().start, format!("no driver {given:?}: one of {}{hint}", words.join(", ")))
                );
            }
        };
        driver.check().map_err(|why| self.error(at, format!("device {name}: {why}")))?;
        Ok(driver)
    }

    fn keys<T: DeserializeOwned>(&self, table: Spanned<DeValue<'_>>) -> Result<T, ConfigError> {
        T::deserialize(ValueDeserializer::from(table)).map_err(|error| self.explain(&error))
    }

    /// Checks the levels of a rule; `many` is true if the rule is for more than one node.
    fn levels(
        &self,
        levels: Spanned<WrittenLevels>,
        devices: &BTreeMap<String, Driver>,
        many: bool,
    ) -> Result<LevelNames, ConfigError> {
        let at = levels.span().start;
        let levels: LevelNames = levels.into_inner().0.into_iter().map(|level| level.0).collect();
        if levels.is_empty() || levels.iter().any(Vec::is_empty) {
            return Err(self.error(at, "levels must name devices: levels = [[\"bmc\"]]"));
        }
        for name in levels.iter().flatten() {
            let Some(device) = devices.get(name) else {
                let hint = nearest(name, devices.keys().map(String::as_str));
                return Err(self.error(at, format!("no device {name:?}{hint}")));
            };
            if many && device.is_one_for_all() {
                let why = format!(
                    "device {name} is one machine, and this rule is for many nodes: name it by {{name}}, {{short}} or a \
                     value of the node's own"
                );
                return Err(self.error(at, why));
            }
        }
        Ok(levels)
    }

    /// Adds the line to an error and, for an unknown key, the nearest valid one.
    fn explain(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message();
        let at = error.span().map_or(0, |span| span.start);
        let hint = unknown_key(message).map_or_else(String::new, |(given, known)| nearest(given, known));
        self.error(at, format!("{}{hint}", message.replace('\n', " ")))
    }

    fn error(&self, at: usize, message: impl Into<String>) -> ConfigError {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        ConfigError::Text {
            path: self.path.to_owned(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            message: message.into(),
        }
    }
}

/// Splits serde's message "unknown field `x`, expected one of `a`, `b`" (`serde::de::Error::unknown_field`).
fn unknown_key(message: &str) -> Option<(&str, impl Iterator<Item = &str>)> {
    if !message.starts_with("unknown field") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted))
}

fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|known| (strsim::damerau_levenshtein(given, known), known))
        .filter(|(distance, known)| *distance <= known.len().max(given.len()) / 2)
        .min()
        .map_or_else(String::new, |(_, known)| format!("; did you mean {known:?}?"))
}
