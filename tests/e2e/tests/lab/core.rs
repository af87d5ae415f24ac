//! The main scenarios, on hosts of the other release, where Pacemaker's names are not Ganeti's: each form of `setup`,
//! and each kind of failure after the other, in one lab.

use e2e::install::GNT_HA;

use crate::administration::commands::gnt_ha;
use crate::administration::forms;
use crate::host_fails::cut::the_master_is_cut_off;
use crate::host_fails::death::another_dies_and_is_added_again;
use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

#[test]
fn on_the_other_release_with_short_names_a_cluster_survives_each_death() {
    let lab = Scene::elsewhere("core", 3);
    let host = lab.host("n1").unwrap();
    assert!(gnt_ha(&host, &["setup", "--apply"]).success());
    let scene = Scene::with_lab(lab, Roles::Promotable);
    forms::each_is_so(&scene, &host, Roles::Promotable);
    // A fenced host stays off until the scenario gives it power.
    host.check(&["crm_attribute", "--name", "stonith-action", "--update", "off"]).unwrap();
    scene.wait("check is green", 60, || Ok(host.run(&[GNT_HA, "check"])?.success()));
    scene.wait("no step is blocked", 60, || Ok(host.run(&[GNT_HA, "rehearse", "n1"])?.success()));

    another_dies_and_is_added_again(&scene, "n3", "n1", &["n3"]);
    let second = the_master_is_cut_off(&scene, &["n1", "n3"]);
    scene.add_again("n1", &second);
    let third = scene.kill_the_master(&second);
    scene.wait_offline(&[&second]);
    let mut fenced = vec!["n1", "n3", &second];
    fenced.sort_unstable();
    fenced.dedup();
    scene.settle();
    scene.assert_end(&End { master: &third, fenced: &fenced, offline: &[&second], ..End::default() });
}
