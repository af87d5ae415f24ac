//! `noded-call`: calls one procedure of Ganeti's node daemon (noded) on many nodes at once.
//!
//! It is a program of its own as it alone needs libcurl and OpenSSL, which are the distribution's. Ganeti's
//! certificates are X.509 version 1 (`lib/utils/x509.py`), which other TLS libraries do not accept. It reads one JSON
//! request on stdin, and prints one JSON line for each node as it answers: `{"node": ..., "ok": payload}` or `{"node":
//! ..., "error": ...}`. Exit code 0 means that every node has its line.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod calls;
mod pin;

use std::io::{Read, stdin};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use calls::Request;
use gnt_ha::sys::output::{self, Text};

/// The maximum length of a request, in bytes.
const LIMIT: u64 = 64 * 1024 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            output::print_error(&format!("noded-call: {line}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    without_environment()?;
    let mut text = Vec::new();
    stdin().lock().take(LIMIT).read_to_end(&mut text).map_err(|error| format!("cannot read stdin: {error}"))?;
    let request: Request =
        serde_json::from_slice(&text).map_err(|error| format!("cannot parse the request: {error}"))?;
    calls::all(&request, |answer| {
        let line = serde_json::to_string(answer).map_err(|error| error.to_string())?;
        match output::print(&Text::from(format!("{line}\n").as_str())) {
            Ok(true) => Ok(()),
            Ok(false) => Err("nobody reads the answers any more".to_owned()),
            Err(error) => Err(format!("cannot write to stdout: {error}")),
        }
    })
}

/// Starts this program again without an environment if it has one. `SSLKEYLOGFILE`, `OPENSSL_CONF`, `CURL_SSL_BACKEND`
/// and similar variables would change which hosts it trusts, and who can decrypt the connection. `LC_ALL` changes
/// nothing.
fn without_environment() -> Result<(), String> {
    if std::env::vars_os().all(|(name, _)| name == "LC_ALL") {
        return Ok(());
    }
    let own = std::env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let error = Command::new(own).args(std::env::args_os().skip(1)).env_clear().exec();
    Err(format!("cannot start itself without an environment: {error}"))
}
