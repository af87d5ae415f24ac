//! The loop of the leash: asks, decides, pets, and says of itself what is so. One thread, no memory that is not locked.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::last_words::{say, stop_instances};
use super::rounds::Rounds;
use super::wanted::{Phase, Status, status_file, wanted};
use super::watchdog::{Watchdog, open};
use crate::config::{Config, Leash};
use crate::core::node::NodeName;
use crate::core::shun::lease::{Lease, Word};
use crate::core::shun::terms::Terms;
use crate::core::shun::words::LeashReport;
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::shun::known::{Attested, leash_file, own_leash_then};
use crate::sys::{identity, state_file};

/// For how long the leash's discipline is promised to whoever is told of it.
const PROMISE: Duration = Duration::from_secs(600);

/// How often the watchdog is petted, the own word refreshed, and looked whether the administrator wants something else.
const TICK: Duration = Duration::from_secs(1);

/// Between two rounds at least: one question a second for each candidate.
const ROUND: Duration = Duration::from_secs(1);

/// Runs until it is told to end.
///
/// # Errors
/// What keeps it from running at all.
pub fn run(config: &Config, data_dir: &Path) -> Result<(), String> {
    let mut daemon = Daemon::new(config, data_dir)?;
    // What is swapped out may come back later than the watchdog waits.
    if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        tracing::warn!(%error, "memory is not locked");
    }
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.add(Signal::SIGINT);
    ends.thread_block().map_err(|error| error.to_string())?;
    let signals = SignalFd::with_flags(&ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
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
        // An interruption is one more turn.
        let _ = poll(&mut fds, PollTimeout::from(wait));
    }
}

struct Daemon {
    settings: Leash,
    state: PathBuf,
    run: PathBuf,
    ssconf: Ssconf,
    rounds: Rounds,
    named: BTreeSet<IpAddr>,
    lease: Lease,
    terms: Terms,
    watchdog: Option<Box<dyn Watchdog>>,
    phase: Phase,
    promised_until: Option<Duration>,
    why_not: Option<String>,
    asked: Option<Duration>,
    echoed: bool,
    ticked: Option<Duration>,
    lost_said: bool,
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
        let terms = config.leash.terms();
        let mut lease = Lease::new(terms, named.clone());
        // What was granted before this process began still holds: nobody pets longer by it.
        if let Some((granted_at, in_force)) = own_leash_then(&config.run) {
            lease = Lease::restored(terms, in_force, granted_at);
        }
        let before: Option<Status> = state_file::read(&status_file(&config.run)).ok().flatten();
        let promised_until = before.and_then(|status| status.promised_until_ms).map(Duration::from_millis);
        Ok(Self {
            settings: config.leash.clone(),
            state: config.state.clone(),
            run: config.run.clone(),
            rounds: Rounds::new(&node, own, data_dir)?,
            ssconf,
            named,
            lease,
            terms,
            watchdog: None,
            phase: Phase::Off,
            promised_until,
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

    /// Until something is to be done by itself.
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
        let at = boottime();
        if self.asked.is_none_or(|asked| at >= asked + self.interval()) {
            self.named = candidates(&self.ssconf);
            // The clock is read before anything is sent.
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

    /// What is wanted, whether to pet, and what to say.
    fn turn(&mut self) {
        let wanted = wanted(&self.state).map(|wanted| wanted.armed);
        match wanted {
            Ok(true) => self.want_armed(),
            Ok(false) => self.want_off(),
            // What cannot be read changes nothing.
            Err(error) => self.why_not = Some(format!("what is wanted cannot be read: {error}")),
        }
        self.pet();
        self.report();
    }

    fn want_armed(&mut self) {
        self.promised_until = None;
        if self.watchdog.is_some() {
            if matches!(self.phase, Phase::Disarming | Phase::Free) {
                self.phase = Phase::Armed;
            }
            return;
        }
        if !self.lease.may_pet(boottime()) {
            // Opening it starts it: a node that never had a lease would be reset by that.
            self.phase = Phase::Waiting;
            self.why_not = Some("no majority of the master candidates has let this node run yet".to_owned());
            return;
        }
        match open(&self.settings.device, self.settings.watchdog.0) {
            Ok(watchdog) => {
                self.terms.watchdog_ms = watchdog.timeout_ms();
                self.why_not = (!watchdog.nowayout())
                    .then(|| "the driver is loaded without nowayout=1: nobody can rely on it".to_owned());
                self.watchdog = Some(watchdog);
                self.phase = Phase::Armed;
            }
            Err(error) => {
                self.phase = Phase::Waiting;
                self.why_not = Some(format!("cannot open {}: {error}", self.settings.device.display()));
            }
        }
    }

    /// Whoever was told of the leash may rely on it for as long as it was promised, by a clock that may be slower.
    fn want_off(&mut self) {
        let Some(watchdog) = &mut self.watchdog else {
            // A leash that armed it before this process began: nobody pets it until a lease is there, and then it is taken up.
            let armed_before = leash_file(&self.run).exists() || self.promised_until.is_some();
            if armed_before && self.lease.may_pet(boottime()) {
                self.watchdog = open(&self.settings.device, self.settings.watchdog.0).ok();
                self.phase = Phase::Disarming;
                self.promised_until.get_or_insert_with(|| boottime() + promise(self.terms));
            } else if !armed_before {
                self.phase = Phase::Off;
                self.why_not = None;
            }
            return;
        };
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
            self.phase = Phase::Off;
        } else {
            self.phase = Phase::Free;
        }
    }

    fn pet(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        let free = self.phase == Phase::Free;
        // Read in the moment before: what is between this and the pet is what the wait of the others allows for.
        if free || self.lease.may_pet(boottime()) {
            if let Err(error) = watchdog.pet() {
                tracing::warn!(%error, "cannot pet the watchdog");
            }
            if self.phase == Phase::Lost {
                // A majority lets it run again, by a question that was sent after it had refused: it may.
                say("a majority of the master candidates lets this node run again: the watchdog is petted again");
                self.phase = if self.promised_until.is_some() { Phase::Disarming } else { Phase::Armed };
            }
            self.lost_said = false;
            return;
        }
        self.phase = Phase::Lost;
        if !self.lost_said {
            self.lost_said = true;
            let silent: Vec<String> = self
                .rounds
                .last()
                .into_iter()
                .filter(|(_, word)| !word.grants())
                .map(|(address, word)| format!("{address} {}", text(word)))
                .collect();
            say(&format!(
                "no majority of the master candidates lets this node run ({}): it is reset within {} s; its instances are ended now",
                silent.join(", "),
                self.terms.watchdog_ms.div_ceil(1_000)
            ));
            // The rest of the watchdog's time, but for a second.
            let left = Duration::from_millis(self.terms.watchdog_ms).saturating_sub(TICK);
            stop_instances(self.settings.before_bite.as_deref(), Deadline::after(left));
        }
    }

    fn report(&self) {
        let at = now().boottime_ms;
        let ends = self.lease.ends().map(|ends| u64::try_from(ends.as_millis()).unwrap_or(u64::MAX));
        let status = Status {
            at_boottime_ms: at,
            pid: std::process::id(),
            phase: self.phase,
            driver: self.watchdog.as_ref().map(|watchdog| watchdog.identity().to_owned()),
            watchdog_ms: self.watchdog.as_ref().map(|watchdog| watchdog.timeout_ms()),
            nowayout: self.watchdog.as_ref().map(|watchdog| watchdog.nowayout()),
            lease_left_ms: ends.and_then(|ends| ends.checked_sub(at)),
            candidates: self
                .rounds
                .last()
                .into_iter()
                .map(|(address, word)| (address, text(word).to_owned()))
                .collect(),
            promised_until_ms: self.promised_until.map(|until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX)),
            why_not: self.why_not.clone(),
            real_time: is_real_time(),
        };
        // The disk may be the very thing that is lost: what cannot be said does not stop the petting.
        let _ = state_file::write_unflushed(&status_file(&self.run), &status);
        let attested = self.watchdog.as_ref().filter(|_| self.phase == Phase::Armed).zip(self.lease.granted_at());
        let Some((watchdog, granted_at)) = attested else {
            if self.phase != Phase::Lost {
                let _ = std::fs::remove_file(leash_file(&self.run));
            }
            return;
        };
        let report = LeashReport {
            boot_id: identity::incarnation(),
            driver: watchdog.identity().to_owned(),
            nowayout: watchdog.nowayout(),
            terms: self.terms,
            candidates: self.lease.candidates().iter().copied().collect(),
            kept_for_ms: u64::try_from(PROMISE.as_millis()).unwrap_or(u64::MAX),
            lease_age_ms: at.saturating_sub(u64::try_from(granted_at.as_millis()).unwrap_or(u64::MAX)),
        };
        let _ = state_file::write_unflushed(&leash_file(&self.run), &Attested { at_boottime_ms: at, report });
    }

    fn part(&self) {
        if self.watchdog.is_some() && self.phase != Phase::Off {
            say(&format!(
                "it ends, and the watchdog stays armed: this host is reset within {} s unless the leash is started again",
                self.terms.watchdog_ms.div_ceil(1_000)
            ));
        }
    }
}

/// How long the discipline is kept by this node's clock, so that it is kept for [`PROMISE`] by any other.
fn promise(terms: Terms) -> Duration {
    let drift = f64::from(terms.drift_ppm.min(999_999)) / 1e6;
    PROMISE.mul_f64((1.0 + drift) / (1.0 - drift))
}

/// A word for people.
const fn text(word: Word) -> &'static str {
    match word {
        Word::MayRun => "may run",
        Word::Refuses => "refuses",
        Word::Alive => "alive",
        Word::Silent => "silent",
    }
}

fn candidates(ssconf: &Ssconf) -> BTreeSet<IpAddr> {
    ssconf.addresses("master_candidates_ips").unwrap_or_default().into_iter().collect()
}

fn address(ssconf: &Ssconf, node: &NodeName) -> Option<IpAddr> {
    let all = ssconf.name_addresses("node_primary_ips").unwrap_or_default();
    all.into_iter().find(|(name, _)| name == node).map(|(_, address)| address)
}

/// `policy` in `proc_pid_stat(5)`: 1 is FIFO, 2 is RR.
fn is_real_time() -> bool {
    let policy = || -> io::Result<Option<u32>> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        Ok(stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(38)?.parse().ok()))
    };
    matches!(policy(), Ok(Some(1 | 2)))
}
