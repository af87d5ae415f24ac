//! Pacemaker on this host: reads its state with `crm_mon`, whose XML is its stable interface, and changes it with its
//! tools.

pub mod cib;
pub mod cibadmin;
pub mod fence;
pub mod standby;

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::clock::{Deadline, now};
use super::command::child::{ChildProcess, End};
use super::command::{ProgramError, run};
use super::procfs;
use crate::core::ganeti::oob::reason_in;
use crate::core::pacemaker::crm_mon::{BadCrmMon, CrmMon};
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::tree::BadCib;

/// The most bytes that are read of an answer. Each remote node adds about 15 kB to the state, as every member probes
/// its connection.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;

/// The kernel's name of Pacemaker's first process, on a member and on a remote node; it has at most 15 bytes.
const NAMES: [&str; 2] = ["(pacemakerd)", "(pacemaker-remot)"];

/// The reason why Pacemaker's state is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PacemakerError {
    /// Pacemaker does not run on this host; its tools would wait for it.
    #[error("Pacemaker does not run on this host")]
    NotHere,
    /// The tool is not installed, or cannot be started.
    #[error("cannot run {tool}: {error} (Debian: pacemaker-cli-utils)")]
    Start {
        /// The name of the tool.
        tool: &'static str,
        /// The error of the kernel.
        error: std::io::Error,
    },
    /// The tool failed or did not end in time.
    #[error("{tool} {how} (is it still starting? crm_mon --one-shot shows it)")]
    Failed {
        /// The name of the tool.
        tool: &'static str,
        /// How the tool ended, with the last line of its stderr.
        how: String,
    },
    /// The output of `crm_mon` cannot be parsed.
    #[error(transparent)]
    Answer(#[from] BadCrmMon),
    /// The output of `cibadmin` with the states of the nodes cannot be parsed.
    #[error("cannot parse the nodes' state in the output of cibadmin: {0}")]
    States(BadCib),
    /// Pacemaker has no state of the node, so the node's death cannot be simulated.
    #[error("Pacemaker has no state of a node {0} (crm_mon --one-shot shows the names that it knows)")]
    NoState(PacemakerName),
    /// A file that a tool is to read cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    File {
        /// The path of the file.
        path: std::path::PathBuf,
        /// The error of the file system.
        error: std::io::Error,
    },
}

/// Reads the nodes, the fence history and the host of the master role from `crm_mon`. If there are remote nodes, also
/// reads the states of the nodes with `cibadmin`.
///
/// # Errors
/// [`PacemakerError`] if Pacemaker does not run here, a tool fails, or its output cannot be parsed.
pub fn status(deadline: Deadline) -> Result<CrmMon, PacemakerError> {
    if started_ms().is_none() {
        return Err(PacemakerError::NotHere);
    }
    // Below level 3, crm_mon omits fencing that it takes for a repetition.
    let words = ["--one-shot", "--fence-history=3", "--output-as=xml"];
    let found = CrmMon::parse(&answer("crm_mon", &words, &[], &[], deadline)?)?;
    if found.remotes.is_empty() {
        return Ok(found);
    }
    let words = ["--query", "--no-children", "--xpath", "//node_state"];
    let states = answer("cibadmin", &words, &[], &[], deadline)?;
    found.with_states(&states).map_err(PacemakerError::States)
}

/// Runs one of Pacemaker's tools and returns its stdout.
///
/// # Errors
/// [`PacemakerError::Start`] if the tool cannot be started, [`PacemakerError::Failed`] if it fails, times out or prints
/// too much.
fn answer(
    tool: &'static str,
    words: &[&str],
    environment: &[(&str, String)],
    stdin: &[u8],
    deadline: Deadline,
) -> Result<String, PacemakerError> {
    let arguments: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    let ended = ChildProcess {
        program: Path::new(tool),
        arguments: &arguments,
        stdin,
        environment,
        without: &[],
        guarded: false,
        deadline,
        linger: Duration::from_millis(100),
        output_limit: ANSWER_LIMIT,
    }
    .run()
    .map_err(|error| PacemakerError::Start { tool, error })?;
    if ended.end != End::Exited(0) || ended.flooded {
        let reason = reason_in(&ended.stderr).map(|reason| format!(": {reason}")).unwrap_or_default();
        return Err(PacemakerError::Failed { tool, how: format!("{:?}{reason}", ended.end) });
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// Sets the promotion score of `resource` on `node`, or on this node; without a score, deletes it (crm_attribute(8)).
///
/// # Errors
/// [`ProgramError`] if `crm_attribute` cannot be started, fails or times out.
pub fn offer(
    resource: &str,
    node: Option<&PacemakerName>,
    score: Option<i32>,
    deadline: Deadline,
) -> Result<(), ProgramError> {
    let promotion = format!("--promotion={resource}");
    let number = score.map(|score| score.to_string()).unwrap_or_default();
    let mut words = vec![promotion.as_str()];
    match score {
        Some(_) => words.extend(["-v", &number]),
        None => words.push("-D"),
    }
    if let Some(node) = node {
        words.extend(["--node", node.as_str()]);
    }
    run(Path::new("crm_attribute"), &words, &[], deadline).map(drop)
}

/// Sets or deletes a transient attribute of this node (attrd_updater(8)). Pacemaker deletes it when the node leaves.
///
/// # Errors
/// [`ProgramError`] if `attrd_updater` cannot be started, fails or times out.
pub fn set_attribute(name: &str, value: Option<&str>, deadline: Deadline) -> Result<(), ProgramError> {
    // The value is part of the option: attrd_updater parses a separate word -INFINITY as options.
    let change = value.map_or_else(|| "--delete".to_owned(), |value| format!("--update={value}"));
    run(Path::new("attrd_updater"), &["--name", name, &change], &[], deadline).map(drop)
}

/// Moves `resource` to `node` by constraints that end after one minute; until then the resource cannot return. Also
/// bans the current node (`--force`): an infinite stickiness, as in Ganeti's examples, is as strong as a preference.
///
/// # Errors
/// [`ProgramError`] if `crm_resource` cannot be started, fails or times out.
pub fn prefer(resource: &str, node: &PacemakerName, deadline: Deadline) -> Result<(), ProgramError> {
    const LIFETIME: &str = "--lifetime=PT1M";
    let words = ["--move", "--resource", resource, "--node", node.as_str(), LIFETIME, "--force"];
    run(Path::new("crm_resource"), &words, &[], deadline).map(drop)
}

/// Deletes Pacemaker's history of `resource` on `node`, so that Pacemaker probes it again.
///
/// # Errors
/// [`ProgramError`] if `crm_resource` cannot be started, fails or times out.
pub fn refresh(resource: &str, node: &PacemakerName, deadline: Deadline) -> Result<(), ProgramError> {
    let words = ["--refresh", "--resource", resource, "--node", node.as_str()];
    run(Path::new("crm_resource"), &words, &[], deadline).map(drop)
}

/// Returns whether a process is Pacemaker's first one, by the content of its `/proc/PID/stat`.
fn is_pacemaker(stat: &str) -> bool {
    NAMES.iter().any(|name| stat.contains(name))
}

/// Returns the start time of Pacemaker on this host by the wall clock, in ms since 1970; `None` if Pacemaker does not
/// run here.
#[must_use]
pub fn started_ms() -> Option<u64> {
    let at = now();
    let stat = procfs::find(|dir| {
        let stat = std::fs::read_to_string(dir.join("stat")).ok()?;
        is_pacemaker(&stat).then_some(stat)
    })?;
    // Field 22 is counted from behind the name, which may contain blanks (proc_pid_stat(5)); it is in ticks since boot.
    let ticks: u64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    let since_boot_ms = ticks.saturating_mul(1000) / u64::try_from(per_second).ok()?;
    Some(at.wall_ms.saturating_sub(at.boottime_ms.saturating_sub(since_boot_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel keeps 15 bytes of a program's name (proc_pid_comm(5)). On a remote node the program is
    /// `pacemaker-remoted`.
    #[test]
    fn pacemaker_is_known_by_what_the_kernel_keeps_of_its_name() {
        let stat = |program: &str| format!("812 ({}) S 1 812", &program[..program.len().min(15)]);
        assert!(is_pacemaker(&stat("pacemakerd")) && is_pacemaker(&stat("pacemaker-remoted")));
        for other in ["pacemaker-fenced", "pacemaker-attrd", "pacemaker-controld", "corosync"] {
            assert!(!is_pacemaker(&stat(other)), "{other}");
        }
    }
}
