//! Driver `shun`, as far as it needs neither the kernel's rules nor other nodes: what is remembered decides, and what cannot
//! be known is no answer.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

mod common;

use common::{NODE, Site};
use serde_json::{Value, json};

const SHUN: &str = "[default]\nlevels = [[\"fabric\"]]\n[devices.fabric]\ndriver = \"shun\"\n";

fn entry(epoch: u64, grade: &str, reach: &str) -> Value {
    json!({NODE: {"epoch": epoch, "addresses": ["192.0.2.1"], "reach": reach, "grade": grade, "boot_id": null,
                  "since_ms": 1, "by": "the test"}})
}

fn site(register: &str) -> Site {
    let site = Site::new(SHUN);
    std::fs::create_dir(site.path("state")).unwrap();
    site.write("state/shunned.json", register, 0o600);
    site
}

#[test]
fn a_node_that_is_not_shunned_is_on() {
    for register in ["{}".to_owned(), entry(2, "bounded", "everything").to_string()] {
        let on = site(&register).oob("power-status").answered();
        assert_eq!((&on["powered"], &on["grade"]), (&json!(true), &json!(null)), "{register}");
    }
}

#[test]
fn what_was_proven_in_this_epoch_is_told_again() {
    let off = site(&entry(1, "bounded", "everything").to_string()).oob("power-status").answered();
    assert_eq!((&off["powered"], &off["grade"]), (&json!(false), &json!("bounded")));
}

/// A node whose power was seen off may be back in the cluster stack with another boot, of which nothing is proven: its
/// fencing must not be answered with the proof of the boot before.
#[test]
fn an_off_of_before_is_no_off_of_a_boot_after() {
    for grade in ["off", "unknown"] {
        let site = site(&entry(1, grade, "tcp").to_string());
        site.oob("power-status").failed_for(NODE, &["its power is unknown", "whether it has booted since"]);
    }
}

/// A register that cannot be read is neither empty nor full.
#[test]
fn a_damaged_register_is_no_answer() {
    for damaged in ["", "{", "[]", r#"{"n1.lab": {"epoch": 1}}"#] {
        site(damaged).oob("power-status").failed_for(NODE, &["its power is unknown", "shunned.json"]);
    }
}

/// DESIGN 5: shunning is fabric fencing, which has no reboot.
#[test]
fn it_has_no_cycle() {
    site("{}").oob("power-cycle").failed_for(NODE, &["switches no power"]);
}

#[test]
fn where_another_level_switches_the_power_a_cycle_is_that_one_s() {
    let site = Site::new(
        "[default]\nlevels = [[\"fabric\"], [\"dev\"]]\n[devices.fabric]\ndriver = \"shun\"\n[devices.dev]\ndriver = \"exec\"\nprogram = \"{dir}/dev\"\n",
    );
    site.script("dev", "");
    site.set_power("dev", "on");
    site.oob("power-cycle").silent();
    let acts: Vec<String> = site.calls("dev").into_iter().filter(|call| !call.starts_with("power-status")).collect();
    assert_eq!(acts, ["power-off", "power-on"].map(|command| format!("{command} {NODE}")));
}

/// Where this host is no candidate of Ganeti's, nobody can be told: a failure, never an off.
#[test]
fn without_ganetis_configuration_nobody_is_shunned() {
    if std::path::Path::new("/var/lib/ganeti/config.data").exists() {
        return;
    }
    let site = site("{}");
    site.oob("power-off").failed_for(NODE, &["power-off failed", "only a master candidate"]);
    let on = site.oob("power-status").answered();
    assert_eq!(on["powered"], true, "nothing was half done");
}

/// Issue: `gnt-ha shun` is one of the verbs of a person, who gives a reason; on a host that can tell nobody it is a failure.
#[test]
fn a_person_has_a_node_refused_for_a_reason() {
    if std::path::Path::new("/var/lib/ganeti/config.data").exists() {
        return;
    }
    let site = site("{}");
    for words in
        [&["shun", NODE, "--reason", "its disks"][..], &["shun", NODE, "--reason", "its disks", "--everything"]]
    {
        site.run(words, &[]).failed_for(NODE, &["is not refused", "only a master candidate"]);
    }
    for words in [&["shun", NODE][..], &["shun", NODE, "--reason", ""], &["shun", "--reason", "its disks"]] {
        site.run(words, &[]).failed(&["see ganeti-oob --help"]);
    }
}
