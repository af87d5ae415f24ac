//! A noded for tests: HTTPS with certificates as Ganeti makes them, many nodes on one port, faults on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslAcceptor, SslFiletype, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// The two files of a cluster: `server.pem`, the same on all nodes, and a candidate's `client.pem`, signed by it.
pub(crate) struct Pki {
    dir: tempfile::TempDir,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let pki = Self { dir: tempfile::tempdir().unwrap() };
        pki.renew();
        pki
    }

    /// The key and certificate of the cluster.
    pub(crate) fn cluster(&self) -> Identity {
        let pem = read(&self.server());
        Identity { key: PKey::private_key_from_pem(&pem).unwrap(), certificate: X509::from_pem(&pem).unwrap() }
    }

    /// `gnt-cluster renew-crypto --new-cluster-certificate`: new keys under the same names.
    pub(crate) fn renew(&self) {
        let server = Identity::new(CLUSTER, None);
        let client = Identity::new("n1.lab", Some(&server));
        server.write(&self.server());
        client.write(&self.client());
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    pub(crate) fn client(&self) -> PathBuf {
        self.dir.path().join("client.pem")
    }
}

/// The subject of every Ganeti cluster's certificate (`lib/utils/x509.py`, `lib/_constants.py`).
pub(crate) const CLUSTER: &str = "ganeti.example.com";

/// A private key and its certificate.
pub(crate) struct Identity {
    key: PKey<Private>,
    certificate: X509,
}

impl Identity {
    /// Makes a self-signed certificate of X.509 version 1, without an issuer.
    pub(crate) fn new(common: &str, signer: Option<&Self>) -> Self {
        // Making an RSA key takes long: only Ganeti's own is one.
        let key = if common == CLUSTER {
            PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
        } else {
            let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
            PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
        };
        Self::of(key, common, signer)
    }

    /// Returns the same key with another certificate.
    pub(crate) fn again(&self, common: &str, signer: Option<&Self>) -> Self {
        Self::of(self.key.clone(), common, signer)
    }

    fn of(key: PKey<Private>, common: &str, signer: Option<&Self>) -> Self {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", common).unwrap();
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(0).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(signer.map_or(&name, |signer| signer.certificate.subject_name())).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
        builder.sign(signer.map_or(&key, |signer| &signer.key), MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key }
    }

    /// Writes key and certificate to one file, as Ganeti does.
    pub(crate) fn write(&self, path: &Path) {
        let pem = [self.key.private_key_to_pem_pkcs8().unwrap(), self.certificate.to_pem().unwrap()].concat();
        std::fs::write(path, pem).unwrap();
    }

    /// Makes a directory of trusted certificates with this one in it, as a file and by its hash (c_rehash(1)).
    pub(crate) fn as_store(&self, dir: &Path) {
        let pem = self.certificate.to_pem().unwrap();
        std::fs::write(dir.join("ca-certificates.crt"), &pem).unwrap();
        std::fs::write(dir.join(format!("{:08x}.0", self.certificate.subject_name_hash())), pem).unwrap();
    }
}

/// The behaviour of the noded at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    Fails,
    Garbage,
    OtherShape,
    Closes,
    Redirects,
    HostileFailure,
    HostileGarbage,
    HostileShape,
    Endless,
    Silent,
}

impl Manner {
    /// Returns the behaviour, by the last number of the address.
    pub(crate) fn of(address: IpAddr) -> Self {
        let IpAddr::V4(address) = address else { return Self::Well };
        match address.octets()[3] {
            50 => Self::Fails,
            52 => Self::Garbage,
            53 => Self::OtherShape,
            54 => Self::Closes,
            55 => Self::Redirects,
            56 => Self::HostileFailure,
            57 => Self::HostileGarbage,
            58 => Self::HostileShape,
            60 => Self::Endless,
            61 => Self::Silent,
            _ => Self::Well,
        }
    }
}

/// A text in JSON that would set a terminal's title, forge a second line, and is long.
const HOSTILE: &str = concat!(
    "\\u001b]0;owned\\u0007\\nganeti-oob: n2: off\\u009b31m\\u202e ",
    "long long long long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long long long long "
);

/// A noded that serves as long as the test runs.
pub(crate) struct Noded {
    port: u16,
    received: Arc<AtomicUsize>,
}

impl Noded {
    pub(crate) fn start(pki: &Pki) -> Self {
        Self::shows(&pki.server(), pki)
    }

    /// Starts a noded that presents the certificate in this file, and knows the candidate of `pki`.
    pub(crate) fn shows(identity: &Path, pki: &Pki) -> Self {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_private_key_file(identity, SslFiletype::PEM).unwrap();
        acceptor.set_certificate_file(identity, SslFiletype::PEM).unwrap();
        // Any certificate is accepted in the handshake, and checked afterwards, as noded does.
        acceptor.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
        let acceptor = Arc::new(acceptor.build());
        let known = Arc::new(digest(&X509::from_pem(&read(&pki.client())).unwrap()));
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acceptor, known, count) = (Arc::clone(&acceptor), Arc::clone(&known), Arc::clone(&count));
                thread::spawn(move || serve(stream, &acceptor, &known, &count));
            }
        });
        Self { port, received }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of requests that were accepted.
    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn digest(certificate: &X509) -> Vec<u8> {
    certificate.digest(MessageDigest::sha1()).unwrap().to_vec()
}

/// Answers one request, as `lib/http/server.py` does. Any failure ends the connection.
fn serve(stream: TcpStream, acceptor: &SslAcceptor, known: &[u8], received: &AtomicUsize) -> Option<()> {
    let manner = Manner::of(stream.local_addr().ok()?.ip());
    let is_refused = matches!(stream.local_addr().ok()?.ip(), IpAddr::V4(ip) if ip.octets()[3] == 51);
    let mut tls = SslStream::new(Ssl::new(acceptor.context()).ok()?, stream).ok()?;
    tls.accept().ok()?;
    let is_known = tls.ssl().peer_certificate().is_some_and(|certificate| digest(&certificate) == known);
    let body = body_of(&mut tls)?;
    received.fetch_add(1, Ordering::SeqCst);
    let mut answer = |head: &str, text: &[u8]| {
        let head = format!("HTTP/1.0 {head}\r\nContent-Length: {}\r\n\r\n", text.len());
        tls.write_all(head.as_bytes()).and_then(|()| tls.write_all(text)).ok()
    };
    if !is_known || is_refused {
        return answer("403 Forbidden", b"{\"code\": 403}");
    }
    match manner {
        Manner::Well => answer("200 OK", &[b"[true, ", body.as_slice(), b"]"].concat())?,
        Manner::Fails => answer("200 OK", b"[false, \"no such program\"]")?,
        Manner::Garbage => answer("200 OK", b"[true, ")?,
        Manner::OtherShape => answer("200 OK", b"[1, 2, 3]")?,
        Manner::Closes => return None,
        Manner::Redirects => answer("301 Moved\r\nLocation: https://127.0.0.1/", b"[true, 1]")?,
        Manner::HostileFailure => answer("200 OK", format!("[false, \"{HOSTILE}\"]").as_bytes())?,
        Manner::HostileGarbage => answer("200 OK", b"\x1b]0;owned\x07\n\xc2\x9b31m")?,
        Manner::HostileShape => answer("200 OK", format!("[false, [\"{HOSTILE}\"]]").as_bytes())?,
        Manner::Endless => answer("200 OK", &[b"[true, \"".as_slice(), &vec![b'x'; 5 << 20], b"\"]"].concat())?,
        Manner::Silent => thread::sleep(Duration::from_secs(60)),
    }
    let _ = tls.shutdown();
    Some(())
}

fn body_of(tls: &mut SslStream<TcpStream>) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(tls);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}
