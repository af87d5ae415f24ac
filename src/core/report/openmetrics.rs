//! The status as metrics, as text for Prometheus and `node_exporter`'s textfile collector (OpenMetrics 1.0; only
//! gauges, which the older text format has, too). Pure.

use std::fmt::Write;

use crate::core::receipt::Outcome;
use crate::core::status::{ClusterStatus, NodeStatus, SelfFenceState, ShunState, StatusLevel};
use crate::core::text::printable;

/// The content type of the answer over HTTP.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the metrics of a status that was collected at `now_ms`, in milliseconds since 1970. An unknown value has no
/// sample.
#[must_use]
pub fn openmetrics(status: &ClusterStatus, now_ms: u64) -> String {
    let mut text = String::new();
    let mut family = |name: &str, help: &str, samples: Vec<(String, u64)>| {
        if samples.is_empty() {
            return;
        }
        // Writing to a String does not fail.
        let _ = writeln!(text, "# TYPE gnt_ha_{name} gauge\n# HELP gnt_ha_{name} {help}");
        for (labels, value) in samples {
            let _ = writeln!(text, "gnt_ha_{name}{labels} {value}");
        }
    };
    let one = |value: u64| vec![(String::new(), value)];
    let known = |value: Option<bool>| value.map(u64::from).map_or_else(Vec::new, one);
    family("collected_timestamp_seconds", "When this host collected the status", one(now_ms / 1_000));
    family(
        "level",
        "0 all is well, 1 something is blocked or needs attention, 2 something is unknown",
        one(u64::from(status.level.code())),
    );
    family("quorum", "Pacemaker has quorum here", known(status.quorum));
    let device = status.quorum_device.as_ref().map(|device| device.votes);
    family("quorum_device_votes", "corosync's quorum device gives its vote to each member here", known(device));
    family("maintenance", "Pacemaker is in maintenance mode", known(status.maintenance));
    family("paused", "An administrator has paused recording", one(u64::from(status.pause.is_some())));
    family(
        "breaker_open",
        "The breaker is open: this host records no node offline",
        one(u64::from(status.breaker.is_some())),
    );
    let notes = |level: StatusLevel| status.notes.iter().filter(|note| note.level == level).count() as u64;
    let levels = [("attention", StatusLevel::Attention), ("unknown", StatusLevel::Unknown)];
    family(
        "notes",
        "The notes of gnt-ha status below the nodes",
        levels.map(|(word, level)| (labels(&[("level", word)]), notes(level))).into(),
    );
    let nodes = |value: &dyn Fn(&NodeStatus) -> Option<u64>| {
        let sample = |line: &NodeStatus| Some((labels(&[("node", line.node.as_str())]), value(line)?));
        status.nodes.iter().filter_map(sample).collect::<Vec<_>>()
    };
    family("node_level", "As level, of a node", nodes(&|line| Some(u64::from(line.level.code()))));
    family(
        "node_online",
        "The node is online in Pacemaker",
        nodes(&|line| Some(u64::from(line.pacemaker? == "online"))),
    );
    family("node_unclean", "Lost, and not fenced yet", nodes(&|line| Some(u64::from(line.pacemaker? == "UNCLEAN"))));
    family(
        "node_recorded_offline",
        "The node is recorded offline in Ganeti",
        nodes(&|line| Some(u64::from(line.ganeti?.offline))),
    );
    family(
        "node_recorded_drained",
        "The node is recorded drained in Ganeti",
        nodes(&|line| line.ganeti?.drained.map(u64::from)),
    );
    family(
        "node_recorded_powered",
        "The node is recorded powered in Ganeti",
        nodes(&|line| line.ganeti?.powered.map(u64::from)),
    );
    let shunned = |line: &NodeStatus| line.protection.shun.map(|shun| u64::from(shun == ShunState::Shunned));
    family("node_shunned", "This host shuns it; without a sample it never did", nodes(&shunned));
    let armed =
        |line: &NodeStatus| line.protection.self_fence.map(|self_fence| u64::from(self_fence == SelfFenceState::Armed));
    family("node_self_fence_armed", "Its self-fencing is armed, by its own last report", nodes(&armed));
    family("node_is_master", "Ganeti's master", nodes(&|line| Some(u64::from(status.master.as_ref()? == &line.node))));
    let blocked = |line: &NodeStatus| Some(u64::from(line.record.as_ref()?.mark() == '!'));
    family(
        "node_record_blocked",
        "Its record is not what it should be, and a guard prevents the change",
        nodes(&blocked),
    );
    let receipts = status.nodes.iter().filter_map(|line| {
        let last = line.receipt.as_ref()?;
        let outcome = last.outcome.map_or("none", Outcome::word);
        let named = [
            ("node", line.node.as_str()),
            ("action", &last.action.to_string()),
            ("outcome", outcome),
            ("grade", &last.grade.to_string()),
        ];
        Some((labels(&named), last.at_ms / 1_000))
    });
    family("node_receipt_timestamp_seconds", "When the last action of this host on it began", receipts.collect());
    text.push_str("# EOF\n");
    text
}

fn labels(named: &[(&str, &str)]) -> String {
    let escape = |value: &str| printable(value).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let all: Vec<String> = named.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    format!("{{{}}}", all.join(","))
}
