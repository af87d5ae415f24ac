//! Runs a program with a deadline, in a process group of its own, with bounded output and without a shell.
//!
//! The program leads its process group, so that everything that it starts can be killed with it. A
//! `guard` in that group kills it if this process is killed.

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

/// The wait for a pipe that another process still holds open after the program itself has ended.
const PIPE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time that a process may take to die of SIGKILL. A process that hangs in the kernel (a dead NFS server) is left
/// behind.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest wait of one poll, after which the end of the program is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A program to run.
#[derive(Debug)]
pub struct ChildProcess<'a> {
    /// The absolute path of the program, or a name that is searched for in `PATH`.
    pub program: &'a Path,
    /// The arguments, without the program's name.
    pub arguments: &'a [&'a OsStr],
    /// The bytes for stdin; `/dev/null` if empty.
    pub stdin: &'a [u8],
    /// Variables that are added to the environment, besides `LC_ALL=C`.
    pub environment: &'a [(&'a str, String)],
    /// Variables that are removed from the environment.
    pub without: &'a [&'a str],
    /// The time at which SIGTERM is sent.
    pub deadline: Deadline,
    /// The time between SIGTERM and SIGKILL.
    pub linger: Duration,
    /// Whether a guard is in the group. A program that changes something must not continue after the death of this
    /// process. A program that only reads runs without a guard, which is cheaper.
    pub guarded: bool,
    /// The most bytes that are kept of stdout, and of stderr. Further bytes are read and dropped.
    pub output_limit: usize,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The program exited with this code.
    Exited(i32),
    /// A signal with this number killed the program; we did not send it.
    Killed(i32),
    /// We killed the program, as the deadline had passed.
    TimedOut,
}

/// The result of a program that has ended.
#[derive(Debug)]
pub struct ProgramResult {
    /// How the program ended.
    pub end: End,
    /// The stdout of the program, up to the limit.
    pub stdout: Vec<u8>,
    /// The stderr of the program, up to the limit.
    pub stderr: Vec<u8>,
    /// Whether stdout had more bytes than the limit.
    pub flooded: bool,
    /// The time that the program ran.
    pub took: Duration,
}

impl ChildProcess<'_> {
    /// Runs the program to its end, or kills it after the deadline.
    ///
    /// # Errors
    /// The error of the kernel if the program cannot be started, or its end cannot be observed. A program that fails is
    /// not an error.
    pub fn run(&self) -> io::Result<ProgramResult> {
        let begun = Instant::now();
        // Without time nothing is started: a program that is quick would answer, and a slow one would be killed in its work.
        if self.deadline.passed() {
            let (stdout, stderr) = (Vec::new(), Vec::new());
            return Ok(ProgramResult { end: End::TimedOut, flooded: false, stdout, stderr, took: begun.elapsed() });
        }
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
                Some(at) if pipes_done || timed_out || at.elapsed() >= PIPE_TIMEOUT => break,
                _ => {}
            }
            if ended_at.is_none() && self.deadline.passed() && !timed_out {
                timed_out = true;
                child.signal(Signal::SIGTERM);
            }
            if timed_out && self.deadline.instant().elapsed() >= self.linger {
                child.signal(Signal::SIGKILL);
                if self.deadline.instant().elapsed() >= self.linger + KILL_TIMEOUT && ended_at.is_none() {
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
        Ok(ProgramResult {
            end,
            flooded: stdout.flooded,
            stdout: stdout.kept,
            stderr: stderr.kept,
            took: begun.elapsed(),
        })
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
            command.pre_exec(move || guard::start(post));
        }
        Ok((command.spawn()?, Some(guard)))
    }
}

/// A child that leads a process group. Dropping the value kills the group and reaps the child.
struct Group(Child);

impl Group {
    fn id(&self) -> Option<Pid> {
        i32::try_from(self.0.id()).ok().map(Pid::from_raw)
    }

    /// Checks for the end without reaping: until the child is reaped, its id cannot become another group's.
    fn has_ended(&self) -> io::Result<bool> {
        let Some(pid) = self.id() else { return Ok(true) };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(pid), flags) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Ok(false),
            Ok(_) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends a signal to all processes of the group; an empty group is not an error.
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
            // The child is usually dead at once. Otherwise init reaps it, as we do not wait without end.
            std::thread::sleep(Duration::from_millis(5));
            let _ = self.0.try_wait();
        }
    }
}

/// The reading end of a pipe, of which at most `limit` bytes are kept.
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

/// Writes as much as fits; returns false if nothing is left to write, or the reader is gone.
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
    // If all pipes are closed, the program ends within microseconds: the next check comes soon.
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
