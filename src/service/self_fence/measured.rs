//! Measures this host's watchdog (`gnt-ha self-fence measure`), and keeps the notes and the result in the state
//! directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::error::MeasureError;
use crate::core::shun::expiry::Measurement;
use crate::core::shun::measurement::{MeasurementOutcome, MeasurementStart, OVER, Reader, outcome};
use crate::sys::clock::now;
use crate::sys::watchdog::Watchdog;
use crate::sys::{identity, state_file};

/// The pause between two notes, beside the time that the disk takes for each.
const NOTE_INTERVAL: Duration = Duration::from_millis(20);

/// Returns the path of the result, in the state directory.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join("watchdog-measured.json")
}

/// Returns the path of the notes of a measurement, in the state directory ([`crate::core::shun::measurement`]).
fn notes_file(state: &Path) -> PathBuf {
    state.join("watchdog-measurement")
}

/// Reads the result; `None` if there is no result, or it cannot be read: then the watchdog counts as not measured.
#[must_use]
pub fn read(state: &Path) -> Option<Measurement> {
    state_file::read(&file(state)).ok().flatten()
}

/// Blocks the signals of a terminal and of systemd, so that this process does not end before its host.
///
/// # Errors
/// The error of `pthread_sigmask(3)`.
pub fn hold_signals() -> io::Result<()> {
    let signals: SigSet = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGPIPE].into_iter().collect();
    Ok(signals.thread_block()?)
}

/// Stops the keepalives, and notes for how long this host still runs, for `limit` at most. Returns only if the watchdog
/// does not reset the host.
///
/// # Errors
/// The error of the file system or the watchdog; the watchdog may reset the host all the same.
pub fn run(watchdog: &mut dyn Watchdog, state: &Path, limit: Duration) -> io::Result<()> {
    fs::create_dir_all(state)?;
    let path = notes_file(state);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut notes = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let began = MeasurementStart {
        driver: watchdog.identity().to_owned(),
        set_ms: watchdog.timeout_ms(),
        boot_id: identity::incarnation(),
        wall_ms: now().wall_ms,
    };
    writeln!(notes, "{}", serde_json::to_string(&began)?)?;
    notes.sync_all()?;
    File::open(state)?.sync_all()?;
    // The clock is read first: a noted time is never shorter than the real one.
    let last = now().boottime_ms;
    watchdog.keepalive()?;
    loop {
        let since = now().boottime_ms.saturating_sub(last);
        writeln!(notes, "{since}")?;
        notes.sync_data()?;
        if Duration::from_millis(since) > limit {
            writeln!(notes, "{OVER}")?;
            return notes.sync_data();
        }
        std::thread::sleep(NOTE_INTERVAL);
    }
}

/// Evaluates a measurement that was not evaluated yet; `None` if there is no such measurement. The result of an earlier
/// boot is kept from then on, and its notes are removed.
///
/// # Errors
/// [`MeasureError::Notes`] if the notes prove nothing: they stay on the disk. [`MeasureError::Unreadable`] or
/// [`MeasureError::NotKept`] if the file system fails.
pub fn conclude(state: &Path) -> Result<Option<MeasurementOutcome>, MeasureError> {
    let path = notes_file(state);
    let notes = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| MeasureError::Unreadable { path: path.clone(), error })?,
    };
    let now = now();
    let reader =
        Reader { boot_id: &identity::incarnation(), began_wall_ms: now.wall_ms.saturating_sub(now.boottime_ms) };
    let outcome = outcome(&notes, reader)?;
    if let MeasurementOutcome::Reset(measured) = &outcome {
        let kept = state_file::write(&file(state), measured).and_then(|()| fs::remove_file(&path));
        kept.map_err(|error| MeasureError::NotKept { path: file(state), error })?;
    }
    Ok(Some(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lame;

    impl Watchdog for Lame {
        fn keepalive(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn disarm(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn identity(&self) -> &str {
            "iTCO_wdt"
        }

        fn timeout_ms(&self) -> u64 {
            100
        }

        fn nowayout(&self) -> bool {
            true
        }
    }

    /// The boot after a reset keeps the result, once.
    #[test]
    fn the_next_boot_keeps_what_the_last_one_noted() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert_eq!(conclude(&state).unwrap(), None);
        run(&mut Lame, &state, Duration::from_millis(150)).unwrap();
        assert!(matches!(conclude(&state), Ok(Some(MeasurementOutcome::NoReset { .. }))));
        assert_eq!(read(&state), None);
        // These are the notes that a boot leaves that was reset.
        let notes = fs::read_to_string(notes_file(&state)).unwrap();
        let cut = notes.trim_end_matches("over\n").to_owned();
        fs::write(notes_file(&state), &cut).unwrap();
        assert_eq!(conclude(&state).unwrap(), Some(MeasurementOutcome::Runs), "the boot that is measured");
        fs::write(notes_file(&state), cut.replace(&identity::incarnation(), "another")).unwrap();
        let Ok(Some(MeasurementOutcome::Reset(measured))) = conclude(&state) else { panic!("{cut}") };
        assert!(measured.reset_within_ms > measured.ran_ms && measured.ran_ms >= 100, "{measured:?}");
        assert_eq!(read(&state), Some(measured));
        assert_eq!(conclude(&state).unwrap(), None);
    }
}
