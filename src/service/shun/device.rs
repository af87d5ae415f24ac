//! The driver `shun`: every other node shuns the target. With self-fencing the target is proven to have reset itself;
//! without, it may run.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::evidence::Evidence;
use crate::core::ganeti::oob::{HealthItem, OobHealth};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::Power;
use crate::core::shun::evaluation::ProofResult;
use crate::core::shun::list::{ShunEntry, ShunScope};
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::files;
use crate::sys::identity;

use super::readmit;
use crate::power::device::{Acknowledgement, DeviceError, DevicePurpose, OffPrediction, PowerDevice, Reading};
use crate::service::shun::coordinator::{ShunCoordinator, remembered};
use crate::service::shun::round_result::RoundResult;

/// The driver `shun` for one target.
struct Shun {
    config: Config,
    node: NodeName,
    data_dir: PathBuf,
    to: DevicePurpose,
}

/// Opens the driver for `node`: an [`crate::power::device::OpenShun`].
#[must_use]
pub fn open(node: &NodeName, config: &Config, to: DevicePurpose) -> Box<dyn PowerDevice> {
    Box::new(Shun { config: config.clone(), node: node.clone(), data_dir: PathBuf::from(files::DATA_DIR), to })
}

impl Shun {
    fn coordinator(&self) -> Result<ShunCoordinator<'_>, DeviceError> {
        let coordinator =
            ShunCoordinator::of(&self.node, &self.config, &self.data_dir).map_err(DeviceError::permanent)?;
        Ok(if self.to == DevicePurpose::Read { coordinator.only_reading() } else { coordinator })
    }

    /// Returns the grade to wait for: at least `bounded`, the end of the lease, where `isolated` proves nothing.
    fn least(&self, seen: &RoundResult, target: &NodeName) -> Grade {
        match seen.network.isolation_objection(target) {
            Some(_) => self.config.minimum_grade.max(Grade::Bounded),
            None => self.config.minimum_grade,
        }
    }

    fn keep_bounded(
        &self,
        coordinator: &ShunCoordinator<'_>,
        seen: &RoundResult,
        deadline: Deadline,
    ) -> Result<(), DeviceError> {
        if self.to == DevicePurpose::Read {
            return Ok(());
        }
        coordinator.keep_bounded(seen.epoch, deadline).map_err(DeviceError::transient)
    }
}

impl PowerDevice for Shun {
    /// Reads the state of the target.
    ///
    /// "On" comes from this host's own shun list alone. No node is asked, as a host that is not a candidate, or has no
    /// network, must answer too, and a monitor asks often. Such a reading misses a shunning that no `sync` has brought
    /// here yet (each candidate's monitor brings it). "On" proves and records nothing; an off asks all nodes, and then
    /// uses the newest epoch.
    ///
    /// "Off" never comes from the own list alone. A device that was opened to read sends no entries and keeps nothing.
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        let entry = remembered(&self.config, &self.node).map_err(DeviceError::permanent)?;
        let Some(entry) = entry.filter(|entry| entry.epoch.is_shunned()) else {
            let detail = "readmitted: it is not shunned".to_owned();
            return Ok(Reading { power: Power::On, grade: Grade::Unknown, detail });
        };
        let off = |grade: Grade, detail: String| Ok(Reading { power: Power::Off, grade, detail });
        tcp_only(&entry)?;
        let coordinator = self.coordinator()?;
        if entry.grade >= Grade::Bounded {
            // This host may have missed a readmission of the target, and another boot may run there.
            let seen = coordinator.round(deadline).map_err(DeviceError::transient)?;
            seen.still_holds(coordinator.target(), entry.epoch).map_err(|why| {
                DeviceError::transient(format!("was {} in epoch {}, by {}: {why}", entry.grade, entry.epoch, entry.by))
            })?;
            // A shunning shows nothing of the power, whatever grade the list has.
            let grade = entry.grade.min(Evidence::LeaseEnded.worth().grade);
            return off(grade, format!("off, {grade}: shunned in epoch {}, by {}", entry.epoch, entry.by));
        }
        let seen = coordinator.round(deadline).map_err(DeviceError::transient)?;
        // Another device may have proven the target off meanwhile, and the scope may be narrower now.
        coordinator.entry().map_err(DeviceError::transient)?.as_ref().map_or(Ok(()), tcp_only)?;
        match coordinator.judge(&seen) {
            None => Err(DeviceError::transient(missing(&seen))),
            Some(ProofResult::Isolated { why_not_bounded }) => {
                isolated(&seen, coordinator.target(), &format!("; {why_not_bounded}"))
            }
            Some(ProofResult::Waiting { until }) if self.least(&seen, coordinator.target()) > Grade::Isolated => {
                let left = until.saturating_sub(Duration::from_millis(now().boottime_ms));
                Err(DeviceError::transient(format!(
                    "shunned by {}; the wait time for its self-fencing ends in {:.0} s",
                    confirmed(&seen),
                    left.as_secs_f64()
                )))
            }
            Some(ProofResult::Waiting { .. }) => isolated(&seen, coordinator.target(), ""),
            Some(ProofResult::Bounded) => {
                self.keep_bounded(&coordinator, &seen, deadline)?;
                off(Grade::Bounded, format!("off, bounded: shunned by {}, and its lease has ended", confirmed(&seen)))
            }
        }
    }

    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<Acknowledgement, DeviceError> {
        let coordinator = self.coordinator()?;
        if to == Power::On {
            return readmit::readmit(&coordinator, None, deadline)
                .map(|_| Acknowledgement::Accepted)
                .map_err(DeviceError::permanent);
        }
        let by = format!("ganeti-oob on {}", identity::host());
        let seen = coordinator
            .shun(Grade::Unknown, ShunScope::All, &by, deadline)
            .and_then(|seen| {
                let least = self.least(&seen, coordinator.target());
                coordinator.wait(seen, least, deadline)
            })
            .map_err(DeviceError::transient)?;
        match seen {
            (seen, Some(ProofResult::Bounded)) => {
                self.keep_bounded(&coordinator, &seen, deadline).map(|()| Acknowledgement::Accepted)
            }
            (seen, None) => Err(DeviceError::transient(missing(&seen))),
            (_, Some(_)) => Ok(Acknowledgement::Accepted),
        }
    }

    /// Asks all other nodes what a shunning would prove. A reading shows only whether the target is shunned.
    fn rehearse(&mut self, deadline: Deadline) -> Result<OffPrediction, DeviceError> {
        let coordinator = ShunCoordinator::of(&self.node, &self.config, &self.data_dir);
        coordinator.and_then(|coordinator| coordinator.rehearse(deadline)).map_err(DeviceError::transient)
    }

    fn health(&mut self, _deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        let coordinator = self.coordinator()?;
        let stored = crate::service::shun::peer_reports::peers(&self.config.state);
        let self_fence =
            stored.get(coordinator.target()).and_then(crate::service::shun::peer_reports::self_fence_report);
        let health = if self_fence.is_some() { OobHealth::Ok } else { OobHealth::Unknown };
        Ok(vec![HealthItem("self-fencing".to_owned(), health)])
    }
}

/// Returns the reading of a target that every survivor shuns. The target may still run: the shunning proves nothing
/// where its instances write to storage outside of the cluster.
fn isolated(seen: &RoundResult, node: &NodeName, more: &str) -> Result<Reading, DeviceError> {
    let by = confirmed(seen);
    let (grade, detail) = match seen.network.isolation_objection(node) {
        Some(why) => (Grade::Unknown, format!("shunned by {by}, which proves nothing: {why}{more}")),
        None => (Grade::Isolated, format!("off, isolated: shunned by {by}{more}")),
    };
    Ok(Reading { power: Power::Off, grade, detail })
}

/// Fails for a target that is shunned with the scope `tcp`, because its power was read as off or Ganeti has it recorded
/// offline. A later boot of the target may be in the cluster stack, and echoes may keep its self-fencing alive: nothing
/// is proven of that boot.
fn tcp_only(entry: &ShunEntry) -> Result<(), DeviceError> {
    if entry.scope == ShunScope::All {
        return Ok(());
    }
    Err(DeviceError::transient(format!(
        "shunned with scope tcp only, in epoch {}, by {}: whether it has booted since is unknown",
        entry.epoch, entry.by
    )))
}

/// Returns the nodes that did not confirm, by name, each with the reason.
fn missing(seen: &RoundResult) -> String {
    let all = seen.round.as_ref().err().map(|missing| {
        let shown = missing.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let more = missing.len().saturating_sub(5);
        if more > 0 { format!("{shown}; and {more} more") } else { shown }
    });
    format!("not all nodes shun it: {}", all.unwrap_or_default())
}

fn confirmed(seen: &RoundResult) -> String {
    let shunning = seen.round.as_ref().map_or(0, |round| round.ruleset_ids.len());
    format!("{shunning} of {} nodes in epoch {}{}", seen.answers.len(), seen.epoch, seen.until_boot())
}
