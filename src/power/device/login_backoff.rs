//! Remembers a login that a BMC refused, for a while: BMCs lock accounts, and one fencing asks several times.
//!
//! Before a session is open, any host could have sent the packet. So only this process remembers such a backoff:
//! otherwise one packet would keep the BMC out of every fencing of a minute.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::sys::{clock, state_file};
use serde::{Deserialize, Serialize};

/// The time for which a refused login is not tried again with the same credentials. One fencing of Pacemaker's may take
/// as long, so each costs one bad login.
const LOGIN_PAUSE: Duration = Duration::from_secs(60);

/// The note of a backoff by one BMC. Its directory is empty after a boot.
pub(super) struct LoginBackoff {
    note: PathBuf,
    credentials: Vec<(u64, i64, i64)>,
}

/// Refused logins of this process, where nothing proves that the BMC itself refused.
static UNPROVEN: Mutex<BTreeMap<PathBuf, Note>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Serialize, Deserialize)]
struct Note {
    /// The time of the backoff, in ms since boot (`CLOCK_BOOTTIME`).
    at_ms: u64,
    /// The version of the files with the credentials: inode and time of the last change of each. Never their content.
    credentials: Vec<(u64, i64, i64)>,
    why: String,
}

impl LoginBackoff {
    /// Returns the backoff that is kept in `note`. `files` have the credentials: after a change of one of them a login
    /// is tried again.
    pub(super) fn new(note: PathBuf, files: &[&Path]) -> Self {
        let version = |file: &&Path| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
        };
        Self { note, credentials: files.iter().filter_map(version).collect() }
    }

    /// Returns the reason why a login must not be tried now; `None` if it may be.
    pub(super) fn stands(&self) -> Option<String> {
        let unproven = UNPROVEN.lock().unwrap_or_else(PoisonError::into_inner).get(&self.note).cloned();
        let note = match unproven {
            Some(note) => note,
            None => state_file::read(&self.note).ok()??,
        };
        let age = Duration::from_millis(clock::now().boottime_ms.checked_sub(note.at_ms)?);
        (age < LOGIN_PAUSE && note.credentials == self.credentials).then(|| {
            format!(
                "{} (that was {:.0} s ago; it is not tried again for {:.0} s, so that the BMC does not lock the account; \
                 new credentials are tried at once)",
                note.why,
                age.as_secs_f64(),
                (LOGIN_PAUSE - age).as_secs_f64()
            )
        })
    }

    /// Writes a backoff down; for other processes only if the session's keys prove that it was the BMC's. Best effort:
    /// without the note the next command costs another bad login.
    pub(super) fn note(&self, why: &str, is_proven: bool) {
        let note = Note { at_ms: clock::now().boottime_ms, credentials: self.credentials.clone(), why: why.to_owned() };
        if !is_proven {
            UNPROVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(self.note.clone(), note);
            return;
        }
        let written = state_file::write(&self.note, &note);
        if let Err(error) = written {
            tracing::warn!(%error, "a refused login was not noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_refusal_stands_until_the_credentials_change() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        fs::write(&secret, "old").unwrap();
        let backoff = || LoginBackoff::new(dir.path().join("run/login-backoff-x"), &[&secret]);
        assert_eq!(backoff().stands(), None);
        for is_proven in [true, false] {
            backoff().note("wrong password", is_proven);
            assert!(backoff().stands().unwrap().starts_with("wrong password"));
            fs::remove_file(&secret).unwrap();
            fs::write(&secret, "new").unwrap();
            assert_eq!(backoff().stands(), None);
        }
    }

    #[test]
    fn a_damaged_note_is_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("note"), "{\"at_ms\":").unwrap();
        assert_eq!(LoginBackoff::new(dir.path().join("note"), &[]).stands(), None);
    }
}
