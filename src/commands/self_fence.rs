//! `gnt-ha self-fence`: controls the watchdog that resets this node when its lease ends.

pub mod error;
mod measure;

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};

use self::error::ArmError;
use super::error::CommandError;
use crate::cli;
use crate::core::config::Config;
use crate::service::self_fence::arming::test_echoes;
use crate::service::self_fence::daemon;
use crate::service::self_fence::state::{
    DesiredState, Phase, SelfFenceStatus, current_status, desired, set_desired, unreadable,
};
use crate::sys::clock::Deadline;
use crate::sys::config_file;
use crate::sys::ganeti::files;

/// The time limit for the candidates' answers before arming.
const ECHO_TEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The commands of `self-fence`, all about the node on which they run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the self-fence daemon, which also answers other nodes
    ///
    /// The unit gnt-ha-self-fence starts it at each boot.
    Run,
    /// Show if self-fencing is armed, how long its lease holds, who grants it
    ///
    /// Exit code: 0 armed and leased, 1 not armed, 2 the lease is lost or self-fencing does not run though it should.
    Status(StatusArguments),
    /// Arm the watchdog at the next lease, and at the first one of each boot
    ///
    /// First asks all master candidates, and changes nothing unless signed answers of confd (UDP port 1814) and signed echoes of
    /// gnt-ha-self-fence (UDP port 1817, or `[self_fence] port`) come from a majority of them. So start the unit
    /// gnt-ha-self-fence on each master candidate before.
    Arm,
    /// Disarm: close the watchdog when no other node relies on it any more
    ///
    /// Other nodes may rely on self-fencing of this node for 10 minutes after its last report, and for that time it
    /// stays armed. A watchdog that is loaded with nowayout cannot be closed: from then on until the next boot, it gets
    /// its keepalives also without a lease.
    Disarm(DisarmArguments),
    /// Show the measured time in which the watchdog resets this host
    ///
    /// Some boards reset a host later than the timeout of their watchdog. `measure start` stops the keepalives, and the watchdog
    /// resets this host: run it only on a host that may go down. After the boot, `measure` shows the time. From the next start
    /// of the unit gnt-ha-self-fence on, other nodes wait by that time. Measure again when the board, its firmware, its driver or
    /// the timeout of the watchdog changes.
    ///
    /// Exit code: 0 measured, 1 not measured, 2 the watchdog did not reset this host, or the notes prove nothing.
    Measure(measure::Arguments),
}

/// The command line of `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Print one JSON object: the daemon's own report, null if it does not run
    #[arg(long)]
    json: bool,
}

/// The command line of `disarm`.
#[derive(Debug, Args)]
pub struct DisarmArguments {
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
}

/// Runs the command. Returns the exit code.
///
/// # Errors
/// [`CommandError`] if the command failed; nothing was changed unless its text states otherwise.
pub fn run(command: &Command, config: &Path) -> Result<u8, CommandError> {
    let config = config_file::load_or_default(config)?;
    match command {
        Command::Run => {
            daemon::run(&config, Path::new(files::DATA_DIR))?;
            Ok(0)
        }
        Command::Status(arguments) => status(&config, arguments.json),
        Command::Arm => {
            let deadline = Deadline::after(ECHO_TEST_TIMEOUT);
            let test =
                test_echoes(Path::new(files::DATA_DIR), config.self_fence.port, deadline).map_err(ArmError::from)?;
            if let Some(why) = test.objection() {
                return Err(ArmError::Objection(why).into());
            }
            keep(&config, true)?;
            let wait_time = config.self_fence.lease_times().wait_time();
            let runs = if read(&config).is_some() {
                ""
            } else {
                "; self-fencing does not run yet: start the unit gnt-ha-self-fence"
            };
            cli::print(&format!(
                "armed from the first lease on: a node without a lease is reset, and is proven to have stopped {:.1} s after \
                 it was shunned{runs}\n",
                wait_time.as_secs_f64()
            ))?;
            Ok(0)
        }
        Command::Disarm(arguments) => disarm(&config, arguments.wait),
        Command::Measure(arguments) => measure::run(arguments, &config),
    }
}

fn keep(config: &Config, armed: bool) -> Result<(), CommandError> {
    set_desired(&config.state, DesiredState { armed })
        .map_err(|error| CommandError::DesiredStateNotKept { path: config.state.clone(), error })
}

fn read(config: &Config) -> Option<SelfFenceStatus> {
    current_status(&config.run)
}

fn status(config: &Config, json: bool) -> Result<u8, CommandError> {
    let is_wanted = desired(&config.state).map_err(CommandError::DesiredState)?.armed;
    let status = read(config);
    if let Some(error) = unreadable(&config.run).filter(|_| status.is_none()) {
        return Err(CommandError::SelfFenceUnknown { run: config.run.clone(), error });
    }
    let code = match status.as_ref().map(|status| status.phase) {
        Some(Phase::Armed) => 0,
        Some(Phase::Lost) => 2,
        None if is_wanted => 2,
        _ => 1,
    };
    let text = if json {
        serde_json::to_string(&status)? + "\n"
    } else {
        match &status {
            Some(status) => text(status),
            None if is_wanted => "NOT RUNNING, though it is to be armed: start the unit gnt-ha-self-fence\n".to_owned(),
            None => "not armed, and not running\n".to_owned(),
        }
    };
    cli::print(&text)?;
    Ok(code)
}

fn text(status: &SelfFenceStatus) -> String {
    let word = match status.phase {
        Phase::Off => "not armed",
        Phase::Waiting => "waiting for a first lease: not armed yet",
        Phase::Armed => "armed",
        Phase::Disarming => "being disarmed: still armed, as others may rely on it",
        Phase::KeepaliveOnly => "disarmed; the watchdog gets its keepalives without a lease, until the next boot",
        Phase::Lost => "LEASE LOST: this node is about to be reset",
    };
    let mut text = format!("{word}\n");
    if let (Some(driver), Some(ms)) = (&status.driver, status.watchdog_ms) {
        let kept = if status.nowayout == Some(true) { "nowayout" } else { "can be closed" };
        text.push_str(&format!("  watchdog   {driver}, {:.1} s, {kept}\n", seconds(ms)));
    }
    match status.lease_left_ms {
        Some(ms) => text.push_str(&format!("  lease      {:.1} s left\n", seconds(ms))),
        None => text.push_str("  lease      none\n"),
    }
    for (address, state) in &status.candidates {
        text.push_str(&format!("  candidate  {address}  {state}\n"));
    }
    if let Some(until) = status.guaranteed_until_ms {
        text.push_str(&format!(
            "  promised   for {:.0} s more\n",
            seconds(until.saturating_sub(status.at_boottime_ms))
        ));
    }
    if !status.real_time {
        text.push_str("  priority   NOT real-time: start it by its unit, or by chrt --rr 50\n");
    }
    if let Some(why) = &status.echo_fault {
        text.push_str(&format!("  echo       NONE: {why}\n"));
    }
    if let Some(why) = &status.not_armed_reason {
        text.push_str(&format!("  {why}\n"));
    }
    text
}

#[allow(clippy::cast_precision_loss, reason = "for people to read")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn disarm(config: &Config, wait: bool) -> Result<u8, CommandError> {
    const POLL_INTERVAL: Duration = Duration::from_secs(1);
    keep(config, false)?;
    loop {
        // The daemon reads the desired state each second.
        std::thread::sleep(POLL_INTERVAL * 2);
        let Some(status) = read(config) else {
            cli::print("not running; it will not be armed at the next boot\n")?;
            return Ok(0);
        };
        let over = matches!(status.phase, Phase::Off | Phase::KeepaliveOnly);
        if over || !wait {
            cli::print(&text(&status))?;
            return Ok(0);
        }
    }
}
