//! Client of LUXI, the protocol of Ganeti's query daemon luxid: JSON over a Unix socket, with one byte 03h after each
//! message.
//!
//! Source: Ganeti's `lib/luxi.py`, `lib/rpc/transport.py`, `src/Ganeti/Luxi.hs`. Implements only the requests that
//! fencing and the roles need.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use serde_json::{Value, json};

use super::files::LUXI_SOCKET;
use crate::core::node::NodeName;
use crate::sys::clock::Deadline;

/// The byte that ends a message (`luxiEom`, `src/Ganeti/Constants.hs`).
const END: u8 = 3;

/// The protocol version in each request (`LUXI_VERSION` of Ganeti 3.0). luxid does not check it.
const VERSION: u64 = 3_000_000;

/// The most bytes that are read of an answer.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// The most bytes that are read of a list of all jobs, instances or nodes.
const LIST_LIMIT: usize = 64 * 1024 * 1024;

/// Returns whether luxid on this host answers and names `here` as the master.
///
/// After a crash, a former master still is the master by its own files. Its luxid does not start then.
#[must_use]
pub fn serves(here: &NodeName, deadline: Deadline) -> bool {
    let info = Luxi::connect(Path::new(LUXI_SOCKET), deadline).and_then(|mut luxi| luxi.cluster_info());
    info.is_ok_and(|info| info.get("master").and_then(Value::as_str) == Some(here.as_str()))
}

/// Returns when the luxid of this host started, in milliseconds since 1970, by its socket, which each luxid makes anew;
/// `None` without a socket.
#[must_use]
pub fn started_ms(socket: &Path) -> Option<u64> {
    let made = std::fs::symlink_metadata(socket).ok()?.modified().ok()?;
    u64::try_from(made.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The reason why a request to luxid failed.
#[derive(Debug, thiserror::Error)]
pub enum LuxiError {
    /// No process listens on the socket: this host is not the master, or its daemons are down.
    #[error("no luxid answers at {}: {error}", path.display())]
    Connect {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the connection.
        error: io::Error,
    },
    /// The request was sent and no answer arrived in time. Ganeti asks every master candidate before it confirms a job,
    /// and waits 5 s for each dead one (connect timeout in `lib/jqueue`). The job usually succeeds nevertheless.
    #[error("luxid has the request and has not confirmed it yet")]
    Unconfirmed,
    /// The query was sent and no answer arrived in time.
    #[error("luxid has not answered the query in time")]
    NoAnswer,
    /// The exchange failed, for example because luxid closed the connection.
    #[error("luxid closed the connection after the request: {0}")]
    Exchange(#[from] io::Error),
    /// The answer cannot be parsed or lacks what was asked for.
    #[error("luxid's answer cannot be read: {0}")]
    Answer(String),
    /// Ganeti rejected the request.
    #[error("Ganeti rejected the request: {0}")]
    Refused(String),
}

/// A connection to luxid.
#[derive(Debug)]
pub struct Luxi {
    stream: UnixStream,
    deadline: Deadline,
}

impl LuxiError {
    /// Returns whether no luxid is there. One that has no time to accept the connection is.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Connect { error, .. } if error.kind() != io::ErrorKind::WouldBlock)
    }
}

impl Luxi {
    /// Connects to luxid. Neither this call nor a later request waits past `deadline`, not even for a luxid that is
    /// stopped.
    ///
    /// # Errors
    /// [`LuxiError::Connect`] if luxid does not accept the connection in time.
    pub fn connect(path: &Path, deadline: Deadline) -> Result<Self, LuxiError> {
        let stream = open(path, deadline).map_err(|error| LuxiError::Connect { path: path.to_owned(), error })?;
        Ok(Self { stream, deadline })
    }

    /// Submits one job and returns its number.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails, Ganeti rejects the job, or the answer has no job number.
    pub fn submit_job(&mut self, opcodes: &[Value]) -> Result<u64, LuxiError> {
        let answer = self.call("SubmitJob", &json!([opcodes]))?;
        number_of(&answer).ok_or_else(|| LuxiError::Answer(format!("{answer} is not a job number")))
    }

    /// Submits jobs that belong together (`SubmitManyJobs`) and returns the number of the last one.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails; [`LuxiError::Refused`] if Ganeti rejects one of the jobs. Others may have
    /// been accepted then.
    pub fn submit_jobs(&mut self, jobs: &[Vec<Value>]) -> Result<u64, LuxiError> {
        if let [job] = jobs {
            return self.submit_job(job);
        }
        let mut last = Err(LuxiError::Answer("it has no job".to_owned()));
        for number in self.submit_each(jobs)? {
            last = Ok(number?);
        }
        last
    }

    /// Submits jobs in one request (`SubmitManyJobs`). Returns for each, in the order of `jobs`, its number, or
    /// [`LuxiError::Refused`] if Ganeti rejects it.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails, or the answer does not have one entry for each job. It is unknown then which
    /// jobs were accepted, unless the error is [`LuxiError::Refused`].
    pub fn submit_each(&mut self, jobs: &[Vec<Value>]) -> Result<Vec<Result<u64, LuxiError>>, LuxiError> {
        let answer = self.call("SubmitManyJobs", &json!([jobs]))?;
        let unreadable = || LuxiError::Answer(format!("{answer} is not a list of {} jobs", jobs.len()));
        // Each job has `[true, number]` or `[false, reason]`.
        let number = |job: &Value| match (job.get(0).and_then(Value::as_bool), job.get(1)) {
            (Some(true), Some(number)) => number_of(number).map(Ok).ok_or_else(unreadable),
            (Some(false), Some(reason)) => Ok(Err(LuxiError::Refused(reason.to_string()))),
            _ => Err(unreadable()),
        };
        let list = answer.as_array().filter(|list| list.len() == jobs.len()).ok_or_else(unreadable)?;
        list.iter().map(number).collect()
    }

    /// Returns luxid's description of the cluster (`QueryClusterInfo`), with the master under the key `master`.
    /// `gnt-cluster master-ping` sends the same request: a luxid that answers it serves the cluster.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails.
    pub fn cluster_info(&mut self) -> Result<Value, LuxiError> {
        self.call("QueryClusterInfo", &json!([]))
    }

    /// Checks that the daemon at the other end answers. wconfd uses the same frames and has this method
    /// (`src/Ganeti/WConfd/Core.hs`).
    ///
    /// # Errors
    /// [`LuxiError`] if the daemon does not answer.
    pub fn echo(&mut self) -> Result<(), LuxiError> {
        self.call("echo", &json!(["gnt-ha"])).map(drop)
    }

    /// Returns whether the job queue is drained, by gnt-ha or by an administrator.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails or the answer has no flag.
    pub fn is_drained(&mut self) -> Result<bool, LuxiError> {
        let answer = self.call("QueryConfigValues", &json!([["drain_flag"]]))?;
        let flag = answer.get(0).and_then(Value::as_bool);
        flag.ok_or_else(|| LuxiError::Answer(format!("{answer} does not show whether the queue is drained")))
    }

    /// Drains the job queue, or opens it again (`SetDrainFlag`).
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails or Ganeti rejects the request.
    pub fn set_drain_flag(&mut self, drain: bool) -> Result<(), LuxiError> {
        self.call("SetDrainFlag", &json!([drain])).map(drop)
    }

    /// Returns the number of jobs that run or wait for their locks.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails or the answer has no list of jobs.
    pub fn jobs_under_way(&mut self) -> Result<usize, LuxiError> {
        let filter = json!(["|", ["=", "status", "running"], ["=", "status", "waiting"]]);
        let answer = self.call("Query", &json!(["job", ["id"], filter]))?;
        answer
            .get("data")
            .and_then(Value::as_array)
            .map(Vec::len)
            .ok_or_else(|| LuxiError::Answer("it has no list of jobs".to_owned()))
    }

    /// Returns the state of the job with this number.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails or the answer does not contain the job.
    pub fn job_state(&mut self, number: u64) -> Result<JobState, LuxiError> {
        let answer = self.call("Query", &json!(["job", ["status", "opresult"], ["=", "id", number]]))?;
        JobState::read(&answer).ok_or_else(|| LuxiError::Answer(format!("it has no entry of job {number}")))
    }

    /// Cancels a job that has not started (`CancelJob`); a job that runs continues. Returns Ganeti's message.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails; [`LuxiError::Refused`] if the job is not cancelled.
    pub fn cancel_job(&mut self, number: u64) -> Result<String, LuxiError> {
        let answer = self.call("CancelJob", &json!([number, false]))?;
        match (answer.get(0).and_then(Value::as_bool), answer.get(1).and_then(Value::as_str)) {
            (Some(true), Some(text)) => Ok(text.to_owned()),
            (Some(false), Some(text)) => Err(LuxiError::Refused(text.to_owned())),
            _ => Err(LuxiError::Answer(format!("{answer} does not show whether it is cancelled"))),
        }
    }

    /// Sends one request to luxid and returns its result.
    ///
    /// # Errors
    /// [`LuxiError`] if the exchange fails, the time is over, Ganeti rejects the request, or the answer cannot be
    /// parsed.
    pub fn call(&mut self, method: &str, arguments: &Value) -> Result<Value, LuxiError> {
        self.call_up_to(ANSWER_LIMIT, method, arguments)
    }

    /// Sends a `Query` whose answer may be long: a list of all jobs, instances or nodes.
    ///
    /// # Errors
    /// [`LuxiError`] as for [`Luxi::call`], but [`LuxiError::NoAnswer`] if the time is over.
    pub fn query_large(&mut self, arguments: &Value) -> Result<Value, LuxiError> {
        self.call_up_to(LIST_LIMIT, "Query", arguments).map_err(|error| match error {
            LuxiError::Unconfirmed => LuxiError::NoAnswer,
            error => error,
        })
    }

    fn call_up_to(&mut self, limit: usize, method: &str, arguments: &Value) -> Result<Value, LuxiError> {
        let mut request = json!({"method": method, "args": arguments, "version": VERSION}).to_string().into_bytes();
        request.push(END);
        self.stream.set_write_timeout(Some(self.time()?))?;
        self.stream.write_all(&request)?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while answer.last() != Some(&END) {
            let Ok(time) = self.time() else { return Err(LuxiError::Unconfirmed) };
            self.stream.set_read_timeout(Some(time))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(n) => answer.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(LuxiError::Unconfirmed),
                Err(error) => return Err(error.into()),
            }
            if answer.len() > limit {
                return Err(LuxiError::Answer(format!("it has more than {limit} bytes")));
            }
        }
        answer.pop();
        result_of(&answer)
    }

    fn time(&self) -> io::Result<Duration> {
        let left = self.deadline.left();
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// Returns whether a process listens at `path`. Only connects, sends no request. A full backlog counts as a listener
/// that does not accept connections.
#[must_use]
pub fn is_listening(path: &Path, deadline: Deadline) -> bool {
    match open(path, deadline) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// The state of a job, as its caller needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The job waits or runs.
    UnderWay,
    /// The job ended with success: its changes are in Ganeti's configuration.
    Done,
    /// The job failed or was cancelled, with the reason.
    Failed(String),
    /// Ganeti has no such job any more.
    Gone,
}

impl JobState {
    /// Parses `{"data": [[[kind, status], [kind, results]]]}`. Kind 0 is a value; kind 3 means that there is no such
    /// job (`RSNormal`, `RSUnavail`: `src/Ganeti/Constants.hs`).
    fn read(answer: &Value) -> Option<Self> {
        let row = answer.get("data")?.as_array()?.first()?.as_array()?;
        let [status, results] = row.as_slice() else { return None };
        if status.get(0)?.as_u64()? != 0 {
            return Some(Self::Gone);
        }
        Some(match status.get(1)?.as_str()? {
            "success" => Self::Done,
            "error" | "canceled" => Self::Failed(failure_in(results.get(1).unwrap_or(&Value::Null))),
            _ => Self::UnderWay,
        })
    }
}

/// Returns the first error text in an opcode's result: `["OpPrereqError", ["why", "kind"]]`. An operation that timed
/// out reports an empty text: `["OpExecError", [""]]`.
fn failure_in(results: &Value) -> String {
    let error = |result: &Value| {
        let why = result.get(1)?.get(0)?.as_str()?;
        Some(if why.is_empty() { format!("{}, without a reason", result.get(0)?.as_str()?) } else { why.to_owned() })
    };
    let results = results.as_array().map(Vec::as_slice).unwrap_or_default();
    results.iter().find_map(error).unwrap_or_else(|| "it was cancelled, or failed without a reason".to_owned())
}

/// Parses a job number; newer versions of Ganeti send it as text.
fn number_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Parses `{"success": true, "result": ...}`. The result of a failure is `[ExceptionName, [arguments]]`.
fn result_of(answer: &[u8]) -> Result<Value, LuxiError> {
    let mut answer: Value = serde_json::from_slice(answer).map_err(|error| LuxiError::Answer(error.to_string()))?;
    let result = answer.get_mut("result").map(Value::take).unwrap_or_default();
    match answer.get("success").and_then(Value::as_bool) {
        Some(true) => Ok(result),
        Some(false) => Err(LuxiError::Refused(result.to_string())),
        None => Err(LuxiError::Answer("it does not report whether it succeeded".to_owned())),
    }
}

/// Connects without blocking and tries again until the deadline. A blocking connect would wait without end once the
/// backlog (5) of a stopped luxid is full.
fn open(path: &Path, deadline: Deadline) -> io::Result<UnixStream> {
    const CONNECT_INTERVAL: Duration = Duration::from_millis(20);
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let address = UnixAddr::new(path)?;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    loop {
        match connect(fd.as_raw_fd(), &address) {
            Ok(()) => break,
            Err(Errno::EAGAIN | Errno::EINTR) if !deadline.passed() => deadline.sleep(CONNECT_INTERVAL),
            Err(errno) => return Err(errno.into()),
        }
    }
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
