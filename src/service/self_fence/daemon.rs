//! Runs the loop of self-fencing: it asks the candidates, decides, sends keepalives to the watchdog, and reports its
//! state. It has one thread, and all its memory is locked.

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
use super::rounds::{Rounds, text};
use super::state::{Phase, Status, desired, forget_promise, is_real_time, last_status, status_file};
use super::{host, measured};
use crate::core::config::{Config, SelfFenceConfig};
use crate::core::node::NodeName;
use crate::core::shun::expiry::{Measured, reset_within_ms};
use crate::core::shun::lease::Lease;
use crate::core::shun::lease_times::LeaseTimes;
use crate::core::shun::messages::SelfFenceReport;
use crate::service::shun::peer_reports::{Attested, self_fence_file};
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::watchdog::{Watchdog, open};
use crate::sys::{identity, state_file};

/// For how long self-fencing promises, in each report to another node, to keep its rules.
const PROMISE: Duration = Duration::from_secs(600);

/// The longest time between two keepalives, two reports, and two checks of what the administrator wants.
const TICK: Duration = Duration::from_secs(1);

/// The shortest time between two rounds: one question per second to each candidate.
const ROUND: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// A message, if the daemon cannot start: a file of Ganeti or its key cannot be read, this host is not a node of the
/// cluster, or its address or signals cannot be used.
pub fn run(config: &Config, data_dir: &Path) -> Result<(), String> {
    let mut daemon = Daemon::new(config, data_dir)?;
    // Memory that is swapped out may come back later than the watchdog waits.
    if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        tracing::warn!(%error, "memory is not locked");
    }
    ends().thread_block().map_err(|error| error.to_string())?;
    let signals = SignalFd::with_flags(&ends(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|error| error.to_string())?;
    loop {
        daemon.step();
        if matches!(signals.read_signal(), Ok(Some(_))) {
            daemon.part();
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
    measured: Option<Measured>,
    named: BTreeSet<IpAddr>,
    lease: Lease,
    terms: LeaseTimes,
    watchdog: Option<Box<dyn Watchdog>>,
    phase: Phase,
    /// An earlier process had the watchdog open, and this one has not opened it yet.
    armed_before: bool,
    promised_until: Option<Duration>,
    /// The shortest times that were reported to other nodes, which wait by them.
    told: Option<LeaseTimes>,
    why_not: Option<String>,
    asked: Option<Duration>,
    echoed: bool,
    ticked: Option<Duration>,
    lost_said: bool,
}

/// Returns the signals that end the daemon.
fn ends() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

fn boottime() -> Duration {
    Duration::from_millis(now().boottime_ms)
}

impl Daemon {
    fn new(config: &Config, data_dir: &Path) -> Result<Self, String> {
        let ssconf = Ssconf::new(data_dir);
        let nodes = ssconf.names("node_list").map_err(|error| error.to_string())?;
        let node = identity::node_among(&nodes)
            .ok_or_else(|| format!("this host, {}, is none of Ganeti's nodes", identity::host()))?;
        let own =
            address(&ssconf, &node).ok_or_else(|| format!("{node} has no address in Ganeti's node_primary_ips"))?;
        let named = candidates(&ssconf);
        let before = last_status(&config.run);
        // A configuration with longer times counts after a boot, or after self-fencing was off.
        let told = before.as_ref().and_then(|status| status.told);
        let terms = told.map_or(config.self_fence.terms(), |told| config.self_fence.terms().no_longer_than(told));
        // No report is sent before this: a measurement of the boot before counts from now on.
        if let Err(error) = measured::conclude(&config.state) {
            tracing::warn!(error, "the watchdog was not measured");
        }
        let mut lease = Lease::new(terms, named.clone());
        // A lease that was granted to an earlier process still counts, by the same candidates. It is not extended by
        // that.
        if let Some((granted_at, in_force)) = before.as_ref().and_then(Status::granted) {
            lease = Lease::restored(terms, in_force, granted_at);
        }
        let armed_before = before.as_ref().is_some_and(|status| status.driver.is_some());
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
            terms,
            watchdog: None,
            phase: Phase::Off,
            armed_before,
            promised_until,
            told,
            why_not: None,
            asked: None,
            echoed: false,
            ticked: None,
            lost_said: false,
        })
    }

    fn interval(&self) -> Duration {
        (Duration::from_millis(self.terms.lease_ms) / 4).max(ROUND)
    }

    fn tick(&self) -> Duration {
        TICK.min(Duration::from_millis(self.terms.watchdog_ms) / 4)
    }

    /// Returns the time until the next action of the loop that no packet causes.
    fn pause(&self) -> Duration {
        let at = boottime();
        let left = |since: Option<Duration>, after: Duration| {
            since.map_or(Duration::ZERO, |since| (since + after).saturating_sub(at))
        };
        let round = left(self.asked, self.interval());
        let echo = if self.echoed { round } else { left(self.asked, self.interval() / 2) };
        left(self.ticked, self.tick()).min(round).min(echo).max(Duration::from_millis(1))
    }

    fn step(&mut self) {
        if let Err(error) = self.rounds.take_in(&mut self.lease) {
            tracing::warn!(%error, "cannot hear the candidates");
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
        if self.ticked.is_none_or(|ticked| at >= ticked + self.tick()) {
            self.ticked = Some(at);
            self.turn();
        }
    }

    /// Applies what the administrator wants, sends a keepalive if it may, and reports.
    fn turn(&mut self) {
        let wanted = desired(&self.state).map(|wanted| wanted.armed);
        match wanted {
            Ok(true) => self.want_armed(),
            Ok(false) => {
                self.want_off();
                if matches!(self.phase, Phase::Off | Phase::Free) {
                    forget_promise(&self.state, promise(self.terms));
                }
            }
            // A desired state that cannot be read changes nothing; a watchdog that was armed before still gets
            // keepalives.
            Err(error) => {
                if self.armed_before {
                    self.take_up(if self.promised_until.is_some() { Phase::Disarming } else { Phase::Armed });
                }
                self.why_not = Some(format!("what is wanted cannot be read: {error}"));
            }
        }
        self.pet();
        self.report();
    }

    fn want_armed(&mut self) {
        // Opening the watchdog starts it, so a node that never had a lease would be reset. So would be a node in
        // [`Phase::Free`], if its keepalives depended on a lease that it does not have.
        if !self.lease.is_valid(boottime()) && (self.watchdog.is_none() || self.phase == Phase::Free) {
            if self.watchdog.is_none() {
                self.phase = Phase::Waiting;
            }
            self.why_not = Some("no majority of the master candidates has let this node run yet".to_owned());
            return;
        }
        self.promised_until = None;
        if self.watchdog.is_none() {
            self.phase = Phase::Waiting;
            self.take_up(Phase::Armed);
        } else if matches!(self.phase, Phase::Disarming | Phase::Free) {
            self.phase = Phase::Armed;
        }
        if let Some(watchdog) = &self.watchdog {
            self.why_not = (!watchdog.nowayout())
                .then(|| "the driver is loaded without nowayout=1: nobody can rely on it".to_owned());
        }
    }

    /// Opens the watchdog, which arms it, if there is a lease or the phase needs none.
    fn take_up(&mut self, phase: Phase) {
        if self.watchdog.is_some() || !(phase == Phase::Free || self.lease.is_valid(boottime())) {
            return;
        }
        match open(&self.settings.watchdog_device, Duration::from_millis(self.terms.watchdog_ms)) {
            Ok(watchdog) => {
                self.terms.watchdog_ms = watchdog.timeout_ms();
                self.watchdog = Some(watchdog);
                self.armed_before = false;
                self.phase = phase;
            }
            Err(error) => {
                self.why_not = Some(format!("cannot open {}: {error}", self.settings.watchdog_device.display()))
            }
        }
    }

    /// Disarms self-fencing. Other nodes may rely on it for as long as was promised, by clocks that may be slower.
    fn want_off(&mut self) {
        if self.watchdog.is_none() {
            if !self.armed_before {
                self.phase = Phase::Off;
                self.told = None;
                self.why_not = None;
                return;
            }
            // An earlier process armed the watchdog. It gets no keepalives until there is a lease, unless its promise
            // was over.
            let until = *self.promised_until.get_or_insert_with(|| boottime() + promise(self.terms));
            let (now, then) =
                if boottime() < until { (Phase::Disarming, Phase::Disarming) } else { (Phase::Waiting, Phase::Free) };
            self.phase = now;
            self.take_up(then);
        }
        let Some(watchdog) = &mut self.watchdog else { return };
        let until = *self.promised_until.get_or_insert_with(|| boottime() + promise(self.terms));
        if boottime() < until {
            if self.phase != Phase::Lost {
                self.phase = Phase::Disarming;
            }
            return;
        }
        if watchdog.disarm().is_ok() {
            self.watchdog = None;
            self.promised_until = None;
            self.told = None;
            self.phase = Phase::Off;
        } else {
            self.phase = Phase::Free;
        }
    }

    fn pet(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        let free = self.phase == Phase::Free;
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
            self.lost_said = false;
            return;
        }
        self.phase = Phase::Lost;
        if !self.lost_said {
            self.lost_said = true;
            // The rest of the watchdog's time, less one second.
            let left = Duration::from_millis(self.terms.watchdog_ms).saturating_sub(TICK);
            // A started program would inherit the blocked signals, and could not be ended by them.
            let _ = ends().thread_unblock();
            stop_instances(self.settings.before_reset.as_deref(), Deadline::after(left));
            let _ = ends().thread_block();
            // It is logged last, so that a console or log that hangs keeps no instance running.
            log_everywhere(&format!(
                "lease ended: no majority of the master candidates grants it ({}); instances stopped; the watchdog resets this host within {} s",
                self.rounds.who_does_not_grant(),
                self.terms.watchdog_ms.div_ceil(1_000)
            ));
        }
    }

    fn report(&mut self) {
        let at = now().boottime_ms;
        let is_relied_on = self.phase == Phase::Armed && self.watchdog.is_some() && self.lease.granted_at().is_some();
        if is_relied_on {
            self.told = Some(self.told.map_or(self.terms, |told| self.terms.no_longer_than(told)));
        }
        let ends = self.lease.ends().map(|ends| u64::try_from(ends.as_millis()).unwrap_or(u64::MAX));
        let status = Status {
            at_boottime_ms: at,
            boot_id: identity::incarnation(),
            pid: std::process::id(),
            phase: self.phase,
            driver: self.driver(),
            watchdog_ms: self.watchdog.as_ref().map(|watchdog| watchdog.timeout_ms()),
            nowayout: self.watchdog.as_ref().map(|watchdog| watchdog.nowayout()),
            granted_at_ms: self.lease.granted_at().map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX)),
            in_force: self.lease.candidates().clone(),
            lease_left_ms: ends.and_then(|ends| ends.checked_sub(at)),
            candidates: self
                .rounds
                .last()
                .into_iter()
                .map(|(address, word)| (address, text(word).to_owned()))
                .collect(),
            guaranteed_until_ms: self.promised_until.map(|until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX)),
            told: self.told,
            why_not: self.why_not.clone(),
            answers_nobody: self.rounds.fault().map(ToOwned::to_owned),
            real_time: is_real_time(),
        };
        // The disk may be the device that has failed, so an error of writing does not stop the keepalives. But nothing
        // is reported to other nodes that the next process would not know.
        let is_said = state_file::write_unflushed(&status_file(&self.run), &status).is_ok();
        let attested = self.watchdog.as_ref().filter(|_| is_said && is_relied_on).zip(self.lease.granted_at());
        let Some((watchdog, granted_at)) = attested else {
            if self.phase != Phase::Lost {
                let _ = std::fs::remove_file(self_fence_file(&self.run));
            }
            return;
        };
        let report = SelfFenceReport {
            boot_id: identity::incarnation(),
            driver: watchdog.identity().to_owned(),
            nowayout: watchdog.nowayout(),
            terms: self.attested_terms(watchdog.as_ref()),
            asks_from: Some(self.own),
            is_virtual: self.is_virtual,
            candidates: self.lease.candidates().iter().copied().collect(),
            guaranteed_for_ms: u64::try_from(PROMISE.as_millis()).unwrap_or(u64::MAX),
            lease_age_ms: at.saturating_sub(u64::try_from(granted_at.as_millis()).unwrap_or(u64::MAX)),
        };
        let _ = state_file::write_unflushed(&self_fence_file(&self.run), &Attested { at_boottime_ms: at, report });
    }

    /// Returns the times with the time within which the watchdog has really reset the host.
    fn attested_terms(&self, watchdog: &dyn Watchdog) -> LeaseTimes {
        let set_ms = watchdog.timeout_ms();
        let watchdog_ms = reset_within_ms(watchdog.identity(), set_ms, self.measured.as_ref());
        LeaseTimes { watchdog_ms: watchdog_ms.max(self.terms.watchdog_ms), ..self.terms }
    }

    /// Returns the driver of the watchdog that is open, or a note if an earlier process has left it armed.
    fn driver(&self) -> Option<String> {
        let open = self.watchdog.as_ref().map(|watchdog| watchdog.identity().to_owned());
        open.or_else(|| self.armed_before.then(|| "armed, and not taken up yet".to_owned()))
    }

    fn part(&self) {
        if self.watchdog.is_some() && self.phase != Phase::Off {
            log_everywhere(&format!(
                "it ends, and the watchdog stays armed: this host is reset within {} s unless self-fencing is started again",
                self.terms.watchdog_ms.div_ceil(1_000)
            ));
        }
    }
}

/// Returns how long the rules are kept by this node's clock, so that they are kept for `PROMISE` by any other clock.
#[must_use]
pub fn promise(terms: LeaseTimes) -> Duration {
    let drift = f64::from(terms.drift_ppm.min(999_999)) / 1e6;
    PROMISE.mul_f64((1.0 + drift) / (1.0 - drift))
}

pub(super) fn candidates(ssconf: &Ssconf) -> BTreeSet<IpAddr> {
    ssconf.addresses("master_candidates_ips").unwrap_or_default().into_iter().collect()
}

pub(super) fn address(ssconf: &Ssconf, node: &NodeName) -> Option<IpAddr> {
    let all = ssconf.name_addresses("node_primary_ips").unwrap_or_default();
    all.into_iter().find(|(name, _)| name == node).map(|(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other nodes wait by the times that were reported to them. Self-fencing that keeps longer times after a change of
    /// its configuration would run on after it was taken for stopped.
    #[test]
    fn a_self_fence_that_is_started_again_keeps_no_longer_times_than_others_were_told() {
        let dir = tempfile::tempdir().unwrap();
        let (host, at) = (identity::host(), dir.path());
        std::fs::write(at.join("hmac.key"), "0123456789abcdef0123456789abcdef01234567\n").unwrap();
        std::fs::write(at.join("ssconf_node_list"), format!("{host}\n")).unwrap();
        std::fs::write(at.join("ssconf_node_primary_ips"), format!("{host} 127.14.0.1\n")).unwrap();
        let mut config =
            Config::parse("[self_fence]\nlease = 9\nwatchdog_timeout = 6\n", Path::new("config.toml")).unwrap();
        (config.state, config.run) = (at.to_owned(), at.to_owned());
        let fresh = Daemon::new(&config, at).unwrap();
        assert_eq!((fresh.terms.lease_ms, fresh.terms.watchdog_ms), (9_000, 6_000));

        let told = LeaseTimes { lease_ms: 3_000, watchdog_ms: 2_000, ..fresh.terms };
        let mut before = fresh;
        before.told = Some(told);
        before.report();
        let again = Daemon::new(&config, at).unwrap();
        assert_eq!(again.terms, told);
        let granted = Duration::from_millis(1_000_000);
        let lease = Lease::restored(again.terms, BTreeSet::new(), granted);
        assert_eq!(lease.ends(), Some(granted + Duration::from_millis(3_000)));
        // The process after the next one keeps them, too, until a boot.
        let mut again = again;
        again.report();
        assert_eq!(Daemon::new(&config, at).unwrap().terms, told);
    }
}
