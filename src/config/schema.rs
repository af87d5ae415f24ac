//! The text of the configuration, read key by key, so that each error has its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

use super::device::{Driver, Seconds};
use super::template::Values;
use super::{Config, ConfigError, Levels, NodeRule, Pattern};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default = "fifty_seconds")]
    deadline: Spanned<Seconds>,
    #[serde(default = "five_seconds")]
    dark_time: Seconds,
    #[serde(default = "state")]
    state_directory: PathBuf,
    #[serde(default = "run")]
    run_directory: PathBuf,
    #[serde(default)]
    nodes: BTreeMap<Spanned<String>, Rule>,
    #[serde(default)]
    default: Option<Default>,
    /// Taken out before; named here so that a misspelt `[devices]` finds its nearest right key.
    #[serde(default)]
    devices: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    levels: Option<Spanned<Levels>>,
    #[serde(default)]
    values: Values,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Default {
    levels: Spanned<Levels>,
}

fn fifty_seconds() -> Spanned<Seconds> {
    Spanned::new(0..0, Seconds(Duration::from_secs(50)))
}

const fn five_seconds() -> Seconds {
    Seconds(Duration::from_secs(5))
}

fn state() -> PathBuf {
    super::DEFAULT_STATE.into()
}

fn run() -> PathBuf {
    super::DEFAULT_RUN.into()
}

pub(super) fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    Reader { text, path }.config()
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Reader<'_> {
    fn config(&self) -> Result<Config, ConfigError> {
        let mut root = DeTable::parse(self.text).map_err(|error| self.explain(&error))?;
        let devices = root.get_mut().remove("devices");
        let document: Document =
            Document::deserialize(Deserializer::from(root)).map_err(|error| self.explain(&error))?;
        debug_assert!(document.devices.is_none());
        let devices = self.devices(devices)?;

        let deadline = document.deadline.get_ref().0;
        if deadline < Duration::from_secs(5) {
            return Err(
                self.error(document.deadline.span().start, "deadline is below 5 s, too short to prove anything")
            );
        }
        let mut nodes = Vec::new();
        for (name, rule) in document.nodes {
            let pattern = Pattern::new(name.get_ref()).map_err(|why| self.error(name.span().start, why))?;
            let levels = rule.levels.map(|levels| self.levels(levels, &devices)).transpose()?;
            nodes.push(NodeRule { pattern, levels, values: rule.values });
        }
        let default = document.default.map(|default| self.levels(default.levels, &devices)).transpose()?;
        Ok(Config {
            path: self.path.to_owned(),
            deadline,
            dark_time: document.dark_time.0,
            state: document.state_directory,
            run: document.run_directory,
            devices,
            nodes,
            default,
        })
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
            return Err(self.error(at, format!("{name:?} is no name for a device: letters, digits, '_', '-'")));
        }
        let words = Driver::WORDS;
        let Some(word) = table.remove("driver") else {
            return Err(self.error(at, format!("device {name} has no driver: one of {}", words.join(", "))));
        };
        let keys = Spanned::new(span, DeValue::Table(table));
        let driver = match word.get_ref().as_str() {
            Some("ipmi") => Driver::Ipmi(self.keys(keys)?),
            Some("agent") => Driver::Agent(self.keys(keys)?),
            Some("exec") => Driver::Exec(self.keys(keys)?),
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

    fn levels(&self, levels: Spanned<Levels>, devices: &BTreeMap<String, Driver>) -> Result<Levels, ConfigError> {
        let at = levels.span().start;
        if levels.get_ref().is_empty() || levels.get_ref().iter().any(Vec::is_empty) {
            return Err(self.error(at, "levels must name devices: levels = [[\"bmc\"]]"));
        }
        for name in levels.get_ref().iter().flatten() {
            if !devices.contains_key(name) {
                let hint = nearest(name, devices.keys().map(String::as_str));
                return Err(self.error(at, format!("no device {name:?}{hint}")));
            }
        }
        Ok(levels.into_inner())
    }

    /// Adds the line, and the nearest right key to an unknown one.
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

/// Takes serde's message apart: "unknown field `x`, expected one of `a`, `b`" (`serde::de::Error::unknown_field`).
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
