//! Reads the options: from the command line if there is one, else from `key=value` lines on stdin.

use std::io::{self, Read};

use clap::{Arg, ArgAction, Command};

use crate::options::RawOptions;
use crate::spec::{NODENAME, OPTIONS, OptionKind, Spec};

/// The most bytes that are read of stdin. Pacemaker's pipe holds no more and cuts the rest
/// (`lib/services/services_linux.c`).
pub const STDIN_LIMIT: u64 = 64 * 1024;

/// Parses `key=value` lines in any order. The last line of a key wins, and unknown keys are ignored
/// (`doc/FenceAgentAPI.md`). `plug` takes precedence over its old name `port`, and both over `nodename`.
#[must_use]
pub fn from_lines(text: &str) -> RawOptions {
    let mut given = RawOptions::new();
    let mut old_names = RawOptions::new();
    let mut nodename = None;
    for line in text.lines().map(str::trim) {
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let key = key.trim().replace('-', "_");
        let value = unquoted(value);
        if let Some(spec) = OPTIONS.iter().find(|spec| spec.name == key) {
            given.insert(spec.name, value);
        } else if let Some(spec) = OPTIONS.iter().find(|spec| spec.old == Some(&key)) {
            old_names.insert(spec.name, value);
        } else if key == NODENAME {
            nodename = Some(value);
        } else {
            tracing::debug!(key, "ignored: not an option of this agent");
        }
    }
    for (name, value) in old_names {
        given.entry(name).or_insert(value);
    }
    if let Some(nodename) = nodename {
        given.entry("plug").or_insert_with(|| nodename.clone());
        given.insert(NODENAME, nodename);
    }
    given
}

/// The reason why the options on stdin are unknown.
#[derive(Debug, thiserror::Error)]
pub enum StdinError {
    /// stdin could not be read to its end, so that options may be absent.
    #[error("cannot read the options on stdin: {0}")]
    Read(io::Error),
    /// Some options would be lost.
    #[error("the options on stdin have more than {STDIN_LIMIT} bytes: Pacemaker would cut them there")]
    TooLong,
}

/// Reads stdin to its end and parses it.
///
/// # Errors
/// [`StdinError`] if stdin has more than [`STDIN_LIMIT`] bytes or cannot be read.
pub fn from_stdin(stdin: impl Read) -> Result<RawOptions, StdinError> {
    let mut bytes = Vec::new();
    stdin.take(STDIN_LIMIT + 1).read_to_end(&mut bytes).map_err(StdinError::Read)?;
    if bytes.len() as u64 > STDIN_LIMIT {
        return Err(StdinError::TooLong);
    }
    Ok(from_lines(&String::from_utf8_lossy(&bytes)))
}

/// Parses the command line. A request for help or the version is an `Err`, too.
///
/// # Errors
/// clap's error, which contains what to print and where.
pub fn from_arguments(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<RawOptions, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let mut given = RawOptions::new();
    for spec in OPTIONS {
        if spec.kind == OptionKind::Flag {
            if matches.get_flag(spec.name) {
                given.insert(spec.name, "1".to_owned());
            }
        } else if let Some(value) = matches.get_one::<String>(spec.name) {
            given.insert(spec.name, value.clone());
        }
    }
    Ok(given)
}

/// Returns the definition of the command line, for parsing, help, completions and the manual page.
#[must_use]
pub fn command() -> Command {
    Command::new("fence_ganeti")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Fence a node through its out-of-band (OOB) program, for Pacemaker")
        .after_help("Without any option, key=value lines are read on stdin, as Pacemaker gives them.")
        .disable_version_flag(true)
        .max_term_width(100)
        .arg(Arg::new("version").short('V').long("version").action(ArgAction::Version).help("Print the version"))
        .args(OPTIONS.iter().map(argument))
}

fn argument(spec: &'static Spec) -> Arg {
    let argument = Arg::new(spec.name).long(spec.name.replace('_', "-")).help(spec.help).alias(spec.name);
    let argument = match spec.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    if spec.kind == OptionKind::Flag {
        return argument.action(ArgAction::SetTrue).overrides_with(spec.name);
    }
    let help = match spec.default {
        Some(default) => format!("{} [default: {default}]", spec.help),
        None => spec.help.to_owned(),
    };
    argument
        .action(ArgAction::Set)
        .value_name(spec.value)
        .overrides_with(spec.name)
        .help(help)
        .allow_hyphen_values(false)
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The help begins with one line, on a terminal of 100 columns, as that of the other programs.
    #[test]
    fn the_first_line_of_the_help_is_short() {
        let about = command().get_about().unwrap().to_string();
        assert!(about.len() <= 72 && !about.contains('\n'), "{about}");
    }

    fn plug(text: &str) -> Option<String> {
        from_lines(text).get("plug").cloned()
    }

    /// Pacemaker 2.1 sends `port` (by its default), 3 sends `plug`, both send `nodename`. The order is that of a hash
    /// table.
    #[test]
    fn both_generations_of_pacemaker_are_understood() {
        assert_eq!(plug("nodename=n1\nport=n1.lab\naction=off"), Some("n1.lab".into()));
        assert_eq!(plug("action=off\nplug=n1.lab\nnodename=n1"), Some("n1.lab".into()));
        assert_eq!(plug("plug=a\nport=b"), Some("a".into()));
        assert_eq!(plug("nodename=n1"), Some("n1".into()));
        assert_eq!(from_lines("option=status")["action"], "status");
    }

    #[test]
    fn lines_follow_the_fence_agent_api() {
        let given = from_lines("# plug=no\naction=on\nACTION=x\nunknown=1\nnoequals\naction=off\npower-wait=\"2\"\n");
        assert_eq!(given["action"], "off");
        assert_eq!(given["power_wait"], "2");
        assert_eq!(given.len(), 2);
    }

    #[test]
    fn the_command_line_is_that_of_fence_agents() {
        let arguments = ["fence_ganeti", "-o", "off", "-n", "n1", "-vv", "--power-timeout", "5", "--missing-as-off"];
        let given = from_arguments(arguments.map(Into::into)).unwrap();
        assert_eq!(given["action"], "off");
        assert_eq!(given["verbose"], "1");
        assert_eq!(given["power_timeout"], "5");
        assert_eq!(given["missing_as_off"], "1");
        assert!(from_arguments(["fence_ganeti", "--no-such"].map(Into::into)).is_err());
        command().debug_assert();
    }

    #[test]
    fn too_much_stdin_is_refused_not_cut() {
        let much = "plug=n1\n".repeat(10_000);
        assert!(from_stdin(much.as_bytes()).is_err());
        assert!(from_stdin(&b""[..]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = from_stdin(&bytes[..]);
        }
    }
}
