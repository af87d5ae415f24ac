//! What a status code means. It never proves that the power has changed, in neither direction.

use std::time::Duration;

use crate::http::HttpResponse;

/// The longest wait that a BMC can ask for with `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The wait where the BMC names none, or names a date.
const USUAL_WAIT: Duration = Duration::from_secs(2);

/// What a status code means for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusClass {
    /// 200: the body is the resource.
    Resource,
    /// 201, 202, 204: accepted; not a resource.
    Accepted,
    /// 301, 302, 303, 307, 308.
    Redirect,
    /// 401.
    Login,
    /// 403.
    Forbidden,
    /// 404, 410.
    Missing,
    /// 405: the resource is there, and does not take the method now.
    Method,
    /// 406, 415: the BMC does not take the headers.
    Headers,
    /// 429, 502, 503, 504: a later request may succeed.
    Busy,
    /// Every other code. The state may be the wanted one all the same.
    Refused,
}

impl StatusClass {
    pub(crate) const fn of(status: u16) -> Self {
        match status {
            200 => Self::Resource,
            201 | 202 | 204 => Self::Accepted,
            301 | 302 | 303 | 307 | 308 => Self::Redirect,
            401 => Self::Login,
            403 => Self::Forbidden,
            404 | 410 => Self::Missing,
            405 => Self::Method,
            406 | 415 => Self::Headers,
            429 | 502 | 503 | 504 => Self::Busy,
            _ => Self::Refused,
        }
    }

    /// Whether a command that got this answer was not even considered: the state that is read after it shows nothing of it.
    pub(crate) const fn is_unconsidered(self) -> bool {
        matches!(self, Self::Busy | Self::Missing | Self::Method)
    }
}

/// Returns how long to wait before the next request: what `Retry-After` says, 1 s to 5 s.
pub(crate) fn retry_after(response: &HttpResponse) -> Duration {
    let stated = response.header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
    stated.map_or(USUAL_WAIT, |wait| wait.clamp(Duration::from_secs(1), LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_bounded() {
        let wait = |value: &str| {
            let headers = vec![("retry-after".to_owned(), value.to_owned())];
            retry_after(&HttpResponse { status: 503, headers, body: Vec::new() })
        };
        for (value, seconds) in
            [("0", 1), ("3", 3), ("86400", 5), ("Fri, 31 Dec 1999 23:59:59 GMT", 2), ("-1", 2), ("", 2)]
        {
            assert_eq!(wait(value), Duration::from_secs(seconds), "{value}");
        }
        assert_eq!(retry_after(&HttpResponse::default()), USUAL_WAIT);
    }
}
