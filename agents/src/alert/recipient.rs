//! Delivers a report by the method that the alert's recipient names: starts sendmail, curl or a program, or writes to the
//! system's log.

use std::path::{Path, PathBuf};

use gnt_ha::core::text::{one_line, printable};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::{command, log};
use serde_json::json;

use super::error::{AlertError, PROGRAM};
use super::event::Message;

/// The program that accepts mail, on every system that has it (Filesystem Hierarchy Standard).
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// The longest line of a message, in characters.
const LINE_MOST: usize = 2_000;

const CURL: &str = "/usr/bin/curl";

/// The forms of a recipient, each with its meaning.
pub const RECIPIENTS: [(&str, &str); 4] = [
    ("log", "The system's log, as a warning of the facility daemon; the same without any recipient."),
    ("mailto:ADDRESS", "A mail, by the system's sendmail."),
    ("https://... or http://...", "A POST of JSON, by curl; the address is on no command line."),
    ("/path/of/a/program", "It is run without arguments, and gets the line on stdin."),
];

/// The recipient of an alert, which names the method of delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The system's log, as a warning of the facility daemon.
    Log,
    /// A mail address, by the system's sendmail.
    Mail(String),
    /// A URL that accepts a POST of JSON.
    Web(String),
    /// A program that reads the report from stdin; the absolute path.
    Program(PathBuf),
}

impl Recipient {
    /// Parses the recipient, which has one of the forms of [`RECIPIENTS`]. An empty recipient means the log.
    ///
    /// # Errors
    /// If the recipient has none of these forms, or has a space, a double quote, a backslash, or a control or non-ASCII
    /// character.
    pub fn parse(recipient: &str) -> Result<Self, AlertError> {
        let is_plain = recipient.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
        match recipient {
            "" | "log" => Ok(Self::Log),
            _ if !is_plain => Err(AlertError::RecipientCharacter(recipient.to_owned())),
            web if web.starts_with("https://") || web.starts_with("http://") => Ok(Self::Web(web.to_owned())),
            path if path.starts_with('/') => Ok(Self::Program(PathBuf::from(path))),
            _ => match recipient.strip_prefix("mailto:") {
                Some(address) if address.contains('@') && !address.contains([',', ';', '<', '>']) => {
                    Ok(Self::Mail(address.to_owned()))
                }
                _ => Err(AlertError::Recipient(recipient.to_owned())),
            },
        }
    }

    /// Delivers `message`; `host` is the sender. A delivery to the log always succeeds.
    ///
    /// # Errors
    /// If the program cannot be started, fails, or does not end by the deadline. The text never has the mail address or
    /// URL, which may be a secret.
    pub fn deliver(&self, message: &Message, host: &str, deadline: Deadline) -> Result<(), AlertError> {
        let run =
            |path: &Path, words: &[&str], stdin: String| match command::run(path, words, stdin.as_bytes(), deadline) {
                Ok(_) => Ok(()),
                // The address may be a secret: it is not in the message.
                Err(error) => Err(AlertError::Delivery { text: message.text.clone(), error }),
            };
        match self {
            Self::Log => {
                log::warn_system(PROGRAM, &message.text);
                Ok(())
            }
            Self::Mail(address) => run(Path::new(SENDMAIL), &["-t", "-oi"], letter(address, message, host)),
            Self::Web(address) => run(Path::new(CURL), &["--config", "-"], post(address, message, host)),
            Self::Program(path) => run(path, &[], format!("{}\n", one_line(&message.text, LINE_MOST))),
        }
    }
}

fn letter(address: &str, message: &Message, host: &str) -> String {
    let (line, node) = (one_line(&message.text, LINE_MOST), one_line(&message.node, LINE_MOST));
    let subject = if message.urgent { format!("[gnt-ha] {node}: attention") } else { format!("[gnt-ha] {node}") };
    format!(
        "To: {address}\nSubject: {subject}\nContent-Type: text/plain; charset=utf-8\nAuto-Submitted: auto-generated\n\n{line}\n\n\
         Reported by {host}. The actions and their proof: gnt-ha history --incident last\n"
    )
}

/// Returns the input of `curl --config -` (curl(1)), so that a URL with a token is on no command line.
fn post(address: &str, message: &Message, host: &str) -> String {
    let body = json!({
        "version": 1, "host": host, "kind": message.kind, "node": message.node, "urgent": message.urgent, "text": message.text,
        "description": message.description, "at_s": message.at_s,
    });
    let body = printable(&body.to_string()).replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "url = \"{address}\"\ndata-raw = \"{body}\"\nheader = \"Content-Type: application/json\"\nsilent\nshow-error\nfail\nmax-time = 15\n\
         output = \"/dev/null\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            urgent: true,
            text: "n3 was \"NOT\" fenced\nBcc: x@example.com".into(),
            node: "n3".into(),
            kind: "fencing",
            description: "a \\ b".into(),
            at_s: Some(1),
        }
    }

    #[test]
    fn a_recipient_has_a_known_form_and_only_plain_characters() {
        let parsed = |text: &str| Recipient::parse(text).unwrap();
        assert_eq!(parsed(""), Recipient::Log);
        assert_eq!(parsed("mailto:ops@example.com"), Recipient::Mail("ops@example.com".into()));
        assert_eq!(parsed("/usr/local/bin/page"), Recipient::Program("/usr/local/bin/page".into()));
        assert!(matches!(parsed("https://example.com/hook?token=1"), Recipient::Web(_)));
        for bad in
            ["ops", "mailto:ops", "mailto:a@b,c@d", "https://x\" -o /etc/passwd", "/bin/x y", "https://x\nurl = y"]
        {
            assert!(Recipient::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn text_of_pacemaker_adds_no_header() {
        let letter = letter("ops@example.com", &message(), "n1");
        let (head, body) = letter.split_once("\n\n").unwrap();
        assert_eq!(head.lines().count(), 4, "{head}");
        assert!(body.starts_with("n3 was \"NOT\" fenced; Bcc: x@example.com\n"), "{body}");
    }

    #[test]
    fn text_of_pacemaker_adds_no_option_of_curl() {
        let config = post("https://example.com/", &message(), "n1");
        assert_eq!(config.lines().count(), 8, "{config}");
        let body = config.lines().find_map(|line| line.strip_prefix("data-raw = \"")?.strip_suffix('"')).unwrap();
        let json: serde_json::Value = serde_json::from_str(&body.replace("\\\"", "\"").replace("\\\\", "\\")).unwrap();
        assert_eq!((&json["urgent"], &json["description"]), (&true.into(), &"a \\ b".into()));
    }
}
