//! The survivors' disks cannot be written: a host that dies is still fenced, shunned and recorded, and what is not
//! durable is reported.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::install::{GNT_HA, OOB_PROGRAM};
use e2e::receipts;
use gnt_ha::core::grade::Grade;
use lab::{Host, Network};

use crate::daemon_fails::full::shell;
use crate::host_fails::shunned::{entry, reached_as_ganeti, shuns};
use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

/// A shell line that puts the state directory with its content on a file system of its own. The agents may make and
/// write the directory at the same time: what they write while it is copied is in the new one.
const OWN: &str = "set -e; mkdir -p -m 700 /var/lib/gnt-ha /run/held; mount --bind /var/lib/gnt-ha /run/held; \
                   mount -t tmpfs -o size=512k,mode=700 tmpfs /var/lib/gnt-ha; cp -a /run/held/. /var/lib/gnt-ha; umount /run/held; ";
const FULL: &str = "dd if=/dev/zero of=/var/lib/gnt-ha/filler bs=4k 2>/dev/null || :";
const ROOM: &str = "rm /var/lib/gnt-ha/filler";
const READ_ONLY: &str = "mount -o remount,ro /var/lib/gnt-ha";
const READ_WRITE: &str = "mount -o remount,rw /var/lib/gnt-ha";

const STATE: &str = "/var/lib/gnt-ha";

/// The directory that keeps data until the next boot, while the disk cannot be written.
const IN_MEMORY: &str = "/run/gnt-ha/until-boot/var-lib-gnt-ha";

/// A host that returned at once would be seen running before its failure is recorded, which is another case.
const BACK: Duration = Duration::from_secs(15);

/// A full or read-only disk of all survivors prevents no step after a failure. Before, the old master was back 15 s
/// after its failure, and the new one did not shun it and never recorded it.
#[test]
fn survivors_with_full_or_read_only_disks_fence_shun_and_record() {
    let scene = Scene::up("disk", 3, Roles::Primitive);
    for host in scene.others("n1") {
        shell(&host, &format!("{OWN}{FULL}"));
    }
    let second = the_master_dies(&scene, "n1", "No space left", &["n1"]);
    there_is_room(&scene, "n1", ROOM);
    scene.add_again("n1", &second);
    the_receipts_come_to_the_disk(&scene, "n1");
    scene.assert_end(&End { master: &second, fenced: &["n1"], ..End::default() });

    shell(&scene.host("n1"), OWN);
    for host in scene.others(&second) {
        shell(&host, READ_ONLY);
    }
    let mut fenced = ["n1", second.as_str()];
    fenced.sort_unstable();
    the_master_dies(&scene, &second, "Read-only", &fenced);
    there_is_room(&scene, &second, READ_WRITE);
}

fn the_master_dies(scene: &Scene, old: &str, why: &str, fenced: &[&str]) -> String {
    let survivors = scene.others(old);
    for host in &survivors {
        let written = host.run(&["sh", "-c", "cp /etc/hosts /var/lib/gnt-ha/probe"]).unwrap();
        assert!(!written.success() && written.text().contains(why), "{}: {}", host.name(), written.text());
    }
    let known: BTreeSet<String> = receipts::on_all(&scene.lab).into_iter().map(|action| action.intent.id).collect();
    let died = Instant::now();
    let new = scene.kill_the_master(old);
    scene.wait_offline(&[old]);
    sleep(BACK.saturating_sub(died.elapsed()));
    scene.host(old).power_on().unwrap();
    scene.wait_back(old);
    scene.settle();
    scene.assert_end(&End { master: &new, fenced, offline: &[old], ..End::default() });

    for host in &survivors {
        is_shunned(host, &scene.host(old));
    }
    let mut actions = receipts::on_all(&scene.lab);
    actions.retain(|action| !known.contains(&action.intent.id));
    let [action] = &actions[..] else { panic!("{actions:#?}") };
    let receipt = action.receipt.as_ref().unwrap();
    assert_eq!((action.intent.node.short(), receipt.grade), (old, Grade::Off), "{receipt:?}");
    let is_in = |dir: &str| holders(&survivors, dir, &action.intent.id);
    assert_eq!((is_in(IN_MEMORY).len(), is_in(STATE).len()), (1, 0), "{receipt:?}");
    is_reported(scene, &new, why, &format!("{action:?}"));
    new
}

/// Returns the hosts that have an entry of this id in the receipts of this directory.
fn holders<'a>(hosts: &'a [Host], dir: &str, id: &str) -> Vec<&'a Host> {
    let has = |host: &&Host| host.run(&["grep", "--quiet", id, &format!("{dir}/receipts.jsonl")]).unwrap().success();
    hosts.iter().filter(has).collect()
}

/// The kernel drops packets from and to the node; Ganeti's daemons and SSH reach neither side.
fn is_shunned(host: &Host, old: &Host) {
    assert!(shuns(host, old.name()), "{}", host.name());
    let rules = host.check(&["nft", "list", "table", "inet", "gnt-ha-shunned"]).unwrap().stdout;
    for address in [old.address(Network::Primary), old.address(Network::Secondary)] {
        assert!(rules.contains(&address), "{}: {address} in {rules}", host.name());
    }
    for (from, to) in [(host, old), (old, host)] {
        let mut reached = reached_as_ganeti(from, to);
        // The node was shunned for TCP only: no process from before the power-off can be left.
        reached.remove("confd");
        assert!(reached.is_empty(), "{} reaches {reached:?} of {}", from.name(), to.name());
    }
}

/// Data that is not durable is reported in the receipt of the fencing and by each sync.
fn is_reported(scene: &Scene, master: &str, why: &str, action: &str) {
    let output = scene.host(master).check(&[GNT_HA, "shun", "sync"]).unwrap().text();
    println!("{output}\n{action}");
    for host in scene.lab.hosts() {
        let names_it = |line: &str| {
            line.contains(&host.fqdn()) && line.contains("kept until its next boot only") && line.contains(why)
        };
        let survives = host.run(&["test", "-e", IN_MEMORY]).unwrap().success();
        assert_eq!(output.lines().any(names_it), survives, "{}: {output}", host.name());
    }
    assert!(action.contains("until its next boot only") && action.contains(why), "{action}");
}

/// Data that was kept in memory is written to the disk, and the rules stay.
fn there_is_room(scene: &Scene, old: &str, make: &str) {
    for host in scene.others(old) {
        shell(&host, make);
    }
    let master = scene.holder().unwrap();
    let output = scene.host(&master).check(&[GNT_HA, "shun", "sync"]).unwrap().text();
    assert!(!output.contains("kept until its next boot only"), "{output}");
    for host in scene.others(old) {
        assert_eq!(entry(&host, old)["grade"], "off", "{}", host.name());
        assert!(
            !host.run(&["test", "-e", &format!("{IN_MEMORY}/shun-list.json")]).unwrap().success(),
            "{}",
            host.name()
        );
        assert!(shuns(&host, old), "{}", host.name());
    }
}

/// The next write that succeeds brings the receipts to the disk.
fn the_receipts_come_to_the_disk(scene: &Scene, old: &str) {
    let survivors = scene.others(old);
    let id =
        receipts::on_all(&scene.lab).into_iter().find(|action| action.intent.node.short() == old).unwrap().intent.id;
    let by = holders(&survivors, IN_MEMORY, &id);
    by[0].check(&[OOB_PROGRAM, "power-on", &scene.host(old).fqdn()]).unwrap();
    assert_eq!(holders(&survivors, STATE, &id).len(), 1);
    assert_eq!(holders(&survivors, IN_MEMORY, &id).len(), 0);
}
