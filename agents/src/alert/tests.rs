//! Tests the text of reports, and which host reports.

use std::collections::BTreeMap;

use gnt_ha::core::node::NodeName;

use super::event::{AlertEvent, AlertHost, Message};

const OK: &str = "Operation reboot of n3.lab by n1.lab for pacemaker-controld.812@n2.lab: OK (complete) (ref=1a2b)";
const FAILED: &str =
    "Operation reboot of n3.lab by n1.lab for pacemaker-controld.812@n2.lab: Error (No data available) (ref=1a2b)";
const CONFIRMED: &str = "Operation off of n3.lab by a human for stonith_admin.99@n1.lab: OK (complete) (ref=1a2b)";

fn event(variables: &[(&str, &str)]) -> AlertEvent {
    let all: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| (format!("CRM_alert_{name}"), (*value).to_owned())).collect();
    AlertEvent::read(&|name| all.get(name).cloned()).unwrap()
}

fn fencing(description: &str, rc: &str) -> AlertEvent {
    event(&[("kind", "fencing"), ("node", "n3.lab"), ("task", "st_notify_fence"), ("rc", rc), ("desc", description)])
}

fn at(host: &str) -> AlertHost {
    let nodes = ["n1.lab", "n2.lab", "n3.lab", "n17.lab"].iter().filter_map(|name| NodeName::new(name).ok()).collect();
    AlertHost { host: NodeName::new(host).ok(), master: NodeName::new("n1.lab").ok(), nodes }
}

fn message(event: &AlertEvent, host: &str) -> Option<Message> {
    event.message(&at(host))
}

#[test]
fn an_attempt_is_never_reported_as_a_fencing() {
    let fenced = message(&fencing(OK, "0"), "n2.lab").unwrap();
    assert!(fenced.text.starts_with("n3.lab was fenced: ") && fenced.urgent);
    for (description, rc) in [(FAILED, "-61"), (OK, "-61"), (OK, ""), ("", "-1"), ("", "x")] {
        let text = message(&fencing(description, rc), "n2.lab").unwrap().text;
        assert!(text.starts_with("n3.lab was NOT fenced, "), "{text}");
    }
    let text = |description: &str| {
        fencing(description, "0").message(&AlertHost { host: None, master: None, nodes: Vec::new() })
    };
    assert!(text(OK).is_none(), "a host without a name did not request it");
    for strange in ["", "something else", "Operation list of n3.lab by n1.lab: OK"] {
        let text = text(strange).unwrap().text;
        assert!(!text.contains("fenced"), "{text}");
    }
}

#[test]
fn a_confirmation_is_reported_as_one() {
    let text = message(&fencing(CONFIRMED, "0"), "n1.lab").unwrap().text;
    assert!(text.starts_with("an administrator has confirmed to Pacemaker that n3.lab is off: "), "{text}");
}

/// Pacemaker notifies every host, and without the rule each would send a report.
#[test]
fn one_host_reports() {
    let reporters = |event: &AlertEvent| -> Vec<&str> {
        ["n1.lab", "n2.lab", "n3.lab"].into_iter().filter(|host| message(event, host).is_some()).collect()
    };
    assert_eq!(reporters(&fencing(OK, "0")), ["n2.lab"], "the host that requested it");
    assert_eq!(reporters(&fencing(&OK.replace("@n2.lab", "@n2"), "0")), ["n2.lab"]);
    assert_eq!(
        reporters(&fencing(&OK.replace("@n2.lab", "@n3.lab"), "0")).len(),
        3,
        "the host that requested it is gone"
    );
    let lost = |node: &str| event(&[("kind", "node"), ("node", node), ("desc", "lost")]);
    assert_eq!(reporters(&lost("n3.lab")), ["n1.lab"], "the master");
    assert_eq!(reporters(&lost("n1.lab")), ["n2.lab", "n3.lab"], "of the master each of the others");
    assert!(message(&lost("n3.lab"), "n1.lab").unwrap().text.contains("may still run"));
    // Pacemaker 2.1.5 notifies its DC and the host of the connection. Neither need be Ganeti's master.
    let remote = event(&[("kind", "node"), ("node", "n17.lab"), ("nodeid", "0"), ("desc", "lost")]);
    assert_eq!(reporters(&remote), ["n1.lab", "n2.lab", "n3.lab"], "each host that is notified of a remote node");
}

#[test]
fn of_resources_failures_are_reported_and_who_is_promoted() {
    let operation = |task: &str, interval: &str, rc: &str, status: &str, description: &str| {
        let event = event(&[
            ("kind", "resource"),
            ("node", "n1.lab"),
            ("rsc", "gnt-ha-master"),
            ("task", task),
            ("interval", interval),
            ("rc", rc),
            ("target_rc", "0"),
            ("status", status),
            ("desc", description),
        ]);
        message(&event, "n1.lab").map(|message| (message.urgent, message.text))
    };
    assert_eq!(operation("promote", "0", "0", "0", "ok"), Some((false, "gnt-ha-master was promoted on n1.lab".into())));
    let failed = Some((true, "start of gnt-ha-master on n1.lab: Timed Out".to_owned()));
    assert_eq!(operation("start", "0", "1", "2", "Timed Out"), failed);
    assert_eq!(operation("monitor", "10000", "7", "0", "not running").map(|(urgent, _)| urgent), Some(true));
    assert_eq!(operation("monitor", "0", "7", "0", "not running"), None, "a probe only finds out whether it runs");
    assert_eq!(operation("monitor", "10000", "0", "1", "Cancelled"), None);
    assert_eq!(operation("start", "0", "0", "0", "ok"), None);
}

#[test]
fn without_an_event_the_agent_reports_who_starts_it() {
    assert!(AlertEvent::read(&|_| None).unwrap_err().to_string().contains("Pacemaker starts this"));
    assert_eq!(message(&event(&[("kind", "attribute"), ("node", "n1.lab")]), "n1.lab"), None);
}

/// While a remote node is away, Pacemaker tries its connection each minute. These attempts cause no reports.
#[test]
fn a_connection_that_does_not_start_is_not_reported_again() {
    let failed = |rsc: &str, task: &str| {
        let rest = [("rc", "1"), ("target_rc", "0"), ("desc", "Timed Out"), ("interval", "30000"), ("status", "2")];
        let event =
            event(&[&[("kind", "resource"), ("node", "n1.lab"), ("rsc", rsc), ("task", task)], &rest[..]].concat());
        message(&event, "n1.lab")
    };
    for connection in ["n17.lab", "n17"] {
        assert_eq!(failed(connection, "start"), None, "{connection}");
        assert!(failed(connection, "monitor").is_some_and(|message| message.urgent), "{connection}");
    }
    assert!(failed("gnt-ha-master", "start").is_some());
}
