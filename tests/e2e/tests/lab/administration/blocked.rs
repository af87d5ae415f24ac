//! The guards that block Ganeti's record of a fencing: each is reported, and lasts only as long as its reason.

use lab::Network;

use crate::administration::moves::{a_graceful_move, the_administrators_move};
use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

/// One lab for all scenarios that need a promotable clone and no particular time.
#[test]
fn a_clone_moves_follows_the_administrator_and_holds_back_what_is_not_proven() {
    let scene = Scene::up("held-back", 3, Roles::Promotable);
    let second = a_graceful_move(&scene, "n1");
    let master = the_administrators_move(&scene, &second);
    one_reason_after_the_other(&scene, &master);
}

/// A host dies in a pause, quorum is lost and returns, and the pause ends in maintenance mode. Only when that ends, the
/// host is recorded. Each reason is reported where the administrator reads.
fn one_reason_after_the_other(scene: &Scene, master: &str) {
    let host = scene.host(master);
    let [other, dead] = scene.others(master).try_into().unwrap();
    host.check(&["gnt-ha", "pause", "the network is being rebuilt"]).unwrap();
    dead.power_off().unwrap();
    scene.wait_fenced(dead.name(), 60);
    scene.wait_blocked(master, dead.name(), "paused by root: the network is being rebuilt (gnt-ha resume)");
    let held = End { master, fenced: &[dead.name()], ..End::default() };
    scene.settle();
    scene.assert_end(&held);

    other.cut(Network::Primary).unwrap();
    scene.wait("quorum is lost", 30, || Ok(!host.crm_mon()?.quorum));
    // Pacemaker then stops all resources, including those that would log the reason: the command still reports it.
    scene.wait_reported(master, dead.name(), "Pacemaker has no quorum here");
    scene.wait("who has no quorum runs nothing", 60, || Ok(scene.serving().is_empty()));
    scene.nothing_happens();
    assert_eq!((scene.serving(), scene.with_master_ip()), (vec![], vec![]), "no node has taken the role");
    scene.assert_only_fenced(held.fenced);
    other.heal(Network::Primary).unwrap();
    scene.wait("all are well", 120, || Ok(scene.is_well(master)));
    scene.settle();
    scene.assert_end(&held);

    scene.maintenance(true);
    host.check(&["gnt-ha", "resume"]).unwrap();
    scene.wait_reported(master, dead.name(), "Pacemaker is in maintenance mode");
    scene.settle();
    scene.assert_end(&held);
    scene.maintenance(false);
    scene.wait_offline(&[dead.name()]);
    scene.assert_end(&End { offline: &[dead.name()], ..held });
}

impl Scene {
    /// Waits until a node's record is blocked for this reason: in the command's output, and in Pacemaker's log.
    pub(crate) fn wait_blocked(&self, master: &str, node: &str, reason: &str) {
        self.wait_reported(master, node, reason);
        let host = self.host(master);
        self.wait(&format!("the log has: {node}: {reason}"), 60, || {
            Ok(is_blocked(&host.read_file("/var/log/pacemaker/pacemaker.log")?, node, reason))
        });
    }

    /// Waits until `gnt-ha reconcile` reports a node's record as blocked for this reason.
    fn wait_reported(&self, master: &str, node: &str, reason: &str) {
        let host = self.host(master);
        self.wait(&format!("the record of {node} is blocked: {reason}"), 60, || {
            Ok(is_blocked(&host.check(&["gnt-ha", "reconcile", "--dry-run"])?.stdout, node, reason))
        });
        println!("{node}: blocked: {reason}");
    }

    /// Sets Pacemaker's maintenance mode.
    fn maintenance(&self, on: bool) {
        let value = if on { "true" } else { "false" };
        self.anywhere(&["crm_attribute", "--name", "maintenance-mode", "--update", value]);
    }
}

/// Whether a line reports that the record of this node is blocked for this reason.
fn is_blocked(text: &str, node: &str, reason: &str) -> bool {
    let line = format!("blocked: {reason}");
    text.lines().any(|of_node| of_node.contains(&format!("{node}.lab")) && of_node.contains(&line))
}
