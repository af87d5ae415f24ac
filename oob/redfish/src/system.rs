//! A computer system of a BMC, and its chassis: the power and the identity. A document of another system is an error.

use serde::Deserialize;
use serde_json::Value;

use crate::document::{DocumentError, is_null, links, text};
use crate::message::{Choice, KnownSystem, PowerSeen};
use crate::uri;

/// The keys of a `ComputerSystem` that are read.
#[derive(Debug, Deserialize)]
pub(crate) struct System {
    #[serde(rename = "@odata.id", default)]
    id: Option<Value>,
    #[serde(rename = "PowerState", default)]
    power_state: Option<Value>,
    #[serde(rename = "SystemType", default)]
    kind: Option<Value>,
    #[serde(rename = "UUID", default)]
    uuid: Option<Value>,
    #[serde(rename = "SerialNumber", default)]
    serial_number: Option<Value>,
    #[serde(rename = "Links", default)]
    links: Option<Value>,
    #[serde(rename = "Actions", default)]
    pub(crate) actions: Option<Value>,
    #[serde(rename = "Status", default)]
    pub(crate) status: Option<Value>,
    #[serde(rename = "ProcessorSummary", default)]
    pub(crate) processors: Option<Value>,
    #[serde(rename = "MemorySummary", default)]
    pub(crate) memory: Option<Value>,
}

/// The most characters of an identity; a longer one does not count.
const LONGEST_IDENTITY: usize = 128;

/// The types of system that are not a host (`SystemType` in the schema): an operating system or hypervisor that the BMC lists
/// beside its host, and a network card with a computer of its own. Each has a power state of its own.
const OTHER_SYSTEM_TYPES: [&str; 2] = ["OS", "DPU"];

/// Returns the power of a `PowerState`, or why it is unknown. Only the text `Off` is off. Between both states the host still
/// has power, or has it already.
fn power(state: Option<&Value>) -> Result<PowerSeen, DocumentError> {
    match state {
        Some(Value::String(state)) => match state.as_str() {
            "Off" => Ok(PowerSeen::Off),
            "On" | "PoweringOn" | "PoweringOff" => Ok(PowerSeen::On),
            other => Err(DocumentError(format!("its PowerState is {other:?}"))),
        },
        Some(_) => Err("its PowerState is not a text".into()),
        None => Err("its PowerState is missing or null".into()),
    }
}

impl System {
    /// Returns the power, or why it is unknown.
    pub(crate) fn power(&self) -> Result<PowerSeen, DocumentError> {
        power(self.power_state.as_ref())
    }

    /// Returns the `PowerState` as it was read.
    pub(crate) fn power_state(&self) -> &str {
        text(self.power_state.as_ref()).unwrap_or("unknown")
    }

    /// Returns the identity of the system that was read from `path`.
    pub(crate) fn known(&self, path: &str) -> KnownSystem {
        let owned = |value: &Option<Value>, is_set: fn(&str) -> bool| {
            text(value.as_ref()).filter(|text| text.len() <= LONGEST_IDENTITY && is_set(text)).map(str::to_owned)
        };
        let serial_number = owned(&self.serial_number, |text| !text.trim().is_empty());
        KnownSystem { uri: path.to_owned(), uuid: owned(&self.uuid, is_set), serial_number, chassis: Vec::new() }
    }

    /// Checks that the document from `path` is the document of that system: some BMCs answer with another one.
    pub(crate) fn check_path(&self, path: &str) -> Result<(), DocumentError> {
        match text(self.id.as_ref()) {
            Some(id) if uri::is_same(id, path) => Ok(()),
            Some(id) => Err(DocumentError(format!("it answered with {id:?} in place of {path}"))),
            None => Err(DocumentError(format!("its answer for {path} has no @odata.id"))),
        }
    }

    /// Checks that the system is a host.
    pub(crate) fn check_kind(&self, path: &str) -> Result<(), DocumentError> {
        match text(self.kind.as_ref()).filter(|kind| OTHER_SYSTEM_TYPES.contains(kind)) {
            Some(kind) => Err(DocumentError(format!("{path} is not a host: its SystemType is {kind:?}"))),
            None => Ok(()),
        }
    }

    /// Whether the system has the serial number and UUID of the choice.
    pub(crate) fn is(&self, choice: &Choice) -> bool {
        let has = |wanted: &Option<String>, value: &Option<Value>, same: fn(&str, &str) -> bool| {
            wanted.as_deref().is_none_or(|wanted| text(value.as_ref()).is_some_and(|value| same(wanted, value)))
        };
        has(&choice.serial_number, &self.serial_number, is_same_serial) && has(&choice.uuid, &self.uuid, is_same_uuid)
    }

    /// Checks that the system has no other identity than an earlier call has read. Some BMCs show it only while the host runs:
    /// one that is missing contradicts nothing.
    pub(crate) fn check_known(&self, known: &KnownSystem) -> Result<(), DocumentError> {
        let now = self.known(&known.uri);
        for (what, before, now, is_same) in [
            ("UUID", &known.uuid, &now.uuid, is_same_uuid as fn(&str, &str) -> bool),
            ("serial number", &known.serial_number, &now.serial_number, is_same_serial),
        ] {
            if let (Some(before), Some(now)) = (before, now)
                && !is_same(before, now)
            {
                return Err(DocumentError(format!(
                    "{} has another {what} than before: {now:?}, not {before:?}",
                    known.uri
                )));
            }
        }
        Ok(())
    }

    /// Returns the paths of the chassis that the system names; an error if it names one that cannot be read.
    pub(crate) fn chassis(&self) -> Result<Vec<String>, DocumentError> {
        let bad = || DocumentError::from("its list of chassis cannot be read");
        let Some(links_of) = self.links.as_ref().filter(|links_of| !is_null(links_of)) else { return Ok(Vec::new()) };
        let Some(named) = links_of.as_object().ok_or_else(bad)?.get("Chassis") else { return Ok(Vec::new()) };
        let paths = links(Some(named)).and_then(|paths| paths.into_iter().map(uri::path).collect());
        paths.ok_or_else(bad)
    }
}

/// Compares two serial numbers without blanks at their ends.
fn is_same_serial(one: &str, other: &str) -> bool {
    one.trim() == other.trim()
}

/// Compares two UUIDs without case and hyphens.
fn is_same_uuid(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.trim().replace('-', "").to_ascii_lowercase();
    !plain(one).is_empty() && plain(one) == plain(other)
}

/// Whether a UUID is that of one machine: zeros and ones are those of boards on which the maker has set none.
fn is_set(uuid: &str) -> bool {
    let has = |digit: u8| uuid.bytes().any(|byte| byte != b'-' && byte.to_ascii_lowercase() != digit);
    has(b'0') && has(b'f')
}

/// The keys of a `Chassis` that are read.
#[derive(Debug, Deserialize)]
pub(crate) struct Chassis {
    #[serde(rename = "@odata.id", default)]
    id: Option<Value>,
    #[serde(rename = "PowerState", default)]
    power_state: Option<Value>,
    #[serde(rename = "ChassisType", default)]
    kind: Option<Value>,
    #[serde(rename = "Links", default)]
    links: Option<Value>,
    #[serde(rename = "Status", default)]
    pub(crate) status: Option<Value>,
}

/// The types of chassis that hold several hosts (`ChassisType` in the schema): each has power while its hosts are off.
const SHARED_CHASSIS_TYPES: [&str; 10] = [
    "Rack",
    "Enclosure",
    "Row",
    "Pod",
    "Zone",
    "Shelf",
    "StorageEnclosure",
    "RackGroup",
    "PowerStrip",
    "ImmersionTank",
];

/// Whether a chassis confirms an "Off" of its system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// It is off, too.
    Agrees,
    /// It is also that of other hosts, and has power while they are off: it says nothing.
    Shared,
    /// The answer is not that of this chassis.
    Other,
}

impl Chassis {
    /// Whether it is also that of other hosts.
    fn is_shared(&self) -> bool {
        let is_shared = text(self.kind.as_ref()).is_some_and(|kind| SHARED_CHASSIS_TYPES.contains(&kind));
        let hosts = self.links.as_ref().and_then(|links_of| links(links_of.get("ComputerSystems")));
        is_shared || hosts.is_some_and(|hosts| hosts.len() > 1)
    }

    /// Checks, while the host runs, that the chassis at `path` can confirm an "Off" at all.
    ///
    /// # Errors
    /// Why no "Off" would be believed.
    pub(crate) fn check_power(&self, path: &str) -> Result<(), DocumentError> {
        let is_other = text(self.id.as_ref()).is_some_and(|id| !uri::is_same(id, path));
        if is_other || self.is_shared() || power(self.power_state.as_ref()).is_ok() {
            return Ok(());
        }
        let state = self.power_state.as_ref().unwrap_or(&Value::Null);
        Err(DocumentError(format!(
            "no off of this host would be believed: {path} has the PowerState {state} (only if a drill has shown that this \
             chassis never follows its host: chassis = false)"
        )))
    }

    /// Returns whether the chassis confirms an "Off" of its system.
    ///
    /// # Errors
    /// Why the "Off" cannot be believed: the chassis has another state, or does not know it. A BMC that has lost its inner
    /// services knows neither state, and some show the system's as "Off" then.
    pub(crate) fn agreement(&self, path: &str) -> Result<Agreement, DocumentError> {
        if text(self.id.as_ref()).is_some_and(|id| !uri::is_same(id, path)) {
            return Ok(Agreement::Other);
        }
        if self.is_shared() {
            return Ok(Agreement::Shared);
        }
        if power(self.power_state.as_ref()) == Ok(PowerSeen::Off) {
            // Without its path the document may be another one's: that is enough to doubt an off, and not to confirm it.
            return Ok(if self.id.is_some() { Agreement::Agrees } else { Agreement::Other });
        }
        let state = self.power_state.as_ref().unwrap_or(&Value::Null);
        Err(DocumentError(format!(
            "its PowerState is \"Off\", and {path} has {state}: the host may run, so the off is not believed (only if a \
             drill has shown that this chassis never follows its host: chassis = false)"
        )))
    }
}
