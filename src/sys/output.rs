//! Writes to stdout, stderr, the console and the kernel's log, and is the only file that does. Escapes text from
//! outside ([`crate::core::text`]); clippy denies any other output (`clippy.toml`).

#![allow(clippy::disallowed_methods, reason = "this is the place")]

use std::fs::OpenOptions;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use super::terminal;
use crate::core::text::{lines, one_line, printable};

/// The maximum length of an error line, in characters.
const LINE_MOST: usize = 4_000;

/// The sequence that clears the screen and moves the cursor to its top (ECMA-48, CUP and ED).
const CLEARED: &str = "\x1b[H\x1b[2J";

/// A colour of a terminal (ECMA-48, SGR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// The colour of errors.
    Red = 31,
    /// The colour of good states.
    Green = 32,
    /// The colour of warnings and of states in between.
    Yellow = 33,
}

/// Text for stdout. Colours are stored beside the text, not in it: they are the only sequences that a terminal
/// receives.
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

    /// Returns the text without colours.
    #[must_use]
    pub fn plain(&self) -> String {
        self.shown(false)
    }

    fn shown(&self, colours: bool) -> String {
        let span = |(paint, text): &(Option<Paint>, String)| match paint.filter(|_| colours) {
            // The line end is not painted: a terminal would fill the rest of the next line with the colour.
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

/// Prints on stdout and flushes it, with colours only on a terminal. Returns whether the reader still exists
/// (`| head`).
///
/// # Errors
/// The error of the kernel, unless the reader has closed the pipe.
pub fn print(text: &Text) -> io::Result<bool> {
    to_stdout(text.shown(terminal::is_terminal()).as_bytes())
}

/// Prints an HTTP answer (RFC 9112), whose head has CRLF line ends.
///
/// # Errors
/// The same as for [`print()`].
pub fn print_http(answer: &str) -> io::Result<bool> {
    const END: &str = "\r\n";
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let head: String = head.split(END).map(|line| printable(line) + END).collect();
    to_stdout(format!("{head}{END}{}", lines(body)).as_bytes())
}

/// Clears the screen if stdout is a terminal.
///
/// # Errors
/// The same as for [`print()`].
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

/// Prints one line on stderr. A closed stderr is not an error.
pub fn print_error(line: &str) {
    let _ = writeln!(io::stderr(), "{}", one_line(line, LINE_MOST));
}

/// Prints text of several lines on stderr, as help for a command line that cannot be parsed.
pub fn explain(text: &str) {
    let _ = io::stderr().write_all(lines(text).as_bytes());
}

/// Writes one line to the console and to the kernel's log, as far as they can be opened.
pub fn to_console(line: &str) {
    for path in ["/dev/console", "/dev/kmsg"] {
        if let Ok(mut file) = OpenOptions::new().write(true).open(path) {
            let _ = file.write_all(format!("{}\n", one_line(line, LINE_MOST)).as_bytes());
        }
    }
}

/// A writer of events, with one event in each write, as `tracing_subscriber::fmt` does. Each event becomes one
/// printable line.
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

/// Makes a writer to stderr for each event.
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

    /// A terminal receives no sequences other than our own colours.
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
        let event = "DEBUG n3 sent \u{1b}[2J\nINFO forged\u{202e}\n";
        assert_eq!(Events(&mut written).write(event.as_bytes()).unwrap(), event.len());
        assert_eq!(String::from_utf8(written).unwrap(), "DEBUG n3 sent \\u001b[2J\\nINFO forged\\u202e\n");
    }
}
