//! HTTPS by libcurl, within one deadline. All requests go to one address, and no redirect is followed.

use std::time::{Duration, Instant};

use curl::easy::{Auth, Easy2, Handler, HttpVersion, InfoType, List, SslVersion, WriteError};
use redfish::{
    Authentication, Call, HttpRequest, HttpResponse, LEAST_SILENCE, Method, Origin, Tls, Transport, TransportError,
    TransportFault, Trust,
};

/// The most that is read of a body, in bytes, after it is decoded.
const BODY_LIMIT: usize = 1024 * 1024;

/// The most that is read of all headers of an answer, in bytes.
const HEADERS_LIMIT: usize = 64 * 1024;

/// A path that can have no entries. libcurl searches the system's directory of trusted certificates if it has no other
/// directory (`CURLOPT_CAPATH`).
const NO_STORE: &str = "/dev/null";

/// `CURLE_TOO_LARGE`: newer libcurls have limits of their own, such as 5000 headers.
const TOO_LARGE: u32 = 100;

/// `CURLE_SSL_PINNEDPUBKEYNOTMATCH`.
const PIN_MISMATCH: u32 = 90;

/// Parts of OpenSSL's messages about a version or an algorithm that both sides do not have in common.
const INCOMPATIBLE: [&str; 8] = [
    "version",
    "unsupported protocol",
    "legacy sigalg",
    "handshake failure",
    "no ciphers",
    "dh key too small",
    "ee key too small",
    "unsafe legacy renegotiation",
];

/// Parts of OpenSSL's messages about an answer that is not TLS at all.
const NO_TLS: [&str; 2] = ["wrong version number", "packet length too long"];

/// Returns what a failed handshake means for an administrator; `None` if another attempt may succeed.
fn handshake_advice(text: &str, tls: Tls, port: u16) -> Option<String> {
    if NO_TLS.iter().any(|part| text.contains(part)) {
        return Some(format!("port {port} does not speak TLS: correct the port, or switch HTTPS on there ({text})"));
    }
    if !INCOMPATIBLE.iter().any(|part| text.contains(part)) {
        return None;
    }
    // Neither older versions nor weaker algorithms bring the renegotiation back.
    Some(if tls == Tls::V10 || text.contains("unsafe legacy renegotiation") {
        format!("TLS failed: {text}; update the BMC's firmware")
    } else {
        format!("TLS failed: {text}; for a BMC with TLS older than 1.2: tls = \"1.0\"")
    })
}

/// Whether a connection that did not come about in `limit`, of which the name service took `lookup`, shows a silent BMC.
/// A name service that hangs shows nothing of the BMC.
fn is_silent(limit: Duration, lookup: Option<Duration>) -> bool {
    lookup.is_some_and(|lookup| !lookup.is_zero() && limit.saturating_sub(lookup) >= LEAST_SILENCE)
}

/// Whether "no host" (`EHOSTUNREACH`) for `whole` shows a silent BMC. The kernel, or a router, asks a network for a host for
/// seconds before it gives up. A rule of this host's firewall and an `unreachable` route reject at once, each time: they
/// show nothing of the BMC.
fn is_absent(whole: Duration, longest_attempt: Duration, lookup: Option<Duration>) -> bool {
    longest_attempt >= LEAST_SEARCH && is_silent(whole, lookup)
}

/// The answer of one exchange, as it is received.
#[derive(Default)]
struct Received {
    headers: Vec<(String, String)>,
    header_bytes: usize,
    body: Vec<u8>,
    is_too_large: bool,
    /// Whether the TCP connection stood: TLS has sent or received something.
    is_connected: bool,
}

impl Handler for Received {
    fn header(&mut self, data: &[u8]) -> bool {
        self.header_bytes += data.len();
        if self.header_bytes > HEADERS_LIMIT {
            self.is_too_large = true;
            return false;
        }
        let line = String::from_utf8_lossy(data);
        if line.starts_with("HTTP/") {
            // An interim answer (100) comes before the real one.
            self.headers.clear();
        } else if let Some((name, value)) = line.split_once(':') {
            self.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        true
    }

    /// Sees the bytes of TLS. libcurl has no other sign of a connection that stands while TLS hangs: a BMC that hangs has
    /// power, and must not pass for one that is silent. The text is not kept, as it has the password.
    fn debug(&mut self, kind: InfoType, _data: &[u8]) {
        let is_text = matches!(kind, InfoType::Text);
        self.is_connected |= !is_text;
    }

    fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        if self.body.len() + data.len() > BODY_LIMIT {
            self.is_too_large = true;
            // A smaller number than was given makes libcurl abort.
            return Ok(0);
        }
        self.body.extend_from_slice(data);
        Ok(data.len())
    }
}

/// The connection to one BMC, which is used for all requests of a call where the BMC keeps it open.
pub(crate) struct Curl<'a> {
    easy: Easy2<Received>,
    call: &'a Call,
    base: String,
    deadline: Instant,
    is_untrusted: bool,
}

impl<'a> Curl<'a> {
    pub(crate) fn new(call: &'a Call, deadline: Instant) -> Self {
        let origin = Origin { address: call.address.clone(), port: call.port };
        let base = format!("https://{}", origin.authority());
        Self { easy: Easy2::new(Received::default()), call, base, deadline, is_untrusted: false }
    }

    /// Returns whether the BMC's certificate was not trusted.
    pub(crate) const fn is_untrusted(&self) -> bool {
        self.is_untrusted
    }

    fn prepare(&mut self, request: &HttpRequest<'_>, limit: Duration) -> Result<(), curl::Error> {
        // The options of the last request end here; its connection stays.
        self.easy.reset();
        *self.easy.get_mut() = Received::default();
        self.easy.url(&format!("{}{}", self.base, request.path))?;
        self.easy.path_as_is(true)?;
        self.easy.http_version(HttpVersion::V11)?;
        self.easy.follow_location(false)?;
        // The environment's proxies are for other hosts than BMCs.
        self.easy.noproxy("*")?;
        self.easy.signal(false)?;
        if !self.call.addresses.is_empty() {
            // libcurl waits for a name service that hangs beyond its own timeout.
            let addresses: Vec<String> = self.call.addresses.iter().map(ToString::to_string).collect();
            let mut entries = List::new();
            entries.append(&format!("{}:{}:{}", self.call.address, self.call.port, addresses.join(",")))?;
            self.easy.resolve(entries)?;
        }
        self.easy.verbose(true)?;
        self.easy.timeout(limit.max(Duration::from_millis(1)))?;
        self.bind()?;
        let mut headers = List::new();
        for header in ["Accept: application/json", "OData-Version: 4.0", "Cache-Control: no-cache", "Expect:"] {
            headers.append(header)?;
        }
        self.easy.useragent("gnt-ha")?;
        // Some BMCs compress whatever is asked for, so the answer is decoded; the header only asks them not to.
        self.easy.accept_encoding("")?;
        headers.append(if request.identity { "Accept-Encoding: identity" } else { "Accept-Encoding:" })?;
        match request.authentication {
            Authentication::None => {}
            Authentication::Basic => {
                let mut basic = Auth::new();
                basic.basic(true);
                self.easy.http_auth(&basic)?;
                self.easy.username(&self.call.username)?;
                self.easy.password(self.call.password.expose())?;
            }
            Authentication::Token(token) => headers.append(&format!("X-Auth-Token: {}", token.expose()))?,
        }
        match request.method {
            Method::Get => self.easy.get(true)?,
            Method::Delete => self.easy.custom_request("DELETE")?,
            Method::Post => {
                headers.append("Content-Type: application/json")?;
                self.easy.post(true)?;
                // libcurl sends a request again where a connection that was used before breaks without an answer.
                self.easy.fresh_connect(true)?;
                let body = request.body.as_ref().map(redfish::HttpSecret::expose).unwrap_or_default();
                self.easy.post_fields_copy(body.as_bytes())?;
            }
        }
        self.easy.http_headers(headers)
    }

    /// Sets which BMC is trusted. With a fingerprint its key alone counts: the certificates of BMCs are self-signed, expired
    /// or for another name.
    fn bind(&mut self) -> Result<(), curl::Error> {
        match &self.call.trust {
            Trust::System => {}
            Trust::CaFile(file) => {
                self.easy.cainfo(file)?;
                self.easy.capath(NO_STORE)?;
            }
            Trust::Fingerprint(fingerprint) => {
                self.easy.pinned_public_key(fingerprint)?;
                self.easy.ssl_verify_peer(false)?;
                self.easy.ssl_verify_host(false)?;
            }
        }
        match self.call.tls {
            Tls::V12 => self.easy.ssl_min_max_version(SslVersion::Tlsv12, SslVersion::Default),
            Tls::V10 => {
                self.easy.ssl_cipher_list("DEFAULT@SECLEVEL=0")?;
                self.easy.ssl_min_max_version(SslVersion::Tlsv1, SslVersion::Default)
            }
        }
    }

    fn error(
        &mut self,
        error: &curl::Error,
        limit: Duration,
        begun: Instant,
        longest_attempt: Duration,
    ) -> TransportError {
        let text = error.extra_description().filter(|text| !text.is_empty()).unwrap_or(error.description()).to_owned();
        let errno = self.easy.os_errno().unwrap_or_default();
        let is_connected =
            self.easy.get_ref().is_connected || self.easy.connect_time().is_ok_and(|time| !time.is_zero());
        let (fault, why) = match () {
            () if self.easy.get_ref().is_too_large || error.code() == TOO_LARGE => {
                (TransportFault::TooLarge, "its answer is too long".to_owned())
            }
            () if error.is_operation_timedout() => {
                let seconds = limit.as_secs_f64();
                if is_connected {
                    (TransportFault::Hung, format!("accepts the connection and does not answer within {seconds:.1} s"))
                } else if is_silent(limit, self.easy.namelookup_time().ok()) {
                    (TransportFault::NoSign, format!("no answer in {seconds:.1} s; check its address and network"))
                } else {
                    (TransportFault::Unreachable, format!("no answer in {seconds:.1} s"))
                }
            }
            () if error.is_couldnt_resolve_host() => (TransportFault::Unreachable, format!("name service: {text}")),
            () if error.is_couldnt_connect() && errno == ECONNREFUSED => {
                let port = self.call.port;
                (TransportFault::Closed, format!("refuses connections to port {port}; switch Redfish (HTTPS) on there"))
            }
            () if error.is_couldnt_connect() && errno == EHOSTUNREACH => {
                // A BMC without power: nothing on its network answers for its address.
                let whole = begun.elapsed();
                let seconds = whole.as_secs_f64();
                let lookup = self.easy.namelookup_time().ok();
                if is_absent(whole, longest_attempt, lookup) {
                    (TransportFault::NoSign, format!("no host answers for its address, for {seconds:.1} s ({text})"))
                } else if longest_attempt < LEAST_SEARCH {
                    let why = format!(
                        "its address is rejected at once, by a rule or route of this host or by a router, which shows nothing of \
                         the BMC ({text}); see: ip route get ADDRESS; nft list ruleset"
                    );
                    (TransportFault::Unreachable, why)
                } else {
                    (
                        TransportFault::Unreachable,
                        format!("no host answers for its address, for {seconds:.1} s ({text})"),
                    )
                }
            }
            () if error.is_couldnt_connect() => (TransportFault::Unreachable, text),
            () if error.code() == PIN_MISMATCH => {
                self.is_untrusted = true;
                (TransportFault::Tls, "its public key has not the configured fingerprint".to_owned())
            }
            () if error.is_peer_failed_verification() => {
                self.is_untrusted = true;
                (TransportFault::Tls, format!("its certificate is not trusted: {text}"))
            }
            () if error.is_ssl_cacert_badfile() || error.is_ssl_cipher() => (TransportFault::Local, text),
            () if error.is_ssl_connect_error() => match handshake_advice(&text, self.call.tls, self.call.port) {
                Some(advice) => (TransportFault::Tls, advice),
                None => (TransportFault::Broken, text),
            },
            () => (TransportFault::Broken, text),
        };
        TransportError { fault, why }
    }
}

/// The error of a closed port (errno(3)).
const ECONNREFUSED: i32 = 111;

/// `EHOSTUNREACH`: the kernel, or a router, has found no host of that address on its network.
const EHOSTUNREACH: i32 = 113;

/// The least time for which a network is searched for a host before it is given up. Linux sends three requests, 1 s apart
/// (`mcast_solicit`, `retrans_time_ms` in arp(7)); a connection may join a search that has begun before.
const LEAST_SEARCH: Duration = Duration::from_secs(1);

/// The pause before a host that was not found is asked for again.
const ASK_AGAIN_PAUSE: Duration = Duration::from_millis(500);

impl Transport for Curl<'_> {
    fn exchange(&mut self, request: &HttpRequest<'_>, limit: Duration) -> Result<HttpResponse, TransportError> {
        let limit = limit.min(self.left());
        if limit.is_zero() {
            let why = "the time is over".to_owned();
            return Err(TransportError { fault: TransportFault::Unreachable, why });
        }
        if let Err(error) = self.prepare(request, limit) {
            return Err(TransportError { fault: TransportFault::Local, why: format!("libcurl: {error}") });
        }
        let begun = Instant::now();
        let (mut attempt, mut longest_attempt) = (begun, Duration::ZERO);
        while let Err(error) = self.easy.perform() {
            longest_attempt = longest_attempt.max(attempt.elapsed());
            // The kernel gives a host up after 3 s, sooner than a silence counts. Nothing was sent yet.
            let is_absent = error.is_couldnt_connect() && self.easy.os_errno().unwrap_or_default() == EHOSTUNREACH;
            let left = limit.saturating_sub(begun.elapsed());
            if !is_absent || begun.elapsed() >= LEAST_SILENCE || left <= ASK_AGAIN_PAUSE {
                return Err(self.error(&error, limit, begun, longest_attempt));
            }
            std::thread::sleep(ASK_AGAIN_PAUSE);
            if let Err(error) = self.prepare(request, left.saturating_sub(ASK_AGAIN_PAUSE)) {
                return Err(TransportError { fault: TransportFault::Local, why: format!("libcurl: {error}") });
            }
            attempt = Instant::now();
        }
        let status = self.easy.response_code().unwrap_or_default();
        let received = std::mem::take(self.easy.get_mut());
        Ok(HttpResponse {
            status: u16::try_from(status).unwrap_or_default(),
            headers: received.headers,
            body: received.body,
        })
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time.min(self.left()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenSSL's words for plain HTTP, for an old version, and for what no setting of this program changes.
    #[test]
    fn advice_is_given_only_where_it_helps() {
        let old = "error:0A00010B:SSL routines::unsupported protocol";
        assert!(handshake_advice(old, Tls::V12, 443).is_some_and(|advice| advice.ends_with("tls = \"1.0\"")));
        for (text, tls) in [
            ("error:0A000152:SSL routines::unsafe legacy renegotiation disabled", Tls::V12),
            (old, Tls::V10),
            ("error:0A00010B:SSL routines::wrong version number", Tls::V12),
        ] {
            assert!(handshake_advice(text, tls, 80).is_some_and(|advice| !advice.contains("tls =")), "{text}");
        }
        let plain = handshake_advice("error:0A00010B:SSL routines::wrong version number", Tls::V12, 80);
        assert!(plain.is_some_and(|advice| advice.starts_with("port 80 does not speak TLS")));
        assert_eq!(handshake_advice("unexpected eof while reading", Tls::V12, 443), None);
    }

    /// A rule of this host's own rejects within a millisecond, however often it is asked.
    #[test]
    fn a_rejection_by_this_host_is_no_silence() {
        let (whole, lookup) = (LEAST_SILENCE + Duration::from_millis(200), Some(Duration::from_micros(20)));
        assert!(is_absent(whole, Duration::from_millis(3_060), lookup));
        for longest in [Duration::from_micros(80), Duration::from_millis(40)] {
            assert!(!is_absent(whole, longest, lookup), "{longest:?}");
        }
        assert!(!is_absent(Duration::from_millis(3_060), Duration::from_millis(3_060), lookup));
    }

    /// A dead first name server takes 5 s of a limit of 6 s: one second of packets shows nothing.
    #[test]
    fn the_time_of_the_name_service_is_no_silence() {
        let limit = Duration::from_secs(6);
        assert!(is_silent(limit, Some(Duration::from_micros(20))));
        for lookup in [None, Some(Duration::ZERO), Some(Duration::from_secs(5))] {
            assert!(!is_silent(limit, lookup), "{lookup:?}");
        }
        assert!(!is_silent(LEAST_SILENCE, Some(Duration::from_millis(1))));
    }
}
