//! `noded-call` against nodeds that fail: every node has exactly one line, and only noded's own answer is `ok`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

mod noded;
mod pinned;

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use noded::{Identity, Noded, Pki};
use serde_json::{Value, json};

/// A procedure of Ganeti's that changes nothing (`lib/server/noded.py`, `perspective_version`).
const PROCEDURE: &str = "version";

struct Bench {
    pki: Pki,
    noded: Noded,
}

impl Bench {
    fn new() -> Self {
        let pki = Pki::new();
        let noded = Noded::start(&pki);
        Self { pki, noded }
    }

    /// The node's noded presents another certificate than the cluster's.
    fn showing(pki: Pki, identity: &Identity) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shown = dir.path().join("shown.pem");
        identity.write(&shown);
        let noded = Noded::shows(&shown, &pki);
        Self { pki, noded }
    }

    /// Returns a request to these nodes: node `n` is at 127.0.0.n, and its noded does what [`noded::Manner::of`] says.
    fn request(&self, nodes: &[u8]) -> Value {
        let call =
            |n: &u8| json!({"node": format!("n{n}.lab"), "address": format!("127.0.0.{n}"), "arguments": ["a", n]});
        json!({"certificate": self.pki.client(), "ca": self.pki.server(), "port": self.noded.port(), "procedure": PROCEDURE,
               "connect_timeout_ms": 5_000, "timeout_ms": 20_000, "calls": nodes.iter().map(call).collect::<Vec<_>>()})
    }
}

fn run(request: &Value, environment: &[(&str, &str)]) -> Output {
    run_text(request.to_string().as_bytes(), environment)
}

fn run_text(text: &[u8], environment: &[(&str, &str)]) -> Output {
    let child = Command::new(Path::new(env!("CARGO_BIN_EXE_noded-call")))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    feed(child, text)
}

/// Writes the input to `noded-call`, and returns its output. It may end before it has read everything.
fn feed(mut child: Child, text: &[u8]) -> Output {
    let _ = child.stdin.take().unwrap().write_all(text);
    child.wait_with_output().unwrap()
}

/// Returns each node's line, in the order of the nodes.
fn lines(output: &Output, nodes: &[u8]) -> Vec<Result<Value, String>> {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let answers = nodes.iter().map(|n| {
        let name = json!(format!("n{n}.lab"));
        let place = all.iter().position(|line| line["node"] == name).unwrap_or_else(|| panic!("no line of {name}"));
        let line = all.swap_remove(place);
        match line.get("ok") {
            Some(payload) => Ok(payload.clone()),
            None => Err(format!("{}: {}", text(&line["error"]["source"]), text(&line["error"]["message"]))),
        }
    });
    let answers = answers.collect();
    assert_eq!(all, Vec::<Value>::new(), "a line too many");
    answers
}

/// Rule: an unknown result is never a success.
#[test]
fn only_what_noded_says_is_ok() {
    let bench = Bench::new();
    let nodes = [1, 50, 51, 52, 53, 54, 55];
    let answers = lines(&run(&bench.request(&nodes), &[]), &nodes);
    assert_eq!(answers[0], Ok(json!(["a", 1])), "its arguments, in the body, come back");
    let why = |index: usize| answers[index].as_ref().unwrap_err().clone();
    assert!(why(1).starts_with("noded: it failed there: no such program"), "{}", why(1));
    assert!(why(2).starts_with("transport: ") && why(2).contains("HTTP 403"), "{}", why(2));
    assert!(why(3).contains("not valid JSON"), "{}", why(3));
    assert!(why(4).contains("cannot parse noded's answer"), "{}", why(4));
    assert!(why(5).starts_with("transport: noded cannot be asked"), "closed before it answered: {}", why(5));
    assert!(why(6).contains("HTTP 301"), "a redirect is not followed: {}", why(6));
}

/// An endless answer must not fill the memory of the host that fences.
#[test]
fn an_answer_that_is_too_large_is_none() {
    let bench = Bench::new();
    let answers = lines(&run(&bench.request(&[60, 1]), &[]), &[60, 1]);
    assert!(answers[0].as_ref().unwrap_err().starts_with("transport: noded cannot be asked"));
    assert!(answers[1].is_ok());
}

/// A node's answer is data: no control character of it, and no more than one line, is in our errors.
#[test]
fn an_error_with_the_answer_of_a_node_is_one_short_line() {
    let bench = Bench::new();
    let nodes = [56, 57, 58];
    for answer in lines(&run(&bench.request(&nodes), &[]), &nodes) {
        let why = answer.unwrap_err();
        assert!(why.contains("owned"), "{why:?}");
        assert!(!why.contains(char::is_control) && why.chars().count() < 500, "{why:?}");
    }
}

/// A node that hangs, or does not exist, costs the others only the timeout.
#[test]
fn one_that_is_silent_has_a_line_too() {
    let bench = Bench::new();
    let mut request = bench.request(&[61, 1]);
    request["timeout_ms"] = json!(300);
    let answers = lines(&run(&request, &[]), &[61, 1]);
    assert!(answers[0].as_ref().unwrap_err().starts_with("transport: noded cannot be asked"));
    assert!(answers[1].is_ok());
    // No program listens there any more.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut request = bench.request(&[1]);
    request["port"] = json!(closed);
    assert!(lines(&run(&request, &[]), &[1])[0].as_ref().unwrap_err().contains("noded cannot be asked"));
}

/// Each candidate may run any program as root on each node, so only a node may answer: `lib/rpc/node.py` verifies the
/// peer, too.
#[test]
fn a_noded_of_another_cluster_is_not_believed() {
    let bench = Bench::new();
    let other = Pki::new();
    let mut request = bench.request(&[1]);
    request["ca"] = json!(other.server());
    assert!(lines(&run(&request, &[]), &[1])[0].as_ref().unwrap_err().contains("noded cannot be asked"));
    assert_eq!(bench.noded.received(), 0, "it received a request");
}

/// `lib/server/noded.py` identifies candidates by the digest of their certificate.
#[test]
fn this_hosts_certificate_is_shown() {
    let bench = Bench::new();
    let other = Pki::new();
    let mut request = bench.request(&[1]);
    request["certificate"] = json!(other.client());
    assert!(lines(&run(&request, &[]), &[1])[0].as_ref().unwrap_err().contains("HTTP 403"));
}

/// A proxy of the environment must not get the requests to nodes, nor delay a fencing.
#[test]
fn no_proxy_is_asked() {
    let bench = Bench::new();
    let proxy = [
        ("https_proxy", "http://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ];
    assert!(lines(&run(&bench.request(&[1]), &proxy), &[1])[0].is_ok());
}

#[test]
fn a_hundred_nodes_have_a_hundred_lines() {
    let bench = Bench::new();
    let nodes: Vec<u8> = (100..200).collect();
    let answers = lines(&run(&bench.request(&nodes), &[]), &nodes);
    let payloads: Vec<Value> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(payloads, nodes.iter().map(|n| json!(["a", n])).collect::<Vec<_>>(), "each its own answer");
}

#[test]
fn what_is_no_request_is_an_error_and_calls_no_node() {
    let bench = Bench::new();
    let good = bench.request(&[1]);
    let changed = |key: &str, value: Value| {
        let mut request = good.clone();
        request[key] = value;
        request.to_string()
    };
    for bad in [
        String::new(),
        "{}".to_owned(),
        good.to_string()[..40].to_owned(),
        changed("procedure", json!("../version")),
        changed("procedure", json!("")),
        changed("procedure", json!("version?x")),
        changed("port", json!(70_000)),
        changed("calls", json!([{"node": "n1", "address": "n1.lab", "arguments": []}])),
        changed("verify", json!(false)),
    ] {
        let output = run_text(bad.as_bytes(), &[]);
        assert_eq!(output.status.code(), Some(1), "{bad}");
        assert!(output.stdout.is_empty() && output.stderr.starts_with(b"noded-call: "), "{bad}");
    }
    assert_eq!(bench.noded.received(), 0);
}
