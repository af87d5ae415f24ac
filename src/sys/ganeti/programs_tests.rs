//! Hosts that have what a fencing needs, and hosts that lack a part of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A host: its Ganeti files, its copy of Pacemaker's configuration, its programs.
struct Host(tempfile::TempDir);

impl Host {
    /// A regular node that has everything.
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
        host.cib(&host.path("ganeti-oob").display().to_string(), "");
        host
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

    fn cib(&self, programs: &str, parameter: &str) {
        let text = format!(
            "<cib><configuration><crm_config><cluster_property_set id=\"s\"><nvpair id=\"p\" name=\"gnt-ha-oob-programs\" \
             value=\"{programs}\"/></cluster_property_set></crm_config><resources><primitive id=\"f\" class=\"stonith\" \
             type=\"fence_ganeti\"><instance_attributes id=\"i\">{parameter}</instance_attributes></primitive></resources>\
             </configuration></cib>"
        );
        fs::write(self.path("cib.xml"), text).unwrap();
    }

    /// Ganeti's configuration, which makes it a candidate.
    fn candidate(&self) {
        let text = serde_json::json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1",
            "ndparams": {"oob_program": self.path("ganeti-oob")}}, "nodegroups": {"g": {}},
            "nodes": {"u1": {"name": "n1.lab", "group": "g", "master_candidate": true}}});
        fs::write(self.path("config.data"), text.to_string()).unwrap();
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

/// Each part of what is needed, taken away.
#[test]
fn who_lacks_a_part_of_it_may_not() {
    type Plant = fn(&Host);
    let plants: [(&str, Plant); 8] = [
        ("no copy", |host| host.cib("", "")),
        ("another program, not here", |host| host.cib("/nonexistent/oob", "")),
        ("a node's own program, not here", |host| {
            host.cib(&format!("{},n2.lab=/nonexistent/oob", host.path("ganeti-oob").display()), "");
        }),
        ("program not executable", |host| host.mode("ganeti-oob", 0o644)),
        ("no configuration", |host| fs::remove_file(host.path("config.toml")).unwrap()),
        ("a wrong configuration", |host| host.config("[defalut]\n")),
        ("no secret", |host| fs::remove_file(host.path("secret")).unwrap()),
        ("nothing but orders that only candidates give", |host| {
            host.config("[devices.others]\ndriver = \"shun\"\n[default]\nlevels = [[\"others\"]]\n");
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

/// A program of somebody else's needs nothing of ours; the device's parameter counts before the copy.
#[test]
fn the_parameter_and_foreign_programs_need_no_configuration() {
    let host = Host::regular();
    fs::remove_file(host.path("config.toml")).unwrap();
    fs::rename(host.path("ganeti-oob"), host.path("other")).unwrap();
    let other = host.path("other").display().to_string();
    host.cib(&other, "");
    assert_eq!(host.may(), Some(MayFence::Yes));
    host.cib("", &format!("<nvpair id=\"o\" name=\"oob_program\" value=\"{other}\"/>"));
    assert_eq!(host.may(), Some(MayFence::Yes));
}

/// Without a device of ours, without Pacemaker's configuration (a remote node), without Ganeti nothing is said.
#[test]
fn who_does_not_know_says_nothing() {
    let host = Host::regular();
    fs::remove_file(host.path("ssconf_node_list")).unwrap();
    assert_eq!(host.may(), None);
    let host = Host::regular();
    fs::write(host.path("cib.xml"), "<cib><configuration/></cib>").unwrap();
    assert_eq!(host.may(), None);
    fs::remove_file(host.path("cib.xml")).unwrap();
    assert_eq!(host.may(), None);
}
