//! Builds a lab.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::command::Cancel;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::init::{BOOT_FILE, Boot};
use crate::kept::Kept;
use crate::lab::{Lab, Options, Times};
use crate::state::{self, Dir, Lock, Spec, make_dir};
use crate::teardown::{keep_logs, teardown};
use crate::{bmc, cluster, disk, ganeti, network, remote, requirements, system};

/// The variable with the systems of hosts, if a lab does not set them: as in [`Options::systems`], separated by spaces.
const SYSTEM: &str = "GNT_HA_LAB_SYSTEM";

/// The most that Ganeti's daemons may take to start: five on each host, each a program that is read and initialized.
const START_LIMIT: Duration = Duration::from_secs(120);

/// If this variable is set: as [`Options::short_names`].
const SHORT_NAMES: &str = "GNT_HA_LAB_SHORT_NAMES";

pub(crate) fn up(options: Options) -> Result<Lab> {
    let mut spec = Spec {
        name: options.name.clone(),
        hosts: options.hosts,
        remotes: options.remotes,
        boot_delay: options.boot_delay.as_secs(),
        two_links: options.two_links,
        pacemaker: options.pacemaker,
        watchdog_ms: options.watchdog.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        roots: Vec::new(),
        short_names: options.short_names || env::var_os(SHORT_NAMES).is_some_and(|value| !value.is_empty()),
        qnetd: options.qnetd,
        ready: false,
    };
    let dir = Dir::of(&spec.name)?;
    if !(2..=7).contains(&spec.hosts) {
        return Err(Error::HostCount(spec.hosts));
    }
    if spec.members() < 2 {
        return Err(Error::RemoteCount { remotes: spec.remotes, hosts: spec.hosts });
    }
    let times = Times::begin();
    requirements::root()?;
    requirements::of_machine(spec.qnetd)?;
    let program = requirements::own_program()?;
    spec.roots = system::roots(&systems(&options), spec.hosts, &program, &*options.progress)?;
    spec.roots.iter().try_for_each(|root| requirements::of_host(root, spec.qnetd))?;
    system::say_made(&spec.roots, &*options.progress);
    let lock = Lock::of_lab(&spec.name, Duration::ZERO)?;
    if dir.path().exists() || !network::existing(&spec.name).is_empty() {
        if !options.replace {
            return Err(Error::Exists(spec.name));
        }
        (options.progress)("taking down the lab of this name");
        teardown(&spec.name, &lock)?;
    }
    make_dir(dir.path(), 0o700)?;
    let copy = dir.program();
    fs::copy(&program, &copy).map_err(Error::file("copy the program to", &copy))?;
    let warden = Some(start_warden(&dir, &spec.name)?);
    let cancel = Arc::new(Cancel(Arc::clone(&options.cancel)));
    let mut lab = Lab { spec, dir, cancel, warden, times };
    match Kept::of(&program, &lab.spec).and_then(|kept| build(&mut lab, &options, &kept)) {
        Ok(()) => {
            lab.times.built = Some(lab.times.begun.elapsed());
            Ok(lab)
        }
        Err(cause) => {
            let (name, hosts) = (lab.spec.name.clone(), lab.spec.hosts);
            (options.progress)("taking the lab down again");
            let logs = keep_logs(&name, hosts);
            let gone = teardown(&name, &lock);
            lock.remove();
            lab.keep();
            gone?;
            match (cause, logs) {
                (cause @ Error::Cancelled, _) | (cause, Err(_)) => Err(cause),
                (cause, Ok(logs)) => Err(Error::Up { name, cause: Box::new(cause), logs }),
            }
        }
    }
}

/// Returns the requested systems, or the default.
fn systems(options: &Options) -> Vec<String> {
    let default = || env::var(SYSTEM).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if options.systems.is_empty() { default() } else { options.systems.clone() }
}

fn start_warden(dir: &Dir, name: &str) -> Result<Child> {
    Command::new(dir.program())
        .args(["warden", name])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(Error::system("start the warden"))
}

/// Runs the work for all hosts at the same time; the first real failure stops the others.
fn for_all(lab: &Lab, hosts: &[Host], work: impl Fn(&Host) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> =
            hosts.iter().map(|host| scope.spawn(|| work(host).inspect_err(|e| stop(lab, e)))).collect();
        outcome(threads.into_iter().map(|t| t.join()))
    })
}

fn stop(lab: &Lab, error: &Error) {
    if !matches!(error, Error::Cancelled) {
        lab.cancel.0.store(true, Ordering::Relaxed);
    }
}

fn outcome(results: impl Iterator<Item = thread::Result<Result<()>>>) -> Result<()> {
    let mut outcome = Ok(());
    for result in results {
        let result = result
            .unwrap_or_else(|_| Err(Error::Answer { what: "a part of the work".into(), detail: "it panicked".into() }));
        if outcome.is_ok() || matches!(outcome, Err(Error::Cancelled)) && result.is_err() {
            outcome = result;
        }
    }
    outcome
}

fn build(lab: &mut Lab, options: &Options, kept: &Kept) -> Result<()> {
    let start = Instant::now();
    let say = |text: &str| (options.progress)(&format!("{:5.1} s  {text}", start.elapsed().as_secs_f64()));
    let (spec, dir) = (&lab.spec, &lab.dir);
    say(&format!("making lab {}: disks, keys, networks", spec.name));
    state::save(&dir.spec(), spec)?;
    disk::create(dir, spec.hosts)?;
    let begun = kept.is_there() && !options.fresh;
    disk::make_keys(dir, begun.then(|| kept.keys()).as_deref())?;
    bmc::make_password(dir)?;
    network::create_switch(&spec.name, spec.hosts)?;
    if let Some(qnetd) = lab.qnetd() {
        qnetd.connect()?;
        qnetd.start()?;
    }
    lab.cancel.check()?;

    let hosts = lab.hosts();
    let corosync = cluster::corosync_conf(spec);
    let parts = (spec.remotes > 0 && spec.pacemaker)
        .then(|| remote::parts(spec, &requirements::own_program()?, &say))
        .transpose()?;
    for_all(lab, &hosts, |host| {
        make_dir(&dir.host(&host.name), 0o700)?;
        disk::furnish(dir, spec, host.index, &corosync)?;
        if let Some(parts) = &parts {
            disk::furnish_remote(dir, spec, host.index, parts)?;
        }
        bmc::start(dir, &spec.name, host.index)?;
        host.mains.on()
    })?;
    say(&format!("{} hosts have booted, each with a BMC", spec.hosts));
    thread::scope(|scope| {
        let cluster = scope.spawn(|| start_cluster(lab, &hosts, &say).inspect_err(|e| stop(lab, e)));
        let ganeti = scope.spawn(|| start_ganeti(lab, &hosts, kept, begun, &say).inspect_err(|e| stop(lab, e)));
        outcome([cluster.join(), ganeti.join()].into_iter())
    })?;

    for_all(lab, &hosts, |host| {
        let boot = Boot { delay: spec.boot_delay, pacemaker: spec.pacemaker, remote: spec.is_remote(host.index) };
        let boot =
            serde_json::to_vec(&boot).map_err(|e| Error::Answer { what: BOOT_FILE.into(), detail: e.to_string() })?;
        host.write_file(BOOT_FILE, &boot, 0o644)
    })?;
    if options.fencing {
        lab.configure_fencing()?;
        let count = usize::from(spec.hosts);
        lab.wait_until("all fence devices are started", Duration::from_secs(60), || {
            Ok(lab.crm_mon()?.resources.iter().filter(|r| r.role == "Started").count() >= count)
        })?;
        say("Pacemaker fences through the BMCs");
    }
    lab.spec.ready = true;
    state::save(&lab.dir.spec(), &lab.spec)?;
    say(&format!("lab {} is up", lab.spec.name));
    Ok(())
}

fn start_cluster(lab: &Lab, hosts: &[Host], say: &(impl Fn(&str) + Sync)) -> Result<()> {
    if !lab.spec.pacemaker {
        return Ok(());
    }
    for_all(lab, hosts, |host| {
        let run = |words: &[&str]| host.run(words);
        if lab.spec.is_remote(host.index) {
            return remote::start(&run, host.index);
        }
        cluster::preset(&run)?;
        cluster::start(&run)
    })?;
    say("corosync and Pacemaker are started; waiting for quorum and a DC");
    lab.wait_until("quorum, a DC and all members online", Duration::from_secs(120), || {
        let seen = lab.crm_mon()?;
        Ok(seen.quorum && seen.dc.is_some() && members(lab, hosts).iter().all(|h| seen.is_online(&h.name)))
    })?;
    lab.first_answer(&cluster::SETTLED, "")?;
    say("Pacemaker has quorum and a DC, all members are online");
    Ok(())
}

/// Returns the full members.
fn members<'a>(lab: &Lab, hosts: &'a [Host]) -> &'a [Host] {
    hosts.get(..usize::from(lab.spec.members())).unwrap_or(hosts)
}

/// Makes the cluster from the kept disks, or again, and then keeps the disks.
fn start_ganeti(lab: &Lab, hosts: &[Host], kept: &Kept, begun: bool, say: &(impl Fn(&str) + Sync)) -> Result<()> {
    if begun {
        return start_kept(lab, hosts, kept, say).inspect_err(|error| {
            if !matches!(error, Error::Cancelled) {
                let _ = fs::remove_dir_all(kept.path());
            }
        });
    }
    make_ganeti(lab, hosts, say)?;
    if let Err(error) = kept.keep(lab, hosts) {
        say(&format!("the Ganeti cluster is not kept for later labs: {error}"));
    }
    Ok(())
}

fn start_kept(lab: &Lab, hosts: &[Host], kept: &Kept, say: &(impl Fn(&str) + Sync)) -> Result<()> {
    for_all(lab, hosts, |host| {
        kept.put(host)?;
        ganeti::start_noded(&|words| host.run(words))
    })?;
    // On a busy machine each daemon may take longer, and the master waits for the others.
    for_all(lab, hosts, |host| ganeti::start(&|words| host.run_within(words, START_LIMIT)))?;
    let Some(first) = hosts.first() else { return Ok(()) };
    lab.wait_until("Ganeti's master answers", Duration::from_secs(60), || {
        first.check(&["gnt-node", "list", "--no-headers", "-o", "name"]).map(|_| true)
    })?;
    say("the Ganeti cluster is there, from kept disks; n1 is its master");
    Ok(())
}

fn make_ganeti(lab: &Lab, hosts: &[Host], say: &(impl Fn(&str) + Sync)) -> Result<()> {
    let Some((first, others)) = hosts.split_first() else { return Ok(()) };
    let on_first = |words: &[&str]| first.run_within(words, Duration::from_secs(120));
    ganeti::init(&on_first, lab.spec.members())?;
    say("the Ganeti cluster is there, on n1");
    for host in others {
        ganeti::add(&on_first, host.index, lab.spec.is_remote(host.index))?;
        say(&format!("{} is a Ganeti node", host.name));
    }
    for_all(lab, members(lab, hosts).get(1..).unwrap_or_default(), |host| ganeti::start_confd(&|words| host.run(words)))
}
