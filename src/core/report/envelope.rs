//! The envelope of a report of Ganeti's monitoring daemon, which cannot be extended itself (Ganeti's
//! `doc/design-monitoring-agent.rst`; `src/Ganeti/DataCollectors/Types.hs`). Pure.

use serde::Serialize;

use crate::core::status::{ClusterStatus, NodeStatus, StatusLevel};

/// The name of the report.
pub const NAME: &str = "gnt-ha";

/// The name of that daemon, in a path, for reports without a category.
pub const CATEGORY: &str = "default";

/// The kind of a report on a state, not on performance (`DCKStatus`).
pub const KIND: u8 = 1;

/// The envelope and the data of one report.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    name: &'static str,
    version: &'static str,
    format_version: u32,
    /// Nanoseconds since 1970.
    timestamp: u64,
    category: Option<&'static str>,
    kind: u8,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    status: Code,
    cluster: &'a ClusterStatus,
}

#[derive(Debug, Serialize)]
struct Code {
    /// 0 well, 1 being fixed, 2 unknown, 4 bad.
    code: u8,
    message: String,
}

impl<'a> Report<'a> {
    /// Makes the report of a status that was collected at `now_ms`, in milliseconds since 1970.
    #[must_use]
    pub fn new(status: &'a ClusterStatus, now_ms: u64) -> Self {
        Self {
            name: NAME,
            version: env!("CARGO_PKG_VERSION"),
            format_version: 1,
            timestamp: now_ms.saturating_mul(1_000_000),
            category: None,
            kind: KIND,
            data: Data { status: Code { code: code(status), message: message(status) }, cluster: status },
        }
    }
}

fn code(status: &ClusterStatus) -> u8 {
    match status.level {
        StatusLevel::Ok if status.nodes.iter().any(|line| line.mark() == '*') => 1,
        StatusLevel::Ok => 0,
        StatusLevel::Unknown => 2,
        StatusLevel::Attention => 4,
    }
}

/// Returns all lines and notes that need attention, and all pending changes.
fn message(status: &ClusterStatus) -> String {
    let of_line = |line: &NodeStatus| {
        let next = line.record.as_ref().map(|change| change.text.as_str());
        let words: Vec<&str> = line.pacemaker.into_iter().chain(next).collect();
        format!("{}: {}", line.node, words.join(", "))
    };
    let lines = status.nodes.iter().filter(|line| line.mark() != ' ').map(of_line);
    let notes = status.notes.iter().filter(|note| note.level > StatusLevel::Ok).map(|note| note.text.clone());
    lines.chain(notes).collect::<Vec<_>>().join("; ")
}
