//! Fences hosts from Pacemaker to the BMC: with a real Pacemaker, a real Ganeti, `fence_ganeti` and `ganeti-oob`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::time::Duration;

use e2e::install::{built_programs, protect};
use e2e::receipts;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::receipt::Outcome;
use lab::{FenceEvent, Lab, Network, Options, Power};

fn protected(name: &str, near: &str) -> Lab {
    let options = Options {
        name: name.into(),
        boot_delay: Duration::from_secs(5),
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    };
    let lab = Lab::up(options).unwrap();
    protect(&lab, &built_programs().unwrap(), Some(near)).unwrap();
    lab
}

fn events(lab: &Lab, target: &str, status: &str) -> Vec<FenceEvent> {
    let events = lab.fence_history().unwrap();
    events.into_iter().filter(|event| event.target == target && event.status == status).collect()
}

fn wait_fenced(lab: &Lab, target: &str) {
    let fenced = lab.wait_until("fenced", Duration::from_secs(90), || Ok(!events(lab, target, "success").is_empty()));
    println!("{target} fenced after {:?}", fenced.unwrap());
}

/// Checks that exactly that host and no other was affected.
fn assert_only_fenced(lab: &Lab, target: &str) {
    let others: Vec<_> = lab.fence_history().unwrap().into_iter().filter(|event| event.target != target).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// The dangerous case: the host does not answer, but runs and could still write. Only its BMC can prove the state.
#[test]
fn a_silent_host_is_fenced_and_recorded_and_a_host_without_proof_is_not() {
    let lab = protected("test-fencing", "n1.lab");
    let (n1, n2, n3) = (lab.host("n1").unwrap(), lab.host("n2").unwrap(), lab.host("n3").unwrap());
    let boot = n3.run(&["cat", "/proc/1/stat"]).unwrap().stdout;

    n3.cut(Network::Primary).unwrap();
    n3.cut(Network::Secondary).unwrap();
    assert_eq!(n3.power_status(), Power::On);
    wait_fenced(&lab, "n3.lab");
    assert_only_fenced(&lab, "n3.lab");
    let offline = || Ok(n1.run(&["gnt-node", "list", "--no-headers", "-o", "offline", "n3.lab"])?.stdout.trim() == "Y");
    lab.wait_until("recorded offline", Duration::from_secs(90), offline).unwrap();

    let actions = receipts::on(&n1);
    assert_eq!(actions.len(), 1, "{actions:?}");
    let receipt = actions[0].receipt.as_ref().unwrap();
    assert_eq!((receipt.outcome, receipt.grade), (Outcome::Done, Grade::Off));
    assert_eq!(actions[0].intent.requested_by.program, "pacemaker-fenced");
    assert_eq!(actions[0].parts.len(), 2, "off and on by ganeti-oob");
    let [here, elsewhere] = [&n1, &n2].map(|host| host.check(&["gnt-ha", "history", "n3"]).unwrap().stdout);
    assert!(here.contains("proven off by bmc, through /usr/lib/gnt-ha/ganeti-oob"), "{here}");
    assert!(
        here.contains("Pacemaker: reboot, success") && !here.contains("reported by Pacemaker"),
        "the action is listed once: {here}"
    );
    assert!(
        elsewhere.contains("n3.lab  reboot  success, reported by Pacemaker\n    fenced from n1.lab;"),
        "{elsewhere}"
    );
    n3.heal(Network::Primary).unwrap();
    n3.heal(Network::Secondary).unwrap();
    lab.wait_until("n3 is back", Duration::from_secs(90), || Ok(lab.crm_mon()?.is_online("n3"))).unwrap();
    assert_ne!(boot, n3.run(&["cat", "/proc/1/stat"]).unwrap().stdout, "n3 was never off");

    // Power and BMC fail together: no device reads the power, so the result must not be off (CloudStack 13589).
    n2.cut(Network::Bmc).unwrap();
    n2.power_off().unwrap();
    lab.wait_until("a fencing of n2 failed", Duration::from_secs(120), || {
        Ok(!events(&lab, "n2.lab", "failed").is_empty())
    })
    .unwrap();
    assert!(events(&lab, "n2.lab", "success").is_empty());
    assert!(lab.crm_mon().unwrap().node("n2").unwrap().unclean);
    let last = receipts::on_all(&lab)
        .into_iter()
        .rfind(|action| action.intent.node.short() == "n2" && action.receipt.is_some())
        .unwrap();
    let receipt = last.receipt.unwrap();
    assert_eq!(receipt.outcome, Outcome::Unknown);
    assert!(receipt.reason.unwrap().contains("no answer"));
    let record = n1.run(&["gnt-node", "list", "--no-headers", "-o", "offline", "n2.lab"]).unwrap();
    assert_eq!(record.stdout.trim(), "N", "nothing is recorded without proof");

    // The administrator's confirmation ends the fencing.
    n1.check(&["stonith_admin", "--confirm", "n2.lab"]).unwrap();
    lab.wait_until("n2 is clean", Duration::from_secs(60), || {
        Ok(lab.crm_mon()?.node("n2").is_some_and(|n2| !n2.unclean))
    })
    .unwrap();
}

/// A fence agent that needs the master can never fence the master.
#[test]
fn the_masters_own_host_is_fenced() {
    let lab = protected("test-master", "n1.lab");
    lab.host("n1").unwrap().power_off().unwrap();
    wait_fenced(&lab, "n1.lab");
    assert_only_fenced(&lab, "n1.lab");
    let actions = receipts::on_all(&lab);
    let action = actions
        .iter()
        .find(|action| action.intent.node.short() == "n1" && action.intent.program == "fence_ganeti")
        .unwrap();
    let receipt = action.receipt.as_ref().unwrap();
    assert_eq!(receipt.grade, Grade::Off);
    assert!(receipt.record.as_ref().unwrap().contains("the new master has to record it"), "{receipt:?}");
}
