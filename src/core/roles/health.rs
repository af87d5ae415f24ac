//! How well a node is, as Pacemaker's node attributes of health say it (Pacemaker Explained, "Tracking Node Health").

use super::Failure;

/// The node attribute: every one whose name begins with `#health` counts.
pub const ATTRIBUTE: &str = "#health-ganeti";

/// The check of confd, by its name.
pub const CONFD: &str = "confd";

/// A value of the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Every check passed.
    Green,
    /// Ganeti works with this node, and knows less than it could.
    Yellow,
    /// Ganeti cannot work with this node, or nothing can.
    Red,
}

impl Health {
    /// Of what full mode finds. A silent confd withholds this node's word on who is master; whatever else fails leaves a
    /// node that Ganeti cannot use.
    #[must_use]
    pub fn of(failures: &[Failure]) -> Self {
        let grave = |failure: &Failure| if failure.check == CONFD { Self::Yellow } else { Self::Red };
        failures.iter().map(grave).max().unwrap_or(Self::Green)
    }

    /// As Pacemaker reads it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// What is to be done with the attribute: none if it is as it should be already.
///
/// `published` is what this host has said last; `now` is what it should say, none where it says nothing.
#[must_use]
pub fn change(published: Option<&str>, now: Option<Health>) -> Option<Option<&'static str>> {
    let word = now.map(Health::word);
    (published != word).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(check: &'static str) -> Failure {
        Failure { check, found: "x".into() }
    }

    #[test]
    fn the_gravest_failure_counts() {
        assert_eq!(Health::of(&[]), Health::Green);
        assert_eq!(Health::of(&[failure(CONFD)]), Health::Yellow);
        for grave in ["noded", "root file system", "storage", "a check of a later version"] {
            assert_eq!(Health::of(&[failure(grave), failure(CONFD)]), Health::Red, "{grave}");
        }
    }

    /// Each update is written through to every node: only a change is one. Without the tag nothing is said at all.
    #[test]
    fn only_a_change_is_published() {
        assert_eq!(change(None, None), None);
        assert_eq!(change(None, Some(Health::Green)), Some(Some("green")));
        assert_eq!(change(Some("green"), Some(Health::Green)), None);
        assert_eq!(change(Some("green"), Some(Health::Red)), Some(Some("red")));
        assert_eq!(change(Some("red"), None), Some(None), "the tag is gone");
        assert_eq!(change(Some("?"), Some(Health::Green)), Some(Some("green")), "not known what the cluster holds");
    }
}
