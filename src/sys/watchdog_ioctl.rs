//! The ioctl calls of the watchdog interface (Linux `Documentation/watchdog/watchdog-api.rst`).

#![allow(
    unsafe_code,
    reason = "ioctl(2) has no safe form: each call hands the kernel one value of the type that it wants"
)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `struct watchdog_info` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Info {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

nix::ioctl_read!(get_support, b'W', 0, Info);
nix::ioctl_readwrite!(set_timeout_of, b'W', 6, i32);
nix::ioctl_read!(get_timeout_of, b'W', 7, i32);

/// Reads the name that the driver reports.
pub(super) fn identity(device: &File) -> io::Result<String> {
    let mut info = Info::default();
    // SAFETY: the descriptor is open, and the kernel writes one `struct watchdog_info`.
    unsafe { get_support(device.as_raw_fd(), &raw mut info) }?;
    let name: Vec<u8> = info.identity.iter().copied().take_while(|byte| *byte != 0).collect();
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// Sets the timeout in seconds. The device may round it; [`timeout`] reads the result.
pub(super) fn set_timeout(device: &File, seconds: i32) -> io::Result<()> {
    let mut seconds = seconds;
    // SAFETY: the descriptor is open, and the kernel reads and writes one int.
    unsafe { set_timeout_of(device.as_raw_fd(), &raw mut seconds) }?;
    Ok(())
}

/// Reads the timeout of the device, in seconds.
pub(super) fn timeout(device: &File) -> io::Result<i32> {
    let mut seconds = 0;
    // SAFETY: the descriptor is open, and the kernel writes one int.
    unsafe { get_timeout_of(device.as_raw_fd(), &raw mut seconds) }?;
    Ok(seconds)
}
