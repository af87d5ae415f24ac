//! Pacemaker on this host: asked through `crm_mon`, whose XML is its stable interface.

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

/// The most that is read of an answer, in bytes. Each remote node adds some 15 kB to the configuration's state, as its connection is
/// probed on every member.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;

/// What its first process is called, on a member and on a remote node; the kernel keeps 15 bytes of a name.
const NAMES: [&str; 2] = ["(pacemakerd)", "(pacemaker-remot)"];

/// Why Pacemaker's state is not known.
#[derive(Debug, thiserror::Error)]
pub enum PacemakerError {
    /// It does not run: its tools would wait for it.
    #[error("Pacemaker does not run on this host")]
    NotHere,
    /// The tool is not there, or cannot be started.
    #[error("cannot run {tool}: {error} (Debian: pacemaker-cli-utils)")]
    Start {
        /// Which.
        tool: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// It ended with an error, or not at all.
    #[error("{tool} {how} (is it still starting? crm_mon --one-shot tells)")]
    Failed {
        /// Which.
        tool: &'static str,
        /// How it ended and what it said.
        how: String,
    },
    /// Its answer cannot be read.
    #[error(transparent)]
    Answer(#[from] BadCrmMon),
    /// The state of its nodes cannot be read.
    #[error("cannot use what cibadmin says of the nodes' state: {0}")]
    States(BadCib),
    /// Its death cannot be tried.
    #[error("Pacemaker has no state of a node {0} (crm_mon --one-shot shows the names that it knows)")]
    NoState(PacemakerName),
    /// A file that a tool is to read.
    #[error("cannot write {}: {error}", path.display())]
    File {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Asks for nodes, fence history and where the master role is.
///
/// # Errors
/// [`PacemakerError`].
pub fn status(deadline: Deadline) -> Result<CrmMon, PacemakerError> {
    if started_ms().is_none() {
        return Err(PacemakerError::NotHere);
    }
    // Below level 3 crm_mon leaves out fencing that it takes for the same as another.
    let words = ["--one-shot", "--fence-history=3", "--output-as=xml"];
    let found = CrmMon::parse(&answer("crm_mon", &words, &[], &[], deadline)?)?;
    if found.remotes.is_empty() {
        return Ok(found);
    }
    let words = ["--query", "--no-children", "--xpath", "//node_state"];
    let states = answer("cibadmin", &words, &[], &[], deadline)?;
    found.with_states(&states).map_err(PacemakerError::States)
}

/// What one of Pacemaker's tools answers.
///
/// # Errors
/// [`PacemakerError`].
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

/// Offers `node`, or this one, for promotion with `score`, or no more (crm_attribute(8)).
///
/// # Errors
/// [`ProgramError`].
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

/// Sets this node's transient attribute, or takes it away (attrd_updater(8)): it is gone by itself when the node leaves.
///
/// # Errors
/// [`ProgramError`].
pub fn set_attribute(name: &str, value: Option<&str>, deadline: Deadline) -> Result<(), ProgramError> {
    // One word: as a word of its own -INFINITY is taken for options.
    let change = value.map_or_else(|| "--delete".to_owned(), |value| format!("--update={value}"));
    run(Path::new("attrd_updater"), &["--name", name, &change], &[], deadline).map(drop)
}

/// Has Pacemaker move `resource` to `node`, by constraints that end after a minute: until then it cannot come back. An
/// infinite stickiness, as Ganeti's examples have it, is as strong as a preference: the present place is banned as well
/// (`--force`).
///
/// # Errors
/// [`ProgramError`].
pub fn prefer(resource: &str, node: &PacemakerName, deadline: Deadline) -> Result<(), ProgramError> {
    const LIFETIME: &str = "--lifetime=PT1M";
    let words = ["--move", "--resource", resource, "--node", node.as_str(), LIFETIME, "--force"];
    run(Path::new("crm_resource"), &words, &[], deadline).map(drop)
}

/// Has Pacemaker forget what it knows of `resource` on `node`, and look again.
///
/// # Errors
/// [`ProgramError`].
pub fn refresh(resource: &str, node: &PacemakerName, deadline: Deadline) -> Result<(), ProgramError> {
    let words = ["--refresh", "--resource", resource, "--node", node.as_str()];
    run(Path::new("crm_resource"), &words, &[], deadline).map(drop)
}

/// Whether a process is Pacemaker's first one, by its line in `/proc/PID/stat`.
fn is_pacemaker(stat: &str) -> bool {
    NAMES.iter().any(|name| stat.contains(name))
}

/// When Pacemaker started on this host, in milliseconds since 1970; none if it does not run here.
#[must_use]
pub fn started_ms() -> Option<u64> {
    let at = now();
    let stat = procfs::find(|folder| {
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        is_pacemaker(&stat).then_some(stat)
    })?;
    // Field 22, counted from behind the name, which may hold blanks (proc_pid_stat(5)); in ticks since boot.
    let ticks: u64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    let since_boot_ms = ticks.saturating_mul(1000) / u64::try_from(per_second).ok()?;
    Some(at.wall_ms.saturating_sub(at.boottime_ms.saturating_sub(since_boot_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel keeps 15 bytes of a program's name (proc_pid_comm(5)): on a remote node Pacemaker is `pacemaker-remoted`.
    #[test]
    fn pacemaker_is_known_by_what_the_kernel_keeps_of_its_name() {
        let stat = |program: &str| format!("812 ({}) S 1 812", &program[..program.len().min(15)]);
        assert!(is_pacemaker(&stat("pacemakerd")) && is_pacemaker(&stat("pacemaker-remoted")));
        for other in ["pacemaker-fenced", "pacemaker-attrd", "pacemaker-controld", "corosync"] {
            assert!(!is_pacemaker(&stat(other)), "{other}");
        }
    }
}
