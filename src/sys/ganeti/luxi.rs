//! LUXI, the protocol of Ganeti's query daemon: a Unix socket, JSON, and one byte 03h after each message.
//!
//! Source: Ganeti's `lib/luxi.py`, `lib/rpc/transport.py`, `src/Ganeti/Luxi.hs`. Only what fencing and
//! the roles need.

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

/// The end of a message (`luxiEom`, `src/Ganeti/Constants.hs`).
const END: u8 = 3;

/// The version that is spoken (`LUXI_VERSION`: Ganeti 3.0; luxid does not look at it).
const VERSION: u64 = 3_000_000;

/// The most that is read of an answer, in bytes.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// Whether luxid here answers, and takes `here` for the master. A host that was lost as the master believes by its files that it still
/// is, and its luxid does not start.
#[must_use]
pub fn serves(here: &NodeName, deadline: Deadline) -> bool {
    let info = Luxi::connect(Path::new(LUXI_SOCKET), deadline).and_then(|mut luxi| luxi.cluster_info());
    info.is_ok_and(|info| info.get("master").and_then(Value::as_str) == Some(here.as_str()))
}

/// Why luxid did not take a request.
#[derive(Debug, thiserror::Error)]
pub enum LuxiError {
    /// Nobody listens there: this host is not the master, or its daemons are down.
    #[error("no luxid answers at {}: {error}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The request is out, the answer is not in yet. Ganeti asks every master candidate before it confirms a job, and
    /// waits 5 s for each that is dead (`lib/jqueue`, connect time-out): the job is usually done all the same.
    #[error("luxid has the request and has not confirmed it yet")]
    Unconfirmed,
    /// It hung up.
    #[error("luxid took the request and hung up: {0}")]
    Exchange(#[from] io::Error),
    /// The answer is no answer.
    #[error("luxid's answer cannot be read: {0}")]
    Answer(String),
    /// Ganeti refused.
    #[error("Ganeti refused: {0}")]
    Refused(String),
}

/// A connection to luxid.
#[derive(Debug)]
pub struct Luxi {
    stream: UnixStream,
    deadline: Deadline,
}

impl Luxi {
    /// Connects; nothing here waits past `deadline`, not even for a luxid that is stopped.
    ///
    /// # Errors
    /// [`LuxiError::Connect`].
    pub fn connect(path: &Path, deadline: Deadline) -> Result<Self, LuxiError> {
        let stream = open(path, deadline).map_err(|error| LuxiError::Connect { path: path.to_owned(), error })?;
        Ok(Self { stream, deadline })
    }

    /// Submits one job and returns its number.
    ///
    /// # Errors
    /// [`LuxiError`].
    pub fn submit_job(&mut self, opcodes: &[Value]) -> Result<u64, LuxiError> {
        let answer = self.call("SubmitJob", &json!([opcodes]))?;
        number_of(&answer).ok_or_else(|| LuxiError::Answer(format!("{answer} is no job number")))
    }

    /// Submits jobs that belong together (`SubmitManyJobs`) and returns the number of the last.
    ///
    /// # Errors
    /// [`LuxiError`]; [`LuxiError::Refused`] as soon as one was refused.
    pub fn submit_jobs(&mut self, jobs: &[Vec<Value>]) -> Result<u64, LuxiError> {
        if let [job] = jobs {
            return self.submit_job(job);
        }
        let answer = self.call("SubmitManyJobs", &json!([jobs]))?;
        let unreadable = || LuxiError::Answer(format!("{answer} is no list of jobs"));
        let mut last = Err(unreadable());
        // Each is [true, number] or [false, reason].
        for job in answer.as_array().ok_or_else(unreadable)? {
            last = match (job.get(0).and_then(Value::as_bool), job.get(1)) {
                (Some(true), Some(number)) => number_of(number).ok_or_else(unreadable),
                (Some(false), Some(reason)) => return Err(LuxiError::Refused(reason.to_string())),
                _ => return Err(unreadable()),
            };
        }
        last
    }

    /// What luxid says of the cluster (`QueryClusterInfo`), its master by the key `master`. It is what
    /// `gnt-cluster master-ping` asks: whoever answers it serves.
    ///
    /// # Errors
    /// [`LuxiError`].
    pub fn cluster_info(&mut self) -> Result<Value, LuxiError> {
        self.call("QueryClusterInfo", &json!([]))
    }

    /// Whether the daemon at the other end answers: wconfd speaks the same frames and has this method for it
    /// (`src/Ganeti/WConfd/Core.hs`).
    ///
    /// # Errors
    /// [`LuxiError`].
    pub fn echo(&mut self) -> Result<(), LuxiError> {
        self.call("echo", &json!(["gnt-ha"])).map(drop)
    }

    /// Whether the job queue is drained, by whomever.
    ///
    /// # Errors
    /// [`LuxiError`].
    pub fn is_drained(&mut self) -> Result<bool, LuxiError> {
        let answer = self.call("QueryConfigValues", &json!([["drain_flag"]]))?;
        let flag = answer.get(0).and_then(Value::as_bool);
        flag.ok_or_else(|| LuxiError::Answer(format!("{answer} does not tell whether the queue is drained")))
    }

    /// Drains the job queue, or lets it take jobs again (`SetDrainFlag`).
    ///
    /// # Errors
    /// [`LuxiError`].
    pub fn set_drain_flag(&mut self, drain: bool) -> Result<(), LuxiError> {
        self.call("SetDrainFlag", &json!([drain])).map(drop)
    }

    /// How many jobs are under way: running, or waiting for their locks.
    ///
    /// # Errors
    /// [`LuxiError`].
    pub fn jobs_under_way(&mut self) -> Result<usize, LuxiError> {
        let filter = json!(["|", ["=", "status", "running"], ["=", "status", "waiting"]]);
        let answer = self.call("Query", &json!(["job", ["id"], filter]))?;
        answer
            .get("data")
            .and_then(Value::as_array)
            .map(Vec::len)
            .ok_or_else(|| LuxiError::Answer("it holds no list of jobs".to_owned()))
    }

    /// What became of a job.
    ///
    /// # Errors
    /// [`LuxiError`].
    pub fn job_state(&mut self, number: u64) -> Result<JobState, LuxiError> {
        let answer = self.call("Query", &json!(["job", ["status", "opresult"], ["=", "id", number]]))?;
        JobState::read(&answer).ok_or_else(|| LuxiError::Answer(format!("it does not tell of job {number}")))
    }

    /// Cancels a job that has not begun (`CancelJob`; one that runs goes on). Returns what Ganeti says of it.
    ///
    /// # Errors
    /// [`LuxiError`]; [`LuxiError::Refused`] when it is not cancelled.
    pub fn cancel_job(&mut self, number: u64) -> Result<String, LuxiError> {
        let answer = self.call("CancelJob", &json!([number, false]))?;
        match (answer.get(0).and_then(Value::as_bool), answer.get(1).and_then(Value::as_str)) {
            (Some(true), Some(told)) => Ok(told.to_owned()),
            (Some(false), Some(told)) => Err(LuxiError::Refused(told.to_owned())),
            _ => Err(LuxiError::Answer(format!("{answer} does not tell whether it is cancelled"))),
        }
    }

    /// Asks anything of luxid.
    ///
    /// # Errors
    /// [`LuxiError`].
    pub fn call(&mut self, method: &str, arguments: &Value) -> Result<Value, LuxiError> {
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
            if answer.len() > ANSWER_LIMIT {
                return Err(LuxiError::Answer(format!("it has more than {ANSWER_LIMIT} bytes")));
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

/// Whether somebody listens at `path`: a look at the socket, no question. A full backlog has a listener behind it, who
/// does not take what comes.
#[must_use]
pub fn is_listening(path: &Path, deadline: Deadline) -> bool {
    match open(path, deadline) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits or runs.
    UnderWay,
    /// It succeeded.
    Done,
    /// It failed or was cancelled, and why.
    Failed(String),
    /// Ganeti does not know it any more.
    Gone,
}

impl JobState {
    /// Of `{"data": [[[kind, status], [kind, results]]]}`; kind 0 is an answer, 3 none as there is no such job
    /// (`RSNormal`, `RSUnavail`: `src/Ganeti/Constants.hs`).
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

/// The first text of an opcode's result that is an error: `["OpPrereqError", ["why", "kind"]]`. What an operation that took
/// too long says is nothing: `["OpExecError", [""]]`.
fn failure_in(results: &Value) -> String {
    let error = |result: &Value| {
        let why = result.get(1)?.get(0)?.as_str()?;
        Some(if why.is_empty() { format!("{}, and no word why", result.get(0)?.as_str()?) } else { why.to_owned() })
    };
    let results = results.as_array().map(Vec::as_slice).unwrap_or_default();
    results.iter().find_map(error).unwrap_or_else(|| "it was cancelled, or does not say why".to_owned())
}

/// A job's number; newer versions send it as text.
fn number_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// `{"success": true, "result": ...}`, or `[ExceptionName, [arguments]]` as the result of a failure.
fn result_of(answer: &[u8]) -> Result<Value, LuxiError> {
    let mut answer: Value = serde_json::from_slice(answer).map_err(|error| LuxiError::Answer(error.to_string()))?;
    let result = answer.get_mut("result").map(Value::take).unwrap_or_default();
    match answer.get("success").and_then(Value::as_bool) {
        Some(true) => Ok(result),
        Some(false) => Err(LuxiError::Refused(result.to_string())),
        None => Err(LuxiError::Answer("it does not say whether it succeeded".to_owned())),
    }
}

/// A blocking connect would wait for ever once a stopped luxid's backlog (5) is full; this one is asked again.
fn open(path: &Path, deadline: Deadline) -> io::Result<UnixStream> {
    const PAUSE: Duration = Duration::from_millis(20);
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let address = UnixAddr::new(path)?;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    loop {
        match connect(fd.as_raw_fd(), &address) {
            Ok(()) => break,
            Err(Errno::EAGAIN | Errno::EINTR) if !deadline.passed() => deadline.sleep(PAUSE),
            Err(errno) => return Err(errno.into()),
        }
    }
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, bind, listen};
    use std::os::unix::net::UnixListener;

    fn served(answer: &'static [u8]) -> Result<u64, LuxiError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("luxi");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while byte != [END] {
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            let _ = stream.write_all(answer);
            request
        });
        let result =
            Luxi::connect(&path, Deadline::after(Duration::from_secs(5)))?.submit_job(&[json!({"OP_ID": "X"})]);
        let request = server.join().unwrap();
        let request: Value = serde_json::from_slice(&request[..request.len() - 1]).unwrap();
        assert_eq!(request["args"], json!([[{"OP_ID": "X"}]]));
        result
    }

    #[test]
    fn a_job_is_submitted() {
        assert_eq!(served(b"{\"success\": true, \"result\": 42}\x03").unwrap(), 42);
        assert_eq!(served(b"{\"success\": true, \"result\": \"7\"}\x03").unwrap(), 7);
    }

    #[test]
    fn refusals_and_broken_answers_are_told_apart() {
        let refused = served(b"{\"success\": false, \"result\": [\"GenericError\", [\"Queue drained\"]]}\x03");
        assert!(matches!(refused, Err(LuxiError::Refused(why)) if why.contains("Queue drained")));
        assert!(matches!(served(b"{\"success\": tr\x03"), Err(LuxiError::Answer(_))));
        assert!(matches!(served(b"{\"result\": 1}\x03"), Err(LuxiError::Answer(_))));
        assert!(matches!(served(b"{\"success\": true"), Err(LuxiError::Exchange(_))));
    }

    /// As luxid 3.0.2 answers.
    #[test]
    fn what_became_of_a_job_is_told() {
        let state = |row: Value| JobState::read(&json!({"fields": [], "data": [row]}));
        let failed = json!([[0, "error"], [0, [["OpPrereqError", ["Node n9 not known", "unknown_entity"]], null]]]);
        assert_eq!(state(failed), Some(JobState::Failed("Node n9 not known".to_owned())));
        let silent = json!([[0, "error"], [0, [["OpExecError", [""]]]]]);
        assert_eq!(state(silent), Some(JobState::Failed("OpExecError, and no word why".to_owned())));
        assert_eq!(state(json!([[0, "success"], [0, [[["offline", "True"]]]]])), Some(JobState::Done));
        assert_eq!(state(json!([[0, "running"], [0, [null]]])), Some(JobState::UnderWay));
        assert_eq!(state(json!([[3, null], [3, null]])), Some(JobState::Gone));
        assert!(matches!(state(json!([[0, "canceled"], [0, [null]]])), Some(JobState::Failed(_))));
        for bad in [json!([]), json!([[0, 1], [0, null]]), json!(null)] {
            assert_eq!(state(bad), None);
        }
    }

    #[test]
    fn nobody_there_is_an_error_at_once() {
        let gone = Luxi::connect(Path::new("/nonexistent/luxi"), Deadline::after(Duration::from_secs(60)));
        assert!(matches!(gone, Err(LuxiError::Connect { .. })));
    }

    /// A luxid that hangs while questions queue up is still there: what takes it for gone would leave it running.
    #[test]
    fn a_full_backlog_is_a_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("luxi");
        let soon = || Deadline::after(Duration::from_millis(50));
        assert!(!is_listening(&path, soon()));
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let mut waiting = Vec::new();
        while let Ok(connection) = Luxi::connect(&path, soon()) {
            waiting.push(connection);
            assert!(waiting.len() < 100, "a backlog without an end");
        }
        assert!(is_listening(&path, soon()));
        drop((listener, waiting));
        assert!(!is_listening(&path, soon()));
    }

    /// SIGSTOP of luxid: its backlog fills and a plain connect would hang past every deadline.
    #[test]
    fn a_stopped_luxid_does_not_hang_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("luxi");
        let _never_accepts = UnixListener::bind(&path).unwrap();
        let deadline = || Deadline::after(Duration::from_millis(50));
        let first = Luxi::connect(&path, deadline()).unwrap().submit_job(&[]);
        assert!(matches!(first, Err(LuxiError::Unconfirmed)));
    }
}
