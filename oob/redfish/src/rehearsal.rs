//! Reads the power of a host that runs, and finds what would only be found when it is fenced: an action that the BMC does not
//! allow, and a chassis that never confirms an off. Changes nothing.

use crate::client::{Client, MOST_CHASSIS};
use crate::extended_info::quoted;
use crate::http::Transport;
use crate::message::{CallAnswer, CallFailure, FailureKind, PowerSeen};

impl<T: Transport> Client<'_, T> {
    /// Reads the power as a reading does.
    ///
    /// # Errors
    /// Also the reason why no off of this system could be proven.
    pub(crate) fn rehearse(&mut self) -> Result<CallAnswer, CallFailure> {
        let (path, system) = self.system()?;
        let action = self.reset_action(&path, &system)?;
        action.reset_type(PowerSeen::Off).map_err(|why| self.prevents(&why.0))?;
        let mut unread = Vec::new();
        let chassis = if self.call.chassis { system.chassis().unwrap_or_default() } else { Vec::new() };
        for path in chassis.into_iter().take(MOST_CHASSIS) {
            match self.chassis_again(&path) {
                Ok((path, chassis)) => chassis.check_power(&path).map_err(|why| self.prevents(&why.0))?,
                Err(failure) if self.is_refused => return Err(failure),
                Err(failure) => {
                    unread.push(quoted(&format!("chassis {path} did not answer: {}", failure.why), &self.secrets))
                }
            }
        }
        let mut answer = self.read()?;
        if let CallAnswer::Power { cautions, .. } = &mut answer {
            unread.retain(|caution| !cautions.contains(caution));
            cautions.extend(unread);
        }
        Ok(answer)
    }

    fn prevents(&self, why: &str) -> CallFailure {
        CallFailure::new(FailureKind::Never, quoted(why, &self.secrets))
    }
}
