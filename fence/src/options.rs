//! The options of the agent, typed and checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::{BadNodeName, NodeName};
use gnt_ha::sys::identity;

use crate::spec::{GRADES, NODENAME, OPTIONS};

/// An action that `fence_ganeti` can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentAction {
    /// Switches the node on.
    On,
    /// Brings the node off, and proves it.
    Off,
    /// Brings the node off, proves it, and switches the node on.
    Reboot,
    /// Reads whether the node has power.
    Status,
    /// Lists the nodes that can be fenced.
    List,
    /// Lists the nodes that can be fenced, with their power.
    ListStatus,
    /// Checks whether this device can do its work.
    Monitor,
    /// Checks the options and what they need on this host.
    ValidateAll,
    /// Prints the metadata document.
    Metadata,
}

impl AgentAction {
    /// The words of the actions, in the order of the metadata.
    pub const WORDS: [(&'static str, Self); 10] = [
        ("on", Self::On),
        ("off", Self::Off),
        ("reboot", Self::Reboot),
        ("status", Self::Status),
        ("list", Self::List),
        ("list-status", Self::ListStatus),
        ("monitor", Self::Monitor),
        ("metadata", Self::Metadata),
        ("manpage", Self::Metadata),
        ("validate-all", Self::ValidateAll),
    ];

    fn from_word(word: &str) -> Result<Self, OptionError> {
        let lower = word.to_ascii_lowercase();
        // fence-agents' library also accepts this spelling, which is that of resource agents.
        let lower = if lower == "meta-data" { "metadata" } else { &lower };
        Self::WORDS
            .into_iter()
            .find(|(known, _)| *known == lower)
            .map(|(_, action)| action)
            .ok_or_else(|| OptionError::Action(word.to_owned()))
    }

    /// Returns whether the action needs a node.
    #[must_use]
    pub const fn needs_plug(self) -> bool {
        matches!(self, Self::On | Self::Off | Self::Reboot | Self::Status)
    }
}

/// Option values as text, by their names in [`OPTIONS`].
pub type RawOptions = BTreeMap<&'static str, String>;

/// The options of one call, parsed and with their defaults, from the command line or from stdin.
#[derive(Clone, Debug)]
pub struct Options {
    /// The action that is requested.
    pub action: AgentAction,
    /// The nodes to act on; empty if no node was given.
    pub plugs: Vec<NodeName>,
    /// The node that Pacemaker wants fenced; `None` if it was not given or is not a valid node name.
    pub meant: Option<NodeName>,
    /// The separator of the columns in lists.
    pub separator: String,
    /// The wait before off and reboot.
    pub delay: Duration,
    /// The time limit for one change of the power; `None` if only the deadline limits it.
    pub power_timeout: Option<Duration>,
    /// The wait between a command and the first reading.
    pub power_wait: Duration,
    /// The wait between two readings.
    pub status_sleep: Duration,
    /// The number of additional attempts to switch on.
    pub retry_on: u32,
    /// Whether a node that Ganeti does not have counts as off.
    pub missing_as_off: bool,
    /// Whether the steps are logged to stderr.
    pub verbose: bool,
    /// The file to which the steps are logged.
    pub debug_file: Option<PathBuf>,
    /// Whether errors on stderr are suppressed.
    pub quiet: bool,
    /// An OOB program that replaces Ganeti's `oob_program` for every node.
    pub oob_program: Option<PathBuf>,
    /// The weakest grade that counts as off.
    pub minimum_grade: Grade,
    /// The time limit for the whole action.
    pub deadline: Duration,
    /// Whether `monitor` asks the devices.
    pub deep: bool,
    /// The number of nodes that are asked at once.
    pub fanout: usize,
    /// Whether a node that was fenced is recorded in Ganeti.
    pub record: bool,
    /// Ganeti's data directory, in which the names of nodes are looked up.
    pub data_dir: PathBuf,
    /// The directory of the receipts.
    pub state_dir: PathBuf,
    /// The path of Pacemaker's configuration.
    pub cib: PathBuf,
}

/// The reason why an option cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// The action is unknown. Pacemaker searches for the first two words (`stonith__result2rc`).
    #[error("Unrecognised action '{}': use one of on, off, reboot, status, list, list-status, monitor, metadata, validate-all", .0.escape_debug())]
    Action(String),
    /// The action needs a node, and none was given.
    #[error("no node was named: give plug=NODE on stdin, or -n NODE")]
    NoPlug,
    /// The plug is not a valid node name.
    #[error("{0}")]
    Plug(#[from] BadNodeName),
    /// The value does not have the type of the option.
    #[error("option {name} cannot be {value:?}: give {wanted}")]
    Value {
        /// The name of the option, as it is given on stdin.
        name: &'static str,
        /// The value that was given, at most 60 characters of it.
        value: String,
        /// The values that the option accepts.
        wanted: String,
    },
}

impl Options {
    /// Parses and checks the given values; options without a value get their defaults.
    ///
    /// # Errors
    /// [`OptionError`] for the first value that cannot be used, or if the action needs a node and has none.
    pub fn new(given: &RawOptions) -> Result<Self, OptionError> {
        let values = OptionValues(given);
        // An empty action does not count as a request for a reboot.
        let action = AgentAction::from_word(given.get("action").map_or("reboot", |word| word.trim()))?;
        let separator = values.text("plug_separator").unwrap_or(",");
        let plugs = match values.text("plug") {
            Some(plugs) => plugs.split(separator).map(|plug| NodeName::new(plug.trim())).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        if action.needs_plug() && plugs.is_empty() {
            return Err(OptionError::NoPlug);
        }
        let disable_timeout = values.truth("disable_timeout")?.unwrap_or_else(identity::under_pacemaker);
        let power_timeout = values.seconds("power_timeout")?;
        // A wrong level of verbosity must never stop the action: any value that is not a form of "no" counts as yes.
        let verbose = |name| !matches!(values.text(name), None | Some("0" | "no" | "off" | "false"));
        let deadline = values.seconds("deadline")?;
        let delay = values.seconds("delay")?;
        if deadline < Duration::from_secs(1) || deadline <= delay {
            return Err(values.wrong("deadline", "at least 1 second and more than delay".to_owned()));
        }
        let minimum_grade = values.text("minimum_grade").and_then(|word| word.parse().ok());
        let Some(minimum_grade) = minimum_grade.filter(|grade| Grade::ACCEPTABLE.contains(grade)) else {
            return Err(values.wrong("minimum_grade", GRADES.join(", ")));
        };
        Ok(Self {
            action,
            plugs,
            meant: given.get(NODENAME).and_then(|name| NodeName::new(name.trim()).ok()),
            separator: values.text("separator").unwrap_or(",").to_owned(),
            delay,
            // As in fence-agents' library, 0 means no limit: only the deadline limits the change.
            power_timeout: (!disable_timeout && !power_timeout.is_zero()).then_some(power_timeout),
            power_wait: values.seconds("power_wait")?,
            status_sleep: values.seconds("stonith_status_sleep")?,
            retry_on: values.integer("retry_on")?,
            missing_as_off: values.truth("missing_as_off")?.unwrap_or(false),
            verbose: verbose("verbose") || verbose("verbose_level"),
            debug_file: values.path("debug_file"),
            quiet: values.truth("quiet")?.unwrap_or(false),
            oob_program: values.path("oob_program"),
            minimum_grade,
            deadline,
            deep: values.truth("deep")?.unwrap_or(false),
            fanout: usize::try_from(values.integer("fanout")?).unwrap_or(1).clamp(1, 256),
            record: values.truth("record")?.unwrap_or(true),
            data_dir: values.path("data_dir").unwrap_or_default(),
            state_dir: values.path("state_dir").unwrap_or_default(),
            cib: values.path("cib").unwrap_or_default(),
        })
    }
}

/// The given values, with the defaults of the options behind them.
struct OptionValues<'a>(&'a RawOptions);

impl OptionValues<'_> {
    fn text(&self, name: &'static str) -> Option<&str> {
        let default = OPTIONS.iter().find(|spec| spec.name == name).and_then(|spec| spec.default);
        // Pacemaker sends a parameter without a value as an empty string.
        self.0.get(name).map(String::as_str).filter(|value| !value.trim().is_empty()).or(default)
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.text(name).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    fn seconds(&self, name: &'static str) -> Result<Duration, OptionError> {
        const A_DAY: f64 = 86_400.0;
        let seconds = self.text(name).and_then(|text| text.trim().parse::<f64>().ok());
        match seconds {
            Some(seconds) if (0.0..=A_DAY).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
            _ => Err(self.wrong(name, "a time in seconds".to_owned())),
        }
    }

    fn integer(&self, name: &'static str) -> Result<u32, OptionError> {
        match self.text(name) {
            None => Ok(0),
            Some(text) => text.trim().parse().map_err(|_| self.wrong(name, "a whole number".to_owned())),
        }
    }

    fn truth(&self, name: &'static str) -> Result<Option<bool>, OptionError> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("1" | "yes" | "on" | "true") => Ok(Some(true)),
            Some("0" | "no" | "off" | "false") => Ok(Some(false)),
            Some(_) => Err(self.wrong(name, "1, yes, on, true, 0, no, off or false".to_owned())),
        }
    }

    fn wrong(&self, name: &'static str, wanted: String) -> OptionError {
        let value = self.text(name).unwrap_or_default().chars().take(60).collect();
        OptionError::Value { name, value, wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(given: &[(&'static str, &str)]) -> Result<Options, OptionError> {
        Options::new(&given.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    #[test]
    fn the_defaults_are_those_that_are_documented() {
        let options = options(&[("plug", "n1")]).unwrap();
        assert_eq!(options.action, AgentAction::Reboot);
        // The least grade that the reconciler assumes for a device without `minimum_grade`.
        assert_eq!(options.minimum_grade, gnt_ha::core::reconcile::Settings::DEVICE_GRADE);
        assert_eq!(options.deadline, Duration::from_secs(55));
        assert!(options.record && !options.missing_as_off && !options.deep);
        assert_eq!(options.power_timeout, Some(Duration::from_secs(20)));
    }

    /// A limit of 0 s would fail before the second reading, so it means that only the deadline limits the change.
    #[test]
    fn no_power_timeout_is_the_deadline() {
        let of = |value| options(&[("plug", "n1"), ("disable_timeout", "false"), ("power_timeout", value)]).unwrap();
        assert_eq!(of("0").power_timeout, None);
        assert_eq!(of("0.5").power_timeout, Some(Duration::from_millis(500)));
    }

    #[test]
    fn several_plugs_are_split_and_each_is_checked() {
        let both = options(&[("plug", "n1.lab, n2.lab")]).unwrap();
        assert_eq!(both.plugs.len(), 2);
        assert!(matches!(options(&[("plug", "n1;reboot")]), Err(OptionError::Plug(_))));
        assert!(matches!(options(&[("plug", "n1,")]), Err(OptionError::Plug(_))));
        assert_eq!(options(&[("action", "off")]).unwrap_err(), OptionError::NoPlug);
    }

    /// Pacemaker searches for these words to distinguish "unsupported" from "failed" (`stonith__result2rc`).
    #[test]
    fn an_unknown_action_is_unrecognised() {
        let error = options(&[("action", "explode\nnow")]).unwrap_err().to_string();
        assert!(error.starts_with("Unrecognised action 'explode\\nnow'"), "{error}");
        assert_eq!(options(&[("action", "META-DATA")]).unwrap().action, AgentAction::Metadata);
    }

    #[test]
    fn the_least_grade_can_never_be_unknown() {
        for wrong in ["unknown", "OFF", "none"] {
            assert!(options(&[("plug", "n1"), ("minimum_grade", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_values_name_their_option() {
        for (name, value) in [
            ("power_timeout", "soon"),
            ("delay", "-1"),
            ("retry_on", "1.5"),
            ("deep", "maybe"),
            ("deadline", "0"),
            ("deadline", "nan"),
            ("delay", "60"),
        ] {
            assert!(options(&[("plug", "n1"), (name, value)]).is_err(), "{name}={value}");
        }
    }
}
