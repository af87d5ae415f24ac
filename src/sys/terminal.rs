//! Properties of the terminal on stdout. Only reads.

#![allow(clippy::disallowed_methods, reason = "it is only asked what it is")]
#![allow(unsafe_code, reason = "ioctl(2) has no safe form: the kernel writes one `struct winsize`")]

use std::io::{IsTerminal, stdout};
use std::os::fd::AsRawFd;

use nix::libc::winsize;

mod call {
    use nix::libc::{TIOCGWINSZ, winsize};
    nix::ioctl_read_bad!(window_size, TIOCGWINSZ, winsize);
}

/// Returns whether stdout is a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// Returns the number of characters in a line; `None` if stdout is not a terminal or its width is unknown. `COLUMNS`
/// takes precedence, as in other programs (environ(7)).
#[must_use]
pub fn width() -> Option<usize> {
    let stdout = stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let wanted = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok());
    wanted
        .or_else(|| {
            let mut size = winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
            // SAFETY: the descriptor is open, and the kernel writes one `struct winsize`.
            unsafe { call::window_size(stdout.as_raw_fd(), &raw mut size) }.ok()?;
            Some(usize::from(size.ws_col))
        })
        .filter(|columns| *columns > 0)
}
