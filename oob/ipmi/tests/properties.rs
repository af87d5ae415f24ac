//! Tests properties that hold for all bytes.
#![allow(clippy::unwrap_used, reason = "tests")]

use ipmi_lan::keys::{Exchange, SessionKeys};
use ipmi_lan::lan_message::{LanReply, LanRequest};
use ipmi_lan::open_session::{OpenSessionRequest, OpenSessionResponse, SessionOffer};
use ipmi_lan::protect::{MAX_MESSAGE, open, protect};
use ipmi_lan::rakp::{Rakp1, Rakp2, Rakp2Body, Rakp3, Rakp4};
use ipmi_lan::rmcp::{PayloadType, SessionHeader, encode_plain};
use ipmi_lan::suite::Algorithms;
use ipmi_lan::{ChassisStatus, CipherSuite, Ignored, SelfTest, decode_datagram};
use proptest::collection::vec;
use proptest::prelude::*;

const SESSION: u32 = 0x0102_0304;

fn keys(suite: CipherSuite) -> SessionKeys {
    let exchange = Exchange {
        suite,
        console_session_id: SESSION,
        managed_session_id: 9,
        console_random: [1; 16],
        managed_random: [2; 16],
        managed_guid: [3; 16],
        role: 0x14,
        username: b"admin".to_vec(),
    };
    exchange.session_keys(b"secret16")
}

fn suites() -> impl Strategy<Value = CipherSuite> {
    prop_oneof![Just(CipherSuite::Suite17), Just(CipherSuite::Suite3)]
}

/// Returns random bytes, or a handshake packet around random bytes, so that all decoders are reached.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![
        Just(PayloadType::Ipmi),
        Just(PayloadType::OpenSessionResponse),
        Just(PayloadType::Rakp2),
        Just(PayloadType::Rakp4),
    ];
    prop_oneof![
        vec(any::<u8>(), 0..128),
        (kinds, vec(any::<u8>(), 0..96)).prop_map(|(kind, payload)| encode_plain(kind, &payload)),
        (any::<bool>(), any::<u32>(), vec(any::<u8>(), 0..96)).prop_map(|(protected, sequence, payload)| {
            let header = SessionHeader { payload_type: PayloadType::Ipmi, protected, session_id: SESSION, sequence };
            let mut bytes = header.encode(u16::try_from(payload.len() / 2).unwrap());
            bytes.extend(payload);
            bytes
        }),
    ]
}

proptest! {
    /// No bytes of a BMC may crash the fencing program (`ipmi-rs` 0.6 unwraps an undecodable RAKP 4).
    #[test]
    fn no_bytes_panic(bytes in datagrams(), suite in suites()) {
        let keys = keys(suite);
        let _ = decode_datagram(&bytes, Some((&keys, SESSION)));
        let _ = decode_datagram(&bytes, None);
        let _ = LanRequest::decode(&bytes);
        let _ = LanReply::decode(&bytes);
        let _ = OpenSessionRequest::decode(&bytes);
        let _ = Rakp1::decode(&bytes);
        let _ = Rakp3::decode(&bytes);
        let _ = ChassisStatus::decode(&bytes);
        let _ = SelfTest::decode(&bytes);
    }

    /// A packet without a valid signature is never accepted.
    #[test]
    fn nothing_unsigned_is_opened(bytes in datagrams(), suite in suites()) {
        prop_assert!(open(&keys(suite), SESSION, &bytes).is_err());
    }

    /// Each length needs its own pads (IPMI 2.0 section 13.29).
    #[test]
    fn protected_messages_open(
        message in vec(any::<u8>(), 0..200),
        sequence in any::<u32>(),
        iv in any::<[u8; 16]>(),
        suite in suites(),
    ) {
        let keys = keys(suite);
        let protected = protect(&keys, SESSION, sequence, iv, &message).unwrap();
        prop_assert_eq!(open(&keys, SESSION, &protected), Ok((sequence, message)));
    }

    /// After a flip of any bit the packet is skipped.
    #[test]
    fn flipped_bits_are_seen(message in vec(any::<u8>(), 7..40), at in any::<prop::sample::Index>(), suite in suites()) {
        let keys = keys(suite);
        let mut protected = protect(&keys, SESSION, 3, [7; 16], &message).unwrap();
        let bit = at.index(protected.len() * 8);
        protected[bit / 8] ^= 1 << (bit % 8);
        // Bytes 1 and 2 of the RMCP header have no meaning and are not signed.
        prop_assume!(!(8..24).contains(&bit));
        let opened = open(&keys, SESSION, &protected);
        // The rest of the RMCP header is not signed either, but after a flip there the packet is not IPMI.
        prop_assert!(opened.is_err(), "bit {} of {:?}", bit, protected);
    }

    /// Replies of one session are not valid in another.
    #[test]
    fn other_keys_open_nothing(message in vec(any::<u8>(), 7..40)) {
        let protected = protect(&keys(CipherSuite::Suite17), SESSION, 3, [7; 16], &message).unwrap();
        prop_assert!(open(&keys(CipherSuite::Suite3), SESSION, &protected).is_err());
        prop_assert_eq!(open(&keys(CipherSuite::Suite17), SESSION + 1, &protected), Err(Ignored::SessionId));
    }

    /// Encoding and decoding agree for IPMI messages.
    #[test]
    fn messages_round_trip(
        net_fn in (0u8..32).prop_map(|value| value * 2),
        lun in 0u8..4,
        sequence in 0u8..64,
        command in any::<u8>(),
        code in any::<u8>(),
        data in vec(any::<u8>(), 0..40),
    ) {
        let request = LanRequest { net_fn, lun, sequence, command, data: data.clone() };
        prop_assert_eq!(LanRequest::decode(&request.encode()), Ok(request.clone()));
        let reply = request.reply(code, data);
        prop_assert_eq!(LanReply::decode(&reply.encode()), Ok(reply.clone()));
        prop_assert_eq!(request.accept(&reply), Ok(()));
    }

    /// Encoding and decoding agree for the handshake.
    #[test]
    fn handshake_round_trips(
        tag in any::<u8>(),
        ids in any::<(u32, u32)>(),
        randoms in any::<([u8; 16], [u8; 16])>(),
        numbers in (0u8..64, 0u8..64, 0u8..64),
        status in 1u8..255,
        text in vec(any::<u8>(), 0..33),
    ) {
        let (console_session_id, managed_session_id) = (ids.0, ids.1.max(1));
        let algorithms = Algorithms { authentication: numbers.0, integrity: numbers.1, confidentiality: numbers.2 };
        let request = OpenSessionRequest { message_tag: tag, max_privilege: 4, console_session_id, algorithms };
        prop_assert_eq!(OpenSessionRequest::decode(&request.encode()), Ok(request));
        let offer = SessionOffer { max_privilege: 0, managed_session_id, algorithms };
        for outcome in [Ok(offer), Err(status)] {
            let message =
                OpenSessionResponse { message_tag: tag, console_session_id: Some(console_session_id), outcome };
            prop_assert_eq!(OpenSessionResponse::decode(&message.encode()), Ok(message));
        }
        let message = Rakp1 {
            message_tag: tag, managed_session_id, console_random: randoms.0, role: 0x13, username: text.clone(),
        };
        prop_assert_eq!(Rakp1::decode(&message.encode()), Ok(message));
        let body = Rakp2Body { managed_random: randoms.0, managed_guid: randoms.1, code: text.clone() };
        for outcome in [Ok(body), Err(status)] {
            let message = Rakp2 { message_tag: tag, console_session_id: Some(console_session_id), outcome };
            prop_assert_eq!(Rakp2::decode(&message.encode()), Ok(message));
        }
        for outcome in [Ok(text), Err(status)] {
            let message = Rakp3 { message_tag: tag, managed_session_id, outcome: outcome.clone() };
            prop_assert_eq!(Rakp3::decode(&message.encode()), Ok(message));
            let message = Rakp4 { message_tag: tag, console_session_id: Some(console_session_id), outcome };
            prop_assert_eq!(Rakp4::decode(&message.encode()), Ok(message));
        }
    }

    /// All bits of the chassis status have a name, and keep it.
    #[test]
    fn chassis_status_round_trips(power in 0u8..0x80, event in 0u8..0x20, misc in 0u8..0x10) {
        let bytes = [power, event, misc];
        prop_assert_eq!(ChassisStatus::decode(&bytes).unwrap().encode(), bytes);
        prop_assert_eq!(ChassisStatus::decode(&bytes).unwrap().power_on, power & 1 == 1);
        prop_assert!(ChassisStatus::decode(&bytes[..2]).is_none());
    }
}

/// A message that is too long for the wire is rejected, not truncated.
#[test]
fn too_long_is_refused() {
    assert!(protect(&keys(CipherSuite::Suite17), SESSION, 1, [0; 16], &[0; MAX_MESSAGE + 1]).is_none());
}
