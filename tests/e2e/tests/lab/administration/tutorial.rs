//! Runs `docs/tutorial.md`, and then pages of `docs/howto`.

use e2e::install::{CONFIG, Proof, built_programs, configuration, install};
use gnt_ha::core::shun::lease_times::LeaseTimes;
use lab::{Host, Lab};

use crate::host_fails::storm::wait_armed;
use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::doc_page::follow;
use crate::support::start::WATCHDOG_MS;

const PDU_PAGE: &str = include_str!("../../../../../docs/howto/pdu-beside-bmc.md");
const NO_BMC_PAGE: &str = include_str!("../../../../../docs/howto/no-bmc.md");

/// An address on which no host answers.
const NOWHERE: &str = "203.0.113.99";

const TERMS: LeaseTimes = LeaseTimes { lease_ms: 3_000, watchdog_ms: WATCHDOG_MS, drift_ppm: 10_000, stop_ms: 1_000 };

/// A test in the lab runs every command that the pages show, and compares the output.
#[test]
fn the_tutorial_and_what_comes_after_it_do_what_they_say() {
    let lab = Scene::bare("tutorial", 3);
    let host = lab.host("n1").unwrap();
    follow(include_str!("../../../../../docs/tutorial.md"), &lab, &host);

    // The next time the host is lost permanently: it stays off, and its BMC does not answer.
    let scene = Scene::with_lab(lab, Roles::Promotable);
    let action = ["crm_attribute", "--type", "crm_config", "--name", "stonith-action"];
    host.check(&[&action[..], &["--update", "off"]].concat()).unwrap();
    n3_is_switched_off_by_its_pdus(&scene, &host);
    scene.bring_back("n3");
    configure(&scene.lab, &configuration(&scene.lab));
    follow(include_str!("../../../../../docs/howto/replace-a-host.md"), &scene.lab, &host);
    n3_is_a_node_again(&scene);

    host.check(&[&action[..], &["--delete"]].concat()).unwrap();
    n3_is_armed_and_lost(&scene, &host);
    n3_is_a_node_again(&scene);
    scene.assert_only_fenced(&["n3"]);
}

fn n3_is_a_node_again(scene: &Scene) {
    scene.host("n3").check(&["/usr/lib/ganeti/daemon-util", "start", "ganeti-confd"]).unwrap();
    scene.wait("n3 is a node again", 30, || Ok(scene.flags().get("n3").is_some_and(|flags| !flags.offline)));
}

/// The page in two parts: `follow` cannot type the actions on other hosts between them.
fn parts(page: &'static str, second: &str) -> (&'static str, &'static str) {
    let at = page.find(second).unwrap_or_else(|| panic!("no {second:?}"));
    page.split_at(at)
}

/// A BMC also represents each outlet, by a real fence agent.
fn with_pdus(lab: &Lab, silent: Option<&str>) -> String {
    let devices: String = ["pdu-a", "pdu-b"]
        .map(|name| {
            format!(
                "[devices.{name}]\ndriver = \"agent\"\nagent = \"fence_ipmilan\"\npassword_file = \"/etc/gnt-ha/bmc.password\"\n\
                 options = {{ ip = \"203.0.113.{{outlet}}\", username = \"{}\", lanplus = \"1\", cipher = \"3\" }}\n\n",
                lab::USER
            )
        })
        .concat();
    let levels = "[default]\nlevels = [[\"bmc\"], [\"pdu-a\", \"pdu-b\"]]\n";
    let mut text = configuration(lab).replace("[default]\nlevels = [[\"bmc\"]]\n", &(devices + levels));
    for host in lab.hosts() {
        let outlet = host.name().trim_start_matches('n');
        let bmc = if silent == Some(host.name()) { NOWHERE.to_owned() } else { host.bmc_address() };
        let values = format!("values = {{ bmc = \"{}\" }}", host.bmc_address());
        text = text.replace(&values, &format!("values = {{ bmc = \"{bmc}\", outlet = \"{outlet}\" }}"));
    }
    text
}

fn configure(lab: &Lab, text: &str) {
    lab.hosts().iter().for_each(|host| host.write_file(CONFIG, text.as_bytes(), 0o644).unwrap());
}

fn n3_is_switched_off_by_its_pdus(scene: &Scene, host: &Host) {
    configure(&scene.lab, &with_pdus(&scene.lab, None));
    let (healthy, silent) = parts(PDU_PAGE, "Whether the outlets are those of the host");
    follow(healthy, &scene.lab, host);
    configure(&scene.lab, &with_pdus(&scene.lab, Some("n3")));
    follow(silent, &scene.lab, host);
    scene.wait("Pacemaker has seen that it is off", 60, || {
        Ok(scene.lab.crm_mon()?.node("n3.lab").is_some_and(|node| !node.online && !node.unclean))
    });
    scene.wait_offline(&["n3"]);
}

/// From now on no program asks a BMC.
fn n3_is_armed_and_lost(scene: &Scene, host: &Host) {
    let programs = built_programs().unwrap();
    let shun = Proof { shun: true, ..Proof::default() };
    install(&scene.lab, &programs, &shun).unwrap();
    let (shunning, armed) = parts(NO_BMC_PAGE, "## 2. Self-fencing");
    follow(shunning, &scene.lab, host);
    install(&scene.lab, &programs, &Proof { self_fence: Some(TERMS), ..shun }).unwrap();
    wait_armed(scene);
    let (lost, back) = parts(armed, "## 4. Readmit the host");
    follow(lost, &scene.lab, host);
    // A real watchdog resets the host; the lab's cuts its power.
    scene.host("n3").power_on().unwrap();
    follow(back, &scene.lab, host);
    scene.wait_back("n3");
}
