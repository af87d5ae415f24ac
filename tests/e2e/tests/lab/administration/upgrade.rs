//! An upgrade as `docs/howto/upgrade.md` describes it: an older gnt-ha becomes this one, then Debian 12 becomes Debian
//! 13, host by host. At each step one host dies: that host is fenced, recorded and readmitted, and no other is affected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::install::{GNT_HA, built_programs, install_hooks, install_on};
use lab::Host;

use crate::administration::graceful::STOP;
use crate::daemon_fails::full::shell;
use crate::support::cib::Roles;
use crate::support::cluster::Scene;

const OLDER_SYSTEM: &str = "debian-12-backports";
const NEWER_SYSTEM: &str = "debian-13";
const HOSTS: [&str; 3] = ["n1", "n2", "n3"];

/// Returns the directory of the older programs, which are built if they are missing.
fn older_programs() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../older");
    let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{}: {}", script.display(), output.status);
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// A cluster that is being upgraded.
struct Upgrade {
    scene: Scene,
    master: String,
}

impl Upgrade {
    /// Returns how often each host was fenced, by Pacemaker's fence history.
    fn fenced(&self) -> BTreeMap<&'static str, usize> {
        HOSTS.map(|name| (name, self.scene.times_fenced(name).unwrap())).into()
    }

    /// One host dies. It is fenced once and recorded, no other host is affected, and it is a node again.
    fn lose(&mut self, target: &str, step: &str) {
        self.lose_and_meanwhile(target, step, |_| {});
    }

    /// Does the same as [`Self::lose`]; calls `meanwhile` while the host has no power.
    fn lose_and_meanwhile(&mut self, target: &str, step: &str, meanwhile: impl FnOnce(&mut Scene)) {
        println!("{step}: {target} dies, {} is the master", self.master);
        let (before, mut boots) = (self.fenced(), self.scene.boots_now());
        if target == self.master {
            self.master = self.scene.kill_the_master(target);
        } else {
            self.scene.kill(&[target]);
        }
        self.scene.wait_offline(&[target]);
        meanwhile(&mut self.scene);
        let scene = &self.scene;
        scene.bring_back(target);
        scene.add_again(target, &self.master);
        scene.settle();
        let expected = before.into_iter().map(|(name, count)| (name, count + usize::from(name == target))).collect();
        assert_eq!(self.fenced(), expected, "{step}: {:#?}", scene.lab.fence_history());
        let mut now = scene.boots_now();
        assert_ne!(now.remove(target), boots.remove(target), "{target} was not booted");
        assert_eq!(now, boots, "{step}: another host than {target} was booted");
        assert_eq!(scene.serving(), [self.master.as_str()], "{step}");
        assert_eq!(scene.with_master_ip(), [self.master.as_str()], "{step}");
        scene.assert_no_node_banned();
    }

    /// A host that is not the master leaves gracefully and boots the newer system. It is a candidate again, and no node
    /// is fenced.
    fn change_system(&mut self, name: &str) {
        println!("{name} becomes {NEWER_SYSTEM}, {} is the master", self.master);
        let (host, before) = (self.scene.host(name), self.fenced());
        drop(shell(&host, STOP));
        host.power_off().unwrap();
        self.scene.lab.change_system(&host, NEWER_SYSTEM, &|line| println!("{line}")).unwrap();
        self.scene.bring_back(name);
        self.scene.wait(&format!("{name} is a candidate again"), 120, || {
            let flags = self.scene.flags();
            Ok(flags.get(name).is_some_and(|flags| flags.role == "C" && !flags.drained && !flags.offline))
        });
        assert_eq!(self.fenced(), before, "{name} left gracefully: {:#?}", self.scene.lab.fence_history());
        assert_eq!(self.scene.serving(), [self.master.as_str()]);
    }

    /// Does the same as [`Self::change_system`], and `target` dies while the host is away: no node is fenced without quorum, and
    /// the master role stops. When the host is back, `target` is fenced and recorded.
    fn change_system_and_lose(&mut self, name: &str, target: &str) {
        println!("{name} becomes {NEWER_SYSTEM}, and {target} dies meanwhile, {} is the master", self.master);
        let (host, before) = (self.scene.host(name), self.fenced());
        drop(shell(&host, STOP));
        host.power_off().unwrap();
        self.scene.host(target).power_off().unwrap();
        self.scene.wait("no host serves without quorum", 90, || Ok(self.scene.serving().is_empty()));
        self.scene.nothing_happens();
        self.scene.lab.change_system(&host, NEWER_SYSTEM, &|line| println!("{line}")).unwrap();
        assert_eq!(self.fenced(), before, "{:#?}", self.scene.lab.fence_history());
        self.scene.bring_back(name);
        self.scene.wait_offline(&[target]);
        self.scene.wait("one host serves", 120, || Ok(self.scene.serving().len() == 1));
        self.master = self.scene.serving().remove(0);
        self.scene.bring_back(target);
        self.scene.add_again(target, &self.master);
        self.scene.settle();
        let expected = before.into_iter().map(|(host, count)| (host, count + usize::from(host == target))).collect();
        assert_eq!(self.fenced(), expected, "{:#?}", self.scene.lab.fence_history());
        self.scene.wait(&format!("{name} is a candidate again"), 120, || {
            let flags = self.scene.flags();
            Ok(flags.get(name).is_some_and(|flags| !flags.drained && !flags.offline))
        });
        assert_eq!(self.scene.serving(), [self.master.as_str()]);
        assert_eq!(self.scene.with_master_ip(), [self.master.as_str()]);
        self.scene.assert_no_node_banned();
    }

    fn on_master(&self) -> Host {
        self.scene.host(&self.master)
    }

    fn wait_green(&self) {
        let master = self.on_master();
        self.scene.wait("check is green", 90, || Ok(master.run(&[GNT_HA, "check"])?.success()));
    }

    /// Returns the host that is neither this one nor the master.
    fn third(&self, name: &str) -> &'static str {
        HOSTS.into_iter().find(|host| *host != name && *host != self.master).unwrap()
    }
}

#[test]
#[ignore = "make soak runs it: it takes a quarter of an hour, and builds the programs of an older commit"]
fn a_host_that_dies_at_any_step_of_an_upgrade_is_fenced_alone() {
    let newer = built_programs().unwrap();
    let lab = Scene::older("upgrade", OLDER_SYSTEM, &older_programs());
    let host = lab.host("n1").unwrap();
    let applied = host.run(&[GNT_HA, "setup", "--apply"]).unwrap();
    assert!(applied.success(), "{}", applied.text());
    // A fenced host stays off until the scenario gives it power.
    host.check(&["crm_attribute", "--name", "stonith-action", "--update", "off"]).unwrap();
    let mut upgrade = Upgrade { scene: Scene::with_lab(lab, Roles::Promotable), master: "n1".to_owned() };
    upgrade.wait_green();

    // First gnt-ha, the master's host last: a host with the older one dies, a host with the newer one, then the master.
    for (name, target) in [("n3", "n2"), ("n2", "n3")] {
        install_on(&upgrade.scene.host(name), &newer).unwrap();
        upgrade.lose(target, &format!("{name} has the newer gnt-ha"));
    }
    upgrade.lose("n1", "only the master has the older gnt-ha");
    install_on(&upgrade.scene.host("n1"), &newer).unwrap();
    install_hooks(&upgrade.scene.lab).unwrap();
    let applied = upgrade.on_master().run(&[GNT_HA, "setup", "--apply"]).unwrap();
    println!("{}", applied.text());
    assert!(applied.success(), "{}", applied.text());
    upgrade.wait_green();
    upgrade.lose("n1", "all have the newer gnt-ha");

    // Then the system, the master's host last.
    upgrade.change_system("n1");
    upgrade.lose("n1", "only n1 has the newer system");
    let second = upgrade.third("n1");
    upgrade.lose(second, "only n1 has the newer system");
    upgrade.change_system_and_lose(second, "n1");
    // With the last host of the older Pacemaker dead, the cluster accepts that version no more.
    let last = upgrade.master.clone();
    upgrade.lose_and_meanwhile(&last, "only the master has the older system", |scene| {
        let host = scene.host(&last);
        scene.lab.change_system(&host, NEWER_SYSTEM, &|line| println!("{line}")).unwrap();
    });
    let master = upgrade.master.clone();
    upgrade.lose(&master, "all have the newer system");
    let is_so = upgrade.on_master().run(&[GNT_HA, "setup"]).unwrap();
    assert!(is_so.success(), "{}", is_so.text());
    upgrade.wait_green();
}
