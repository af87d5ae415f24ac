//! One machine belongs to one node: a machine of two nodes is neither switched nor believed.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

mod common;

use bmc_responder::{Behaviour, Responder};
use common::{NODE, Site};
use serde_json::json;

/// The BMC of two nodes, by an address and by a name for it.
fn shared() -> (Responder, Site) {
    let bmc = Responder::start(Behaviour::default()).unwrap();
    let port = bmc.addr().port();
    let site = Site::with_bmc(port, "");
    let other = format!(
        "[nodes.\"n2.lab\"]\nlevels = [[\"other\"]]\n[devices.other]\ndriver = \"ipmi\"\naddress = \"localhost\"\nport = {port}\n\
         username = \"admin\"\npassword_file = \"{{dir}}/password\"\n"
    );
    site.configure(&format!("{}{other}", site.text("config.toml")));
    (bmc, site)
}

/// Both nodes are rejected, with both names, before anything is sent to the BMC.
#[test]
fn a_node_whose_machine_is_anothers_is_refused_with_both_names() {
    let (bmc, site) = shared();
    for command in ["power-off", "power-cycle", "power-on"] {
        let ran = site.oob(command);
        ran.failed_for(NODE, &["n2.lab (device other) have one machine: the BMC at localhost", "config.toml"]);
    }
    assert!(
        site.receipt_log()
            .iter()
            .filter(|entry| entry.get("outcome").is_some())
            .all(|entry| entry["outcome"] == "refused")
    );
    site.oob("power-status").failed_for(NODE, &["its power is unknown", "n2.lab (device other)"]);
    site.run(&["power-off", "n2.lab"], &[]).failed_for("n2.lab", &["n1.lab (device bmc) have one machine"]);
    assert_eq!((bmc.seen().rakp1, bmc.power()), (0, true));
}

/// `check` finds it before a fencing needs the device.
#[test]
fn check_names_both() {
    let (_bmc, site) = shared();
    for arguments in [&["check"][..], &["check", NODE]] {
        let ran = site.run(arguments, &[]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stdout.contains("ERROR  n1.lab (device bmc) and n2.lab (device other) have one machine"),
            "{ran:?}"
        );
    }
}

/// Nodes with a machine each, and nodes that a program gets by name, work as before.
#[test]
fn nodes_with_their_own_machines_are_switched() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    site.configure(&format!("{}[nodes.\"n2.lab\"]\n", site.text("config.toml")));
    site.oob("power-off").silent();
    assert_eq!(site.receipt()["outcome"], json!("done"));
}
