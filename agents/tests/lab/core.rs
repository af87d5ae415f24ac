//! The core of it all, on hosts of the other release, where Pacemaker's names are not Ganeti's: each form of `setup`, and each
//! kind of death after the other, in one lab.

use lab::Host;
use real_parts::protect::GNT_HA;

use crate::cib::Roles;
use crate::cut::the_master_is_cut_off;
use crate::death::another_dies_and_is_added_again;
use crate::full::shell;
use crate::scene::{End, Scene};

/// What is printed for crmsh, typed; the lines that are not crmsh's are comments there.
const TYPED: &str = "set -e; gnt-ha setup --format crm >/root/setup.crm || [ $? = 1 ]; \
    sed -n 's/^# \\(gnt-cluster .*\\)/\\1/p' /root/setup.crm | sh; crm configure </root/setup.crm; \
    sed -n 's/^# \\(crm_attribute .*\\)/\\1/p' /root/setup.crm | sh";

fn gnt_ha(host: &Host, words: &[&str]) -> lab::Output {
    let said = host.run(&[&[GNT_HA], words].concat()).unwrap();
    println!("gnt-ha {}: {}", words.join(" "), said.text());
    said
}

/// As `setup` itself makes it; taken away; and typed.
fn set_up_by_each_form(scene: &Scene, host: &Host) {
    let maintenance = ["crm_attribute", "--type", "crm_config", "--name", "maintenance-mode"];
    host.check(&[&maintenance[..], &["--update", "true"]].concat()).unwrap();
    assert!(gnt_ha(host, &["setup", "--remove", "--apply"]).success());
    host.check(&["crm_resource", "--refresh"]).unwrap();
    scene.wait("Pacemaker has forgotten them", 60, || Ok(scene.lab.crm_mon()?.resources.is_empty()));
    host.check(&[&maintenance[..], &["--delete"]].concat()).unwrap();
    println!("{}", shell(host, TYPED).text());
    assert!(gnt_ha(host, &["setup"]).success(), "what was typed is what is wanted");
    scene.wait_role("n1", 60);
}

#[test]
fn on_the_other_release_with_short_names_a_cluster_survives_each_death() {
    let lab = Scene::elsewhere("core", 3);
    let host = lab.host("n1").unwrap();
    assert!(gnt_ha(&host, &["setup", "--apply"]).success());
    let scene = Scene::with_lab(lab, Roles::Promotable);
    set_up_by_each_form(&scene, &host);
    // A fenced host stays off until it is given power.
    host.check(&["crm_attribute", "--name", "stonith-action", "--update", "off"]).unwrap();
    scene.wait("check is green", 60, || Ok(host.run(&[GNT_HA, "check"])?.success()));
    scene.wait("nothing is in the way", 60, || Ok(host.run(&[GNT_HA, "rehearse", "n1"])?.success()));

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
