//! `gnt-ha report`: what is known, for programs that watch.

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::json;

use super::places::Places;
use super::status;
use crate::cli;
use crate::core::report::envelope::{CATEGORY, KIND, NAME, Report};
use crate::core::report::http::{LIMIT, Refused, Wanted, answer, wanted};
use crate::core::report::openmetrics::{CONTENT_TYPE, openmetrics};
use crate::core::status::Status;
use crate::sys::clock::now;
use crate::sys::state_file;

/// A client that says nothing for so long is left, in seconds.
const PATIENCE_S: i64 = 5;

const JSON: &str = "application/json";

/// The command line.
#[derive(Debug, Args)]
pub struct Arguments {
    /// In which form
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Form,

    /// Write it to a file, whole or not at all: for `node_exporter`'s textfile collector
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Answer one HTTP request, on stdin, to stdout: for a systemd socket with Accept=yes, or inetd
    ///
    /// /1/list/collectors and /1/report/all as Ganeti's monitoring daemon has them, and /metrics.
    #[arg(long, conflicts_with_all = ["format", "output"])]
    http: bool,

    #[command(flatten)]
    places: Places,
}

/// In which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// JSON in the envelope of Ganeti's monitoring daemon
    #[default]
    Mond,
    /// `OpenMetrics`, for Prometheus
    Openmetrics,
}

/// Looks and tells. Changes nothing.
///
/// # Errors
/// One line.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.http {
        let line = first_line(io::stdin().lock())?;
        return cli::print(&answered(&line, || status::look(&arguments.places, false)));
    }
    let status = status::look(&arguments.places, false)?;
    let text = match arguments.format {
        Form::Mond => mond(&status)? + "\n",
        Form::Openmetrics => openmetrics(&status, now().wall_ms),
    };
    match &arguments.output {
        None => cli::print(&text),
        Some(file) => {
            state_file::publish(file, &text).map_err(|error| format!("cannot write {}: {error}", file.display()))
        }
    }
}

fn mond(status: &Status) -> Result<String, String> {
    serde_json::to_string(&Report::new(status, now().wall_ms)).map_err(|error| error.to_string())
}

/// The first line; all of the request is read, or the client would see a reset in place of the answer (RFC 9112, 9.6).
fn first_line(stdin: io::StdinLock<'_>) -> Result<String, String> {
    // Not a socket: it is tried by hand.
    let _ = setsockopt(&stdin, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_S));
    let mut request = BufReader::new(stdin.take(LIMIT));
    let mut first = None;
    loop {
        let mut line = Vec::new();
        let read = request.read_until(b'\n', &mut line).map_err(|error| format!("no request came: {error}"))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let is_last = read == 0 || line.trim_end().is_empty();
        let first = first.get_or_insert(line);
        if is_last {
            return Ok(std::mem::take(first));
        }
    }
}

fn answered(line: &str, look: impl Fn() -> Result<Status, String>) -> String {
    let told = |wanted: Wanted| -> Result<(&str, String), String> {
        Ok(match wanted {
            Wanted::Versions => (JSON, json!([1]).to_string()),
            Wanted::Nothing => (JSON, json!(null).to_string()),
            Wanted::List => (JSON, json!([[NAME, CATEGORY, KIND]]).to_string()),
            Wanted::All => (JSON, format!("[{}]", mond(&look()?)?)),
            Wanted::One => (JSON, mond(&look()?)?),
            Wanted::Metrics => (CONTENT_TYPE, openmetrics(&look()?, now().wall_ms)),
        })
    };
    let refused =
        |why: Refused, body: &str| answer(&why.to_string(), "text/plain; charset=utf-8", &format!("{body}\n"));
    match wanted(line).map(told) {
        Ok(Ok((kind, body))) => answer("200 OK", kind, &body),
        Ok(Err(line)) => refused(Refused::Unknown, &line),
        Err(why) => refused(why, "there are /1/list/collectors, /1/report/all and /metrics"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unknown is not success, for a program that watches, too.
    #[test]
    fn a_host_that_knows_nothing_says_so_over_http() {
        let nothing = || Err("this host has neither".to_owned());
        let said = answered("GET /metrics HTTP/1.1\r\n", nothing);
        assert!(
            said.starts_with("HTTP/1.1 503 Service Unavailable\r\n")
                && said.ends_with("\r\n\r\nthis host has neither\n")
        );
        let listed = answered("GET /1/list/collectors HTTP/1.1\r\n", nothing);
        assert!(
            listed.starts_with("HTTP/1.1 200 OK\r\n") && listed.ends_with("\r\n\r\n[[\"gnt-ha\",\"default\",1]]"),
            "{listed}"
        );
        assert!(answered("PUT / HTTP/1.1", nothing).starts_with("HTTP/1.1 405 "));
    }
}
