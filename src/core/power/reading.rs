//! What one device tells of a host's power, and what its failure shows of the device itself.

use serde::{Deserialize, Serialize};

use crate::core::grade::Grade;

/// What a device's "on" and "off" are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sees {
    /// Whether the machine runs: a BMC, a chassis manager, a hypervisor.
    Machine,
    /// Whether one of its feeds is live: a PDU outlet. The machine may be off all the same.
    Feed,
    /// Whether it has access: a switch port, a storage reservation, shunning. Tells nothing of the power.
    Access,
    /// It cannot be told: taken for whichever of them is the stricter.
    #[serde(skip)]
    Unknown,
}

/// What is known of a device before it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What its answers are about.
    pub sees: Sees,
    /// It loses its power with its host, and is silent from then on.
    pub shares_power: bool,
}

/// What a failure shows of the device. Every error of a device has to say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// Asked with time left, it showed no sign of life at all: it may have lost its power.
    NoSign,
    /// It answered in some way ("busy", no free session, a refused login): it has power.
    Alive,
    /// Nothing is known of it: our deadline, our lock, our configuration, a login that is not tried again; an agent's or a
    /// program's failure, which does not tell silence from a refusal.
    Unknown,
}

/// What came of asking one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Observed {
    /// It said on.
    On,
    /// It said off, of this grade.
    Off(Grade),
    /// It said neither.
    Failed(Life),
}

/// An off of a whole level, before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The weakest grade of its devices.
    pub grade: Grade,
    /// The machine, if any of its devices has seen that off; feeds, if all of them are.
    pub sees: Sees,
}

impl Claim {
    /// Of a level whose devices are all off, the weakest of this grade.
    #[must_use]
    pub fn of(devices: &[Kind], grade: Grade) -> Self {
        let all = |sees: Sees| devices.iter().all(|kind| kind.sees == sees);
        let sees = if devices.iter().any(|kind| kind.sees == Sees::Machine) {
            Sees::Machine
        } else if all(Sees::Feed) {
            Sees::Feed
        } else if all(Sees::Access) {
            Sees::Access
        } else {
            Sees::Unknown
        };
        Self { grade, sees }
    }

    /// Whether a device of another level that says "on" makes this off untrue.
    ///
    /// `off` is about the power: a machine that is seen running contradicts it, and so does a live feed, unless the off was
    /// seen at the machine itself. `bounded` and `isolated` are about the boot and about access: no power contradicts them.
    #[must_use]
    pub fn is_contradicted_by(self, on: Sees) -> bool {
        self.grade == Grade::Off
            && match on {
                Sees::Machine | Sees::Unknown => true,
                Sees::Feed => self.sees != Sees::Machine,
                Sees::Access => false,
            }
    }
}
