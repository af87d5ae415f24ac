//! What the programs do, step by step, for whoever asks (`-v`, a debug file). Secrets never get here.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Mutex;

use tracing::Level;

use super::output::{Events, ToStderr};
use crate::core::text::one_line;

/// The longest line of the system's log, in characters.
const LONGEST: usize = 2_000;

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
    // A second call changes nothing: the first one's choice stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Adds events to the file `path` from now on; the file is made 0600.
///
/// # Errors
/// When the file cannot be opened.
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

/// Sends one line to the system's log, as a warning of the facility `daemon` (syslog(3)). Without a log it is lost.
pub fn warn_system(program: &str, line: &str) {
    const DAEMON_WARNING: u8 = 3 << 3 | 4;
    let text = format!("<{DAEMON_WARNING}>{program}[{}]: {}", std::process::id(), one_line(line, LONGEST));
    // A log that is full must not hold us: the line is also on stderr.
    let _ = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(text.as_bytes(), "/dev/log")
    });
}
