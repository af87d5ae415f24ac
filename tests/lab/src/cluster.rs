//! Configures and starts corosync and Pacemaker on the hosts.

use std::thread;
use std::time::{Duration, Instant};

use crate::command::{Output, require};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::qnetd;
use crate::state::Spec;

/// The channel of a command to a host: from outside, or from its own boot.
pub(crate) type Runner<'a> = dyn Fn(&[&str]) -> Result<Output> + Sync + 'a;

pub(crate) fn corosync_conf(spec: &Spec) -> String {
    let mut nodes = String::new();
    for i in 1..=spec.members() {
        nodes += &format!("    node {{\n        nodeid: {i}\n        name: {}\n", spec.uname(i));
        nodes += &format!("        ring0_addr: {}\n", Network::Primary.address(i));
        if spec.two_links {
            nodes += &format!("        ring1_addr: {}\n", Network::Secondary.address(i));
        }
        nodes += "    }\n";
    }
    let more = match spec.members() {
        _ if spec.qnetd => device(),
        2 => "    two_node: 1\n".to_owned(),
        _ => String::new(),
    };
    format!(
        "totem {{\n    version: 2\n    cluster_name: {}\n    transport: knet\n    crypto_cipher: none\n    crypto_hash: none\n    \
         token: 1000\n}}\nnodelist {{\n{nodes}}}\nquorum {{\n    provider: corosync_votequorum\n{more}}}\n\
         logging {{\n    to_logfile: yes\n    logfile: /var/log/corosync/corosync.log\n    to_syslog: no\n    timestamp: hires\n}}\n",
        spec.name
    )
}

/// qnetd decides a tie. `two_node`, with which corosync then does not start, is left out, and its effects are set
/// explicitly (votequorum(5), corosync-qdevice(8)).
fn device() -> String {
    let host = qnetd::address();
    format!(
        "    wait_for_all: 1\n    device {{\n        model: net\n        votes: 1\n        net {{\n            host: {host}\n            \
         algorithm: ffsplit\n            tls: off\n        }}\n    }}\n"
    )
}

/// The commands of systemd's unit, where corosync has a quorum device.
pub(crate) const QDEVICE: &str = "! grep -q 'model: net' /etc/corosync/corosync.conf || \
    { mkdir -p /run/corosync-qdevice && corosync-qdevice; }";

/// A script that writes an empty CIB, with which Pacemaker waits 2 s, not 20 s, for an existing DC before it elects
/// one. The packages of releases after Debian 13 have no directories in them: a boot makes them
/// (`pacemaker-common.conf`).
const PRESET: &str = r#"set -e
mkdir -p /var/lib/corosync /var/log/corosync
[ -d /var/lib/pacemaker/cib ] || systemd-tmpfiles --create --prefix=/var/lib/pacemaker --prefix=/var/log/pacemaker
cib=/var/lib/pacemaker/cib/cib.xml
rm -f "$cib" "$cib.sig"
property='<nvpair id="cib-bootstrap-options-dc-deadtime" name="dc-deadtime" value="2s"/>'
set='<cluster_property_set id="cib-bootstrap-options">'
cibadmin --empty | sed "s|<crm_config/>|<crm_config>$set$property</cluster_property_set></crm_config>|" >"$cib"
grep -q dc-deadtime "$cib"
chown hacluster:haclient "$cib"
chmod 0600 "$cib""#;

/// Prepares Pacemaker's configuration before its first start: if all hosts start at once there is no DC to wait for
/// (`pacemaker-controld(7)`, `dc-deadtime`). [`SETTLED`] must follow.
pub(crate) fn preset(run: &Runner<'_>) -> Result<()> {
    require("prepare Pacemaker's configuration", "cibadmin --empty", run(&["sh", "-c", PRESET])?).map(drop)
}

/// The command on one host after the election of a DC: it removes the property, which no administrator has set.
pub(crate) const SETTLED: [&str; 6] = ["crm_attribute", "--type", "crm_config", "--name", "dc-deadtime", "--delete"];

/// Starts corosync and, after it answers, Pacemaker.
pub(crate) fn start(run: &Runner<'_>) -> Result<()> {
    require("start corosync", "corosync", run(&["corosync"])?)?;
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let output = run(&["corosync-cfgtool", "-s"])?;
        if output.success() {
            break;
        }
        if Instant::now() > end {
            return Err(Error::TimedOut { what: "corosync's first answer".into(), seconds: 30, last: output.text() });
        }
        thread::sleep(Duration::from_millis(200));
    }
    require("start corosync-qdevice", "corosync-qdevice", run(&["sh", "-c", QDEVICE])?)?;
    let words = ["setsid", "--fork", "env", "PCMK_logfile=/var/log/pacemaker/pacemaker.log", "pacemakerd"];
    require("start pacemakerd", "pacemakerd", run(&words)?).map(drop)
}

/// Returns the fence devices with Debian's own agent: one for each host, over its BMC.
pub(crate) fn ipmilan(spec: &Spec, user: &str, password: &str) -> String {
    let mut devices = String::new();
    for i in 1..=spec.hosts {
        let address = Network::Bmc.address(i);
        let settings = [
            ("ip", address.as_str()),
            ("username", user),
            ("password", password),
            ("lanplus", "1"),
            ("cipher", "3"),
            ("pcmk_host_list", &spec.uname(i)),
        ];
        devices += &format!(
            "<primitive id=\"fence-n{i}\" class=\"stonith\" type=\"fence_ipmilan\"><instance_attributes id=\"fence-n{i}-settings\">"
        );
        for (name, value) in settings {
            devices += &format!("<nvpair id=\"fence-n{i}-{name}\" name=\"{name}\" value=\"{value}\"/>");
        }
        devices += "</instance_attributes></primitive>";
    }
    format!(
        "<crm_config><cluster_property_set id=\"cib-bootstrap-options\">\
         <nvpair id=\"stonith-enabled\" name=\"stonith-enabled\" value=\"true\"/></cluster_property_set></crm_config>\
         <resources>{devices}</resources>"
    )
}
