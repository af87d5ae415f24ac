//! `gnt-ha report`: exports the status for monitoring programs. Writes at most one file; changes nothing else.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::error::{CommandError, NotInCluster, ReportError};
use super::paths::Paths;
use super::status;
use crate::cli::{self, PrintError};
use crate::core::report::envelope::{CATEGORY, KIND, NAME, Report};
use crate::core::report::http::{Endpoint, HttpError, MAX_REQUEST_BYTES, answer, parse_request_line};
use crate::core::report::openmetrics::{CONTENT_TYPE, openmetrics};
use crate::core::status::ClusterStatus;
use crate::core::text::lines;
use crate::sys::clock::now;
use crate::sys::{http, output, state_file};

/// The time limit for one request on stdin, from its first byte to the last byte of its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The time for which an answer is reused for other readers.
const ANSWER_MAX_AGE: Duration = Duration::from_secs(2);

const JSON: &str = "application/json";

/// The command line of `report`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Format of the export
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: ReportForm,

    /// Write to a file, completely or not at all, for `node_exporter`'s textfile collector
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Answer HTTP requests on a listening socket as stdin, or one request on stdin
    ///
    /// A listening socket comes from systemd or inetd (wait). The status is collected at most every two seconds, and the program
    /// ends after a minute without a request. A client has 5 s to send its request. Paths: /1/list/collectors and /1/report/all,
    /// as of Ganeti's monitoring daemon, and /metrics.
    #[arg(long, conflicts_with_all = ["format", "output"])]
    http: bool,

    #[command(flatten)]
    paths: Paths,
}

/// The format of the export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ReportForm {
    /// JSON in the envelope of Ganeti's monitoring daemon
    #[default]
    Mond,
    /// `OpenMetrics`, for Prometheus
    Openmetrics,
}

/// Collects the status and exports it.
///
/// # Errors
/// [`CommandError::NotInCluster`] if this host is a node of neither cluster; [`CommandError::Report`],
/// [`CommandError::Print`] or [`CommandError::Json`] if the export cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    if arguments.http {
        return answer_http(&arguments.paths);
    }
    let status = status::collect(&arguments.paths, false)?;
    let text = match arguments.format {
        ReportForm::Mond => mond(&status, now().wall_ms)? + "\n",
        ReportForm::Openmetrics => openmetrics(&status, now().wall_ms),
    };
    match &arguments.output {
        None => cli::print(&text)?,
        Some(file) => {
            state_file::publish(file, &lines(&text)).map_err(|error| ReportError::File { file: file.clone(), error })?
        }
    }
    Ok(())
}

fn mond(status: &ClusterStatus, at_ms: u64) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Report::new(status, at_ms))
}

fn answer_http(paths: &Paths) -> Result<(), CommandError> {
    let readers = Readers::default();
    let collect = || status::collect(paths, false);
    let answer = |line: &str| answered(line, || readers.status(collect));
    let mut stdin = io::stdin().lock();
    if http::is_listening(&stdin) {
        let socket = stdin.as_fd().try_clone_to_owned().map_err(ReportError::Socket)?;
        return Ok(http::serve(&TcpListener::from(socket), MAX_REQUEST_BYTES, &answer).map_err(ReportError::Serve)?);
    }
    // A reader that does not accept the answer delays only this process.
    std::thread::spawn(|| {
        std::thread::sleep(REQUEST_TIMEOUT);
        cli::print_error("gnt-ha", "report --http: the request was not over in time");
        std::process::exit(1);
    });
    let line = http::first_line(&mut stdin, MAX_REQUEST_BYTES).map_err(ReportError::NoRequest)?;
    output::print_http(&answer(&line)).map_err(PrintError::from)?;
    Ok(())
}

/// The last status, shared by all readers.
#[derive(Default)]
struct Readers(Mutex<Option<(Instant, SharedStatus)>>);

/// A status with its time in ms since 1970, or the reason why there is no status.
type SharedStatus = Result<Arc<(ClusterStatus, u64)>, NotInCluster>;

impl Readers {
    /// Returns the status and its time, in ms since 1970. One reader collects it, and readers that arrive meanwhile
    /// wait for it.
    fn status(&self, read: impl Fn() -> Result<ClusterStatus, NotInCluster>) -> SharedStatus {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, seen)) = last.as_ref().filter(|(at, _)| at.elapsed() < ANSWER_MAX_AGE) {
            return seen.clone();
        }
        let at_ms = now().wall_ms;
        let seen = read().map(|status| Arc::new((status, at_ms)));
        *last = Some((Instant::now(), seen.clone()));
        seen
    }
}

fn answered(line: &str, read: impl Fn() -> SharedStatus) -> String {
    let report = || read().map_err(CommandError::from).and_then(|seen| Ok(mond(&seen.0, seen.1)?));
    let body_of = |wanted: Endpoint| -> Result<(&str, String), CommandError> {
        Ok(match wanted {
            Endpoint::Versions => (JSON, json!([1]).to_string()),
            Endpoint::Nothing => (JSON, json!(null).to_string()),
            Endpoint::List => (JSON, json!([[NAME, CATEGORY, KIND]]).to_string()),
            Endpoint::All => (JSON, format!("[{}]", report()?)),
            Endpoint::One => (JSON, report()?),
            Endpoint::Metrics => (CONTENT_TYPE, read().map(|seen| openmetrics(&seen.0, seen.1))?),
        })
    };
    let refused =
        |why: HttpError, body: &str| answer(&why.to_string(), "text/plain; charset=utf-8", &format!("{body}\n"));
    match parse_request_line(line).map(body_of) {
        Ok(Ok((kind, body))) => answer("200 OK", kind, &body),
        Ok(Err(error)) => refused(HttpError::Unknown, &error.to_string()),
        Err(why) => refused(why, "there are /1/list/collectors, /1/report/all and /metrics"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neither() -> NotInCluster {
        NotInCluster { ganeti: "/ssconf_node_list".into(), pacemaker: "/cib.xml".into() }
    }

    /// An unknown state is not a success, for a monitoring program either.
    #[test]
    fn a_host_without_a_status_answers_with_the_reason() {
        let nothing = || Err(neither());
        let answer = answered("GET /metrics HTTP/1.1\r\n", nothing);
        assert!(
            answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n")
                && answer.ends_with(&format!("\r\n\r\n{}\n", neither()))
        );
        let listed = answered("GET /1/list/collectors HTTP/1.1\r\n", nothing);
        assert!(
            listed.starts_with("HTTP/1.1 200 OK\r\n") && listed.ends_with("\r\n\r\n[[\"gnt-ha\",\"default\",1]]"),
            "{listed}"
        );
        assert!(answered("PUT / HTTP/1.1", nothing).starts_with("HTTP/1.1 405 "));
    }

    /// Several simultaneous readers cause only one query of Pacemaker.
    #[test]
    fn readers_share_one_status() {
        let readers = Readers::default();
        let collections = std::sync::atomic::AtomicUsize::new(0);
        let read = || {
            collections.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Err(neither())
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| readers.status(read).unwrap_err());
            }
        });
        assert_eq!(collections.load(std::sync::atomic::Ordering::SeqCst), 1);
    }
}
