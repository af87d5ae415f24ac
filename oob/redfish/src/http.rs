//! One exchange of HTTP, as the transport carries it out.

use std::time::Duration;

use crate::message::FailureKind;
use crate::secret::HttpSecret;

/// The time after which a silent BMC may have lost its power. A working one accepts a connection within 1 s, and the kernel
/// repeats the first packet meanwhile.
pub const LEAST_SILENCE: Duration = Duration::from_secs(5);

/// The time that a call needs at least to show that a BMC gives no sign of life: [`LEAST_SILENCE`], and the name service.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_secs(6);

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads; may be repeated.
    Get,
    /// Runs an action or opens a session; is never repeated without a reading between. It needs a connection of its own:
    /// libraries send a request again where a connection that was used before breaks without an answer.
    Post,
    /// Closes this operation's own session.
    Delete,
}

/// The credentials that a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Nothing that names or proves a user.
    None,
    /// User name and password, by HTTP Basic authentication.
    Basic,
    /// The token of a session, in `X-Auth-Token`.
    Token(HttpSecret),
}

/// A request to the BMC. Its headers are `Accept: application/json`, `OData-Version: 4.0`, `Content-Type:
/// application/json` with a body, and the credentials.
#[derive(Debug)]
pub struct HttpRequest<'a> {
    /// Decides whether the request may be repeated.
    pub method: Method,
    /// The path, which the client has checked: the host is always the configured one.
    pub path: &'a str,
    /// Basic credentials, a token, or neither.
    pub authentication: &'a Authentication,
    /// The body of a POST.
    pub body: Option<HttpSecret>,
    /// Whether to send `Accept-Encoding: identity`.
    pub identity: bool,
}

/// A complete answer of the BMC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The code of the status line, as in 200.
    pub status: u16,
    /// The headers, each name in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, complete and decoded.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Returns the value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }
}

/// The kind of a failed exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportFault {
    /// This host could not send: a file of certificates, libcurl.
    Local,
    /// The name has no address, or there is no route to it.
    Unreachable,
    /// No packet came back, although there was [`LEAST_SILENCE`] for it without the time of the name service.
    NoSign,
    /// The connection was refused.
    Closed,
    /// The connection stands, and the answer did not come in time.
    Hung,
    /// The connection broke, the answer was cut off, or it was no HTTP.
    Broken,
    /// The answer is longer than the limit.
    TooLarge,
    /// TLS failed for a reason that another attempt does not change: trust, version, algorithm.
    Tls,
}

/// A failed exchange. A POST may have had its effect all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// The kind of the failure.
    pub fault: TransportFault,
    /// The reason as text.
    pub why: String,
}

impl TransportError {
    pub(crate) const fn shows(&self) -> FailureKind {
        match self.fault {
            TransportFault::Local => FailureKind::Local,
            TransportFault::Unreachable => FailureKind::Unheard,
            TransportFault::NoSign => FailureKind::NoSign,
            TransportFault::Closed => FailureKind::Closed,
            TransportFault::Hung | TransportFault::Broken | TransportFault::TooLarge => FailureKind::Later,
            TransportFault::Tls => FailureKind::Never,
        }
    }
}

/// Carries out exchanges with one BMC, within one deadline.
pub trait Transport {
    /// Sends the request and returns the complete answer. Follows no redirect.
    ///
    /// # Errors
    /// [`TransportError`] if no complete answer came within `limit` and the deadline.
    fn exchange(&mut self, request: &HttpRequest<'_>, limit: Duration) -> Result<HttpResponse, TransportError>;

    /// Returns the time until the deadline.
    fn left(&self) -> Duration;

    /// Waits for this time.
    fn sleep(&mut self, time: Duration);
}
