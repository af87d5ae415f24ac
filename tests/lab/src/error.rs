//! What can go wrong, in words for the person at the terminal.

use std::io;
use std::path::{Path, PathBuf};

/// What the lab's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// What was tried, what came back and, where there is something, what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Namespaces and mounts are root's.
    #[error("a lab needs root (it makes network namespaces and mounts): run it as root or with sudo")]
    NotRoot,
    /// A program of another package is not installed.
    #[error("{program} is missing: apt-get install {package}")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// The Debian package that carries it.
        package: &'static str,
    },
    /// A program is not in the tree that hosts are to be made of.
    #[error("{program} is missing in {}: it needs the package {package}", .root.display())]
    MissingThere {
        /// The program that was looked for.
        program: &'static str,
        /// The Debian package that carries it.
        package: &'static str,
        /// The tree.
        root: PathBuf,
    },
    /// The lab's own program was not found beside the running one.
    #[error("the program `lab` is not beside {}: build it with `cargo build -p lab`, or name it in GNT_HA_LAB", .0.display())]
    NoProgram(PathBuf),
    /// A name that cannot be part of a namespace's and a folder's name.
    #[error("{0:?} is no name for a lab: 1 to 15 of a-z, 0-9 and -")]
    LabName(String),
    /// More or fewer hosts than a lab can have.
    #[error("a lab has 2 to 7 hosts, not {0}")]
    HostCount(u8),
    /// Too few full members are left.
    #[error("of {hosts} hosts, {remotes} cannot be remote nodes: two at least are full members")]
    RemoteCount {
        /// How many were to be remote nodes.
        remotes: u8,
        /// How many hosts.
        hosts: u8,
    },
    /// Nothing that hosts can be made of.
    #[error("{system:?} is no system for the hosts of a lab: there are {known}")]
    NoSystem {
        /// What was asked for.
        system: String,
        /// What there is.
        known: String,
    },
    /// A tree of another system could not be made.
    #[error(
        "cannot make a tree of {system} out of {mirror}: {why}; see that this machine reaches it (apt-get update), or make a root elsewhere and give its folder"
    )]
    NoTree {
        /// The system.
        system: String,
        /// Where it was to come from.
        mirror: String,
        /// What mmdebstrap said last.
        why: String,
    },
    /// A lab of this name is there already.
    #[error("lab {0} is there already: see `lab status --name {0}`, end it with `lab down --name {0}`")]
    Exists(String),
    /// Another process is building or ending this lab.
    #[error("lab {name} is being built or ended by process {holder}: wait for it or stop it first")]
    Busy {
        /// The lab.
        name: String,
        /// Process id of the one that works on it.
        holder: String,
    },
    /// There is no lab of this name.
    #[error("there is no lab {0}: start one with `lab up --name {0}`")]
    Absent(String),
    /// There is no host of this name in the lab.
    #[error("lab {lab} has no host {host:?}: it has {hosts}")]
    NoHost {
        /// The lab.
        lab: String,
        /// What was asked for.
        host: String,
        /// The hosts it has.
        hosts: String,
    },
    /// The host has no power.
    #[error("{0} is off: `lab power on {0}` first")]
    HostOff(String),
    /// The host has power, and what was asked for needs it to have none.
    #[error("{0} has power: `lab power off {0}` first")]
    HostOn(String),
    /// A command ended with another exit code than 0.
    #[error("{what}: `{command}` ended with {code}: {output}")]
    Failed {
        /// What it was for.
        what: String,
        /// The command line.
        command: String,
        /// Its exit code, or 128 and the signal's number.
        code: i32,
        /// What it said.
        output: String,
    },
    /// Something took too long.
    #[error("{what}: not within {seconds} s{}", if .last.is_empty() { String::new() } else { format!("; last: {}", .last) })]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The limit.
        seconds: u64,
        /// What was seen last.
        last: String,
    },
    /// The caller asked to stop.
    #[error("stopped on request")]
    Cancelled,
    /// A file operation failed.
    #[error("{what} {}: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program's answer was not understood.
    #[error("{what} is not as expected: {detail}")]
    Answer {
        /// Whose answer.
        what: String,
        /// Where it differs.
        detail: String,
    },
    /// The lab could not be built; what there was of it is gone again.
    #[error("{cause}\n(lab {name} is taken down again; its logs are in {})", .logs.display())]
    Up {
        /// The lab.
        name: String,
        /// What went wrong.
        cause: Box<Error>,
        /// Folder with the logs of the hosts.
        logs: PathBuf,
    },
}

impl Error {
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { what, path: path.to_owned(), source }
    }

    pub(crate) fn system<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self::System { what: what.into(), source: source.into() }
    }
}
