//! The list of a BMC's systems. A list that is not complete is an error: the right system might be the one that it lacks.

use serde::Deserialize;
use serde_json::Value;

use crate::document::{DocumentError, links, text};
use crate::uri;

/// The path of the service's root, which needs no login.
pub(crate) const ROOT: &str = "/redfish/v1/";

/// The keys of a `ComputerSystemCollection` that are read.
#[derive(Debug, Deserialize)]
pub(crate) struct Collection {
    #[serde(rename = "Members", default)]
    members: Option<Value>,
    #[serde(rename = "Members@odata.count", default)]
    count: Option<Value>,
    #[serde(rename = "Members@odata.nextLink", default)]
    next: Option<Value>,
}

impl Collection {
    /// Returns the paths of all systems.
    pub(crate) fn systems(&self) -> Result<Vec<String>, DocumentError> {
        let Some(members) = links(self.members.as_ref()) else {
            return Err("its list of systems is missing or not a list".into());
        };
        let paths: Option<Vec<String>> = members.iter().map(|member| uri::path(member)).collect();
        let paths = paths.ok_or("its list of systems names a path that is not one of its own")?;
        if paths.is_empty() {
            return Err("it lists no system; if that lasts, reset the BMC itself".into());
        }
        let count = self.count.as_ref().and_then(|count| match count {
            Value::String(count) => count.parse().ok(),
            count => count.as_u64(),
        });
        if self.next.is_some() || count.is_some_and(|count| usize::try_from(count) != Ok(paths.len())) {
            return Err("it lists only a part of its systems: name the system by its path (system = ...)".into());
        }
        Ok(paths)
    }
}

/// The keys of the service's root that are read.
#[derive(Debug, Deserialize)]
pub(crate) struct Root {
    #[serde(rename = "Systems", default)]
    systems: Option<Value>,
    #[serde(rename = "Links", default)]
    links: Option<Value>,
}

impl Root {
    /// Returns the path of the list of systems.
    pub(crate) fn systems(&self) -> Option<String> {
        uri::path(text(self.systems.as_ref()?.get("@odata.id"))?)
    }

    /// Returns the path at which sessions are opened.
    pub(crate) fn sessions(&self) -> Option<String> {
        uri::path(text(self.links.as_ref()?.get("Sessions")?.get("@odata.id"))?)
    }
}
