//! A BMC that is used only if it is not known to be that of another host. Asks the BMC for its identity in the session that
//! the first reading has opened, and before a command if no reading has succeeded.

use std::path::Path;
use std::time::Duration;

use crate::core::bmc_memory::{BmcMemory, BmcVerdict};
use crate::core::ganeti::oob::HealthItem;
use crate::core::host_identity::{HostIdentity, Unproven};
use crate::core::node::NodeName;
use crate::core::power::Power;
use crate::power::bmc_memory;
use crate::sys::clock::Deadline;

use super::{Acknowledgement, DeviceError, IdentityAnswer, Named, OffPrediction, PowerDevice, Reading};

/// How often readings ask a BMC that does not answer the question: once for each of the two readings of an off.
const QUESTIONS_OF_READINGS: u32 = 2;

struct RightBmc {
    device: Box<dyn PowerDevice>,
    name: String,
    node: NodeName,
    memory: BmcMemory,
    file: String,
    verdict: Option<BmcVerdict>,
    asked: u32,
    /// The identity from which the verdict was made.
    judged: Option<HostIdentity>,
    /// The last command that was sent.
    sent: Option<Power>,
}

/// Returns the device so that it is used only if it is not known to be that of another host than `node`.
pub(super) fn guarded(named: Named, node: &NodeName, memory: &BmcMemory, state: &Path) -> Named {
    if !memory.can_judge(node) {
        return named;
    }
    let Named { name, device } = named;
    let (node, memory) = (node.clone(), memory.clone());
    let file = bmc_memory::file(state).display().to_string();
    Named {
        name: name.clone(),
        device: Box::new(RightBmc {
            device,
            name,
            node,
            memory,
            file,
            verdict: None,
            asked: 0,
            judged: None,
            sent: None,
        }),
    }
}

impl RightBmc {
    /// Asks the BMC, and fails if it cannot be asked, or if it is that of another host.
    fn ask(&mut self, deadline: Deadline) -> Result<(), DeviceError> {
        self.asked += 1;
        self.verdict = match self.device.identity(deadline)? {
            IdentityAnswer::NotCompared => None,
            IdentityAnswer::NotAnswered => Some(BmcVerdict::Unproven(Unproven::NotAnswered)),
            IdentityAnswer::Reported(now) => Some(self.of(now)),
        };
        self.refuse()
    }

    fn of(&mut self, now: HostIdentity) -> BmcVerdict {
        let verdict = self.memory.judge(&self.node, &self.name, &now, &self.file);
        self.judged = Some(now);
        verdict
    }

    fn refuse(&self) -> Result<(), DeviceError> {
        let Some(BmcVerdict::Wrong(why)) = &self.verdict else { return Ok(()) };
        Err(match self.sent {
            None => DeviceError::wrong_bmc(format!("nothing was switched: {why}")),
            Some(sent) => DeviceError::permanent(format!(
                "it got power-{sent} before its identity was known; see whether that host runs: {why}"
            )),
        })
    }

    fn is_open(&self) -> bool {
        matches!(self.verdict, None | Some(BmcVerdict::Unproven(Unproven::NotAnswered)))
    }

    /// Asks the BMC after a reading that has succeeded, if it has not answered yet. Fails for a BMC of another host.
    fn judge(&mut self, deadline: Deadline) -> Result<(), DeviceError> {
        if self.is_open() && self.asked < QUESTIONS_OF_READINGS {
            return self.ask(deadline);
        }
        // A later reading may show more.
        if let Some(now) = self.device.identity_seen().filter(|now| self.judged.as_ref() != Some(now)) {
            self.verdict = Some(self.of(now));
        }
        self.refuse()
    }

    /// Adds to a reading what is known of the BMC, for the receipt.
    fn judged(&mut self, reading: Reading, deadline: Deadline) -> Result<Reading, DeviceError> {
        self.judge(deadline)?;
        let remark = match &self.verdict {
            Some(BmcVerdict::Proven) => format!("; its identity is that of {}", self.node),
            Some(BmcVerdict::Unproven(why)) => format!("; its identity is unproven: {why}"),
            _ => String::new(),
        };
        Ok(Reading { detail: reading.detail + &remark, ..reading })
    }
}

impl PowerDevice for RightBmc {
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        let reading = self.device.read(deadline)?;
        self.judged(reading, deadline)
    }

    fn check(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        let reading = self.device.check(deadline)?;
        self.judged(reading, deadline)
    }

    /// Asks before the command, if no reading could. Asks a BMC that was proven before, and has reported nothing, once more.
    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<Acknowledgement, DeviceError> {
        let is_short = self.verdict == Some(BmcVerdict::Unproven(Unproven::Bmc));
        let is_undone = self.sent == Some(Power::Off) && to == Power::On;
        if !is_undone && (self.is_open() || is_short && self.memory.has(&self.node, &self.name)) {
            self.ask(deadline)?;
        }
        // A host that was switched off by mistake gets its power back.
        if !is_undone {
            self.refuse()?;
        }
        self.sent = Some(to);
        self.device.switch(to, deadline)
    }

    fn health(&mut self, deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        let items = self.device.health(deadline)?;
        self.judge(deadline)?;
        Ok(items)
    }

    fn rehearse(&mut self, deadline: Deadline) -> Result<OffPrediction, DeviceError> {
        let prediction = self.device.rehearse(deadline)?;
        self.judge(deadline)?;
        Ok(prediction)
    }

    fn identity_seen(&self) -> Option<HostIdentity> {
        self.device.identity_seen()
    }

    fn identity(&mut self, deadline: Deadline) -> Result<IdentityAnswer, DeviceError> {
        self.device.identity(deadline)
    }

    fn lag(&self) -> Option<Duration> {
        self.device.lag()
    }

    fn must_be_commanded(&self) -> bool {
        self.device.must_be_commanded()
    }

    fn soonest_off(&self) -> Duration {
        self.device.soonest_off()
    }

    fn poll_pause(&self) -> Duration {
        self.device.poll_pause()
    }

    fn cautions(&self) -> &[String] {
        self.device.cautions()
    }

    fn confirm_pause(&self) -> Duration {
        self.device.confirm_pause()
    }

    fn advice(&self) -> Option<&'static str> {
        self.device.advice()
    }
}
