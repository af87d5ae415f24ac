//! A BMC with a Redfish service: an HTTPS server that misbehaves on demand.
#![allow(clippy::unwrap_used, reason = "for tests only: a broken test stops at once")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::base64::encode_block;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{NameType, SslAcceptor, SslMethod, SslStream, SslVersion};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use serde_json::{Value, json};

/// The path of the only system.
pub const SYSTEM: &str = "/redfish/v1/Systems/1";

/// A request that the server has received.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method and path.
    pub line: String,
    /// The headers as they came.
    pub headers: String,
    /// The body.
    pub body: String,
}

/// The answer of the server.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A correct answer.
    Json(u16, Value),
    /// These bytes, after which the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, and then nothing until the client gives up.
    Hang(Vec<u8>),
    /// These bytes, and then one byte each 50 ms, without end.
    Drip(Vec<u8>),
    /// These bytes, and then these again and again, without end.
    Flood(Vec<u8>, Vec<u8>),
}

/// The versions of TLS that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// TLS 1.2 and 1.3.
    Tls,
    /// TLS 1.0 only.
    OldTls,
    /// Nothing: the connection stands, and TLS hangs.
    Nothing,
}

/// A key with its self-signed certificate for 127.0.0.1.
#[derive(Clone, Debug)]
pub struct Identity {
    key: PKey<Private>,
    certificate: X509,
}

impl Identity {
    /// Makes a key and a certificate for this address.
    pub fn new(address: &str) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "bmc").unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(9).unwrap()).unwrap();
        let names = SubjectAlternativeName::new().ip(address).build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { key, certificate: builder.build() }
    }

    /// Returns the fingerprint of the public key in libcurl's form.
    pub fn fingerprint(&self) -> String {
        let key = self.certificate.public_key().unwrap().public_key_to_der().unwrap();
        format!("sha256//{}", encode_block(&hash(MessageDigest::sha256(), &key).unwrap()))
    }

    /// Returns the certificate as PEM.
    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }
}

/// A running server, on 127.0.0.1 without a listener of its own, which ends with the test.
#[derive(Debug)]
pub struct Server {
    /// The port of the server.
    pub port: u16,
    /// Its key and certificate.
    pub identity: Identity,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<usize>>,
    names: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server that answers each request as `manner` says.
    pub fn start(manner: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::speaking(Speaks::Tls, manner)
    }

    /// Starts a server with other TLS.
    pub fn speaking(speaks: Speaks, manner: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), speaks, manner)
    }

    /// Starts a server on a listener, which may be in another network namespace.
    pub fn on(
        listener: TcpListener,
        speaks: Speaks,
        manner: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity::new("127.0.0.1");
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        if speaks == Speaks::OldTls {
            acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).unwrap();
            acceptor.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
            acceptor.set_max_proto_version(Some(SslVersion::TLS1)).unwrap();
            acceptor.set_cipher_list("ALL@SECLEVEL=0").unwrap();
        }
        acceptor.set_private_key(&identity.key).unwrap();
        acceptor.set_certificate(&identity.certificate).unwrap();
        let names: Arc<Mutex<Vec<String>>> = Arc::default();
        let asked = Arc::clone(&names);
        acceptor.set_servername_callback(move |ssl, _| {
            asked.lock().unwrap().extend(ssl.servername(NameType::HOST_NAME).map(str::to_owned));
            Ok(())
        });
        let acceptor = Arc::new(acceptor.build());
        let port = listener.local_addr().unwrap().port();
        let (requests, connections): (Arc<Mutex<Vec<Request>>>, Arc<Mutex<usize>>) = Default::default();
        let (log, count, manner) = (Arc::clone(&requests), Arc::clone(&connections), Arc::new(manner));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *count.lock().unwrap() += 1;
                let (acceptor, log, manner) = (Arc::clone(&acceptor), Arc::clone(&log), Arc::clone(&manner));
                thread::spawn(move || {
                    if speaks == Speaks::Nothing {
                        let _ = (&stream).read_to_end(&mut Vec::new());
                        return;
                    }
                    let Ok(stream) = acceptor.accept(stream) else { return };
                    serve(BufReader::new(stream), &log, &*manner);
                });
            }
        });
        Self { port, identity, requests, connections, names }
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the names that TLS has asked for so far.
    pub fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

fn serve(
    mut stream: BufReader<SslStream<TcpStream>>,
    log: &Mutex<Vec<Request>>,
    manner: &(impl Fn(&Request) -> Reply + ?Sized),
) {
    while let Some(request) = receive(&mut stream) {
        log.lock().unwrap().push(request.clone());
        let out = stream.get_mut();
        let sent = match manner(&request) {
            Reply::Json(status, body) => {
                let body = body.to_string();
                let text = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let text = if status == 204 { "HTTP/1.1 204 x\r\n\r\n".to_owned() } else { text };
                if out.write_all(text.as_bytes()).is_ok() {
                    continue;
                }
                return;
            }
            Reply::Raw(bytes) => out.write_all(&bytes),
            Reply::Hang(bytes) => out.write_all(&bytes).and_then(|()| out.read_to_end(&mut Vec::new()).map(drop)),
            Reply::Drip(bytes) => out.write_all(&bytes).and_then(|()| {
                loop {
                    thread::sleep(Duration::from_millis(50));
                    out.write_all(b" ")?;
                }
            }),
            Reply::Flood(bytes, more) => out.write_all(&bytes).and_then(|()| {
                loop {
                    out.write_all(&more)?;
                }
            }),
        };
        // The connection ends here, without TLS's own end: as many BMCs do.
        drop(sent);
        return;
    }
}

fn receive(stream: &mut BufReader<SslStream<TcpStream>>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut headers = String::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok().filter(|length| *length > 0)?;
        if header.trim().is_empty() {
            break;
        }
        headers.push_str(&header);
    }
    let length = headers
        .lines()
        .find_map(|header| header.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let line = line.rsplit_once(' ').map_or_else(|| line.clone(), |(line, _)| line.to_owned());
    Some(Request { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Returns the document of the only system.
pub fn system(state: &str) -> Value {
    json!({
        "@odata.id": SYSTEM, "PowerState": state, "UUID": "27946b59-9e44-4fa7-8e91-f3527a1ef094",
        "Status": {"Health": "OK"},
        "Actions": {"#ComputerSystem.Reset": {
            "target": format!("{SYSTEM}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff"],
        }},
    })
}

/// Answers as a healthy BMC with one system in this state.
pub fn healthy(request: &Request, state: &str) -> Reply {
    match request.line.as_str() {
        "GET /redfish/v1/Systems" => {
            Reply::Json(200, json!({"Members": [{"@odata.id": SYSTEM}], "Members@odata.count": 1}))
        }
        "GET /redfish/v1/Systems/1" => Reply::Json(200, system(state)),
        line if line.starts_with("POST") => Reply::Json(204, Value::Null),
        _ => Reply::Json(404, json!({})),
    }
}
