//! The grades of proof: how strongly it is proven that a node can do no more harm. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The grade of a proof, weakest first, so that `>=` reads "is at least as strong as".
///
/// No program mixes the four grades, and no function turns [`Grade::Unknown`] into success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Nothing is proven: a timeout, a parse error, a rejected command, no answer.
    Unknown,
    /// All survivors shun the node; it may still run.
    Isolated,
    /// The boot that was lost has ended; the power may be on.
    ///
    /// The node's power was read as off and a power-on followed, or the node has reset itself: its lease ended and its
    /// watchdog is armed.
    Bounded,
    /// The power was read as off by a device, or an administrator confirmed it.
    Off,
}

impl Grade {
    /// Every grade, weakest first.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Isolated, Self::Bounded, Self::Off];

    /// The grades that a caller may set as its minimum.
    pub const ACCEPTABLE: [Self; 3] = [Self::Isolated, Self::Bounded, Self::Off];

    /// Returns the name of the grade, as printed and parsed everywhere.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Isolated => "isolated",
            Self::Bounded => "bounded",
            Self::Off => "off",
        }
    }

    /// Returns what the node may still do, for a message.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Unknown => "nothing is proven",
            Self::Isolated => "it is cut off from the others, and may still run",
            Self::Bounded => "the boot that was lost has ended, and the power may be on",
            Self::Off => "it has no power",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The error for a text that is not one of the four grades.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a grade of proof: use off, bounded or isolated")]
pub struct NoSuchGrade(pub String);

impl FromStr for Grade {
    type Err = NoSuchGrade;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|grade| grade.word() == text).ok_or_else(|| NoSuchGrade(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No method turns `unknown` into success: it is below every grade that can be set as a minimum.
    #[test]
    fn unknown_is_below_every_grade_that_can_be_asked_for() {
        assert!(Grade::ACCEPTABLE.iter().all(|least| Grade::Unknown < *least));
    }

    #[test]
    fn words_round_trip_and_nothing_else_is_read() {
        for grade in Grade::ALL {
            assert_eq!(grade.word().parse(), Ok(grade));
            let json = serde_json::to_string(&grade).unwrap();
            assert_eq!(json, format!("\"{grade}\""));
        }
        for wrong in ["OFF", "Off", "", "on", "off "] {
            assert!(wrong.parse::<Grade>().is_err(), "{wrong:?}");
        }
    }
}
