//! A BMC that answers from a script.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use redfish::{
    Authentication, Call, CallAnswer, CallFailure, CallOperation, Choice, Client, FailureKind, HttpRequest,
    HttpResponse, HttpSecret, KnownSystem, Login, Method, PowerSeen, Tls, Transport, TransportError, TransportFault,
    Trust,
};
use serde_json::{Value, json};

/// The path of the system that most scripts have.
pub(crate) const SYSTEM: &str = "/redfish/v1/Systems/1";

/// The path of the list of systems.
pub(crate) const SYSTEMS: &str = "/redfish/v1/Systems";

/// The path of that system's reset action.
pub(crate) const RESET: &str = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";

/// The password; no result may contain it.
pub(crate) const PASSWORD: &str = "secret16";

/// The token of a session; no result may contain it.
pub(crate) const TOKEN: &str = "t0ken-of-the-session";

type Reply = Result<HttpResponse, TransportError>;

/// A BMC with a script for each request.
pub(crate) struct Bmc {
    replies: BTreeMap<String, VecDeque<Reply>>,
    /// The requests so far: method, path and the first letters of the credentials.
    pub(crate) log: Vec<String>,
    /// The bodies that were sent.
    pub(crate) bodies: Vec<String>,
    left: Duration,
    pub(crate) slept: Duration,
    /// The limit of each request.
    pub(crate) limits: Vec<Duration>,
}

pub(crate) fn answer(status: u16, body: &Value) -> HttpResponse {
    HttpResponse { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

pub(crate) fn raw(status: u16, body: &str) -> HttpResponse {
    HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

pub(crate) fn with_header(mut response: HttpResponse, name: &str, value: &str) -> HttpResponse {
    response.headers.push((name.to_owned(), value.to_owned()));
    response
}

pub(crate) fn error(status: u16, id: &str, text: &str) -> HttpResponse {
    let info = json!([{"MessageId": format!("Base.1.8.{id}"), "Message": text}]);
    answer(status, &json!({"error": {"code": "Base.1.8.GeneralError", "@Message.ExtendedInfo": info}}))
}

pub(crate) fn list(paths: &[&str]) -> HttpResponse {
    let members: Vec<Value> = paths.iter().map(|path| json!({"@odata.id": path})).collect();
    answer(200, &json!({"@odata.id": SYSTEMS, "Members": members, "Members@odata.count": paths.len()}))
}

pub(crate) fn system_at(path: &str, state: &str) -> Value {
    json!({
        "@odata.id": path, "PowerState": state, "UUID": "27946b59-9e44-4fa7-8e91-f3527a1ef094", "SerialNumber": "S1",
        "Status": {"State": "Enabled", "Health": "OK"},
        "Actions": {"#ComputerSystem.Reset": {
            "target": format!("{path}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown", "ForceRestart"],
        }},
    })
}

pub(crate) fn system(state: &str) -> HttpResponse {
    answer(200, &system_at(SYSTEM, state))
}

/// A system with `key` replaced, or taken out with null.
pub(crate) fn changed(state: &str, key: &str, value: Value) -> HttpResponse {
    let mut document = system_at(SYSTEM, state);
    document[key] = value;
    answer(200, &document)
}

impl Bmc {
    /// A BMC with one system in these states, one after the other; the last one stays.
    pub(crate) fn with(states: &[&str]) -> Self {
        Self::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, states.iter().map(|state| system(state)))
    }

    pub(crate) fn new() -> Self {
        let (replies, log, bodies) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { replies, log, bodies, left: Duration::from_secs(20), slept: Duration::ZERO, limits: Vec::new() }
    }

    pub(crate) fn get(self, path: &str, answers: impl IntoIterator<Item = HttpResponse>) -> Self {
        self.on(&format!("GET {path}"), answers)
    }

    pub(crate) fn post(self, path: &str, answers: impl IntoIterator<Item = HttpResponse>) -> Self {
        self.on(&format!("POST {path}"), answers)
    }

    pub(crate) fn on(mut self, request: &str, answers: impl IntoIterator<Item = HttpResponse>) -> Self {
        self.replies.insert(request.to_owned(), answers.into_iter().map(Ok).collect());
        self
    }

    /// The first exchange of this request fails.
    pub(crate) fn fails(mut self, request: &str, fault: TransportFault) -> Self {
        let error = TransportError { fault, why: format!("it failed: {PASSWORD}") };
        self.replies.entry(request.to_owned()).or_default().push_front(Err(error));
        self
    }

    pub(crate) fn run(&mut self, call: &Call) -> Result<CallAnswer, CallFailure> {
        let result = Client::new(self, call, Vec::new()).run();
        let text = format!("{result:?}");
        assert!(!text.contains(PASSWORD) && !text.contains(TOKEN), "{text}");
        result
    }

    pub(crate) fn read(&mut self) -> Result<PowerSeen, CallFailure> {
        power(self.run(&call(CallOperation::Read)))
    }

    #[track_caller]
    pub(crate) fn is_unknown(&mut self, words: &str) {
        self.fails_with(&call(CallOperation::Read), FailureKind::Later, words);
    }

    #[track_caller]
    pub(crate) fn fails_with(&mut self, call: &Call, shows: FailureKind, words: &str) {
        let failure = self.run(call).unwrap_err();
        assert_eq!(failure.shows, shows, "{failure}");
        assert!(failure.why.contains(words) && failure.why.starts_with("BMC bmc.lab: "), "{failure}");
    }

    /// Returns how often a request was sent.
    pub(crate) fn count(&self, request: &str) -> usize {
        self.log.iter().filter(|logged| logged.starts_with(request)).count()
    }
}

pub(crate) fn power(result: Result<CallAnswer, CallFailure>) -> Result<PowerSeen, CallFailure> {
    result.map(|answer| match answer {
        CallAnswer::Power { power, .. } => power,
        other => panic!("{other:?}"),
    })
}

/// Returns a part of an answer, as `redfish-call` prints it.
pub(crate) fn printed(result: Result<CallAnswer, CallFailure>, pointer: &str) -> Value {
    let printed = serde_json::to_value(result.unwrap()).unwrap();
    printed.pointer(pointer).cloned().unwrap_or_default()
}

pub(crate) fn call(operation: CallOperation) -> Call {
    Call {
        address: "bmc.lab".to_owned(),
        addresses: Vec::new(),
        port: 443,
        username: "fencing".to_owned(),
        password: HttpSecret::new(PASSWORD),
        login: Login::Basic,
        trust: Trust::System,
        tls: Tls::V12,
        choice: Choice::default(),
        known: None,
        chassis: true,
        operation,
        timeout_ms: 20_000,
    }
}

pub(crate) fn known() -> KnownSystem {
    let uuid = Some("27946b59-9e44-4fa7-8e91-f3527a1ef094".to_owned());
    known_as(json!({"uri": SYSTEM, "uuid": uuid, "serial_number": "S1"}))
}

/// The system of an earlier call, as a driver passes it on.
pub(crate) fn known_as(known: Value) -> KnownSystem {
    serde_json::from_value(known).unwrap()
}

impl Transport for Bmc {
    fn exchange(&mut self, request: &HttpRequest<'_>, limit: Duration) -> Result<HttpResponse, TransportError> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        };
        let name = format!("{method} {}", request.path);
        let credentials = match request.authentication {
            Authentication::None => "",
            Authentication::Basic => " basic",
            Authentication::Token(_) => " token",
        };
        self.log.push(format!("{name}{credentials}{}", if request.identity { "" } else { " any encoding" }));
        self.bodies.extend(request.body.as_ref().map(|body| body.expose().to_owned()));
        self.limits.push(limit);
        assert!(limit <= self.left, "a request has the time that is left");
        self.left = self.left.saturating_sub(Duration::from_millis(50));
        let Some(replies) = self.replies.get_mut(&name) else { return Ok(error(404, "ResourceMissingAtURI", "no")) };
        if replies.len() > 1 { replies.pop_front().unwrap() } else { replies.front().unwrap().clone() }
    }

    fn left(&self) -> Duration {
        self.left
    }

    fn sleep(&mut self, time: Duration) {
        self.slept += time;
        self.left = self.left.saturating_sub(time);
    }
}
