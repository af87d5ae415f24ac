//! One call of an OCF agent: the action, and the environment variables that Pacemaker sets. Reads nothing else.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use gnt_ha::core::node::NodeName;
use gnt_ha::core::pacemaker::names::PacemakerName;
use gnt_ha::core::pacemaker::notification::Notification;
use gnt_ha::sys::clock::Deadline;

use crate::spec::{Agent, PARAMETERS};

/// The prefix of the variables that hold parameters.
const PARAMETER: &str = "OCF_RESKEY_";

/// The prefix of the variables with Pacemaker's meta attributes; `-` in a name becomes `_`.
const META: &str = "OCF_RESKEY_CRM_meta_";

/// The action for which Pacemaker calls an agent, with its parameters.
#[derive(Debug)]
pub struct AgentCall {
    /// The action that Pacemaker requests, such as `monitor`: the first argument of the program.
    pub action: String,
    /// The time by which the agent must end. It is before Pacemaker's own timeout, at which Pacemaker kills the agent.
    pub deadline: Deadline,
    variables: HashMap<String, String>,
}

/// The reason why a parameter is not valid.
#[derive(Debug, PartialEq, Eq)]
pub struct BadParameter(pub String);

impl AgentCall {
    /// Returns a call of `agent` for `action` with these environment variables. The time starts now. Without a valid
    /// timeout from Pacemaker the one of the metadata holds.
    #[must_use]
    pub fn new(agent: &Agent, action: &str, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let wanted = |(name, _): &(String, String)| name.starts_with("OCF_");
        let variables: HashMap<String, String> = variables.into_iter().filter(wanted).collect();
        let given = variables.get(&format!("{META}timeout")).and_then(|text| text.parse().ok()).filter(|ms| *ms > 0);
        let timeout = given.map_or_else(|| Duration::from_secs(agent.timeout(action)), Duration::from_millis);
        Self { action: action.to_owned(), deadline: Deadline::after(timeout - margin(timeout)), variables }
    }

    /// Returns a parameter's value, or its default. An empty value counts as not given, as Pacemaker also passes on
    /// empty values.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let given = self.variables.get(&format!("{PARAMETER}{name}")).map(String::as_str);
        let default = || PARAMETERS.iter().find(|known| known.name == name).and_then(|known| known.default);
        given.filter(|value| !value.is_empty()).or_else(default)
    }

    /// Returns a parameter that is the path of a directory or a file.
    ///
    /// # Errors
    /// [`BadParameter`] if the value is not an absolute path.
    pub fn dir(&self, name: &str) -> Result<PathBuf, BadParameter> {
        let path = PathBuf::from(self.parameter(name).unwrap_or_default());
        if path.is_absolute() {
            Ok(path)
        } else {
            Err(BadParameter(format!("{name}={} is not an absolute path", path.display())))
        }
    }

    /// Returns the parameter `node_name`; `None` if it is not given.
    ///
    /// # Errors
    /// [`BadParameter`] if the value is not a valid node name.
    pub fn node_name(&self) -> Result<Option<NodeName>, BadParameter> {
        let given = self.parameter("node_name").map(NodeName::new).transpose();
        given.map_err(|error| BadParameter(format!("node_name: {error}")))
    }

    /// Returns the resource's id, without the number of a clone's instance.
    #[must_use]
    pub fn resource(&self) -> &str {
        let instance = self.variables.get("OCF_RESOURCE_INSTANCE").map_or("", String::as_str);
        instance.split(':').next().unwrap_or(instance)
    }

    /// Returns Pacemaker's name of this node.
    #[must_use]
    pub fn on_node(&self) -> Option<PacemakerName> {
        PacemakerName::of_agent(|name| self.variables.get(name).cloned())
    }

    /// Whether Pacemaker runs the resource as a promotable clone (`promoted-max`, before 2.1 `master-max`).
    #[must_use]
    pub fn is_promotable(&self) -> bool {
        ["promoted_max", "master_max"].iter().any(|name| self.meta(name).is_some())
    }

    /// Whether this call is a probe (a monitor without an interval): the resource may be in any state.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.action == "monitor" && self.meta("interval").is_none_or(|interval| interval == "0")
    }

    /// Whether this recurring monitor is for hosts on which the resource shall not run (`role=Stopped`).
    #[must_use]
    pub fn is_for_stopped(&self) -> bool {
        self.meta("role") == Some("Stopped")
    }

    /// Returns the content of a notification. Pacemaker gives an empty list as one space.
    #[must_use]
    pub fn notification(&self) -> Notification {
        let text = |name: &str| self.meta(&format!("notify_{name}")).unwrap_or_default().trim().to_owned();
        let words = |name: &str| text(name).split_whitespace().map(str::to_owned).collect();
        Notification {
            kind: text("type"),
            operation: text("operation"),
            key_operation: text("key_operation"),
            stopping: words("stop_uname"),
            starting: words("start_uname"),
        }
    }

    fn meta(&self, name: &str) -> Option<&str> {
        self.variables.get(&format!("{META}{name}")).map(String::as_str)
    }
}

/// Returns the time between this call's deadline and Pacemaker's timeout: a tenth of the timeout, but 0.2 s to 2 s, and
/// at most half of it.
fn margin(timeout: Duration) -> Duration {
    let tenth = timeout / 10;
    tenth.clamp(Duration::from_millis(200), Duration::from_secs(2)).min(timeout / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MASTER_ROLE;

    fn call(variables: &[(&str, &str)]) -> AgentCall {
        AgentCall::new(&MASTER_ROLE, "start", variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn our_deadline_ends_before_pacemakers() {
        for (ms, least, most) in [("20000", 17.5, 18.0), ("1000", 0.7, 0.8), ("100", 0.0, 0.05), ("x", 297.0, 298.0)] {
            let left = call(&[("OCF_RESKEY_CRM_meta_timeout", ms)]).deadline.left().as_secs_f64();
            assert!((least..=most).contains(&left), "{ms}: {left}");
        }
    }

    #[test]
    fn parameters_have_defaults_and_are_checked() {
        assert_eq!(call(&[]).dir("data_dir"), Ok("/var/lib/ganeti".into()));
        assert_eq!(call(&[("OCF_RESKEY_data_dir", "/x")]).dir("data_dir"), Ok("/x".into()));
        assert!(call(&[("OCF_RESKEY_data_dir", "x")]).dir("data_dir").is_err());
        assert!(call(&[("OCF_RESKEY_node_name", "a;b")]).node_name().is_err());
        assert_eq!(call(&[("OCF_RESKEY_node_name", "")]).node_name(), Ok(None));
    }

    #[test]
    fn the_variables_show_a_clones_instance_and_its_role() {
        let clone = call(&[("OCF_RESOURCE_INSTANCE", "master:1"), ("OCF_RESKEY_CRM_meta_promoted_max", "1")]);
        assert_eq!((clone.resource(), clone.is_promotable()), ("master", true));
        assert!(!call(&[]).is_promotable());
    }

    /// Pacemaker gives an empty list as one space.
    #[test]
    fn empty_lists_of_a_notification_are_empty() {
        let empty = call(&[
            ("OCF_RESKEY_CRM_meta_notify_type", "post"),
            ("OCF_RESKEY_CRM_meta_notify_operation", "stop"),
            ("OCF_RESKEY_CRM_meta_notify_stop_uname", " "),
        ]);
        assert!(empty.notification().stopping.is_empty());
        let two = call(&[("OCF_RESKEY_CRM_meta_notify_stop_uname", "n1.lab n2.lab")]);
        assert_eq!(two.notification().stopping, ["n1.lab", "n2.lab"]);
        let one = call(&[("OCF_RESKEY_CRM_meta_notify_start_uname", "n3.lab ")]);
        assert_eq!((one.notification().starting, one.notification().stopping), (vec!["n3.lab".to_owned()], vec![]));
    }
}
