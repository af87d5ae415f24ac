//! Armed hosts that are cut off, shunned or stopped: each resets itself in time, and none is reported as stopped
//! before. Many runs, with short times.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use e2e::install::{FENCING, GNT_HA, OOB_PROGRAM, Proof, built_programs, install};
use e2e::lab_name;
use e2e::seeded_random::{SeededRandom, count};
use gnt_ha::core::shun::lease_times::LeaseTimes;
use lab::{Host, Lab, Network, Options, Power};
use serde_json::Value;

/// Nearly the shortest times that the configuration accepts.
const TERMS: LeaseTimes = LeaseTimes { lease_ms: 3_000, watchdog_ms: 2_000, drift_ppm: 10_000, stop_ms: 1_000 };

/// The time for a shunning: more than it takes to notify all others.
const SHUN_TIME: Duration = Duration::from_secs(2);

/// The number of hosts. Of seven candidates three can be lost at once, and the other four are a majority.
const HOSTS: u8 = 7;
const AT_ONCE: usize = 3;

const CABLES: [Network; 2] = [Network::Primary, Network::Secondary];

/// The file in which each host keeps the nodes' reports of themselves.
const PEERS: &str = "/var/lib/gnt-ha/peer-reports.json";

/// The ways in which a host is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// Both of its cables are cut.
    Cables,
    /// The switch drops all packets from it.
    Sends,
    /// The switch drops all packets to it.
    Receives,
    /// It is cut from so many candidates that it has no majority, and reaches the rest.
    Most,
    /// It works, and is shunned.
    None,
    /// Its self-fencing process is stopped, and continues when the lease may have ended long before.
    Stopped,
}

const LOSSES: [Loss; 6] = [Loss::Cables, Loss::Sends, Loss::Receives, Loss::Most, Loss::None, Loss::Stopped];

struct Scene {
    lab: Lab,
    random: SeededRandom,
}

/// The times of one lost host.
struct Run {
    host: String,
    /// From the loss until its power was off.
    stopped_after: Duration,
    /// From then until it was reported as bounded.
    reported_after: Duration,
}

impl Scene {
    fn up() -> Self {
        let random = SeededRandom::new();
        let lab = Lab::up(Options {
            name: lab_name("armed"),
            hosts: HOSTS,
            pacemaker: false,
            watchdog: Some(Duration::from_millis(TERMS.watchdog_ms)),
            replace: true,
            progress: Box::new(|line| println!("{line}")),
            ..Options::default()
        })
        .unwrap();
        let proof = Proof { shun: true, least: None, self_fence: Some(TERMS) };
        install(&lab, &built_programs().unwrap(), &proof).unwrap();
        let scene = Self { lab, random };
        scene.wait_armed(&scene.lab.hosts());
        scene
    }

    /// Waits until the hosts are armed, and the others know it.
    fn wait_armed(&self, hosts: &[Host]) {
        for host in hosts {
            let what = format!("{} is armed", host.name());
            let armed = || Ok(host.run(&[GNT_HA, "self-fence", "status"])?.success());
            self.lab.wait_until(&what, Duration::from_secs(60), armed).unwrap();
        }
        let all = self.lab.hosts();
        for one in all.iter().take(AT_ONCE + 1) {
            // Self-fencing is armed before the host's noded answers: a node that sent a request in between has no report of it.
            let has_reports = || {
                one.check(&[GNT_HA, "shun", "sync"])?;
                let peers: Value = serde_json::from_str(&one.read_file(PEERS)?).unwrap();
                let others = hosts.iter().filter(|host| host.name() != one.name());
                Ok(others.into_iter().all(|host| peers[host.fqdn()]["report"]["self_fence"].is_object()))
            };
            self.lab
                .wait_until(
                    &format!("{} has the reports of the armed hosts", one.name()),
                    Duration::from_secs(60),
                    has_reports,
                )
                .unwrap();
        }
    }

    /// Up to three hosts are lost at the same time, each in a different way, and shunned by others a moment later.
    fn lose(&mut self, most: usize) -> Vec<Run> {
        let all = self.lab.hosts();
        let number = AT_ONCE.min(most).saturating_sub(usize::from(self.random.below(5) == 0)).max(1);
        let lost = self.random.some(&all, number);
        let names: BTreeSet<&str> = lost.iter().map(Host::name).collect();
        let left: Vec<Host> = all.iter().filter(|host| !names.contains(host.name())).cloned().collect();
        let losses: Vec<Loss> = lost.iter().map(|_| LOSSES[self.random.below(LOSSES.len())]).collect();
        let fencers: Vec<Host> = lost.iter().map(|_| left[self.random.below(left.len())].clone()).collect();
        let waits: Vec<u64> = lost.iter().map(|_| self.random.below(2_500) as u64).collect();
        println!("{:?} by {:?}", lost.iter().map(Host::name).zip(&losses).collect::<Vec<_>>(), names_of(&fencers));

        let expiries: Vec<usize> = lost.iter().map(|host| host.expiries().unwrap().len()).collect();
        let cut_at = lab::now().unwrap();
        self.cut(&lost, &losses);
        let bound = TERMS.wait_time();
        thread::scope(|scope| {
            let runs: Vec<_> = (0..lost.len())
                .map(|i| {
                    let (host, loss, fencer) = (&lost[i], losses[i], &fencers[i]);
                    let (expiries, wait) = (expiries[i], Duration::from_millis(waits[i]));
                    scope.spawn(move || {
                        thread::sleep(wait);
                        let requested_at = lab::now().unwrap();
                        let words = ["env", FENCING, OOB_PROGRAM, "power-off", &host.fqdn()];
                        let off = fencer.run(&words).unwrap();
                        let reported_at = lab::now().unwrap();
                        assert!(off.success(), "{} on {}: {}", host.name(), fencer.name(), off.text());
                        assert_eq!(host.power_status(), Power::Off, "{} runs, but was reported as off", host.name());
                        let expiry = host.expiries().unwrap()[expiries..].last().copied();
                        let expiry = expiry
                            .unwrap_or_else(|| panic!("{} is off, but its watchdog has not expired", host.name()));
                        assert!(
                            expiry.power_cut <= reported_at,
                            "{}: {expiry:?}, reported at {reported_at:?}",
                            host.name()
                        );
                        // A host that is not cut has its lease until enough others shun it.
                        let is_cut = !matches!(loss, Loss::None | Loss::Stopped);
                        let lost_at = if is_cut { cut_at } else { requested_at + SHUN_TIME };
                        let stopped_after = expiry.power_cut.saturating_sub(lost_at);
                        assert!(stopped_after <= bound, "{} ({loss:?}): {stopped_after:?}", host.name());
                        let status = fencer.check(&[OOB_PROGRAM, "power-status", &host.fqdn()]).unwrap().stdout;
                        let status: Value = serde_json::from_str(&status).unwrap();
                        assert_eq!(status["grade"], "bounded", "{status}");
                        println!(
                            "{} ({loss:?}) stopped after {:.2} s; reported {:.2} s later, {:.2} s after the request",
                            host.name(),
                            stopped_after.as_secs_f64(),
                            (reported_at - expiry.power_cut).as_secs_f64(),
                            (reported_at - requested_at).as_secs_f64()
                        );
                        Run {
                            host: host.name().to_owned(),
                            stopped_after,
                            reported_after: reported_at - expiry.power_cut,
                        }
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        })
    }

    fn cut(&mut self, lost: &[Host], losses: &[Loss]) {
        let all = self.lab.hosts();
        let mut blocked = Vec::new();
        for (host, loss) in lost.iter().zip(losses) {
            let mut others: Vec<Host> = all.iter().filter(|other| other.name() != host.name()).cloned().collect();
            match loss {
                Loss::Cables => CABLES.into_iter().for_each(|network| host.cut(network).unwrap()),
                Loss::Sends => blocked.extend(others.into_iter().map(|other| (host.clone(), other))),
                Loss::Receives => blocked.extend(others.into_iter().map(|other| (other, host.clone()))),
                Loss::Most => {
                    others = self.random.some(&others, usize::from(HOSTS / 2) + 1 + self.random.clone().below(2));
                    blocked.extend(others.iter().map(|other| (other.clone(), host.clone())));
                    blocked.extend(others.into_iter().map(|other| (host.clone(), other)));
                }
                Loss::None => {}
                Loss::Stopped => self.stop_self_fence(host),
            }
        }
        self.lab.block(&blocked).unwrap();
    }

    /// Stops the process as a scheduler or a debugger would. It continues later, at the point where it was.
    fn stop_self_fence(&mut self, host: &Host) {
        let seconds = format!("{:.2}", 0.5 + self.random.below(800) as f64 / 100.0);
        let script = "pids=$(pgrep -f '^/usr/sbin/gnt-ha self-fence run') && kill -STOP $pids && (sleep $0; kill -CONT $pids) \
                      </dev/null >/dev/null 2>&1 &";
        host.check(&["sh", "-c", script, &seconds]).unwrap();
    }

    /// Heals the network; the lost hosts boot, are readmitted, and are armed again.
    fn heal(&mut self, runs: &[Run]) {
        self.lab.block(&[]).unwrap();
        let lost: Vec<Host> = runs.iter().map(|run| self.lab.host(&run.host).unwrap()).collect();
        let all = self.lab.hosts();
        let left = all.iter().find(|host| runs.iter().all(|run| run.host != host.name())).unwrap();
        for host in &lost {
            CABLES.into_iter().for_each(|network| host.heal(network).unwrap());
            host.power_on().unwrap();
        }
        for host in &lost {
            // Without a confirmation it would have to be shunned for a minute longer than it is up: clocks may differ.
            let words = [GNT_HA, "readmit", &host.fqdn(), "--force", "--reason", "it was off and was booted"];
            let readmitted = || left.check(&words).map(|_| true);
            self.lab
                .wait_until(&format!("{} is readmitted", host.name()), Duration::from_secs(60), readmitted)
                .unwrap();
        }
        self.wait_armed(&lost);
    }
}

fn names_of(hosts: &[Host]) -> Vec<&str> {
    hosts.iter().map(Host::name).collect()
}

/// Lost hosts reset themselves within the wait time, and `bounded` is never reported before. `GNT_HA_SELF_FENCE_RUNS`
/// sets the number of lost hosts: 100 for a night.
#[test]
fn a_lost_host_resets_itself_in_time_and_is_never_reported_off_before() {
    let mut scene = Scene::up();
    let wanted = count("GNT_HA_SELF_FENCE_RUNS", 6);
    let mut runs = Vec::new();
    while runs.len() < wanted {
        let lost = scene.lose(wanted - runs.len());
        runs.extend(lost.iter().map(|run| (run.stopped_after, run.reported_after)));
        if runs.len() < wanted {
            scene.heal(&lost);
        }
    }
    let stopped = runs.iter().map(|run| run.0).max().unwrap();
    let soonest = runs.iter().map(|run| run.1).min().unwrap();
    println!(
        "{} of {wanted} runs: stopped after {stopped:?} at most, of {:?}; reported {soonest:?} later at least",
        runs.len(),
        TERMS.wait_time()
    );
}
