//! Calls a procedure of noded on many nodes at once, by the program `noded-call`. Whether a procedure changes something
//! is the caller's matter.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::ganeti::oob::is_ours;
use crate::core::node::NodeName;
use crate::core::paths;
use crate::sys::clock::{Deadline, millis};
use crate::sys::command::child::{ChildProcess, End};
use crate::sys::tcp_check::NODED_PORT;

/// The most that a connection to a noded may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The most that is read of all answers together, in bytes.
const ANSWER_BYTES_MOST: usize = 64 * 1024 * 1024;

/// One call to the noded of one node.
#[derive(Clone, Debug)]
pub struct NodedCall {
    /// The address of the node.
    pub address: IpAddr,
    /// The arguments of the procedure.
    pub arguments: Value,
}

/// The reason why a call has no payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// `noded-call` did not run, or failed.
    #[error("noded cannot be asked: {0}")]
    NotRun(String),
    /// noded ran the procedure, which failed.
    #[error("{0}")]
    Procedure(String),
    /// noded did not answer, or answered with an error of its own.
    #[error("{0}")]
    Transport(String),
    /// The answer has neither a payload nor an error.
    #[error("its answer is empty")]
    Empty,
}

/// One line of the program's output: the answer of one node.
#[derive(Deserialize)]
struct Line {
    node: NodeName,
    #[serde(default)]
    ok: Option<Value>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    source: Source,
    message: String,
}

/// Where a call failed.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    /// In the procedure: noded has answered.
    Noded,
    /// Before noded answered, or in its answer.
    Transport,
}

/// Makes the calls, with this host's certificate in `data_dir`, and returns when each has ended or the deadline is over.
/// A node that has not answered until then has no entry.
#[must_use]
pub fn call_all(
    data_dir: &Path,
    procedure: &str,
    calls: &BTreeMap<NodeName, NodedCall>,
    deadline: Deadline,
) -> BTreeMap<NodeName, Result<Value, CallError>> {
    if calls.is_empty() {
        return BTreeMap::new();
    }
    let timeout = deadline.left();
    let entry = |(node, call): (&NodeName, &NodedCall)| json!({"node": node, "address": call.address, "arguments": call.arguments});
    let request = json!({
        "certificate": data_dir.join("client.pem"), "ca": data_dir.join("server.pem"), "port": NODED_PORT,
        "procedure": procedure, "connect_timeout_ms": millis(CONNECT_TIMEOUT.min(timeout)), "timeout_ms": millis(timeout),
        "calls": calls.iter().map(entry).collect::<Vec<_>>(),
    });
    let request = request.to_string();
    let program = oob_program().with_file_name(Path::new(paths::NODED_CALL).file_name().unwrap_or_default());
    let inherited = inherited();
    let inherited: Vec<&str> = inherited.iter().map(String::as_str).collect();
    let job = ChildProcess {
        program: &program,
        arguments: &[],
        stdin: request.as_bytes(),
        environment: &[],
        without: &inherited,
        guarded: false,
        deadline: deadline.later(Duration::from_millis(200)),
        linger: Duration::from_millis(100),
        output_limit: ANSWER_BYTES_MOST,
    };
    let ended = match job.run() {
        Ok(ended) => ended,
        Err(error) => {
            let error = CallError::NotRun(format!("cannot run {}: {error}", program.display()));
            return calls.keys().map(|node| (node.clone(), Err(error.clone()))).collect();
        }
    };
    let lines = ended.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    let mut answers: BTreeMap<_, _> = lines.map(|line| (line.node.clone(), answer(line))).collect();
    if ended.end != End::Exited(0) {
        let error = CallError::NotRun(String::from_utf8_lossy(&ended.stderr).trim().to_owned());
        for node in calls.keys() {
            answers.entry(node.clone()).or_insert_with(|| Err(error.clone()));
        }
    }
    answers
}

fn answer(line: Line) -> Result<Value, CallError> {
    match (line.ok, line.error) {
        (Some(payload), _) => Ok(payload),
        (None, Some(Failure { source: Source::Noded, message })) => Err(CallError::Procedure(message)),
        (None, Some(Failure { source: Source::Transport, message })) => Err(CallError::Transport(message)),
        (None, None) => Err(CallError::Empty),
    }
}

/// Returns the path of `ganeti-oob`, which answers on each node: that of this process if it is `ganeti-oob`, else where
/// `make install` puts it.
pub(crate) fn oob_program() -> PathBuf {
    let own = std::env::current_exe().ok().filter(|path| is_ours(path));
    own.unwrap_or_else(|| PathBuf::from(paths::OOB_PROGRAM))
}

/// Returns the path of `redfish-call`, which is beside `ganeti-oob`.
pub(crate) fn redfish_call() -> PathBuf {
    oob_program().with_file_name(Path::new(paths::REDFISH_CALL).file_name().unwrap_or_default())
}

/// Returns the names of all environment variables but `LC_ALL`. libcurl and OpenSSL read some of them before our code
/// runs (`SSLKEYLOGFILE`, `OPENSSL_CONF`), and Pacemaker, noded or a login pass on their own environment.
pub(crate) fn inherited() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name != "LC_ALL").collect()
}
