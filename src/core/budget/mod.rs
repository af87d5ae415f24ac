//! Time budgets: how a time is split over the attempts that are left, and whether the times of Ganeti, of gnt-ha's
//! programs and of Pacemaker fit together. Pure.
//!
//! All time budgets are calculated here. [`fence`] has what `fence_ganeti` and each caller of an OOB program keep back.
//! [`levels`] has what is left of that for each level of `ganeti-oob`, [`redfish`] what a BMC over Redfish needs, and [`pacemaker`] what Pacemaker gives.
//! [`detection`] has how long it takes until a death is seen, and [`step_times`] when each step after it is to be
//! expected. [`sums`] compares needs with the time that is available.

pub mod detection;
pub mod fence;
pub mod levels;
pub mod pacemaker;
pub mod redfish;
pub mod step_times;
#[cfg(test)]
mod tests;
mod time_budget;

pub use time_budget::{AdvertisedTimes, Term, TimeBudget, seconds, share};

use super::ganeti::config::GanetiConfig;
use super::pacemaker::resources::Resources;
use crate::core::config::Config;

/// The settings of both clusters from which all time budgets are calculated.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// Pacemaker's configuration, with its timeouts.
    pub resources: &'a Resources,
    /// The configuration of `ganeti-oob`; `None` if no node has that program, or it is unknown.
    pub config: Option<&'a Config>,
    /// Ganeti's nodes; `None` if they are unknown.
    pub ganeti: Option<&'a GanetiConfig>,
    /// The self-fencing times that the nodes have reported.
    pub advertised: &'a AdvertisedTimes,
}

/// Returns all time budgets with their figures.
#[must_use]
pub fn sums(figures: &Figures<'_>) -> Vec<TimeBudget> {
    let mut all = pacemaker::sums(figures.resources);
    if let (Some(config), Some(ganeti)) = (figures.config, figures.ganeti) {
        all.extend(levels::sums(config, ganeti, &fence::deadline(figures.resources), figures.advertised));
    }
    all
}

/// Returns the shortfalls: the time budgets that do not fit.
#[must_use]
pub fn shortfalls(figures: &Figures<'_>) -> Vec<TimeBudget> {
    sums(figures).into_iter().filter(|sum| !sum.fits()).collect()
}
