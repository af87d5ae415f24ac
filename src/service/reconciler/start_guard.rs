//! The input of the hook before an operation on an instance: gnt-ha's own starts, from the files of this host.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::run::Reconciler;
use crate::core::ganeti::hooks;
use crate::core::ganeti::tags::Tags;
use crate::core::paths::PROGRAM;
use crate::core::recovery::guard::{StartBlock, StartsKnown};
use crate::core::recovery::memory::RecoveryMemory;
use crate::sys::ganeti::luxi;
use crate::sys::ganeti::ssconf::Ssconf;

/// The directories of the hooks in which the guard of starts runs.
const GUARDS: [&str; 2] = ["instance-modify-pre.d", "instance-start-pre.d"];

impl Reconciler {
    /// Returns what this host has stored of gnt-ha's starts, without asking luxid.
    #[must_use]
    pub fn starts_known(&self) -> StartsKnown {
        let (memory, is_on) = (self.recovery_memory(), self.is_recovery_on());
        let queue_is_known = |of: Option<u64>| of.is_some() && of == luxi::started_ms(&self.luxi);
        StartsKnown {
            is_on: is_on || memory.as_ref().is_ok_and(|memory| memory.was_on),
            has_starts: memory.as_ref().map_or(is_on, RecoveryMemory::has_starts),
            queue_is_known: memory.is_ok_and(|memory| queue_is_known(memory.queue_of)),
        }
    }

    /// Returns the reason why no start of gnt-ha's may go on, if there is one.
    #[must_use]
    pub fn start_block(&self) -> Option<StartBlock> {
        if !self.is_recovery_on() {
            return Some(StartBlock::Off);
        }
        match (self.pause(), self.read_cib()) {
            (Ok(Some(_)), _) => Some(StartBlock::Paused),
            (Err(_), _) | (_, Err(_)) => Some(StartBlock::Unknown),
            (Ok(None), Ok(cib)) => cib.maintenance.then_some(StartBlock::Maintenance),
        }
    }

    /// Returns whether the cluster's tag switches recovery on, by the small file of the tags: it is read before each
    /// operation on an instance. If it cannot be read, recovery is off.
    pub(super) fn is_recovery_on(&self) -> bool {
        let tags = Ssconf::new(&self.data_dir).cluster_tags().unwrap_or_default();
        Tags::read(tags.iter().map(String::as_str)).recover
    }

    /// Returns whether Ganeti can run the guard of starts on this host, and the guard gnt-ha.
    pub(super) fn guard_can_run(&self) -> bool {
        GUARDS.iter().all(|dir| is_executable(&self.hooks.join(dir).join(hooks::FILE)))
            && is_executable(Path::new(PROGRAM))
    }
}

fn is_executable(path: &Path) -> bool {
    const ANY_EXECUTE: u32 = 0o111;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & ANY_EXECUTE != 0)
}
