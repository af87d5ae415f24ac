//! `noded-call`: calls one procedure of Ganeti's node daemon (noded) on many nodes at once.
//!
//! It is a program of its own as it alone needs libcurl and OpenSSL, which are the distribution's. Ganeti's
//! certificates are X.509 version 1 (`lib/utils/x509.py`), which other TLS libraries do not accept. It reads one JSON
//! request on stdin, and prints one JSON line for each node as it answers: `{"node": ..., "ok": payload}` or `{"node":
//! ..., "error": {"source": "noded" or "transport", "message": ...}}`. Exit code 0 means that every node has its line.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod calls;
mod pin;

use std::io::{self, Read, stdin};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use calls::{OutputError, Request, RequestError};
use gnt_ha::sys::output::{self, Text};

/// The maximum length of a request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 * 1024 * 1024;

/// The reason why not every node has its line.
#[derive(Debug, thiserror::Error)]
enum ProgramError {
    /// This program cannot start itself again.
    #[error("cannot start itself without an environment: {0}")]
    Restart(io::Error),
    /// stdin cannot be read.
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    /// stdin is not a valid request.
    #[error("cannot parse the request: {0}")]
    Request(serde_json::Error),
    /// The calls were not made, or their answers not printed.
    #[error(transparent)]
    Calls(#[from] RequestError),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&format!("noded-call: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), ProgramError> {
    without_environment()?;
    let mut text = Vec::new();
    stdin().lock().take(MAX_REQUEST_BYTES).read_to_end(&mut text).map_err(ProgramError::Stdin)?;
    let request: Request = serde_json::from_slice(&text).map_err(ProgramError::Request)?;
    calls::all(&request, |answer| {
        let line = serde_json::to_string(answer)?;
        let is_read = output::print(&Text::from(format!("{line}\n").as_str()))?;
        if is_read { Ok(()) } else { Err(OutputError::Closed) }
    })?;
    Ok(())
}

/// Starts this program again without an environment if it has one. `SSLKEYLOGFILE`, `OPENSSL_CONF`, `CURL_SSL_BACKEND`
/// and similar variables would change which hosts it trusts, and who can decrypt the connection. `LC_ALL` changes
/// nothing.
fn without_environment() -> Result<(), ProgramError> {
    if std::env::vars_os().all(|(name, _)| name == "LC_ALL") {
        return Ok(());
    }
    let own = std::env::current_exe().map_err(ProgramError::Restart)?;
    let error = Command::new(own).args(std::env::args_os().skip(1)).env_clear().exec();
    Err(ProgramError::Restart(error))
}
