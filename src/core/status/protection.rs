//! The state of a node's protection in `gnt-ha status`: its power reading, its shunning, its self-fencing, and what is
//! proven of it. Pure.

use serde::Serialize;

use super::{Flags, NodeStatus, StatusLevel};
use crate::core::grade::Grade;
use crate::core::power::Power;
use crate::core::shun::list::ShunEntry;

/// The state of a node in this host's shun list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShunState {
    /// The node is shunned.
    Shunned,
    /// The node was shunned, and is readmitted.
    Readmitted,
}

impl ShunState {
    /// Returns the state of an entry.
    #[must_use]
    pub const fn of(entry: &ShunEntry) -> Self {
        if entry.epoch.is_shunned() { Self::Shunned } else { Self::Readmitted }
    }

    /// Returns the text of the column.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shunned => "shunned",
            Self::Readmitted => "readmitted",
        }
    }
}

/// The state of a node's self-fencing, by its last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SelfFenceState {
    /// Self-fencing is armed, and guaranteed for long enough for a proof.
    Armed,
    /// The node has no armed self-fencing.
    Off,
    /// The last report is too old.
    Unknown,
}

/// For how long the report of a node without self-fencing counts, in milliseconds: a candidate asks more often.
const FRESH_MS: u64 = 600_000;

impl SelfFenceState {
    /// Returns the state of a node that was asked `age_ms` ago. `kept`: whether its report still holds for a whole wait
    /// time; `None` if it reported no self-fencing.
    #[must_use]
    pub const fn of(age_ms: u64, kept: Option<bool>) -> Self {
        match kept {
            Some(true) => Self::Armed,
            None if age_ms <= FRESH_MS => Self::Off,
            Some(false) | None => Self::Unknown,
        }
    }

    /// Returns the text of the column.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Off => "not armed",
            Self::Unknown => "?",
        }
    }
}

/// The power state that a node's OOB program has just reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerReading {
    /// The program reported this state.
    Power(Power),
    /// The program reported no state, for this reason.
    Unknown(String),
}

/// The state of a node's protection. A value is null if it was not asked for or is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Protection {
    /// The power reading of the node's OOB program.
    pub power_reading: Option<PowerReading>,
    /// The state in this host's shun list.
    pub shun: Option<ShunState>,
    /// The state of the node's self-fencing, by its own report.
    pub self_fence: Option<SelfFenceState>,
    /// The grade that is proven of the node now. A proof from before a return of the node does not count.
    pub grade: Option<Grade>,
}

impl Protection {
    /// Returns the column of Ganeti's flag `powered`, which may be old, with the reading of the power if there is one.
    #[must_use]
    pub fn power(&self, flags: Option<Flags>) -> String {
        let powered = flags.and_then(|flags| flags.powered);
        let recorded = powered.map_or("-", |powered| if powered { "yes" } else { "no" });
        let seen = match &self.power_reading {
            None => return recorded.to_owned(),
            Some(PowerReading::Power(power)) => power.word(),
            Some(PowerReading::Unknown(_)) => "?",
        };
        let is_other = powered.is_some_and(|powered| seen != "?" && seen != Power::from(powered).word());
        format!("{recorded}, {} {seen}", if is_other { "SEEN" } else { "seen" })
    }
}

impl NodeStatus {
    /// Adds the state of the protection, and raises the level if a node that Ganeti uses has no power.
    #[must_use]
    pub fn protected(mut self, protection: Protection) -> Self {
        let recorded_off = self.ganeti.is_some_and(|flags| flags.offline);
        // The power of a host that is recorded offline does not matter.
        let is_odd = match &protection.power_reading {
            Some(PowerReading::Power(power)) => !power.is_on() && self.ganeti.is_some() && !recorded_off,
            Some(PowerReading::Unknown(_)) | None => false,
        };
        if is_odd {
            self.level = self.level.max(StatusLevel::Attention);
        }
        Self { protection, ..self }
    }

    /// Returns the grade that the last receipt or the shunning proves of the node now. A receipt proves nothing of a
    /// node that is back in the cluster.
    #[must_use]
    pub fn proven_grade(&self, entry: Option<&ShunEntry>) -> Option<Grade> {
        let is_gone = self.pacemaker.is_some_and(|word| word == "OFFLINE" || word == "UNCLEAN");
        let shunned = entry.filter(|entry| entry.epoch.is_shunned()).map(|entry| entry.grade);
        let receipt = self.receipt.as_ref().filter(|_| is_gone).map(|last| last.grade);
        shunned.into_iter().chain(receipt).filter(|grade| *grade > Grade::Unknown).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::node::NodeName;
    use crate::core::receipt::{Action, Outcome};
    use crate::core::reconcile::Membership;
    use crate::core::shun::list::{Epoch, ShunScope};
    use crate::core::status::{DisplayedRole, LastAction};

    #[test]
    fn the_power_is_as_recorded_and_as_seen() {
        let flags = |powered| Flags { role: DisplayedRole::Regular, offline: true, drained: None, powered };
        let power =
            |power_reading, powered| Protection { power_reading, ..Protection::default() }.power(Some(flags(powered)));
        assert_eq!(power(None, Some(false)), "no");
        assert_eq!(power(None, None), "-");
        assert_eq!(power(Some(PowerReading::Power(Power::On)), Some(true)), "yes, seen on");
        assert_eq!(power(Some(PowerReading::Power(Power::On)), Some(false)), "no, SEEN on");
        assert_eq!(power(Some(PowerReading::Unknown("x".into())), Some(true)), "yes, seen ?");
        assert_eq!(power(Some(PowerReading::Power(Power::Off)), None), "-, seen off");
    }

    /// An old report is unknown, which is not success.
    #[test]
    fn a_self_fence_is_armed_only_by_a_fresh_report() {
        assert_eq!(SelfFenceState::of(1_000, Some(true)), SelfFenceState::Armed);
        assert_eq!(SelfFenceState::of(900_000, Some(false)), SelfFenceState::Unknown);
        assert_eq!(SelfFenceState::of(1_000, None), SelfFenceState::Off);
        assert_eq!(SelfFenceState::of(FRESH_MS + 1, None), SelfFenceState::Unknown);
    }

    fn line(member: Membership, offline: bool) -> NodeStatus {
        let flags = Flags { role: DisplayedRole::Regular, offline, drained: None, powered: None };
        NodeStatus::new(NodeName::new("n3").unwrap(), Some(member), Some(flags), None, None)
    }

    /// A proof is of the boot that it ended: a receipt from before the return of a node proves nothing of it now.
    #[test]
    fn a_proof_stands_while_the_node_is_gone_or_shunned() {
        let last = LastAction { action: Action::Off, outcome: Some(Outcome::Done), grade: Grade::Off, at_ms: 1 };
        let of =
            |member, grade| NodeStatus { receipt: Some(LastAction { grade, ..last.clone() }), ..line(member, false) };
        assert_eq!(of(Membership::Absent, Grade::Off).proven_grade(None), Some(Grade::Off));
        assert_eq!(of(Membership::Absent, Grade::Unknown).proven_grade(None), None);
        assert_eq!(of(Membership::Online, Grade::Off).proven_grade(None), None);
        let mut entry = ShunEntry {
            epoch: Epoch(1),
            addresses: [].into(),
            scope: ShunScope::All,
            grade: Grade::Bounded,
            boot_id: None,
            since_ms: 1,
            by: "x".into(),
        };
        assert_eq!(of(Membership::Online, Grade::Off).proven_grade(Some(&entry)), Some(Grade::Bounded));
        entry.epoch = entry.epoch.readmitted().unwrap();
        assert_eq!(of(Membership::Online, Grade::Off).proven_grade(Some(&entry)), None);
    }

    /// A host that is off while Ganeti uses its node needs attention.
    #[test]
    fn a_node_that_is_seen_off_needs_attention() {
        let seen = |power| Protection { power_reading: Some(PowerReading::Power(power)), ..Protection::default() };
        let of = |offline, power: bool| line(Membership::Online, offline).protected(seen(power.into())).level;
        assert_eq!(
            (of(false, true), of(false, false), of(true, false)),
            (StatusLevel::Ok, StatusLevel::Attention, StatusLevel::Ok)
        );
    }
}
