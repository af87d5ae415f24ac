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
        // A reading of "Off" asks the chassis itself.
        let asks_chassis = self.call.chassis && system.power() != Ok(PowerSeen::Off);
        let chassis = if asks_chassis { system.chassis() } else { Ok(Vec::new()) };
        let chassis = chassis.unwrap_or_else(|why| {
            unread.push(why.0);
            Vec::new()
        });
        for path in chassis.into_iter().take(MOST_CHASSIS) {
            match self.chassis_again(&path) {
                Ok((path, chassis)) => chassis.check_power(&path).map_err(|why| self.prevents(&why.0))?,
                Err(failure) if self.is_refused => return Err(failure),
                Err(failure) => unread.push(format!("chassis {path} did not answer: {}", failure.why)),
            }
        }
        let mut answer = self.power_of(&path, &system)?;
        if let CallAnswer::Power { cautions, .. } = &mut answer {
            cautions.extend(unread.iter().map(|caution| quoted(caution, &self.secrets)));
        }
        Ok(answer)
    }

    fn prevents(&self, why: &str) -> CallFailure {
        CallFailure::new(FailureKind::Never, quoted(why, &self.secrets))
    }
}
