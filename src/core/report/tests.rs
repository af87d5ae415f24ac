//! Tests of the reports of a cluster that is well, and of one that is not.

use std::collections::BTreeSet;

use program_test::hostile::{Dice, mutated};
use serde_json::Value;

use super::envelope::Report;
use super::http::{Endpoint, HttpError, answer, parse_request_line};
use super::openmetrics::openmetrics;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::receipt::{Action, Outcome};
use crate::core::reconcile::{BlockReason, Decision, Membership, NoActionReason};
use crate::core::status::{
    ClusterStatus, DeviceVote, DisplayedRole, Flags, LastAction, NodeStatus, Protection, RecordChange, ShunState,
    StatusLevel, StatusNote, VERSION,
};
use crate::core::text::is_hidden;

fn line(node: &str, member: Membership, decision: &Decision) -> NodeStatus {
    let flags = Flags { role: DisplayedRole::Candidate, offline: false, drained: Some(false), powered: Some(true) };
    let last =
        LastAction { action: Action::Reboot, outcome: Some(Outcome::Unknown), grade: Grade::Unknown, at_ms: 7_000 };
    NodeStatus::new(
        NodeName::new(node).unwrap(),
        Some(member),
        Some(flags),
        Some(last),
        Some(RecordChange::of(decision)),
    )
}

fn status(nodes: Vec<NodeStatus>, notes: Vec<StatusNote>) -> ClusterStatus {
    let status = ClusterStatus {
        version: VERSION,
        host: "n1".into(),
        level: StatusLevel::Ok,
        master: Some(NodeName::new("n1.lab").unwrap()),
        quorum: Some(true),
        quorum_device: None,
        maintenance: None,
        pause: None,
        breaker: None,
        nodes,
        notes,
    };
    status.judged()
}

fn lost() -> ClusterStatus {
    let blocked = Decision::Blocked(BlockReason::NoQuorum);
    let nodes = vec![
        line("n1.lab", Membership::Online, &Decision::Nothing(NoActionReason::AsItShould)),
        line("n3.lab", Membership::Unclean, &blocked)
            .protected(Protection { shun: Some(ShunState::Shunned), ..Protection::default() }),
    ];
    let quorum_device = Some(DeviceVote { host: "192.0.2.200".into(), votes: false });
    ClusterStatus {
        quorum_device,
        ..status(nodes, vec![StatusNote::new(StatusLevel::Attention, "pause", "paused by \"root\"")])
    }
}

/// Ganeti's design of the monitoring agent: 0 well, 1 being fixed, 2 unknown, 4 bad, each with a message.
#[test]
fn a_report_has_the_envelope_of_ganetis_daemon() {
    let json = |status: &ClusterStatus| serde_json::to_value(Report::new(status, 1_500)).unwrap();
    let bad = json(&lost());
    assert_eq!((&bad["name"], &bad["format_version"], &bad["kind"]), (&"gnt-ha".into(), &1.into(), &1.into()));
    assert_eq!((&bad["timestamp"], &bad["category"]), (&1_500_000_000.into(), &serde_json::Value::Null));
    assert_eq!(bad["data"]["status"]["code"], 4);
    let message = bad["data"]["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("n3.lab: UNCLEAN, ") && message.ends_with("; paused by \"root\""), "{message}");
    assert_eq!(bad["data"]["cluster"]["nodes"][1]["node"], "n3.lab");

    let drain = Decision::Drain { auto_promote: false };
    let fixed = json(&status(vec![line("n2.lab", Membership::Online, &drain)], Vec::new()));
    assert_eq!(fixed["data"]["status"]["code"], 1);
    let well = line("n1.lab", Membership::Online, &Decision::Nothing(NoActionReason::AsItShould));
    assert_eq!(json(&status(vec![well], Vec::new()))["data"]["status"]["message"], "");
    assert_eq!(json(&status(Vec::new(), Vec::new()))["data"]["status"]["code"], 2, "nothing is not well");
}

#[test]
fn every_metric_is_explained_and_the_unknown_has_no_sample() {
    let text = openmetrics(&lost(), 9_999);
    for line in [
        "gnt_ha_level 1",
        "gnt_ha_quorum 1",
        "gnt_ha_quorum_device_votes 0",
        "gnt_ha_notes{level=\"attention\"} 1",
        "gnt_ha_node_unclean{node=\"n3.lab\"} 1",
        "gnt_ha_node_shunned{node=\"n3.lab\"} 1",
        "gnt_ha_node_record_blocked{node=\"n3.lab\"} 1",
        "gnt_ha_node_is_master{node=\"n1.lab\"} 1",
        "gnt_ha_node_receipt_timestamp_seconds{node=\"n3.lab\",action=\"reboot\",outcome=\"unknown\",grade=\"unknown\"} 7",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(!text.contains("maintenance") && text.ends_with("\n# EOF\n"), "{text}");
    let mut family = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            family = named.trim_end_matches(" gauge");
        }
        let of = line.trim_start_matches("# TYPE ").trim_start_matches("# HELP ");
        assert!(of.starts_with(family), "{line}");
    }
}

const RULES: &str = include_str!("../../../docs/monitoring/gnt-ha.rules.yml");
const DASHBOARD: &str = include_str!("../../../docs/monitoring/dashboard.json");

/// Returns the metrics that a text names.
fn metrics(text: &str) -> BTreeSet<String> {
    let rest = text.split("gnt_ha_").skip(1);
    let is_name = |letter: &char| letter.is_ascii_lowercase() || *letter == '_';
    rest.map(|rest| format!("gnt_ha_{}", rest.chars().take_while(is_name).collect::<String>())).collect()
}

/// An expression over a metric that is not exported is an alert that never comes, or a panel that is empty.
#[test]
fn rules_and_dashboard_are_of_what_is_exported() {
    let mut everything = lost();
    everything.maintenance = Some(false);
    let exported = metrics(&openmetrics(&everything, 9_999));
    for (named, least) in [(metrics(RULES), 5), (metrics(DASHBOARD), 10)] {
        let unknown: Vec<&String> = named.difference(&exported).collect();
        assert!(named.len() >= least && unknown.is_empty(), "{unknown:?}");
    }
}

/// Grafana's rules: each panel has its own number, panels do not overlap, and the user chooses the data source.
#[test]
fn the_dashboard_is_one() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut taken = BTreeSet::new();
    for (number, panel) in panels.iter().enumerate() {
        assert_eq!(panel["id"], number + 1);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        let squares = (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)));
        assert!(squares.into_iter().all(|square| taken.insert(square)), "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
        for target in panel["targets"].as_array().unwrap() {
            assert!(target["expr"].as_str().unwrap().contains("gnt_ha_"), "{target}");
        }
    }
    assert_eq!(dashboard["templating"]["list"][0]["query"], "prometheus");
}

/// Receipts and metrics use the same names of outcomes.
#[test]
fn an_outcome_has_one_word() {
    for outcome in [Outcome::Done, Outcome::Unchanged, Outcome::OffOnly, Outcome::Refused, Outcome::Unknown] {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.word());
    }
}

/// A request has one of a few meanings, whatever it contains. No part of it is in the answer: it adds no line to the
/// answer's head, and names no file.
#[test]
fn no_hostile_request_means_more() {
    const ALL: usize = 20_000;
    let valid = [
        "GET /1/report/default/gnt-ha HTTP/1.1\r\n",
        "GET /metrics?x:1 HTTP/1.0\r\n",
        "POST /1/report/all HTTP/1.1\r\n",
    ];
    let hand_made: [&[u8]; 4] = [
        b"GET /../../../etc/passwd HTTP/1.1\r\n",
        b"GET /metrics HTTP/1.1\r\nX: y\r\n\r\nGET / HTTP/1.1",
        b"GET http://other/metrics HTTP/1.1",
        b"GET /1/report/default/gnt-ha%00 HTTP/1.1\0\r\n",
    ];
    let valid: Vec<&[u8]> = valid.iter().map(|line| line.as_bytes()).chain(hand_made).collect();
    let mut dice = Dice::new(4);
    for number in 0..ALL {
        let bytes = mutated(&mut dice, &valid);
        let line = String::from_utf8_lossy(&bytes);
        let answered = match parse_request_line(&line) {
            Ok(_) => {
                let path = line.split([' ', '?']).nth(1).unwrap();
                let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
                let known = ["1", "list", "collectors", "report", "all", "default", "gnt-ha", "metrics"];
                assert!(
                    line.starts_with("GET /") && words.iter().all(|word| known.contains(word)),
                    "{number}: {line:?}"
                );
                answer("200 OK", "text/plain", &line)
            }
            Err(why) => answer(&why.to_string(), "text/plain", &line),
        };
        let (head, body) = answered.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.lines().count(), 4, "{number}: {answered:?}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{number}: {answered:?}");
        assert!(
            !body.contains(|letter| letter != '\n' && letter != '\t' && is_hidden(letter)),
            "{number}: {answered:?}"
        );
    }
}

#[test]
fn a_request_is_understood_or_refused() {
    for (line, is) in [
        ("GET / HTTP/1.1\r\n", Ok(Endpoint::Versions)),
        ("GET /1/ HTTP/1.0\r\n", Ok(Endpoint::Nothing)),
        ("GET /1/list/collectors HTTP/1.1\r\n", Ok(Endpoint::List)),
        ("GET /1/report/all?verbose=1 HTTP/1.1\r\n", Ok(Endpoint::All)),
        ("GET /1/report/default/gnt-ha HTTP/1.1\r\n", Ok(Endpoint::One)),
        ("GET /metrics HTTP/1.1\r\n", Ok(Endpoint::Metrics)),
        ("GET /1/report/default/../../etc/passwd HTTP/1.1\r\n", Err(HttpError::Absent)),
        ("POST /metrics HTTP/1.1\r\n", Err(HttpError::Method)),
        ("GET /metrics\r\n", Err(HttpError::Bad)),
        ("\u{16}\u{3}\u{1}", Err(HttpError::Bad)),
        ("", Err(HttpError::Bad)),
    ] {
        assert_eq!(parse_request_line(line), is, "{line:?}");
    }
}
