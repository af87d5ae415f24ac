//! What looks prove, over time: the first one is kept, and the wait counts from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::shun::verdict::{Known, Look, Verdict, begins_anew, judge};
use gnt_ha::core::shun::words::Attestation;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::lock::Lock;
use gnt_ha::sys::state_file;

use super::survivors::{Seen, Survivors};

/// Between two looks while a node that did not confirm is waited for.
const AGAIN: Duration = Duration::from_secs(1);

/// The first look, and what was known then.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Kept {
    look: Look,
    leash: Option<Attestation>,
}

/// How long another judgement's look is waited for, as a part of what the fencing has.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Looks are of this boot: they are kept in memory, where no disk can refuse them.
fn looks_file(run: &Path) -> PathBuf {
    run.join("looks.json")
}

impl Survivors<'_> {
    /// Judges a look, with the first one of this epoch, which is kept: an attempt that was killed goes on where it was.
    #[must_use]
    pub fn judge(&self, seen: &Seen) -> Option<Verdict> {
        let last = seen.look.as_ref().ok()?;
        let path = looks_file(&self.config.run);
        // Two judgements at once must not lose each other's first look; without the lock the later one waits anew.
        let _lock = Lock::take(&self.config.run.join("looks.lock"), Deadline::after(LOCK_WAIT)).ok();
        let mut kept: BTreeMap<NodeName, Kept> = state_file::read(&path).ok().flatten().unwrap_or_default();
        let first = match kept.get(self.target()) {
            Some(kept) if !begins_anew(&kept.look, last) => kept.clone(),
            _ => {
                let new = Kept { look: last.clone(), leash: seen.leash.clone() };
                kept.insert(self.target().clone(), new.clone());
                // What cannot be kept makes a later attempt wait anew.
                let _ = state_file::write_unflushed(&path, &kept);
                new
            }
        };
        // Where this host has never asked it, whoever has knows its boot as well as this host would.
        let attested = || first.leash.as_ref().map(|attestation| attestation.leash.boot_id.clone());
        let boot_id = self.entry().ok().flatten().and_then(|entry| entry.boot_id).or_else(attested);
        Some(judge(
            &first.look,
            last,
            Known {
                target: self.member.primary,
                candidates: &self.network.candidates(),
                leash: first.leash.as_ref(),
                boot_id: boot_id.as_deref(),
                accept_softdog: self.config.shun.accept_softdog,
            },
        ))
    }

    /// Looks again until everybody confirms and, where `least` asks for it, the node has stopped itself; or until the
    /// deadline.
    ///
    /// # Errors
    /// Why this host itself does not refuse it.
    pub fn wait(&self, mut seen: Seen, least: Grade, deadline: Deadline) -> Result<(Seen, Option<Verdict>), String> {
        loop {
            let verdict = self.judge(&seen);
            let pause = match &verdict {
                Some(Verdict::Waiting { until }) if least > Grade::Isolated => {
                    until.saturating_sub(Duration::from_millis(now().boottime_ms)) + Duration::from_millis(20)
                }
                Some(_) => return Ok((seen, verdict)),
                None => AGAIN,
            };
            if deadline.left() <= pause {
                return Ok((seen, verdict));
            }
            deadline.sleep(pause);
            seen = self.look(deadline)?;
        }
    }

    /// Keeps that it has stopped itself, here and everywhere.
    ///
    /// # Errors
    /// Why it is not kept here.
    pub fn keep_bounded(&self, deadline: Deadline) -> Result<(), String> {
        let Some(mut entry) = self.entry()? else { return Ok(()) };
        entry.grade = entry.grade.max(Grade::Bounded);
        if entry.boot_id.is_none() {
            let kept: BTreeMap<NodeName, Kept> =
                state_file::read(&looks_file(&self.config.run)).ok().flatten().unwrap_or_default();
            let attested = kept.get(self.target()).and_then(|kept| kept.leash.as_ref());
            entry.boot_id = attested.map(|attestation| attestation.leash.boot_id.clone());
        }
        self.tell(entry, deadline).map(drop)
    }
}
