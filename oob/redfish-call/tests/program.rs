//! `redfish-call` against servers that hang, flood, cut off and pretend: each call ends in time, with the right words and
//! without a secret.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bmc_responder::https::{Reply, Server, Speaks, healthy, system};
use serde_json::{Value, json};

const PASSWORD: &str = "secret16";

/// `fencing:secret16` in Base64.
const BASIC: &str = "ZmVuY2luZzpzZWNyZXQxNg==";

fn call(server: &Server, operation: &str) -> Value {
    json!({
        "address": "127.0.0.1", "port": server.port, "username": "fencing", "password": PASSWORD, "login": "basic",
        "trust": {"fingerprint": server.identity.fingerprint()}, "tls": "1.2",
        "choice": {"uri": null, "serial_number": null, "uuid": null}, "known": null, "chassis": true,
        "operation": operation, "timeout_ms": 2_000,
    })
}

fn run_with(call: &Value, environment: &[(&str, &str)]) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_redfish-call"))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(call.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    for secret in [PASSWORD, BASIC] {
        assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}{stderr}");
    }
    assert_eq!((stdout.lines().count(), stderr.as_str()), (1, ""));
    serde_json::from_str(&stdout).unwrap()
}

fn run(call: &Value) -> Value {
    run_with(call, &[])
}

#[track_caller]
fn fails(call: &Value, shows: &str, words: &str) {
    let outcome = run(call);
    assert_eq!(outcome["error"]["shows"], shows, "{outcome}");
    assert!(outcome["error"]["why"].as_str().unwrap().contains(words), "{outcome}");
}

/// Answers the system's path with bytes, and all others as a healthy BMC that is on.
fn answering(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| if request.line.ends_with("/Systems/1") { reply() } else { healthy(request, "On") })
}

fn power(outcome: &Value) -> &str {
    outcome["ok"]["power"]["power"].as_str().unwrap_or("unknown")
}

fn body(state: &str) -> String {
    system(state).to_string()
}

#[test]
fn a_healthy_bmc_is_read_and_switched_on_one_connection() {
    let server = Server::start(|request| healthy(request, "Off"));
    let outcome = run(&call(&server, "read"));
    assert_eq!(power(&outcome), "off", "{outcome}");
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
    let headers = server.requests()[0].headers.clone();
    for header in ["Accept: application/json", "OData-Version: 4.0", "Accept-Encoding: identity", BASIC] {
        assert!(headers.contains(header), "{headers}");
    }
    assert!(!headers.contains("Expect") && !headers.contains("If-Match"), "{headers}");
    let outcome = run(&call(&server, "switch_off"));
    assert!(outcome["ok"]["accepted"].is_object(), "{outcome}");
    let last = server.requests().pop().unwrap();
    assert_eq!(last.body, "{\"ResetType\":\"ForceOff\"}");
    assert!(last.headers.contains("Content-Type: application/json"), "{}", last.headers);
}

/// XCC and iDRAC answer in chunks, others close the connection at the end, iLO compresses unasked (community.general).
#[test]
fn each_form_of_a_complete_body_is_read() {
    let body = body("Off");
    let (one, two) = body.split_at(40);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    let interim =
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for text in [chunked, interim] {
        let server = answering(move || Reply::Raw(text.clone().into_bytes()));
        assert_eq!(power(&run(&call(&server, "read"))), "off");
    }
    let gzip = gzip(body.as_bytes());
    let mut packed =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", gzip.len()).into_bytes();
    packed.extend(gzip);
    let server = answering(move || Reply::Raw(packed.clone()));
    assert_eq!(power(&run(&call(&server, "read"))), "off");
}

/// Compresses with the program `gzip`.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.stdout
}

/// An "Off" in an answer that is not complete does not count.
#[test]
fn an_answer_that_was_cut_off_is_unknown() {
    let body = body("Off");
    let short = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len() + 1);
    let chunk = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len());
    let nothing = String::new();
    let no_http = format!("{body}\r\n");
    let status = "HTTP/1.1 200 OK\r\n".to_owned();
    for text in [short, chunk, nothing, no_http, status] {
        let shown = text.clone();
        let server = answering(move || Reply::Raw(text.clone().into_bytes()));
        let outcome = run(&call(&server, "read"));
        assert_eq!((power(&outcome), &outcome["error"]["shows"]), ("unknown", &json!("later")), "{shown}: {outcome}");
    }
}

/// V32: `fence_redfish` hangs for ever; a drip of bytes resets the timeout of Python's requests.
#[test]
fn a_call_ends_in_time_whatever_the_server_does() {
    let ok = || b"HTTP/1.1 200 OK\r\n".to_vec();
    let open = || b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n".to_vec();
    let servers = [
        answering(|| Reply::Hang(Vec::new())),
        answering(move || Reply::Hang(ok())),
        answering(move || Reply::Drip(open())),
        answering(|| Reply::Drip(b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec())),
        Server::speaking(Speaks::Nothing, |request| healthy(request, "On")),
    ];
    for (number, server) in servers.iter().enumerate() {
        let begun = Instant::now();
        let mut call = call(server, "read");
        // Long enough to count a silent BMC as one without power: a connection that hangs shows that it has power.
        call["timeout_ms"] = json!(5_500);
        fails(&call, "later", "does not answer within");
        assert!(begun.elapsed() < Duration::from_secs(30), "{number}");
    }
}

/// Answers without end, and small ones that become large.
#[test]
fn a_huge_answer_is_not_read() {
    let flood = || Reply::Flood(b"HTTP/1.1 200 OK\r\n\r\n{\"PowerState\":\"Off\",\"x\":\"".to_vec(), vec![b'x'; 65536]);
    let headers = || Reply::Flood(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: 1\r\n".repeat(1000));
    let zeros = gzip(&vec![b' '; 64 * 1024 * 1024]);
    let bomb = move || {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", zeros.len())
            .into_bytes();
        bytes.extend(&zeros);
        Reply::Raw(bytes)
    };
    for server in [answering(flood), answering(headers), answering(bomb)] {
        fails(&call(&server, "read"), "later", "its answer is too long");
    }
}

/// With another key nothing is sent, not even the path; `check` prints what to pin.
#[test]
fn a_key_that_is_not_pinned_gets_nothing() {
    let server = Server::start(|request| healthy(request, "Off"));
    let other = Server::start(|request| healthy(request, "Off"));
    let pin = server.identity.fingerprint();
    let mut call = call(&server, "read");
    for trust in [json!({"fingerprint": other.identity.fingerprint()}), json!("system")] {
        call["trust"] = trust;
        fails(&call, "never", &format!("fingerprint = \"{pin}\""));
        assert!(server.requests().is_empty());
    }
    // One of two keys is enough while a certificate is replaced.
    call["trust"] = json!({"fingerprint": format!("{};{pin}", other.identity.fingerprint())});
    assert_eq!(power(&run(&call)), "off");
    call["trust"] = json!({"fingerprint": other.identity.fingerprint()});
    call["operation"] = json!("switch_off");
    fails(&call, "never", "has not the configured fingerprint");
}

/// With a file of authorities, the name must be that of the BMC, too.
#[test]
fn a_certificate_of_the_file_is_trusted_for_its_own_name_only() {
    let server = Server::start(|request| healthy(request, "Off"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, server.identity.pem()).unwrap();
    let mut call = call(&server, "read");
    call["trust"] = json!({"ca_file": file});
    assert_eq!(power(&run(&call)), "off");
    call["address"] = json!("localhost");
    fails(&call, "never", "its certificate is not trusted");
    call["trust"] = json!({"ca_file": dir.path().join("none")});
    fails(&call, "local", "");
}

/// BMCs of before 2018 speak TLS 1.0 only.
#[test]
fn old_tls_is_spoken_only_where_it_is_asked_for() {
    let server = Server::speaking(Speaks::OldTls, |request| healthy(request, "Off"));
    let mut call = call(&server, "read");
    fails(&call, "never", "tls = \"1.0\"");
    call["tls"] = json!("1.0");
    assert_eq!(power(&run(&call)), "off");
}

/// A redirect to another host is not even looked up: it would get the token or the password.
#[test]
fn another_host_gets_no_request() {
    let other = Server::start(|request| healthy(request, "Off"));
    let location = format!("https://127.0.0.1:{}/redfish/v1/Systems/1", other.port);
    let server = answering(move || {
        Reply::Raw(format!("HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes())
    });
    fails(&call(&server, "read"), "never", "not followed");
    assert_eq!(other.connections(), 0);
}

/// Proxies, key logs and certificates of the environment are not the BMC's.
#[test]
fn the_environment_changes_nothing() {
    let server = Server::start(|request| healthy(request, "Off"));
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, server.identity.pem()).unwrap();
    let environment = [
        ("https_proxy", "http://127.0.0.1:9"),
        ("ALL_PROXY", "http://127.0.0.1:9"),
        ("SSLKEYLOGFILE", keys.to_str().unwrap()),
        ("SSL_CERT_FILE", ca.to_str().unwrap()),
    ];
    assert_eq!(power(&run_with(&call(&server, "read"), &environment)), "off");
    // libcurl opens the file before the program runs, and the program starts again without it.
    assert!(std::fs::read(&keys).unwrap_or_default().is_empty());
    let mut system = call(&server, "read");
    system["trust"] = json!("system");
    assert_eq!(run_with(&system, &environment)["error"]["shows"], "never");
}

/// A server may send back what it got.
#[test]
fn an_answer_with_the_credentials_is_not_quoted() {
    let text = format!("you sent {PASSWORD} as {BASIC}");
    let server = answering(move || Reply::Json(500, json!({"error": {"message": text}})));
    fails(&call(&server, "read"), "later", "you sent *** as ***");
}

#[test]
fn a_session_is_opened_and_deleted() {
    let own = "/redfish/v1/SessionService/Sessions/1";
    let server = Server::start(move |request| match request.line.as_str() {
        "POST /redfish/v1/SessionService/Sessions" => Reply::Raw(
            format!("HTTP/1.1 201 x\r\nX-Auth-Token: tok\r\nLocation: {own}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
        ),
        line if line.starts_with("DELETE") => Reply::Json(204, Value::Null),
        _ if request.headers.contains("X-Auth-Token: tok") => healthy(request, "Off"),
        _ => Reply::Json(401, json!({})),
    });
    let mut call = call(&server, "read");
    call["login"] = json!("session");
    // The root is read without a login, and refused here: the usual path is used.
    assert_eq!(power(&run(&call)), "off");
    let requests = server.requests();
    assert_eq!(requests.last().unwrap().line, format!("DELETE {own}"));
    assert!(!requests.iter().any(|request| request.headers.contains("Authorization")));
}

#[test]
fn a_closed_port_and_an_unknown_name_differ_from_silence() {
    let server = Server::start(|request| healthy(request, "Off"));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut call = call(&server, "read");
    call["port"] = json!(free);
    fails(&call, "closed", "refuses connections");
    call["address"] = json!("no-such-host.invalid");
    fails(&call, "unheard", "name service");
}

/// A call that cannot be parsed is not quoted: it may have the password.
#[test]
fn a_broken_call_is_not_quoted() {
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_redfish-call")).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{{\"{PASSWORD}\": 1}}").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !stderr.contains(PASSWORD), "{stderr}");
    assert!(stderr.starts_with("redfish-call: cannot parse the call (line 1"), "{stderr}");
}

/// libcurl sends a request again where a connection that was used before breaks without an answer. A second "On" could
/// follow another host's "ForceOff".
#[test]
fn a_command_is_sent_once_where_the_connection_breaks() {
    let server =
        Server::start(
            |request| {
                if request.line.starts_with("POST") { Reply::Raw(Vec::new()) } else { healthy(request, "Off") }
            },
        );
    fails(&call(&server, "switch_on"), "later", "");
    let posts = server.requests().iter().filter(|request| request.line.starts_with("POST")).count();
    assert_eq!(posts, 1);
}

/// Plain HTTP on the port is a wrong port, and no old TLS.
#[test]
fn a_port_without_tls_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        }
    });
    let server = Server::start(|request| healthy(request, "Off"));
    let mut call = call(&server, "read");
    call["port"] = json!(port);
    fails(&call, "never", &format!("port {port} does not speak TLS"));
}

/// A BMC with several certificates chooses one by the name: the fingerprint that is printed is that of the one libcurl sees.
#[test]
fn the_certificate_is_asked_for_by_the_same_name() {
    let server = Server::start(|request| healthy(request, "Off"));
    let mut call = call(&server, "read");
    call["address"] = json!("localhost");
    call["trust"] = json!("system");
    fails(&call, "never", "fingerprint = ");
    assert_eq!(server.names(), ["localhost", "localhost"]);
}

/// A core dump would have the password, also where a parent allows one.
#[test]
fn the_program_leaves_no_core_dump() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_redfish-call"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    let has_none = || {
        let text = std::fs::read_to_string(&limits).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        line.split_whitespace().filter(|word| *word == "0").count() == 2
    };
    let begun = Instant::now();
    while !has_none() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let is_right = has_none();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(is_right, "the hard limit for core dumps must be 0");
}

/// The kernel gives a host that does not answer ARP up after 3 s. A BMC without power is found silent all the same.
#[test]
fn a_host_that_is_not_on_its_network_gives_no_sign_of_life() {
    const NETWORK: &str = "ip link add name va type veth peer name vb && ip link set va up && ip link set vb up && ip addr add 192.0.2.1/24 dev va && exec";
    let namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", script]);
        command.args(["sh", env!("CARGO_BIN_EXE_redfish-call")]);
        command
    };
    if !namespace(&format!("{NETWORK} true")).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no namespaces: a network without the host is not tried");
        return;
    }
    // A route of this host that rejects at once shows nothing of the BMC.
    let rejected = NETWORK.replace("&& exec", "&& ip route add unreachable 192.0.2.7/32 && exec");
    for (network, timeout_ms, shows) in
        [(NETWORK, 9_000, "no_sign"), (NETWORK, 4_000, "unheard"), (rejected.as_str(), 9_000, "unheard")]
    {
        let call = json!({
            "address": "192.0.2.7", "port": 443, "username": "fencing", "password": PASSWORD, "login": "basic",
            "trust": "system", "tls": "1.2", "choice": {"uri": null, "serial_number": null, "uuid": null},
            "known": null, "chassis": true, "operation": "read", "timeout_ms": timeout_ms,
        });
        let mut child =
            namespace(&format!("{network} \"$1\"")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(call.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(outcome["error"]["shows"], shows, "{outcome}");
    }
}

/// The caller has resolved the name. The certificate must still be that of the name.
#[test]
fn an_address_that_the_caller_has_found_is_used() {
    let server = Server::start(|request| healthy(request, "On"));
    let mut call = call(&server, "read");
    call["address"] = json!("bmc.invalid");
    call["addresses"] = json!(["127.0.0.1"]);
    assert_eq!(power(&run(&call)), "on");
    assert_eq!(server.names(), ["bmc.invalid"]);
    call["trust"] = json!("system");
    fails(&call, "never", "not trusted");
}
