//! Hosts that have what fencing needs, and hosts that lack a part of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A host with its Ganeti files, its copy of Pacemaker's configuration and its programs.
struct Host(tempfile::TempDir);

impl Host {
    /// Returns a regular node that lacks nothing.
    fn regular() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::write(host.path("ssconf_node_list"), "n1.lab\nn2.lab\nn3.lab\n").unwrap();
        fs::write(host.path("ganeti-oob"), "#!/bin/sh\n").unwrap();
        host.mode("ganeti-oob", 0o755);
        fs::write(host.path("secret"), "s\n").unwrap();
        host.mode("secret", 0o600);
        let secret = host.path("secret").display().to_string();
        host.config(&format!(
            "[devices.bmc]\ndriver = \"ipmi\"\naddress = \"{{short}}.bmc\"\nusername = \"u\"\npassword_file = \"{secret}\"\n\
             [default]\nlevels = [[\"bmc\"]]\n"
        ));
        host.cib(&host.copy(), "");
        host
    }

    /// Returns the copy in the form of `gnt-ha setup`.
    fn copy(&self) -> String {
        format!("{},n1.lab,n2.lab,n3.lab", self.path("ganeti-oob").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn config(&self, text: &str) {
        fs::write(self.path("config.toml"), text).unwrap();
        self.mode("config.toml", 0o644);
    }

    /// Writes Pacemaker's configuration with the digest of the current configuration on this host.
    fn cib(&self, programs: &str, parameter: &str) {
        let here = config_file::load(&self.path("config.toml"))
            .map_or_else(|_| String::new(), |config| config.digest().to_string());
        self.cib_with(programs, &here, parameter);
    }

    fn cib_with(&self, programs: &str, digest: &str, parameter: &str) {
        let text = format!(
            "<cib><configuration><crm_config><cluster_property_set id=\"s\"><nvpair id=\"p\" name=\"gnt-ha-oob-programs\" \
             value=\"{programs}\"/><nvpair id=\"d\" name=\"gnt-ha-config-digest\" value=\"{digest}\"/>\
             </cluster_property_set></crm_config><resources><primitive id=\"f\" class=\"stonith\" \
             type=\"fence_ganeti\"><instance_attributes id=\"i\">{parameter}</instance_attributes></primitive></resources>\
             </configuration></cib>"
        );
        fs::write(self.path("cib.xml"), text).unwrap();
    }

    /// Writes Ganeti's configuration, which makes the host a master candidate.
    fn candidate(&self) {
        let text = serde_json::json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1",
            "ndparams": {"oob_program": self.path("ganeti-oob")}}, "nodegroups": {"g": {}},
            "nodes": {"u1": {"name": "n1.lab", "group": "g", "master_candidate": true}}});
        fs::write(self.path("config.data"), text.to_string()).unwrap();
    }

    /// Changes the configuration, so that it differs from that of Ganeti's master: it names the BMC of another machine.
    fn make_older(&self) {
        let text = fs::read_to_string(self.path("config.toml")).unwrap();
        self.config(&text.replace("{short}.bmc", "{short}.old-bmc"));
    }

    fn lacks(&self) -> MissingRequirement {
        let copy = Copy::read(self.0.path(), &self.path("cib.xml"));
        let programs = copy.with_program(None);
        programs.and_then(|programs| able(programs, Some(&copy), &self.path("config.toml"))).unwrap_err()
    }

    fn may(&self) -> Option<MayFence> {
        may_fence(self.0.path(), &self.path("cib.xml"), &self.path("config.toml"))
    }
}

#[test]
fn who_has_what_is_needed_may_fence_and_candidates_first() {
    let host = Host::regular();
    assert_eq!(host.may(), Some(MayFence::Yes));
    host.candidate();
    assert_eq!(host.may(), Some(MayFence::Candidate));
    assert!(MayFence::Candidate > MayFence::Yes && MayFence::Yes > MayFence::No);
}

/// Each case removes one part of what is needed.
#[test]
fn who_lacks_a_part_of_it_may_not() {
    type Plant = fn(&Host);
    let plants: [(&str, Plant); 12] = [
        ("no copy", |host| host.cib("", "")),
        ("a copy of an earlier version", |host| host.cib(&host.path("ganeti-oob").display().to_string(), "")),
        ("another program, not here", |host| host.cib("/nonexistent/oob,n1.lab,n2.lab", "")),
        ("a node's own program, not here", |host| {
            host.cib(&format!("{},n1.lab,/nonexistent/oob,n2.lab", host.path("ganeti-oob").display()), "");
        }),
        ("no digest of the configuration", |host| host.cib_with(&host.copy(), "", "")),
        ("an older configuration", Host::make_older),
        ("an older one, and the program by option", |host| {
            let option = host.path("ganeti-oob").display().to_string();
            host.cib("", &format!("<nvpair id=\"o\" name=\"oob_program\" value=\"{option}\"/>"));
            host.make_older();
        }),
        ("program not executable", |host| host.mode("ganeti-oob", 0o644)),
        ("no configuration", |host| fs::remove_file(host.path("config.toml")).unwrap()),
        ("a wrong configuration", |host| host.config("[defalut]\n")),
        ("no secret", |host| fs::remove_file(host.path("secret")).unwrap()),
        ("nothing but orders that only candidates give", |host| {
            host.config("[devices.shun]\ndriver = \"shun\"\n[default]\nlevels = [[\"shun\"]]\n");
        }),
    ];
    for (what, plant) in plants {
        let host = Host::regular();
        plant(&host);
        assert_eq!(host.may(), Some(MayFence::No), "{what}");
    }
    let host = Host::regular();
    fs::write(host.path("config.data"), "{").unwrap();
    assert_eq!(host.may(), Some(MayFence::No), "half a configuration");
}

/// The error names the missing file and the next step.
#[test]
fn the_error_names_what_is_missing_and_the_next_step() {
    let assert_lacks = |plant: &dyn Fn(&Host), words: &[&str]| {
        let host = Host::regular();
        plant(&host);
        let lacks = host.lacks().to_string();
        assert!(words.iter().all(|word| lacks.contains(word)), "{lacks}: {words:?}");
    };
    assert_lacks(&|host| fs::remove_file(host.path("ssconf_node_list")).unwrap(), &["ssconf_node_list"]);
    assert_lacks(
        &|host| fs::remove_file(host.path("cib.xml")).unwrap(),
        &["there is no /", "cib.xml", "have Pacemaker run here"],
    );
    assert_lacks(&|host| fs::write(host.path("cib.xml"), "<cib>").unwrap(), &["cib.xml cannot be used: "]);
    assert_lacks(&|host| host.cib("", ""), &["gnt-ha-oob-programs", "gnt-ha setup --apply"]);
    assert_lacks(
        &|host| host.cib_with(&host.copy(), "", ""),
        &["config.toml", "gnt-ha-config-digest", "gnt-ha setup --apply"],
    );
    let copied = ["config.toml", "gnt-cluster copyfile /"];
    assert_lacks(&|host| fs::remove_file(host.path("config.toml")).unwrap(), &copied);
    assert_lacks(
        &Host::make_older,
        &[&copied[..], &["differs from the file with which gnt-ha setup --apply was last run"]].concat(),
    );
    assert_lacks(&|host| fs::remove_file(host.path("secret")).unwrap(), &["config.toml", "the secrets"]);
    let host = Host::regular();
    let copy = Copy::read(host.0.path(), &host.path("cib.xml"));
    let added = NodeName::new("n4.lab").unwrap();
    assert_eq!(copy.of_node(&added), Err(MissingRequirement::Node(added)));
}

/// A comment or a host's own watchdog does not make another configuration. A candidate fences by its own file;
/// `gnt-ha check` compares the files of candidates.
#[test]
fn only_what_names_machines_is_compared_and_only_on_regular_hosts() {
    let host = Host::regular();
    let text = fs::read_to_string(host.path("config.toml")).unwrap();
    host.config(&format!("# A comment.\n{text}[self_fence]\nwatchdog_device = \"/dev/watchdog1\"\n"));
    assert_eq!(host.may(), Some(MayFence::Yes));
    host.make_older();
    assert_eq!(host.may(), Some(MayFence::No));
    host.candidate();
    assert_eq!(host.may(), Some(MayFence::Candidate));
}

/// A candidate that fences by another configuration reports it; if the files cannot be compared, there is no report.
#[test]
fn another_configuration_differs_from_one_that_is_not_known() {
    let host = Host::regular();
    let contradicts = || Copy::read(host.0.path(), &host.path("cib.xml")).contradicts(&host.path("config.toml"));
    assert!(!contradicts());
    host.make_older();
    assert!(contradicts());
    host.cib_with(&host.copy(), "", "");
    assert!(!contradicts(), "no digest");
    host.cib(&host.copy(), "");
    fs::remove_file(host.path("config.toml")).unwrap();
    assert!(!contradicts(), "no configuration");
}

/// A candidate is lost, `config.toml` changes on all other hosts, and the host returns with both old files, as Ganeti
/// sends nothing to an offline node. By the copy, which Pacemaker gives to each member, it is not a candidate. It
/// compares its file as a regular node does.
#[test]
fn a_host_that_was_a_candidate_when_it_was_lost_is_none_when_it_is_back() {
    let host = Host::regular();
    let here = format!("{}.lab", identity::host().split('.').next().unwrap());
    let text = serde_json::json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1",
        "ndparams": {"oob_program": host.path("ganeti-oob")}}, "nodegroups": {"g": {}},
        "nodes": {"u1": {"name": "n1.lab", "group": "g", "master_candidate": true},
                  "u2": {"name": here, "group": "g", "master_candidate": true}}});
    fs::write(host.path("config.data"), text.to_string()).unwrap();
    let program = host.path("ganeti-oob").display().to_string();
    let copy = |mark: &str| host.cib(&format!("{program},n1.lab+,{here}{mark}"), "");
    copy("+");
    assert_eq!(host.may(), Some(MayFence::Candidate));
    copy("");
    assert_eq!(host.may(), Some(MayFence::Yes), "with the right file");
    host.make_older();
    assert_eq!(host.may(), Some(MayFence::No), "with an old one");
    copy("+");
    assert_eq!(host.may(), Some(MayFence::Candidate), "Ganeti has it as one again");
}

/// If our program has another configuration, nodes with a foreign program are fenced nevertheless.
#[test]
fn another_configuration_takes_only_the_nodes_that_it_is_read_for() {
    let host = Host::regular();
    fs::copy(host.path("ganeti-oob"), host.path("other")).unwrap();
    host.cib(&format!("{},n1.lab,{},n2.lab", host.path("ganeti-oob").display(), host.path("other").display()), "");
    let able = || {
        let copy = Copy::read(host.0.path(), &host.path("cib.xml"));
        let all = able(copy.with_program(None).unwrap(), Some(&copy), &host.path("config.toml")).unwrap();
        all.into_iter().map(|(node, _)| node.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(able(), ["n1.lab", "n2.lab"], "n3.lab is not named");
    host.make_older();
    assert_eq!(able(), ["n2.lab"]);
}

/// A foreign program needs no file of ours; the device's parameter takes precedence over the copy.
#[test]
fn the_parameter_and_foreign_programs_need_no_configuration() {
    let host = Host::regular();
    fs::remove_file(host.path("config.toml")).unwrap();
    fs::rename(host.path("ganeti-oob"), host.path("other")).unwrap();
    let other = host.path("other").display().to_string();
    host.cib(&format!("{other},n1.lab"), "");
    assert_eq!(host.may(), Some(MayFence::Yes));
    host.cib("", &format!("<nvpair id=\"o\" name=\"oob_program\" value=\"{other}\"/>"));
    assert_eq!(host.may(), Some(MayFence::Yes));
}

/// The result is unknown without a device of ours, without Pacemaker's configuration (a remote node), or without
/// Ganeti.
#[test]
fn a_host_without_the_input_reports_nothing() {
    let host = Host::regular();
    fs::remove_file(host.path("ssconf_node_list")).unwrap();
    assert_eq!(host.may(), None);
    let host = Host::regular();
    fs::write(host.path("cib.xml"), "<cib><configuration/></cib>").unwrap();
    assert_eq!(host.may(), None);
    fs::remove_file(host.path("cib.xml")).unwrap();
    assert_eq!(host.may(), None);
}

/// Without this check, both survivors report that they can fence, and then do not run the program: the master stays UNCLEAN.
#[test]
fn a_host_whose_program_others_can_replace_does_not_report_that_it_can_fence() {
    let host = Host::regular();
    fs::create_dir(host.path("bin")).unwrap();
    host.mode("bin", 0o755);
    fs::write(host.path("bin/power"), "#!/bin/sh\n").unwrap();
    host.mode("bin/power", 0o755);
    let program = host.path("bin/power");
    host.config(&format!(
        "[devices.power]\ndriver = \"exec\"\nprogram = \"{}\"\n[default]\nlevels = [[\"power\"]]\n",
        program.display()
    ));
    host.cib(&host.copy(), "");
    assert_eq!(host.may(), Some(MayFence::Yes));
    host.mode("bin", 0o775);
    assert_eq!(host.may(), Some(MayFence::No), "its group can replace the program");
    host.mode("bin", 0o755);
    fs::remove_file(&program).unwrap();
    assert_eq!(host.may(), Some(MayFence::No), "it is absent");
}

/// The driver redfish needs a program of the package beside ganeti-oob.
#[test]
fn a_host_without_redfish_call_switches_nothing_by_redfish() {
    let host = Host::regular();
    host.config(&fs::read_to_string(host.path("config.toml")).unwrap().replace("\"ipmi\"", "\"redfish\""));
    host.cib(&host.copy(), "");
    if check_program(&redfish_call()).is_ok() {
        assert_eq!(host.may(), Some(MayFence::Yes));
    } else {
        assert!(host.lacks().to_string().contains("redfish-call of the package gnt-ha"));
    }
}
