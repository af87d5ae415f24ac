//! Functions that the command lines share: errors of one line, and output whose reader may close it at any time.

use std::io::{self, BufRead, IsTerminal};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::sys::output::{self, Text};

/// Returns the text in lines of at most `width` characters, broken at blanks. Lines after the first begin with `indent`
/// blanks. A word that is longer than a line stays whole.
#[must_use]
pub fn wrapped(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width.filter(|width| text.chars().count() > *width) else { return text.to_owned() };
    let body = text.trim_start();
    let mut lines = vec![text.strip_suffix(body).unwrap_or_default().to_owned()];
    let mut is_begun = false;
    for word in body.split(' ') {
        match lines.last_mut() {
            Some(line) if !is_begun || line.chars().count() + 1 + word.chars().count() <= width => {
                line.push_str(if is_begun { " " } else { "" });
                line.push_str(word);
            }
            _ => lines.push(format!("{}{word}", " ".repeat(indent))),
        }
        is_begun = true;
    }
    lines.join("\n")
}

/// Formats a wall clock time in ms since 1970 as date, time and zone.
#[must_use]
pub fn time(wall_ms: u64, zone: &TimeZone) -> String {
    i64::try_from(wall_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "(no time)".to_owned(), |at| at.to_zoned(zone.clone()).strftime("%F %T %Z").to_string())
}

/// Prints one line on stderr after the program's name. Unlike `eprintln!` it does not panic if stderr is closed.
pub fn print_error(program: &str, line: &str) {
    output::print_error(&format!("{program}: {line}"));
}

/// Stdout cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout: {0}")]
pub struct PrintError(#[from] io::Error);

/// The reason why an administrator's confirmation does not count.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Stdin is not a terminal.
    #[error("there is no terminal for the question: --yes skips it")]
    NoTerminal,
    /// Stdin cannot be read.
    #[error(transparent)]
    Stdin(#[from] io::Error),
    /// The administrator has typed another line than this.
    #[error("the answer was not {0}")]
    Different(String),
}

/// Prints text on stdout and flushes it. A closed reader (`| head`) is not an error.
///
/// # Errors
/// [`PrintError`] if stdout cannot be written.
pub fn print(text: &str) -> Result<(), PrintError> {
    show(&Text::from(text))
}

/// Prints text as [`print()`] does, with colours on a terminal.
///
/// # Errors
/// The same as for [`print()`].
pub fn show(text: &Text) -> Result<(), PrintError> {
    is_read(text).map(drop)
}

/// Prints text on stdout and flushes it. Returns whether the reader still exists.
///
/// # Errors
/// The same as for [`print()`].
pub fn is_read(text: &Text) -> Result<bool, PrintError> {
    Ok(output::print(text)?)
}

/// Asks `question` at the terminal and reads one line, which must be equal to `answer`.
///
/// # Errors
/// [`ConfirmError`] if stdin is not a terminal, cannot be read, or the line is different.
pub fn confirm(question: &str, answer: &str) -> Result<(), ConfirmError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(ConfirmError::NoTerminal);
    }
    output::print_error(question);
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    if line.trim() == answer { Ok(()) } else { Err(ConfirmError::Different(answer.to_owned())) }
}

/// Prints the fault of a command line in one line; or prints the help or the version that was requested.
///
/// Returns whether the command line was wrong.
pub fn print_usage_error(program: &str, error: &clap::Error) -> bool {
    let text = error.render().to_string();
    if !error.use_stderr() {
        // A closed reader is not a failure.
        let _ = print(&text);
        return false;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A program without arguments prints its whole help.
        output::explain(&text);
        return true;
    }
    let what: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .map(|line| line.trim().trim_start_matches("error: "))
        .filter(|line| !line.is_empty())
        .collect();
    print_error(program, &format!("{} (see {program} --help)", what.join("; ").replace(":; ", ": ")));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_at_blanks_under_their_beginning() {
        let text = "! n3.lab: refused, and why";
        assert_eq!(wrapped(text, None, 2), text);
        assert_eq!(wrapped(text, Some(26), 2), text);
        assert_eq!(wrapped(text, Some(20), 2), "! n3.lab: refused,\n  and why");
        assert_eq!(wrapped("  a-long-word b", Some(8), 2), "  a-long-word\n  b");
    }
}
