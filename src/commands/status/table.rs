//! The status as text for people.

use jiff::tz::TimeZone;

use crate::cli;
use crate::core::status::{Flags, Level, Line, Status};

/// How it is shown.
pub(super) struct Table {
    /// Now, in milliseconds since 1970.
    pub(super) now_ms: u64,
    /// For times.
    pub(super) zone: TimeZone,
    /// On a terminal.
    pub(super) colour: bool,
}

/// Receipts are kept on the host that did it.
const HEAD: [&str; 5] = ["NODE", "PACEMAKER", "GANETI", "LAST RECEIPT HERE", "RECORD IN GANETI"];

impl Table {
    /// The whole text.
    pub(super) fn text(&self, status: &Status) -> String {
        let cells: Vec<[String; 5]> = status.nodes.iter().map(|line| self.cells(line)).collect();
        let head = HEAD.map(str::to_owned);
        let width = |column: usize| {
            let all = cells.iter().chain([&head]);
            all.map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: [usize; 5] = std::array::from_fn(width);
        let row = |mark: char, cells: &[String; 5]| {
            let mut text = mark.to_string();
            for (cell, width) in cells.iter().zip(widths) {
                text.push_str(&format!(" {cell:width$} "));
            }
            text.trim_end().to_owned() + "\n"
        };
        let mut text = String::new();
        if !cells.is_empty() {
            text.push_str(&row(' ', &head));
        }
        for (line, cells) in status.nodes.iter().zip(&cells) {
            text.push_str(&self.painted(line.level, &row(line.mark(), cells)));
        }
        for (index, note) in self.notes(status).into_iter().enumerate() {
            if index == 0 && !cells.is_empty() {
                text.push('\n');
            }
            text.push_str(&self.painted(note.0, &format!("{} {}\n", note.0.mark(), note.1)));
        }
        text
    }

    fn notes(&self, status: &Status) -> Vec<(Level, String)> {
        let since = |ms: u64| cli::time(ms, &self.zone);
        let mut notes: Vec<(Level, String)> = status
            .notes
            .iter()
            .map(|note| {
                let since = match (note.about, &status.pause, &status.breaker) {
                    ("pause", Some(pause), _) if pause.since_ms > 0 => format!("; since {}", since(pause.since_ms)),
                    ("breaker", _, Some(latch)) => format!("; since {}", since(latch.since_ms)),
                    _ => String::new(),
                };
                (note.level, format!("{}{since}", note.text))
            })
            .collect();
        notes.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        notes
    }

    fn cells(&self, line: &Line) -> [String; 5] {
        let none = || "-".to_owned();
        [
            line.node.to_string(),
            line.pacemaker.map_or_else(none, str::to_owned),
            line.ganeti.map_or_else(none, Flags::words),
            line.receipt.as_ref().map_or_else(none, |last| last.words(self.now_ms)),
            line.next.as_ref().map_or_else(none, |next| next.text.clone()),
        ]
    }

    fn painted(&self, level: Level, line: &str) -> String {
        let paint = match level {
            _ if !self.colour => return line.to_owned(),
            Level::Well => return line.to_owned(),
            Level::Look => cli::Paint::Red,
            Level::Unknown => cli::Paint::Yellow,
        };
        format!("{}\n", paint.on(line.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::grade::Grade;
    use crate::core::node::NodeName;
    use crate::core::receipt::{Action, Outcome};
    use crate::core::reconcile::{Decision, Membership, Pause, Quiet, Refusal};
    use crate::core::status::{Last, Next, Note, Role, VERSION};

    fn line(node: &str, role: Role, member: Membership, decision: &Decision, receipt: Option<Last>) -> Line {
        let flags = Flags { role, offline: false, drained: Some(false), powered: Some(true) };
        Line::new(NodeName::new(node).unwrap(), Some(member), Some(flags), receipt, Some(Next::of(decision)))
    }

    #[test]
    fn a_table_for_people() {
        let last = Last { action: Action::Reboot, outcome: Some(Outcome::Unknown), grade: Grade::Unknown, at_ms: 0 };
        let pause = Pause { reason: "a fan".into(), by: "root".into(), since_ms: 60_000 };
        let quiet = Decision::Nothing(Quiet::IsMaster);
        let refused = Decision::Refused(Refusal::NotFenced { failed: 0 });
        let status = Status {
            version: VERSION,
            host: "n1.lab".into(),
            level: Level::Look,
            master: None,
            quorum: Some(true),
            maintenance: Some(false),
            pause: Some(pause.clone()),
            breaker: None,
            nodes: vec![
                line("n1.lab", Role::Master, Membership::Online, &quiet, None),
                line("n33.lab", Role::Regular, Membership::Unclean, &refused, Some(last)),
            ],
            notes: vec![
                Note::new(Level::Well, "start-up", "young"),
                Note::new(Level::Look, "pause", Refusal::Paused(pause).to_string()),
            ],
        };
        let table = Table { now_ms: 180_000, zone: TimeZone::UTC, colour: false };
        let text = table.text(&status);
        assert_eq!(
            text,
            "  NODE     PACEMAKER  GANETI   LAST RECEIPT HERE         RECORD IN GANETI\n  \
               n1.lab   online     master   -                         nothing: the master's flags do not change\n\
             ! n33.lab  UNCLEAN    regular  reboot 3 min ago: FAILED  refused: lost, and not fenced yet: nothing is \
             proven\n\n\
             ! paused by root: a fan (gnt-ha resume); since 1970-01-01 00:01:00 UTC\n  young\n"
        );
        let coloured = Table { colour: true, ..table }.text(&status);
        assert_eq!(coloured.replace("\x1b[31m", "").replace("\x1b[0m", ""), text);
    }
}
