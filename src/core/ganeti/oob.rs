//! Ganeti's out-of-band (OOB) contract: the arguments of a program, and the meaning of its output. Pure.
//!
//! Sources: Ganeti's `doc/design-oob.rst`; `lib/cmdlib/misc.py` (`LUOobCommand`), `lib/backend.py` (`RunOob`),
//! `lib/server/noded.py` (`perspective_run_oob`). Both sides use this module: `ganeti-oob`, which Ganeti runs, and the
//! runner by which gnt-ha runs any OOB program.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::grade::Grade;
use crate::core::power::Power;

/// How long Ganeti lets a program run by default (`oobTimeout`, `src/Ganeti/Constants.hs`).
pub const GANETI_TIMEOUT: Duration = Duration::from_secs(60);

/// How long Ganeti waits between SIGTERM and SIGKILL (`CHILD_LINGER_TIMEOUT`, `src/Ganeti/Constants.hs`).
pub const GANETI_LINGER: Duration = Duration::from_secs(5);

/// The most that is read of a program's stdout, and of its stderr, in bytes.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// The environment variable with the id of the receipt for which a child works. Programs of other makers ignore it.
pub const REQUEST_VARIABLE: &str = "GNT_HA_PARENT_RECEIPT";

/// The environment variable with the time that a child has, in seconds. Programs of other makers ignore it.
pub const DEADLINE_VARIABLE: &str = "GNT_HA_DEADLINE";

/// The five commands of Ganeti's OOB contract (design-oob).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OobCommand {
    /// Switch the host on.
    PowerOn,
    /// Switch the host off, hard.
    PowerOff,
    /// Switch the host off, then on.
    PowerCycle,
    /// Report whether the host has power.
    PowerStatus,
    /// Report the state of the hardware.
    Health,
}

impl OobCommand {
    /// Every command, in the contract's order.
    pub const ALL: [Self; 5] = [Self::PowerOn, Self::PowerOff, Self::PowerCycle, Self::PowerStatus, Self::Health];

    /// Returns the program's first argument.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerOn => "power-on",
            Self::PowerOff => "power-off",
            Self::PowerCycle => "power-cycle",
            Self::PowerStatus => "power-status",
            Self::Health => "health",
        }
    }

    /// Returns the command that brings a host to `power`.
    #[must_use]
    pub const fn to(power: Power) -> Self {
        match power {
            Power::On => Self::PowerOn,
            Power::Off => Self::PowerOff,
        }
    }

    /// Returns whether the command changes something. The stdout of such a command must stay empty: Ganeti parses any
    /// byte of it as a payload, and treats a payload as a failure.
    #[must_use]
    pub const fn acts(self) -> bool {
        matches!(self, Self::PowerOn | Self::PowerOff | Self::PowerCycle)
    }
}

impl fmt::Display for OobCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The answer to `power-status`: Ganeti's key `powered`, and gnt-ha's key `grade`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OobStatus {
    /// Whether the host has power.
    pub power: Power,
    /// The grade that the program reports for an `off`; programs of other makers report none.
    pub grade: Option<Grade>,
    /// Whether an `off` may be an old state, which counts only after a power-off; programs of other makers do not say so.
    pub may_lag: bool,
}

impl OobStatus {
    /// Returns the grade that the answer proves. It is `unknown` for a host that is on. For a host that is off it is
    /// the reported grade, or [`Grade::Off`] if the program reports none.
    #[must_use]
    pub fn proves(&self) -> Grade {
        match (self.power, self.grade) {
            (Power::On, _) => Grade::Unknown,
            (Power::Off, Some(grade)) => grade,
            (Power::Off, None) => Grade::Off,
        }
    }
}

/// The state of one item of a host (`OOB_STATUSES` in Ganeti's constants).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OobHealth {
    /// The item is as it should be.
    Ok,
    /// The state of the item is unknown.
    Unknown,
    /// The item needs attention.
    Warning,
    /// The item is broken.
    Critical,
}

/// One line of the answer to `health`: serialised as `["item", "STATUS"]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthItem(pub String, pub OobHealth);

/// The reason why an output does not follow the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// The program printed this where it must print nothing.
    #[error("it printed {0:?} on stdout, where the contract allows nothing")]
    NotSilent(String),
    /// The program printed nothing where it must print JSON.
    #[error("it printed nothing on stdout, where the contract requires JSON")]
    Silent,
    /// The output is not JSON.
    #[error("its stdout is not JSON ({why}): {start:?}")]
    NotJson {
        /// The error of the JSON parser.
        why: String,
        /// The beginning of the output.
        start: String,
    },
    /// The output is JSON of another shape, without this part.
    #[error("its answer has no {0}")]
    Lacks(&'static str),
    /// The output has this grade, which is not a valid one.
    #[error("its answer names the grade {0}, which is not off, bounded or isolated")]
    Grade(String),
    /// The program reports off and the grade `unknown`, which proves nothing.
    #[error("its answer has powered=false with the grade unknown, which proves nothing")]
    UnknownOff,
}

/// Checks that a command that changes something printed nothing.
///
/// # Errors
/// [`BadAnswer::NotSilent`] if there is output: Ganeti would treat the command as failed.
pub fn parse_silence(stdout: &[u8]) -> Result<(), BadAnswer> {
    if stdout.is_empty() { Ok(()) } else { Err(BadAnswer::NotSilent(start_of(stdout))) }
}

/// Parses the answer to `power-status`: a JSON object with a boolean `powered`.
///
/// `{"powered": null}`, which Ganeti shows as "unpowered", is not an answer here.
///
/// # Errors
/// [`BadAnswer`] if the output is empty, not JSON, without a boolean `powered` or with an invalid grade;
/// [`BadAnswer::UnknownOff`] if it is off with the grade `unknown`.
///
/// ```
/// use gnt_ha::core::ganeti::oob::parse_status;
/// use gnt_ha::core::grade::Grade;
///
/// assert_eq!(parse_status(br#"{"powered": false}"#)?.proves(), Grade::Off);
/// assert_eq!(parse_status(br#"{"powered": false, "grade": "bounded"}"#)?.proves(), Grade::Bounded);
/// assert!(parse_status(br#"{"powered": null}"#).is_err(), "unknown is never off");
/// # Ok::<(), gnt_ha::core::ganeti::oob::BadAnswer>(())
/// ```
pub fn parse_status(stdout: &[u8]) -> Result<OobStatus, BadAnswer> {
    let answer = parse_json(stdout)?;
    let powered = answer.get("powered").and_then(Value::as_bool).ok_or(BadAnswer::Lacks("boolean \"powered\""))?;
    let grade = match answer.get("grade") {
        None | Some(Value::Null) => None,
        Some(Value::String(word)) => Some(word.parse::<Grade>().map_err(|_| BadAnswer::Grade(format!("{word:?}")))?),
        Some(other) => return Err(BadAnswer::Grade(other.to_string())),
    };
    let power = Power::from(powered);
    if power == Power::Off && grade == Some(Grade::Unknown) {
        return Err(BadAnswer::UnknownOff);
    }
    // A key of another shape must not be believed more than `true`.
    let may_lag = !matches!(answer.get("may_lag"), None | Some(Value::Null | Value::Bool(false)));
    Ok(OobStatus { power, grade, may_lag })
}

/// Parses the answer to `health`: a JSON list of `[item, STATUS]`.
///
/// # Errors
/// [`BadAnswer`] if the output is empty, not JSON, or not such a list.
pub fn parse_health(stdout: &[u8]) -> Result<Vec<HealthItem>, BadAnswer> {
    let answer = parse_json(stdout)?;
    serde_json::from_value(answer).map_err(|_| BadAnswer::Lacks("list of [item, OK|WARNING|CRITICAL|UNKNOWN]"))
}

fn parse_json(stdout: &[u8]) -> Result<Value, BadAnswer> {
    if stdout.iter().all(u8::is_ascii_whitespace) {
        return Err(BadAnswer::Silent);
    }
    serde_json::from_slice(stdout)
        .map_err(|error| BadAnswer::NotJson { why: error.to_string(), start: start_of(stdout) })
}

/// Returns the first characters of a program's output, for one line of an error.
#[must_use]
pub fn start_of(output: &[u8]) -> String {
    const SHOWN_CHARACTERS: usize = 400;
    let text = String::from_utf8_lossy(&output[..output.len().min(SHOWN_CHARACTERS * 4)]);
    let line = text.trim_end();
    if line.chars().count() <= SHOWN_CHARACTERS && output.len() <= SHOWN_CHARACTERS * 4 {
        return line.to_owned();
    }
    line.chars().take(SHOWN_CHARACTERS).chain("...".chars()).collect()
}

/// Returns the last line of a program's stderr that is not empty: its reason, by the contract.
#[must_use]
pub fn reason_in(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(start_of(line.as_bytes()))
}

/// Returns whether an OOB program is `ganeti-oob`, which accepts and reports more than Ganeti's contract has.
#[must_use]
pub fn is_ours(program: &Path) -> bool {
    program.ends_with("ganeti-oob")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(power: Power, grade: Option<Grade>) -> Result<OobStatus, BadAnswer> {
        Ok(OobStatus { power, grade, may_lag: false })
    }

    #[test]
    fn a_foreign_program_names_no_grade_and_is_believed() {
        let off = parse_status(br#"{"powered": false}"#);
        assert_eq!(off, status(Power::Off, None));
        assert_eq!(off.unwrap().proves(), Grade::Off);
    }

    #[test]
    fn our_own_answer_names_its_grade() {
        let off = parse_status(br#"{"powered": false, "grade": "isolated", "more": [1]}"#).unwrap();
        assert_eq!(off.proves(), Grade::Isolated);
        assert_eq!(parse_status(br#"{"powered": true, "grade": null}"#), status(Power::On, None));
    }

    #[test]
    fn an_off_that_may_lag_is_known() {
        for (more, may_lag) in
            [("", false), (", \"may_lag\": false", false), (", \"may_lag\": true", true), (", \"may_lag\": 1", true)]
        {
            let off = parse_status(format!("{{\"powered\": false, \"grade\": \"off\"{more}}}").as_bytes()).unwrap();
            assert_eq!(off.may_lag, may_lag, "{more}");
        }
    }

    #[test]
    fn a_node_that_runs_proves_nothing() {
        let on = parse_status(br#"{"powered": true, "grade": "off"}"#).unwrap();
        assert_eq!(on.proves(), Grade::Unknown);
    }

    /// `fence_rhevm` treated a missing status element as off; Ganeti shows null as "unpowered".
    #[test]
    fn what_is_not_a_plain_answer_is_never_off() {
        for bad in [
            "",
            "\n",
            "off",
            "false",
            "[]",
            "{}",
            r#"{"powered": null}"#,
            r#"{"powered": "false"}"#,
            r#"{"powered": 0}"#,
            r#"{"Powered": false}"#,
            r#"{"powered": false"#,
            r#"{"powered": false} x"#,
            r#"{"powered": false, "grade": "unknown"}"#,
            r#"{"powered": false, "grade": "OFF"}"#,
            r#"{"powered": false, "grade": 1}"#,
        ] {
            assert!(parse_status(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    /// `lib/server/noded.py`: any byte on stdout of power-on/off/cycle is parsed, and a payload is a failure.
    #[test]
    fn a_lone_newline_breaks_silence() {
        assert!(parse_silence(b"\n").is_err());
        assert!(parse_silence(b"").is_ok());
    }

    #[test]
    fn health_is_a_list_of_pairs() {
        let items = parse_health(br#"[["PSU0", "OK"], ["FAN1", "CRITICAL"]]"#).unwrap();
        assert_eq!(items[1], HealthItem("FAN1".into(), OobHealth::Critical));
        assert!(parse_health(br#"[["PSU0", "FINE"]]"#).is_err());
    }

    #[test]
    fn the_reason_is_the_last_line_that_says_something() {
        assert_eq!(reason_in(b"Connecting\nBMC: no route\n\n"), Some("BMC: no route".into()));
        assert_eq!(reason_in(b" \n"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = (parse_status(&bytes), parse_health(&bytes), reason_in(&bytes), start_of(&bytes));
        }

        /// Only a JSON object with `"powered": false` may ever count as off.
        #[test]
        fn off_needs_the_words(text in ".{0,80}") {
            if let Ok(OobStatus { power: Power::Off, .. }) = parse_status(text.as_bytes()) {
                prop_assert!(text.contains("powered") && text.contains("false"));
            }
        }
    }
}
