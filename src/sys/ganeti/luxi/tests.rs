//! Tests the client of LUXI against listeners that answer as each test needs.

use super::*;
use nix::sys::socket::{Backlog, bind, listen};
use std::os::unix::net::UnixListener;

fn served(answer: &'static [u8]) -> Result<u64, LuxiError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("luxi");
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
    let result = Luxi::connect(&path, Deadline::after(Duration::from_secs(5)))?.submit_job(&[json!({"OP_ID": "X"})]);
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

/// Of several jobs each has its own number or refusal, and an answer with too few is not usable.
#[test]
fn each_job_of_a_request_has_its_answer() {
    let submitted = |answer: &'static [u8]| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("luxi");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0];
            while byte != [END] {
                stream.read_exact(&mut byte).unwrap();
            }
            stream.write_all(answer).unwrap();
        });
        let jobs = vec![vec![json!({"OP_ID": "X"})]; 2];
        let mut luxi = Luxi::connect(&path, Deadline::after(Duration::from_secs(5))).unwrap();
        let result = luxi.submit_each(&jobs);
        server.join().unwrap();
        result
    };
    let both = submitted(b"{\"success\": true, \"result\": [[true, 7], [false, \"queue is full\"]]}\x03").unwrap();
    assert!(matches!(both.as_slice(), [Ok(7), Err(LuxiError::Refused(_))]), "{both:?}");
    let one = submitted(b"{\"success\": true, \"result\": [[true, 7]]}\x03");
    assert!(matches!(one, Err(LuxiError::Answer(_))), "{one:?}");
}

#[test]
fn refusals_and_broken_answers_are_distinguished() {
    let refused = served(b"{\"success\": false, \"result\": [\"GenericError\", [\"Queue drained\"]]}\x03");
    assert!(matches!(refused, Err(LuxiError::Refused(why)) if why.contains("Queue drained")));
    assert!(matches!(served(b"{\"success\": tr\x03"), Err(LuxiError::Answer(_))));
    assert!(matches!(served(b"{\"result\": 1}\x03"), Err(LuxiError::Answer(_))));
    assert!(matches!(served(b"{\"success\": true"), Err(LuxiError::Exchange(_))));
}

/// The answers are those of luxid 3.0.2.
#[test]
fn what_became_of_a_job_is_reported() {
    let state = |row: Value| JobState::read(&json!({"fields": [], "data": [row]}));
    let failed = json!([[0, "error"], [0, [["OpPrereqError", ["Node n9 not known", "unknown_entity"]], null]]]);
    assert_eq!(state(failed), Some(JobState::Failed("Node n9 not known".to_owned())));
    let silent = json!([[0, "error"], [0, [["OpExecError", [""]]]]]);
    assert_eq!(state(silent), Some(JobState::Failed("OpExecError, without a reason".to_owned())));
    assert_eq!(state(json!([[0, "success"], [0, [[["offline", "True"]]]]])), Some(JobState::Done));
    assert_eq!(state(json!([[0, "running"], [0, [null]]])), Some(JobState::UnderWay));
    assert_eq!(state(json!([[3, null], [3, null]])), Some(JobState::Gone));
    assert!(matches!(state(json!([[0, "canceled"], [0, [null]]])), Some(JobState::Failed(_))));
    for bad in [json!([]), json!([[0, 1], [0, null]]), json!(null)] {
        assert_eq!(state(bad), None);
    }
}

#[test]
fn no_listener_is_an_error_at_once() {
    let gone = Luxi::connect(Path::new("/nonexistent/luxi"), Deadline::after(Duration::from_secs(60)));
    assert!(matches!(gone, Err(LuxiError::Connect { .. })));
}

/// A luxid that hangs while requests queue up still exists. A caller that took it for absent would leave it
/// running.
#[test]
fn a_full_backlog_is_a_listener() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("luxi");
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
    assert!(Luxi::connect(&path, soon()).is_err_and(|error| !error.is_absence()));
    drop((listener, waiting));
    assert!(Luxi::connect(&path, soon()).is_err_and(|error| error.is_absence()));
    assert!(!is_listening(&path, soon()));
}

/// After a SIGSTOP of luxid its backlog fills, and a plain connect would hang past every deadline.
#[test]
fn a_stopped_luxid_does_not_hang_us() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("luxi");
    let _never_accepts = UnixListener::bind(&path).unwrap();
    let deadline = || Deadline::after(Duration::from_millis(50));
    let first = Luxi::connect(&path, deadline()).unwrap().submit_job(&[]);
    assert!(matches!(first, Err(LuxiError::Unconfirmed)));
    let query = Luxi::connect(&path, deadline()).unwrap().query_large(&json!(["job", ["id"], null])).unwrap_err();
    assert_eq!(query.to_string(), "luxid has not answered the query in time");
}
