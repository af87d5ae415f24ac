//! The driver `exec`: starts another OOB program by Ganeti's contract.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::core::config::ExecDevice;
use crate::core::ganeti::oob::{HealthItem, OobCommand};
use crate::core::node::NodeName;
use crate::core::paths::OOB_PROGRAM;
use crate::core::power::Power;
use crate::sys::clock::Deadline;
use crate::sys::oob_program::{OobError, OobProgram};

use super::{Acknowledgement, DeviceError, PowerDevice, Reading};

pub(super) struct Exec {
    program: OobProgram,
    node: NodeName,
    /// Whether the last status was an off that may be an old state: the program reads a BMC over Redfish.
    may_lag: bool,
}

impl Exec {
    pub(super) fn new(exec: &ExecDevice, node: &NodeName) -> Result<Self, DeviceError> {
        let program = OobProgram::find(&exec.program).map_err(DeviceError::permanent)?;
        if is_this_program(program.path()) {
            return Err(DeviceError::permanent(format!(
                "{} is ganeti-oob itself, which would call itself for ever: name another program",
                program.path().display()
            )));
        }
        Ok(Self { program, node: node.clone(), may_lag: false })
    }
}

/// Returns whether `path` is `ganeti-oob` or this program. Compares the file and not the path, so a link to it counts.
fn is_this_program(path: &Path) -> bool {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let is_same = |ours: &str| file(Path::new(ours)).is_some_and(|ours| Some(ours) == file(path));
    is_same("/proc/self/exe") || is_same(OOB_PROGRAM)
}

impl From<OobError> for DeviceError {
    fn from(error: OobError) -> Self {
        if error.is_final() { Self::permanent(error) } else { Self::transient(error) }
    }
}

impl PowerDevice for Exec {
    fn read(&mut self, deadline: Deadline) -> Result<Reading, DeviceError> {
        self.may_lag = false;
        let status = self.program.status(&self.node, deadline)?;
        self.may_lag = status.power == Power::Off && status.may_lag;
        let detail = match (status.power, status.grade) {
            (Power::Off, None) => "off, without a grade".to_owned(),
            (Power::Off, Some(grade)) => format!("off, grade {grade}"),
            (Power::On, _) => "on".to_owned(),
        };
        Ok(Reading { power: status.power, grade: status.proves(), detail })
    }

    fn switch(&mut self, to: Power, deadline: Deadline) -> Result<Acknowledgement, DeviceError> {
        self.program.act(OobCommand::to(to), &self.node, deadline)?;
        Ok(Acknowledgement::Accepted)
    }

    fn must_be_commanded(&self) -> bool {
        self.may_lag
    }

    fn health(&mut self, deadline: Deadline) -> Result<Vec<HealthItem>, DeviceError> {
        Ok(self.program.health(&self.node, deadline)?)
    }
}
