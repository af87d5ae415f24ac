//! Reads the certificate that a BMC shows, without trusting it: only to print its fingerprint. Sends no credentials.

use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use openssl::base64::encode_block;
use openssl::hash::{MessageDigest, hash};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::{X509, X509NameRef};
use redfish::{Call, Tls};

/// The most that reading the certificate may take.
const READ_LIMIT: Duration = Duration::from_secs(3);

/// The most characters of a name in a certificate that are shown.
const LONGEST_NAME: usize = 60;

/// A certificate that a BMC has shown.
#[derive(Debug)]
pub(crate) struct Shown {
    /// SHA-256 of its public key, in libcurl's form.
    pub(crate) fingerprint: String,
    /// SHA-256 of the certificate, in the form in which the pages of BMCs show it.
    sha256: String,
    subject: String,
    not_after: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sha256, subject, not_after, .. } = self;
        write!(f, "a certificate of {subject:?}, valid until {not_after}, SHA-256 {sha256}")
    }
}

/// Returns the certificate that the BMC shows; `None` if it shows none in time.
pub(crate) fn shown(call: &Call, deadline: Instant) -> Option<Shown> {
    let limit = READ_LIMIT.min(deadline.saturating_duration_since(Instant::now()));
    let (address, addresses, port, tls) = (call.address.clone(), call.addresses.clone(), call.port, call.tls);
    let (sender, receiver) = mpsc::channel();
    // A BMC that sends one byte after another must not hold this program: the thread ends with it.
    std::thread::spawn(move || sender.send(read(&address, &addresses, port, tls, limit)));
    receiver.recv_timeout(limit).ok().flatten()
}

fn read(address: &str, known: &[IpAddr], port: u16, tls: Tls, limit: Duration) -> Option<Shown> {
    let mut addresses: Vec<SocketAddr> = known.iter().map(|at| SocketAddr::new(*at, port)).collect();
    if addresses.is_empty() {
        addresses.extend((address, port).to_socket_addrs().ok()?);
    }
    let stream = addresses.iter().find_map(|at| TcpStream::connect_timeout(at, limit).ok())?;
    stream.set_read_timeout(Some(limit)).ok()?;
    let mut builder = SslConnector::builder(SslMethod::tls_client()).ok()?;
    builder.set_verify(SslVerifyMode::NONE);
    if tls == Tls::V10 {
        builder.set_min_proto_version(Some(SslVersion::TLS1)).ok()?;
        builder.set_cipher_list("DEFAULT@SECLEVEL=0").ok()?;
    }
    // A BMC with several certificates chooses one by the name, which libcurl sends, too.
    let is_name = address.parse::<IpAddr>().is_err();
    let configuration = builder.build().configure().ok()?.verify_hostname(false).use_server_name_indication(is_name);
    let stream = configuration.connect(address, stream).ok()?;
    stream.ssl().peer_certificate().and_then(|certificate| describe(&certificate))
}

fn describe(certificate: &X509) -> Option<Shown> {
    let key = hash(MessageDigest::sha256(), &certificate.public_key().ok()?.public_key_to_der().ok()?).ok()?;
    let whole = certificate.digest(MessageDigest::sha256()).ok()?;
    let pairs: Vec<String> = whole.iter().map(|byte| format!("{byte:02X}")).collect();
    Some(Shown {
        fingerprint: format!("sha256//{}", encode_block(&key)),
        sha256: pairs.join(":"),
        subject: name(certificate.subject_name()),
        not_after: certificate.not_after().to_string(),
    })
}

fn name(name: &X509NameRef) -> String {
    let parts = name.entries().filter_map(|entry| entry.data().to_string().ok());
    let text = parts.collect::<Vec<_>>().join(", ");
    text.chars().filter(|letter| letter.is_ascii_graphic() || *letter == ' ').take(LONGEST_NAME).collect()
}
