//! Measures one command in a process that does nothing else: its children are the command's process tree and no other.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use lab::Host;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::Result;

/// The arguments of the measuring process.
#[derive(Args)]
pub(crate) struct Order {
    /// Time in s after which the command is killed.
    seconds: u64,
    /// Variables for its environment, as NAME=VALUE.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// The command with its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// A command, and the output that shows that it has done its work.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The program: a path, or a name that is searched for in `PATH`.
    pub(crate) program: PathBuf,
    /// The program's arguments.
    pub(crate) arguments: Vec<String>,
    /// A part of its stdout after a successful run.
    pub(crate) says: &'static str,
    /// The time after which it is killed.
    pub(crate) limit: Duration,
    /// Variables for its environment, as NAME=VALUE, in addition to those of the machine.
    pub(crate) variables: Vec<String>,
    /// The host of a lab on which it runs; this program's path there is [`ON_HOSTS`].
    pub(crate) on: Option<Host>,
}

/// The path of this program on the hosts of a lab.
pub(crate) const ON_HOSTS: &str = "/usr/local/lib/bench";

/// The measurements of one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The time from its start to its end.
    pub(crate) wall: Duration,
    /// User and system time of its whole process tree.
    pub(crate) cpu: Duration,
    /// The peak memory of one process of the tree, in bytes; never below that of the measuring process itself.
    pub(crate) peak: u64,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Call {
    /// Returns a call that is killed after 1 min.
    pub(crate) fn new(program: impl AsRef<Path>, arguments: &[&str], says: &'static str) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            says,
            limit: Duration::from_secs(60),
            variables: Vec::new(),
            on: None,
        }
    }

    /// Runs the command; any result is accepted.
    pub(crate) fn try_run(&self) -> Result<Run> {
        let mut order = vec!["measure".to_owned(), self.limit.as_secs().to_string()];
        order.extend(self.variables.iter().map(|variable| format!("--set={variable}")));
        order.push("--".to_owned());
        order.extend(self.words());
        let stdout = match &self.on {
            None => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(order).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?.stdout
            }
            Some(host) => {
                let words: Vec<&str> = std::iter::once(ON_HOSTS).chain(order.iter().map(String::as_str)).collect();
                host.check(&words)?.stdout.into_bytes()
            }
        };
        serde_json::from_slice(&stdout).map_err(|error| format!("{}: {error}", self.program.display()).into())
    }

    /// Returns the command line.
    fn words(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.program.display().to_string()).chain(self.arguments.iter().cloned())
    }

    /// Returns how many processes and threads it starts besides itself, on the host where it runs: in a namespace of
    /// its own the process ids count up by one.
    pub(crate) fn offspring(&self) -> Result<u64> {
        const COUNT: &str = r#""$@" >/dev/null 2>&1; code=$?; sh -c 'echo $0 $$' $code; :"#;
        // The shell is the first, the command the second, and the process that prints the id comes after all others.
        const TELLER: u64 = 3;
        let host = self.on.as_ref().ok_or("only counted on the host of a lab")?;
        let variables = self.variables.iter().map(String::as_str);
        let words: Vec<String> = self.words().collect();
        let line: Vec<&str> = ["env"]
            .into_iter()
            .chain(variables)
            .chain(["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", COUNT, "sh"])
            .chain(words.iter().map(String::as_str))
            .collect();
        let output = host.check(&line)?.stdout;
        let bytes = output.trim().strip_prefix("0 ").and_then(|number| number.parse::<u64>().ok());
        let count = bytes.and_then(|number| number.checked_sub(TELLER));
        Ok(count.ok_or_else(|| format!("{}: its processes were not counted", self.program.display()))?)
    }

    /// Runs the command. A run that did not do its work is an error, so that a failure never counts as speed.
    pub(crate) fn run(&self) -> Result<Run> {
        let run = self.try_run()?;
        if self.answered(&run) {
            return Ok(run);
        }
        let Run { code, stdout, stderr, .. } = run;
        Err(format!("{} {:?} ended with {code:?}: {stdout}{stderr}", self.program.display(), self.arguments).into())
    }

    /// Whether a run has done its work.
    pub(crate) fn answered(&self, run: &Run) -> bool {
        run.code == Some(0) && run.stdout.contains(self.says)
    }
}

impl Run {
    /// Returns its output, which must be JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        let Self { code, stdout, stderr, .. } = self;
        serde_json::from_str(stdout).map_err(|error| format!("ended with {code:?}: {error}: {stderr}").into())
    }

    /// Returns how many lines of its stdout contain this text.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        self.stdout.lines().filter(|line| line.contains(text)).count()
    }
}

/// Runs as the measuring process.
pub(crate) fn carry_out(order: &Order) -> Result<()> {
    let (program, arguments) = order.command.split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    command.envs(order.variables.iter().filter_map(|variable| variable.split_once('=')));
    command.args(arguments).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    let limit = Duration::from_secs(order.seconds);
    // The thread ends with the process, so that it never signals a process group of a later time.
    thread::spawn(move || {
        thread::sleep(limit);
        let _ = killpg(group, Signal::SIGKILL);
    });
    let output = child.wait_with_output()?;
    let wall = begun.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let run = Run {
        wall,
        cpu: duration(usage.user_time()) + duration(usage.system_time()),
        peak: u64::try_from(usage.max_rss())? * 1024,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    println!("{}", serde_json::to_string(&run)?);
    Ok(())
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    let micros = u64::try_from(time.tv_usec()).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// Runs both in turn, after a warm-up, so that other load of the machine affects both.
pub(crate) fn in_turn(ours: &Call, theirs: &Call, runs: usize) -> Result<(Vec<Run>, Vec<Run>)> {
    const WARM_UP: usize = 3;
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP + runs {
        of_ours.push(ours.run()?);
        of_theirs.push(theirs.run()?);
    }
    Ok((of_ours.split_off(WARM_UP), of_theirs.split_off(WARM_UP)))
}

/// Returns the median; zero without values.
pub(crate) fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
