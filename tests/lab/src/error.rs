//! The errors of the lab, as text for the user.

use std::io;
use std::path::{Path, PathBuf};

/// The result of the lab's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// The error: the operation, its result and, if there is one, the next step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process is not root, which namespaces and mounts need.
    #[error("a lab needs root (it makes network namespaces and mounts): run it as root or with sudo")]
    NotRoot,
    /// A program of another package is not installed.
    #[error("{program} is missing: apt-get install {package}")]
    Missing {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has the program.
        package: &'static str,
    },
    /// A program is not in the tree of which hosts are to be made.
    #[error("{program} is missing in {}: it needs the package {package}", .root.display())]
    MissingThere {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has the program.
        package: &'static str,
        /// The path of the tree.
        root: PathBuf,
    },
    /// The lab's own program was not found beside the running one.
    #[error("the program `lab` is not beside {}: build it with `cargo build -p lab`, or name it in GNT_HA_LAB", .0.display())]
    NoProgram(PathBuf),
    /// The lab's name cannot be part of a namespace's and a directory's name.
    #[error("{0:?} is not a valid name of a lab: 1 to 15 of a-z, 0-9 and -")]
    LabName(String),
    /// The number of hosts is not one that a lab can have.
    #[error("a lab has 2 to 7 hosts, not {0}")]
    HostCount(u8),
    /// The lab would have too few full members.
    #[error("of {hosts} hosts, {remotes} cannot be remote nodes: two at least are full members")]
    RemoteCount {
        /// The number of remote nodes.
        remotes: u8,
        /// The number of all hosts.
        hosts: u8,
    },
    /// The name is not that of a system of which hosts can be made.
    #[error("{system:?} is not a known system for the hosts of a lab: use {known}")]
    NoSystem {
        /// The requested name.
        system: String,
        /// The systems that exist.
        known: String,
    },
    /// A tree of another system could not be made.
    #[error(
        "cannot make a tree of {system} out of {mirror}: {why}; see that this machine reaches it (apt-get update), or make a root elsewhere and give its directory"
    )]
    NoTree {
        /// The system's name.
        system: String,
        /// The source from which it was to be made.
        mirror: String,
        /// The last output of mmdebstrap.
        why: String,
    },
    /// The programs of this machine do not start on hosts of the system.
    #[error(
        "hosts of {system} cannot run the programs that were built on this machine, as its C library is newer: {why}; build on the older release, or take a system that is as new"
    )]
    TooOld {
        /// The system's name or directory.
        system: String,
        /// What the system's loader says of the program `lab`.
        why: String,
    },
    /// A lab of this name exists already.
    #[error("lab {0} is there already: see `lab status --name {0}`, end it with `lab down --name {0}`")]
    Exists(String),
    /// Another process is building or ending this lab.
    #[error("lab {name} is being built or ended by process {holder}: wait for it or stop it first")]
    Busy {
        /// The lab's name.
        name: String,
        /// The id of the process that works on the lab.
        holder: String,
    },
    /// A lab of this name does not exist.
    #[error("there is no lab {0}: start one with `lab up --name {0}`")]
    Absent(String),
    /// The lab has no host of this name.
    #[error("lab {lab} has no host {host:?}: it has {hosts}")]
    NoHost {
        /// The lab's name.
        lab: String,
        /// The requested host.
        host: String,
        /// The hosts of the lab.
        hosts: String,
    },
    /// The host has no power, and the operation needs it.
    #[error("{0} is off: `lab power on {0}` first")]
    HostOff(String),
    /// The host has power, and the operation needs it to have none.
    #[error("{0} has power: `lab power off {0}` first")]
    HostOn(String),
    /// A command ended with another exit code than 0.
    #[error("{what}: `{command}` ended with {code}: {output}")]
    Failed {
        /// The purpose of the command.
        what: String,
        /// The command line of the program.
        command: String,
        /// The exit code, or 128 and the signal's number.
        code: i32,
        /// The output of the command.
        output: String,
    },
    /// A condition did not hold within the limit.
    #[error("{what}: not within {seconds} s{}", if .last.is_empty() { String::new() } else { format!("; last: {}", .last) })]
    TimedOut {
        /// The condition that was waited for.
        what: String,
        /// The time limit.
        seconds: u64,
        /// The last observed state.
        last: String,
    },
    /// The caller requested a stop.
    #[error("stopped on request")]
    Cancelled,
    /// A file operation failed.
    #[error("{what} {}: {source}", .path.display())]
    File {
        /// The operation that failed.
        what: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// The operation that failed.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// A program's answer could not be parsed.
    #[error("{what} is not as expected: {detail}")]
    Answer {
        /// The name of the program.
        what: String,
        /// The difference from the expected form.
        detail: String,
    },
    /// The lab could not be built; the parts that existed are removed.
    #[error("{cause}\n(lab {name} is taken down again; its logs are in {})", .logs.display())]
    Up {
        /// The lab's name.
        name: String,
        /// The error that stopped the work.
        cause: Box<Error>,
        /// The directory with the logs of the hosts.
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
