//! The administrator's pause as text: checks its reason, and converts it to and from a cluster property. Pure.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::text::is_hidden;

/// The greatest length of a reason, in characters: it stands in one line of a log.
const REASON_MOST: usize = 200;

/// The fault of a text that is not a valid reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReason {
    /// The reason has no character other than white space.
    #[error("the reason is empty: say why, for the administrator who finds it")]
    Empty,
    /// The reason has this many characters, more than the maximum.
    #[error("the reason has {0} characters: say it in {REASON_MOST}")]
    TooLong(usize),
    /// The reason contains this character: a line end, an escape sequence of a terminal, or the like.
    #[error("the reason has a control character ({0:?}): say it in one line of plain text")]
    Control(char),
}

/// Automation is paused by an administrator, for a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why reconciliation is paused, in one line; the value itself if other means than `gnt-ha pause` set it.
    pub reason: String,
    /// The user who paused it; `operator` if other means than `gnt-ha pause` set it.
    pub by: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

impl Pause {
    /// Makes a pause for `reason`, set by the user `by` at `since_ms`, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`BadReason`] if the reason is empty, too long or not one line of plain text.
    pub fn new(reason: &str, by: &str, since_ms: u64) -> Result<Self, BadReason> {
        let reason = reason.trim();
        if let Some(control) = reason.chars().find(|c| is_hidden(*c)) {
            return Err(BadReason::Control(control));
        }
        match reason.chars().count() {
            0 => Err(BadReason::Empty),
            length if length > REASON_MOST => Err(BadReason::TooLong(length)),
            _ => Ok(Self { reason: reason.to_owned(), by: by.to_owned(), since_ms }),
        }
    }

    /// Returns the value of the cluster property: JSON in ASCII, because Pacemaker's tools reject other characters in
    /// some locales.
    #[must_use]
    pub fn to_property(&self) -> String {
        let json = serde_json::json!({"reason": self.reason, "by": self.by, "since_ms": self.since_ms}).to_string();
        let mut ascii = String::with_capacity(json.len());
        for character in json.chars() {
            if character.is_ascii() {
                ascii.push(character);
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
        ascii
    }

    /// Reads a cluster property. Any text that is not a valid pause counts as a pause with that text as its reason. A
    /// pause that cannot be read must not permit changes.
    #[must_use]
    pub fn of_property(text: &str) -> Self {
        let read = serde_json::from_str::<Self>(text).ok();
        read.and_then(|read| Self::new(&read.reason, &harmless(&read.by), read.since_ms).ok()).unwrap_or_else(|| Self {
            reason: harmless(text),
            by: "operator".to_owned(),
            since_ms: 0,
        })
    }
}

fn harmless(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).take(REASON_MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reason_is_one_line_of_plain_text() {
        assert_eq!(Pause::new("  a fan ", "root", 1).unwrap().reason, "a fan");
        assert_eq!(Pause::new(" ", "root", 1), Err(BadReason::Empty));
        assert_eq!(Pause::new(&"\u{fc}".repeat(201), "root", 1), Err(BadReason::TooLong(201)));
        assert!(Pause::new(&"\u{fc}".repeat(200), "root", 1).is_ok());
        for bad in ["a\nb", "\u{1b}[31m", "a\0", "a\u{202e}b"] {
            assert!(matches!(Pause::new(bad, "root", 1), Err(BadReason::Control(_))), "{bad:?}");
        }
    }

    #[test]
    fn what_another_program_wrote_is_a_pause() {
        for text in ["", "true", "false", "{}", "[1]", "{\"reason\": \"\\u001b[31m\", \"by\": \"x\", \"since_ms\": 1}"]
        {
            let pause = Pause::of_property(text);
            assert_eq!((pause.reason.as_str(), pause.by.as_str()), (text, "operator"));
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_read_back_from_ascii(reason in "\\PC{1,60}", by in "[a-z]{1,8}", since_ms in 0u64..1 << 50) {
            if let Ok(pause) = Pause::new(&reason, &by, since_ms) {
                let text = pause.to_property();
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", text);
                prop_assert_eq!(Pause::of_property(&text), pause);
            }
        }

        #[test]
        fn any_property_is_a_pause_that_can_be_printed(text in ".{0,400}") {
            let pause = Pause::of_property(&text);
            prop_assert!(!pause.reason.chars().chain(pause.by.chars()).any(is_hidden));
        }
    }
}
