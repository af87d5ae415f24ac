//! Holds one device's reading of a host's power, and what a failed reading shows of the device itself; touches nothing.

use serde::{Deserialize, Serialize};

use crate::core::grade::Grade;

/// The subject of a device's "on" and "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadingSubject {
    /// Whether the machine runs: a BMC, a chassis manager, a hypervisor.
    Machine,
    /// Whether one of its feeds is live: a PDU outlet. The machine may be off all the same.
    Feed,
    /// Whether the host has access: a switch port, a storage reservation, shunning. It proves nothing about the power.
    Access,
    /// The subject is unknown; the device counts as the stricter of the others in each case.
    #[serde(skip)]
    Unknown,
}

/// The properties of a device that are known before it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerDeviceKind {
    /// The subject of its answers.
    pub sees: ReadingSubject,
    /// Whether the device loses its power with its host, and does not answer from then on.
    pub shares_power: bool,
}

/// What a failure shows of the device. Each error of a device has one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// The device was asked with time left and did not answer at all: it may have lost its power.
    NoSign,
    /// The device answered in some way ("busy", no free session, a rejected login): it has power.
    Alive,
    /// Nothing is known of the device: our deadline, our lock, our configuration, or a login that is not tried again
    /// prevented the answer. The failure of an agent or a program is one of these, too: it does not distinguish a
    /// missing answer from a rejection.
    Unknown,
}

/// The result of asking one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    /// The device reported "on".
    On,
    /// The device reported "off", with this grade.
    Off(Grade),
    /// The device reported neither.
    Failed(Life),
}

/// The "off" of a whole level, before it is checked against other levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The weakest grade of its devices.
    pub grade: Grade,
    /// The subject of the "off": the machine, if any device of the level reads that; feeds or access, if all of them
    /// do; else unknown.
    pub sees: ReadingSubject,
}

impl Claim {
    /// Returns the claim of a level whose devices are all off; `grade` is the weakest of them.
    #[must_use]
    pub fn of(devices: &[PowerDeviceKind], grade: Grade) -> Self {
        let all = |sees: ReadingSubject| devices.iter().all(|kind| kind.sees == sees);
        let sees = if devices.iter().any(|kind| kind.sees == ReadingSubject::Machine) {
            ReadingSubject::Machine
        } else if all(ReadingSubject::Feed) {
            ReadingSubject::Feed
        } else if all(ReadingSubject::Access) {
            ReadingSubject::Access
        } else {
            ReadingSubject::Unknown
        };
        Self { grade, sees }
    }

    /// Returns whether a device of another level with the subject `on` contradicts this "off" when it reports "on".
    ///
    /// `off` is about the power: a running machine contradicts it, and so does a live feed, unless the "off" was read
    /// at the machine itself. `bounded` and `isolated` are about the boot and about access: no power contradicts them.
    #[must_use]
    pub fn is_contradicted_by(self, on: ReadingSubject) -> bool {
        self.grade == Grade::Off
            && match on {
                ReadingSubject::Machine | ReadingSubject::Unknown => true,
                ReadingSubject::Feed => self.sees != ReadingSubject::Machine,
                ReadingSubject::Access => false,
            }
    }
}
