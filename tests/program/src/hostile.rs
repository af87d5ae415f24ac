//! Makes hostile answers: valid ones that were changed, the same ones for the same seed.

/// A generator of numbers that differ, and are the same for the same seed (xorshift64*). Not for keys.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Returns a generator with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// Returns a number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap_or_default() % end.max(1)
    }

    /// Returns one of these values.
    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// The replacements for a number or a word.
const WORDS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2147483648",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "\"off\"",
    "\"bounded\"",
    "\"everything\"",
    "\"n4\"",
    "\"192.0.2.254\"",
    "\"\\u001b]0;x\\u0007\"",
    "\"../../etc/passwd\"",
    "\"\"",
    "[[[[[[[[",
];

/// Returns one of `valid`, changed in one to four places: bits, bytes, truncations, doubled and foreign parts, other
/// numbers and words.
///
/// # Panics
/// If `valid` is empty.
#[must_use]
pub fn mutated(dice: &mut Dice, valid: &[&[u8]]) -> Vec<u8> {
    let mut bytes = dice.one(valid).to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = at + dice.below(bytes.len() - at + 1).min(64);
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 0x7F, 0x80, 0xFF, b'"', b'{'][dice.below(6)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let other = dice.one(valid);
                let from = dice.below(other.len() + 1);
                let to = from + dice.below(other.len() - from + 1).min(64);
                bytes.splice(at..end.min(at + 8), other[from..to].iter().copied());
            }
            6 | 7 => replace_a_value(dice, &mut bytes, at),
            _ => bytes.insert(at, u8::try_from(dice.below(256)).unwrap_or_default()),
        }
    }
    bytes
}

/// The replacements for numbers and for texts in JSON.
const NUMBERS: [&str; 8] = ["0", "1", "2", "7", "99", "2147483648", "9223372036854775807", "18446744073709551615"];
const TEXTS: [&str; 16] = [
    "off",
    "bounded",
    "isolated",
    "unknown",
    "all",
    "tcp",
    "n1",
    "n2",
    "n3",
    "n4",
    "foreign",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.254",
    "b1",
    "several",
];

/// Returns one of `valid`, which is JSON, with one to three of its numbers and texts replaced by others. The result is
/// still JSON, mostly with the same keys.
///
/// # Panics
/// If `valid` is empty.
#[must_use]
pub fn reworded(dice: &mut Dice, valid: &[&[u8]]) -> Vec<u8> {
    let mut bytes = dice.one(valid).to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        // The positions at which a value begins, or a name that is a key.
        let begins = |place: &usize| {
            let rest = bytes.get(place + 1..).unwrap_or_default();
            let is_value = *place > 0 && b":[".contains(&bytes[place - 1]);
            let is_name = TEXTS.iter().any(|text| rest.starts_with(text.as_bytes()));
            bytes[*place].is_ascii_digit() && is_value || bytes[*place] == b'"' && (is_value || is_name)
        };
        let Some(start) = (at..bytes.len()).find(begins) else { continue };
        let (start, is_inside): (usize, fn(&u8) -> bool) = match bytes[start] {
            b'"' => (start + 1, |byte| *byte != b'"'),
            _ => (start, u8::is_ascii_digit),
        };
        let length = bytes.iter().skip(start).take_while(|byte| is_inside(byte)).count();
        let is_number = bytes[start..start + length].iter().all(u8::is_ascii_digit);
        let other = if is_number { dice.one(&NUMBERS) } else { dice.one(&TEXTS) };
        bytes.splice(start..start + length, other.bytes());
    }
    bytes
}

/// Returns the range of the next JSON value behind `at`: the text between a colon and the comma or brace that ends it.
fn replace_a_value(dice: &mut Dice, bytes: &mut Vec<u8>, at: usize) {
    let Some(colon) = bytes.iter().skip(at).position(|byte| *byte == b':').map(|found| at + found + 1) else { return };
    let length = bytes.iter().skip(colon).position(|byte| b",}]".contains(byte)).unwrap_or(0);
    bytes.splice(colon..colon + length, dice.one(&WORDS).bytes());
}
