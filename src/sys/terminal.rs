//! The terminal that stdout is, if it is one.

#![allow(clippy::disallowed_methods, reason = "it is only asked what it is")]
#![allow(unsafe_code, reason = "ioctl(2) has no safe form: the kernel writes one `struct winsize`")]

use std::io::{IsTerminal, stdout};
use std::os::fd::AsRawFd;

use nix::libc::winsize;

mod call {
    use nix::libc::{TIOCGWINSZ, winsize};
    nix::ioctl_read_bad!(window_size, TIOCGWINSZ, winsize);
}

/// Whether stdout is one.
#[must_use]
pub fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// How many characters fit into a line; none where stdout is no terminal, or does not say. `COLUMNS` counts first, as for
/// other programs (environ(7)).
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
