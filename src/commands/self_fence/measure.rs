//! `gnt-ha self-fence measure`: measures the time after which the watchdog resets this host. `start` lets it reset the
//! host.

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::super::error::CommandError;
use super::error::MeasureStartError;
use crate::cli;
use crate::core::config::Config;
use crate::core::shun::expiry::{Measurement, reset_within_ms};
use crate::core::shun::lease_times::LeaseTimes;
use crate::core::shun::measurement::{MeasurementOutcome, ResetConditions, objection};
use crate::service::self_fence::measured;
use crate::service::self_fence::state::{Phase, desired, last_status};
use crate::sys::ganeti::files;
use crate::sys::ganeti::running_instances;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::watchdog;
use crate::sys::{identity, pacemaker};

/// The command line of `measure`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The command to run; without one, show the result of the measurement
    #[command(subcommand)]
    step: Option<MeasurementStep>,
}

/// The commands of `measure`.
#[derive(Debug, Subcommand)]
enum MeasurementStep {
    /// Stop the keepalives, so that the watchdog resets this host
    ///
    /// The next boot reads when that was. Fails on Ganeti's master, where instances run, where Pacemaker runs, and where other nodes rely on the self-fencing.
    Start {
        /// This host may be reset now
        #[arg(long)]
        confirm: bool,
    },
}

/// Runs the command. Returns the exit code.
pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<u8, CommandError> {
    match arguments.step {
        None => show(config),
        Some(MeasurementStep::Start { confirm }) => start(config, confirm),
    }
}

fn show(config: &Config) -> Result<u8, CommandError> {
    let (text, code) = match measured::conclude(&config.state)? {
        Some(MeasurementOutcome::Runs) => ("this boot is being measured, or the measurement was ended\n".to_owned(), 1),
        Some(MeasurementOutcome::NoReset { began, ran_ms }) => (
            format!(
                "{}, set to {} s: DID NOT RESET this host within {} s: use another watchdog, as self-fencing with this one proves \
                 nothing\n",
                began.driver,
                seconds(began.set_ms),
                seconds(ran_ms)
            ),
            2,
        ),
        Some(MeasurementOutcome::Reset(measured)) => (text(&measured, config.self_fence.lease_times()), 0),
        None => match measured::read(&config.state) {
            Some(measured) => (text(&measured, config.self_fence.lease_times()), 0),
            None => ("not measured; start: gnt-ha self-fence measure start --confirm\n".to_owned(), 1),
        },
    };
    cli::print(&text)?;
    Ok(code)
}

/// Returns the measurement as text, with the wait time that results from it and from the configuration.
fn text(measured: &Measurement, lease_times: LeaseTimes) -> String {
    let Measurement { driver, set_ms, ran_ms, reset_within_ms: within_ms, next_boot_ms } = measured;
    let mut text = format!(
        "{driver}, set to {} s: reset this host between {} s and {} s after the last keepalive\n",
        seconds(*set_ms),
        seconds(*ran_ms),
        seconds(*within_ms)
    );
    if let Some(ms) = next_boot_ms {
        text.push_str(&format!("  the next boot began {} s after it, by the wall clock\n", seconds(*ms)));
    }
    if *set_ms != lease_times.watchdog_ms {
        text.push_str(&format!(
            "  counts while the device is set to {} s; [self_fence] has watchdog_timeout = {}\n",
            seconds(*set_ms),
            seconds(lease_times.watchdog_ms)
        ));
    }
    let real = LeaseTimes { watchdog_ms: reset_within_ms(driver, *set_ms, Some(measured)), ..lease_times };
    text.push_str(&format!(
        "  other nodes wait {:.1} s after they have shunned this node",
        real.wait_time().as_secs_f64()
    ));
    if real.watchdog_ms > lease_times.watchdog_ms {
        text.push_str(&format!(", not {:.1} s", lease_times.wait_time().as_secs_f64()));
    }
    if ran_ms > set_ms {
        text.push_str(
            "\n  it resets late: a smaller watchdog_timeout in [self_fence], measured again, shortens the wait",
        );
    }
    text.push('\n');
    text
}

fn start(config: &Config, is_confirmed: bool) -> Result<u8, CommandError> {
    if let Some(why) = objection(before(config)?) {
        return Err(MeasureStartError::Objection(why).into());
    }
    if !is_confirmed {
        return Err(MeasureStartError::NotConfirmed.into());
    }
    let device = &config.self_fence.watchdog_device;
    let mut watchdog = watchdog::open(device, config.self_fence.watchdog_timeout.0)
        .map_err(|error| MeasureStartError::Open { device: device.clone(), error })?;
    let set = Duration::from_millis(watchdog.timeout_ms());
    cli::print(&format!(
        "{}, set to {} s: no keepalives any more; after the boot: gnt-ha self-fence measure\n",
        watchdog.identity(),
        set.as_secs_f64()
    ))?;
    let limit = set * 4 + Duration::from_secs(60);
    // A signal would end the notes before the host is reset.
    measured::hold_signals().map_err(MeasureStartError::Signals)?;
    let ran = measured::run(watchdog.as_mut(), &config.state, limit);
    // A watchdog that cannot be closed stays armed.
    let is_closed = watchdog.disarm().is_ok();
    let failed = match ran {
        Ok(()) => MeasureStartError::NoReset { device: device.clone(), limit_s: limit.as_secs(), is_closed },
        Err(error) => MeasureStartError::Notes { state: config.state.clone(), error, is_closed },
    };
    Err(failed.into())
}

fn before(config: &Config) -> Result<ResetConditions, CommandError> {
    let ssconf = Ssconf::new(Path::new(files::DATA_DIR));
    let nodes = ssconf.names("node_list")?;
    let here = identity::node_among(&nodes);
    let master = ssconf.master().ok().flatten();
    let is_open = last_status(&config.run)
        .is_some_and(|status| matches!(status.phase, Phase::Armed | Phase::Disarming | Phase::Lost));
    Ok(ResetConditions {
        is_master: master.zip(here).map(|(master, here)| master == here),
        instances: running_instances::instances(),
        drbd_primaries: running_instances::drbd_primaries(),
        runs_pacemaker: pacemaker::started_ms().is_some(),
        is_relied_on: is_open || desired(&config.state).map_err(CommandError::DesiredState)?.armed,
    })
}

fn seconds(ms: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for people to read")]
    let seconds = ms as f64 / 1_000.0;
    format!("{seconds:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text has the figure that counts, and the next step if the watchdog is late.
    #[test]
    fn a_late_watchdog_is_reported_with_the_wait_that_follows() {
        let lease_times = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };
        let late = Measurement {
            driver: "iTCO_wdt".into(),
            set_ms: 5_000,
            ran_ms: 9_960,
            reset_within_ms: 10_020,
            next_boot_ms: Some(42_000),
        };
        assert_eq!(
            text(&late, lease_times),
            "iTCO_wdt, set to 5.0 s: reset this host between 10.0 s and 10.0 s after the last keepalive\n  the next boot began \
             42.0 s after it, by the wall clock\n  other nodes wait 35.7 s after they have shunned this node, not 25.5 s\n  it resets \
             late: a smaller watchdog_timeout in [self_fence], measured again, shortens the wait\n"
        );
        let in_time = Measurement { ran_ms: 4_960, reset_within_ms: 5_000, next_boot_ms: None, ..late.clone() };
        assert!(text(&in_time, lease_times).ends_with("  other nodes wait 25.5 s after they have shunned this node\n"));
        assert!(
            text(&late, LeaseTimes { watchdog_ms: 4_000, ..lease_times })
                .contains("counts while the device is set to 5.0 s")
        );
    }
}
