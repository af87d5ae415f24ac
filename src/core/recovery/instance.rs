//! An instance of Ganeti, as far as recovery needs it. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::template::DiskTemplate;
use crate::core::node::NodeName;
use crate::core::text;

/// The greatest length of an instance name, in bytes (`lib/netutils.py`, `Hostname.GetNormalizedName`).
pub const MAX_LENGTH: usize = 255;

/// An instance's name in Ganeti. It is shown with escapes for control characters, on which a terminal would act.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceName(String);

/// The reason why a text is not a valid instance name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInstanceName {
    /// The text is empty.
    #[error("the instance name is empty")]
    Empty,
    /// The text has this many bytes, more than [`MAX_LENGTH`].
    #[error("the instance name has {0} bytes, the maximum is {MAX_LENGTH}")]
    TooLong(usize),
}

impl InstanceName {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// [`BadInstanceName`] if the text is empty or too long.
    pub fn new(text: &str) -> Result<Self, BadInstanceName> {
        match text.len() {
            0 => Err(BadInstanceName::Empty),
            length if length > MAX_LENGTH => Err(BadInstanceName::TooLong(length)),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// Returns the name that stands for an instance without a name. It is shown, and Ganeti has no such instance.
    pub(super) fn unknown() -> Self {
        Self("?".to_owned())
    }

    /// Returns the name as Ganeti has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text::printable(&self.0))
    }
}

impl TryFrom<String> for InstanceName {
    type Error = BadInstanceName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<InstanceName> for String {
    fn from(name: InstanceName) -> Self {
        name.0
    }
}

/// The state in which the administrator wants an instance (`admin_state`, `ADMINST_ALL` in `src/Ganeti/Constants.hs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminState {
    /// The instance is to run.
    Up,
    /// The administrator has stopped the instance.
    Down,
    /// The instance is out of use, and Ganeti does not start it.
    Offline,
}

impl AdminState {
    /// Parses Ganeti's name of it; `None` for another text.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "up" => Some(Self::Up),
            "down" => Some(Self::Down),
            "offline" => Some(Self::Offline),
            _ => None,
        }
    }
}

/// One of Ganeti's instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The instance's name in Ganeti.
    pub name: InstanceName,
    /// The state in which the administrator wants the instance.
    pub admin_state: AdminState,
    /// The primary node, by Ganeti's record.
    pub primary: NodeName,
    /// The other nodes that hold its disks; for template drbd one node, else none.
    pub secondaries: Vec<NodeName>,
    /// The kind of its disks.
    pub template: DiskTemplate,
    /// The tags of the instance: permission, priority, and what harep has noted.
    pub tags: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ganeti accepts nearly every name with `--no-name-check`; none of them reaches a terminal raw.
    #[test]
    fn a_name_with_odd_characters_is_kept_and_shown_escaped() {
        let odd = InstanceName::new("-web_1.\u{1b}[31m\n").unwrap();
        assert_eq!(odd.as_str(), "-web_1.\u{1b}[31m\n");
        assert_eq!(odd.to_string(), "-web_1.\\u001b[31m\\n");
        assert_eq!(InstanceName::new(""), Err(BadInstanceName::Empty));
        assert_eq!(InstanceName::new(&"a".repeat(256)), Err(BadInstanceName::TooLong(256)));
    }

    #[test]
    fn an_unknown_admin_state_is_not_up() {
        assert_eq!(AdminState::parse("up"), Some(AdminState::Up));
        assert_eq!(AdminState::parse("UP"), None);
    }
}
