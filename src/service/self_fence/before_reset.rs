//! Stops instances before the watchdog resets the host, and writes the reason to the console and the logs.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sys::clock::Deadline;
use crate::sys::command::run;
use crate::sys::log::warn_system;
use crate::sys::output;

/// The directory of the pid files of KVM instances (`lib/hypervisor/hv_kvm`, `_PIDS_DIR`).
const KVM: &str = "/run/ganeti/kvm-hypervisor/pid";

/// Kills the KVM instances of this host at once, then runs `program`, which stops others.
pub(super) fn stop_instances(program: Option<&Path>, deadline: Deadline) {
    for entry in fs::read_dir(KVM).into_iter().flatten().flatten() {
        let pid = fs::read_to_string(entry.path()).ok().and_then(|text| text.trim().parse::<i32>().ok());
        // A file that is left over may name another process by now.
        let is_instance = |pid: i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let name = entry.file_name();
            words.split(|byte| *byte == 0).any(|word| word == name.as_encoded_bytes())
        };
        if let Some(pid) = pid.filter(|pid| *pid > 1 && is_instance(*pid)) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    if let Some(program) = program
        && let Err(error) = run(program, &[], &[], deadline)
    {
        log_everywhere(&format!("before the reset: {error}"));
    }
}

/// Writes a line to the console, to the kernel's log, to the system's log and to stderr.
pub(super) fn log_everywhere(line: &str) {
    output::to_console(&format!("gnt-ha self-fence: {line}"));
    warn_system("gnt-ha", &format!("self-fence: {line}"));
    output::print_error(&format!("gnt-ha: self-fencing: {line}"));
}
