//! Calls noded on many nodes at once by libcurl, and passes each answer on as it comes.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use curl::MultiError;
use curl::easy::{Easy2, Handler, HttpVersion, List, WriteError};
use curl::multi::{Easy2Handle, Multi};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pin::{Pin, PinError};

/// The most that is read of one answer, in bytes.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// The most that is read of all answers together, in bytes: our own programs accept as much.
const ANSWERS_LIMIT: usize = 64 * 1024 * 1024;

/// The most that a call may last, whatever the request asks for: Pacemaker has given up by then.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// The most that an error quotes of a node's answer, in characters.
const QUOTED_CHARACTERS: usize = 300;

/// The reason why no call was made, or why the answers end early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The name of the procedure could change the URL.
    #[error("{0:?} is not a procedure of noded")]
    Procedure(String),
    /// No host can be trusted.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// libcurl failed for all calls together.
    #[error("libcurl failed: {0}")]
    Curl(#[from] MultiError),
    /// The caller reads no further answer.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The reason why an answer was not printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// The reader of stdout has ended.
    #[error("the reader of the answers has ended")]
    Closed,
    /// The answer cannot be written as JSON.
    #[error("cannot write an answer as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// stdout cannot be written.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[from] std::io::Error),
}

/// The reason why a call has no payload.
#[derive(Debug, thiserror::Error)]
enum CallError {
    /// noded received the call, and the procedure failed.
    #[error("it failed there: {0}")]
    Procedure(String),
    /// The call could not be prepared, connected or completed.
    #[error("noded cannot be asked: {}{}", .0.description(), .0.extra_description().map(|more| format!(": {}", quoted(more.as_bytes()))).unwrap_or_default())]
    Transport(#[from] curl::Error),
    /// The call could not be added to the others.
    #[error("noded cannot be asked: {0}")]
    Added(#[from] MultiError),
    /// noded, or a program in its place, answered with an error of HTTP.
    #[error("noded answered with HTTP {code}: {body}")]
    Http {
        /// The status code of HTTP.
        code: u32,
        /// The beginning of the body.
        body: String,
    },
    /// The body is not JSON.
    #[error("noded's answer is not valid JSON ({error}): {body}")]
    Json {
        /// The error of the parser.
        error: serde_json::Error,
        /// The beginning of the body.
        body: String,
    },
    /// The body is JSON of another form.
    #[error("cannot parse noded's answer: {0}")]
    Form(String),
    /// libcurl reported no end of the call.
    #[error("the call did not end")]
    Unended,
}

/// The request on stdin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// This host's certificate and key, in one file.
    certificate: PathBuf,
    /// The file with the cluster's own certificate, which every noded presents, and its key.
    ca: PathBuf,
    port: u16,
    procedure: String,
    connect_timeout_ms: u64,
    timeout_ms: u64,
    calls: Vec<Call>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    node: String,
    address: IpAddr,
    arguments: Value,
}

/// The answer of one node, one line on stdout.
#[derive(Debug, Serialize)]
pub(crate) struct NodedAnswer<'a> {
    node: &'a str,
    #[serde(flatten)]
    result: CallResult,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum CallResult {
    /// The payload of noded's answer.
    Ok(Value),
    /// The reason why the payload is unknown.
    Error(Failure),
}

#[derive(Debug, Serialize)]
struct Failure {
    source: Source,
    message: String,
}

/// Where a call failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    /// In the procedure: noded has answered.
    Noded,
    /// Before noded answered, or in its answer: another channel may work.
    Transport,
}

impl From<Result<Value, CallError>> for CallResult {
    fn from(result: Result<Value, CallError>) -> Self {
        result.map_or_else(
            |error| {
                let source = if matches!(error, CallError::Procedure(_)) { Source::Noded } else { Source::Transport };
                Self::Error(Failure { source, message: error.to_string() })
            },
            Self::Ok,
        )
    }
}

/// The body of one answer, as it is received.
struct Body {
    text: Vec<u8>,
    /// The number of bytes received of all answers.
    all: Rc<Cell<usize>>,
}

impl Body {
    fn new(all: &Rc<Cell<usize>>) -> Self {
        Self { text: Vec::new(), all: Rc::clone(all) }
    }
}

impl Handler for Body {
    fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        let all = self.all.get() + data.len();
        if self.text.len() + data.len() > ANSWER_LIMIT || all > ANSWERS_LIMIT {
            // A smaller number than was given makes libcurl abort.
            return Ok(0);
        }
        self.all.set(all);
        self.text.extend_from_slice(data);
        Ok(data.len())
    }
}

/// Makes all calls and passes each answer to `print`, in the order in which they come.
///
/// # Errors
/// [`RequestError`] if no call was made, or an answer was not printed.
pub(crate) fn all(
    request: &Request,
    mut print: impl FnMut(&NodedAnswer<'_>) -> Result<(), OutputError>,
) -> Result<(), RequestError> {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !plain(&request.procedure) {
        return Err(RequestError::Procedure(request.procedure.clone()));
    }
    let pin = Pin::read(&request.ca)?;
    let read = Rc::new(Cell::new(0));
    let mut multi = Multi::new();
    multi.pipelining(false, false)?;
    let mut open: Vec<Option<Easy2Handle<Body>>> = Vec::new();
    for (token, call) in request.calls.iter().enumerate() {
        let easy = easy(request, call, &pin, Body::new(&read)).map_err(CallError::from);
        match easy.and_then(|easy| add(&multi, easy, token)) {
            Ok(handle) => open.push(Some(handle)),
            Err(error) => {
                print(&NodedAnswer { node: &call.node, result: Err::<Value, _>(error).into() })?;
                open.push(None);
            }
        }
    }
    loop {
        let running = multi.perform()?;
        let mut ended = Vec::new();
        multi.messages(|message| {
            if let (Ok(token), Some(result)) = (message.token(), message.result()) {
                ended.push((token, result));
            }
        });
        for (token, result) in ended {
            let Some(handle) = open.get_mut(token).and_then(Option::take) else { continue };
            let mut easy = multi.remove2(handle)?;
            let result = result.map_err(CallError::from).and_then(|()| payload(&mut easy));
            print(&NodedAnswer { node: &request.calls[token].node, result: result.into() })?;
        }
        if running == 0 {
            break;
        }
        multi.wait(&mut [], Duration::from_millis(500))?;
    }
    for (token, _) in open.iter().enumerate().filter(|(_, handle)| handle.is_some()) {
        print(&NodedAnswer { node: &request.calls[token].node, result: Err::<Value, _>(CallError::Unended).into() })?;
    }
    Ok(())
}

fn add(multi: &Multi, easy: Easy2<Body>, token: usize) -> Result<Easy2Handle<Body>, CallError> {
    let mut handle = multi.add2(easy)?;
    handle.set_token(token)?;
    Ok(handle)
}

/// Prepares a call as Ganeti calls its nodes (`lib/rpc/node.py`, `_ConfigRpcCurl`). All nodes have one certificate, so
/// its name is not the node's.
fn easy(request: &Request, call: &Call, pin: &Pin, body: Body) -> Result<Easy2<Body>, curl::Error> {
    let mut easy = Easy2::new(body);
    pin.bind(&mut easy)?;
    let host = match call.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    easy.url(&format!("https://{host}:{}/{}", request.port, request.procedure))?;
    easy.post(true)?;
    easy.post_fields_copy(call.arguments.to_string().as_bytes())?;
    let mut headers = List::new();
    headers.append("Content-Type: application/json")?;
    headers.append("Expect:")?;
    easy.http_headers(headers)?;
    easy.ssl_cert(&request.certificate)?;
    easy.ssl_key(&request.certificate)?;
    easy.http_version(HttpVersion::V11)?;
    easy.follow_location(false)?;
    // The environment's proxies are for other hosts than the nodes.
    easy.noproxy("*")?;
    easy.signal(false)?;
    let time = |ms: u64| Duration::from_millis(ms.max(1)).min(CALL_TIMEOUT);
    easy.connect_timeout(time(request.connect_timeout_ms))?;
    easy.timeout(time(request.timeout_ms))?;
    Ok(easy)
}

/// Parses `[true, payload]` or `[false, message]` (`lib/rpc/node.py`, `RpcResult`).
fn payload(easy: &mut Easy2<Body>) -> Result<Value, CallError> {
    let code = easy.response_code()?;
    let body = std::mem::take(&mut easy.get_mut().text);
    if code != 200 {
        return Err(CallError::Http { code, body: quoted(&body) });
    }
    let answer: Value =
        serde_json::from_slice(&body).map_err(|error| CallError::Json { error, body: quoted(&body) })?;
    match answer.as_array().map(Vec::as_slice) {
        Some([Value::Bool(true), payload]) => Ok(payload.clone()),
        Some([Value::Bool(false), message]) => {
            let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
            Err(CallError::Procedure(quoted(message.as_bytes())))
        }
        _ => Err(CallError::Form(quoted(&body))),
    }
}

/// Returns the beginning of a node's text, on one line, without control characters, on which a terminal would act.
fn quoted(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * QUOTED_CHARACTERS)]);
    let is_plain = |letter: &char| {
        !letter.is_control()
            && !matches!(letter, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let plain = text.trim().chars().map(|letter| if is_plain(&letter) { letter } else { ' ' });
    plain.take(QUOTED_CHARACTERS).collect()
}
