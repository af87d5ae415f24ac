//! Candidates die one after another, faster than any hook runs.

use std::collections::BTreeSet;

use e2e::install::GNT_HA;
use e2e::receipts;
use gnt_ha::core::grade::Grade;
use lab::Host;

use crate::support::cib::Roles;
use crate::support::cluster::{Scene, short};

/// Returns the attribute of each host that shows whether it may fence, by `attrd_updater`.
fn scores(host: &Host) -> lab::Result<Vec<(String, String)>> {
    let output = host.run(&["attrd_updater", "--name", "gnt-ha-fence-score", "--query", "--all"])?.stdout;
    let word = |line: &str, name: &str| {
        let rest = line.split_once(&format!("{name}=\""))?.1;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let all = output.lines().filter_map(|line| Some((short(&word(line, "host")?), word(line, "value")?)));
    Ok(all.collect::<BTreeSet<_>>().into_iter().collect())
}

/// Of five hosts two are candidates. When both have died, the other hosts have never held Ganeti's configuration. One
/// of them fences the second by the copy of the OOB programs, before anything was changed. A host without gnt-ha's
/// configuration reports that it may not fence. So does a host with an old one, in which the second has another host's
/// machine. Neither runs the device.
#[test]
fn the_last_candidate_is_fenced_by_a_regular_node() {
    let lab = Scene::bare("last-candidates", 5);
    let host = lab.host("n1").unwrap();
    // A rebooted host would be back, as a candidate, before the second failure.
    host.check(&["crm_attribute", "--type", "crm_config", "--name", "stonith-action", "--update", "off"]).unwrap();
    host.check(&["gnt-cluster", "modify", "--candidate-pool-size=2"]).unwrap();
    for regular in ["n3.lab", "n4.lab", "n5.lab"] {
        host.check(&["gnt-node", "modify", "--master-candidate=no", regular]).unwrap();
    }
    lab.host("n5").unwrap().check(&["rm", "/etc/gnt-ha/config.toml"]).unwrap();
    let swap = "sed -i 's/203\\.0\\.113\\.2\\b/X/; s/203\\.0\\.113\\.5\\b/203.0.113.2/; s/\\bX\\b/203.0.113.5/' /etc/gnt-ha/config.toml";
    lab.host("n4").unwrap().check(&["sh", "-c", swap]).unwrap();
    let applied = host.run(&[GNT_HA, "setup", "--apply"]).unwrap();
    assert!(applied.success(), "{}", applied.text());
    let scene = Scene::with_lab(lab, Roles::Promotable);
    let expected = [("n1", "200"), ("n2", "200"), ("n3", "100"), ("n4", "-INFINITY"), ("n5", "-INFINITY")];
    let expected = expected.map(|(node, score)| (node.to_owned(), score.to_owned()));
    scene.wait("each reports whether it may fence", 60, || Ok(scores(&host)? == expected));
    scene.host("n3").check(&["fence_ganeti", "--action", "list"]).unwrap();
    let old = scene.host("n4");
    for words in [&["--action", "list"][..], &["--action", "status", "--plug", "n2.lab"]] {
        let failed = old.run(&[&["fence_ganeti"][..], words].concat()).unwrap();
        assert!(
            !failed.success()
                && failed.stderr.contains("differs from the file with which gnt-ha setup --apply was last run"),
            "{}",
            failed.text()
        );
    }
    scene.settle();
    scene.assert_only_fenced(&[]);

    // The second is killed at the time at which the first is fenced: no node was promoted, and no hook has run.
    scene.kill(&["n1"]);
    scene.kill(&["n2"]);
    let history = scene.lab.fence_history().unwrap();
    let by: Vec<String> = history
        .iter()
        .filter(|event| short(&event.target) == "n2" && event.status == "success")
        .map(|event| short(&event.delegate))
        .collect();
    println!("n2 was fenced by {by:?}");
    assert!(!by.is_empty() && by.iter().all(|delegate| delegate == "n3"), "{history:#?}");
    let proven = receipts::on(&scene.host("n3")).into_iter().any(|action| {
        action.intent.node.short() == "n2" && action.receipt.is_some_and(|receipt| receipt.grade == Grade::Off)
    });
    assert!(proven, "no receipt of a proven off on a host that was no candidate");
    for (name, power) in [("n1", lab::Power::Off), ("n2", lab::Power::Off), ("n5", lab::Power::On)] {
        assert_eq!(scene.host(name).power_status(), power, "{name}");
    }
    scene.assert_only_fenced(&["n1", "n2"]);
}
