//! Datagrams at the port of the signed echo: a sender without the key gets no answer, and its answers do not count.
#![no_main]

use std::net::IpAddr;

use gnt_ha::sys::signed_echo::{EchoKey, PACKET_LEN};
use libfuzzer_sys::fuzz_target;

const ASKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const ASKED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
const NONCE: [u8; 16] = [7; 16];

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, bytes)) = bytes.split_first() else { return };
    let Ok(key) = EchoKey::of_bytes(b"0123456789abcdef0123456789abcdef01234567\n") else { return };
    let question = key.question(&NONCE, ASKER, ASKED);
    let Some(answer) = key.answer_to(&question, ASKER, ASKED) else { panic!("its own question") };
    assert_eq!(key.answered(&answer, ASKER, ASKED), Some(NONCE));
    // Mixed into valid datagrams, the bytes reach the checks behind a right beginning.
    let packet = match how & 0x03 {
        0 => bytes.to_vec(),
        kind => {
            let mut packet = if kind == 1 { question } else { answer }.to_vec();
            let at = usize::from(how >> 2);
            packet.iter_mut().skip(at).zip(bytes).for_each(|(byte, other)| *byte ^= other);
            packet
        }
    };
    assert!(packet.len() == PACKET_LEN || how & 0x03 == 0);
    let is_asked = key.answer_to(&packet, ASKER, ASKED).is_some();
    assert_eq!(is_asked, packet == question, "answered");
    let is_answered = key.answered(&packet, ASKER, ASKED).is_some();
    assert_eq!(is_answered, packet == answer, "counted");
});
