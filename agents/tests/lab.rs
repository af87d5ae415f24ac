//! The roles on real parts: a real Pacemaker, a real Ganeti, fencing by `fence_ganeti`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::time::{Duration, Instant};

use lab::{FenceEvent, Host, Lab, Options};
use real_parts::protect::{built_programs, protect};

const AGENTS: [&str; 2] = ["ganeti-master-role", "ganeti-node-role"];

const OPERATIONS: &str = r#"<operations>
    <op id="master-start" name="start" interval="0" timeout="300s"/>
    <op id="master-stop" name="stop" interval="0" timeout="60s"/>
    <op id="master-promote" name="promote" interval="0" timeout="300s"/>
    <op id="master-demote" name="demote" interval="0" timeout="60s"/>
    MONITORS</operations>"#;

const STAYS_OFF: &str = r#"<crm_config><cluster_property_set id="cib-bootstrap-options">
    <nvpair id="opt-action" name="stonith-action" value="off"/></cluster_property_set></crm_config>"#;

const NODE_ROLE: &str = r#"<clone id="node-clone"><meta_attributes id="node-meta">
    <nvpair id="node-notify" name="notify" value="true"/></meta_attributes>
    <primitive id="node" class="ocf" provider="ganeti" type="ganeti-node-role"><operations>
    <op id="node-monitor" name="monitor" interval="10s" timeout="30s"/></operations></primitive></clone>"#;

fn primitive() -> String {
    let monitors = r#"<op id="master-monitor" name="monitor" interval="3s" timeout="30s"/>"#;
    format!(
        r#"<resources><primitive id="master" class="ocf" provider="ganeti" type="ganeti-master-role">{}
           <meta_attributes id="master-meta"><nvpair id="master-stickiness" name="resource-stickiness" value="INFINITY"/>
           </meta_attributes></primitive>{NODE_ROLE}</resources>"#,
        OPERATIONS.replace("MONITORS", monitors)
    )
}

fn promotable() -> String {
    let monitors = r#"<op id="master-promoted" name="monitor" role="Promoted" interval="3s" timeout="30s"/>
        <op id="master-unpromoted" name="monitor" role="Unpromoted" interval="4s" timeout="30s"/>"#;
    format!(
        r#"<resources><clone id="master-clone"><meta_attributes id="master-meta">
           <nvpair id="master-promotable" name="promotable" value="true"/></meta_attributes>
           <primitive id="master" class="ocf" provider="ganeti" type="ganeti-master-role">{}</primitive></clone>
           {NODE_ROLE}</resources>"#,
        OPERATIONS.replace("MONITORS", monitors)
    )
}

fn lab_with(name: &str, hosts: u8, resources: &str, role: &str) -> Lab {
    let options = Options {
        name: name.into(),
        hosts,
        boot_delay: Duration::from_secs(20),
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    };
    let lab = Lab::up(options).unwrap();
    let programs = built_programs().unwrap();
    for (host, agent) in lab.hosts().iter().flat_map(|host| AGENTS.map(|agent| (host.clone(), agent))) {
        let bytes = std::fs::read(programs.join(agent)).unwrap();
        host.write_file(&format!("/usr/lib/ocf/resource.d/ganeti/{agent}"), &bytes, 0o755).unwrap();
    }
    protect(&lab, &programs, None).unwrap();
    // A lab's host that is rebooted is on the network again at once and refuses connections, long before a real server
    // would: one that stays off is silent, and every connection to it waits for its time-out.
    lab.configure_cib(&format!("{STAYS_OFF}{resources}")).unwrap();
    wait_role(&lab, role, "n1.lab", 60);
    lab
}

/// Where the role is, by Pacemaker.
fn holder(lab: &Lab, role: &str) -> Option<String> {
    let resources = lab.crm_mon().ok()?.resources;
    resources.into_iter().find(|resource| resource.id == "master" && resource.role == role)?.nodes.into_iter().next()
}

fn wait_role(lab: &Lab, role: &str, node: &str, seconds: u64) {
    lab.wait_until(&format!("the role is on {node}"), Duration::from_secs(seconds), || {
        Ok(holder(lab, role).as_deref() == Some(node))
    })
    .unwrap_or_else(|error| panic!("{error}; it is on {:?}; {:#?}", holder(lab, role), lab.crm_mon()));
}

/// Whether luxid answers on a host.
fn serves(host: &Host) -> bool {
    const ASK: &str = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(2)\n\
        s.connect('/var/run/ganeti/socket/ganeti-query')\ns.sendall(b'{\"method\":\"QueryClusterInfo\",\"args\":[]}\\x03')\n\
        sys.exit(0 if b'true' in s.recv(65536) else 1)";
    host.run(&["python3", "-c", ASK]).is_ok_and(|output| output.success())
}

fn serving(lab: &Lab) -> Vec<String> {
    lab.hosts().iter().filter(|host| serves(host)).map(Host::fqdn).collect()
}

fn fenced(lab: &Lab) -> Vec<FenceEvent> {
    lab.fence_history().unwrap().into_iter().filter(|event| event.status == "success").collect()
}

/// Exactly these hosts were fenced, and no attempt was made at any other.
fn assert_only_fenced(lab: &Lab, targets: &[&str]) {
    let mut all: Vec<String> = lab.fence_history().unwrap().into_iter().map(|event| event.target).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, targets, "{:?}", lab.fence_history());
}

/// The master's host dies; returns who serves now.
fn kill_the_master(lab: &Lab, role: &str, old: &str) -> Host {
    let begun = Instant::now();
    lab.host(old).unwrap().power_off().unwrap();
    let target = lab.host(old).unwrap().fqdn();
    lab.wait_until("fenced", Duration::from_secs(60), || Ok(fenced(lab).iter().any(|event| event.target == target)))
        .unwrap();
    println!("{old} fenced {:.1} s after the kill", begun.elapsed().as_secs_f64());
    let others: Vec<Host> = lab.hosts().into_iter().filter(|host| host.name() != old).collect();
    let mut new = None;
    lab.wait_until("a new master serves", Duration::from_secs(200), || {
        new = others.iter().find(|host| serves(host)).cloned();
        Ok(new.is_some())
    })
    .unwrap_or_else(|error| panic!("{error}: {:#?}", lab.crm_mon()));
    let new = new.unwrap();
    println!("{} serves LUXI {:.1} s after the kill", new.name(), begun.elapsed().as_secs_f64());
    wait_role(lab, role, &new.fqdn(), 100);
    println!("Pacemaker has the role on {} {:.1} s after the kill", new.name(), begun.elapsed().as_secs_f64());
    new
}

/// The old master comes back with the files of then: it must be found not running, and nobody is harmed.
fn the_old_master_returns(lab: &Lab, role: &str, old: &str, new: &Host) {
    lab.host(old).unwrap().power_on().unwrap();
    lab.wait_until("it is back", Duration::from_secs(120), || Ok(lab.crm_mon()?.is_online(old))).unwrap();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(holder(lab, role), Some(new.fqdn()), "{:#?}", lab.crm_mon());
    assert_eq!(serving(lab), [new.fqdn()]);
    assert_only_fenced(lab, &[&lab.host(old).unwrap().fqdn()]);
}

fn standby(lab: &Lab, node: &str, on: bool) {
    let value = if on { "on" } else { "off" };
    let words = ["crm_attribute", "--node", node, "--name", "standby", "--update", value];
    lab.hosts().iter().find(|host| host.run(&words).is_ok_and(|output| output.success())).unwrap();
}

fn show_monitor(host: &Host) {
    let words = ["bash", "-c", "time /usr/lib/ocf/resource.d/ganeti/ganeti-master-role monitor; echo rc $?"];
    println!("{}: monitor: {}", host.name(), host.run(&words).unwrap().text().replace('\n', " "));
}

/// Issue: "the master's host dies, exactly that host is fenced, another candidate is the serving master". Ganeti's
/// example agents fence the new master too.
#[test]
fn the_masters_host_dies_and_a_primitive_moves() {
    let lab = lab_with("roles-one", 3, &primitive(), "Started");
    let new = kill_the_master(&lab, "Started", "n1");
    assert_only_fenced(&lab, &["n1.lab"]);
    the_old_master_returns(&lab, "Started", "n1", &new);
    show_monitor(&lab.host("n1").unwrap());
    show_monitor(&new);

    // A graceful move: with the examples each one ends in a fencing.
    let begun = Instant::now();
    standby(&lab, &new.fqdn(), true);
    lab.wait_until("moved", Duration::from_secs(120), || {
        Ok(holder(&lab, "Started").is_some_and(|node| node != new.fqdn()) && serving(&lab).len() == 1)
    })
    .unwrap_or_else(|error| panic!("{error}: {:#?}", lab.crm_mon()));
    let after = lab.host(&holder(&lab, "Started").unwrap()).unwrap();
    println!("standby of the master: {} serves after {:.1} s", after.name(), begun.elapsed().as_secs_f64());
    assert_eq!(serving(&lab), [after.fqdn()]);
    assert_only_fenced(&lab, &["n1.lab"]);
    standby(&lab, &new.fqdn(), false);

    // The administrator's own move is followed, not fought.
    let wanted = lab.hosts().into_iter().find(|host| *host.name() != *after.name() && host.name() != "n1").unwrap();
    std::thread::sleep(Duration::from_secs(8));
    let moved = wanted.run_within(&["gnt-cluster", "master-failover"], Duration::from_secs(120)).unwrap();
    println!("gnt-cluster master-failover on {}: {} {}", wanted.name(), moved.code, moved.text());
    wait_role(&lab, "Started", &wanted.fqdn(), 60);
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(holder(&lab, "Started"), Some(wanted.fqdn()), "{:#?}", lab.crm_mon());
    assert_eq!(serving(&lab), [wanted.fqdn()]);
    assert_only_fenced(&lab, &["n1.lab"]);
    println!("the administrator's move to {} is followed", wanted.name());
}

/// The same as a promotable clone on all nodes.
#[test]
fn the_masters_host_dies_and_a_clone_is_promoted() {
    let lab = lab_with("roles-clone", 3, &promotable(), "Promoted");
    let new = kill_the_master(&lab, "Promoted", "n1");
    assert_only_fenced(&lab, &["n1.lab"]);
    the_old_master_returns(&lab, "Promoted", "n1", &new);
    let begun = Instant::now();
    standby(&lab, &new.fqdn(), true);
    lab.wait_until("moved", Duration::from_secs(120), || {
        Ok(holder(&lab, "Promoted").is_some_and(|node| node != new.fqdn()) && serving(&lab).len() == 1)
    })
    .unwrap_or_else(|error| panic!("{error}: {:#?}", lab.crm_mon()));
    println!("standby of the master: another serves after {:.1} s", begun.elapsed().as_secs_f64());
    assert_only_fenced(&lab, &["n1.lab"]);
    standby(&lab, &new.fqdn(), false);
}

/// Ganeti issue 1212: with two nodes no vote can be won. The fencing is the proof.
#[test]
fn of_two_nodes_the_survivor_serves() {
    let lab = lab_with("roles-two", 2, &primitive(), "Started");
    let new = kill_the_master(&lab, "Started", "n1");
    assert_eq!(new.name(), "n2");
    the_old_master_returns(&lab, "Started", "n1", &new);
}
