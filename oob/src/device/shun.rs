//! The driver `shun`: every other node shuns the target. With self-fencing the target is proven to have reset itself;
//! without, it may run.

use std::path::PathBuf;
use std::time::Duration;

use gnt_ha::core::config::Config;
use gnt_ha::core::evidence::Evidence;
use gnt_ha::core::ganeti::oob::{Health, HealthItem};
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::Power;
use gnt_ha::core::shun::list::{ShunEntry, ShunScope};
use gnt_ha::core::shun::verdict::ProofVerdict;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::identity;

use super::{Device, DeviceError, Reading, Use};
use crate::shun::readmit;
use crate::shun::survivors::{Seen, Survivors, remembered};

/// The driver `shun` for one target.
pub(super) struct Shun {
    config: Config,
    node: NodeName,
    data_dir: PathBuf,
    to: Use,
}

impl Shun {
    pub(super) fn new(node: &NodeName, config: &Config, to: Use) -> Self {
        Self { config: config.clone(), node: node.clone(), data_dir: PathBuf::from(files::DATA_DIR), to }
    }

    fn survivors(&self) -> Result<Survivors<'_>, DeviceError> {
        let survivors = Survivors::of(&self.node, &self.config, &self.data_dir).map_err(DeviceError::hopeless)?;
        Ok(if self.to == Use::Read { survivors.only_reading() } else { survivors })
    }

    /// Returns the grade to wait for: at least `bounded`, the end of the lease, where `isolated` proves nothing.
    fn least(&self, seen: &Seen, target: &NodeName) -> Grade {
        match seen.network.why_not_isolated(target) {
            Some(_) => self.config.minimum_grade.max(Grade::Bounded),
            None => self.config.minimum_grade,
        }
    }

    fn bounded(&self, survivors: &Survivors<'_>, seen: &Seen, deadline: Deadline) -> Result<(), DeviceError> {
        if self.to == Use::Read {
            return Ok(());
        }
        survivors.keep_bounded(seen.epoch, deadline).map_err(DeviceError::later)
    }
}

impl Device for Shun {
    /// Reads the state of the target.
    ///
    /// "On" comes from this host's own shun list alone. No node is asked, as a host that is not a candidate, or has no
    /// network, must answer too, and a monitor asks often. Such a reading misses a shunning that no `sync` has brought
    /// here yet (each candidate's monitor brings it). "On" proves and records nothing; an off asks all nodes, and then
    /// uses the newest epoch.
    ///
    /// "Off" never comes from the own list alone. A device that was opened to read sends no entries and keeps nothing.
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        let entry = remembered(&self.config, &self.node).map_err(DeviceError::hopeless)?;
        let Some(entry) = entry.filter(|entry| entry.epoch.is_shunned()) else {
            let detail = "readmitted: it is not shunned".to_owned();
            return Ok(Reading { power: Power::On, grade: Grade::Unknown, detail });
        };
        let off = |grade: Grade, detail: String| Ok(Reading { power: Power::Off, grade, detail });
        tcp_only(&entry)?;
        let survivors = self.survivors()?;
        if entry.grade >= Grade::Bounded {
            // This host may have missed a readmission of the target, and another boot may run there.
            let seen = survivors.look(deadline).map_err(DeviceError::later)?;
            seen.still_holds(survivors.target(), entry.epoch).map_err(|why| {
                DeviceError::later(format!("was {} in epoch {}, by {}: {why}", entry.grade, entry.epoch, entry.by))
            })?;
            // A shunning shows nothing of the power, whatever grade the list has.
            let grade = entry.grade.min(Evidence::LeaseEnded.worth().grade);
            return off(grade, format!("off, {grade}: shunned in epoch {}, by {}", entry.epoch, entry.by));
        }
        let seen = survivors.look(deadline).map_err(DeviceError::later)?;
        // Another device may have proven the target off meanwhile, and the scope may be narrower now.
        survivors.entry().map_err(DeviceError::later)?.as_ref().map_or(Ok(()), tcp_only)?;
        match survivors.judge(&seen) {
            None => Err(DeviceError::later(missing(&seen))),
            Some(ProofVerdict::Isolated { why_not_bounded }) => {
                isolated(&seen, survivors.target(), &format!("; {why_not_bounded}"))
            }
            Some(ProofVerdict::Waiting { until }) if self.least(&seen, survivors.target()) > Grade::Isolated => {
                let left = until.saturating_sub(Duration::from_millis(now().boottime_ms));
                Err(DeviceError::later(format!(
                    "refused by {}; it will have stopped itself in {:.0} s",
                    confirmed(&seen),
                    left.as_secs_f64()
                )))
            }
            Some(ProofVerdict::Waiting { .. }) => isolated(&seen, survivors.target(), ""),
            Some(ProofVerdict::Bounded) => {
                self.bounded(&survivors, &seen, deadline)?;
                off(Grade::Bounded, format!("off, bounded: refused by {}, and its lease has run out", confirmed(&seen)))
            }
        }
    }

    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<(), DeviceError> {
        let survivors = self.survivors()?;
        if to == Power::On {
            return readmit::readmit(&survivors, None, deadline).map(drop).map_err(DeviceError::hopeless);
        }
        let by = format!("ganeti-oob on {}", identity::host());
        let seen = survivors
            .shun(Grade::Unknown, ShunScope::All, &by, deadline)
            .and_then(|seen| {
                let least = self.least(&seen, survivors.target());
                survivors.wait(seen, least, deadline)
            })
            .map_err(DeviceError::later)?;
        match seen {
            (seen, Some(ProofVerdict::Bounded)) => self.bounded(&survivors, &seen, deadline),
            (seen, None) => Err(DeviceError::later(missing(&seen))),
            (_, Some(_)) => Ok(()),
        }
    }

    fn health(&mut self, _deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        let survivors = self.survivors()?;
        let told = gnt_ha::service::shun::peer_reports::peers(&self.config.state);
        let self_fence = told.get(survivors.target()).and_then(gnt_ha::service::shun::peer_reports::attestation);
        let health = if self_fence.is_some() { Health::Ok } else { Health::Unknown };
        Ok(vec![HealthItem("self-fencing".to_owned(), health)])
    }
}

/// Returns the reading of a target that every survivor shuns. The target may still run: the shunning proves nothing
/// where its instances write to storage outside of the cluster.
fn isolated(seen: &Seen, node: &NodeName, more: &str) -> Result<Reading, DeviceError> {
    let by = confirmed(seen);
    let (grade, detail) = match seen.network.why_not_isolated(node) {
        Some(why) => (Grade::Unknown, format!("refused by {by}, which proves nothing: {why}{more}")),
        None => (Grade::Isolated, format!("off, isolated: refused by {by}{more}")),
    };
    Ok(Reading { power: Power::Off, grade, detail })
}

/// Fails for a target that is shunned with the scope `tcp`, because its power was read as off or Ganeti has it recorded
/// offline. A later boot of the target may be in the cluster stack, and echoes may keep its self-fencing alive: nothing
/// is proven of that boot.
fn tcp_only(entry: &ShunEntry) -> Result<(), DeviceError> {
    if entry.reach == ShunScope::All {
        return Ok(());
    }
    Err(DeviceError::later(format!(
        "refused TCP only, in epoch {}, by {}: whether it has booted since cannot be told from here",
        entry.epoch, entry.by
    )))
}

/// Returns the nodes that did not confirm, by name, each with the reason.
fn missing(seen: &Seen) -> String {
    let all = seen.look.as_ref().err().map(|missing| {
        let shown = missing.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let more = missing.len().saturating_sub(5);
        if more > 0 { format!("{shown}; and {more} more") } else { shown }
    });
    format!("not everybody refuses it: {}", all.unwrap_or_default())
}

fn confirmed(seen: &Seen) -> String {
    let refusing = seen.look.as_ref().map_or(0, |look| look.ruleset_ids.len());
    format!("{refusing} of {} nodes in epoch {}{}", seen.answers.len(), seen.epoch, seen.until_boot())
}
