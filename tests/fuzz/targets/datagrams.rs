//! Datagrams from a BMC's port, from any sender: they are decoded or skipped.
#![no_main]

use ipmi_lan::keys::Exchange;
use ipmi_lan::protect::protect;
use ipmi_lan::rmcp::{PayloadType, encode_plain};
use ipmi_lan::{ChassisStatus, CipherSuite, Datagram, SelfTest, decode_datagram};
use libfuzzer_sys::fuzz_target;

const SESSION: u32 = 0x0102_0304;

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, bytes)) = bytes.split_first() else { return };
    let suite = if how & 0x80 == 0 { CipherSuite::Suite3 } else { CipherSuite::Suite17 };
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
    let keys = exchange.session_keys(b"secret16");
    // Wrapped, the bytes reach the decoders that only a right header or a right code opens.
    let datagram = match how & 0x07 {
        0 => encode_plain(PayloadType::OpenSessionResponse, bytes),
        1 => encode_plain(PayloadType::Rakp2, bytes),
        2 => encode_plain(PayloadType::Rakp4, bytes),
        3 => protect(&keys, SESSION, 1, [7; 16], bytes).unwrap_or_default(),
        _ => bytes.to_vec(),
    };
    let _ = decode_datagram(&datagram, None);
    match decode_datagram(&datagram, Some((&keys, SESSION))) {
        Ok(Datagram::Protected(_, reply)) => {
            let _ = (ChassisStatus::decode(&reply.data), SelfTest::decode(&reply.data));
        }
        _ => {
            let _ = (ChassisStatus::decode(bytes), SelfTest::decode(bytes));
        }
    }
});
