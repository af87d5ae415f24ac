//! Formats the status as a table with notes.

use jiff::tz::TimeZone;

use crate::cli;
use crate::core::grade::Grade;
use crate::core::status::{ClusterStatus, Flags, NodeStatus, SelfFenceState, ShunState, StatusLevel};
use crate::sys::output::{Paint, Text};

/// The parameters of the table.
pub(super) struct Table {
    /// The current time, in ms since 1970.
    pub(super) now_ms: u64,
    /// The time zone in which times are shown.
    pub(super) zone: TimeZone,
    /// The number of characters in a line; `None` for no limit.
    pub(super) width: Option<usize>,
}

/// The headings of all columns except the last. A receipt is stored on the host that did the action.
const HEAD: [&str; 8] = ["NODE", "PACEMAKER", "GANETI", "POWERED", "SHUN", "SELF-FENCE", "GRADE", "LAST ACTION HERE"];

/// The heading of the last column: the pending record change, or what blocks it.
const RECORD: &str = "RECORD IN GANETI";

/// Columns that are omitted if they are empty for all nodes, or if no node has armed self-fencing.
const OPTIONAL: [&str; 3] = ["SHUN", "SELF-FENCE", "GRADE"];

/// Columns that are omitted on a narrow terminal, in this order.
const DROPPED: [&str; 6] = ["LAST ACTION HERE", "SELF-FENCE", "SHUN", "POWERED", "GRADE", "PACEMAKER"];

/// The minimum width to which the last column is shortened.
const COLUMN_LEAST: usize = 24;

const NONE: &str = "-";

/// A column that is shown, with one cell for each node.
struct Column {
    head: &'static str,
    cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        self.cells.iter().map(|cell| cell.chars().count()).chain([self.head.len()]).max().unwrap_or_default()
    }
}

impl Table {
    /// Returns the whole table with the notes below it.
    pub(super) fn text(&self, status: &ClusterStatus) -> Text {
        let mut columns: Vec<Column> =
            HEAD.iter().enumerate().map(|(index, head)| self.column(index, head, status)).collect();
        let says_something = |cell: &String| cell != NONE && cell != SelfFenceState::Off.word();
        columns.retain(|column| !OPTIONAL.contains(&column.head) || column.cells.iter().any(says_something));
        let records: Vec<String> = status.nodes.iter().map(record).collect();
        let longest = records.iter().map(|cell| cell.chars().count()).chain([RECORD.len()]).max().unwrap_or_default();
        let left = self.fit(&mut columns, longest);
        let row = |mark: char, cells: Vec<&str>, last: &str| {
            let mut text = mark.to_string();
            for (cell, column) in cells.iter().zip(&columns) {
                text.push_str(&format!(" {cell:width$} ", width = column.width()));
            }
            format!("{text} {}", shortened(last, left)).trim_end().to_owned() + "\n"
        };
        let mut text = Text::default();
        if !status.nodes.is_empty() {
            text.push_str(&row(' ', columns.iter().map(|column| column.head).collect(), RECORD));
        }
        for (index, (line, last)) in status.nodes.iter().zip(&records).enumerate() {
            let cells = columns.iter().map(|column| column.cells.get(index).map_or(NONE, String::as_str)).collect();
            text.push_painted(paint(line.level), &row(line.mark(), cells, last));
        }
        // A shortened cell that needs attention is repeated in full below the table.
        let is_cut = |cell: &str| left.is_some_and(|left| cell.chars().count() > left);
        let cut = status.nodes.iter().zip(&records).filter(|(line, last)| line.mark() != ' ' && is_cut(last));
        let cut = cut.map(|(line, last)| (line.level, format!("{} {}: {last}", line.mark(), line.node)));
        let notes = self.notes(status).into_iter().map(|(level, note)| (level, format!("{} {note}", level.mark())));
        for (index, (level, note)) in cut.chain(notes).enumerate() {
            if index == 0 && !status.nodes.is_empty() {
                text.push_str("\n");
            }
            let lines = cli::wrapped(&note, self.width, 2);
            lines.lines().for_each(|line| text.push_painted(paint(level), &format!("{line}\n")));
        }
        text
    }

    /// Omits columns until the last column has at least [`COLUMN_LEAST`] characters. Returns its width; `None` if it is not
    /// shortened.
    fn fit(&self, columns: &mut Vec<Column>, longest: usize) -> Option<usize> {
        let width = self.width?;
        for drop in std::iter::once("").chain(DROPPED) {
            columns.retain(|column| column.head != drop);
            // Two for the mark and the last column's blank, and for each column a blank before and behind.
            let taken: usize = 2 + columns.iter().map(|column| column.width() + 2).sum::<usize>();
            let left = width.saturating_sub(taken);
            if left >= longest {
                return None;
            }
            if left >= COLUMN_LEAST {
                return Some(left);
            }
        }
        Some(COLUMN_LEAST)
    }

    fn notes(&self, status: &ClusterStatus) -> Vec<(StatusLevel, String)> {
        let since = |ms: u64| cli::time(ms, &self.zone);
        let mut notes: Vec<(StatusLevel, String)> = status
            .notes
            .iter()
            .map(|note| {
                let since = match (note.subject, &status.pause, &status.breaker) {
                    ("pause", Some(pause), _) if pause.since_ms > 0 => format!("; since {}", since(pause.since_ms)),
                    ("breaker", _, Some(open)) => format!("; since {}", since(open.since_ms)),
                    _ => String::new(),
                };
                (note.level, format!("{}{since}", note.text))
            })
            .collect();
        notes.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        notes
    }

    fn column(&self, index: usize, head: &'static str, status: &ClusterStatus) -> Column {
        let none = || NONE.to_owned();
        let cell = |line: &NodeStatus| {
            let protection = &line.protection;
            match index {
                0 => line.node.to_string(),
                1 => line.pacemaker.map_or_else(none, str::to_owned),
                2 => line.ganeti.map_or_else(none, Flags::words),
                3 => protection.power(line.ganeti),
                4 => protection.shun.map_or(NONE, ShunState::word).to_owned(),
                5 => protection.self_fence.map_or(NONE, SelfFenceState::word).to_owned(),
                6 => protection.grade.map_or(NONE, Grade::word).to_owned(),
                _ => line.receipt.as_ref().map_or_else(none, |last| last.words(self.now_ms)),
            }
        };
        Column { head, cells: status.nodes.iter().map(cell).collect() }
    }
}

const fn paint(level: StatusLevel) -> Option<Paint> {
    match level {
        StatusLevel::Ok => None,
        StatusLevel::Attention => Some(Paint::Red),
        StatusLevel::Unknown => Some(Paint::Yellow),
    }
}

fn record(line: &NodeStatus) -> String {
    line.record.as_ref().map_or_else(|| NONE.to_owned(), |change| change.text.clone())
}

fn shortened(text: &str, left: Option<usize>) -> String {
    const MORE: &str = "...";
    match left.filter(|left| text.chars().count() > *left) {
        Some(left) => text.chars().take(left.saturating_sub(MORE.len())).chain(MORE.chars()).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::node::NodeName;
    use crate::core::receipt::{Action, Outcome};
    use crate::core::reconcile::{BlockReason, Decision, Membership, NoActionReason, Pause};
    use crate::core::status::{DisplayedRole, LastAction, Protection, RecordChange, StatusNote, VERSION};

    fn line(
        node: &str,
        role: DisplayedRole,
        member: Membership,
        decision: &Decision,
        receipt: Option<LastAction>,
    ) -> NodeStatus {
        let flags = Flags { role, offline: false, drained: Some(false), powered: Some(true) };
        NodeStatus::new(
            NodeName::new(node).unwrap(),
            Some(member),
            Some(flags),
            receipt,
            Some(RecordChange::of(decision)),
        )
    }

    fn status() -> ClusterStatus {
        let last =
            LastAction { action: Action::Reboot, outcome: Some(Outcome::Unknown), grade: Grade::Unknown, at_ms: 0 };
        let pause = Pause { reason: "a fan".into(), by: "root".into(), since_ms: 60_000 };
        let quiet = Decision::Nothing(NoActionReason::IsMaster);
        let blocked = Decision::Blocked(BlockReason::NotFenced { failed: 0 });
        ClusterStatus {
            version: VERSION,
            host: "n1.lab".into(),
            level: StatusLevel::Attention,
            master: None,
            quorum: Some(true),
            quorum_device: None,
            maintenance: Some(false),
            pause: Some(pause.clone()),
            breaker: None,
            nodes: vec![
                line("n1.lab", DisplayedRole::Master, Membership::Online, &quiet, None),
                line("n33.lab", DisplayedRole::Regular, Membership::Unclean, &blocked, Some(last)),
            ],
            notes: vec![
                StatusNote::new(StatusLevel::Ok, "start-up", "young"),
                StatusNote::new(StatusLevel::Attention, "pause", BlockReason::Paused(pause).to_string()),
            ],
        }
    }

    const TABLE: Table = Table { now_ms: 180_000, zone: TimeZone::UTC, width: None };

    #[test]
    fn a_table_for_people() {
        let text = TABLE.text(&status()).plain();
        assert_eq!(
            text,
            "  NODE     PACEMAKER  GANETI   POWERED  LAST ACTION HERE          RECORD IN GANETI\n  \
               n1.lab   online     master   yes      -                         nothing: the master's flags do not change\n\
             ! n33.lab  UNCLEAN    regular  yes      reboot 3 min ago: FAILED  blocked: lost, and not fenced yet: nothing is \
             proven\n\n\
             ! paused by root: a fan (gnt-ha resume); since 1970-01-01 00:01:00 UTC\n  young\n"
        );
    }

    #[test]
    fn what_protects_a_node_has_columns_where_there_is_something() {
        let mut status = status();
        let protection =
            Protection { shun: Some(ShunState::Shunned), grade: Some(Grade::Off), ..Protection::default() };
        status.nodes[1] = status.nodes[1].clone().protected(protection);
        let text = TABLE.text(&status).plain();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("POWERED  SHUN     GRADE  LAST ACTION HERE"), "{text}");
        assert!(lines[2].contains("yes      shunned  off    reboot"), "{text}");
    }

    /// The width of the terminal is kept: the least important columns are omitted, and a shortened cell that needs
    /// attention is shown in full.
    #[test]
    fn a_narrow_terminal_is_not_overrun() {
        for width in [200, 120, 80, 60, 45] {
            let text = Table { width: Some(width), ..TABLE }.text(&status()).plain();
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            let joined = text.replace("\n  ", " ");
            assert!(joined.contains("blocked: lost, and not fenced yet: nothing is proven"), "{width}:\n{text}");
            assert!(text.contains("! n33.lab  "), "{text}");
            assert_eq!(text.contains("LAST ACTION HERE"), width >= 100, "{width}:\n{text}");
            assert_eq!(text.contains("UNCLEAN"), width >= 60, "{width}:\n{text}");
        }
    }
}
