//! Escapes text from outside (a device, an agent, a node, a file). What a terminal, a log or a browser would act on, hide
//! or turn round is shown as an escape. Pure.
//!
//! The escapes are those of JSON (RFC 8259, section 7), so JSON that is escaped here keeps its meaning.

use std::borrow::Cow;
use std::fmt::Write;

/// The text at the place of a cut.
const MORE: &str = "...";

/// Returns the text with an escape for each character that is not shown as itself: `\n`, `\u001b`, `\u202e`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// As [`printable`], for text of several lines: line ends and tabulators stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| !matches!(letter, '\n' | '\t') && is_hidden(letter))
}

/// Returns the text as one printable line of at most `limit` characters. Lines are joined by `; `, and blanks at their
/// ends are left out.
#[must_use]
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let parts = text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty());
    let mut left = limit;
    for (index, part) in parts.enumerate() {
        for piece in [if index == 0 { "" } else { "; " }, part] {
            for letter in piece.chars() {
                let shown = printable_letter(letter);
                let length = shown.chars().count();
                if length > left {
                    return cut(line, limit);
                }
                left -= length;
                line.push_str(&shown);
            }
        }
    }
    line
}

/// Shortens the line until the sign of a cut fits into `limit` characters.
fn cut(mut line: String, limit: usize) -> String {
    while line.chars().count() + MORE.len() > limit && line.pop().is_some() {}
    line + &MORE[..MORE.len().min(limit)]
}

fn printable_letter(letter: char) -> String {
    let mut shown = String::new();
    match is_hidden(letter) {
        true => escape(letter, &mut shown),
        false => shown.push(letter),
    }
    shown
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&is_bad) else { return Cow::Borrowed(text) };
    let (good, rest) = text.split_at(first);
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(good);
    for letter in rest.chars() {
        if is_bad(letter) { escape(letter, &mut shown) } else { shown.push(letter) }
    }
    Cow::Owned(shown)
}

fn escape(letter: char, shown: &mut String) {
    match letter {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        _ => {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
}

/// Returns whether a character is obeyed or not seen instead of being shown.
///
/// These are controls (C0, DEL, C1), characters that turn the direction of text, and separators of lines and
/// paragraphs. Also characters without a width (`Default_Ignorable_Code_Point`, `DerivedCoreProperties.txt` of
/// Unicode), characters of private use, and code points that are not characters.
#[must_use]
pub fn is_hidden(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_control();
    }
    letter.is_control()
        || u32::from(letter) & 0xfffe == 0xfffe
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each kind of character that a terminal obeys or does not show has an escape.
    #[test]
    fn what_is_not_shown_as_itself_is_escaped() {
        for (bad, shown) in [
            ("\u{1b}]0;owned\u{7}", "\\u001b]0;owned\\u0007"),
            ("\u{9b}31m", "\\u009b31m"),
            ("a\u{7f}b\rc\td\n", "a\\u007fb\\rc\\td\\n"),
            ("\u{202e}ffo", "\\u202effo"),
            ("\u{2066}\u{2069}\u{61c}\u{200e}", "\\u2066\\u2069\\u061c\\u200e"),
            ("n\u{200b}3\u{feff}\u{ad}", "n\\u200b3\\ufeff\\u00ad"),
            ("a\u{2028}b\u{2029}c\u{85}d", "a\\u2028b\\u2029c\\u0085d"),
            ("\u{e0041}", "\\udb40\\udc41"),
            ("\u{fdd0}\u{ffff}\u{e001}", "\\ufdd0\\uffff\\ue001"),
        ] {
            assert_eq!(printable(bad), shown);
        }
        for good in ["", "n3.lab: off", "Größe 12 °C", "日本語", "é עברית", "a\u{a0}b", "C:\\x"] {
            assert!(matches!(printable(good), Cow::Borrowed(text) if text == good), "{good}");
        }
        assert_eq!(lines("a\n\tb\u{1b}c\r\n"), "a\n\tb\\u001bc\\r\n");
    }

    #[test]
    fn one_line_is_one_and_is_bounded() {
        assert_eq!(one_line("  a\r\n\n b\u{1b} \n", 80), "a; b\\u001b");
        assert_eq!(one_line("abcdefgh", 8), "abcdefgh");
        assert_eq!(one_line("abcdefghi", 8), "abcde...");
        assert_eq!(one_line("ab", 1), ".");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in any::<String>(), limit in 0_usize..60) {
            prop_assert!(!printable(&text).contains(is_hidden));
            prop_assert!(!lines(&text).contains(|letter| !matches!(letter, '\n' | '\t') && is_hidden(letter)));
            let line = one_line(&text, limit);
            prop_assert!(!line.contains(is_hidden) && line.chars().count() <= limit);
        }

        /// A program that parses gnt-ha's JSON gets the characters that a reader sees as escapes.
        #[test]
        fn json_keeps_its_meaning(text in any::<String>()) {
            let json = serde_json::to_string_pretty(&[&text]).unwrap();
            prop_assert_eq!(serde_json::from_str::<[String; 1]>(&lines(&json)).unwrap(), [text]);
        }
    }
}
