//! Runs the OOB programs of all nodes at once, for commands that only read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::clock::Deadline;
use super::command::child::{ChildProcess, End};
use super::oob_program::OobProgram;
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::{DEADLINE_VARIABLE, Status, reason_in};
use crate::core::node::NodeName;

/// The maximum number of OOB programs that run at once.
const AT_ONCE: usize = 32;

/// The most bytes that are read of our own program's output: enough for one line for each of a thousand nodes.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// How much earlier than the kill our own program is asked to end by itself.
const EXIT_MARGIN: Duration = Duration::from_millis(500);

/// The answer for each node, or the reason why there is none.
pub type Answers<T> = BTreeMap<NodeName, Result<T, String>>;

/// Returns the nodes whose OOB program can be run on this host, with the program. Includes nodes that are recorded
/// offline only if `offline`.
#[must_use]
pub fn programs(ganeti: &GanetiConfig, offline: bool) -> Vec<(NodeName, OobProgram)> {
    let wanted = ganeti.nodes().iter().filter(|node| offline || !node.offline);
    wanted.filter_map(|node| Some((node.name.clone(), OobProgram::find(node.oob_program.as_ref()?).ok()?))).collect()
}

/// Asks each node's OOB program for the power state.
#[must_use]
pub fn power(nodes: &[(NodeName, OobProgram)], deadline: Deadline) -> Answers<Status> {
    ask(nodes, |node, program| program.status(node, deadline).map_err(|error| error.to_string()))
}

/// Calls `question` for each node, at most 32 at a time. Each node has an answer or a reason.
pub fn ask<T: Send>(
    nodes: &[(NodeName, OobProgram)],
    question: impl Fn(&NodeName, &OobProgram) -> Result<T, String> + Sync,
) -> Answers<T> {
    let mut found = BTreeMap::new();
    for some in nodes.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let ask = |(node, program): &(NodeName, OobProgram)| {
                let (node, program, question) = (node.clone(), program.clone(), &question);
                let one = move || {
                    let answer = question(&node, &program);
                    (node, answer)
                };
                std::thread::Builder::new().spawn_scoped(scope, one).ok()
            };
            let asked: Vec<_> = some.iter().filter_map(ask).collect();
            found.extend(asked.into_iter().filter_map(|one| one.join().ok()));
        });
    }
    // A node that could not be asked is not known to work.
    for (node, _) in nodes {
        found
            .entry(node.clone())
            .or_insert_with(|| Err("it could not be asked: this host has no thread to spare".to_owned()));
    }
    found
}

/// Runs one of the commands of `ganeti-oob` itself and parses its output as JSON.
///
/// # Errors
/// One line with the reason, if the program fails, times out, or prints too much or no valid JSON.
pub fn ask_ours<T: DeserializeOwned>(program: &Path, words: &[&str], deadline: Deadline) -> Result<T, String> {
    // It is run as root, and its answers count.
    OobProgram::find(program).map_err(|error| error.to_string())?;
    let arguments: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    let seconds = deadline.left().saturating_sub(EXIT_MARGIN).as_secs_f64();
    let what = format!("{} {}", program.display(), words.first().unwrap_or(&""));
    let ended = ChildProcess {
        program,
        arguments: &arguments,
        stdin: &[],
        environment: &[(DEADLINE_VARIABLE, format!("{seconds:.3}"))],
        without: &[],
        guarded: false,
        deadline,
        linger: Duration::from_millis(100),
        output_limit: ANSWER_LIMIT,
    }
    .run()
    .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    match ended.end {
        End::Exited(0) if ended.flooded => Err(format!("{what} printed more than {ANSWER_LIMIT} bytes")),
        End::Exited(0) => {
            serde_json::from_slice(&ended.stdout).map_err(|error| format!("cannot parse the output of {what}: {error}"))
        }
        End::TimedOut => Err(format!("{what} did not end in time")),
        end => Err(reason_in(&ended.stderr).unwrap_or_else(|| format!("{what} ended with {end:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::survey::DeviceAnswer;
    use std::os::unix::fs::PermissionsExt;

    fn program(body: &str) -> tempfile::TempPath {
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn ask_it(body: &str) -> Result<Vec<DeviceAnswer>, String> {
        ask_ours(&program(body), &["devices", "n1.lab"], Deadline::after(Duration::from_secs(5)))
    }

    /// In a large cluster the survey is longer than the output that is kept of a program that changes something.
    #[test]
    fn a_long_answer_is_read_whole_and_anything_else_is_no_answer() {
        let one = r#"{"level": 1, "device": "bmc", "power": "on", "text": "on"}"#;
        let many = format!("echo '['; n=0; while [ $n -lt 1000 ]; do echo '{one},'; n=$((n+1)); done; echo '{one}]'");
        assert_eq!(ask_it(&many).unwrap().len(), 1001);
        assert_eq!(
            ask_it("echo 'ganeti-oob: n1.lab: no such device' >&2; exit 1").unwrap_err(),
            "ganeti-oob: n1.lab: no such device"
        );
        assert!(ask_it("echo {}").unwrap_err().contains("cannot parse the output of"));
        let path = program("echo '[]'");
        let mode = std::os::unix::fs::PermissionsExt::from_mode;
        std::fs::set_permissions(&path, mode(0o775)).unwrap();
        let asked =
            ask_ours::<Vec<DeviceAnswer>>(&path, &["devices", "n1.lab"], Deadline::after(Duration::from_secs(5)));
        assert!(asked.is_err(), "root runs no program that a group may write");
    }

    /// All programs run at once, and a failure of one does not affect another node.
    #[test]
    fn each_node_has_its_own_answer() {
        let path = program("[ $2 = n2.lab ] && exit 1; echo '{\"powered\": true}'");
        let found = OobProgram::find(&path).unwrap();
        let nodes: Vec<_> =
            ["n1.lab", "n2.lab"].map(|name| (NodeName::new(name).unwrap(), found.clone())).into_iter().collect();
        let said = power(&nodes, Deadline::after(Duration::from_secs(5)));
        let on: Vec<bool> = said.values().map(Result::is_ok).collect();
        assert_eq!(on, [true, false]);
    }
}
