//! Compares packets byte by byte with independent ones.
//!
//! The files under `packets/` were computed from the tables of the specification with Python's `hmac` and OpenSSL's AES,
//! not with this library, so that a mistake shared by encoder and decoder shows.
#![allow(clippy::unwrap_used, reason = "tests")]

use ipmi_lan::keys::{Exchange, SessionKeys};
use ipmi_lan::lan_message::{LanReply, LanRequest};
use ipmi_lan::open_session::{OpenSessionRequest, OpenSessionResponse, SessionOffer};
use ipmi_lan::protect::{open, protect};
use ipmi_lan::rakp::{Rakp1, Rakp2, Rakp2Body, Rakp3, Rakp4};
use ipmi_lan::rmcp::{PayloadType, decode_plain, decode_v15, encode_plain, encode_v15};
use ipmi_lan::{ChassisStatus, CipherSuite, Datagram, decode_datagram};

const CONSOLE: u32 = 0xA1A2_A3A4;
const MANAGED: u32 = 0xC1C2_C3C4;
const ROLE: u8 = 0x13;

macro_rules! packet {
    ($name:literal) => {
        bytes(include_str!(concat!("packets/", $name, ".hex")))
    };
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn range(start: u8) -> [u8; 16] {
    std::array::from_fn(|index| start + index as u8)
}

fn exchange(suite: CipherSuite) -> Exchange {
    Exchange {
        suite,
        console_session_id: CONSOLE,
        managed_session_id: MANAGED,
        console_random: range(0x10),
        managed_random: range(0x30),
        managed_guid: range(0x50),
        role: ROLE,
        username: b"fence".to_vec(),
    }
}

const PASSWORD: &[u8] = b"correct horse";

/// The bytes 80h to 93h.
const KG: [u8; 20] = *b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93";

fn keys(suite: CipherSuite, with_kg: bool) -> SessionKeys {
    exchange(suite).session_keys(if with_kg { &KG } else { PASSWORD })
}

/// IPMI 2.0 section 13.17: a wrong algorithm number would ask for a weaker suite.
#[test]
fn open_session_request() {
    for (suite, pinned) in [
        (CipherSuite::Suite3, packet!("open_session_request_3")),
        (CipherSuite::Suite17, packet!("open_session_request_17")),
    ] {
        let request = OpenSessionRequest {
            message_tag: 0x21,
            max_privilege: 3,
            console_session_id: CONSOLE,
            algorithms: suite.algorithms(),
        };
        assert_eq!(encode_plain(PayloadType::OpenSessionRequest, &request.encode()), pinned);
        let (kind, payload) = decode_plain(&pinned).unwrap();
        assert_eq!(kind, PayloadType::OpenSessionRequest);
        assert_eq!(OpenSessionRequest::decode(payload), Ok(request));
    }
}

/// IPMI 2.0 section 13.18.
#[test]
fn open_session_response() {
    for (suite, pinned) in [
        (CipherSuite::Suite3, packet!("open_session_response_3")),
        (CipherSuite::Suite17, packet!("open_session_response_17")),
    ] {
        let offer = SessionOffer { max_privilege: 4, managed_session_id: MANAGED, algorithms: suite.algorithms() };
        let response = OpenSessionResponse { message_tag: 0x21, console_session_id: Some(CONSOLE), outcome: Ok(offer) };
        assert_eq!(encode_plain(PayloadType::OpenSessionResponse, &response.encode()), pinned);
        assert_eq!(decode_datagram(&pinned, None), Ok(Datagram::OpenSession(response)));
    }
}

/// `ipmi_sim` truncates its refusal of suite 17 after the status; without reading it there is no fallback to suite 3.
#[test]
fn open_session_refusals() {
    let whole = OpenSessionResponse { message_tag: 0x21, console_session_id: Some(CONSOLE), outcome: Err(0x11) };
    assert_eq!(encode_plain(PayloadType::OpenSessionResponse, &whole.encode()), packet!("open_session_refusal"));
    assert_eq!(decode_datagram(&packet!("open_session_refusal"), None), Ok(Datagram::OpenSession(whole)));
    let short = OpenSessionResponse { message_tag: 0x21, console_session_id: None, outcome: Err(0x04) };
    assert_eq!(decode_datagram(&packet!("open_session_refusal_short"), None), Ok(Datagram::OpenSession(short)));
}

/// IPMI 2.0 section 13.20; the role carries the name-only bit, as `ipmitool` and `ipmipower` send it.
#[test]
fn rakp1() {
    for pinned in [packet!("rakp1_3"), packet!("rakp1_17")] {
        let message = Rakp1 {
            message_tag: 0x22,
            managed_session_id: MANAGED,
            console_random: range(0x10),
            role: ROLE,
            username: b"fence".to_vec(),
        };
        assert_eq!(encode_plain(PayloadType::Rakp1, &message.encode()), pinned);
        assert_eq!(Rakp1::decode(decode_plain(&pinned).unwrap().1), Ok(message));
    }
}

/// IPMI 2.0 section 13.21; the status is byte 1, not the reserved byte 2 where `ipmi-rs` 0.6 looks for it.
#[test]
fn rakp2() {
    for (suite, pinned) in [(CipherSuite::Suite3, packet!("rakp2_3")), (CipherSuite::Suite17, packet!("rakp2_17"))] {
        let code = exchange(suite).rakp2_code(PASSWORD).as_bytes().to_vec();
        let body = Rakp2Body { managed_random: range(0x30), managed_guid: range(0x50), code };
        let message = Rakp2 { message_tag: 0x22, console_session_id: Some(CONSOLE), outcome: Ok(body) };
        assert_eq!(encode_plain(PayloadType::Rakp2, &message.encode()), pinned);
        assert_eq!(decode_datagram(&pinned, None), Ok(Datagram::Rakp2(message)));
    }
    let refusal = Rakp2 { message_tag: 0x22, console_session_id: Some(CONSOLE), outcome: Err(0x0D) };
    assert_eq!(encode_plain(PayloadType::Rakp2, &refusal.encode()), packet!("rakp2_refusal"));
    assert_eq!(decode_datagram(&packet!("rakp2_refusal"), None), Ok(Datagram::Rakp2(refusal)));
}

/// IPMI 2.0 section 13.22.
#[test]
fn rakp3() {
    for (suite, pinned) in [(CipherSuite::Suite3, packet!("rakp3_3")), (CipherSuite::Suite17, packet!("rakp3_17"))] {
        let outcome = Ok(exchange(suite).rakp3_code(PASSWORD).as_bytes().to_vec());
        let message = Rakp3 { message_tag: 0x23, managed_session_id: MANAGED, outcome };
        assert_eq!(encode_plain(PayloadType::Rakp3, &message.encode()), pinned);
        assert_eq!(Rakp3::decode(decode_plain(&pinned).unwrap().1), Ok(message));
    }
    let refusal = Rakp3 { message_tag: 0x23, managed_session_id: MANAGED, outcome: Err(0x0F) };
    assert_eq!(encode_plain(PayloadType::Rakp3, &refusal.encode()), packet!("rakp3_refusal"));
}

/// IPMI 2.0 sections 13.23, 13.31: the session key comes from K_g where there is one.
#[test]
fn rakp4() {
    for (suite, with_kg, pinned) in [
        (CipherSuite::Suite3, false, packet!("rakp4_3")),
        (CipherSuite::Suite17, false, packet!("rakp4_17")),
        (CipherSuite::Suite3, true, packet!("rakp4_3_kg")),
        (CipherSuite::Suite17, true, packet!("rakp4_17_kg")),
    ] {
        let keys = keys(suite, with_kg);
        let value = keys.rakp4_value().to_vec();
        assert!(keys.accepts_rakp4(&value));
        assert!(!keys.accepts_rakp4(&value[1..]) && !keys.accepts_rakp4(&[]));
        let message = Rakp4 { message_tag: 0x23, console_session_id: Some(CONSOLE), outcome: Ok(value) };
        assert_eq!(encode_plain(PayloadType::Rakp4, &message.encode()), pinned);
        assert_eq!(decode_datagram(&pinned, None), Ok(Datagram::Rakp4(message)));
    }
    let refusal = Rakp4 { message_tag: 0x23, console_session_id: Some(CONSOLE), outcome: Err(0x0F) };
    assert_eq!(decode_datagram(&packet!("rakp4_refusal"), None), Ok(Datagram::Rakp4(refusal)));
}

fn status_request() -> LanRequest {
    LanRequest { net_fn: 0, lun: 0, sequence: 5, command: 1, data: Vec::new() }
}

/// IPMI 2.0 sections 13.28.4, 13.29: encrypt first, then sign all but the RMCP header.
#[test]
fn protected_requests() {
    for (suite, with_kg, pinned) in [
        (CipherSuite::Suite3, false, packet!("protected_request_3")),
        (CipherSuite::Suite17, false, packet!("protected_request_17")),
        (CipherSuite::Suite3, true, packet!("protected_request_3_kg")),
        (CipherSuite::Suite17, true, packet!("protected_request_17_kg")),
    ] {
        let keys = keys(suite, with_kg);
        let protected = protect(&keys, MANAGED, 7, range(0x60), &status_request().encode()).unwrap();
        assert_eq!(protected, pinned);
        let (sequence, message) = open(&keys, MANAGED, &pinned).unwrap();
        assert_eq!((sequence, LanRequest::decode(&message)), (7, Ok(status_request())));
    }
}

/// A wrong parser of replies would report a wrong power state.
#[test]
fn protected_replies() {
    for (suite, with_kg, pinned) in [
        (CipherSuite::Suite3, false, packet!("protected_reply_3")),
        (CipherSuite::Suite17, false, packet!("protected_reply_17")),
        (CipherSuite::Suite3, true, packet!("protected_reply_3_kg")),
        (CipherSuite::Suite17, true, packet!("protected_reply_17_kg")),
    ] {
        let keys = keys(suite, with_kg);
        let reply = status_request().reply(0, vec![0x21, 0x10, 0x40]);
        assert_eq!(protect(&keys, CONSOLE, 7, range(0x60), &reply.encode()).unwrap(), pinned);
        assert_eq!(decode_datagram(&pinned, Some((&keys, CONSOLE))), Ok(Datagram::Protected(7, reply.clone())));
        assert!(ChassisStatus::decode(&reply.data).unwrap().power_on);
        assert!(decode_datagram(&pinned, Some((&keys, MANAGED))).is_err());
    }
}

/// IPMI 2.0 section 22.13, in the IPMI 1.5 format that all BMCs answer.
#[test]
fn authentication_capabilities() {
    let request = LanRequest { net_fn: 6, lun: 0, sequence: 0, command: 0x38, data: vec![0x8E, 3] };
    assert_eq!(encode_v15(&request.encode()), packet!("capabilities_request"));
    let reply = request.reply(0, vec![1, 0x80, 4, 3, 0, 0, 0, 0]);
    assert_eq!(decode_datagram(&packet!("capabilities_reply"), None), Ok(Datagram::Plain(reply.clone())));
    assert_eq!(LanReply::decode(decode_v15(&packet!("capabilities_reply")).unwrap()), Ok(reply));
}
