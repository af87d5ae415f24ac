//! Starts this program once more, for work for which its caller must not wait: in a session of its own, without files
//! of the caller.

use std::io;
use std::process::{Command, Stdio};

use nix::unistd::setsid;

/// Starts this program with these arguments. A process that waits for the end of our output does not wait for it.
///
/// # Errors
/// The error of the kernel if the program cannot be started.
pub fn start(words: &[String]) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // init reaps the process, as this one ends before it.
    command.spawn().map(drop)
}

/// Starts a session of its own, as the first step of such a program: a signal to its caller's process group does not
/// reach it.
pub fn settle() {
    // The call fails for the leader of a process group, which already has a group of its own.
    let _ = setsid();
}
