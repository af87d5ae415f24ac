//! Why an event was not reported, and the program's name in that message.

use gnt_ha::sys::command::ProgramError;

/// The program's name in logs and messages.
pub const PROGRAM: &str = "gnt-ha-alert";

/// The reason why an event was not reported.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// `CRM_alert_kind` is not set.
    #[error("CRM_alert_kind is not set: only Pacemaker starts this program, as an alert agent")]
    NoEvent,
    /// The recipient has a space, a double quote, a backslash, or a control or non-ASCII character.
    #[error("the recipient {0:?} has a character that is not allowed")]
    RecipientCharacter(String),
    /// The recipient has none of the known forms.
    #[error("the recipient {0:?} is not one of log, mailto:ADDRESS, https://... and /path/of/a/program")]
    Recipient(String),
    /// sendmail, curl or the program failed. The text never has the mail address or URL, which may be a secret.
    #[error("not delivered: {text:?}: {error}")]
    Delivery {
        /// The report in one line.
        text: String,
        /// The error of the program.
        error: ProgramError,
    },
}
