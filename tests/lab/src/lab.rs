//! A lab, as its users build and use it.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use crate::bmc;
use crate::cluster;
use crate::command::{Cancel, require};
use crate::crm::{CrmMon, FenceEvent, fence_history};
use crate::disk;
use crate::error::{Error, Result};
use crate::host::{Host, RUN_LIMIT};
use crate::network;
use crate::power::Mains;
use crate::qnetd::Qnetd;
use crate::requirements;
use crate::state::{self, Dir, Spec};
use crate::system;
use crate::teardown;
use crate::up;
use crate::watch::Watch;

/// The command for the cluster's state. With a fence history level below 3 crm_mon leaves out fencing that it considers
/// the same.
const CRM_MON: [&str; 3] = ["crm_mon", "--fence-history=3", "--output-as=xml"];

/// The command for the fence history. Without `--verbose` it leaves out failed actions after a later success.
const HISTORY: [&str; 5] = ["stonith_admin", "--history", "*", "--verbose", "--output-as=xml"];

/// The options of a lab.
pub struct Options {
    /// The lab's name: 1 to 15 of a-z, 0-9 and -. Labs of different names do not reach each other.
    pub name: String,
    /// The number of hosts, 2 to 7.
    pub hosts: u8,
    /// The number of hosts, the last ones, that run `pacemaker-remoted` and are regular nodes of Ganeti that never
    /// become candidates. Pacemaker has no connection to them yet. At least two hosts are full members.
    pub remotes: u8,
    /// The time that a host waits at a boot before its services start. The first boot does not wait. A real server
    /// needs minutes, and a host that returns in a second hides faults.
    pub boot_delay: Duration,
    /// Configures Pacemaker to fence each host through its BMC with `fence_ipmilan`.
    pub fencing: bool,
    /// Lets corosync also use the secondary network, so that one cut makes no partition.
    pub two_links: bool,
    /// Runs corosync and Pacemaker. Without them a boot is faster, and no host is fenced.
    pub pacemaker: bool,
    /// The timeout of a simulated watchdog on each host, which cuts its power after so long without a keepalive.
    pub watchdog: Option<Duration>,
    /// The systems of the hosts: `debian-13` or a directory with a root in it; `n2=debian-13` for one host alone.
    /// Default: `GNT_HA_LAB_SYSTEM`, otherwise the machine's own root. A missing system is made, which takes minutes.
    pub systems: Vec<String>,
    /// Uses the name `n1` in Pacemaker for a node that is `n1.lab` in Ganeti; also if `GNT_HA_LAB_SHORT_NAMES` is set.
    pub short_names: bool,
    /// Adds a third host with qnetd, which corosync uses as quorum device; it decides a tie (`ffsplit`, without TLS).
    pub qnetd: bool,
    /// Makes the Ganeti cluster again, although the disks of one of this kind are kept.
    pub fresh: bool,
    /// Takes down a lab of this name first, if there is one.
    pub replace: bool,
    /// Gets the progress, one line at a time, from any thread.
    pub progress: Box<dyn Fn(&str) + Send + Sync>,
    /// A flag that stops all waits and takes a half-built lab down. `up` also sets it when one part of its work fails,
    /// to stop the other parts.
    pub cancel: Arc<AtomicBool>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "lab".into(),
            hosts: 3,
            remotes: 0,
            boot_delay: Duration::ZERO,
            fencing: false,
            two_links: false,
            pacemaker: true,
            watchdog: None,
            systems: Vec::new(),
            short_names: false,
            qnetd: false,
            fresh: false,
            replace: false,
            progress: Box::new(|_| {}),
            cancel: Arc::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("name", &self.name).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// A running lab. A lab that was built with [`Lab::up`] is taken down when it is dropped, or when its process ends in
/// any other way; see [`Lab::keep`].
#[derive(Debug)]
pub struct Lab {
    pub(crate) spec: Spec,
    pub(crate) dir: Dir,
    pub(crate) cancel: Arc<Cancel>,
    /// The process that takes the lab down if this one cannot.
    pub(crate) warden: Option<Child>,
    pub(crate) times: Times,
}

/// The variable with a file that gets a line for each lab that its builder takes down: for how many seconds it existed,
/// and how many of these it took to build.
const TIMES: &str = "GNT_HA_LAB_TIMES";

/// The time at which the lab was begun, and how long it took to build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) begun: Instant,
    pub(crate) built: Option<Duration>,
}

impl Times {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), built: None }
    }

    fn append(self, name: &str) {
        let (Some(path), Some(built)) = (std::env::var_os(TIMES), self.built) else { return };
        let line = format!("{:7.1} s  {name} ({:.1} s)\n", self.begun.elapsed().as_secs_f64(), built.as_secs_f64());
        let file = OpenOptions::new().create(true).append(true).open(&path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

impl Lab {
    /// Builds a lab and waits until its Ganeti cluster is complete and its Pacemaker has quorum, a designated
    /// controller (DC) and all hosts online. After a failure the lab is taken down.
    ///
    /// Call it, and [`Host::run`], from threads that block no signals: programs on the hosts inherit the blocking, and
    /// daemons that cannot be stopped take 30 s to be killed.
    pub fn up(options: Options) -> Result<Self> {
        up::up(options)
    }

    /// Returns a lab that runs already; it goes on when this handle is dropped.
    pub fn attach(name: &str) -> Result<Self> {
        requirements::root()?;
        let dir = Dir::of(name)?;
        let spec = state::load(&dir.spec())?.ok_or_else(|| Error::Absent(name.into()))?;
        Ok(Self { spec, dir, cancel: Arc::default(), warden: None, times: Times::begin() })
    }

    /// Takes down the lab of this name, complete or half built; returns false if there was none. Waits up to 30 s for
    /// another process that builds or ends it.
    pub fn down(name: &str) -> Result<bool> {
        requirements::root()?;
        teardown::down(name, Duration::from_secs(30))
    }

    /// Lets the lab go on after this handle and its process end.
    pub fn keep(mut self) {
        self.dismiss();
    }

    /// Notifies the warden that it is not needed.
    fn dismiss(&mut self) {
        let Some(mut warden) = self.warden.take() else { return };
        if let Some(mut stdin) = warden.stdin.take() {
            let _ = stdin.write_all(b"done");
        }
        let _ = warden.wait();
    }

    /// Returns the lab's name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns a host by its short name, such as `n1`, or its full one, such as `n1.lab`.
    pub fn host(&self, name: &str) -> Result<Host> {
        let short = name.strip_suffix(".lab").unwrap_or(name);
        self.hosts().into_iter().find(|h| h.name == short).ok_or_else(|| Error::NoHost {
            lab: self.spec.name.clone(),
            host: name.into(),
            hosts: self.hosts().iter().map(Host::name).collect::<Vec<_>>().join(", "),
        })
    }

    /// Returns all hosts, in order.
    pub fn hosts(&self) -> Vec<Host> {
        (1..=self.spec.hosts)
            .filter_map(|index| {
                let name = format!("n{index}");
                let mains = Mains::of(&self.spec.name, &name).ok()?;
                let uname = self.spec.uname(index);
                Some(Host { name, uname, index, mains, cancel: Arc::clone(&self.cancel) })
            })
            .collect()
    }

    /// Moves a host without power to another system, as an upgrade does: `debian-13` or a directory with a root in it.
    /// Its disk stays, with the files that it has written itself. A missing system is made, which takes minutes.
    pub fn change_system(&mut self, host: &Host, system: &str, progress: &dyn Fn(&str)) -> Result<()> {
        if self.spec.is_remote(host.index) {
            let detail = "its pacemaker-remoted is the one that it has from its first system".into();
            return Err(Error::Answer { what: format!("the remote node {}", host.name), detail });
        }
        let to = system::root(system, &requirements::own_program()?, progress)?;
        requirements::of_host(&to, self.spec.qnetd)?;
        let roots = (1..=self.spec.hosts).map(|index| if index == host.index { &*to } else { self.spec.root(index) });
        let spec = Spec { roots: roots.map(Path::to_owned).collect(), ..self.spec.clone() };
        host.mains.while_off(|| {
            disk::move_to(&self.dir, &host.name, self.spec.root(host.index), &to)?;
            state::save(&self.dir.spec(), &spec)
        })?;
        self.spec = spec;
        Ok(())
    }

    /// Makes the switch drop packets from the first host of each pair to the second, in both networks, and no others
    /// that it dropped before. Cables stay as they are.
    pub fn block(&self, pairs: &[(Host, Host)]) -> Result<()> {
        let names: Vec<_> = pairs.iter().map(|(from, to)| (from.name.clone(), to.name.clone())).collect();
        network::block(&self.spec.name, &names)
    }

    /// Drops packets as [`Lab::block`], between the two of each pair in both directions; by names, such as `n1` and
    /// `qnetd`.
    pub fn block_between(&self, pairs: &[(&str, &str)]) -> Result<()> {
        let both = pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]);
        let names: Vec<_> = both.map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
        network::block(&self.spec.name, &names)
    }

    /// Returns the host with qnetd, if the lab has one.
    pub fn qnetd(&self) -> Option<Qnetd> {
        self.spec.qnetd.then(|| Qnetd::of(&self.spec.name, &self.dir))
    }

    /// Returns the password of the user [`USER`](crate::USER) on all BMCs of this lab.
    pub fn bmc_password(&self) -> Result<String> {
        bmc::password(&self.dir)
    }

    /// Repeats the check until it returns true; returns how long that took. An error of the closure counts as "not yet"
    /// and is reported if the time is over.
    pub fn wait_until(&self, what: &str, limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<Duration> {
        let start = Instant::now();
        loop {
            let answer = done();
            if matches!(answer, Ok(true)) {
                return Ok(start.elapsed());
            }
            self.cancel.check()?;
            if start.elapsed() >= limit {
                let last = answer.err().map(|e| e.to_string()).unwrap_or_default();
                return Err(Error::TimedOut { what: what.into(), seconds: limit.as_secs(), last });
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Returns the output of the first host that runs the command successfully.
    pub(crate) fn first_answer(&self, words: &[&str], input: &str) -> Result<String> {
        let mut failure = Error::HostOff("every host".into());
        for host in self.hosts() {
            let answer = host.run_with(words, input.as_bytes(), RUN_LIMIT);
            match answer.and_then(|o| require(&format!("on {}", host.name), &words.join(" "), o)) {
                Ok(output) => return Ok(output.stdout),
                Err(Error::HostOff(_)) => {}
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Returns the cluster's state by the first host that answers. In a partition ask one host with [`Host::crm_mon`].
    pub fn crm_mon(&self) -> Result<CrmMon> {
        CrmMon::parse(&self.first_answer(&CRM_MON, "")?)
    }

    /// Returns all fencing actions of Pacemaker's fence history, the latest first.
    pub fn fence_history(&self) -> Result<Vec<FenceEvent>> {
        fence_history(&self.first_answer(&HISTORY, "")?)
    }

    /// Adds to or changes Pacemaker's configuration in one step: `sections` is the content of `<configuration>`, such
    /// as `<resources>...</resources><constraints>...</constraints>`.
    pub fn configure_cib(&self, sections: &str) -> Result<()> {
        let words = ["cibadmin", "--modify", "--allow-create", "--scope", "configuration", "--xml-pipe"];
        self.first_answer(&words, &format!("<configuration>{sections}</configuration>")).map(drop)
    }

    /// Makes Pacemaker fence each host through its BMC with `fence_ipmilan`: devices `fence-n1`, ... and
    /// `stonith-enabled=true`.
    pub fn configure_fencing(&self) -> Result<()> {
        self.configure_cib(&cluster::ipmilan(&self.spec, bmc::USER, &self.bmc_password()?))
    }

    /// Returns the changes in the lab, from now on.
    pub fn watch(&self) -> Watch<'_> {
        Watch::new(self)
    }
}

impl Host {
    /// Returns the cluster's state by this host's Pacemaker.
    pub fn crm_mon(&self) -> Result<CrmMon> {
        CrmMon::parse(&self.check(&CRM_MON)?.stdout)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.warden.is_none() {
            return;
        }
        if let Err(error) = teardown::down(&self.spec.name, Duration::from_secs(30)) {
            eprintln!("lab {}: {error}", self.spec.name);
        }
        self.times.append(&self.spec.name);
        self.dismiss();
    }
}
