//! Watchdog devices of the kernel, and a stand-in for tests. Opening a device arms it. It gets keepalives while a lease
//! holds, and only [`Watchdog::disarm`] announces a close that disarms it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::watchdog_ioctl as ioctl;

/// A watchdog that resets the host unless it gets a keepalive in time.
pub trait Watchdog {
    /// Sends a keepalive, which delays the reset by another [`Watchdog::timeout_ms`].
    ///
    /// # Errors
    /// The error of the system; the watchdog may expire then.
    fn keepalive(&mut self) -> io::Result<()>;

    /// Disarms the watchdog, if its driver permits that.
    ///
    /// # Errors
    /// The error of the system; the watchdog stays armed then.
    fn disarm(&mut self) -> io::Result<()>;

    /// Returns the name that the driver reports.
    fn identity(&self) -> &str;

    /// Returns the timeout in ms from the last keepalive to the reset, as the driver reports it.
    fn timeout_ms(&self) -> u64;

    /// Returns whether the watchdog stays armed when it is closed.
    fn nowayout(&self) -> bool;
}

/// Opens the watchdog, which arms it, and sets its timeout in whole seconds. A socket at `path` is a stand-in, which
/// keeps its own timeout.
///
/// # Errors
/// The error of the system; a watchdog that was opened is disarmed again, if its driver permits that.
pub fn open(path: &Path, timeout: Duration) -> io::Result<Box<dyn Watchdog>> {
    if std::fs::metadata(path)?.file_type().is_socket() {
        return Ok(Box::new(StandIn::open(path)?));
    }
    Ok(Box::new(WatchdogDevice::open(path, timeout)?))
}

/// A watchdog device of the kernel.
struct WatchdogDevice {
    file: File,
    identity: String,
    timeout_ms: u64,
    nowayout: bool,
}

impl WatchdogDevice {
    fn open(path: &Path, timeout: Duration) -> io::Result<Self> {
        // Without `nowayout` it is unknown whether a death of self-fencing would leave the watchdog armed.
        let nowayout = nowayout(path)?;
        let seconds = i32::try_from(timeout.as_secs()).map_err(io::Error::other)?;
        let mut file = OpenOptions::new().write(true).open(path)?;
        match set(&mut file, seconds) {
            Ok((identity, timeout_ms)) => Ok(Self { file, identity, timeout_ms, nowayout }),
            Err(error) => {
                // The watchdog is armed, and no process is going to send keepalives: disarm it.
                let _ = file.write_all(b"V");
                Err(error)
            }
        }
    }
}

/// Sets the timeout; returns the driver's name and the timeout in ms, and sends a keepalive.
fn set(file: &mut File, seconds: i32) -> io::Result<(String, u64)> {
    // A device with a fixed timeout rejects the change; its timeout is read nevertheless.
    let _ = ioctl::set_timeout(file, seconds);
    let timeout_ms = u64::try_from(ioctl::timeout(file)?).map_err(io::Error::other)? * 1_000;
    let identity = ioctl::identity(file)?;
    file.write_all(b"\0")?;
    Ok((identity, timeout_ms))
}

impl Watchdog for WatchdogDevice {
    fn keepalive(&mut self) -> io::Result<()> {
        // Any byte other than 'V' is a keepalive; 'V' announces a close that disarms.
        self.file.write_all(b"\0")
    }

    fn disarm(&mut self) -> io::Result<()> {
        if self.nowayout {
            return Err(io::Error::other("it is loaded with nowayout, and stays armed until the next boot"));
        }
        self.file.write_all(b"V")
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    fn nowayout(&self) -> bool {
        self.nowayout
    }
}

/// Reads `nowayout` of the device in `/sys/class/watchdog` (`Documentation/ABI/testing/sysfs-class-watchdog`).
fn nowayout(path: &Path) -> io::Result<bool> {
    let name = path.canonicalize()?;
    let name = name.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    // `/dev/watchdog` is the first watchdog, `watchdog0`.
    let name = if name == "watchdog" { "watchdog0".to_owned() } else { name };
    let text = std::fs::read_to_string(Path::new("/sys/class/watchdog").join(name).join("nowayout"))?;
    Ok(text.trim() == "1")
}

/// A process that acts as a watchdog on the other side of a socket, for tests on hosts without one. It describes itself
/// in one line of JSON; each byte is a keepalive.
struct StandIn {
    stream: UnixStream,
    hello: Hello,
}

#[derive(Deserialize)]
struct Hello {
    identity: String,
    timeout_ms: u64,
    nowayout: bool,
}

impl StandIn {
    fn open(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        let mut stand_in = Self { hello: serde_json::from_str(&line)?, stream };
        stand_in.keepalive()?;
        Ok(stand_in)
    }
}

impl Watchdog for StandIn {
    fn keepalive(&mut self) -> io::Result<()> {
        self.stream.write_all(b"\0")
    }

    fn disarm(&mut self) -> io::Result<()> {
        Err(io::Error::other("a stand-in stays armed until the next boot"))
    }

    fn identity(&self) -> &str {
        &self.hello.identity
    }

    fn timeout_ms(&self) -> u64 {
        self.hello.timeout_ms
    }

    fn nowayout(&self) -> bool {
        self.hello.nowayout
    }
}
