//! The role moves while its host runs: no node is fenced. Each move has the same result, in whichever form Pacemaker
//! runs the role.

use std::time::{Duration, Instant};

use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

/// Sets the master to standby: with the examples each such move ends in a fencing. Returns the node that serves then.
pub(crate) fn a_graceful_move(scene: &Scene, from: &str) -> String {
    let begun = Instant::now();
    scene.standby(from, true);
    scene.wait("moved", 120, || Ok(scene.holder().is_some_and(|name| name != from) && scene.serving().len() == 1));
    let to = scene.holder().unwrap();
    println!("standby of the master: {to} serves after {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(scene.serving(), [to.as_str()]);
    scene.assert_only_fenced(&[]);
    scene.standby(from, false);
    scene.wait("all are well", 60, || Ok(scene.is_well(&to)));
    to
}

/// Pacemaker follows `gnt-cluster master-failover`, and does not move the role back. Returns the node that is master
/// then.
pub(crate) fn the_administrators_move(scene: &Scene, from: &str) -> String {
    let to = scene.others(from).swap_remove(0);
    let begun = Instant::now();
    let moved = to.run_within(&["gnt-cluster", "master-failover"], Duration::from_secs(120)).unwrap();
    println!("gnt-cluster master-failover on {}: {} {}", to.name(), moved.code, moved.text());
    scene.wait_role(to.name(), 60);
    scene.wait("all are well", 60, || Ok(scene.is_well(to.name())));
    println!("Pacemaker follows after {:.1} s", begun.elapsed().as_secs_f64());
    scene.settle();
    scene.assert_end(&End { master: to.name(), ..End::default() });
    to.name().to_owned()
}

/// Standby, and then the administrator's own `gnt-cluster master-failover`, which Pacemaker follows.
#[test]
fn a_primitive_moves_gracefully_and_by_the_administrators_hand() {
    let scene = Scene::up("move-one", 3, Roles::Primitive);
    let second = a_graceful_move(&scene, "n1");
    let wanted = scene.others("n1").into_iter().find(|host| *host.name() != *second).unwrap();
    scene.settle();
    let moved = wanted.run_within(&["gnt-cluster", "master-failover"], Duration::from_secs(120)).unwrap();
    println!("gnt-cluster master-failover on {}: {} {}", wanted.name(), moved.code, moved.text());
    scene.wait_role(wanted.name(), 60);
    scene.settle();
    scene.assert_end(&End { master: wanted.name(), ..End::default() });
}
