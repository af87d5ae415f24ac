//! How plugs are matched to nodes: never guessed, and no dangerous text reaches a program.

mod common;

use common::Cluster;

/// fence-agents#316: Pacemaker's name of a node and the device's may differ in their domain. The short name suffices if
/// it belongs to one node only, and case does not matter.
#[test]
fn full_and_short_names_find_the_node() {
    for plug in ["n2.lab", "n2", "N2", "N2.LAB", " n2.lab "] {
        let cluster = Cluster::new();
        cluster.pacemaker(&format!("action=off\nplug={plug}")).succeeded();
        assert_eq!((cluster.power("n2.lab"), cluster.called("power-off n2.lab")), ("off".into(), 1), "{plug}");
    }
}

/// To fence the wrong one of two nodes is worse than to fence none.
#[test]
fn an_ambiguous_short_name_is_refused() {
    let cluster = Cluster::new();
    let mut config = cluster.config();
    config["nodes"]["u3"]["name"] = "n2.example".into();
    cluster.write_config(&config);
    let ran = cluster.pacemaker("action=off\nplug=n2");
    ran.failed(&["n2: off failed: cannot fence it", "n2.example", "n2.lab", "give the full name"]);
    assert!(cluster.calls().is_empty());
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded();
}

/// A full name never matches a node of another domain.
#[test]
fn an_unknown_node_is_refused_and_named() {
    let cluster = Cluster::new();
    for plug in ["n9.lab", "n2.example", "n", "n2.lab.lab"] {
        for action in ["off", "on", "reboot", "status"] {
            cluster.pacemaker(&format!("action={action}\nplug={plug}")).failed(&[plug, "no node"]);
        }
    }
    assert!(cluster.calls().is_empty());
}

/// An empty string at the node is Ganeti's way to opt out (`lib/objects.py`, `FillND`).
#[test]
fn a_node_without_a_program_is_refused_with_the_remedy() {
    let cluster = Cluster::new();
    let mut config = cluster.config();
    config["nodes"]["u2"]["ndparams"]["oob_program"] = "".into();
    cluster.write_config(&config);
    cluster.pacemaker("action=off\nplug=n2.lab").failed(&["n2.lab", "has no OOB program", "oob_program"]);
    cluster.pacemaker("action=off\nplug=n3.lab").succeeded();
    let by_option = format!("action=off\nplug=n2.lab\noob_program={}", cluster.path("oob").display());
    cluster.pacemaker(&by_option).succeeded();
}

/// Names become arguments, file names and rules: only a valid host name is accepted.
#[test]
fn hostile_plugs_are_refused() {
    let long = "n".repeat(300);
    for plug in [
        "n2;reboot",
        "$(reboot)",
        "`id`",
        "../n2",
        "/etc/passwd",
        "-n2",
        "--help",
        "n2 n3",
        "n2\tn3",
        ".",
        "n2..lab",
        "nö",
        "n2|cat",
        &long,
    ] {
        let cluster = Cluster::new();
        cluster.pacemaker(&format!("action=off\nplug={plug}")).failed(&["not a valid node name"]);
        assert!(cluster.calls().is_empty() && cluster.receipt_log().is_empty(), "{plug}");
        // With a program by option and without a configuration, nothing else checks the name.
        std::fs::remove_file(cluster.path("data/config.data")).unwrap();
        let lines = format!("action=off\nplug={plug}\noob_program={}", cluster.path("oob").display());
        cluster.pacemaker(&lines).failed(&["not a valid node name"]);
        assert!(cluster.calls().is_empty(), "{plug}");
    }
    let cluster = Cluster::new();
    cluster.person(&["-o", "off", "-n", "n2.lab\nn3.lab"]).failed(&["not a valid node name"]);
    assert!(cluster.calls().is_empty());
}

/// A list of plugs with a missing or empty one is not the list without it.
#[test]
fn several_plugs_are_all_fenced_or_it_is_a_failure() {
    let cluster = Cluster::new();
    cluster.pacemaker("action=off\nplug=n2.lab,n3").succeeded().printed("Success: Powered OFF\n");
    assert_eq!((cluster.power("n2.lab"), cluster.power("n3.lab")), ("off".into(), "off".into()));
    cluster.pacemaker("action=on\nplug=n2.lab;n3\nplug_separator=;").succeeded().printed("Success: Powered ON\n");

    for (plugs, word) in
        [("n2.lab,", "empty"), (",n2.lab", "empty"), ("n2.lab,n9", "n9"), ("n2.lab,n3;x", "not a valid node name")]
    {
        cluster.pacemaker(&format!("action=off\nplug={plugs}")).failed(&[word]);
    }
}

/// A plug that fails makes the whole action a failure, is named, and does not prevent the fencing of others.
#[test]
fn one_failing_plug_is_named_and_the_others_are_fenced() {
    let cluster = Cluster::with_program(r#"[ "$2" = n3.lab ] && [ "$1" = power-off ] && exit 1"#);
    let ran = cluster.pacemaker("action=off\nplug=n2.lab,n3.lab");
    ran.failed(&["n3.lab", "not proven off"]);
    assert!(!ran.stderr.contains("n2.lab:"), "{ran:?}");
    assert_eq!((cluster.power("n2.lab"), cluster.power("n3.lab")), ("off".into(), "on".into()));
    assert_eq!(cluster.receipt_log().len(), 4, "an intent and a receipt for each");
}

/// Several plugs are off if all of them are, on if one is known to be on, and unknown otherwise.
#[test]
fn the_status_of_several_plugs_is_the_worst_of_them() {
    for (states, code) in [
        (["off", "off"], 2),
        (["on", "off"], 0),
        (["off", "on"], 0),
        (["off", "burning"], 1),
        (["burning", "off"], 1),
        (["on", "burning"], 0),
    ] {
        let cluster = Cluster::new();
        cluster.set_power("n2.lab", states[0]);
        cluster.set_power("n3.lab", states[1]);
        let ran = cluster.pacemaker("action=status\nplug=n2.lab,n3.lab");
        assert_eq!(ran.code, Some(code), "{states:?}: {ran:?}");
    }
}

/// `missing_as_off` applies only to a node that Ganeti certainly does not know.
#[test]
fn missing_as_off_is_for_nodes_that_are_certainly_missing() {
    let cluster = Cluster::new();
    let lines = "action=off\nplug=n9.lab\nmissing_as_off=1";
    let ran = cluster.pacemaker(lines);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "Success: Already OFF\n"));
    ran.stderr_has(&["n9.lab", "missing_as_off"]);
    assert_eq!(cluster.pacemaker("action=status\nplug=n9.lab\nmissing_as_off=1").code, Some(2));
    cluster.pacemaker("action=on\nplug=n9.lab\nmissing_as_off=1").failed(&["n9.lab", "no node"]);
    cluster.pacemaker("action=off\nplug=n9.lab\nmissing_as_off=0").failed(&["n9.lab", "no node"]);

    let mut config = cluster.config();
    config["nodes"]["u3"]["name"] = "n2.example".into();
    cluster.write_config(&config);
    cluster.pacemaker("action=off\nplug=n2\nmissing_as_off=1").failed(&["n2", "give the full name"]);
    cluster.write_config_text(b"{\"version\": 3000000");
    cluster.pacemaker(lines).failed(&["n9.lab", "config.data"]);
    std::fs::remove_file(cluster.path("data/config.data")).unwrap();
    cluster.pacemaker(lines).failed(&["n9.lab", "config.data"]);
}
