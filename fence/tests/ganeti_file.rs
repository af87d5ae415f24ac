//! Ganeti's `config.data`: complete, half-written, of another version, or absent.

mod common;

use common::Cluster;
use serde_json::json;

/// With a half-written file, a node must never count as missing, nor its program as unset.
#[test]
fn a_half_written_configuration_fences_no_node() {
    let whole = Cluster::new().config().to_string().into_bytes();
    for cut in [0, 1, 20, whole.len() / 4, whole.len() / 2, whole.len() - 2, whole.len() - 1] {
        let cluster = Cluster::new();
        cluster.write_config_text(&whole[..cut]);
        for lines in
            ["action=off\nplug=n2.lab", "action=off\nplug=n9.lab\nmissing_as_off=1", "action=list", "action=monitor"]
        {
            cluster.pacemaker(lines).failed(&["config.data", "not Ganeti's configuration"]);
        }
        assert!(cluster.calls().is_empty());
    }
}

/// A version of Ganeti that this program does not know may give the same keys another meaning.
#[test]
fn other_versions_and_empty_clusters_are_refused() {
    let cluster = Cluster::new();
    let mut config = cluster.config();
    config["version"] = json!(4_000_000);
    cluster.write_config(&config);
    cluster.pacemaker("action=off\nplug=n2.lab").failed(&["n2.lab", "version is 4000000"]);
    let mut config = cluster.config();
    config["nodes"] = json!({});
    cluster.write_config(&config);
    cluster.pacemaker("action=off\nplug=n2.lab").failed(&["n2.lab", "has no node"]);
}

/// A host that is not a master candidate fences with `oob_program=`, by the name that Pacemaker gives.
#[test]
fn without_the_file_and_a_copy_only_oob_program_helps() {
    let cluster = Cluster::new();
    std::fs::remove_file(cluster.path("data/config.data")).unwrap();
    let ran = cluster.pacemaker("action=off\nplug=n2.lab");
    ran.failed(&["n2.lab", "not a master candidate", "oob_program="]);
    assert_eq!(cluster.power("n2.lab"), "on");

    let option = format!("oob_program={}", cluster.path("oob").display());
    cluster.pacemaker(&format!("action=monitor\n{option}")).succeeded();
    cluster.pacemaker(&format!("action=validate-all\n{option}")).succeeded();
    cluster.pacemaker(&format!("action=off\nplug=n2.lab\n{option}")).succeeded().printed("Success: Powered OFF\n");
    cluster.pacemaker(&format!("action=list\n{option}")).failed(&["cannot list nodes", "ssconf_node_list"]);
    cluster.pacemaker("action=monitor\noob_program=/nonexistent").failed(&["/nonexistent"]);
}

/// After the death of the candidates, another host fences by the copy. It accepts the full and the short name, runs
/// each node's own program, and fences no node that the copy does not have.
#[test]
fn a_host_that_is_no_candidate_fences_by_the_copy() {
    let cluster = Cluster::new();
    let own = cluster.program("own", "echo own >> who");
    let cib = cluster.regular(&format!("{},n1.lab,{},n2.lab", cluster.path("oob").display(), own.display()));
    cluster.pacemaker(&format!("action=monitor\n{cib}")).succeeded();
    cluster.pacemaker(&format!("action=validate-all\n{cib}")).succeeded();
    cluster.pacemaker(&format!("action=list\n{cib}")).succeeded().printed("n1.lab,n1\nn2.lab,n2\n");
    cluster
        .pacemaker(&format!("action=off\nplug=n2\nnodename=n2\n{cib}"))
        .succeeded()
        .printed("Success: Powered OFF\n");
    assert_eq!((cluster.power("n2.lab").as_str(), cluster.power("n1.lab").as_str()), ("off", "on"));
    assert!(cluster.text("who").starts_with("own\n"), "n2 has a program of its own");
    cluster
        .pacemaker(&format!("action=off\nplug=n3.lab\n{cib}"))
        .failed(&["n3.lab", "it has no OOB program, or was added since"]);
    cluster.pacemaker(&format!("action=off\nplug=n4.lab\n{cib}")).failed(&["no node n4.lab"]);
    cluster.pacemaker(&format!("action=off\nplug=n4.lab\nmissing_as_off=1\n{cib}")).failed(&["no node n4.lab"]);
    cluster.pacemaker(&format!("action=off\nplug=n1.lab\nnodename=n2.lab\n{cib}")).failed(&["Pacemaker names n2.lab"]);
    assert_eq!(cluster.power("n3.lab"), "on");
    // Pacemaker's fencer must not choose a host that cannot fence.
    std::fs::remove_file(own).unwrap();
    let words = [
        "this host is not a master candidate (it has no config.data, or Pacemaker's configuration does not name it as one), and cannot fence: there is no OOB program",
    ];
    cluster.pacemaker(&format!("action=list\n{cib}")).failed(&["cannot list nodes", words[0]]);
    cluster.pacemaker(&format!("action=monitor\n{cib}")).failed(&words);
}

/// A host that is not a candidate needs data in Pacemaker's configuration: if that cannot be read, the error names it.
#[test]
fn without_pacemakers_configuration_it_says_what_is_missing() {
    let cluster = Cluster::new();
    let cib = cluster.regular("");
    std::fs::remove_file(cluster.path("cib.xml")).unwrap();
    let words = ["this host is not a master candidate", "cib.xml: have Pacemaker run here as a full member"];
    cluster.pacemaker(&format!("action=off\nplug=n2.lab\n{cib}")).failed(&["n2.lab", words[0], words[1]]);
    cluster.pacemaker(&format!("action=list\n{cib}")).failed(&words);
}

/// `ganeti-oob` needs `config.toml` on such a host. An older one may name another machine for a node, and this host has
/// none.
#[test]
fn our_program_is_not_run_without_the_masters_configuration() {
    let cluster = Cluster::new();
    let ours = cluster.program("ganeti-oob", "");
    let cib = cluster.regular(&format!("{},n1.lab,n2.lab", ours.display()));
    let option = format!("oob_program={}\n{cib}", ours.display());
    for lines in [format!("action=off\nplug=n2.lab\n{cib}"), format!("action=off\nplug=n2.lab\n{option}")] {
        cluster.pacemaker(&lines).failed(&["n2.lab", "config.toml", "gnt-ha-config-digest", "gnt-ha setup --apply"]);
    }
    for lines in [format!("action=list\n{cib}"), format!("action=monitor\n{cib}"), format!("action=monitor\n{option}")]
    {
        cluster.pacemaker(&lines).failed(&["config.toml", "gnt-ha-config-digest"]);
    }
    assert_eq!((cluster.power("n2.lab").as_str(), cluster.calls().len()), ("on", 0));
}

/// A lost candidate returns with an old `config.data` and an old `config.toml`. The copy in Pacemaker's configuration
/// does not name it as a candidate, so it does not run `ganeti-oob` without the right file.
#[test]
fn a_candidate_that_was_lost_fences_as_a_regular_node_when_it_is_back() {
    let cluster = Cluster::new();
    let ours = cluster.program("ganeti-oob", "");
    let here = format!("{}.lab", gnt_ha::sys::identity::host().split('.').next().unwrap());
    let mut config = cluster.config();
    config["nodes"]["u4"] = serde_json::json!({"name": here, "group": "g1", "master_candidate": true, "ndparams": {}});
    config["cluster"]["ndparams"]["oob_program"] = serde_json::json!(ours);
    for (mark, may) in [("", false), ("+", true)] {
        let cib = cluster.regular(&format!("{},n1.lab+,n2.lab,{here}{mark}", ours.display()));
        cluster.write_config(&config);
        let ran = cluster.pacemaker(&format!("action=off\nplug=n2.lab\n{cib}"));
        if may {
            ran.succeeded();
        } else {
            ran.failed(&["n2.lab", "this host is not a master candidate", "config.toml"]);
        }
        assert_eq!(cluster.power("n2.lab"), if may { "off" } else { "on" });
    }
}

/// With the option `oob_program` the node list suffices: short names match Ganeti's nodes there, too.
#[test]
fn by_option_the_node_list_is_enough() {
    let cluster = Cluster::new();
    let cib = cluster.regular("");
    cluster.pacemaker(&format!("action=list\n{cib}")).failed(&["not a master candidate"]);
    let option = format!("oob_program={}\n{cib}", cluster.path("oob").display());
    cluster.pacemaker(&format!("action=list\n{option}")).succeeded().printed("n1.lab,n1\nn2.lab,n2\nn3.lab,n3\n");
    cluster.pacemaker(&format!("action=off\nplug=n2\n{option}")).succeeded();
    assert_eq!(cluster.power("n2.lab"), "off");
    // A name that the list does not have is another machine's: the program might read it as that of a node.
    cluster.pacemaker(&format!("action=off\nplug=n3.other\n{option}")).failed(&["n3.other"]);
    assert_eq!(cluster.power("n3.lab"), "on");
}

/// A configuration that exists and cannot be read may contradict the copy.
#[test]
fn the_copy_is_no_way_around_a_configuration() {
    let cluster = Cluster::new();
    let cib = cluster.regular(&format!("{},n1.lab,n2.lab,n3.lab", cluster.path("oob").display()));
    cluster.write_config_text(b"{");
    for lines in ["action=off\nplug=n2.lab", "action=list", "action=monitor"] {
        cluster.pacemaker(&format!("{lines}\n{cib}")).failed(&["config.data"]);
    }
    assert_eq!(cluster.power("n2.lab"), "on");
}

/// `lib/objects.py`, `FillND`: the node's value precedes the group's, which precedes the cluster's.
#[test]
fn the_nearest_program_is_run() {
    let cluster = Cluster::new();
    let group = cluster.program("group-oob", "echo group >> who");
    let node = cluster.program("node-oob", "echo node >> who");
    let mut config = cluster.config();
    config["nodegroups"]["g1"]["ndparams"]["oob_program"] = json!(group);
    cluster.write_config(&config);
    cluster.pacemaker("action=status\nplug=n2.lab").succeeded();
    config["nodes"]["u2"]["ndparams"]["oob_program"] = json!(node);
    cluster.write_config(&config);
    cluster.pacemaker("action=status\nplug=n2.lab").succeeded();
    assert_eq!(cluster.text("who"), "group\nnode\n");
}

/// A dead master records nothing, and can be fenced nevertheless: the record is best effort.
#[test]
fn the_master_itself_can_be_fenced() {
    let cluster = Cluster::new();
    cluster.pacemaker("action=off\nplug=n1.lab").succeeded().printed("Success: Powered OFF\n");
    let record = cluster.receipt()["record"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(record.starts_with("not recorded here: "), "{record}");
}

/// A node that is recorded offline already can be fenced and switched on: the flags of the record decide nothing.
#[test]
fn an_offline_node_can_be_fenced() {
    let cluster = Cluster::new();
    let mut config = cluster.config();
    config["nodes"]["u2"]["offline"] = json!(true);
    config["nodes"]["u2"]["powered"] = json!(false);
    cluster.write_config(&config);
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Powered OFF\n");
    assert_eq!(cluster.power("n2.lab"), "off");
}
