//! The roles in a lab: their configuration, and the answers of Ganeti's master from outside.

use std::time::Duration;

use lab::{Host, Lab, Power};
use serde_json::{Value, json};

/// The id of the resource with the master role.
pub const MASTER: &str = "ganeti-master";

/// Both roles as in the manual. A fenced host stays off. In a lab a rebooted host is on the network again at once and
/// refuses connections, long before a real server would. A host that is off does not answer, and every connection to it
/// waits for its timeout.
pub const SECTIONS: &str = r#"<crm_config><cluster_property_set id="cib-bootstrap-options">
     <nvpair id="opt-action" name="stonith-action" value="off"/></cluster_property_set></crm_config>
   <resources>
     <primitive id="ganeti-master" class="ocf" provider="ganeti" type="ganeti-master-role">
       <meta_attributes id="ganeti-master-meta">
         <nvpair id="ganeti-master-stickiness" name="resource-stickiness" value="INFINITY"/>
       </meta_attributes>
       <operations>
         <op id="ganeti-master-start" name="start" interval="0" timeout="300s"/>
         <op id="ganeti-master-stop" name="stop" interval="0" timeout="60s"/>
         <op id="ganeti-master-monitor" name="monitor" interval="10s" timeout="30s"/>
       </operations>
     </primitive>
     <clone id="ganeti-nodes">
       <meta_attributes id="ganeti-nodes-meta"><nvpair id="ganeti-nodes-notify" name="notify" value="true"/></meta_attributes>
       <primitive id="ganeti-node" class="ocf" provider="ganeti" type="ganeti-node-role">
         <operations><op id="ganeti-node-monitor" name="monitor" interval="30s" timeout="30s"/></operations>
       </primitive>
     </clone>
   </resources>"#;

/// Configures the installed agents in Pacemaker, ours or others; returns when the master role is seen on `master`.
///
/// # Errors
/// The operation that failed.
pub fn configure(lab: &Lab, master: &Host) -> lab::Result<()> {
    lab.configure_cib(SECTIONS)?;
    let node = master.fqdn();
    lab.wait_until("the master role is started", Duration::from_secs(60), || {
        Ok(holder(lab)?.is_some_and(|holder| holder == node))
    })
    .map(drop)
}

/// Returns the host on which Pacemaker has the master role.
///
/// # Errors
/// If no host answers.
pub fn holder(lab: &Lab) -> lab::Result<Option<String>> {
    let resources = lab.crm_mon()?.resources;
    let held = |resource: &lab::Resource| resource.id == MASTER && resource.role == "Started";
    Ok(resources.into_iter().find(held).and_then(|resource| resource.nodes.into_iter().next()))
}

/// Returns the answer of luxid on a host within 2 s; `None` for anything but a success.
#[must_use]
pub fn luxi(host: &Host, method: &str, arguments: &Value) -> Option<Value> {
    luxi_within(host, method, arguments, 2)
}

/// Returns the answer of luxid on a host within so many seconds; `None` for anything but a success.
#[must_use]
pub fn luxi_within(host: &Host, method: &str, arguments: &Value, seconds: u32) -> Option<Value> {
    const ASK: &str = "import json, socket, sys\n\
        ask = {'method': sys.argv[1], 'args': json.loads(sys.argv[2])}\n\
        luxid = socket.socket(socket.AF_UNIX)\n\
        luxid.settimeout(int(sys.argv[3]))\n\
        luxid.connect('/var/run/ganeti/socket/ganeti-query')\n\
        luxid.sendall(json.dumps(ask).encode() + b'\\x03')\n\
        got = b''\n\
        while not got.endswith(b'\\x03'): got += luxid.recv(65536) or sys.exit(1)\n\
        print(got[:-1].decode())";
    if host.power_status() != Power::On {
        return None;
    }
    let words = ["python3", "-c", ASK, method, &arguments.to_string(), &seconds.to_string()];
    let output = host.run(&words).ok().filter(lab::Output::success)?;
    let answer: Value = serde_json::from_str(&output.stdout).ok()?;
    (answer.get("success") == Some(&Value::Bool(true))).then(|| answer.get("result").cloned())?
}

/// Whether a host serves as Ganeti's master.
#[must_use]
pub fn serves(host: &Host) -> bool {
    luxi(host, "QueryClusterInfo", &json!([])).is_some()
}

/// Whether a node is recorded offline on Ganeti's master, `host`.
#[must_use]
pub fn has_offline(host: &Host, node: &str) -> bool {
    let names = luxi(host, "Query", &json!(["node", ["name"], ["?", "offline"]]));
    let rows = names.as_ref().and_then(|answer| answer.get("data")).and_then(Value::as_array);
    // A row is a list of pairs: the field's status, 0 for a value, and the value.
    rows.is_some_and(|rows| rows.iter().any(|row| *row == json!([[0, node]])))
}
