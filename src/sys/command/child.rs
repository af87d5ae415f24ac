//! Running a program with a deadline: its own process group, bounded output, no shell.
//!
//! The program is the leader of a process group of its own, so that everything it starts can be ended with it; a
//! [guard](super::guard) in that group ends it when we are killed ourselves.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::guard::{self, Guard};
use crate::sys::clock::Deadline;

/// How long a pipe that somebody else still holds open is waited for after the program itself has ended.
const HELD_PIPE: Duration = Duration::from_secs(1);

/// How long a process may take to die of SIGKILL; one that hangs in the kernel (a dead NFS server) is left behind.
const UNKILLABLE: Duration = Duration::from_secs(1);

/// How long one poll waits at most before it looks whether the program has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A program to be run.
#[derive(Debug)]
pub struct ChildProcess<'a> {
    /// Its absolute path, or a name to be found in `PATH`.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [&'a OsStr],
    /// What it reads on stdin; nothing if empty.
    pub stdin: &'a [u8],
    /// Added to the environment, beside `LC_ALL=C`.
    pub environment: &'a [(&'a str, String)],
    /// Taken out of the environment.
    pub without: &'a [&'a str],
    /// When SIGTERM goes out.
    pub deadline: Deadline,
    /// The time between SIGTERM and SIGKILL.
    pub linger: Duration,
    /// It changes something, and must not go on when we are dead: a guard stands in its group. What only looks is
    /// started without one, which is cheaper.
    pub guarded: bool,
    /// The most that is kept of stdout, and of stderr, in bytes. What is beyond is read and dropped.
    pub output_limit: usize,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Killed(i32),
    /// By our signals, as the deadline had passed.
    TimedOut,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub end: End,
    /// What it printed, up to the limit.
    pub stdout: Vec<u8>,
    /// What it complained of, up to the limit.
    pub stderr: Vec<u8>,
    /// It printed more than the limit on stdout.
    pub flooded: bool,
    /// How long it ran.
    pub took: Duration,
}

impl ChildProcess<'_> {
    /// Runs the program to its end.
    ///
    /// # Errors
    /// When it cannot be started, or its end cannot be learnt; never because of what it did.
    pub fn run(&self) -> io::Result<Ended> {
        let begun = Instant::now();
        let (child, guard) = self.start()?;
        let mut child = Group(child);
        let mut stdin = child.0.stdin.take();
        let mut stdout = Stream::new(child.0.stdout.take(), self.output_limit)?;
        let mut stderr = Stream::new(child.0.stderr.take(), self.output_limit)?;
        if let Some(pipe) = &stdin {
            set_nonblocking(pipe)?;
        }
        let mut input = self.stdin;
        let mut timed_out = false;
        let mut ended_at: Option<Instant> = None;
        loop {
            if ended_at.is_none() && child.has_ended()? {
                ended_at = Some(Instant::now());
            }
            let pipes_done = stdout.done() && stderr.done();
            match ended_at {
                Some(at) if pipes_done || timed_out || at.elapsed() >= HELD_PIPE => break,
                _ => {}
            }
            if ended_at.is_none() && self.deadline.passed() && !timed_out {
                timed_out = true;
                child.signal(Signal::SIGTERM);
            }
            if timed_out && self.deadline.instant().elapsed() >= self.linger {
                child.signal(Signal::SIGKILL);
                if self.deadline.instant().elapsed() >= self.linger + UNKILLABLE && ended_at.is_none() {
                    break;
                }
            }
            wait_for_news(stdin.as_ref(), &stdout, &stderr)?;
            if stdin.is_some() && !feed(stdin.as_mut(), &mut input) {
                stdin = None;
            }
            stdout.take_in();
            stderr.take_in();
        }
        if timed_out || !(stdout.done() && stderr.done()) {
            child.signal(Signal::SIGKILL);
        }
        let end = if timed_out { End::TimedOut } else { end_of(child.0.wait()?) };
        if let Some(guard) = guard {
            guard.dismiss();
        }
        Ok(Ended { end, flooded: stdout.flooded, stdout: stdout.kept, stderr: stderr.kept, took: begun.elapsed() })
    }

    fn start(&self) -> io::Result<(Child, Option<Guard>)> {
        let mut command = Command::new(self.program);
        command
            .args(self.arguments)
            .env("LC_ALL", "C")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in self.without {
            command.env_remove(name);
        }
        if !self.guarded {
            return Ok((command.spawn()?, None));
        }
        let guard = Guard::new()?;
        let post = guard.post();
        // SAFETY: between fork and exec only async-signal-safe calls are made (see `guard`).
        #[allow(unsafe_code, reason = "the guard must stand before the program runs")]
        unsafe {
            command.pre_exec(move || guard::stand(post));
        }
        Ok((command.spawn()?, Some(guard)))
    }
}

/// A child that leads a process group; killed with its group and reaped, whatever happens to us.
struct Group(Child);

impl Group {
    fn id(&self) -> Option<Pid> {
        i32::try_from(self.0.id()).ok().map(Pid::from_raw)
    }

    /// Looks without reaping: until it is reaped, its id cannot become another group's.
    fn has_ended(&self) -> io::Result<bool> {
        let Some(pid) = self.id() else { return Ok(true) };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(pid), flags) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Ok(false),
            Ok(_) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// To everybody in the group; a group that is empty by now is not an error.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.id() {
            let _ = killpg(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.signal(Signal::SIGKILL);
            // Usually dead at once; what is not is init's to reap, as we do not wait without end.
            std::thread::sleep(Duration::from_millis(5));
            let _ = self.0.try_wait();
        }
    }
}

/// One end of a pipe, of which no more than `limit` bytes are kept.
struct Stream<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
    limit: usize,
    flooded: bool,
}

impl<R: Read + AsFd> Stream<R> {
    fn new(pipe: Option<R>, limit: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            set_nonblocking(pipe)?;
        }
        Ok(Self { pipe, kept: Vec::new(), limit, flooded: false })
    }

    const fn done(&self) -> bool {
        self.pipe.is_none()
    }

    fn take_in(&mut self) {
        let mut buffer = [0; 8192];
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(n) => {
                let room = self.limit - self.kept.len();
                self.flooded |= n > room;
                self.kept.extend_from_slice(&buffer[..n.min(room)]);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.pipe = None,
        }
    }
}

/// Writes what fits; false when there is nothing more to write or nobody to read it.
fn feed(pipe: Option<&mut std::process::ChildStdin>, input: &mut &[u8]) -> bool {
    let Some(pipe) = pipe else { return false };
    match pipe.write(input) {
        Ok(n) => *input = &input[n..],
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
        Err(_) => return false,
    }
    !input.is_empty()
}

fn wait_for_news<A: AsFd, B: AsFd, C: AsFd>(
    stdin: Option<&A>,
    stdout: &Stream<B>,
    stderr: &Stream<C>,
) -> io::Result<()> {
    let mut pipes = Vec::with_capacity(3);
    if let Some(pipe) = stdin {
        pipes.push(PollFd::new(pipe.as_fd(), PollFlags::POLLOUT));
    }
    if let Some(pipe) = &stdout.pipe {
        pipes.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
    }
    if let Some(pipe) = &stderr.pipe {
        pipes.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
    }
    // With every pipe closed the end is a matter of microseconds: look again soon.
    let pause = if pipes.is_empty() { Duration::from_millis(1) } else { POLL_INTERVAL };
    let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
    match poll(&mut pipes, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn set_nonblocking(pipe: &impl AsFd) -> io::Result<()> {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Killed(signal.unwrap_or_default()),
    }
}
