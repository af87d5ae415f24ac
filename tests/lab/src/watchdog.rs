//! Simulates a host's watchdog: outside of the host, as the real one is outside of its kernel.
//!
//! On the host it is a socket. A client gets one line of JSON that describes the watchdog; each byte that it sends is a
//! keepalive. After the first one the watchdog cuts the host's power if none came within its timeout, also without a
//! client. Only a new boot disarms it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::power::Mains;
use crate::process::Process;
use crate::state::{self, Dir, Spec};

/// The path of the socket on a host.
pub const SOCKET: &str = "/run/watchdog.sock";

/// The interval at which the watchdog checks whether its host runs.
const HOST_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// An expiry, after which a watchdog cut its host's power; the times are those of [`now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The time of the last keepalive.
    pub last_keepalive: Duration,
    /// The time at which the power was cut.
    pub power_cut: Duration,
}

/// Returns the machine's clock since its boot, which is that of every host.
pub fn now() -> Result<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).map_err(Error::system("read the clock"))
}

/// Starts the watchdog for the coming boot of a host, if the lab has any.
pub(crate) fn start(dir: &Dir, lab: &str, host: &str) -> Result<Option<Child>> {
    let spec: Option<Spec> = state::load(&dir.spec())?;
    if spec.and_then(|spec| spec.watchdog_ms).is_none() {
        return Ok(None);
    }
    let mut command = Command::new(dir.program());
    command.args(["watchdog", lab, host]).stdin(Stdio::null());
    command.spawn().map(Some).map_err(Error::system("start the watchdog"))
}

/// Runs the watchdog of one boot of a host: returns when the boot is over.
pub fn keep(lab: &str, host: &str) -> Result<()> {
    let dir = Dir::of(lab)?;
    let spec: Spec = state::load(&dir.spec())?.ok_or_else(|| Error::Absent(lab.into()))?;
    let time = Duration::from_millis(spec.watchdog_ms.unwrap_or(u64::MAX));
    let mains = Mains::of(lab, host)?;
    let Some((boot, path)) = booted(&mains) else { return Ok(()) };
    let listener = UnixListener::bind(&path).map_err(Error::file("make the socket", &path))?;
    listener.set_nonblocking(true).map_err(Error::system("set up the socket"))?;
    let hello = format!("{{\"identity\":\"stand-in\",\"timeout_ms\":{},\"nowayout\":true}}\n", time.as_millis());
    let mut clients: Vec<UnixStream> = Vec::new();
    let mut last_keepalive: Option<Duration> = None;
    while boot.alive() {
        wait(&listener, &clients, last_keepalive, time)?;
        while let Ok((mut client, _)) = listener.accept() {
            if client.set_nonblocking(true).is_ok() && client.write_all(hello.as_bytes()).is_ok() {
                clients.push(client);
            }
        }
        let mut is_keepalive = false;
        clients.retain_mut(|client| read(client, &mut is_keepalive));
        let seen = now()?;
        if is_keepalive {
            last_keepalive = Some(seen);
        }
        let Some(last) = last_keepalive.filter(|last| seen >= *last + time) else { continue };
        mains.off()?;
        let mut expiries = mains.expiries()?;
        expiries.push(Expiry { last_keepalive: last, power_cut: now()? });
        state::save(&dir.expiries(host), &expiries)?;
        eprintln!("{host}: the watchdog has expired and cut the power");
        return Ok(());
    }
    Ok(())
}

/// Returns the first process of a boot whose own `/run` exists, and the path of the socket from outside.
fn booted(mains: &Mains) -> Option<(Process, PathBuf)> {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        if let Some(boot) = mains.init() {
            let root = Path::new("/proc").join(boot.pid.to_string()).join("root");
            if root.join("run/sshd").is_dir() && root.join("run/lock").is_dir() {
                return Some((boot, root.join(SOCKET.trim_start_matches('/'))));
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Waits until data comes, the time is over, or the host must be checked.
fn wait(
    listener: &UnixListener,
    clients: &[UnixStream],
    last_keepalive: Option<Duration>,
    time: Duration,
) -> Result<()> {
    let left =
        last_keepalive.map_or(HOST_CHECK_INTERVAL, |last| (last + time).saturating_sub(now().unwrap_or_default()));
    let left = PollTimeout::try_from(left.min(HOST_CHECK_INTERVAL)).unwrap_or(PollTimeout::ZERO);
    let all = std::iter::once(listener.as_fd()).chain(clients.iter().map(AsFd::as_fd));
    let mut all: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    match poll(&mut all, left) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(Error::system("wait for a keepalive")(error)),
    }
}

/// Reads the data; returns false when the connection is over.
fn read(client: &mut UnixStream, is_keepalive: &mut bool) -> bool {
    let mut bytes = [0; 64];
    loop {
        match client.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => *is_keepalive = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
