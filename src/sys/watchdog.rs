//! The watchdog: opened once a lease is there, petted while it holds, and never closed by accident.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::watchdog_ioctl as ioctl;

/// What bites when nobody pets it.
pub trait Watchdog {
    /// Puts the bite off for another [`Watchdog::timeout_ms`].
    ///
    /// # Errors
    /// What the system says; the watchdog may bite then.
    fn pet(&mut self) -> io::Result<()>;

    /// Disarms it, where that can be done.
    ///
    /// # Errors
    /// What the system says; it is armed then.
    fn disarm(&mut self) -> io::Result<()>;

    /// What its driver calls itself.
    fn identity(&self) -> &str;

    /// How long after the last pet it bites, in milliseconds, as it says itself.
    fn timeout_ms(&self) -> u64;

    /// Closing it leaves it armed.
    fn nowayout(&self) -> bool;
}

/// Opens the watchdog, which arms it, and sets its time-out, in seconds.
///
/// # Errors
/// What the system says.
pub fn open(path: &Path, timeout: Duration) -> io::Result<Box<dyn Watchdog>> {
    if std::fs::metadata(path)?.file_type().is_socket() {
        return Ok(Box::new(StandIn::open(path)?));
    }
    Ok(Box::new(Device::open(path, timeout)?))
}

/// A watchdog of the kernel.
struct Device {
    file: File,
    identity: String,
    timeout_ms: u64,
    nowayout: bool,
}

impl Device {
    fn open(path: &Path, timeout: Duration) -> io::Result<Self> {
        // Without it nobody can say whether self-fencing that dies takes the watchdog with it.
        let nowayout = nowayout(path)?;
        let seconds = i32::try_from(timeout.as_secs()).map_err(io::Error::other)?;
        let mut file = OpenOptions::new().write(true).open(path)?;
        match set(&mut file, seconds) {
            Ok((identity, timeout_ms)) => Ok(Self { file, identity, timeout_ms, nowayout }),
            Err(error) => {
                // It runs, and nobody is going to pet it.
                let _ = file.write_all(b"V");
                Err(error)
            }
        }
    }
}

/// Sets the time-out; what it is called, and its time-out in milliseconds.
fn set(file: &mut File, seconds: i32) -> io::Result<(String, u64)> {
    // A device whose time is fixed refuses; what it has is read all the same.
    let _ = ioctl::set_timeout(file, seconds);
    let timeout_ms = u64::try_from(ioctl::timeout(file)?).map_err(io::Error::other)? * 1_000;
    let identity = ioctl::identity(file)?;
    file.write_all(b"\0")?;
    Ok((identity, timeout_ms))
}

impl Watchdog for Device {
    fn pet(&mut self) -> io::Result<()> {
        // Any byte but 'V', which announces a close that disarms.
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

/// In `/sys/class/watchdog` (`Documentation/ABI/testing/sysfs-class-watchdog`).
fn nowayout(path: &Path) -> io::Result<bool> {
    let name = path.canonicalize()?;
    let name = name.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    // `/dev/watchdog` is the first one.
    let name = if name == "watchdog" { "watchdog0".to_owned() } else { name };
    let text = std::fs::read_to_string(Path::new("/sys/class/watchdog").join(name).join("nowayout"))?;
    Ok(text.trim() == "1")
}

/// A process that plays a watchdog, on the other side of a socket: for rehearsals where there is none. It says in one line
/// of JSON what it is; each byte pets it.
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
        stand_in.pet()?;
        Ok(stand_in)
    }
}

impl Watchdog for StandIn {
    fn pet(&mut self) -> io::Result<()> {
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
