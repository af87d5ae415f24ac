//! A guard for a process group: if this process dies, however suddenly, the programs that it started are killed.
//!
//! Pacemaker kills an agent with SIGKILL and without a warning, and Ganeti kills only its direct child. A power command
//! that continues after the death of its agent may hit a node that was readmitted again. PR_SET_PDEATHSIG reaches only
//! a direct child; the `ipmitool` of a script would continue. So the group of each program contains a process that only
//! waits. It sees our death as the end of a pipe, and kills its group.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stdin, fork, pipe2};

/// Our end of the pipe: the guard waits while it is open.
#[derive(Debug)]
pub(super) struct Guard {
    ours: Option<OwnedFd>,
    its: OwnedFd,
}

impl Guard {
    pub(super) fn new() -> io::Result<Self> {
        let (its, ours) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Self { ours: Some(ours), its })
    }

    /// Returns the descriptor at which the guard waits, for [`start`].
    pub(super) fn post(&self) -> RawFd {
        self.its.as_raw_fd()
    }

    /// Ends the guard without killing the rest of its group.
    pub(super) fn dismiss(mut self) {
        if let Some(ours) = self.ours.take() {
            // A guard that has died with its group needs no message.
            let _ = std::fs::File::from(ours).write_all(b".");
        }
    }
}

/// Adds a guard to the calling process's group. Called in the child, between fork and exec.
///
/// The guard is the child of a process that has already ended, so the program that is started has no unknown child.
pub(super) fn start(post: RawFd) -> io::Result<()> {
    // SAFETY: we are in a forked child already, which is single-threaded; only async-signal-safe calls follow.
    #[allow(unsafe_code, reason = "a guard must not cost an exec for each call")]
    match unsafe { fork() }? {
        ForkResult::Parent { child } => loop {
            match waitpid(child, None) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => return Ok(()),
            }
        },
        ForkResult::Child => {
            // SAFETY: as above.
            #[allow(unsafe_code, reason = "as above")]
            let second = unsafe { fork() };
            if let Ok(ForkResult::Child) = second {
                watch(post);
            }
            leave();
        }
    }
}

/// Waits for a byte, which ends the guard, or for the end of the pipe, which kills the group.
fn watch(post: RawFd) -> ! {
    // SAFETY: the descriptors are this process's own, and nothing in it uses them any more; SIG_IGN is not a handler.
    #[allow(
        unsafe_code,
        reason = "every inherited descriptor must go: pipes and locks of others end with their holders"
    )]
    unsafe {
        let post = std::os::fd::BorrowedFd::borrow_raw(post);
        if dup2_stdin(post).is_err() {
            leave();
        }
        libc::close_range(1, libc::c_uint::MAX, 0);
        for harmless in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            let _ = signal(harmless, SigHandler::SigIgn);
        }
    }
    let mut word = [0];
    loop {
        match nix::unistd::read(std::io::stdin(), &mut word) {
            Err(Errno::EINTR) => {}
            Ok(0) => break,
            _ => leave(),
        }
    }
    // Process group 0 is the caller's own group.
    let _ = kill(Pid::from_raw(0), Signal::SIGKILL);
    leave();
}

/// Exits without running the exit handlers of the parent.
fn leave() -> ! {
    // SAFETY: _exit(2) has no preconditions.
    #[allow(unsafe_code, reason = "exit handlers belong to the parent")]
    unsafe {
        libc::_exit(0)
    }
}
