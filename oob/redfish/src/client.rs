//! One operation: logs in, finds the system, reads or switches it, and logs out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::collection::ROOT;
use crate::document;
use crate::extended_info::{self, quoted};
use crate::health;
use crate::http::{Authentication, HttpRequest, HttpResponse, Method, Transport, TransportError, TransportFault};
use crate::message::{Call, CallAnswer, CallFailure, CallOperation, FailureKind, Item, KnownSystem, PowerSeen};
use crate::reset::{ResetAction, allowed_in_info};
use crate::secret::HttpSecret;
use crate::status::{StatusClass, retry_after};
use crate::system::{Agreement, Chassis, System};
use crate::uri::{self, Origin};

/// The most that one request may take.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// The time that is kept for closing a session.
const LOGOUT_TIME: Duration = Duration::from_millis(1500);

/// The most that reading a chassis may take: on some BMCs it takes half a minute.
const CHASSIS_LIMIT: Duration = Duration::from_secs(5);

/// The most chassis that are read.
pub(crate) const MOST_CHASSIS: usize = 4;

/// How often a BMC that is busy is asked again.
const MOST_BUSY_ANSWERS: u32 = 5;

/// The pause before a command that the BMC did not take is sent again: many are busy for some seconds after a power change.
const RESEND_PAUSE: Duration = Duration::from_secs(3);

/// The time that a further command needs at least, with the readings around it.
const LEAST_COMMAND_TIME: Duration = Duration::from_secs(3);

/// Why a session was wanted and none is used.
pub(crate) struct WithoutSession(pub(crate) String);

/// A chassis that was not read.
struct Silence {
    /// Whether another attempt cannot succeed.
    is_final: bool,
    /// The reason as text.
    why: CallFailure,
}

/// One operation at one BMC.
pub struct Client<'a, T> {
    transport: &'a mut T,
    pub(crate) call: &'a Call,
    origin: Origin,
    pub(crate) authentication: Authentication,
    pub(crate) secrets: Vec<HttpSecret>,
    /// The path of the session that is to be deleted.
    pub(crate) session: Option<String>,
    pub(crate) without: Option<WithoutSession>,
    /// Whether the BMC has answered: it has power, and a later silence proves nothing.
    is_answered: bool,
    /// Whether the BMC has taken these credentials for a request.
    is_accepted: bool,
    /// Whether it has refused them: no further request may follow that could lock the account.
    pub(crate) is_refused: bool,
    /// Whether the BMC takes `Accept-Encoding: identity`.
    identity: bool,
}

impl<'a, T: Transport> Client<'a, T> {
    /// Prepares the operation of `call`. `secrets` are further texts that no error may quote: the credentials as the
    /// transport writes them.
    pub fn new(transport: &'a mut T, call: &'a Call, secrets: Vec<HttpSecret>) -> Self {
        let mut all = vec![call.password.clone()];
        all.extend(call.password.in_json());
        all.extend(secrets);
        Self {
            transport,
            call,
            origin: Origin { address: call.address.clone(), port: call.port },
            authentication: Authentication::None,
            secrets: all,
            session: None,
            without: None,
            is_answered: false,
            is_accepted: false,
            is_refused: false,
            identity: true,
        }
    }

    /// Carries the operation out.
    ///
    /// # Errors
    /// [`CallFailure`] for every end that is not the expected one; a command may have had its effect all the same.
    pub fn run(mut self) -> Result<CallAnswer, CallFailure> {
        let result = self.log_in().and_then(|()| match self.call.operation {
            CallOperation::Read => self.read(),
            CallOperation::Rehearse => self.rehearse(),
            CallOperation::SwitchOn => self.switch(PowerSeen::On),
            CallOperation::SwitchOff => self.switch(PowerSeen::Off),
            CallOperation::Health => self.health(),
            CallOperation::Identify => self.identify(),
        });
        self.log_out();
        let address = &self.call.address;
        result.map_err(|failure| CallFailure { why: format!("BMC {address}: {}", failure.why), ..failure })
    }

    fn read(&mut self) -> Result<CallAnswer, CallFailure> {
        let (path, system) = self.system()?;
        self.power_of(&path, &system)
    }

    /// Reads the identity, also of a system that does not report the power.
    fn identify(&mut self) -> Result<CallAnswer, CallFailure> {
        let (path, system) = self.system()?;
        Ok(CallAnswer::Identity { known: self.known(&system, &path) })
    }

    /// Returns the power of a system that was read from `path`.
    pub(crate) fn power_of(&mut self, path: &str, system: &System) -> Result<CallAnswer, CallFailure> {
        let power = system.power().map_err(|why| self.unknown(why))?;
        let mut known = self.known(system, path);
        let mut cautions = Vec::new();
        if power == PowerSeen::Off && self.call.chassis {
            (known.chassis, cautions) = self.ask_chassis(system)?;
        }
        let without = self.without.as_ref().map(|why| format!("; no session: {}", why.0)).unwrap_or_default();
        let detail = format!("PowerState {}, {path}{without}", system.power_state());
        Ok(CallAnswer::Power { power, detail, cautions, known })
    }

    /// Returns the identity of a system, with the chassis that have agreed in an earlier call.
    fn known(&self, system: &System, path: &str) -> KnownSystem {
        let chassis = self.call.known.as_ref().map(|known| known.chassis.clone()).unwrap_or_default();
        KnownSystem { chassis, ..system.known(path) }
    }

    /// Asks the chassis of a system that reports "Off". On OpenBMC the system shows the state of the host's software, and
    /// "Off" also where it does not know; the chassis shows the power. A chassis can contradict, and proves nothing. Returns
    /// the chassis that agree, and a caution for each that was not read.
    fn ask_chassis(&mut self, system: &System) -> Result<(Vec<String>, Vec<String>), CallFailure> {
        let (mut agreed, mut cautions) = (Vec::new(), Vec::new());
        let paths = system.chassis().unwrap_or_else(|why| {
            cautions.push(why.0);
            Vec::new()
        });
        if paths.len() > MOST_CHASSIS {
            cautions.push(format!("only {MOST_CHASSIS} of its {} chassis were asked", paths.len()));
        }
        for path in paths.into_iter().take(MOST_CHASSIS) {
            match self.chassis_again(&path) {
                Ok((other, _)) if !uri::is_same(&path, &other) => {
                    cautions.push(format!("chassis {path} redirects to {other}"));
                }
                Ok((path, chassis)) => match chassis.agreement(&path).map_err(|why| self.unknown(why))? {
                    Agreement::Agrees => agreed.push(path),
                    Agreement::Shared => {}
                    Agreement::Other => cautions.push(format!("chassis {path} answered with another document")),
                },
                Err(failure) => cautions.push(format!("chassis {path} did not answer: {}", failure.why)),
            }
            if self.is_refused {
                break;
            }
        }
        let mut before = self.call.known.iter().flat_map(|known| &known.chassis);
        if let Some(gone) = before.find(|before| !agreed.iter().any(|path| uri::is_same(path, before))) {
            return Err(self.unknown(format!("chassis {gone} has agreed with an off before, and does not now")));
        }
        Ok((agreed, cautions.iter().map(|caution| quoted(caution, &self.secrets)).collect()))
    }

    /// Reads a chassis; once again if the BMC failed, and not if it has none at this path, or refuses the login.
    pub(crate) fn chassis_again(&mut self, path: &str) -> Result<(String, Chassis), CallFailure> {
        let first = self.chassis(path);
        match first {
            Err(Silence { is_final: false, .. }) => self.chassis(path),
            first => first,
        }
        .map_err(|silence| silence.why)
    }

    fn chassis(&mut self, path: &str) -> Result<(String, Chassis), Silence> {
        let limit = CHASSIS_LIMIT.min(self.left() / 3);
        let (path, response) = self.fetch(path, limit).map_err(|why| {
            let is_final = self.is_refused || why.shows != FailureKind::Later;
            Silence { is_final, why }
        })?;
        if response.status != 200 {
            return Err(Silence { is_final: true, why: self.unexpected(&format!("GET {path}"), &response) });
        }
        let chassis = document::parse(&response.body);
        let chassis = chassis.map_err(|why| Silence { is_final: false, why: self.unknown(why) })?;
        Ok((path, chassis))
    }

    fn health(&mut self) -> Result<CallAnswer, CallFailure> {
        let (path, system) = self.system()?;
        let mut items = health::items(&system);
        for path in system.chassis().unwrap_or_default().into_iter().take(MOST_CHASSIS) {
            let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let name = format!("chassis {}", quoted(name, &self.secrets));
            let chassis = self.chassis(&path).ok();
            items.push(Item { name, health: health::state(chassis.and_then(|(_, chassis)| chassis.status).as_ref()) });
            if self.is_refused {
                break;
            }
        }
        let known = self.known(&system, &path);
        Ok(CallAnswer::Health { items, known })
    }

    /// Sends the command. A refusal is followed by a reading: "already off" is a refusal on some BMCs, and "busy" has the
    /// same status. No command is sent again without a reading between. A BMC that was too busy to take the command, or
    /// has no such path for the moment, reports an old state just then: only a command that it took ends it.
    fn switch(&mut self, to: PowerSeen) -> Result<CallAnswer, CallFailure> {
        let (path, mut system) = self.system()?;
        loop {
            let action = self.reset_action(&path, &system)?;
            let reset_type = action
                .reset_type(to)
                .map_err(|why| CallFailure::new(FailureKind::Never, quoted(&why.0, &self.secrets)))?;
            let body = json!({"ResetType": reset_type}).to_string();
            let response = self.post(&action.target, &body)?;
            let what = format!("ResetType {reset_type}");
            let class = StatusClass::of(response.status);
            let refused = match class {
                StatusClass::Resource | StatusClass::Accepted => {
                    return Ok(CallAnswer::Accepted { refused: None, known: self.known(&system, &path) });
                }
                StatusClass::Login => return Err(self.refused_login(&response)),
                StatusClass::Forbidden => return Err(self.forbidden(&response)),
                StatusClass::Redirect => {
                    return Err(CallFailure::new(
                        FailureKind::Never,
                        format!("redirects {what}, which is not followed"),
                    ));
                }
                _ => self.unexpected(&what, &response),
            };
            let ends = |system: &System| system.power() == Ok(to) && !class.is_unconsidered();
            system = self.system_at(&path)?;
            if ends(&system) {
                return Ok(CallAnswer::Accepted { refused: Some(refused.why), known: self.known(&system, &path) });
            }
            let wait = RESEND_PAUSE.max(retry_after(&response));
            if self.left() < wait + LEAST_COMMAND_TIME {
                return Err(refused);
            }
            self.transport.sleep(wait);
            system = self.system_at(&path)?;
            if ends(&system) {
                return Ok(CallAnswer::Accepted { refused: Some(refused.why), known: self.known(&system, &path) });
            }
        }
    }

    fn post(&mut self, path: &str, body: &str) -> Result<HttpResponse, CallFailure> {
        loop {
            let response = self.exchange(Method::Post, path, Some(HttpSecret::new(body)));
            let response = response.map_err(|error| self.transport_failure(&error))?;
            if StatusClass::of(response.status) == StatusClass::Headers && self.identity {
                self.identity = false;
                continue;
            }
            return Ok(response);
        }
    }

    pub(crate) fn reset_action(&mut self, path: &str, system: &System) -> Result<ResetAction, CallFailure> {
        let mut action =
            ResetAction::of(system.actions.as_ref(), path).map_err(|why| CallFailure::new(FailureKind::Never, why))?;
        if let (None, Some(info)) = (&action.allowed, action.info.clone()) {
            // Without the list the command is tried: the BMC refuses what it does not know.
            let limit = REQUEST_LIMIT.min(self.left() / 3);
            let info = self.fetch(&info, limit).ok().filter(|(_, response)| response.status == 200);
            let info = info.and_then(|(_, response)| serde_json::from_slice::<Value>(&response.body).ok());
            action.allowed = info.as_ref().and_then(allowed_in_info);
        }
        Ok(action)
    }

    /// Reads a resource: an answer with 200, or one that says that it is missing. Follows one redirect to the same host.
    pub(crate) fn fetch(&mut self, path: &str, limit: Duration) -> Result<(String, HttpResponse), CallFailure> {
        let mut path = path.to_owned();
        let (mut is_redirected, mut is_repeated, mut busy) = (false, false, 0);
        loop {
            let response = match self.exchange_within(Method::Get, &path, None, limit) {
                Ok(response) => response,
                // A BMC may close a connection that was used before.
                Err(error) if error.fault == TransportFault::Broken && !is_repeated => {
                    is_repeated = true;
                    continue;
                }
                Err(error) => return Err(self.transport_failure(&error)),
            };
            match StatusClass::of(response.status) {
                StatusClass::Resource | StatusClass::Missing => return Ok((path, response)),
                StatusClass::Redirect => {
                    let location = response.header("location").unwrap_or_default();
                    let Some(own) = self.origin.path_of(location).filter(|_| !is_redirected) else {
                        let location = quoted(location, &self.secrets);
                        let why = format!("redirects GET {path} to {location:?}, which is not followed");
                        return Err(CallFailure::new(FailureKind::Never, why));
                    };
                    is_redirected = true;
                    path = own;
                }
                StatusClass::Login => return Err(self.refused_login(&response)),
                StatusClass::Forbidden => return Err(self.forbidden(&response)),
                StatusClass::Headers if self.identity => self.identity = false,
                StatusClass::Busy
                    if busy < MOST_BUSY_ANSWERS && self.left() > retry_after(&response) + LEAST_COMMAND_TIME =>
                {
                    busy += 1;
                    self.transport.sleep(retry_after(&response));
                }
                _ => return Err(self.unexpected(&format!("GET {path}"), &response)),
            }
        }
    }

    pub(crate) fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Option<HttpSecret>,
    ) -> Result<HttpResponse, TransportError> {
        self.exchange_within(method, path, body, REQUEST_LIMIT)
    }

    pub(crate) fn exchange_within(
        &mut self,
        method: Method,
        path: &str,
        body: Option<HttpSecret>,
        limit: Duration,
    ) -> Result<HttpResponse, TransportError> {
        let limit = limit.min(self.left());
        let request = HttpRequest { method, path, authentication: &self.authentication, body, identity: self.identity };
        let response = self.transport.exchange(&request, limit)?;
        self.is_answered = true;
        // Many BMCs read no credentials at the root.
        let is_accepted = matches!(response.status, 200..=204) && !uri::is_same(path, ROOT);
        self.is_accepted |= is_accepted && self.authentication != Authentication::None;
        Ok(response)
    }

    fn left(&self) -> Duration {
        let kept = if self.session.is_some() { LOGOUT_TIME } else { Duration::ZERO };
        self.transport.left().saturating_sub(kept)
    }

    pub(crate) fn checked(&self, uri: &str) -> Result<String, CallFailure> {
        uri::path(uri).ok_or_else(|| CallFailure::new(FailureKind::Local, format!("{uri:?} is not a path of a system")))
    }

    pub(crate) fn unknown(&self, why: impl Into<String>) -> CallFailure {
        CallFailure::new(FailureKind::Later, quoted(&why.into(), &self.secrets))
    }

    pub(crate) fn transport_failure(&self, error: &TransportError) -> CallFailure {
        let shows = match error.shows() {
            FailureKind::NoSign if self.is_answered => FailureKind::Later,
            shows => shows,
        };
        CallFailure::new(shows, quoted(&error.why, &self.secrets))
    }

    pub(crate) fn unexpected(&self, what: &str, response: &HttpResponse) -> CallFailure {
        let text = extended_info::text(&response.body, &self.secrets);
        let text = if text.is_empty() { text } else { format!(" ({text})") };
        CallFailure::new(FailureKind::Later, format!("answered {what} with HTTP {}{text}", response.status))
    }

    pub(crate) fn refused_login(&mut self, response: &HttpResponse) -> CallFailure {
        self.is_refused = true;
        if matches!(self.authentication, Authentication::Token(_)) {
            return CallFailure::new(FailureKind::Later, "has ended the session");
        }
        let CallFailure { why, .. } = self.unexpected(&format!("the login of user {:?}", self.call.username), response);
        if let Some(WithoutSession(reason)) = &self.without {
            // It may take passwords for sessions only.
            return CallFailure::new(FailureKind::Later, format!("{why}, after it gave no session: {reason}"));
        }
        if self.is_accepted {
            return CallFailure::new(FailureKind::Later, format!("{why}, and took the same login before"));
        }
        let hint = match self.authentication {
            Authentication::Basic => "; if it takes passwords for sessions only: login = \"session\"",
            _ => "",
        };
        CallFailure::new(FailureKind::Login, format!("{why}; check username and password_file{hint}"))
    }

    pub(crate) fn forbidden(&self, response: &HttpResponse) -> CallFailure {
        if extended_info::has(&response.body, "PasswordChangeRequired") {
            return self.password_change();
        }
        let CallFailure { why, .. } = self.unexpected(&format!("a request of user {:?}", self.call.username), response);
        CallFailure::new(FailureKind::Never, format!("{why}; give the user the role Operator or Administrator"))
    }

    pub(crate) fn password_change(&self) -> CallFailure {
        let user = &self.call.username;
        CallFailure::new(FailureKind::Never, format!("the password of user {user:?} must be changed at the BMC first"))
    }
}
