//! HTTP requests for the status. The paths are those of Ganeti's monitoring daemon (`src/Ganeti/Monitoring/Server.hs`),
//! and `/metrics`. Pure.

use super::envelope::{CATEGORY, NAME};
use crate::core::text::lines;

/// The greatest length of a request, in bytes: no valid one is longer.
pub const MAX_REQUEST_BYTES: usize = 8_192;

/// The resource that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The list of protocol versions, at `/` as in Ganeti's monitoring daemon.
    Versions,
    /// The version exists: the answer is empty.
    Nothing,
    /// The list of the reports' names.
    List,
    /// All reports, as one list.
    All,
    /// The one report of gnt-ha.
    One,
    /// The metrics in the `OpenMetrics` format.
    Metrics,
}

/// The reason why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The text is not a request.
    #[error("400 Bad Request")]
    Bad,
    /// There is no such path.
    #[error("404 Not Found")]
    Absent,
    /// The method is not GET.
    #[error("405 Method Not Allowed")]
    Method,
    /// The status could not be collected, so that no metric is given.
    #[error("503 Service Unavailable")]
    Unknown,
}

/// Parses the request line (RFC 9112, section 3). The part after `?` is ignored.
///
/// # Errors
/// [`HttpError::Bad`] if the line is not a request, [`HttpError::Method`] if the method is not GET,
/// [`HttpError::Absent`] for another path.
pub fn parse_request_line(line: &str) -> Result<Endpoint, HttpError> {
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    let [method, target, version] = words[..] else { return Err(HttpError::Bad) };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(HttpError::Bad);
    }
    if method != "GET" {
        return Err(HttpError::Method);
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match path.split('/').filter(|word| !word.is_empty()).collect::<Vec<_>>()[..] {
        [] => Ok(Endpoint::Versions),
        ["1"] => Ok(Endpoint::Nothing),
        ["1", "list", "collectors"] => Ok(Endpoint::List),
        ["1", "report", "all"] => Ok(Endpoint::All),
        ["1", "report", CATEGORY, NAME] => Ok(Endpoint::One),
        ["metrics"] => Ok(Endpoint::Metrics),
        _ => Err(HttpError::Absent),
    }
}

/// Returns a whole answer; the connection is closed after it.
#[must_use]
pub fn answer(code: &str, content_type: &str, body: &str) -> String {
    let body = lines(body);
    let length = body.len();
    format!(
        "HTTP/1.1 {code}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
