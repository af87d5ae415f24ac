//! The order in which instances are started: the tag `ocf:recover:priority:N`. Pure.

use std::fmt;

use crate::core::text::printable;

/// The prefix of the tag, which Ganeti's rules for tags permit.
pub const PREFIX: &str = "ocf:recover:priority:";

/// The greatest priority.
const PRIORITY_MOST: u16 = 1_000;

/// The priority of an instance, 0 to 1000: a higher one is started earlier. Without a tag it is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u16);

impl Priority {
    /// Returns the number of the tag: 0 to 1000.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The reason why an instance's priority cannot be read. The instance is then started as one without a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPriority {
    /// The value is not a number from 0 to 1000.
    #[error("the tag {} has no priority from 0 to {PRIORITY_MOST}", printable(.0))]
    Malformed(String),
    /// Several tags have different values.
    #[error("the tags {} and {} contradict each other", printable(.0), printable(.1))]
    Contradiction(String, String),
}

/// Returns the priority of an instance with these tags.
///
/// # Errors
/// [`BadPriority`] if a tag is malformed or two contradict each other.
pub fn priority(tags: &[String]) -> Result<Priority, BadPriority> {
    let mut found: Option<(&String, Priority)> = None;
    for tag in tags {
        let Some(value) = tag.strip_prefix(PREFIX) else { continue };
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<u16> = value.parse().ok().filter(|number| is_number && *number <= PRIORITY_MOST);
        let priority = Priority(number.ok_or_else(|| BadPriority::Malformed(tag.clone()))?);
        match found {
            Some((other, known)) if known != priority => {
                return Err(BadPriority::Contradiction(other.clone(), tag.clone()));
            }
            _ => found = Some((tag, priority)),
        }
    }
    Ok(found.map_or_else(Priority::default, |(_, priority)| priority))
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<u16, BadPriority> {
        let tags: Vec<String> = values.iter().map(|value| format!("{PREFIX}{value}")).collect();
        priority(&tags).map(Priority::number)
    }

    #[test]
    fn a_priority_is_a_number_up_to_1000() {
        assert_eq!((of(&[]), of(&["0"]), of(&["1000"]), of(&["7", "7"])), (Ok(0), Ok(0), Ok(1000), Ok(7)));
        for bad in ["", "1001", "-1", "+1", "high", "99999999999"] {
            assert!(matches!(of(&[bad]), Err(BadPriority::Malformed(_))), "{bad:?}");
        }
        assert!(matches!(of(&["1", "2"]), Err(BadPriority::Contradiction(..))));
    }
}
