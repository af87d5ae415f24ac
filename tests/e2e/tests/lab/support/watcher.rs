//! Watches the hosts from outside, many times a second: for instances and masters that run twice, and for nodes that
//! are reported to have stopped and have not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gnt_ha::core::grade::Grade;
use gnt_ha::core::shun::list::ShunList;
use lab::{Host, Lab};

use crate::support::cluster::short;
use crate::support::instances::INSTANCES;

const SHUN_LIST: &str = "var/lib/gnt-ha/shun-list.json";
const INTERVAL: Duration = Duration::from_millis(40);

/// The observations of a watch.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    /// Violations, one line each.
    pub(crate) wrong: BTreeSet<String>,
    /// The nodes that were reported to have stopped, each with the epoch of its shun list entry.
    pub(crate) reported: BTreeSet<(String, u64)>,
    /// The hosts on which each instance ran.
    pub(crate) ran_on: BTreeMap<String, BTreeSet<String>>,
}

/// A watch in a thread, which runs until it is ended.
pub(crate) struct Watcher {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Observations>,
}

impl Watcher {
    pub(crate) fn begin(lab: &Lab) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (hosts, is_over) = (lab.hosts(), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            let (mut seen, mut began) = (Observations::default(), BTreeMap::new());
            while !is_over.load(Ordering::Relaxed) {
                seen.observe(&hosts, &mut began);
                thread::sleep(INTERVAL);
            }
            seen
        });
        Self { ends, thread }
    }

    pub(crate) fn end(self) -> Observations {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The running boot of a host, and the time of its first observation, in ms since 1970.
type Boots = BTreeMap<String, (String, u64)>;

impl Observations {
    fn observe(&mut self, hosts: &[Host], boots: &mut Boots) {
        for host in hosts {
            match boot(host) {
                None => drop(boots.remove(host.name())),
                Some(boot) if boots.get(host.name()).is_some_and(|(known, _)| *known == boot) => {}
                Some(boot) => drop(boots.insert(host.name().to_owned(), (boot, now_ms()))),
            }
        }
        self.instances(hosts);
        for host in hosts {
            let text = host.root().and_then(|root| std::fs::read(root.join(SHUN_LIST)).ok()).unwrap_or_default();
            let Ok(shun_list) = serde_json::from_slice::<ShunList>(&text) else { continue };
            self.shun_list(host, &shun_list, hosts, boots);
        }
    }

    fn instances(&mut self, hosts: &[Host]) {
        let mut now: BTreeMap<String, Vec<&Host>> = BTreeMap::new();
        for host in hosts {
            for name in host.root().map(|root| names(&root.join(INSTANCES))).unwrap_or_default() {
                self.ran_on.entry(name.clone()).or_default().insert(host.name().to_owned());
                now.entry(name).or_default().push(host);
            }
        }
        for (name, on) in now {
            // The two were read one after the other: it counts only if the first still runs.
            let runs = |host: &&&Host| host.root().is_some_and(|root| root.join(INSTANCES).join(&name).exists());
            let on: Vec<&str> = on.iter().filter(runs).map(|host| host.name()).collect();
            if on.len() > 1 {
                self.wrong.insert(format!("{name} runs on {on:?}"));
            }
        }
    }

    fn shun_list(&mut self, by: &Host, shun_list: &ShunList, hosts: &[Host], boots: &Boots) {
        for (node, entry) in shun_list.shunned().filter(|(_, entry)| entry.grade >= Grade::Bounded) {
            let name = short(node.as_str());
            if !self.reported.insert((name.clone(), entry.epoch.0)) {
                continue;
            }
            let Some(host) = hosts.iter().find(|host| host.name() == name) else { continue };
            let runs_since = boots.get(&name).filter(|(boot_then, _)| boot(host).as_ref() == Some(boot_then));
            if let Some((boot, since_ms)) = runs_since.filter(|(_, since_ms)| *since_ms < entry.since_ms) {
                let (grade, epoch) = (entry.grade, entry.epoch);
                self.wrong.insert(format!(
                    "{} has {name} as {grade} in epoch {epoch}, of {}, and it runs, boot {boot}, since {since_ms}",
                    by.name(),
                    entry.since_ms
                ));
            }
        }
    }
}

/// Returns an id that distinguishes a host's boots, while it runs.
fn boot(host: &Host) -> Option<String> {
    std::fs::read_to_string(host.root()?.join("proc/sys/kernel/random/boot_id")).ok().map(|text| text.trim().to_owned())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.ends_with(".lab")).collect()
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
