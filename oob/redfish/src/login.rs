//! Logs in and out. A session is deleted at the end; where the BMC gives none, each request carries the password.

use serde_json::{Value, json};

use crate::client::{Client, WithoutSession};
use crate::collection::{ROOT, Root};
use crate::document;
use crate::extended_info;
use crate::http::{Authentication, HttpResponse, Method, SHORTEST_TIMEOUT, Transport, TransportFault};
use crate::message::{CallFailure, FailureKind, Login};
use crate::secret::HttpSecret;
use crate::status::StatusClass;
use crate::uri;

/// The path of the sessions where the root does not name one.
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

impl<T: Transport> Client<'_, T> {
    /// Opens a session if one is configured. A BMC that has no free session, or no sessions at all, gets the password with
    /// each request: a fencing must not wait for another program's session to end.
    pub(crate) fn log_in(&mut self) -> Result<(), CallFailure> {
        if self.call.login == Login::Basic {
            self.authentication = Authentication::Basic;
            return Ok(());
        }
        // A shorter limit could not tell a BMC without power from a slow one.
        let root = self.exchange_within(Method::Get, ROOT, None, SHORTEST_TIMEOUT);
        let root = match root {
            Ok(response) => (response.status == 200).then(|| document::parse::<Root>(&response.body).ok()).flatten(),
            // A root that takes long, as it does on some BMCs, has only the usual path to tell.
            Err(error) if error.fault == TransportFault::Hung => None,
            Err(error) => return Err(self.transport_failure(&error)),
        };
        let path = root.and_then(|root| root.sessions()).unwrap_or_else(|| SESSIONS.to_owned());
        let body = json!({"UserName": self.call.username, "Password": self.call.password.expose()});
        let response = self.exchange(Method::Post, &path, Some(HttpSecret::new(body.to_string())));
        let response = response.map_err(|error| self.transport_failure(&error))?;
        let is_full = extended_info::has(&response.body, "SessionLimitExceeded");
        match StatusClass::of(response.status) {
            StatusClass::Resource | StatusClass::Accepted => self.take_session(&response),
            StatusClass::Login => Err(self.refused_login(&response)),
            StatusClass::Busy | StatusClass::Missing => self.without_session(&response),
            _ if is_full => self.without_session(&response),
            StatusClass::Forbidden => Err(self.forbidden(&response)),
            StatusClass::Redirect => {
                Err(CallFailure::new(FailureKind::Never, "redirects the login, which is not followed"))
            }
            _ => Err(self.unexpected("the login", &response)),
        }
    }

    fn without_session(&mut self, response: &HttpResponse) -> Result<(), CallFailure> {
        self.authentication = Authentication::Basic;
        let why = self.unexpected("the login for a session", response).why;
        self.without = Some(WithoutSession(why));
        Ok(())
    }

    fn take_session(&mut self, response: &HttpResponse) -> Result<(), CallFailure> {
        let from_body = || {
            let body: Value = serde_json::from_slice(&response.body).ok()?;
            uri::session_path(body.get("@odata.id")?.as_str()?)
        };
        self.session = response.header("location").and_then(uri::session_path).or_else(from_body);
        let Some(token) = response.header("x-auth-token").filter(|token| is_token(token)) else {
            return Err(CallFailure::new(FailureKind::Later, "accepted the login without a usable X-Auth-Token"));
        };
        let token = HttpSecret::new(token);
        self.secrets.push(token.clone());
        self.authentication = Authentication::Token(token);
        if extended_info::has(&response.body, "PasswordChangeRequired") {
            return Err(self.password_change());
        }
        Ok(())
    }

    /// Deletes the session, if there is one. Its failure changes nothing of the result: the BMC ends the session itself.
    pub(crate) fn log_out(&mut self) {
        if let Some(path) = self.session.take() {
            // A session whose token did not come is closed with the password, which the BMC has just accepted.
            if !matches!(self.authentication, Authentication::Token(_)) {
                self.authentication = Authentication::Basic;
            }
            let _ = self.exchange(Method::Delete, &path, None);
        }
    }
}

/// Whether a header can carry the token back unchanged.
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.len() <= 8192 && token.bytes().all(|byte| byte.is_ascii_graphic())
}
