//! The action that switches the power: its path, and the type of reset among those that the BMC allows.

use serde_json::Value;

use crate::document::{DocumentError, text};
use crate::message::PowerSeen;
use crate::uri;

/// The reset action of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResetAction {
    /// The path to which the command is sent.
    pub(crate) target: String,
    /// The values that the BMC allows, if the action has them.
    pub(crate) allowed: Option<Vec<String>>,
    /// The path of the document with the allowed values.
    pub(crate) info: Option<String>,
}

impl ResetAction {
    /// Reads the action of the system at `path` from its `Actions`. A target that is not below the system is refused: it
    /// would switch another one.
    pub(crate) fn of(actions: Option<&Value>, path: &str) -> Result<Self, DocumentError> {
        let action = actions.and_then(|actions| actions.get("#ComputerSystem.Reset"));
        let Some(target) = action.and_then(|action| text(action.get("target"))) else {
            return Err(DocumentError(format!("{path} has no action ComputerSystem.Reset")));
        };
        let target = uri::path(target).filter(|target| uri::is_below(target, path));
        let target =
            target.ok_or_else(|| DocumentError(format!("the reset action of {path} leads to another system")))?;
        let allowed = action.and_then(|action| values(action.get("ResetType@Redfish.AllowableValues")));
        let info = action.and_then(|action| uri::path(text(action.get("@Redfish.ActionInfo"))?));
        Ok(Self { target, allowed, info })
    }

    /// Returns the type of reset that brings this power about. Never another one in its place: a shutdown by the operating
    /// system needs one that works, and a button may do the opposite.
    pub(crate) fn reset_type(&self, to: PowerSeen) -> Result<&'static str, DocumentError> {
        let wanted: &[&'static str] = match to {
            PowerSeen::Off => &["ForceOff"],
            PowerSeen::On => &["On", "ForceOn"],
        };
        let first = *wanted.first().ok_or("no type of reset")?;
        let Some(allowed) = self.allowed.as_ref().filter(|allowed| !allowed.is_empty()) else { return Ok(first) };
        let found = wanted.iter().find(|wanted| allowed.iter().any(|allowed| allowed == *wanted));
        found.copied().ok_or_else(|| {
            DocumentError(format!("it does not allow {}: only {}", wanted.join(" or "), allowed.join(", ")))
        })
    }
}

/// Returns a list of texts; `None` if the value is not one.
fn values(value: Option<&Value>) -> Option<Vec<String>> {
    value?.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Returns the allowed values for `ResetType` in an `ActionInfo` document.
pub(crate) fn allowed_in_info(info: &Value) -> Option<Vec<String>> {
    let parameters = info.get("Parameters")?.as_array()?;
    let parameter = parameters.iter().find(|parameter| text(parameter.get("Name")) == Some("ResetType"))?;
    values(parameter.get("AllowableValues"))
}
