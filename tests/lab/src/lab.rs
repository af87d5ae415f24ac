//! A lab as its users hold it.

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
use crate::state::{self, Folder, Spec};
use crate::system;
use crate::teardown;
use crate::up;
use crate::watch::Watch;

/// With less than 3 as its level crm_mon leaves out fencing that it takes for the same.
const CRM_MON: [&str; 3] = ["crm_mon", "--fence-history=3", "--output-as=xml"];

/// Without `--verbose` failed actions are left out that a later one made good.
const HISTORY: [&str; 5] = ["stonith_admin", "--history", "*", "--verbose", "--output-as=xml"];

/// What kind of lab to build.
pub struct Options {
    /// 1 to 15 of a-z, 0-9 and -; labs of different names do not see each other.
    pub name: String,
    /// 2 to 7.
    pub hosts: u8,
    /// How many of them, the last ones, run `pacemaker-remoted` and are regular nodes of Ganeti that never become candidates.
    /// Nobody is connected to them. Two hosts at least are full members.
    pub remotes: u8,
    /// How long a host waits at a boot before its services start. The first boot is without;
    /// a real server needs minutes, and what comes back in a second hides faults.
    pub boot_delay: Duration,
    /// Configure Pacemaker to fence each host through its BMC with `fence_ipmilan`.
    pub fencing: bool,
    /// Let corosync use the secondary network too, so that one cut makes no partition.
    pub two_links: bool,
    /// Run corosync and Pacemaker. Without them a boot is faster, and nobody fences.
    pub pacemaker: bool,
    /// A stand-in for a watchdog on each host, which takes its power when nobody has petted it for this long.
    pub watchdog: Option<Duration>,
    /// What the hosts are made of: `debian-13` or a folder with a root in it; `n2=debian-13` for one host alone. The
    /// machine's own root where nothing is said, nor in `GNT_HA_LAB_SYSTEM`. What is missing is made, which takes minutes.
    pub systems: Vec<String>,
    /// Pacemaker calls a node `n1` that Ganeti calls `n1.lab`; also where `GNT_HA_LAB_SHORT_NAMES` is set.
    pub short_names: bool,
    /// A third host runs qnetd, and corosync has it for a quorum device, which decides a tie (`ffsplit`, without TLS).
    pub qnetd: bool,
    /// Make the Ganeti cluster anew, though the disks of one of this kind are kept.
    pub fresh: bool,
    /// Take down a lab of this name first, if there is one.
    pub replace: bool,
    /// Told what is being done, a line at a time, from any thread.
    pub progress: Box<dyn Fn(&str) + Send + Sync>,
    /// Set it to stop what waits and to have a lab that is being built taken down. `up` sets
    /// it too when one part of its work fails, to stop the other parts.
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

/// A running lab. One that was built with [`Lab::up`] is taken down when it is dropped, or
/// when its process ends in any other way; see [`Lab::keep`].
#[derive(Debug)]
pub struct Lab {
    pub(crate) spec: Spec,
    pub(crate) folder: Folder,
    pub(crate) cancel: Arc<Cancel>,
    /// The process that takes the lab down should this one not be able to.
    pub(crate) warden: Option<Child>,
    pub(crate) times: Times,
}

/// A file that gets a line for each lab that is taken down by who built it: for how many seconds it was there, and how many
/// of these it took to build.
const TIMES: &str = "GNT_HA_LAB_TIMES";

/// When it was begun, and how long it took to build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) begun: Instant,
    pub(crate) built: Option<Duration>,
}

impl Times {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), built: None }
    }

    fn tell(self, name: &str) {
        let (Some(path), Some(built)) = (std::env::var_os(TIMES), self.built) else { return };
        let line = format!("{:7.1} s  {name} ({:.1} s)\n", self.begun.elapsed().as_secs_f64(), built.as_secs_f64());
        let told = OpenOptions::new().create(true).append(true).open(&path);
        if let Err(error) = told.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

impl Lab {
    /// Builds a lab and waits until its Ganeti cluster is complete and its Pacemaker has
    /// quorum, a designated controller and all hosts online. What fails is taken down again.
    ///
    /// Call it, and [`Host::run`], from threads that block no signals: what is started on the
    /// hosts inherits the blocking, and daemons that cannot be stopped take 30 s to be killed.
    pub fn up(options: Options) -> Result<Self> {
        up::up(options)
    }

    /// A lab that runs already; it goes on when this handle is dropped.
    pub fn attach(name: &str) -> Result<Self> {
        requirements::root()?;
        let folder = Folder::of(name)?;
        let spec = state::load(&folder.spec())?.ok_or_else(|| Error::Absent(name.into()))?;
        Ok(Self { spec, folder, cancel: Arc::default(), warden: None, times: Times::begin() })
    }

    /// Takes down the lab of this name, whole or half built; false if there was none. Waits
    /// up to 30 s for another process that builds or ends it.
    pub fn down(name: &str) -> Result<bool> {
        requirements::root()?;
        teardown::down(name, Duration::from_secs(30))
    }

    /// Lets the lab go on when this handle and its process are gone.
    pub fn keep(mut self) {
        self.dismiss();
    }

    /// Tells the warden that it is not needed.
    fn dismiss(&mut self) {
        let Some(mut warden) = self.warden.take() else { return };
        if let Some(mut stdin) = warden.stdin.take() {
            let _ = stdin.write_all(b"done");
        }
        let _ = warden.wait();
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// A host by its short name, such as `n1`, or its full one, such as `n1.lab`.
    pub fn host(&self, name: &str) -> Result<Host> {
        let short = name.strip_suffix(".lab").unwrap_or(name);
        self.hosts().into_iter().find(|h| h.name == short).ok_or_else(|| Error::NoHost {
            lab: self.spec.name.clone(),
            host: name.into(),
            hosts: self.hosts().iter().map(Host::name).collect::<Vec<_>>().join(", "),
        })
    }

    /// All hosts, in order.
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

    /// Puts a host that has no power on another system, as an upgrade does: `debian-13` or a folder with a root in it. Its disk
    /// stays, so what it has written itself, it has there, too. What is missing of the system is made, which takes minutes.
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
            disk::move_to(&self.folder, &host.name, self.spec.root(host.index), &to)?;
            state::save(&self.folder.spec(), &spec)
        })?;
        self.spec = spec;
        Ok(())
    }

    /// Has the switch drop what goes from the first host of each pair to the second, in both networks, and nothing else
    /// that it dropped before. Cables stay as they are.
    pub fn block(&self, pairs: &[(Host, Host)]) -> Result<()> {
        let names: Vec<_> = pairs.iter().map(|(from, to)| (from.name.clone(), to.name.clone())).collect();
        network::block(&self.spec.name, &names)
    }

    /// As [`Lab::block`], between the two of each pair in both directions; by names, such as `n1` and `qnetd`.
    pub fn block_between(&self, pairs: &[(&str, &str)]) -> Result<()> {
        let both = pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]);
        let names: Vec<_> = both.map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
        network::block(&self.spec.name, &names)
    }

    /// The host with qnetd, where the lab has one.
    pub fn qnetd(&self) -> Option<Qnetd> {
        self.spec.qnetd.then(|| Qnetd::of(&self.spec.name, &self.folder))
    }

    /// The password of the user [`USER`](crate::USER) on all BMCs of this lab.
    pub fn bmc_password(&self) -> Result<String> {
        bmc::password(&self.folder)
    }

    /// Asks until the answer is yes; returns how long that took. An error of the closure
    /// counts as "not yet" and is told if the time is over.
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

    /// The output of the first host that runs the command with success.
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

    /// The cluster as the first host sees it that has an answer. In a partition ask the host
    /// you mean with [`Host::crm_mon`].
    pub fn crm_mon(&self) -> Result<CrmMon> {
        CrmMon::parse(&self.first_answer(&CRM_MON, "")?)
    }

    /// All fencing actions that Pacemaker remembers, the latest first.
    pub fn fence_history(&self) -> Result<Vec<FenceEvent>> {
        fence_history(&self.first_answer(&HISTORY, "")?)
    }

    /// Adds to or changes Pacemaker's configuration in one step: `sections` is the inside of
    /// `<configuration>`, such as `<resources>...</resources><constraints>...</constraints>`.
    pub fn configure_cib(&self, sections: &str) -> Result<()> {
        let words = ["cibadmin", "--modify", "--allow-create", "--scope", "configuration", "--xml-pipe"];
        self.first_answer(&words, &format!("<configuration>{sections}</configuration>")).map(drop)
    }

    /// Has Pacemaker fence each host through its BMC with `fence_ipmilan`: devices
    /// `fence-n1`, ... and `stonith-enabled=true`.
    pub fn configure_fencing(&self) -> Result<()> {
        self.configure_cib(&cluster::ipmilan(&self.spec, bmc::USER, &self.bmc_password()?))
    }

    /// Tells what changes in the lab, from now on.
    pub fn watch(&self) -> Watch<'_> {
        Watch::new(self)
    }
}

impl Host {
    /// The cluster as this host's Pacemaker sees it.
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
        self.times.tell(&self.spec.name);
        self.dismiss();
    }
}
