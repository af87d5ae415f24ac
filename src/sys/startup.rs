//! The first step of every program: changes process-wide settings, and tests for the rights that it needs.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
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

/// Returns whether the kernel refuses one of these files or directories to this process, because it is not root's. A file
/// that is missing is not refused. Root is never kept from starting: a daemon that sends keepalives has to run.
#[must_use]
pub fn is_refused(paths: &[&Path]) -> bool {
    !geteuid().is_root()
        && paths.iter().any(|path| File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied))
}
