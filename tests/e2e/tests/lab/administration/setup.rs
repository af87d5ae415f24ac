//! `gnt-ha setup`: from a bare Ganeti and a bare Pacemaker to a cluster that survives its master, and back.

use e2e::install::{CONFIG, GNT_HA, OOB_PROGRAM, install_hooks};
use lab::Host;
use serde_json::Value;

use crate::administration::forms;
use crate::administration::offline_by_hand;
use crate::administration::planted::assert_each_is_found_and_fixed;
use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::doc_page::follow;

const SETUP: [&str; 2] = [GNT_HA, "setup"];

fn setup(host: &Host, words: &[&str]) -> lab::Output {
    host.run(&[&SETUP[..], words].concat()).unwrap()
}

fn findings(host: &Host) -> Value {
    let output = host.run(&[GNT_HA, "check", "--json"]).unwrap();
    serde_json::from_str::<Value>(&output.stdout).unwrap()["findings"].clone()
}

fn wait_for_the_device(scene: &Scene) {
    scene.wait("the device has started", 60, || {
        let resources = scene.lab.crm_mon()?.resources;
        Ok(resources.iter().any(|resource| resource.id == "gnt-ha-fence" && resource.role == "Started"))
    });
}

/// A hook of Ganeti shows the findings of `gnt-ha check` in `gnt-cluster verify`.
fn assert_verify_shows_findings(scene: &Scene) {
    let master = scene.host("n1");
    let verify = || master.run(&["gnt-cluster", "verify"]).unwrap().text();
    let before = verify();
    assert!(!before.contains("gnt-ha"), "{before}");
    let enabled = ["crm_attribute", "--type", "crm_config", "--name", "stonith-enabled", "--update"];
    master.check(&[&enabled[..], &["false"]].concat()).unwrap();
    let why = "Pacemaker would take over from a dead host without making sure that it is dead";
    scene.wait("gnt-cluster verify shows it", 60, || Ok(verify().contains(why)));
    master.check(&[&enabled[..], &["true"]].concat()).unwrap();
}

/// Each node publishes whether it can fence, as a candidate or by the copy; nothing in Pacemaker's configuration
/// changes.
fn assert_nodes_report_whether_they_may_fence(scene: &Scene) {
    let master = scene.host("n1");
    let pool = |size: &str| master.check(&["gnt-cluster", "modify", &format!("--candidate-pool-size={size}")]).unwrap();
    let reports = |score: &str| {
        let asked = ["attrd_updater", "--name", "gnt-ha-fence-score", "--query", "--all"];
        scene.wait(&format!("n3 reports {score}"), 60, || {
            let output = master.run(&asked)?.text();
            let mut of_n3 = output.lines().filter(|line| line.contains("host=\"n3"));
            Ok(of_n3.any(|line| line.contains(&format!("value=\"{score}\""))))
        });
        let setup = setup(&master, &[]);
        assert!(setup.success(), "{}", setup.text());
    };
    reports("200");
    pool("2");
    master.check(&["gnt-node", "modify", "--master-candidate=no", "n3.lab"]).unwrap();
    reports("100");
    pool("3");
    master.check(&["gnt-node", "modify", "--master-candidate=yes", "n3.lab"]).unwrap();
    reports("200");
}

/// `check` finds a candidate whose OOB program has another version or configuration.
fn assert_other_candidates_are_checked(scene: &Scene) {
    let master = scene.host("n1");
    let rules = || -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let all = findings(&master);
        all.as_array().unwrap().iter().map(|found| (word(&found["rule"]), word(&found["subject"]))).collect()
    };
    let (n2, n3) = (scene.host("n2"), scene.host("n3"));
    let keep = "cp -p /etc/gnt-ha/config.toml /root/";
    // A difference that does not affect fencing is not a fault.
    n2.check(&["sh", "-c", &format!("{keep} && echo '# other' >>/etc/gnt-ha/config.toml")]).unwrap();
    assert_eq!(rules(), []);
    let edit = "sed -i 's/^driver.*/&\\nlogin_timeout = 7/' /etc/gnt-ha/config.toml";
    n2.check(&["sh", "-c", edit]).unwrap();
    n3.check(&["mv", OOB_PROGRAM, "/root/ganeti-oob"]).unwrap();
    let planted = [("configurations-differ", "n2.lab"), ("candidate-program-no-answer", "n3.lab")];
    let mut found = rules();
    found.sort();
    let mut expected = planted.map(|(rule, about)| (rule.to_owned(), about.to_owned()));
    expected.sort();
    assert_eq!(found, expected);
    n2.check(&["mv", "/root/config.toml", "/etc/gnt-ha/config.toml"]).unwrap();
    n3.check(&["mv", "/root/ganeti-oob", OOB_PROGRAM]).unwrap();
    assert_eq!(rules(), []);
}

/// Adds a recipient to the alerts that setup has made, as an administrator does: the reports go to a file.
fn record_alerts(scene: &Scene) {
    for host in scene.lab.hosts() {
        host.write_file("/usr/local/bin/record-alert", b"#!/bin/sh\nexec cat >>/tmp/alerts\n", 0o755).unwrap();
    }
    let recipient = "<alerts><alert id=\"gnt-ha-alert\" path=\"/usr/lib/gnt-ha/gnt-ha-alert\">\
         <recipient id=\"recorded\" value=\"/usr/local/bin/record-alert\"/></alert></alerts>";
    let words = ["cibadmin", "--modify", "--allow-create", "--scope", "configuration", "--xml-text", recipient];
    scene.host("n1").check(&words).unwrap();
}

fn alerts(scene: &Scene) -> Vec<String> {
    let hosts = scene.lab.hosts();
    let all = hosts.iter().filter_map(|host| host.run(&["cat", "/tmp/alerts"]).ok());
    all.flat_map(|output| output.stdout.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// `setup` rejects timeouts that do not fit together, and shows the time budget. It keeps the administrator's own
/// values, and so changes nothing.
fn assert_shortfalls_are_rejected(host: &Host) {
    let timeout = ["crm_attribute", "--name", "stonith-timeout"];
    host.check(&[&timeout[..], &["--update", "20s"]].concat()).unwrap();
    for words in [&[][..], &["--apply"]] {
        let rejected = setup(host, words);
        println!("{}", rejected.text());
        assert_eq!(rejected.code, 2, "{}", rejected.text());
        for line in [
            "  =    60 s  is needed\n",
            "(property stonith-timeout)",
            "  fix: crm_attribute --name stonith-timeout --update 72s\n",
        ] {
            assert!(rejected.stdout.contains(line), "{}", rejected.text());
        }
        assert!(
            rejected.stderr.contains("nothing was changed: the time budget has a shortfall"),
            "{}",
            rejected.text()
        );
    }
    assert!(!host.check(&["cibadmin", "--query"]).unwrap().stdout.contains("gnt-ha-"), "nothing was made");
    host.check(&[&timeout[..], &["--delete"]].concat()).unwrap();
}

/// Without a configuration no host could fence: fencing is not switched on then. A user who is not root gets
/// no findings about files and daemons that he may not see.
fn assert_what_is_missing_is_named(host: &Host) {
    let away = format!("{CONFIG}.away");
    host.check(&["mv", CONFIG, &away]).unwrap();
    let refused = setup(host, &["--apply"]);
    assert!(refused.code == 2 && refused.stderr.contains(&format!("there is no {CONFIG}")), "{}", refused.text());
    assert!(!host.check(&["cibadmin", "--query"]).unwrap().stdout.contains("gnt-ha-fence"));
    host.check(&["mv", &away, CONFIG]).unwrap();
    for command in ["status", "check", "setup"] {
        let as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", GNT_HA, command];
        let refused = host.run(&as_user).unwrap();
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.text());
        assert!(refused.stderr.starts_with("gnt-ha: run it as root: "), "{}", refused.text());
    }
}

/// Two commands lead from two running clusters to a `check` without findings. The configuration works as intended. A
/// second run changes nothing, and `setup` can remove the configuration, while Ganeti runs on.
#[test]
fn two_commands_protect_a_cluster_and_two_give_it_back() {
    let lab = Scene::bare("setup", 3);
    let host = lab.host("n1").unwrap();
    let shown = setup(&host, &[]);
    println!("{}", shown.text());
    assert_eq!(shown.code, 1, "{}", shown.text());
    assert!(shown.stdout.contains("+ add        fence device for every node\n"), "{}", shown.text());
    assert_eq!(setup(&host, &["--json"]).code, 1, "the first run changed nothing");

    assert_shortfalls_are_rejected(&host);

    let elsewhere = setup(&lab.host("n2").unwrap(), &["--apply"]);
    assert_eq!(elsewhere.code, 2, "{}", elsewhere.text());
    assert!(elsewhere.stderr.contains("nothing was changed") && elsewhere.stderr.contains("run this on n1.lab"));

    assert_what_is_missing_is_named(&host);

    let applied = setup(&host, &["--apply"]);
    assert!(applied.success(), "{applied:?}");
    let scene = Scene::with_lab(lab, Roles::Promotable);
    wait_for_the_device(&scene);
    let again = setup(&host, &[]);
    assert!(again.success() && again.stdout.contains("Pacemaker has everything that it needs"), "{}", again.text());
    scene.wait("check is green", 60, || Ok(host.run(&[GNT_HA, "check"])?.success()));
    assert_eq!(findings(&host), Value::Array(Vec::new()));

    assert_each_is_found_and_fixed(&scene);
    assert_other_candidates_are_checked(&scene);
    install_hooks(&scene.lab).unwrap();
    assert_verify_shows_findings(&scene);
    assert_nodes_report_whether_they_may_fence(&scene);
    offline_by_hand::put_on_standby_until_it_is_back(&scene);
    offline_by_hand::fenced_once_where_the_tag_says_so(&scene);
    record_alerts(&scene);
    assert!(setup(&host, &[]).success(), "recipients are the administrator's");

    // A host publishes its score at a monitor.
    scene.wait("others offer themselves", 60, || Ok(host.run(&[GNT_HA, "rehearse", "n1"])?.success()));
    let rehearsed = host.run(&[GNT_HA, "rehearse", "n1"]).unwrap();
    println!("{}", rehearsed.text());
    assert!(rehearsed.success() && rehearsed.stdout.contains("fences n1.lab (reboot)\n"), "{}", rehearsed.text());
    assert!(rehearsed.stdout.contains("offline"), "{}", rehearsed.text());
    let seen = "about 3.6 s  sees that it is gone (token 1650 ms + consensus 1980 ms)\n";
    assert!(rehearsed.stdout.contains(seen), "{}", rehearsed.text());
    let new = scene.kill_the_master("n1");
    assert!(rehearsed.stdout.contains(&format!("promote gnt-ha-master on {new}.lab\n")), "not as it was rehearsed");
    // Pacemaker's own default: the host is rebooted.
    scene.wait("n1 is back", 60, || Ok(scene.lab.crm_mon()?.is_online("n1")));
    scene.settle();
    scene.assert_only_fenced(&["n1", "n3"]);
    assert_eq!(scene.serving(), [new.as_str()]);
    let alerts = alerts(&scene);
    println!("{}", alerts.join("\n"));
    let count = |words: &str| alerts.iter().filter(|line| line.contains(words)).count();
    assert_eq!((count("n1.lab was fenced: "), count("NOT fenced")), (1, 0), "{alerts:?}");
    assert_eq!(count(&format!("gnt-ha-master was promoted on {new}.lab")), 1, "{alerts:?}");
    assert!(count("n1.lab has left the cluster's membership, and may still run") > 0, "{alerts:?}");
    let master = scene.host(&new);

    let healthy = setup(&master, &["--health", "--apply"]);
    assert!(healthy.success(), "{}", healthy.text());
    assert!(setup(&master, &["--health"]).success(), "{}", setup(&master, &["--health"]).text());
    assert!(master.check(&["gnt-cluster", "list-tags"]).unwrap().stdout.contains("ocf:health:on"));

    let kept = setup(&master, &["--remove", "--apply"]);
    assert!(kept.code == 2 && kept.stderr.contains("maintenance-mode"), "{}", kept.text());
    let maintenance = ["crm_attribute", "--type", "crm_config", "--name", "maintenance-mode"];
    master.check(&[&maintenance[..], &["--update", "true"]].concat()).unwrap();
    let removed = setup(&master, &["--remove", "--apply"]);
    assert!(removed.success(), "{}", removed.text());
    assert!(removed.stdout.contains("gnt-cluster remove-tags ocf:health:on"), "{}", removed.text());
    master.check(&["crm_resource", "--refresh"]).unwrap();
    scene.wait("Pacemaker has forgotten them", 60, || Ok(scene.lab.crm_mon()?.resources.is_empty()));
    master.check(&[&maintenance[..], &["--delete"]].concat()).unwrap();
    scene.settle();
    assert_eq!(scene.serving(), [new.as_str()], "Ganeti runs on");
    assert_eq!(setup(&master, &["--remove"]).code, 0);
    forms::each_is_so(&scene, &master, Roles::Promotable);
}

/// Clusters of two nodes get a delay for the current master. If the two lose each other, both have quorum, and both
/// fence: the master's fencing comes first.
#[test]
fn of_two_nodes_that_lose_each_other_the_master_stays() {
    let lab = Scene::bare("setup-two", 2);
    let host = lab.host("n1").unwrap();
    follow(include_str!("../../../../../docs/howto/two-nodes.md"), &lab, &host);
    let scene = Scene::with_lab(lab, Roles::Promotable);
    wait_for_the_device(&scene);
    let again = setup(&host, &[]);
    assert!(again.success(), "{}", again.text());

    // Each still reaches the other's BMC.
    let other = scene.host("n2");
    scene.lab.block(&[(host.clone(), other.clone()), (other, host)]).unwrap();
    scene.wait_fenced("n2", 60);
    scene.lab.block(&[]).unwrap();
    scene.wait_back("n2");
    scene.settle();
    scene.assert_only_fenced(&["n2"]);
    assert_eq!((scene.serving(), scene.with_master_ip()), (vec!["n1".to_owned()], vec!["n1".to_owned()]));
    forms::each_is_so(&scene, &scene.host("n1"), Roles::Promotable);
}
