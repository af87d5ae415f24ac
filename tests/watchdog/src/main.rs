//! Answers as master candidates at the addresses that are its arguments after the key's file: `confd` answers that the
//! sender may run, `echo` as another node's self-fencing daemon does.
//!
//! The signature of confd is Ganeti's (`lib/serializer.py`, `DumpSignedJson`): over the salt and the message, with the
//! cluster's key.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::thread;

use gnt_ha::core::config::SelfFenceConfig;
use gnt_ha::core::ganeti::CONFD_PORT;
use gnt_ha::sys::signed_echo::{EchoKey, Responder};
use hmac::{Hmac, Mac};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use sha1::Sha1;

const MAGIC: &[u8] = b"plj0";

/// `NodeRoleRegular` of `ConfdNodeRole` (`src/Ganeti/Confd/Types.hs`).
const REGULAR: u8 = 4;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let serve: fn(&str, &[u8]) -> io::Error = match arguments.next().as_deref() {
        Some("confd") => confd,
        Some("echo") => echo,
        _ => return ExitCode::FAILURE,
    };
    let Some(key) = arguments.next().and_then(|path| std::fs::read(path).ok()) else { return ExitCode::FAILURE };
    let answering: Vec<_> = arguments
        .map(|address| {
            let key = key.clone();
            thread::spawn(move || serve(&address, &key))
        })
        .collect();
    for candidate in answering {
        if let Ok(error) = candidate.join() {
            eprintln!("candidates-confd: {error}");
        }
    }
    ExitCode::FAILURE
}

/// Answers until the network fails; returns that error.
fn echo(address: &str, key: &[u8]) -> io::Error {
    let serve = || -> io::Result<()> {
        let address: IpAddr = address.parse().map_err(io::Error::other)?;
        let key = EchoKey::of_bytes(key)?;
        let responder = Responder::new(SocketAddr::new(address, SelfFenceConfig::default().port));
        while let Some(fd) = responder.fd() {
            poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::NONE)?;
            responder.answer_by(&key);
        }
        Err(io::Error::other(responder.fault().unwrap_or_default()))
    };
    serve().err().unwrap_or_else(|| io::Error::other("it ended"))
}

/// Answers until the network fails; returns that error.
fn confd(address: &str, key: &[u8]) -> io::Error {
    let socket = match UdpSocket::bind((address, CONFD_PORT)) {
        Ok(socket) => socket,
        Err(error) => return error,
    };
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(question) => question,
            Err(error) => return error,
        };
        if let Some(answer) = answer(&buffer[..length], key) {
            // A host that cannot be reached asks again.
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn answer(question: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let signed: Value = serde_json::from_slice(question.strip_prefix(MAGIC)?).ok()?;
    let asked: Value = serde_json::from_str(signed["msg"].as_str()?).ok()?;
    let salt = asked["rsalt"].as_str()?;
    let message = json!({"protocol": 1, "status": 0, "answer": REGULAR, "serial": 1}).to_string();
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(salt.as_bytes());
    mac.update(message.as_bytes());
    let hmac: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some([MAGIC, json!({"msg": message, "salt": salt, "hmac": hmac}).to_string().as_bytes()].concat())
}
