//! One time budget: the figures of the time that is needed and of the time that is available, as a sum and as text.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::core::node::NodeName;
use crate::core::shun::lease_times::LeaseTimes;

/// Returns the part of `left` that the next of `to_try` attempts may use. It is an equal share, so one device that does
/// not answer cannot use up the time of the others.
///
/// Time that an attempt does not use is left for those after it, because the caller asks again with the rest.
#[must_use]
pub fn share(left: Duration, to_try: usize) -> Duration {
    match u32::try_from(to_try) {
        Ok(0) => Duration::ZERO,
        Ok(n) => left / n,
        Err(_) => Duration::ZERO,
    }
}

/// One figure of a time budget, with its sign and the words that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Term {
    /// What the time is for, and the source of the figure.
    pub what: String,
    /// The time in milliseconds, negative if it is subtracted.
    pub ms: i64,
}

impl Term {
    pub(super) fn plus(time: Duration, what: impl Into<String>) -> Self {
        Self { what: what.into(), ms: i64::try_from(time.as_millis()).unwrap_or(i64::MAX) }
    }

    pub(super) fn minus(time: Duration, what: impl Into<String>) -> Self {
        let Self { what, ms } = Self::plus(time, what);
        Self { what, ms: -ms }
    }
}

/// The time that is needed, compared with the time that is available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimeBudget {
    /// The device or the nodes whose time it is.
    pub subject: String,
    /// The action or the level that has to end in time.
    pub item: String,
    /// The figures of the time that is needed.
    pub needed: Vec<Term>,
    /// The figures of the time that is available.
    pub available: Vec<Term>,
    /// The setting to change, or the command that does, if the time does not suffice.
    pub fix: String,
}

impl TimeBudget {
    fn total(terms: &[Term]) -> i64 {
        terms.iter().fold(0, |sum, term| sum.saturating_add(term.ms))
    }

    /// Returns the needed time in milliseconds.
    #[must_use]
    pub fn needed_ms(&self) -> i64 {
        Self::total(&self.needed)
    }

    /// Returns the available time in milliseconds.
    #[must_use]
    pub fn available_ms(&self) -> i64 {
        Self::total(&self.available)
    }

    /// Returns whether the available time suffices.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.needed_ms() <= self.available_ms()
    }

    /// Returns the calculation in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { item, needed: needs, available: has, .. } = self;
        let of_terms = |terms: &[Term]| match terms {
            [one] => one.what.clone(),
            some => some.iter().fold(String::new(), |text, term| {
                let sign = if term.ms < 0 { " - " } else { " + " };
                let sign = if text.is_empty() { "" } else { sign };
                format!("{text}{sign}{} {}", seconds(term.ms.abs()), term.what)
            }),
        };
        let (needed, there) = (seconds(self.needed_ms()), seconds(self.available_ms()));
        format!("{item} needs {needed} ({}), and has {there} ({})", of_terms(needs), of_terms(has))
    }

    /// Returns the calculation with one line per figure, each with its source, and the figure to change.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}: {} has too little time\n", self.subject, self.item);
        for (what, terms, total) in
            [("is needed", &self.needed, self.needed_ms()), ("is available", &self.available, self.available_ms())]
        {
            for (number, term) in terms.iter().enumerate() {
                let sign = match term.ms {
                    ..0 => '-',
                    _ if number > 0 => '+',
                    _ => ' ',
                };
                text.push_str(&format!("  {sign} {:>7}  {}\n", seconds(term.ms.abs()), term.what));
            }
            text.push_str(&format!("  = {:>7}  {what}\n", seconds(total)));
        }
        text.push_str(&format!(
            "  fix: {}
",
            self.fix
        ));
        text
    }
}

/// Returns a time as text, in seconds with one digit at most.
#[must_use]
pub fn seconds(ms: i64) -> String {
    match (ms / 1_000, ms % 1_000 / 100) {
        (whole, 0) => format!("{whole} s"),
        (whole, tenths) => format!("{whole}.{} s", tenths.abs()),
    }
}

/// The self-fencing times that each node reports; a node that has reported none is left out.
pub type AdvertisedTimes = BTreeMap<NodeName, LeaseTimes>;
