//! The driver `shun`, without the kernel's rules and other nodes: the shun list decides, and an unknown state is no
//! answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

mod common;

use std::path::Path;

use common::cluster::{SHUN, answer, in_cluster, json_lines, lie, with_config};
use common::{NODE, Site};
use gnt_ha::core::node::NodeName;
use gnt_ha::core::shun::list::ShunScope;
use gnt_ha::power::check::devices;
use gnt_ha::service::shun::device::open;
use gnt_ha::service::shun::manual::shun_by_hand;
use gnt_ha::service::shun::receipts::of_another;
use gnt_ha::service::shun::sync::sync;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::config_file;
use gnt_ha::sys::ganeti::files::DATA_DIR;
use serde_json::{Value, json};

fn entry(epoch: u64, grade: &str, scope: &str) -> Value {
    json!({NODE: {"epoch": epoch, "addresses": ["192.0.2.1"], "scope": scope, "grade": grade, "boot_id": null,
                  "since_ms": 1, "by": "the test"}})
}

fn site(shun_list: &str) -> Site {
    let site = Site::new(SHUN);
    std::fs::create_dir(site.path("state")).unwrap();
    site.write("state/shun-list.json", shun_list, 0o600);
    site
}

#[test]
fn a_node_that_is_not_shunned_is_on() {
    for shun_list in ["{}".to_owned(), entry(2, "bounded", "all").to_string()] {
        let on = site(&shun_list).oob("power-status").answered();
        assert_eq!((&on["powered"], &on["grade"]), (&json!(true), &json!(null)), "{shun_list}");
    }
}

#[test]
fn what_was_proven_before_is_not_reported_again_unasked() {
    let site = site(&entry(1, "bounded", "all").to_string());
    site.oob("power-status").failed_for(NODE, &["its power is unknown", "config.data"]);
}

/// A node whose power was read as off may be back in the cluster stack with another boot, of which nothing is proven.
/// The answer to its fencing must not be the proof of the boot before.
#[test]
fn an_off_of_before_is_no_off_of_a_boot_after() {
    for grade in ["off", "unknown"] {
        let site = site(&entry(1, grade, "tcp").to_string());
        site.oob("power-status").failed_for(NODE, &["its power is unknown", "whether it has booted since"]);
    }
}

/// A shun list that cannot be read is neither empty nor full.
#[test]
fn a_damaged_list_is_no_answer() {
    for damaged in ["", "{", "[]", r#"{"n1.lab": {"epoch": 1}}"#] {
        site(damaged).oob("power-status").failed_for(NODE, &["its power is unknown", "shun-list.json"]);
    }
}

/// Shunning is fabric fencing, which has no `reboot`.
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

/// A host that is not a candidate cannot send a shun entry: a failure, never an off.
#[test]
fn without_ganetis_configuration_no_node_is_shunned() {
    if std::path::Path::new("/var/lib/ganeti/config.data").exists() {
        return;
    }
    let site = site("{}");
    site.oob("power-off").failed_for(NODE, &["power-off failed", "only a master candidate"]);
    let on = site.oob("power-status").answered();
    assert_eq!(on["powered"], true, "nothing was half done");
}

/// On a host that can ask no node, an administrator's shunning fails.
#[test]
fn an_administrator_shuns_a_node_from_a_candidate_only() {
    if std::path::Path::new("/var/lib/ganeti/config.data").exists() {
        return;
    }
    let site = site("{}");
    let config = config_file::load(&site.path("config.toml")).unwrap();
    for scope in [ShunScope::Tcp, ShunScope::All] {
        let node = NodeName::new(NODE).unwrap();
        let shunned =
            shun_by_hand(&config, Path::new(DATA_DIR), &node, "its disks", scope, Deadline::after(config.deadline));
        let error = shunned.map(|_| ()).unwrap_err().to_string();
        for word in [NODE, "is not shunned", "only a master candidate"] {
            assert!(error.contains(word), "{error}");
        }
    }
}

/// Calls the library as `LIBRARY_CALL` names it, for the scripts of the other tests: the namespaces of a script have
/// other files of Ganeti. Prints on stderr, as stdout has the lines of the test runner.
#[test]
#[ignore = "the scripts of other tests call it"]
fn library() {
    let Ok(call) = std::env::var("LIBRARY_CALL") else { return };
    let config = config_file::load(Path::new(&std::env::var("LIBRARY_CONFIG").unwrap())).unwrap();
    let deadline = Deadline::after(config.deadline);
    let node = |name: &&str| NodeName::new(name).unwrap();
    let result = match &call.split(' ').collect::<Vec<_>>()[..] {
        ["sync"] => {
            sync(&config, Path::new(DATA_DIR), deadline).map_err(|error| error.to_string()).and_then(|synced| {
                synced.notes.iter().for_each(|line| eprintln!("{line}"));
                synced.failure().map_or(Ok(Value::Null), Err)
            })
        }
        ["devices", name] => devices(&config, &node(name), deadline, open, true)
            .map(|answers| json!(answers))
            .map_err(|error| error.to_string()),
        ["receipts", host, names @ ..] => {
            let nodes: Vec<NodeName> = names.iter().map(node).collect();
            of_another(&config, Path::new(DATA_DIR), &node(host), &nodes, deadline)
                .map(|receipts| json!(receipts))
                .map_err(|error| error.to_string())
        }
        _ => panic!("{call}"),
    };
    match result {
        Ok(Value::Null) => (),
        Ok(answer) => eprintln!("{answer}"),
        Err(error) => eprintln!("{error}\nexit 1"),
    }
}

const SYNC_AND_READ: &str = "library sync\nkept\noob power-status n3.lab\nnft list ruleset\n";

/// A regular node is believed about itself only: its statements about others change no grade, no epoch, no rule and no
/// file.
#[test]
fn what_a_regular_node_says_of_others_changes_nothing() {
    for epoch in [1, 3, u64::MAX] {
        let reply = answer(4, json!({"n3.lab": lie(epoch, "192.0.2.3"), "foreign": lie(1, "192.0.2.254")}));
        let Some(seen) = in_cluster(&[answer(2, json!({})), reply], SYNC_AND_READ) else { return };
        assert!(seen.contains("\"powered\":true"), "{epoch}: {seen}");
        assert!(seen.contains("none\n") && !seen.contains("gnt-ha-shunned"), "{epoch}: {seen}");
    }
}

/// A candidate's statements count for nodes of the cluster, with their addresses, and with a possible next epoch.
#[test]
fn what_a_candidate_says_is_limited() {
    for (entries, why) in [
        (json!({"foreign": lie(1, "192.0.2.254")}), "not a node of this cluster"),
        (json!({"n3.lab": lie(1, "192.0.2.254")}), "192.0.2.254 is not an address of it"),
        (json!({"n3.lab": lie(1, "192.0.2.4")}), "192.0.2.4 is not an address of it"),
        (json!({"n3.lab": lie(4_000_000_001, "192.0.2.3")}), "the largest that is taken"),
        (json!({"n3.lab": lie(u64::MAX, "192.0.2.3")}), ""),
    ] {
        let Some(seen) = in_cluster(&[answer(2, entries.clone()), answer(4, json!({}))], SYNC_AND_READ) else { return };
        assert!(seen.contains("\"powered\":true") && seen.contains("none\n"), "{entries}: {seen}");
        assert!(!seen.contains("gnt-ha-shunned") && seen.contains(why), "{entries}: {seen}");
    }
    // The list alone does not prove that the power is off: neither a candidate's entry, nor one in the own file.
    let mut off = lie(1, "192.0.2.3");
    off["grade"] = "off".into();
    let received =
        format!("oob peer '{}' > /dev/null\n", json!({"version": 1, "from": "n2.lab", "shun_list": {"n3.lab": off}}));
    let kept = format!("mkdir -p $dir/state\necho '{}' > $dir/state/shun-list.json\n", json!({"n3.lab": off}));
    for (before, is_kept) in [(received, "bounded"), (kept, "off")] {
        let answers = [answer(2, json!({"n3.lab": off})), answer(4, json!({}))];
        let Some(seen) = in_cluster(&answers, &format!("{before}kept; echo\noob power-status n3.lab\n")) else {
            return;
        };
        let [list, status] = &json_lines(&seen)[..] else { panic!("{seen}") };
        assert_eq!((&list["n3.lab"]["grade"], &status["grade"]), (&json!(is_kept), &json!("bounded")), "{seen}");
    }
    // With the scope `tcp` it is not an off at all.
    off["scope"] = "tcp".into();
    let script = format!(
        "oob peer '{}' > /dev/null\noob power-status n3.lab\n",
        json!({"version": 1, "from": "n2.lab", "shun_list": {"n3.lab": off}})
    );
    let Some(seen) = in_cluster(&[answer(2, json!({"n3.lab": off})), answer(4, json!({}))], &script) else { return };
    assert!(seen.contains("its power is unknown") && seen.contains("shunned with scope tcp only"), "{seen}");
    let true_word = answer(2, json!({"n3.lab": lie(1, "192.0.2.3")}));
    let Some(seen) = in_cluster(&[true_word, answer(4, json!({}))], SYNC_AND_READ) else { return };
    assert!(seen.contains("\"grade\":\"bounded\"") && seen.contains("elements = { 192.0.2.3 }"), "{seen}");
}

/// A status and a check ask the others and send no entries; here they leave every file and the kernel's rules as they
/// are.
#[test]
fn a_reader_gives_no_order_and_keeps_nothing() {
    for (grade, flush) in [("bounded", "nft flush ruleset\n"), ("unknown", "")] {
        let mut entry = lie(1, "192.0.2.3");
        entry["grade"] = grade.into();
        let order = json!({"version": 1, "from": "n2.lab", "shun_list": {"n3.lab": entry.clone()}});
        let script = format!(
            "oob peer '{order}' > /dev/null\n{flush}rm -f $dir/asked\n\
             state() {{ find $dir/state $dir/run $dir/state.until-boot -type f 2> /dev/null | sort | xargs md5sum; nft list ruleset; }}\n\
             state > $dir/before\noob power-status n3.lab\noob check n3.lab\nlibrary devices n3.lab\nstate > $dir/after\n\
             cmp $dir/before $dir/after && echo unchanged\necho asked; cat $dir/asked\n"
        );
        let reply = json!({"n3.lab": entry});
        let Some(seen) = in_cluster(&[answer(2, reply.clone()), answer(4, json!({}))], &script) else { return };
        assert!(seen.contains("\nunchanged\n"), "{seen}");
        let asked = seen.split("\nasked\n").nth(1).unwrap();
        assert!(asked.contains(r#""about":["n3.lab"]"#) && !asked.contains("epoch"), "{seen}");
        assert_eq!(seen.contains(r#""grade":"bounded""#), grade == "bounded", "{seen}");
    }
}

/// Only requests of a master candidate of this node's own configuration are applied.
#[test]
fn a_regular_node_orders_nothing() {
    for (from, why) in
        [("n4.lab", "n4.lab is not a master candidate"), ("foreign", "foreign is not a master candidate")]
    {
        let question = json!({"version": 1, "from": from, "shun_list": {"n3.lab": lie(1, "192.0.2.3")}});
        let script = format!("oob peer '{question}'\nkept\nnft list ruleset\n");
        let Some(seen) = in_cluster(&[], &script) else { return };
        assert!(seen.contains(why) && seen.contains("none\n") && !seen.contains("gnt-ha-shunned"), "{seen}");
    }
    let question = json!({"version": 1, "from": "n2.lab", "shun_list": {"n3.lab": lie(1, "192.0.2.3"), "n4.lab": lie(1, "192.0.2.254")}});
    let Some(seen) = in_cluster(&[], &format!("oob peer '{question}'\n")) else { return };
    let report: Value = serde_json::from_str(seen.trim()).unwrap();
    assert_eq!(report["shunned"], json!({"n3.lab": 1}), "{seen}");
    assert!(report["not_applied"]["n4.lab"].as_str().unwrap().contains("is not an address of it"), "{seen}");
}

/// An address that a node no longer has in Ganeti prevented the shunning of the node's other addresses. Now these are
/// shunned, and the node is not reported as shunned.
#[test]
fn one_foreign_address_leaves_the_others_shunned_and_nothing_confirmed() {
    let mut order = lie(1, "192.0.2.3");
    order["addresses"] = json!(["192.0.2.3", "192.0.2.254"]);
    let question = json!({"version": 1, "from": "n2.lab", "shun_list": {"n3.lab": order}});
    let script = format!("oob peer '{question}'\nnft list ruleset >&2\nnft list ruleset | grep -o '192.0.2.[0-9]*'\n");
    let Some(seen) = in_cluster(&[], &script) else { return };
    let report: Value = serde_json::from_str(seen.lines().next().unwrap()).unwrap();
    assert_eq!(report["shunned"], json!({}), "{seen}");
    assert!(
        report["not_applied"]["n3.lab"].as_str().unwrap().contains("192.0.2.254 is not an address of it"),
        "{seen}"
    );
    assert!(seen.contains("\n192.0.2.3\n") && !seen.contains("\n192.0.2.254\n"), "{seen}");
}

/// A state directory whose file system is full.
const FULL: &str = "mkdir -p $dir/state\nmount -t tmpfs -o size=64k tmpfs $dir/state\n\
                    dd if=/dev/zero of=$dir/state/filler bs=4k 2> /dev/null || true\n";

/// A state directory whose file system is read-only.
const READ_ONLY: &str = "mkdir -p $dir/state\nmount -t tmpfs -o size=64k tmpfs $dir/state\n\
                         mount -o remount,ro $dir/state\n";

/// A survivor whose disk is full still shuns the target, reports that its next boot loses the entry, and writes it once
/// there is space.
#[test]
fn a_full_or_read_only_disk_stops_no_shunning() {
    let order = json!({"version": 1, "from": "n2.lab", "shun_list": {"n3.lab": lie(1, "192.0.2.3")}});
    let question = json!({"version": 1, "from": "n2.lab"});
    for (broken, fixed, why) in [
        (FULL, "rm $dir/state/filler\n", "No space left"),
        (READ_ONLY, "mount -o remount,rw $dir/state\n", "Read-only"),
    ] {
        let script = format!(
            "{broken}oob peer '{order}'\noob power-status n3.lab\noob peer '{question}'\n{fixed}oob peer '{question}'\nkept\n\
             find $dir/state.until-boot -name shun-list.json\n"
        );
        let Some(seen) = in_cluster(&[], &script) else { return };
        let [received, status, again, fixed, kept] = &json_lines(&seen)[..] else { panic!("{seen}") };
        for report in [received, again] {
            assert_eq!(report["shunned"], json!({"n3.lab": 1}), "{seen}");
            assert!(report["not_durable"].as_str().unwrap().contains(why), "{seen}");
        }
        assert_eq!(received["ruleset_id"], again["ruleset_id"], "the rules stand: {seen}");
        assert_eq!(status["grade"], "bounded", "{seen}");
        assert_eq!((&fixed["shunned"], fixed.get("not_durable")), (&json!({"n3.lab": 1}), None), "{seen}");
        assert_eq!(kept["n3.lab"]["epoch"], 1, "{seen}");
        assert!(!seen.contains("state.until-boot/shun-list.json"), "{seen}");
    }
}

/// An entry that was not on the disk is not a proof after a boot.
#[test]
fn what_was_not_durable_proves_nothing_after_a_boot() {
    let order = json!({"version": 1, "from": "n2.lab", "shun_list": {"n3.lab": lie(1, "192.0.2.3")}});
    let script =
        format!("{FULL}oob peer '{order}'\nrm -r $dir/state.until-boot\nnft flush ruleset\noob power-status n3.lab\n");
    let Some(seen) = in_cluster(&[], &script) else { return };
    let [_, status] = &json_lines(&seen)[..] else { panic!("{seen}") };
    assert_eq!((&status["powered"], &status["grade"]), (&json!(true), &json!(null)), "{seen}");
}

/// A host with a full disk fences, and keeps the receipt until its next boot: the reconciler finds the proof.
#[test]
fn a_full_disk_stops_no_fencing_and_loses_no_receipt() {
    let config = "[default]\nlevels = [[\"dev\"]]\n[devices.dev]\ndriver = \"exec\"\nprogram = \"{dir}/dev\"\n";
    let script = format!("{FULL}oob power-off n3.lab\ncat $dir/state.until-boot/receipts.jsonl\n");
    let Some(seen) = with_config(config, &[], &script) else { return };
    assert!(
        !seen.contains("exit ") && seen.contains("is on disk, the action goes on, and it is kept until the next boot"),
        "{seen}"
    );
    let receipt = json_lines(&seen).into_iter().find(|entry| entry["kind"] == "receipt").unwrap();
    assert_eq!((&receipt["outcome"], &receipt["grade"]), (&json!("done"), &json!("off")), "{seen}");
    let steps = receipt["steps"].to_string();
    assert!(steps.contains("until its next boot only: n1.lab") && steps.contains("No space left"), "{steps}");
}

/// A shun list that is larger than one argument of a process, and than the earlier limit of a program's output: it is
/// sent in parts, and the answer is read completely.
#[test]
fn a_large_shun_list_is_sent_and_answered_by_ssh() {
    let entry = |n: u32| {
        json!({"epoch": 2, "addresses": [format!("203.0.113.{}", n % 250)], "scope": "tcp", "grade": "unknown", "boot_id": null,
               "since_ms": 1, "by": "x".repeat(300)})
    };
    let all: serde_json::Map<_, _> = (0..640).map(|n| (format!("gone{n}.lab"), entry(n))).collect();
    let all = Value::from(all);
    assert!(all.to_string().len() > 2 * 128 * 1024);
    let mut reply = all.clone();
    reply["n3.lab"] = lie(1, "192.0.2.3");
    let script = format!(
        "mkdir -p $dir/state\ncat > $dir/state/shun-list.json <<'EOF'\n{all}\nEOF\nlibrary sync\nkept | grep -o n3.lab\n"
    );
    let Some(seen) = in_cluster(&[answer(2, reply), answer(4, json!({}))], &script) else { return };
    assert!(seen.contains("n3.lab"), "{seen}");
}

/// A node may have another SSH port than 22 (Ganeti's node parameter `ssh_port`).
#[test]
fn a_node_is_asked_at_its_own_port_of_ssh() {
    let script = "cat > $dir/ganeti/ssconf_ssh_ports <<'EOF'\nn1.lab=22\nn2.lab=2222\nEOF\n\
        sed -i '2i echo \"$@\" >> '$dir'reply' $dir/bin/ssh\nlibrary sync\ncat $dir/reply\n";
    let Some(seen) = in_cluster(&[answer(2, json!({})), answer(4, json!({}))], script) else { return };
    let asked = |target: &str| seen.lines().find(|line| line.contains(target)).unwrap_or_else(|| panic!("{seen}"));
    assert!(asked("root@192.0.2.2").contains("-oPort=2222 "), "{seen}");
    assert!(!asked("root@192.0.2.4").contains("-oPort"), "{seen}");
}

/// The receipt of a fencing is on the host that ran it. Another candidate returns its own receipts, and only of the
/// requested nodes. A node that is not a candidate, does not answer or has an older version returns nothing.
#[test]
fn a_candidate_reports_its_receipts() {
    let receipt = |id: &str| json!({"id": id, "action": "off", "outcome": "done", "grade": "off", "proven_by": "bmc", "ended_ms": 7, "by_fencer": true});
    let received = |n: u8| {
        let (n, mut reply) = answer(n, json!({}));
        reply["receipts"] = json!({"n3.lab": [receipt("a-1")], "n4.lab": [receipt("a-2")]});
        (n, reply)
    };
    let script = "library receipts n2.lab n3.lab\nlibrary receipts n4.lab n3.lab\nlibrary receipts n1.lab n3.lab\n";
    let Some(seen) = in_cluster(&[received(2), received(4)], script) else { return };
    let lines: Vec<&str> = seen.lines().collect();
    let first: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(first, json!({"n3.lab": [receipt("a-1")]}), "{seen}");
    assert_eq!(seen.matches("is not another candidate").count(), 2, "{seen}");

    let Some(silent) = in_cluster(&[(2, json!("an older version"))], "library receipts n2.lab n3.lab\n") else {
        return;
    };
    assert!(silent.contains("exit 1") && !silent.contains("a-1"), "{silent}");
}

/// Returns the two lines of a receipt log for an off that `by` requested.
fn entries(id: &str, by: &str, node: &str) -> String {
    let at = json!({"wall_ms": 1_795_743_067_320_u64, "boottime_ms": 1});
    let intent = json!({"kind": "intent", "version": 1, "id": id, "program": "fence_ganeti", "action": "off", "node": node,
        "requested_by": {"program": by, "pid": 28, "user": "root"}, "host": "n1.lab", "boot_id": "b1", "at": at});
    let receipt = json!({"kind": "receipt", "version": 1, "id": id, "node": node, "outcome": "done", "grade": "off",
        "proven_by": "bmc", "steps": [], "at": at, "duration_ms": 1});
    format!("{intent}\n{receipt}")
}

/// A node returns the receipts of its own fencings to a candidate that asks, and none of actions by hand.
#[test]
fn its_own_receipts_are_reported_to_a_candidate() {
    let config = "[default]\nlevels = [[\"dev\"]]\n[devices.dev]\ndriver = \"exec\"\nprogram = \"{dir}/dev\"\n";
    let question = json!({"version": 1, "from": "n2.lab", "receipts": ["n3.lab", "foreign"]});
    let script = format!(
        "mkdir -p $dir/state\ncat > $dir/state/receipts.jsonl <<'E'\n{}\nE\noob peer '{question}'\n",
        [("a-1", "pacemaker-fenced", "n3.lab"), ("a-2", "person", "n3.lab"), ("a-3", "pacemaker-fenced", "n4.lab")]
            .map(|(id, by, node)| entries(id, by, node))
            .join("\n")
    );
    let Some(seen) = with_config(config, &[], &script) else { return };
    let reply: Value = serde_json::from_str(seen.lines().last().unwrap()).unwrap();
    let received = &reply["receipts"];
    assert_eq!(received["n3.lab"].as_array().map(Vec::len), Some(1), "{seen}");
    assert_eq!(
        (&received["n3.lab"][0]["id"], &received["n4.lab"], &received["foreign"]),
        (&json!("a-1"), &json!(null), &json!(null))
    );
}
