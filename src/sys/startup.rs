//! The first step of every program: changes process-wide settings, and tests for the rights that it needs.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::geteuid;

/// Disables core dumps, so that the process can keep a secret, and restores the default of SIGCHLD, so that it can wait
/// for its children.
pub fn harden_process() {
    // A core dump would contain BMC passwords. Neither call can fail for the process itself.
    let _ = prctl::set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // Some callers leave SIGCHLD ignored. The kernel discards the exit codes of our children then.
    // SAFETY: SIG_DFL is not a handler.
    #[allow(unsafe_code, reason = "the signature is unsafe because of handlers")]
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
}

/// Raises the number of files that this process may have open to `wanted`, or as near as it may without a privilege.
/// Returns the number that it may have open; never lowers it.
#[must_use]
pub fn allow_open_files(wanted: usize) -> usize {
    let number = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    // It cannot fail for the process itself; with 0 the caller asks for one file at a time.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    let raised = u64::try_from(wanted).unwrap_or(u64::MAX).clamp(soft, hard.max(soft));
    match setrlimit(Resource::RLIMIT_NOFILE, raised, hard) {
        Ok(()) => number(raised),
        Err(_) => number(soft),
    }
}

/// Returns whether the kernel refuses one of these files or directories to this process, because it is not root's. A file
/// that is missing is not refused. Root is never kept from starting: a daemon that sends keepalives has to run.
#[must_use]
pub fn is_refused(paths: &[&Path]) -> bool {
    !geteuid().is_root()
        && paths.iter().any(|path| File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied))
}
