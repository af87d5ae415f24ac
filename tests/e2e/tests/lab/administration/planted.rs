//! Plants faults in a working cluster, one after the other: `gnt-ha check` finds each, and only it, and its fix removes
//! the fault.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::install::GNT_HA;
use lab::Host;
use serde_json::Value;

use crate::support::cluster::Scene;

/// The most that a change takes until it is in the files of Pacemaker and Ganeti, and until each host has published
/// again whether it may fence, which a monitor does every 30 s.
const SHOWS: Duration = Duration::from_secs(60);

/// The fix of a fault.
enum Fix {
    /// This command, which the finding has to print, run on Ganeti's master.
    Shown(&'static str),
    /// The finding describes the fix; this is its form for a shell on the host of the fault.
    Words(&'static str),
}
use Fix::{Shown, Words};

/// One fault: the rule that finds it, the host on which it is planted and checked for, and the shell command that
/// plants it.
type Fault = (&'static str, &'static str, &'static str, Fix);

const SETUP: &str = "gnt-ha setup --apply";

/// Each fault is planted in a cluster that `gnt-ha setup` has made, with n1 as Ganeti's master.
const FAULTS: &[Fault] = &[
    // Faults of Pacemaker's properties.
    (
        "fencing-disabled",
        "n1",
        "crm_attribute --name stonith-enabled --update false",
        Shown("crm_attribute --name stonith-enabled --update true"),
    ),
    (
        "startup-fencing-disabled",
        "n1",
        "crm_attribute --name startup-fencing --update false",
        Shown("crm_attribute --name startup-fencing --delete"),
    ),
    (
        "quorum-ignored",
        "n1",
        "crm_attribute --name no-quorum-policy --update ignore",
        Shown("crm_attribute --name no-quorum-policy --update stop"),
    ),
    (
        "maintenance",
        "n1",
        "crm_attribute --name maintenance-mode --update true",
        Shown("crm_attribute --name maintenance-mode --delete"),
    ),
    (
        "concurrent-fencing-off",
        "n1",
        "crm_attribute --name concurrent-fencing --update false",
        Shown("crm_attribute --name concurrent-fencing --update true"),
    ),
    (
        "budget",
        "n1",
        "crm_attribute --name stonith-timeout --update 10s",
        Shown("crm_attribute --name stonith-timeout --update 72s"),
    ),
    // Faults of the fence device.
    (
        "no-device",
        "n1",
        // References to it are deleted first.
        "cibadmin --delete --xml-text '<rsc_location id=\"gnt-ha-fence-by-score\"/>' && \
         cibadmin --delete --xml-text '<primitive id=\"gnt-ha-fence\"/>'",
        Shown(SETUP),
    ),
    (
        "device-stopped",
        "n1",
        "crm_resource --resource gnt-ha-fence --meta --set-parameter target-role --parameter-value Stopped",
        Shown("crm_resource --resource gnt-ha-fence --meta --delete-parameter target-role"),
    ),
    (
        "device-misses-node",
        "n1",
        "crm_resource --resource gnt-ha-fence --set-parameter pcmk_host_list --parameter-value 'n1.lab n2.lab'",
        Words("crm_resource --resource gnt-ha-fence --delete-parameter pcmk_host_list"),
    ),
    (
        "device-action-limit",
        "n1",
        "crm_resource --resource gnt-ha-fence --set-parameter pcmk_action_limit --parameter-value 1",
        Shown("crm_resource --resource gnt-ha-fence --set-parameter pcmk_action_limit --parameter-value=-1"),
    ),
    (
        "device-accepts-isolated",
        "n1",
        "crm_resource --resource gnt-ha-fence --set-parameter minimum_grade --parameter-value isolated",
        Shown("crm_resource --resource gnt-ha-fence --delete-parameter minimum_grade"),
    ),
    ("device-no-monitor", "n1", "cibadmin --delete --xml-text '<op id=\"gnt-ha-fence-monitor\"/>'", Words(SETUP)),
    // Faults of the roles.
    (
        "master-role-unfenced",
        "n1",
        "crm_resource --resource gnt-ha-master --meta --set-parameter requires --parameter-value quorum",
        Shown("crm_resource --resource gnt-ha-master --meta --delete-parameter requires"),
    ),
    (
        "master-role-start-timeout",
        "n1",
        "cibadmin --modify --xml-text '<op id=\"gnt-ha-master-promote\" timeout=\"20s\"/>'",
        Words(SETUP),
    ),
    ("node-role-missing", "n1", "cibadmin --delete --xml-text '<clone id=\"gnt-ha-node-clone\"/>'", Shown(SETUP)),
    (
        "node-role-no-notify",
        "n1",
        "crm_resource --resource gnt-ha-node-clone --meta --set-parameter notify --parameter-value false",
        Shown("crm_resource --resource gnt-ha-node-clone --meta --set-parameter notify --parameter-value true"),
    ),
    (
        "role-stopped",
        "n1",
        "crm_resource --resource gnt-ha-node-clone --meta --set-parameter target-role --parameter-value Stopped",
        Shown("crm_resource --resource gnt-ha-node-clone --meta --delete-parameter target-role"),
    ),
    ("role-no-monitor", "n1", "cibadmin --delete --xml-text '<op id=\"gnt-ha-node-monitor\"/>'", Words(SETUP)),
    (
        "role-failure-ignored",
        "n1",
        "cibadmin --modify --xml-text '<op id=\"gnt-ha-master-demote\" on-fail=\"ignore\"/>'",
        Words("cibadmin --delete --xml-text '<op id=\"gnt-ha-master-demote\"/>' && gnt-ha setup --apply"),
    ),
    ("setup-differs", "n1", "cibadmin --delete --xml-text '<alert id=\"gnt-ha-alert\"/>'", Shown(SETUP)),
    // Regular hosts would fence no node.
    (
        "configurations-differ",
        "n1",
        "crm_attribute --name gnt-ha-config-digest --update 00000000000000000000000000000000",
        Shown(SETUP),
    ),
    // Faults in Ganeti.
    (
        "unknown-tag",
        "n1",
        "gnt-cluster add-tags ocf:master-role:ful",
        Shown("gnt-cluster remove-tags ocf:master-role:ful"),
    ),
    (
        "no-oob-program",
        "n1",
        "gnt-node modify --node-parameters oob_program= n3.lab",
        Shown("gnt-node modify --node-parameters oob_program=/usr/lib/gnt-ha/ganeti-oob n3.lab"),
    ),
    (
        "oob-program-missing",
        "n1",
        "gnt-node modify --node-parameters oob_program=/usr/local/sbin/oob n3.lab",
        Words("gnt-node modify --node-parameters oob_program=/usr/lib/gnt-ha/ganeti-oob n3.lab"),
    ),
    ("node-drained", "n1", "gnt-node modify --drained=yes n3.lab", Shown("gnt-node modify --drained=no n3.lab")),
    (
        "candidate-no-answer",
        "n3",
        "/usr/lib/ganeti/daemon-util stop ganeti-confd",
        Words("/usr/lib/ganeti/daemon-util start ganeti-confd"),
    ),
    ("watcher-paused", "n1", "gnt-cluster watcher pause 1h", Shown("gnt-cluster watcher continue")),
    // Faults in the files that `ganeti-oob` reads.
    (
        "device-no-answer",
        "n1",
        "cp -p /etc/gnt-ha/bmc.password /root/ && echo wrong >/etc/gnt-ha/bmc.password",
        Words("mv /root/bmc.password /etc/gnt-ha/bmc.password"),
    ),
    (
        "configuration-wrong",
        "n1",
        "cp -p /etc/gnt-ha/config.toml /root/ && sed -i 's/^driver/drivr/' /etc/gnt-ha/config.toml",
        Words("mv /root/config.toml /etc/gnt-ha/config.toml"),
    ),
    // A board of another host: the node's own host would go on running, and count as off.
    (
        "configuration-wrong",
        "n1",
        "cp -p /etc/gnt-ha/config.toml /root/ && sed -i 's/203.0.113.3/203.0.113.2/' /etc/gnt-ha/config.toml",
        Words("mv /root/config.toml /etc/gnt-ha/config.toml"),
    ),
    // Two BMCs at one place, whatever their addresses are: cables were exchanged.
    (
        "bmc-shared",
        "n1",
        "nft add table ip cables && nft add chain ip cables out '{ type nat hook output priority -100; }' && \
         nft add rule ip cables out ip daddr 203.0.113.3 dnat to 203.0.113.2",
        Words("nft delete table ip cables && gnt-ha setup --apply"),
    ),
    // The file was changed on the master, and is not on the others yet.
    (
        "configurations-differ",
        "n1",
        "cp -p /etc/gnt-ha/config.toml /root/ && sed -i 's/^driver.*/&\\nlogin_timeout = 7/' /etc/gnt-ha/config.toml",
        Words("mv /root/config.toml /etc/gnt-ha/config.toml"),
    ),
    // Faults of this host.
    ("no-fence-agent", "n1", "mv /usr/sbin/fence_ganeti /root/", Words("mv /root/fence_ganeti /usr/sbin/")),
    (
        "no-voting-default",
        "n1",
        "cp -p /etc/default/ganeti /root/ && echo 'LUXID_ARGS=\"--no-voting --yes-do-it\"' >>/etc/default/ganeti",
        Words("mv /root/ganeti /etc/default/"),
    ),
    ("watcher-absent", "n1", "mv /etc/cron.d/ganeti /root/cron", Words("mv /root/cron /etc/cron.d/ganeti")),
    (
        "stale-pidfile",
        "n1",
        "echo 999999 >/run/ganeti/ganeti-rapi.pid.old; p=/run/ganeti/ganeti-metad.pid; echo 999999 >$p && chown gnt-metad $p",
        Shown("rm /var/run/ganeti/ganeti-metad.pid"),
    ),
    (
        "simulated",
        "n2",
        "mkdir -p /var/lib/gnt-ha/simulate && touch /var/lib/gnt-ha/simulate/unresponsive-noded",
        Shown("rm /var/lib/gnt-ha/simulate/unresponsive-noded"),
    ),
    (
        "unknown-simulation",
        "n2",
        "touch /var/lib/gnt-ha/simulate/unresponsive-nodd",
        Shown("rm /var/lib/gnt-ha/simulate/unresponsive-nodd"),
    ),
    (
        "harep-beside",
        "n1",
        "gnt-cluster add-tags ocf:recover:on && echo '*/5 * * * * root harep -L' >/etc/cron.d/harep",
        Words("rm /etc/cron.d/harep && gnt-cluster remove-tags ocf:recover:on"),
    ),
    ("paused", "n1", "gnt-ha pause 'a rehearsal of faults'", Shown("gnt-ha resume")),
];

fn findings(host: &Host) -> Vec<Value> {
    let output = host.run(&[GNT_HA, "check", "--json"]).unwrap();
    let report: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", output.text()));
    report["findings"].as_array().unwrap().clone()
}

fn rules(findings: &[Value]) -> BTreeSet<String> {
    findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

/// `setup` makes no change with which the wrong host would be switched off.
fn assert_setup_refuses(host: &Host) {
    let monitor = ["cibadmin", "--delete", "--xml-text", "<op id=\"gnt-ha-node-monitor\"/>"];
    host.check(&monitor).unwrap();
    let refused = host.run(&[GNT_HA, "setup", "--apply"]).unwrap();
    let text = refused.text();
    assert!(!refused.success() && text.contains("nothing was changed: with these BMCs"), "{text}");
    let left = host.run(&[GNT_HA, "setup"]).unwrap();
    assert!(!left.success() && left.text().contains("1 to be changed"), "{}", left.text());
}

/// `check` finds each bad state, at least 30, one by one in the lab, and its fix works. Afterwards the cluster is as
/// before.
pub(crate) fn assert_each_is_found_and_fixed(scene: &Scene) {
    for (rule, on, plant, fix) in FAULTS {
        let (host, master) = (scene.host(on), scene.host("n1"));
        host.check(&["sh", "-c", plant]).unwrap();
        let mut found = Vec::new();
        let is_found = scene.lab.wait_until(&format!("{rule} is found, and nothing else"), SHOWS, || {
            // The other nodes find a candidate that does not answer.
            found = findings(if *rule == "candidate-no-answer" { &master } else { &host });
            Ok(rules(&found) == BTreeSet::from([(*rule).to_owned()]))
        });
        is_found.unwrap_or_else(|error| panic!("{error}: {found:#?}"));
        let shows = found.iter().filter_map(|finding| finding["fix"].as_str()).collect::<Vec<_>>().join("\n");
        println!("{rule}: {shows}");
        if *rule == "bmc-shared" {
            assert_setup_refuses(&host);
        }
        match fix {
            Shown(command) => {
                assert!(shows.contains(command), "{rule} does not show {command}: {shows}");
                let at = if command.starts_with("rm ") { &host } else { &master };
                at.check(&["sh", "-c", command]).unwrap();
            }
            Words(action) => drop(host.check(&["sh", "-c", action]).unwrap()),
        }
        let is_fixed = scene.lab.wait_until(&format!("{rule} is fixed"), SHOWS, || {
            found = findings(&host);
            Ok(found.is_empty())
        });
        is_fixed.unwrap_or_else(|error| panic!("{error}: {found:#?}"));
    }
    println!("{} faults were found and fixed", FAULTS.len());
}
