//! Runs the machine: QEMU without acceleration, which works on any host; its first reset ends it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kernel::Kernel;

/// The output and the events of a machine until its end.
#[derive(Debug)]
pub struct Ended {
    /// The output on its serial console.
    pub console: String,
    /// QEMU's events of it (`docs/interop/qemu-qmp-ref`, `WATCHDOG`, `SHUTDOWN`), in order.
    pub events: Vec<Value>,
}

impl Ended {
    /// Returns the data of the first event of this name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&Value> {
        self.events.iter().find(|event| event["event"] == name).map(|event| &event["data"])
    }
}

/// Boots `kernel` with this initramfs and waits until the machine is reset.
///
/// # Errors
/// If QEMU cannot be run, or the machine still runs after `limit`: with the output on its console.
pub fn run(kernel: &Kernel, initramfs: &[u8], dir: &Path, limit: Duration) -> io::Result<Ended> {
    let archive = dir.join("initramfs.cpio");
    let console = dir.join("console");
    fs::write(&archive, initramfs)?;
    let mut machine = Machine { child: start(kernel, &archive, &console)?, console };
    let stdin = machine.child.stdin.take();
    let stdout = machine.child.stdout.take().ok_or_else(|| io::Error::other("QEMU has no output"))?;
    // QEMU sends no event before this command.
    let mut stdin = stdin.ok_or_else(|| io::Error::other("QEMU has no input"))?;
    stdin.write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + limit;
    let mut events = Vec::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let word: Value = serde_json::from_str(&line)?;
                events.extend(word.get("event").is_some().then_some(word));
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let console = machine.console_text()?;
                return Err(io::Error::other(format!(
                    "the machine still runs after {limit:?}; its console:\n{console}"
                )));
            }
        }
    }
    let status = machine.child.wait()?;
    let console = machine.console_text()?;
    if !status.success() {
        return Err(io::Error::other(format!("QEMU: {status}; the console:\n{console}")));
    }
    Ok(Ended { console, events })
}

fn start(kernel: &Kernel, archive: &Path, console: &Path) -> io::Result<Child> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot"]);
    qemu.args(["-device", "i6300esb", "-action", "watchdog=reset", "-qmp", "stdio"]);
    qemu.arg("-serial").arg(format!("file:{}", console.display()));
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(archive);
    qemu.args(["-append", "console=ttyS0 panic=1 quiet"]);
    qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

/// A process that ends with the test.
struct Machine {
    child: Child,
    console: PathBuf,
}

impl Machine {
    fn console_text(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.console)?).replace('\r', ""))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
