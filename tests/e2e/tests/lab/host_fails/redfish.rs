//! A master without a network is fenced through its BMC's Redfish service.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use bmc_responder::https::{Reply, Server, Speaks, healthy};
use e2e::receipts;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::receipt::Outcome;
use lab::{Host, Lab, Network, Power};
use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

/// Starts a Redfish service at the address of the host's BMC. It switches the host, as `ipmi_sim` does there.
fn start_bmc(lab: &Lab, host: &Host) -> Server {
    let switch = PathBuf::from(format!("/run/netns/gntha-{}-switch", lab.name()));
    let address = format!("{}:443", host.bmc_address());
    // Only the socket belongs to the network of the BMCs: what switches the host runs outside.
    let bound = thread::spawn(move || {
        setns(File::open(&switch).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        TcpListener::bind(address).unwrap()
    });
    let host = host.clone();
    Server::on(bound.join().unwrap(), Speaks::Tls, move |request| {
        if request.line.starts_with("POST") {
            let switched = if request.body.contains("ForceOff") { host.power_off() } else { host.power_on() };
            return Reply::Json(if switched.is_ok() { 204 } else { 500 }, Value::Null);
        }
        healthy(request, if host.power_status() == Power::Off { "Off" } else { "On" })
    })
}

/// Returns the number of the commands that a BMC has received.
fn commands(bmc: &Server) -> usize {
    bmc.requests().iter().filter(|request| request.line.starts_with("POST")).count()
}

/// The cluster of the lab, with the driver `redfish` in the place of `ipmi`.
#[test]
fn a_master_is_fenced_through_redfish() {
    let scene = Scene::up("redfish", 3, Roles::Promotable);
    let bmcs: BTreeMap<String, Server> =
        scene.lab.hosts().iter().map(|host| (host.name().to_owned(), start_bmc(&scene.lab, host))).collect();
    scene.reconfigure(|text| {
        let text = text.replace("driver = \"ipmi\"", "driver = \"redfish\"\nfingerprint = \"{pin}\"");
        scene.lab.hosts().iter().fold(text, |text, host| {
            let value = format!("bmc = \"{}\"", host.bmc_address());
            text.replace(&value, &format!("{value}, pin = \"{}\"", bmcs[host.name()].identity.fingerprint()))
        })
    });
    let checked = scene.host("n2").run(&["/usr/lib/gnt-ha/ganeti-oob", "check"]).unwrap();
    assert!(checked.success() && checked.text().contains("PowerState On"), "{}", checked.text());

    let n1 = scene.host("n1");
    n1.cut(Network::Primary).unwrap();
    n1.cut(Network::Secondary).unwrap();
    assert_eq!(n1.power_status(), Power::On);
    let took = scene.wait_fenced("n1", 90);
    assert_eq!(n1.power_status(), Power::Off);
    println!("n1 is fenced through Redfish {:.1} s after it was cut off", took.as_secs_f64());
    let new = scene.wait_new_master("n1");
    scene.wait_offline(&["n1"]);
    scene.assert_end(&End { master: &new, fenced: &["n1"], offline: &["n1"], ..End::default() });
    assert!(commands(&bmcs["n1"]) >= 1);
    for other in ["n2", "n3"] {
        assert_eq!(commands(&bmcs[other]), 0, "{other}");
    }
    let receipt = receipts::on_all(&scene.lab)
        .into_iter()
        .filter(|action| action.intent.program == "fence_ganeti" && action.intent.node.short() == "n1")
        .find_map(|action| action.receipt)
        .unwrap();
    assert_eq!((receipt.outcome, receipt.grade), (Outcome::Done, Grade::Off), "{receipt:?}");
}
