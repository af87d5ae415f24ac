//! Runs the loop of self-fencing: it asks the candidates, decides, sends keepalives to the watchdog, and reports its
//! state. It has one thread, and all its memory is locked.

mod report;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::before_reset::{log_everywhere, stop_instances};
use super::error::SelfFenceError;
use super::rounds::Rounds;
use super::state::{Phase, SelfFenceStatus, desired, forget_promise, last_status, left_armed};
use super::{host, measured};
use crate::core::config::{Config, SelfFenceConfig};
use crate::core::node::NodeName;
use crate::core::shun::expiry::Measurement;
use crate::core::shun::lease::Lease;
use crate::core::shun::lease_times::LeaseTimes;
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::identity;
use crate::sys::watchdog::{Watchdog, open};

/// For how long self-fencing promises, in each report to another node, to keep its rules.
const PROMISE_TIME: Duration = Duration::from_secs(600);

/// The longest time between two keepalives, two reports, and two checks of what the administrator wants.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest time between two rounds: one question per second to each candidate.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`SelfFenceError`] if the daemon cannot start: a file of Ganeti or its key cannot be read, this host is not a node of
/// the cluster, or its address or signals cannot be used.
pub fn run(config: &Config, data_dir: &Path) -> Result<(), SelfFenceError> {
    let mut daemon = Daemon::new(config, data_dir)?;
    // Memory that is swapped out may come back later than the watchdog waits.
    if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        tracing::warn!(%error, "memory is not locked");
    }
    end_signals().thread_block().map_err(|error| SelfFenceError::Signals(error.into()))?;
    let signals = SignalFd::with_flags(&end_signals(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|error| SelfFenceError::Signals(error.into()))?;
    loop {
        daemon.step();
        if matches!(signals.read_signal(), Ok(Some(_))) {
            daemon.log_end();
            return Ok(());
        }
        let wait = u16::try_from(daemon.pause().as_millis()).unwrap_or(u16::MAX);
        let mut fds: Vec<PollFd<'_>> = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(daemon.rounds.fds().into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        // An interrupted wait is one more step.
        let _ = poll(&mut fds, PollTimeout::from(wait));
    }
}

struct Daemon {
    settings: SelfFenceConfig,
    state: PathBuf,
    run: PathBuf,
    ssconf: Ssconf,
    rounds: Rounds,
    own: IpAddr,
    is_virtual: Option<bool>,
    measured: Option<Measurement>,
    named: BTreeSet<IpAddr>,
    lease: Lease,
    lease_times: LeaseTimes,
    watchdog: Option<Box<dyn Watchdog>>,
    phase: Phase,
    /// An earlier process had the watchdog open, and this one has not opened it yet.
    armed_before: bool,
    promised_until: Option<Duration>,
    /// The shortest times that were reported to other nodes, which wait by them.
    advertised: Option<LeaseTimes>,
    not_armed_reason: Option<String>,
    asked: Option<Duration>,
    echoed: bool,
    ticked: Option<Duration>,
    is_end_logged: bool,
}

/// Returns the signals that end the daemon.
fn end_signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

fn boottime() -> Duration {
    Duration::from_millis(now().boottime_ms)
}

impl Daemon {
    fn new(config: &Config, data_dir: &Path) -> Result<Self, SelfFenceError> {
        let ssconf = Ssconf::new(data_dir);
        let (node, own) = own_address(&ssconf)?;
        let named = candidates(&ssconf);
        let before = last_status(&config.run);
        // A configuration with longer times counts after a boot, or after self-fencing was off.
        let advertised = before.as_ref().and_then(|status| status.advertised_times);
        let configured = config.self_fence.lease_times();
        let lease_times = advertised.map_or(configured, |advertised| configured.no_longer_than(advertised));
        // No report is sent before this: a measurement of the boot before counts from now on.
        if let Err(error) = measured::conclude(&config.state) {
            tracing::warn!(%error, "the watchdog was not measured");
        }
        let mut lease = Lease::new(lease_times, named.clone());
        // A lease that was granted to an earlier process still counts, by the same candidates. It is not extended by
        // that.
        if let Some((granted_at, in_force)) = before.as_ref().and_then(SelfFenceStatus::granted) {
            lease = Lease::restored(lease_times, in_force, granted_at);
        }
        // A report that cannot be read may be that of an armed watchdog.
        let armed_before = left_armed(&config.run).unwrap_or(true);
        let promised_until = before.and_then(|status| status.guaranteed_until_ms).map(Duration::from_millis);
        Ok(Self {
            settings: config.self_fence.clone(),
            state: config.state.clone(),
            run: config.run.clone(),
            rounds: Rounds::new(&node, SocketAddr::new(own, config.self_fence.port), data_dir)?,
            own,
            is_virtual: host::is_virtual(),
            measured: measured::read(&config.state),
            ssconf,
            named,
            lease,
            lease_times,
            watchdog: None,
            phase: Phase::Off,
            armed_before,
            promised_until,
            advertised,
            not_armed_reason: None,
            asked: None,
            echoed: false,
            ticked: None,
            is_end_logged: false,
        })
    }

    fn interval(&self) -> Duration {
        (Duration::from_millis(self.lease_times.lease_ms) / 4).max(ROUND_INTERVAL)
    }

    fn tick_interval(&self) -> Duration {
        TICK_INTERVAL.min(Duration::from_millis(self.lease_times.watchdog_ms) / 4)
    }

    /// Returns the time until the next action of the loop that no packet causes.
    fn pause(&self) -> Duration {
        let at = boottime();
        let left = |since: Option<Duration>, after: Duration| {
            since.map_or(Duration::ZERO, |since| (since + after).saturating_sub(at))
        };
        let round = left(self.asked, self.interval());
        let echo = if self.echoed { round } else { left(self.asked, self.interval() / 2) };
        left(self.ticked, self.tick_interval()).min(round).min(echo).max(Duration::from_millis(1))
    }

    fn step(&mut self) {
        if let Err(error) = self.rounds.take_in(&mut self.lease) {
            tracing::warn!(%error, "cannot read the answers of the candidates");
        }
        self.rounds.answer();
        let at = boottime();
        if self.asked.is_none_or(|asked| at >= asked + self.interval()) {
            self.named = candidates(&self.ssconf);
            self.lease.begin_with(&self.named);
            // The clock is read before any question is sent.
            let sent = boottime();
            self.rounds.ask(sent, &self.named, self.lease.candidates());
            (self.asked, self.echoed) = (Some(sent), false);
        } else if !self.echoed && self.asked.is_some_and(|asked| at >= asked + self.interval() / 2) {
            let fresh = self.asked.is_some_and(|asked| self.lease.granted_at() == Some(asked));
            if !fresh {
                self.rounds.echo(&self.lease.candidates().clone());
            }
            self.echoed = true;
        }
        if self.ticked.is_none_or(|ticked| at >= ticked + self.tick_interval()) {
            self.ticked = Some(at);
            self.tick();
        }
    }

    /// Applies what the administrator wants, sends a keepalive if it may, and reports.
    fn tick(&mut self) {
        let wanted = desired(&self.state).map(|wanted| wanted.armed);
        match wanted {
            Ok(true) => self.arm(),
            Ok(false) => {
                self.disarm();
                if matches!(self.phase, Phase::Off | Phase::KeepaliveOnly) {
                    forget_promise(&self.state, promise(self.lease_times));
                }
            }
            // A desired state that cannot be read changes nothing; a watchdog that was armed before still gets
            // keepalives.
            Err(error) => {
                if self.armed_before {
                    self.open_watchdog(if self.promised_until.is_some() { Phase::Disarming } else { Phase::Armed });
                }
                self.not_armed_reason = Some(format!("cannot read the desired state: {error}"));
            }
        }
        self.send_keepalive();
        self.report();
    }

    fn arm(&mut self) {
        // Opening the watchdog starts it, so a node that never had a lease would be reset. So would be a node in
        // [`Phase::KeepaliveOnly`], if its keepalives depended on a lease that it does not have.
        if !self.lease.is_valid(boottime()) && (self.watchdog.is_none() || self.phase == Phase::KeepaliveOnly) {
            if self.watchdog.is_none() {
                self.phase = Phase::Waiting;
            }
            self.not_armed_reason = Some("no majority of the master candidates has granted a lease yet".to_owned());
            return;
        }
        self.promised_until = None;
        if self.watchdog.is_none() {
            self.phase = Phase::Waiting;
            self.open_watchdog(Phase::Armed);
        } else if matches!(self.phase, Phase::Disarming | Phase::KeepaliveOnly) {
            self.phase = Phase::Armed;
        }
        if let Some(watchdog) = &self.watchdog {
            self.not_armed_reason = (!watchdog.nowayout())
                .then(|| "the driver is loaded without nowayout=1: no other node can rely on it".to_owned());
        }
    }

    /// Opens the watchdog, which arms it, if there is a lease or the phase needs none.
    fn open_watchdog(&mut self, phase: Phase) {
        if self.watchdog.is_some() || !(phase == Phase::KeepaliveOnly || self.lease.is_valid(boottime())) {
            return;
        }
        match open(&self.settings.watchdog_device, Duration::from_millis(self.lease_times.watchdog_ms)) {
            Ok(watchdog) => {
                self.lease_times.watchdog_ms = watchdog.timeout_ms();
                self.watchdog = Some(watchdog);
                self.armed_before = false;
                self.phase = phase;
            }
            Err(error) => {
                self.not_armed_reason =
                    Some(format!("cannot open {}: {error}", self.settings.watchdog_device.display()))
            }
        }
    }

    /// Disarms self-fencing. Other nodes may rely on it for as long as was promised, by clocks that may be slower.
    fn disarm(&mut self) {
        if self.watchdog.is_none() {
            if !self.armed_before {
                self.phase = Phase::Off;
                self.advertised = None;
                self.not_armed_reason = None;
                return;
            }
            // An earlier process armed the watchdog. It gets no keepalives until there is a lease, unless its promise
            // was over.
            let until = *self.promised_until.get_or_insert_with(|| boottime() + promise(self.lease_times));
            let (now, then) = if boottime() < until {
                (Phase::Disarming, Phase::Disarming)
            } else {
                (Phase::Waiting, Phase::KeepaliveOnly)
            };
            self.phase = now;
            self.open_watchdog(then);
        }
        let Some(watchdog) = &mut self.watchdog else { return };
        let until = *self.promised_until.get_or_insert_with(|| boottime() + promise(self.lease_times));
        if boottime() < until {
            if self.phase != Phase::Lost {
                self.phase = Phase::Disarming;
            }
            return;
        }
        if watchdog.disarm().is_ok() {
            self.watchdog = None;
            self.promised_until = None;
            self.advertised = None;
            self.phase = Phase::Off;
        } else {
            self.phase = Phase::KeepaliveOnly;
        }
    }

    fn send_keepalive(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        let free = self.phase == Phase::KeepaliveOnly;
        // The clock is read in the moment before. The wait time of the others allows for a stop between this and the
        // keepalive.
        if free || self.lease.is_valid(boottime()) {
            if let Err(error) = watchdog.keepalive() {
                tracing::warn!(%error, "cannot send a keepalive to the watchdog");
            }
            if self.phase == Phase::Lost {
                // A majority grants the lease again, by a question that was sent after the denial: the node may go on.
                log_everywhere("lease granted again: the watchdog gets keepalives again");
                self.phase = if self.promised_until.is_some() { Phase::Disarming } else { Phase::Armed };
            }
            self.is_end_logged = false;
            return;
        }
        self.phase = Phase::Lost;
        if !self.is_end_logged {
            self.is_end_logged = true;
            // The rest of the watchdog's time, less one second.
            let left = Duration::from_millis(self.lease_times.watchdog_ms).saturating_sub(TICK_INTERVAL);
            // A started program would inherit the blocked signals, and could not be ended by them.
            let _ = end_signals().thread_unblock();
            stop_instances(self.settings.before_reset.as_deref(), Deadline::after(left));
            let _ = end_signals().thread_block();
            // It is logged last, so that a console or log that hangs keeps no instance running.
            log_everywhere(&format!(
                "lease ended: no majority of the master candidates grants it ({}); instances stopped; the watchdog resets this host within {} s",
                self.rounds.who_does_not_grant(),
                self.lease_times.watchdog_ms.div_ceil(1_000)
            ));
        }
    }

    fn log_end(&self) {
        if self.watchdog.is_some() && self.phase != Phase::Off {
            log_everywhere(&format!(
                "the daemon ends, and the watchdog stays armed: it resets this host within {} s unless self-fencing is started again",
                self.lease_times.watchdog_ms.div_ceil(1_000)
            ));
        }
    }
}

/// Returns how long the rules are kept by this node's clock, so that they are kept for `PROMISE_TIME` by any other clock.
#[must_use]
pub fn promise(lease_times: LeaseTimes) -> Duration {
    let drift = f64::from(lease_times.drift_ppm.min(999_999)) / 1e6;
    PROMISE_TIME.mul_f64((1.0 + drift) / (1.0 - drift))
}

pub(super) fn candidates(ssconf: &Ssconf) -> BTreeSet<IpAddr> {
    ssconf.addresses("master_candidates_ips").unwrap_or_default().into_iter().collect()
}

/// Returns this node's name in Ganeti, and its address in the primary network.
pub(super) fn own_address(ssconf: &Ssconf) -> Result<(NodeName, IpAddr), SelfFenceError> {
    let nodes = ssconf.names("node_list")?;
    let node = identity::node_among(&nodes).ok_or_else(|| SelfFenceError::NotANode(identity::host()))?;
    let all = ssconf.name_addresses("node_primary_ips").unwrap_or_default();
    let own = all.into_iter().find(|(name, _)| *name == node).map(|(_, address)| address);
    let own = own.ok_or_else(|| SelfFenceError::NoAddress(node.clone()))?;
    Ok((node, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other nodes wait by the times that were reported to them. Self-fencing that keeps longer times after a change of
    /// its configuration would run on after it was taken for stopped.
    #[test]
    fn a_restarted_daemon_keeps_no_longer_times_than_were_advertised() {
        let dir = tempfile::tempdir().unwrap();
        let (host, at) = (identity::host(), dir.path());
        std::fs::write(at.join("hmac.key"), "0123456789abcdef0123456789abcdef01234567\n").unwrap();
        std::fs::write(at.join("ssconf_node_list"), format!("{host}\n")).unwrap();
        std::fs::write(at.join("ssconf_node_primary_ips"), format!("{host} 127.14.0.1\n")).unwrap();
        let mut config =
            Config::parse("[self_fence]\nlease = 9\nwatchdog_timeout = 6\n", Path::new("config.toml")).unwrap();
        (config.state, config.run) = (at.to_owned(), at.to_owned());
        let fresh = Daemon::new(&config, at).unwrap();
        assert_eq!((fresh.lease_times.lease_ms, fresh.lease_times.watchdog_ms), (9_000, 6_000));

        let advertised = LeaseTimes { lease_ms: 3_000, watchdog_ms: 2_000, ..fresh.lease_times };
        let mut before = fresh;
        before.advertised = Some(advertised);
        before.report();
        let again = Daemon::new(&config, at).unwrap();
        assert_eq!(again.lease_times, advertised);
        let granted = Duration::from_millis(1_000_000);
        let lease = Lease::restored(again.lease_times, BTreeSet::new(), granted);
        assert_eq!(lease.ends(), Some(granted + Duration::from_millis(3_000)));
        // The process after the next one keeps them, too, until a boot.
        let mut again = again;
        again.report();
        assert_eq!(Daemon::new(&config, at).unwrap().lease_times, advertised);
    }
}
