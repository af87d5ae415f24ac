//! Runs programs with a time limit and without pipes that could block.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use std::os::unix::process::ExitStatusExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Error, Result};

/// The exit code and the outputs of a program.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// Standard output, with anything that is not UTF-8 replaced.
    pub stdout: String,
    /// Standard error, with anything that is not UTF-8 replaced.
    pub stderr: String,
}

impl Output {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// Returns both outputs together, for messages: the last 2000 characters.
    pub fn text(&self) -> String {
        let all = format!("{}\n{}", self.stdout.trim(), self.stderr.trim());
        let all = all.trim();
        let skip = all.chars().count().saturating_sub(2000);
        all.chars().skip(skip).collect()
    }
}

/// A request to stop, shared between the requester and the worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(pub(crate) Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Returns a memory file with this content. The outputs go to memory files, not pipes: a daemon that the program leaves
/// running with its outputs open would keep a reader of a pipe waiting forever.
fn memory(content: &[u8]) -> Result<File> {
    let fd = memfd_create(c"lab", MFdFlags::MFD_CLOEXEC).map_err(Error::system("memfd_create"))?;
    let mut file = File::from(fd);
    file.write_all(content).and_then(|()| file.rewind()).map_err(Error::system("write memory file"))?;
    Ok(file)
}

fn text(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(Error::system("read memory file"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Runs the program to its end, or kills it when `limit` is over or `cancel` is set.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration, cancel: &Cancel) -> Result<Output> {
    cancel.check()?;
    let (out, err) = (memory(b"")?, memory(b"")?);
    let share = |f: &File| f.try_clone().map(Stdio::from).map_err(Error::system("share memory file"));
    command.stdin(memory(input)?).stdout(share(&out)?).stderr(share(&err)?);
    let start = Instant::now();
    let mut child = command.spawn().map_err(Error::system(format!("start `{}`", line(command))))?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(Error::system("wait"))? {
            break status;
        }
        let stop = if start.elapsed() > limit {
            Err(Error::TimedOut { what: format!("`{}`", line(command)), seconds: limit.as_secs(), last: String::new() })
        } else {
            cancel.check()
        };
        if stop.is_err() {
            let _ = child.kill();
            let _ = child.wait();
            stop?;
        }
        thread::sleep(Duration::from_millis(if start.elapsed() < Duration::from_millis(100) { 2 } else { 10 }));
    };
    Ok(Output { code: exit_code(status), stdout: text(out)?, stderr: text(err)? })
}

/// As [`run`], for the machine's own tools: anything but exit code 0 is an error.
pub(crate) fn tool(what: &str, words: &[&str], input: &str) -> Result<Output> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Error::Answer { what: what.into(), detail: "no command".into() })?;
    let mut command = Command::new(program);
    command.args(arguments);
    let output = run(&mut command, input.as_bytes(), Duration::from_secs(30), &Cancel::default())?;
    require(what, &words.join(" "), output)
}

pub(crate) fn require(what: &str, command: &str, output: Output) -> Result<Output> {
    if output.success() {
        return Ok(output);
    }
    Err(Error::Failed { what: what.into(), command: command.into(), code: output.code, output: output.text() })
}
