//! A host loses its power.

use crate::cib::Roles;
use crate::scene::{End, Scene};

fn show_monitor(scene: &Scene, name: &str) {
    let words = ["bash", "-c", "time /usr/lib/ocf/resource.d/ganeti/ganeti-master-role monitor; echo rc $?"];
    println!("{name}: monitor: {}", scene.host(name).run(&words).unwrap().text().replace('\n', " "));
}

/// The master dies; it is fenced and recorded, another serves. It comes back with the files of then: it is found not
/// running, stays offline, and nobody is harmed.
fn the_master_dies_and_returns(scene: &Scene) -> String {
    let new = scene.kill_the_master("n1");
    scene.wait_offline(&["n1"]);
    let end = End { master: &new, fenced: &["n1"], offline: &["n1"], ..End::default() };
    scene.assert_end(&end);
    scene.bring_back("n1");
    scene.assert_end(&end);
    new
}

/// Issue: "the master's host dies, exactly that host is fenced, another candidate is the serving master". Ganeti's
/// example agents fence the new master too.
#[test]
fn the_masters_host_dies_and_a_primitive_moves() {
    let scene = Scene::up("death-one", 3, Roles::Primitive);
    let new = the_master_dies_and_returns(&scene);
    show_monitor(&scene, "n1");
    show_monitor(&scene, &new);
}

/// The same as a promotable clone on all nodes.
#[test]
fn the_masters_host_dies_and_a_clone_is_promoted() {
    let scene = Scene::up("death-clone", 3, Roles::Promotable);
    the_master_dies_and_returns(&scene);
}

/// Ganeti issue 1212: with two nodes no vote can be won. The fencing is the proof.
#[test]
fn of_two_nodes_the_survivor_serves() {
    let scene = Scene::up("death-two", 2, Roles::Primitive);
    assert_eq!(the_master_dies_and_returns(&scene), "n2");
}
