//! Logs the steps of the programs to stderr or a debug file, and warnings to the system's log. Events never contain
//! secrets.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Mutex;

use tracing::Level;

use super::output::{Events, ToStderr};
use crate::core::text::one_line;

/// The maximum length of a line in the system's log, in characters.
const LINE_MOST: usize = 2_000;

/// Sends events to stderr from now on.
pub fn to_stderr() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_writer(ToStderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .without_time()
        .with_target(false)
        .finish();
    // A second call has no effect: the destination of the first one stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Appends events to the file `path` from now on, and makes the file (0600) if needed.
///
/// # Errors
/// The error of the file system if the file cannot be opened.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_writer(Mutex::new(Events(file)))
        .with_ansi(false)
        .log_internal_errors(false)
        .with_target(false)
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// Sends one line to the system's log, as a warning of the facility `daemon` (syslog(3)). Does nothing if there is no
/// log.
pub fn warn_system(program: &str, line: &str) {
    const DAEMON_WARNING: u8 = 3 << 3 | 4;
    let text = format!("<{DAEMON_WARNING}>{program}[{}]: {}", std::process::id(), one_line(line, LINE_MOST));
    // A full log must not block this program: the line is also on stderr.
    let _ = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(text.as_bytes(), "/dev/log")
    });
}
