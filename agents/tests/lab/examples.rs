//! The CIB of those who run Ganeti's example agents, unchanged, with ours in their place.

use crate::scene::{End, Scene};

/// DESIGN 8: with the examples the new master is fenced too, and the old one is never recorded offline. The fencing is by
/// another device than ours, with no receipt, and the fenced host boots again at once.
#[test]
fn the_examples_cib_works_with_our_agents() {
    let scene = Scene::with_examples("examples");
    let new = scene.kill_the_master("n1");
    scene.wait_offline(&["n1"]);
    let end = End { master: &new, fenced: &["n1"], offline: &["n1"], ..End::default() };
    scene.assert_end(&end);
    scene.wait_back("n1");
    scene.settle();
    scene.assert_end(&end);
}
