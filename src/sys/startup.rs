//! What every program does first.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

/// Makes the process one that can keep a secret and wait for its children, whatever its caller has set.
pub fn harden_process() {
    // A core dump would hold BMC passwords. Neither call can fail for a process's own.
    let _ = prctl::set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // With SIGCHLD ignored, as some callers leave it, the kernel throws the exit codes of our children away.
    // SAFETY: SIG_DFL is no handler.
    #[allow(unsafe_code, reason = "the signature is unsafe because of handlers")]
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
}
