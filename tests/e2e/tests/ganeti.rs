//! The OOB contract through the real Ganeti: `gnt-node power` and `gnt-node health` with `ganeti-oob`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::time::Duration;

use e2e::install::{Proof, built_programs, install, set_oob_program};
use e2e::receipts;
use gnt_ha::core::receipt::{Action, Outcome};
use lab::{Host, Lab, Network, Options, Output, Power};

fn lab() -> Lab {
    let options = Options {
        name: "test-ganeti".into(),
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    };
    let lab = Lab::up(options).unwrap();
    install(&lab, &built_programs().unwrap(), &Proof::default()).unwrap();
    set_oob_program(&lab.host("n1").unwrap()).unwrap();
    lab
}

fn gnt_node(master: &Host, words: &[&str]) -> Output {
    let words: Vec<&str> = std::iter::once("gnt-node").chain(words.iter().copied()).collect();
    let output = master.run_within(&words, Duration::from_secs(120)).unwrap();
    println!("# {}\n{}", words.join(" "), output.text());
    output
}

fn record(master: &Host, node: &str) -> String {
    gnt_node(master, &["list", "--no-headers", "--separator= ", "-o", "offline,powered", node]).stdout.trim().to_owned()
}

#[test]
fn ganeti_drives_the_oob_program() {
    let lab = lab();
    let (n1, n3) = (lab.host("n1").unwrap(), lab.host("n3").unwrap());

    // `gnt-cluster verify` looks for the program on every candidate (ENODEOOBPATH).
    let verify = n1.run_within(&["gnt-cluster", "verify"], Duration::from_secs(120)).unwrap();
    assert!(!verify.text().contains("OOB"), "{}", verify.text());

    // The extra keys of power-status must not disturb Ganeti.
    let status = gnt_node(&n1, &["power", "status", "n3.lab"]);
    assert!(status.success() && status.stdout.contains("powered"));

    // Ganeti records offline and powered=no, and the host really has no power.
    assert!(gnt_node(&n1, &["power", "-f", "off", "n3.lab"]).success());
    assert_eq!(n3.power_status(), Power::Off);
    assert_eq!(record(&n1, "n3.lab"), "Y N");
    let status = gnt_node(&n1, &["power", "status", "n3.lab"]);
    assert!(status.stdout.contains("unpowered"));

    assert!(gnt_node(&n1, &["power", "-f", "on", "n3.lab"]).success());
    assert_ne!(n3.power_status(), Power::Off);
    assert_eq!(record(&n1, "n3.lab"), "Y Y");

    let boot = |host: &Host| host.run(&["cat", "/proc/1/stat"]).unwrap().stdout.split(' ').nth(21).map(str::to_owned);
    let before = boot(&n3);
    assert!(gnt_node(&n1, &["power", "-f", "cycle", "n3.lab"]).success());
    assert_ne!(before, boot(&n3), "n3 was not cycled");

    let health = gnt_node(&n1, &["health", "n3.lab"]);
    assert!(health.success() && health.stdout.contains("bmc power overload"), "{}", health.text());

    // The receipt has Ganeti's node daemon as the requester, and the requested action.
    let actions: Vec<_> = receipts::on(&n1)
        .into_iter()
        .map(|action| {
            (action.intent.action, action.receipt.map(|receipt| receipt.outcome), action.intent.requested_by.program)
        })
        .collect();
    let noded = || "ganeti-noded".to_owned();
    let done = Some(Outcome::Done);
    assert_eq!(actions, [(Action::Off, done, noded()), (Action::On, done, noded()), (Action::Cycle, done, noded())]);

    // The state of a BMC that does not answer is unknown, never off: Ganeti must not record that n2 has no power.
    lab.host("n2").unwrap().cut(Network::Bmc).unwrap();
    let status = gnt_node(&n1, &["power", "status", "n2.lab"]);
    assert!(!status.success() && !status.stdout.contains("unpowered"), "{}", status.text());
    let off = gnt_node(&n1, &["power", "--ignore-status", "-f", "off", "n2.lab"]);
    assert!(!off.success());
    assert_eq!(record(&n1, "n2.lab"), "N Y");
    assert_eq!(receipts::on(&n1).last().unwrap().receipt.as_ref().unwrap().outcome, Outcome::Unknown);
}
