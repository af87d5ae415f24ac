//! The reasons why self-fencing was not armed, and why its watchdog was not measured.

use std::io;
use std::path::PathBuf;

use crate::service::self_fence::error::SelfFenceError;

/// The reason why self-fencing was not armed.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// No candidate was asked.
    #[error(transparent)]
    NotTried(#[from] SelfFenceError),
    /// Too few candidates have answered, with what to do.
    #[error("{0}")]
    Objection(String),
}

/// The reason why the watchdog is not measured. The texts state whether it is still armed.
#[allow(missing_docs, reason = "the field names say it")]
#[derive(Debug, thiserror::Error)]
pub enum MeasureStartError {
    /// A reset of this host would be a failure of the cluster.
    #[error("{0}; nothing was changed")]
    Objection(&'static str),
    /// The administrator has not confirmed the reset.
    #[error(
        "it resets this host, without a shutdown; if it may be reset now: gnt-ha self-fence measure start --confirm"
    )]
    NotConfirmed,
    /// The watchdog cannot be opened.
    #[error(
        "cannot open {}: {error}; if it is busy, another program sends its keepalives (systemctl stop gnt-ha-self-fence; \
         RuntimeWatchdogSec of systemd)",
        device.display()
    )]
    Open { device: PathBuf, error: io::Error },
    /// The signals that would end the notes cannot be blocked.
    #[error(transparent)]
    Signals(io::Error),
    /// The watchdog did not reset this host.
    #[error("{} did not reset this host within {limit_s} s; {}", device.display(), watchdog(*is_closed))]
    NoReset { device: PathBuf, limit_s: u64, is_closed: bool },
    /// The notes cannot be written, or the keepalive failed.
    #[error("{}: {error}; {}", state.display(), watchdog(*is_closed))]
    Notes { state: PathBuf, error: io::Error, is_closed: bool },
}

/// A watchdog that cannot be closed stays armed.
const fn watchdog(is_closed: bool) -> &'static str {
    if is_closed { "it is closed now" } else { "it may still be armed: boot this host" }
}
