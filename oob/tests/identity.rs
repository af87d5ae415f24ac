//! A BMC that is known to be another host's is not used: neither read nor switched.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};

use bmc_responder::https::{Reply, SYSTEM, Server, healthy, system};
use bmc_responder::{Behaviour, Completion, Responder};
use common::{NODE, PROGRAM, Site, bmc, cluster};
use serde_json::{Value, json};

/// What the firmware of each host has, as the kernel shows it, and as its BMC sends it (IPMI 2.0 section 20.8: reversed).
const ONE: (&str, [u8; 16]) = (
    "4c4c4544-0042-3310-8052-b7c04f4d4b01",
    [0x01, 0x4b, 0x4d, 0x4f, 0xc0, 0xb7, 0x52, 0x80, 0x10, 0x33, 0x42, 0, 0x44, 0x45, 0x4c, 0x4c],
);
const TWO: (&str, [u8; 16]) = (
    "4c4c4544-0042-3310-8052-b7c04f4d4b02",
    [0x02, 0x4b, 0x4d, 0x4f, 0xc0, 0xb7, 0x52, 0x80, 0x10, 0x33, 0x42, 0, 0x44, 0x45, 0x4c, 0x4c],
);

/// What `gnt-ha check` has learned: the identity of each node by itself, and the BMCs that are proven.
fn remember(site: &Site, hosts: &[(&str, &str)], proven: &[(&str, &str)]) {
    let mut memory = serde_json::Map::new();
    for (node, uuid) in hosts {
        memory.insert((*node).to_owned(), json!({"host": {"uuid": uuid}}));
    }
    for (node, uuid) in proven {
        let known = memory.entry(*node).or_insert_with(|| json!({}));
        known["bmcs"] = json!({"bmc": {"identity": {"uuid": uuid}, "proven_ms": 1_800_000_000_000u64}});
    }
    std::fs::create_dir_all(site.path("state")).unwrap();
    site.write("state/bmc-identities.json", &Value::from(memory).to_string(), 0o600);
}

fn with_guid(guid: [u8; 16]) -> Behaviour {
    Behaviour { system_guid: Some(guid), ..Behaviour::default() }
}

/// Two BMCs in one configuration, each at the address of the other.
fn swapped() -> ([Responder; 2], Site) {
    let (first, site) = bmc(with_guid(TWO.1));
    let second = Responder::start(with_guid(ONE.1)).unwrap();
    let text = site.text("config.toml");
    let own = format!(
        "[nodes.\"n2.lab\"]\nlevels = [[\"bmc2\"]]\n[devices.bmc2]\ndriver = \"ipmi\"\naddress = \"127.0.0.1\"\nport = {}\n\
         username = \"admin\"\npassword_file = \"{{dir}}/password\"\n",
        second.addr().port()
    );
    site.configure(&(text + &own));
    remember(&site, &[("n1.lab", ONE.0), ("n2.lab", TWO.0)], &[]);
    ([first, second], site)
}

#[test]
fn a_swapped_bmc_is_neither_switched_nor_read() {
    let ([first, second], site) = swapped();
    for (node, other) in [(NODE, "n2.lab"), ("n2.lab", NODE)] {
        let why = format!("the BMC is {other}'s, not {node}'s");
        for command in ["power-off", "power-cycle", "power-on", "power-status"] {
            site.run(&[command, node], &[]).failed_for(node, &[&why, "nothing was switched", "gnt-ha check"]);
        }
        let ran = site.run(&["check", node], &[]);
        assert!(ran.code == Some(1) && ran.stdout.starts_with("ERROR") && ran.stdout.contains(&why), "{ran:?}");
    }
    assert!(first.power() && second.power());
    assert_eq!((first.seen().controls, second.seen().controls), (vec![], vec![]));
    let receipts: Vec<Value> = site.receipt_log().into_iter().filter(|entry| entry["kind"] == "receipt").collect();
    assert_eq!(receipts.len(), 6);
    for receipt in &receipts {
        assert_eq!(receipt["grade"], "unknown");
        let reason = receipt["reason"].as_str().unwrap();
        assert!(reason.contains(ONE.0) && reason.contains(TWO.0), "{reason}");
    }
}

/// The "off" of another host's BMC is not the node's, and a later level goes on.
#[test]
fn the_off_of_another_host_proves_nothing() {
    let (responder, site) = bmc(Behaviour { chassis: Default::default(), ..with_guid(TWO.1) });
    remember(&site, &[("n1.lab", ONE.0), ("n2.lab", TWO.0)], &[]);
    site.oob("power-status").failed_for(NODE, &["the BMC is n2.lab's"]);
    site.oob("health").failed_for(NODE, &["the BMC is n2.lab's"]);
    site.oob("power-off").failed_for(NODE, &["the BMC is n2.lab's"]);
    let text = site.text("config.toml").replace("[[\"bmc\"]]", "[[\"bmc\"], [\"pdu\"]]");
    site.configure(&format!("{text}[devices.pdu]\ndriver = \"exec\"\nprogram = \"{{dir}}/pdu\"\nsees = \"feed\"\n"));
    site.script("pdu", "");
    site.set_power("pdu", "on");
    site.oob("power-off").silent();
    assert_eq!(site.power("pdu"), "off");
    assert_eq!(responder.seen().controls, [] as [u8; 0]);
}

/// The power command does not need a reading: a BMC whose status fails gets it all the same, and must be the right one.
#[test]
fn a_swapped_bmc_without_a_status_gets_no_command() {
    let no_status = Completion { net_fn: 0x00, command: 0x01, code: 0xFF, times: u32::MAX };
    let (responder, site) = bmc(Behaviour { completions: vec![no_status], ..with_guid(TWO.1) });
    remember(&site, &[(NODE, ONE.0), ("n2.lab", TWO.0)], &[]);
    site.oob("power-off").failed_for(NODE, &["the BMC is n2.lab's"]);
    site.oob("power-cycle").failed_for(NODE, &["the BMC is n2.lab's"]);
    assert!(responder.power());
    assert_eq!(responder.seen().controls, [] as [u8; 0]);
}

/// Two BMCs have one address, and the right one was gone when the session was opened again.
#[test]
fn a_new_session_at_another_bmc_gets_no_command() {
    let (responder, site) = bmc(Behaviour { later_guid: Some(TWO.1), ..with_guid(ONE.1) });
    remember(&site, &[(NODE, ONE.0)], &[(NODE, ONE.0)]);
    site.oob("power-cycle").failed_for(NODE, &["another BMC answers at this address", "was off, proven"]);
    assert_eq!(responder.seen().controls, [0]);
}

/// A BMC that was busy at the first question is asked again before the command.
#[test]
fn a_question_without_an_answer_is_asked_again() {
    let busy = Completion { net_fn: 0x06, command: 0x37, code: 0xFF, times: 1 };
    let (responder, site) = bmc(Behaviour { completions: vec![busy], ..with_guid(TWO.1) });
    remember(&site, &[(NODE, ONE.0), ("n2.lab", TWO.0)], &[]);
    site.oob("power-off").failed_for(NODE, &["the BMC is n2.lab's"]);
    assert_eq!(responder.seen().controls, [] as [u8; 0]);
}

/// A host outside of the cluster has taken the address, or the board was replaced.
#[test]
fn another_identity_than_the_proven_one_is_refused_with_what_to_do() {
    let (responder, site) = bmc(with_guid(*b"another machine!"));
    remember(&site, &[("n1.lab", ONE.0)], &[("n1.lab", ONE.0)]);
    let file = format!("rm {}", site.path("state/bmc-identities.json").display());
    site.oob("power-off").failed_for(NODE, &["it reported UUID 4c4c4544-0042", "proven to be n1.lab's", &file]);
    assert_eq!(responder.seen().controls, [] as [u8; 0]);
    // The node reports its new board, and the check has remembered that.
    remember(&site, &[("n1.lab", "616e6f74-6865-7220-6d61-6368696e6521")], &[("n1.lab", ONE.0)]);
    site.oob("power-off").silent();
    assert!(!responder.power());
}

/// The right BMC, and all that is not known: the fencing goes on, and the receipt says which.
#[test]
fn what_is_not_known_to_be_wrong_is_used() {
    let quiet = Completion { net_fn: 0x06, command: 0x37, code: 0xFF, times: u32::MAX };
    let proven = "its identity is that of n1.lab";
    let unusable = "its identity is unproven: its BMC reports no usable identity";
    let silent = "its identity is unproven: its BMC did not answer the question for its identity";
    let no_match = "its identity is unproven: no node reports the identity of its BMC";
    for (behaviour, text) in [
        (with_guid(ONE.1), proven),
        (with_guid([0; 16]), unusable),
        (Behaviour::default(), unusable),
        (Behaviour { completions: vec![quiet], ..with_guid(ONE.1) }, silent),
        (Behaviour { completions: vec![Completion { code: 0xC1, ..quiet }], ..with_guid(ONE.1) }, unusable),
        (with_guid(*b"its own identity"), no_match),
    ] {
        let (responder, site) = bmc(behaviour);
        let bmcs: &[(&str, &str)] = if text == no_match { &[] } else { &[(NODE, ONE.0)] };
        remember(&site, &[(NODE, ONE.0), ("n2.lab", TWO.0)], bmcs);
        site.oob("power-off").silent();
        assert!(!responder.power());
        let steps = site.receipt()["steps"].to_string();
        assert!(steps.contains(text), "{steps}");
    }
}

/// Without anything to compare with, the BMC is not asked. A damaged memory, or a device that is not to be compared, prevents
/// nothing.
#[test]
fn nothing_is_asked_where_nothing_is_known() {
    let asked =
        |responder: &Responder| responder.seen().requests.iter().any(|request| (request.2, request.3) == (0x06, 0x37));
    let (responder, site) = bmc(with_guid(TWO.1));
    site.oob("power-off").silent();
    assert!(!asked(&responder));
    std::fs::create_dir_all(site.path("state")).unwrap();
    site.write("state/bmc-identities.json", "{", 0o600);
    site.oob("power-on").silent();
    assert!(!asked(&responder) && responder.power());
    remember(&site, &[(NODE, ONE.0), ("n2.lab", TWO.0)], &[(NODE, ONE.0)]);
    site.configure(&site.text("config.toml").replace("port =", "compare_identity = false\nport ="));
    site.oob("power-off").silent();
    assert!(!asked(&responder) && !responder.power());
}

/// What `gnt-ha check` collects: the answer of the BMC, also of a wrong one.
#[test]
fn a_check_collects_the_identity() {
    let (_responder, site) = bmc(with_guid(TWO.1));
    remember(&site, &[(NODE, ONE.0), ("n2.lab", TWO.0)], &[(NODE, ONE.0)]);
    let answer = &site.devices()[0];
    assert_eq!(
        (&answer["power"], &answer["identity"]["uuid"]),
        (&json!("on"), &json!("024b4d4f-c0b7-5280-1033-420044454c4c"))
    );
    let (_responder, site) = bmc(Behaviour::default());
    assert_eq!(site.devices()[0]["identity"], json!({}));
}

/// Redfish reads the identity with the power: no further request is sent.
#[test]
fn a_swapped_bmc_is_refused_by_redfish() {
    let program = Path::new(PROGRAM).with_file_name("redfish-call");
    assert!(program.is_file(), "no {}: cargo build -p redfish-call", program.display());
    let reports = Arc::new(Mutex::new((TWO.0, "CZ3")));
    let power = Arc::new(Mutex::new(json!("On")));
    let later: Arc<Mutex<Option<(u32, &str)>>> = Arc::default();
    let (now, state, then) = (Arc::clone(&reports), Arc::clone(&power), Arc::clone(&later));
    let server = Server::start(move |request| {
        if request.line == format!("GET {SYSTEM}") {
            let mut document = system("On");
            let (mut uuid, serial) = *now.lock().unwrap();
            if let Some((left, shown)) = then.lock().unwrap().as_mut() {
                uuid = if *left == 0 { *shown } else { "" };
                *left = left.saturating_sub(1);
            }
            (document["UUID"], document["SerialNumber"]) = (json!(uuid), json!(serial));
            document["PowerState"] = state.lock().unwrap().clone();
            return Reply::Json(200, document);
        }
        healthy(request, "On")
    });
    let site = Site::new("");
    let text = site.text("config.toml").replace("deadline = 6", "deadline = 45");
    site.configure(&format!(
        "{text}[nodes.\"n1.lab\"]\nlevels = [[\"bmc\"]]\n[devices.bmc]\ndriver = \"redfish\"\naddress = \"127.0.0.1\"\nport = {}\n\
         username = \"fencing\"\npassword_file = \"{{dir}}/password\"\nfingerprint = \"{}\"\n",
        server.port,
        server.identity.fingerprint()
    ));
    remember(&site, &[(NODE, ONE.0), ("n2.lab", TWO.0)], &[]);
    site.oob("power-off").failed_for(NODE, &["the BMC is n2.lab's", TWO.0, ONE.0]);
    assert!(server.requests().iter().all(|request| request.line.starts_with("GET")));
    // It does not report the power, and is asked before the command.
    *power.lock().unwrap() = Value::Null;
    site.oob("power-off").failed_for(NODE, &["the BMC is n2.lab's"]);
    assert!(server.requests().iter().all(|request| request.line.starts_with("GET")));
    *power.lock().unwrap() = json!("On");
    // It reports its identity only from the third reading on, after the first command: its off is not believed.
    *reports.lock().unwrap() = ("", "");
    *later.lock().unwrap() = Some((2, TWO.0));
    site.oob("power-off").failed_for(NODE, &["n2.lab's"]);
    *later.lock().unwrap() = None;
    *power.lock().unwrap() = json!("On");
    *reports.lock().unwrap() = (ONE.0, "CZ3");
    let status = site.oob("power-status").answered();
    assert!(status["devices"][0]["text"].as_str().unwrap().ends_with("its identity is that of n1.lab"), "{status}");
    *reports.lock().unwrap() = ("", "");
    let status = site.oob("power-status").answered();
    assert!(status["devices"][0]["text"].as_str().unwrap().contains("its identity is unproven"), "{status}");
}

/// The other nodes keep what the master has sent. A node that is not a candidate cannot send it.
#[test]
fn only_a_trusted_sender_is_remembered() {
    let request = |from: &str, node: &str| json!({"version": 1, "from": from, "identities": {node: {"host": {"uuid": ONE.0}}, "gone.lab": {"host": {"uuid": TWO.0}}}});
    let (of_root, of_regular, of_candidate) =
        (request("n1.lab", "n2.lab"), request("n3.lab", "n3.lab"), request("n2.lab", "n4.lab"));
    let script = format!(
        "kept_identities() {{ cat $dir/state/bmc-identities.json 2> /dev/null || echo '{{}}'; echo; }}\n\
         oob peer '{of_regular}' > /dev/null\nkept_identities\n\
         printf %s '{of_root}' | oob peer - > /dev/null\nkept_identities\n\
         oob peer '{of_candidate}' > /dev/null\nkept_identities\n"
    );
    let Some(printed) = cluster::in_cluster(&[], &script) else { return };
    let kept: Vec<Vec<String>> = cluster::json_lines(&printed)
        .into_iter()
        .map(|memory| memory.as_object().unwrap().keys().cloned().collect())
        .collect();
    assert_eq!(kept, [vec![], vec!["n2.lab"], vec!["n2.lab", "n4.lab"]], "{printed}");
}
