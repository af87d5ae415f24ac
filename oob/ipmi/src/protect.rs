//! Encrypts, signs, checks and decrypts IPMI messages (IPMI 2.0 sections 13.6, 13.28.4, 13.29).

use aes::Aes128;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};

use crate::Ignored;
use crate::keys::SessionKeys;
use crate::rmcp::{HEADER_LEN, PayloadType, SessionHeader};

const BLOCK_LEN: usize = 16;
const NEXT_HEADER: u8 = 0x07;
/// The longest IPMI message that is encrypted, in bytes: far above what any command needs, far below 64 KiB.
pub const MAX_MESSAGE: usize = 1024;

/// Encrypts and signs an IPMI message. `None` if it is longer than [`MAX_MESSAGE`].
///
/// `iv` must be unpredictable and used once; `sequence` must never repeat within the session.
pub fn protect(
    keys: &SessionKeys,
    session_id: u32,
    sequence: u32,
    iv: [u8; BLOCK_LEN],
    message: &[u8],
) -> Option<Vec<u8>> {
    if message.len() > MAX_MESSAGE {
        return None;
    }
    let mut plain = message.to_vec();
    let pad = (BLOCK_LEN - (message.len() + 1) % BLOCK_LEN) % BLOCK_LEN;
    plain.extend((1..=u8::MAX).take(pad));
    plain.push(u8::try_from(pad).ok()?);
    let cipher = cbc::Encryptor::<Aes128>::new((&*keys.aes).into(), &iv.into());
    let body = cipher.encrypt_padded_vec_mut::<NoPadding>(&plain);

    let header = SessionHeader { payload_type: PayloadType::Ipmi, protected: true, session_id, sequence };
    let mut out = header.encode(u16::try_from(BLOCK_LEN + body.len()).ok()?);
    out.extend(iv);
    out.extend(body);
    // The signed range (all but the RMCP header, up to the next header byte) is a multiple of 4.
    let pad = (4 - (out.len() - 4 + 2) % 4) % 4;
    out.extend(std::iter::repeat_n(0xFF, pad));
    out.extend([u8::try_from(pad).ok()?, NEXT_HEADER]);
    let code = keys.k1_code(out.get(4..)?);
    out.extend_from_slice(code.truncated(keys.suite.integrity_len()));
    Some(out)
}

/// Checks and decrypts an IPMI message. Returns its session sequence number and the message.
///
/// The caller still has to check the sequence number.
pub fn open(keys: &SessionKeys, session_id: u32, datagram: &[u8]) -> Result<(u32, Vec<u8>), Ignored> {
    let (header, payload, trailer) = SessionHeader::decode(datagram)?;
    if !header.protected || header.payload_type != PayloadType::Ipmi {
        return Err(Ignored::PayloadType);
    }
    if header.session_id != session_id {
        return Err(Ignored::SessionId);
    }
    let pad = trailer_pad(payload.len(), trailer.len(), keys.suite.integrity_len())?;
    let signed_end = HEADER_LEN + payload.len() + pad + 2;
    let signed = datagram.get(4..signed_end).ok_or(Ignored::Length)?;
    let code = datagram.get(signed_end..).ok_or(Ignored::Length)?;
    if !keys.k1_code(signed).matches(code, keys.suite.integrity_len()) {
        return Err(Ignored::IntegrityCode);
    }
    let (filler, tail) = trailer.split_at_checked(pad).ok_or(Ignored::IntegrityPad)?;
    if filler.iter().any(|byte| *byte != 0xFF) {
        return Err(Ignored::IntegrityPad);
    }
    match tail {
        [len, NEXT_HEADER, ..] if usize::from(*len) == pad => {}
        _ => return Err(Ignored::IntegrityPad),
    }
    Ok((header.sequence, decrypt(keys, payload)?))
}

/// Returns the length of the integrity pad. It follows from the other lengths alone, so that no unsigned byte is
/// trusted.
fn trailer_pad(payload: usize, trailer: usize, code: usize) -> Result<usize, Ignored> {
    let pad = (4 - (HEADER_LEN - 4 + payload + 2) % 4) % 4;
    if trailer == pad + 2 + code { Ok(pad) } else { Err(Ignored::Length) }
}

fn decrypt(keys: &SessionKeys, payload: &[u8]) -> Result<Vec<u8>, Ignored> {
    let (iv, body) = payload.split_first_chunk::<BLOCK_LEN>().ok_or(Ignored::Length)?;
    if body.is_empty() || body.len() % BLOCK_LEN != 0 {
        return Err(Ignored::Length);
    }
    let cipher = cbc::Decryptor::<Aes128>::new((&*keys.aes).into(), iv.into());
    let mut plain = cipher.decrypt_padded_vec_mut::<NoPadding>(body).map_err(|_| Ignored::ConfidentialityPad)?;
    // The specification allows 0 to 15 bytes. Some BMCs pad a message that needs none with a whole block.
    let pad = usize::from(plain.pop().ok_or(Ignored::ConfidentialityPad)?);
    let end = plain.len().checked_sub(pad).filter(|_| pad <= BLOCK_LEN).ok_or(Ignored::ConfidentialityPad)?;
    let filler = plain.get(end..).unwrap_or_default();
    if filler.iter().zip(1u8..).any(|(found, wanted)| *found != wanted) {
        return Err(Ignored::ConfidentialityPad);
    }
    plain.truncate(end);
    Ok(plain)
}

impl SessionKeys {
    fn k1_code(&self, signed: &[u8]) -> crate::suite::HmacCode {
        self.suite.mac(self.k1.as_bytes(), &[signed])
    }
}
