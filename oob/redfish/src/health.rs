//! The health that a BMC reports of the system and its chassis.

use serde_json::Value;

use crate::document::text;
use crate::message::{HealthState, Item};
use crate::system::System;

/// Returns the health in a `Status`: that of the part with all that belongs to it, if there is one.
pub(crate) fn state(status: Option<&Value>) -> HealthState {
    let of = |key| status.and_then(|status| text(status.get(key)));
    match of("HealthRollup").or_else(|| of("Health")) {
        Some("OK") => HealthState::Ok,
        Some("Warning") => HealthState::Warning,
        Some("Critical") => HealthState::Critical,
        _ => HealthState::Unknown,
    }
}

/// Returns the parts of the health that a system's own document has.
pub(crate) fn items(system: &System) -> Vec<Item> {
    let item = |name: &str, health| Item { name: name.to_owned(), health };
    let mut items = vec![item("system", state(system.status.as_ref()))];
    for (name, summary) in [("processors", &system.processors), ("memory", &system.memory)] {
        if let Some(status) = summary.as_ref().and_then(|summary| summary.get("Status")) {
            items.push(item(name, state(Some(status))));
        }
    }
    items
}
