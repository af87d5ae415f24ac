//! What a request is for. The addresses are those of Ganeti's monitoring daemon (`src/Ganeti/Monitoring/Server.hs`), and
//! `/metrics`.

use super::envelope::{CATEGORY, NAME};
use crate::core::text::lines;

/// No request that means something is longer, in bytes.
pub const LIMIT: usize = 8_192;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Which versions there are.
    Versions,
    /// Nothing: the version is there.
    Nothing,
    /// Which reports there are.
    List,
    /// All of them.
    All,
    /// The one.
    One,
    /// `OpenMetrics`.
    Metrics,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// No request.
    #[error("400 Bad Request")]
    Bad,
    /// Nothing is there.
    #[error("404 Not Found")]
    Absent,
    /// It is only looked at.
    #[error("405 Method Not Allowed")]
    Method,
    /// Nothing is known.
    #[error("503 Service Unavailable")]
    Unknown,
}

/// Reads the first line (RFC 9112, section 3). What follows behind `?` is not looked at.
///
/// # Errors
/// [`HttpError`].
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

/// A whole answer; the connection ends with it.
#[must_use]
pub fn answer(code: &str, content_type: &str, body: &str) -> String {
    let body = lines(body);
    let length = body.len();
    format!(
        "HTTP/1.1 {code}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
