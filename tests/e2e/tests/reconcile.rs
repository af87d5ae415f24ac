//! `gnt-ha reconcile` on Ganeti's master: records a node offline that another host has fenced.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::time::Duration;

use e2e::install::{built_programs, protect};
use e2e::receipts;
use gnt_ha::core::grade::Grade;
use lab::{Host, Lab, Network, Options};

fn reconcile(master: &Host) -> String {
    let output = master.run(&["gnt-ha", "reconcile"]).unwrap();
    println!("# gnt-ha reconcile\n{}", output.text());
    assert!(output.success(), "{}", output.text());
    output.stdout
}

/// Returns the output of `gnt-ha status` on a host, with its exit code.
fn status(host: &Host) -> (i32, String) {
    let output = host.run(&["gnt-ha", "status"]).unwrap();
    println!("# {}: gnt-ha status\n{}", host.fqdn(), output.text());
    (output.code, output.stdout)
}

fn is_offline(master: &Host, node: &str) -> bool {
    let words = ["gnt-node", "list", "--no-headers", "-o", "offline", node];
    master.run(&words).unwrap().stdout.trim() == "Y"
}

fn line_of(text: &str, node: &str) -> String {
    text.lines().find(|line| line.contains(node)).unwrap_or_default().to_owned()
}

/// The record is made by reconciliation: the master finds a fencing whichever host did it, and after a missed
/// notification. A pause blocks the record. Without a proof there is no record, and a confirmation by the administrator
/// is one.
#[test]
fn the_master_records_a_node_that_another_host_fenced_and_only_with_proof() {
    let options = Options {
        name: "test-reconcile".into(),
        boot_delay: Duration::from_secs(20),
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    };
    let lab = Lab::up(options).unwrap();
    protect(&lab, &built_programs().unwrap(), Some("n2.lab")).unwrap();
    let (n1, n2, n3) = (lab.host("n1").unwrap(), lab.host("n2").unwrap(), lab.host("n3").unwrap());
    assert!(!reconcile(&n1).contains(['*', '!']), "a healthy cluster is left alone");
    for host in [&n1, &n2, &n3] {
        assert_eq!(status(host).0, 0, "no node needs attention");
    }

    // Power and BMC fail together: Pacemaker loses the node, and no device proves it off.
    n3.cut(Network::Bmc).unwrap();
    n3.power_off().unwrap();
    let unclean = || Ok(lab.crm_mon()?.node("n3").is_some_and(|n3| n3.unclean));
    lab.wait_until("n3 is lost", Duration::from_secs(30), unclean).unwrap();
    let output = reconcile(&n1);
    assert!(line_of(&output, "n3.lab").contains("blocked: lost, and not fenced yet"), "{output}");
    assert!(!is_offline(&n1, "n3.lab"));
    let (code, output) = status(&n1);
    let line = line_of(&output, "n3.lab");
    assert!(code == 1 && line.starts_with('!') && line.contains("UNCLEAN") && line.contains("blocked"), "{output}");

    // A confirmation during a pause is found afterwards. The pause holds for the whole cluster, on whichever node it is
    // set.
    n2.check(&["gnt-ha", "pause", "changing a \"fan\" & more \u{fc}"]).unwrap();
    for host in [&n1, &n2] {
        let (code, output) = status(host);
        let is_shown = output.contains("! paused by root: changing a \"fan\" & more \u{fc} (gnt-ha resume); since ");
        assert!(code == 1 && is_shown, "{output}");
    }
    n1.check(&["stonith_admin", "--confirm", "n3.lab"]).unwrap();
    let clean = || Ok(lab.crm_mon()?.node("n3").is_some_and(|n3| !n3.unclean));
    lab.wait_until("n3 is clean", Duration::from_secs(60), clean).unwrap();
    let output = reconcile(&n1);
    assert!(line_of(&output, "n3.lab").contains("blocked: paused by root: changing a \"fan\""), "{output}");
    let json = n1.run(&["gnt-ha", "status", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["pause"]["by"], &json["master"]), (&"root".into(), &"n1.lab".into()), "{json}");
    n1.check(&["gnt-ha", "resume"]).unwrap();
    assert!(!status(&n2).1.contains("paused"));
    let output = reconcile(&n1);
    assert!(line_of(&output, "n3.lab").contains("offline"), "{output}");
    lab.wait_until("n3 is recorded offline", Duration::from_secs(90), || Ok(is_offline(&n1, "n3.lab"))).unwrap();

    // A node that is recorded offline and out of the cluster needs no attention; a simulated failure or a misspelt tag
    // does.
    let (code, output) = status(&n1);
    assert!(code == 0 && line_of(&output, "n3.lab").contains(", offline"), "{output}");
    n2.write_file("/var/lib/gnt-ha/simulate/wrong-role", b"", 0o644).unwrap();
    n1.check(&["gnt-cluster", "add-tags", "ocf:master-role:ful"]).unwrap();
    // Ganeti sends its configuration to the candidates after the job that changed it has ended.
    let is_shown = || Ok(status(&n2).1.contains("ocf:master-role:ful means nothing"));
    lab.wait_until("n2 has the tag", Duration::from_secs(30), is_shown).unwrap();
    let (code, output) = status(&n2);
    assert!(code == 1 && output.contains("rm /var/lib/gnt-ha/simulate/wrong-role"), "{output}");

    // `--watch` prints the status repeatedly, and ends with its reader.
    let watched = n2.check(&["sh", "-c", "gnt-ha status --watch --json | head -n 2"]).unwrap().stdout;
    let statuses: Vec<serde_json::Value> = watched.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        statuses.len() == 2 && statuses.iter().all(|status| status["nodes"].as_array().unwrap().len() == 3),
        "{watched}"
    );

    // Ganeti's monitoring daemon and Prometheus get the same status, each in its own format.
    let asked = ["sh", "-c", "printf 'GET /1/report/all HTTP/1.1\\r\\n\\r\\n' | gnt-ha report --http"];
    let answer = n2.check(&asked).unwrap().stdout;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let reports: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!((&reports[0]["name"], &reports[0]["data"]["status"]["code"]), (&"gnt-ha".into(), &4.into()), "{body}");
    let metrics = n1.check(&["gnt-ha", "report", "--format", "openmetrics"]).unwrap().stdout;
    assert!(metrics.contains("gnt_ha_node_recorded_offline{node=\"n3.lab\"} 1\n"), "{metrics}");

    // No program has a proof that n3 is off, and no other node was affected.
    let actions = receipts::on_all(&lab);
    let grades =
        actions.iter().filter(|action| action.intent.node.short() == "n3").filter_map(|action| action.receipt.as_ref());
    assert!(grades.map(|receipt| receipt.grade).all(|grade| grade == Grade::Unknown));
    assert!(!is_offline(&n1, "n2.lab"));
}
