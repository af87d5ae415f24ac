//! `redfish-call`: carries out one operation at a BMC's Redfish service.
//!
//! It is a program of its own as libcurl and OpenSSL, which are the distribution's, take longer to load than all programs
//! that need neither. It reads one JSON call on stdin ([`redfish::Call`], with the password) and prints one JSON line
//! ([`redfish::CallOutcome`]). Exit code 0 means that the line is complete, also for an operation that failed.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod certificate;
mod transport;

use std::io::{self, Read, stdin};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use gnt_ha::sys::output::{self, Text};
use gnt_ha::sys::startup::harden_process;
use openssl::base64::encode_block;
use redfish::{Call, CallAnswer, CallFailure, CallOperation, CallOutcome, Client, FailureKind, HttpSecret, Trust};
use transport::Curl;
use zeroize::Zeroizing;

/// The maximum length of a call, in bytes.
const CALL_LIMIT: u64 = 64 * 1024;

/// The most that an operation may last, whatever the call says: Ganeti has given up by then.
const LONGEST_OPERATION: Duration = Duration::from_secs(60);

/// The reason why there is no outcome.
#[derive(Debug, thiserror::Error)]
enum ProgramError {
    /// This program cannot start itself again.
    #[error("cannot start itself without an environment: {0}")]
    Restart(io::Error),
    /// stdin cannot be read.
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    /// stdin is not a valid call. The parser's text could quote a secret, so only the place is shown.
    #[error("cannot parse the call (line {line}, column {column})")]
    Call {
        /// The line of the error.
        line: usize,
        /// The column of the error.
        column: usize,
    },
    /// The outcome cannot be written as JSON.
    #[error("cannot write the outcome as JSON: {0}")]
    Json(serde_json::Error),
    /// stdout cannot be written.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
}

fn main() -> ExitCode {
    harden_process();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&format!("redfish-call: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), ProgramError> {
    without_environment()?;
    // The buffer does not grow: a smaller one would stay behind, with the password.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(CALL_LIMIT).unwrap_or_default()));
    stdin().lock().take(CALL_LIMIT).read_to_end(&mut text).map_err(ProgramError::Stdin)?;
    let call: Call = serde_json::from_slice(&text)
        .map_err(|error| ProgramError::Call { line: error.line(), column: error.column() })?;
    let outcome = CallOutcome::from(carry_out(&call));
    let line = serde_json::to_string(&outcome).map_err(ProgramError::Json)?;
    output::print(&Text::from(format!("{line}\n").as_str())).map_err(ProgramError::Stdout)?;
    Ok(())
}

fn carry_out(call: &Call) -> Result<CallAnswer, CallFailure> {
    let deadline = Instant::now() + Duration::from_millis(call.timeout_ms).min(LONGEST_OPERATION);
    let credentials = Zeroizing::new(format!("{}:{}", call.username, call.password.expose()));
    let credentials = HttpSecret::new(encode_block(credentials.as_bytes()));
    let mut transport = Curl::new(call, deadline);
    let result = Client::new(&mut transport, call, vec![credentials]).run();
    // A power change does not wait for advice.
    result.map_err(|failure| match (call.operation, failure.shows) {
        (
            CallOperation::Read | CallOperation::Rehearse | CallOperation::Health | CallOperation::Identify,
            FailureKind::Never,
        ) if transport.is_untrusted() => advised(call, failure, deadline),
        _ => failure,
    })
}

/// Adds the fingerprint of the certificate that the BMC shows, for the administrator to compare. It is not trusted for that.
fn advised(call: &Call, failure: CallFailure, deadline: Instant) -> CallFailure {
    let Some(shown) = certificate::shown(call, deadline) else { return failure };
    let what = match call.trust {
        Trust::Fingerprint(_) => "if its key was replaced, and the BMC's own page shows the same certificate",
        Trust::System | Trust::CaFile(_) => "if the BMC's own page shows the same certificate",
    };
    let why = format!("{}; it shows {shown}; {what}: fingerprint = \"{}\"", failure.why, shown.fingerprint);
    CallFailure { why, ..failure }
}

/// Starts this program again without an environment if it has one. `SSLKEYLOGFILE`, `OPENSSL_CONF`, `SSL_CERT_DIR` and
/// similar variables would change which BMC it trusts, and who can decrypt the connection. `LC_ALL` changes nothing.
fn without_environment() -> Result<(), ProgramError> {
    if std::env::vars_os().all(|(name, _)| name == "LC_ALL") {
        return Ok(());
    }
    let own = std::env::current_exe().map_err(ProgramError::Restart)?;
    let error = Command::new(own).args(std::env::args_os().skip(1)).env_clear().exec();
    Err(ProgramError::Restart(error))
}
