//! `docs/tutorial.md`, and what comes after it: the pages of `docs/howto`.

use crate::cib::Roles;
use crate::page::follow;
use crate::scene::Scene;

/// Issue: "Every command shown in them is run by a test in the lab, and its output compared."
#[test]
fn the_tutorial_does_what_it_says() {
    let lab = Scene::bare("tutorial", 3);
    let host = lab.host("n1").unwrap();
    follow(include_str!("../../../docs/tutorial.md"), &lab, &host);

    // The next time it is lost for good.
    let scene = Scene::with_lab(lab, Roles::Promotable);
    let stays_off = ["crm_attribute", "--type", "crm_config", "--name", "stonith-action", "--update", "off"];
    host.check(&stays_off).unwrap();
    scene.kill(&["n3"]);
    scene.wait_offline(&["n3"]);
    scene.bring_back("n3");
    follow(include_str!("../../../docs/howto/replace-a-host.md"), &scene.lab, &host);
    scene.host("n3").check(&["/usr/lib/ganeti/daemon-util", "start", "ganeti-confd"]).unwrap();
    scene.wait("n3 is a node again", 30, || Ok(scene.flags().get("n3").is_some_and(|flags| !flags.offline)));
    scene.assert_only_fenced(&["n3"]);
}
