//! A cluster with the roles up: commands on it, and its state from outside. Hosts have short names.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::install::{CONFIG, GNT_HA};
pub(crate) use e2e::roles::serves;
use lab::{Host, Lab, Power};

/// The names of the master role's resource, by the tool that made it.
const MASTER: [&str; 2] = ["master", "gnt-ha-master"];

/// The files that show why a scenario failed.
const LOGS: [&str; 6] = [
    "/var/log/pacemaker/pacemaker.log",
    "/var/log/corosync/corosync.log",
    "/var/log/ganeti/master-daemon.log",
    "/var/log/ganeti/node-daemon.log",
    "/var/log/ganeti/luxi-daemon.log",
    "/var/log/ganeti/commands.log",
];

/// If this variable is set, the hosts' logs are also kept of scenarios that succeed.
const KEEP_LOGS: &str = "GNT_HA_LAB_KEEP_LOGS";

/// The most that a take-over may take: long enough for every connection to a dead node to reach its timeout.
const TAKE_OVER: Duration = Duration::from_secs(200);

/// The time of one monitor of every resource: an agent's wrong action has begun by then.
const MONITORED: Duration = Duration::from_secs(5);

/// The time by which an unwanted take-over would have happened: it needs 8 s.
const NOTHING: Duration = Duration::from_secs(12);

/// `gnt-node add --readd` for the node `$1`. After 40 s, shows what it waits for.
const READD: &str = r#"
gnt-node add --readd --no-ssh-key-check "$1" & pid=$!
waited=0
while kill -0 $pid 2>/dev/null; do
    sleep 0.2
    waited=$((waited + 1))
    [ $waited = 200 ] || continue
    echo "it still runs after 40 s"
    gnt-job list
    ps axww -o pid,ppid,etimes,stat,args
    ss -tnp
    tail -n 30 /var/log/ganeti/jobs.log /var/log/ganeti/wconf-daemon.log
done
wait $pid"#;

/// Ganeti's record of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Its role: `M` master, `C` candidate, `R` regular, `D` drained, `O` offline.
    pub(crate) role: String,
    pub(crate) offline: bool,
    pub(crate) drained: bool,
    /// The node has an OOB program, and its power is recorded as off.
    pub(crate) unpowered: bool,
}

/// A lab whose cluster has the roles.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(super) active: &'static str,
    /// The boot of each host, as the scenario knows it.
    pub(super) boots: BTreeMap<String, String>,
}

impl Scene {
    pub(crate) fn host(&self, name: &str) -> Host {
        self.lab.host(name).unwrap()
    }

    /// Returns all hosts but one.
    pub(crate) fn others(&self, name: &str) -> Vec<Host> {
        self.lab.hosts().into_iter().filter(|host| host.name() != name).collect()
    }

    /// Waits until a condition holds; the failure has the cluster's state.
    pub(crate) fn wait(&self, what: &str, seconds: u64, done: impl FnMut() -> lab::Result<bool>) -> Duration {
        self.lab.wait_until(what, Duration::from_secs(seconds), done).unwrap_or_else(|error| {
            let reconciliation = self.reconciliation();
            panic!(
                "{error}; {reconciliation}; serving {:?}, {:#?}, {:#?}",
                self.serving(),
                self.lab.crm_mon(),
                self.flags()
            )
        })
    }

    /// Returns what the masters' reconciler wants, what it has submitted, and what became of it, for a failure's text.
    fn reconciliation(&self) -> String {
        let shown = "gnt-ha reconcile --dry-run; cat /var/lib/gnt-ha/submitted-jobs.json; gnt-job list | tail -n 8";
        let of = |host: &Host| host.run(&["sh", "-c", shown]).map_or_else(|error| error.to_string(), |out| out.text());
        self.lab
            .hosts()
            .iter()
            .filter(|host| serves(host))
            .map(|host| format!("{}: {}", host.name(), of(host)))
            .collect()
    }

    /// Returns the host on which Pacemaker runs the role.
    pub(crate) fn holder(&self) -> Option<String> {
        let resources = self.lab.crm_mon().ok()?.resources;
        let held = |resource: &lab::Resource| MASTER.contains(&resource.id.as_str()) && resource.role == self.active;
        resources.into_iter().find(held)?.nodes.first().map(|name| short(name))
    }

    pub(crate) fn wait_role(&self, name: &str, seconds: u64) {
        self.wait(&format!("the role is on {name}"), seconds, || Ok(self.holder().as_deref() == Some(name)));
    }

    /// Returns the hosts whose luxid answers.
    pub(crate) fn serving(&self) -> Vec<String> {
        self.lab.hosts().iter().filter(|host| serves(host)).map(|host| host.name().to_owned()).collect()
    }

    /// Returns the master's record of each node; empty while no master answers.
    pub(crate) fn flags(&self) -> BTreeMap<String, Flags> {
        let words = ["gnt-node", "list", "--no-headers", "--separator=:", "-o", "name,role,offline,drained,powered"];
        let all = self.lab.hosts();
        let output = all.iter().filter(|host| serves(host)).find_map(|host| host.check(&words).ok());
        let flags = |line: &str| {
            let [name, role, offline, drained, powered] = line.split(':').collect::<Vec<_>>().try_into().ok()?;
            let flags = Flags {
                role: role.to_owned(),
                offline: offline == "Y",
                drained: drained == "Y",
                unpowered: powered == "N",
            };
            Some((short(name), flags))
        };
        output.map(|output| output.stdout.lines().filter_map(flags).collect()).unwrap_or_default()
    }

    fn flagged(&self, flag: impl Fn(&Flags) -> bool) -> Vec<String> {
        self.flags().into_iter().filter(|(_, flags)| flag(flags)).map(|(name, _)| name).collect()
    }

    /// Waits until exactly these nodes are recorded offline.
    pub(crate) fn wait_offline(&self, names: &[&str]) {
        let took = self.wait(&format!("Ganeti has {names:?} offline"), 90, || {
            Ok(!self.flags().is_empty() && self.flagged(|flags| flags.offline) == names)
        });
        println!("Ganeti has {names:?} offline, {:.1} s after it was asked for", took.as_secs_f64());
    }

    pub(crate) fn wait_fenced(&self, name: &str, seconds: u64) -> Duration {
        self.wait(&format!("{name} is fenced"), seconds, || Ok(self.times_fenced(name)? > 0))
    }

    pub(crate) fn times_fenced(&self, name: &str) -> lab::Result<usize> {
        let is_it = |event: &&lab::FenceEvent| short(&event.target) == name && event.status == "success";
        Ok(self.lab.fence_history()?.iter().filter(is_it).count())
    }

    /// Cuts the power of all these hosts at once, and waits until each was fenced once more than before.
    pub(crate) fn kill(&self, names: &[&str]) {
        let before: Vec<usize> = names.iter().map(|name| self.times_fenced(name).unwrap()).collect();
        let begun = Instant::now();
        names.iter().for_each(|name| self.host(name).power_off().unwrap());
        for (name, before) in names.iter().zip(before) {
            self.wait(&format!("{name} is fenced"), 60, || Ok(self.times_fenced(name)? > before));
            println!("{name} fenced {:.1} s after the kill", begun.elapsed().as_secs_f64());
        }
    }

    /// Waits until Pacemaker is idle, also after another monitor of each resource.
    pub(crate) fn settle(&self) {
        self.wait_idle();
        std::thread::sleep(MONITORED);
        self.wait_idle();
    }

    /// Waits as long as an unwanted action would take.
    pub(crate) fn nothing_happens(&self) {
        std::thread::sleep(NOTHING);
    }

    /// Whether the designated controller (DC) is idle.
    fn wait_idle(&self) {
        self.wait("Pacemaker has nothing to do", 90, || {
            let Some(dc) = self.lab.crm_mon()?.dc else { return Ok(false) };
            let asked = ["crmadmin", "--status", &dc];
            Ok(self
                .lab
                .hosts()
                .iter()
                .any(|host| host.run(&asked).is_ok_and(|output| output.text().contains("S_IDLE"))))
        });
    }

    /// Returns the boot of each host that has power, also if its services are still starting.
    pub(crate) fn boots_now(&self) -> BTreeMap<String, String> {
        let on = self.lab.hosts().into_iter().filter(|host| host.power_status() != Power::Off);
        on.map(|host| (host.name().to_owned(), host.read_file("/proc/1/stat").unwrap()))
            .map(|(name, stat)| (name, stat.split(' ').nth(21).unwrap().to_owned()))
            .collect()
    }

    /// Returns the hosts that have the master IP.
    pub(crate) fn with_master_ip(&self) -> Vec<String> {
        self.lab.hosts().iter().filter(|host| has_master_ip(host)).map(|host| host.name().to_owned()).collect()
    }

    /// Cuts the master's power, and waits until it is fenced and a new master serves, also by Pacemaker; returns its
    /// name.
    pub(crate) fn kill_the_master(&self, old: &str) -> String {
        let begun = Instant::now();
        self.kill(&[old]);
        let new = self.wait_new_master(old);
        println!("{new} serves, and Pacemaker knows, {:.1} s after the kill", begun.elapsed().as_secs_f64());
        new
    }

    /// Waits until another host serves, and Pacemaker has the role there.
    pub(crate) fn wait_new_master(&self, old: &str) -> String {
        let mut new = None;
        self.wait("a new master serves", TAKE_OVER.as_secs(), || {
            new = self.others(old).iter().find(|host| serves(host)).map(|host| host.name().to_owned());
            Ok(new.is_some())
        });
        let new = new.unwrap();
        self.wait_role(&new, 100);
        new
    }

    pub(crate) fn wait_back(&self, name: &str) {
        self.wait(&format!("{name} is back"), 120, || Ok(self.lab.crm_mon()?.is_online(name)));
    }

    /// Gives a host power, and waits until it is a member in Pacemaker and several monitors have run.
    pub(crate) fn bring_back(&self, name: &str) {
        self.host(name).power_on().unwrap();
        self.wait_back(name);
        self.settle();
    }

    /// Readds a node that was offline, as an administrator does.
    pub(crate) fn add_again(&self, name: &str, master: &str) {
        let node = format!("{name}.lab");
        // A fenced node is shunned by the others until it is readmitted.
        self.host(master).check(&[GNT_HA, "readmit", &node]).unwrap();
        self.readd(name, master);
        // Runs Ganeti's watcher, which cron runs otherwise.
        self.host(name).check(&["/usr/lib/ganeti/daemon-util", "start", "ganeti-confd"]).unwrap();
        self.wait_online(name);
    }

    /// Runs `gnt-node add --readd` for a node that is shunned no more.
    pub(crate) fn readd(&self, name: &str, master: &str) {
        let words = ["sh", "-c", READD, "sh", &format!("{name}.lab")];
        let output = self.host(master).run(&words).unwrap();
        assert!(output.success(), "{name}: {}", output.text());
    }

    pub(crate) fn wait_online(&self, name: &str) {
        self.wait(&format!("{name} is a node again"), 30, || {
            Ok(self.flags().get(name).is_some_and(|flags| !flags.offline && !flags.drained))
        });
    }

    /// Changes gnt-ha's configuration on every host.
    pub(crate) fn reconfigure(&self, change: impl Fn(&str) -> String) {
        for host in self.lab.hosts() {
            let text = change(&host.read_file(CONFIG).unwrap());
            host.write_file(CONFIG, text.as_bytes(), 0o644).unwrap();
        }
    }

    /// Sets or ends Pacemaker's standby of a host.
    pub(crate) fn standby(&self, name: &str, on: bool) {
        let (host, value) = (self.host(name), if on { "on" } else { "off" });
        let words = ["crm_attribute", "--node", host.uname(), "--name", "standby", "--update", value];
        self.lab.hosts().iter().find(|host| host.run(&words).is_ok_and(|output| output.success())).unwrap();
    }
}

/// Keeps the hosts' logs of a scenario that failed, and of any other if the variable asks for it.
impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() && std::env::var_os(KEEP_LOGS).is_none() {
            return;
        }
        let dir = std::env::temp_dir().join("gnt-ha-lab").join(self.lab.name());
        let _ = std::fs::create_dir_all(&dir);
        for (host, log) in self.lab.hosts().iter().flat_map(|host| LOGS.map(|log| (host.clone(), log))) {
            let name = log.rsplit('/').next().unwrap_or_default();
            if let Ok(text) = host.read_file(log) {
                let _ = std::fs::write(dir.join(format!("{}.{name}", host.name())), text);
            }
        }
        eprintln!("the hosts' logs are in {}", dir.display());
    }
}

/// Whether a host has the master IP on a device.
pub(crate) fn has_master_ip(host: &Host) -> bool {
    const MASTER_IP: &str = "192.0.2.100/";
    host.power_status() == Power::On
        && host.run(&["ip", "-o", "addr", "show"]).is_ok_and(|output| output.stdout.contains(MASTER_IP))
}

/// Returns the short name, such as `n1` of `n1.lab`.
pub(crate) fn short(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}
