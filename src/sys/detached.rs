//! This program once more, for what its caller must not wait for: in a session of its own, with nothing of the caller's open.

use std::io;
use std::process::{Command, Stdio};

use nix::unistd::setsid;

/// Starts it with these words. Whoever waits for the end of our output does not wait for it.
///
/// # Errors
/// When it cannot be started.
pub fn start(words: &[String]) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It is init's to reap, as we end before it.
    command.spawn().map(drop)
}

/// What such a program does first: a signal to its caller's group is none to it.
pub fn settle() {
    // It fails for the leader of a group, which is alone already.
    let _ = setsid();
}
