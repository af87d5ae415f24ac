//! The health of a node, as a Pacemaker node attribute (Pacemaker Explained, "Tracking Node Health"). Pure.

use super::failure::Failure;

/// The node attribute: Pacemaker counts each one whose name begins with `#health`.
pub const ATTRIBUTE: &str = "#health-ganeti";

/// The name of the check of confd.
pub const CONFD: &str = "confd";

/// A value of the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Every check of this node passed.
    Green,
    /// Ganeti works with this node, and has less information than it could.
    Yellow,
    /// Ganeti cannot work with this node, or nothing can.
    Red,
}

impl Health {
    /// Returns the health by the failures of full mode. Without confd only this node's master claim is missing; any
    /// other failure means that Ganeti cannot use the node.
    #[must_use]
    pub fn of(failures: &[Failure]) -> Self {
        let grave = |failure: &Failure| if failure.check == CONFD { Self::Yellow } else { Self::Red };
        failures.iter().map(grave).max().unwrap_or(Self::Green)
    }

    /// Returns the value as Pacemaker reads it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
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
}
