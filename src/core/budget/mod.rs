//! The budget: how a time is split over what is left to try, and whether the times of Ganeti, of our programs and of
//! Pacemaker hold together.
//!
//! All of it is reckoned here, and nowhere else: [`fence`] has what `fence_ganeti` and whoever calls an OOB program keep
//! back, [`levels`] what is left of that for each level of `ganeti-oob`, [`pacemaker`] what Pacemaker gives, and [`loss`] how
//! long it takes until a death is seen. [`sums`] holds needs against what there is; [`times`] says when what is to be expected.

pub mod detection;
pub mod fence;
pub mod levels;
pub mod pacemaker;
pub mod recovery;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::ganeti::config::GanetiConfig;
use super::node::NodeName;
use super::pacemaker::resources::Resources;
use super::shun::lease_times::LeaseTimes;
use crate::core::config::Config;

/// The part of `left` that the next of `to_try` attempts may use: an equal share, so that one device that
/// does not answer cannot use up the time of those behind it.
///
/// Time that an attempt does not use goes to those after it, as the caller asks again with what is left.
#[must_use]
pub fn share(left: Duration, to_try: usize) -> Duration {
    match u32::try_from(to_try) {
        Ok(0) => Duration::ZERO,
        Ok(n) => left / n,
        Err(_) => Duration::ZERO,
    }
}

/// One figure of a sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Term {
    /// What it is for, and where the figure is from.
    pub what: String,
    /// Below zero for what is taken away.
    pub ms: i64,
}

impl Term {
    fn plus(time: Duration, what: impl Into<String>) -> Self {
        Self { what: what.into(), ms: i64::try_from(time.as_millis()).unwrap_or(i64::MAX) }
    }

    fn minus(time: Duration, what: impl Into<String>) -> Self {
        let Self { what, ms } = Self::plus(time, what);
        Self { what, ms: -ms }
    }
}

/// What has to fit into what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimeBudget {
    /// A device, or the nodes.
    pub about: String,
    /// What of it: an action, a level.
    pub of: String,
    /// What it needs.
    pub needs: Vec<Term>,
    /// What it has.
    pub has: Vec<Term>,
    /// Which of the figures to change, were it not enough.
    pub change: String,
}

impl TimeBudget {
    fn total(terms: &[Term]) -> i64 {
        terms.iter().fold(0, |sum, term| sum.saturating_add(term.ms))
    }

    /// In milliseconds.
    #[must_use]
    pub fn needs_ms(&self) -> i64 {
        Self::total(&self.needs)
    }

    /// In milliseconds.
    #[must_use]
    pub fn has_ms(&self) -> i64 {
        Self::total(&self.has)
    }

    /// Whether it is enough.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.needs_ms() <= self.has_ms()
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { of, needs, has, .. } = self;
        let of_terms = |terms: &[Term]| match terms {
            [one] => one.what.clone(),
            some => some.iter().fold(String::new(), |text, term| {
                let sign = if term.ms < 0 { " - " } else { " + " };
                let sign = if text.is_empty() { "" } else { sign };
                format!("{text}{sign}{} {}", seconds(term.ms.abs()), term.what)
            }),
        };
        let (needed, there) = (seconds(self.needs_ms()), seconds(self.has_ms()));
        format!("{of} needs {needed} ({}), and has {there} ({})", of_terms(needs), of_terms(has))
    }

    /// A line a figure, with its source, and the one to change.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}: {} has too little time\n", self.about, self.of);
        for (what, terms, total) in
            [("is needed", &self.needs, self.needs_ms()), ("is what there is", &self.has, self.has_ms())]
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
        text.push_str(&format!("  change: {}\n", self.change));
        text
    }
}

/// A time as people read it.
#[must_use]
pub fn seconds(ms: i64) -> String {
    match (ms / 1_000, ms % 1_000 / 100) {
        (whole, 0) => format!("{whole} s"),
        (whole, tenths) => format!("{whole}.{} s", tenths.abs()),
    }
}

/// What the sums are made of.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// Pacemaker's configuration.
    pub resources: &'a Resources,
    /// `ganeti-oob`'s; none where no node has that program, or it is not known.
    pub config: Option<&'a Config>,
    /// Ganeti's nodes.
    pub ganeti: Option<&'a GanetiConfig>,
    /// What is known of the nodes' self-fencing.
    pub attested: &'a Attested,
}

/// The times that the self-fencing of a node keeps, as it says itself; a node that has said nothing is left out.
pub type Attested = BTreeMap<NodeName, LeaseTimes>;

/// Everything that has to fit, with its figures.
#[must_use]
pub fn sums(figures: &Figures<'_>) -> Vec<TimeBudget> {
    let mut all = pacemaker::sums(figures.resources);
    if let (Some(config), Some(ganeti)) = (figures.config, figures.ganeti) {
        all.extend(levels::sums(config, ganeti, &fence::deadline(figures.resources), figures.attested));
    }
    all
}

/// What does not fit.
#[must_use]
pub fn too_short(figures: &Figures<'_>) -> Vec<TimeBudget> {
    sums(figures).into_iter().filter(|sum| !sum.fits()).collect()
}
