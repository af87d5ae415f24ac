//! The one way out to people: stdout, stderr, the console and the kernel's log. Text from outside never gets there raw
//! ([`crate::core::text`]); clippy refuses any other way (`clippy.toml`).

#![allow(clippy::disallowed_methods, reason = "this is the place")]

use std::fs::OpenOptions;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use super::terminal;
use crate::core::text::{lines, one_line, printable};

/// The longest line of an error, in characters.
const LONGEST: usize = 4_000;

/// An empty screen, written from its top (ECMA-48, CUP and ED).
const CLEARED: &str = "\x1b[H\x1b[2J";

/// The colours of a terminal (ECMA-48, SGR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// What is wrong.
    Red = 31,
    /// What is right.
    Green = 32,
    /// What is neither.
    Yellow = 33,
}

/// Text for stdout. Its colours are beside it, not in it: they are the only sequences that a terminal gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<(Option<Paint>, String)>);

impl Text {
    /// Adds text without a colour.
    pub fn push_str(&mut self, text: &str) {
        match self.0.last_mut() {
            Some((None, last)) => last.push_str(text),
            _ => self.0.push((None, text.to_owned())),
        }
    }

    /// Adds text in a colour.
    pub fn push_painted(&mut self, paint: Option<Paint>, text: &str) {
        match paint {
            None => self.push_str(text),
            paint => self.0.push((paint, text.to_owned())),
        }
    }

    /// As it is shown where there are no colours.
    #[must_use]
    pub fn plain(&self) -> String {
        self.shown(false)
    }

    fn shown(&self, colours: bool) -> String {
        let span = |(paint, text): &(Option<Paint>, String)| match paint.filter(|_| colours) {
            // The line end is not painted: a terminal would fill the next line's rest with it.
            Some(paint) => {
                let line = text.trim_end_matches('\n');
                format!("\x1b[{}m{}\x1b[0m{}", paint as u8, lines(line), &text[line.len()..])
            }
            None => lines(text).into_owned(),
        };
        self.0.iter().map(span).collect()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(vec![(None, text.to_owned())])
    }
}

/// Prints on stdout and flushes it; colours only on a terminal. Returns whether the reader is still there (`| head`).
///
/// # Errors
/// What the kernel says.
pub fn print(text: &Text) -> io::Result<bool> {
    to_stdout(text.shown(terminal::is_terminal()).as_bytes())
}

/// Prints an answer of HTTP (RFC 9112), whose head has line ends of its own.
///
/// # Errors
/// As [`print`].
pub fn print_http(answer: &str) -> io::Result<bool> {
    const END: &str = "\r\n";
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let head: String = head.split(END).map(|line| printable(line) + END).collect();
    to_stdout(format!("{head}{END}{}", lines(body)).as_bytes())
}

/// Empties the screen, where stdout is a terminal.
///
/// # Errors
/// As [`print`].
pub fn clear() -> io::Result<bool> {
    if terminal::is_terminal() { to_stdout(CLEARED.as_bytes()) } else { Ok(true) }
}

fn to_stdout(bytes: &[u8]) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Prints one line on stderr. A reader who has hung up is no failure.
pub fn print_error(line: &str) {
    let _ = writeln!(io::stderr(), "{}", one_line(line, LONGEST));
}

/// Prints text of several lines on stderr, for whoever has typed something that cannot be understood.
pub fn explain(text: &str) {
    let _ = io::stderr().write_all(lines(text).as_bytes());
}

/// Writes one line on the console and into the kernel's log, as far as they are there.
pub fn to_console(line: &str) {
    for path in ["/dev/console", "/dev/kmsg"] {
        if let Ok(mut file) = OpenOptions::new().write(true).open(path) {
            let _ = file.write_all(format!("{}\n", one_line(line, LONGEST)).as_bytes());
        }
    }
}

/// A writer of events, one a write, as `tracing_subscriber::fmt` has it: each becomes one printable line.
#[derive(Debug)]
pub struct Events<W>(pub W);

impl<W: Write> Write for Events<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.0.write_all(format!("{}\n", printable(text.trim_end())).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Makes the writer of each event on stderr.
#[derive(Debug)]
pub struct ToStderr;

impl MakeWriter<'_> for ToStderr {
    type Writer = Events<io::Stderr>;

    fn make_writer(&self) -> Self::Writer {
        Events(io::stderr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only sequences that reach a terminal are our own colours.
    #[test]
    fn colours_are_ours_and_text_is_text() {
        let mut text = Text::from("a\n");
        text.push_painted(Some(Paint::Red), "\u{1b}[32mb");
        text.push_painted(None, "\u{9b}c\n");
        assert_eq!(text.plain(), "a\n\\u001b[32mb\\u009bc\n");
        assert_eq!(text.shown(true), "a\n\x1b[31m\\u001b[32mb\x1b[0m\\u009bc\n");
    }

    #[test]
    fn an_event_is_one_line() {
        let mut written = Vec::new();
        let event = "DEBUG n3 said \u{1b}[2J\nINFO forged\u{202e}\n";
        assert_eq!(Events(&mut written).write(event.as_bytes()).unwrap(), event.len());
        assert_eq!(String::from_utf8(written).unwrap(), "DEBUG n3 said \\u001b[2J\\nINFO forged\\u202e\n");
    }
}
