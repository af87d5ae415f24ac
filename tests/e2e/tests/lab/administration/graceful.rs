//! A host leaves gracefully: no node is fenced, the host is drained in Ganeti, and un-drained when it returns.

use std::time::Instant;

use lab::Host;

use crate::daemon_fails::full::shell;
use crate::support::cluster::Scene;
use crate::support::end::End;

/// The commands of the lab at a boot.
const START: &str = "corosync && until corosync-cfgtool -s >/dev/null 2>&1; do sleep 0.2; done && \
    PCMK_logfile=/var/log/pacemaker/pacemaker.log setsid --fork pacemakerd";

/// The effect of `systemctl stop corosync`: stops Pacemaker first. A second process of the name may be gone before its signal:
/// only that none is left counts.
pub(crate) const STOP: &str = "kill $(pidof pacemakerd); while pidof pacemakerd >/dev/null; do sleep 0.2; done && \
    kill $(pidof corosync); while pidof corosync >/dev/null; do sleep 0.2; done";

/// The wait in s until the start-up grace is over, in which a master drains no node after its cluster stack has
/// started; here it is 60 s.
const GRACE: u64 = 65;

/// A method to leave the cluster, and the method to return.
#[derive(Clone, Copy, Debug)]
enum Departure {
    Standby,
    CleanStop,
}

impl Departure {
    fn leave(self, scene: &Scene, name: &str) {
        match self {
            Self::Standby => scene.standby(name, true),
            Self::CleanStop => drop(shell(&scene.host(name), STOP)),
        }
    }

    fn come_back(self, scene: &Scene, name: &str) {
        match self {
            Self::Standby => scene.standby(name, false),
            Self::CleanStop => drop(shell(&scene.host(name), START)),
        }
    }
}

/// Standby and a clean stop of the cluster stack, of another node and of the master.
pub(crate) fn each_way(scene: &Scene) {
    println!("the cluster stack has run for {} s", stack_age(&scene.host(&scene.holder().unwrap())));
    // The master first: a host whose stack was stopped here has a start-up grace of its own, if it becomes the master.
    for departure in [Departure::Standby, Departure::CleanStop] {
        the_master_leaves(scene, departure);
        another_leaves(scene, departure);
    }
}

/// For a node that is not the master: the role stays where it is.
fn another_leaves(scene: &Scene, departure: Departure) {
    let master = scene.holder().unwrap();
    let other = scene.others(&master)[0].name().to_owned();
    past_the_grace(scene, &master);
    departure.leave(scene, &other);
    wait_drained(scene, &[&other], departure);
    scene.assert_end(&End { master: &master, drained: &[&other], ..End::default() });
    returned(scene, departure, &other, &master);
}

/// For the master: another node takes the role, and drains the old master.
fn the_master_leaves(scene: &Scene, departure: Departure) {
    let old = scene.holder().unwrap();
    let begun = Instant::now();
    departure.leave(scene, &old);
    let new = scene.wait_new_master(&old);
    println!("{departure:?} of the master: {new} serves after {:.1} s", begun.elapsed().as_secs_f64());
    past_the_grace(scene, &new);
    wait_drained(scene, &[&old], departure);
    scene.assert_end(&End { master: &new, drained: &[&old], ..End::default() });
    returned(scene, departure, &old, &new);
}

/// The node is back in its earlier state: a candidate, not drained. The role stays where it is.
fn returned(scene: &Scene, departure: Departure, name: &str, master: &str) {
    departure.come_back(scene, name);
    wait_drained(scene, &[], departure);
    scene.wait("all are well", 60, || Ok(scene.is_well(master)));
    scene.assert_end(&End { master, ..End::default() });
    assert_eq!(scene.flags()[name].role, "C", "it is a candidate again");
    assert_eq!(scene.failures(), Vec::<String>::new(), "{name} can take the role again");
}

fn wait_drained(scene: &Scene, names: &[&str], departure: Departure) {
    let took = scene.wait(&format!("Ganeti has {names:?} drained"), 60, || {
        let flags = scene.flags();
        let drained = flags.iter().filter(|(_, flags)| flags.drained).map(|(name, _)| name.as_str());
        Ok(!flags.is_empty() && drained.eq(names.iter().copied()))
    });
    println!("{departure:?}: Ganeti has {names:?} drained, {:.1} s after it was asked for", took.as_secs_f64());
}

/// Waits until the start-up grace of this host's cluster stack is over.
fn past_the_grace(scene: &Scene, master: &str) {
    let host = scene.host(master);
    scene.wait("the start-up grace is over", GRACE, || Ok(stack_age(&host) > GRACE));
}

/// Returns the time in s for which the host's Pacemaker has run.
fn stack_age(host: &Host) -> u64 {
    shell(host, "ps -o etimes= -p $(pidof pacemakerd)").stdout.trim().parse().unwrap()
}
