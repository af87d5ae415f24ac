//! Calls noded on many nodes at once by libcurl, and passes each answer on as it comes.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use curl::easy::{Easy2, Handler, HttpVersion, List, WriteError};
use curl::multi::{Easy2Handle, Multi};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pin::Pin;

/// The most that is read of one answer, in bytes.
const ANSWER: usize = 4 * 1024 * 1024;

/// The most that is read of all answers together, in bytes: our own programs accept as much.
const ANSWERS: usize = 64 * 1024 * 1024;

/// The most that a call may last, whatever the request says: Pacemaker has given up by then.
const CALL: Duration = Duration::from_secs(120);

/// The most that an error quotes of a node's answer, in characters.
const SAID: usize = 300;

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
pub(crate) struct Answer<'a> {
    node: &'a str,
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    /// The payload of noded's answer.
    Ok(Value),
    /// noded's own error message, or the failure of the call.
    Error(String),
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
        if self.text.len() + data.len() > ANSWER || all > ANSWERS {
            // A smaller number than was given makes libcurl abort.
            return Ok(0);
        }
        self.all.set(all);
        self.text.extend_from_slice(data);
        Ok(data.len())
    }
}

/// Makes all calls and passes each answer to `told`, in the order in which they come.
pub(crate) fn all(request: &Request, mut told: impl FnMut(&Answer<'_>) -> Result<(), String>) -> Result<(), String> {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !plain(&request.procedure) {
        return Err(format!("{:?} is no procedure of noded", request.procedure));
    }
    let pin = Pin::read(&request.ca)?;
    let read = Rc::new(Cell::new(0));
    let mut multi = Multi::new();
    multi.pipelining(false, false).map_err(|error| error.to_string())?;
    let mut open: Vec<Option<Easy2Handle<Body>>> = Vec::new();
    for (token, call) in request.calls.iter().enumerate() {
        let added = easy(request, call, &pin, Body::new(&read)).map_err(|error| error.to_string()).and_then(|easy| {
            let mut handle = multi.add2(easy).map_err(|error| error.to_string())?;
            handle.set_token(token).map_err(|error| error.to_string())?;
            Ok(handle)
        });
        match added {
            Ok(handle) => open.push(Some(handle)),
            Err(why) => {
                told(&Answer { node: &call.node, said: Said::Error(why) })?;
                open.push(None);
            }
        }
    }
    loop {
        let running = multi.perform().map_err(|error| error.to_string())?;
        let mut ended = Vec::new();
        multi.messages(|message| {
            if let (Ok(token), Some(result)) = (message.token(), message.result()) {
                ended.push((token, result));
            }
        });
        for (token, result) in ended {
            let Some(handle) = open.get_mut(token).and_then(Option::take) else { continue };
            let mut easy = multi.remove2(handle).map_err(|error| error.to_string())?;
            let said = result.map_err(|error| why(&error)).and_then(|()| payload(&mut easy));
            let said = said.map_or_else(Said::Error, Said::Ok);
            told(&Answer { node: &request.calls[token].node, said })?;
        }
        if running == 0 {
            break;
        }
        multi.wait(&mut [], Duration::from_millis(500)).map_err(|error| error.to_string())?;
    }
    for (token, _) in open.iter().enumerate().filter(|(_, handle)| handle.is_some()) {
        let said = Said::Error("the call had no end".to_owned());
        told(&Answer { node: &request.calls[token].node, said })?;
    }
    Ok(())
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
    let time = |ms: u64| Duration::from_millis(ms.max(1)).min(CALL);
    easy.connect_timeout(time(request.connect_timeout_ms))?;
    easy.timeout(time(request.timeout_ms))?;
    Ok(easy)
}

fn why(error: &curl::Error) -> String {
    let more = error.extra_description().map(|more| format!(": {}", told(more.as_bytes()))).unwrap_or_default();
    format!("noded cannot be asked: {}{more}", error.description())
}

/// Parses `[true, payload]` or `[false, message]` (`lib/rpc/node.py`, `RpcResult`).
fn payload(easy: &mut Easy2<Body>) -> Result<Value, String> {
    let code = easy.response_code().map_err(|error| error.to_string())?;
    let body = std::mem::take(&mut easy.get_mut().text);
    if code != 200 {
        return Err(format!("noded answered with HTTP {code}: {}", told(&body)));
    }
    let answer: Value = serde_json::from_slice(&body)
        .map_err(|error| format!("noded's answer is no JSON ({error}): {}", told(&body)))?;
    match answer.as_array().map(Vec::as_slice) {
        Some([Value::Bool(true), payload]) => Ok(payload.clone()),
        Some([Value::Bool(false), message]) => {
            let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
            Err(format!("it failed there: {}", told(message.as_bytes())))
        }
        _ => Err(format!("cannot parse noded's answer: {}", told(&body))),
    }
}

/// Returns the beginning of a node's text, on one line, without control characters that a terminal would obey.
fn told(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * SAID)]);
    let is_plain = |letter: &char| {
        !letter.is_control()
            && !matches!(letter, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let plain = text.trim().chars().map(|letter| if is_plain(&letter) { letter } else { ' ' });
    plain.take(SAID).collect()
}
