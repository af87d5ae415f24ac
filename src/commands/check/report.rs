//! Formats the findings as text and as JSON.

use serde::Serialize;

use crate::cli;
use crate::core::check::{CheckInput, CheckNote, Finding, Severity, VERSION};
use crate::core::node::NodeName;
use crate::sys::identity;
use crate::sys::output::{Paint, Text};

/// The report that is printed.
#[derive(Debug, Serialize)]
pub(super) struct CheckReport<'a> {
    version: u32,
    host: String,
    level: Severity,
    checked: CheckedCounts,
    findings: &'a [Finding],
    notes: &'a [CheckNote],
}

#[derive(Debug, Serialize)]
struct CheckedCounts {
    nodes: usize,
    devices: usize,
    candidates: usize,
}

impl<'a> CheckReport<'a> {
    pub(super) fn new(view: &CheckInput, level: Severity, findings: &'a [Finding], notes: &'a [CheckNote]) -> Self {
        let checked = CheckedCounts {
            nodes: view.ganeti.as_ref().map_or(0, |ganeti| ganeti.nodes().len()),
            // For a program that is not ours, only the whole node is known.
            devices: view.power.keys().map(|node| view.devices.get(node).map_or(1, Vec::len)).sum(),
            candidates: view.candidates.len(),
        };
        Self { version: VERSION, host: identity::host(), level, checked, findings, notes }
    }

    /// Returns three lines for each finding, then the notes; the last line has the totals.
    pub(super) fn text(&self, width: Option<usize>) -> Text {
        const FINDING_INDENT: usize = 9;
        const WHY_INDENT: usize = 15;
        let mut text = Text::default();
        let wrapped = |line: &str, indent: usize| cli::wrapped(line, width, indent) + "\n";
        for Finding { severity, subject, problem, why, fix, .. } in self.findings {
            let word = format!("{:7}", severity.word());
            let line = wrapped(&format!("{word}  {subject}: {problem}"), FINDING_INDENT);
            let paint = match severity {
                Severity::Ok => Paint::Green,
                Severity::Warning => Paint::Yellow,
                Severity::Error => Paint::Red,
            };
            text.push_painted(Some(paint), &word);
            text.push_str(line.strip_prefix(&word).unwrap_or(&line));
            text.push_str(&wrapped(&format!("         why:  {why}"), WHY_INDENT));
            text.push_str(&wrapped(&format!("         fix:  {fix}"), WHY_INDENT));
        }
        for CheckNote { nodes, text: what, why, fix, .. } in self.notes {
            text.push_str(&wrapped(&format!("{:7}  {}: {what}", "note", self.named(nodes)), FINDING_INDENT));
            for (word, line) in [("why: ", why), ("fix: ", fix)] {
                line.iter().for_each(|line| text.push_str(&wrapped(&format!("         {word} {line}"), WHY_INDENT)));
            }
        }
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let CheckedCounts { nodes, devices, candidates } = &self.checked;
        let checked = format!(
            "checked Pacemaker, Ganeti and this host, {} of {}, {}",
            counted(*devices, "device"),
            counted(*nodes, "node"),
            counted(*candidates, "candidate")
        );
        let sum = match (errors, warnings) {
            (0, 0) => format!("ok: {checked}"),
            _ => format!("{}, {}; {checked}", counted(errors, "error"), counted(warnings, "warning")),
        };
        text.push_str(&wrapped(&sum, 2));
        text
    }

    /// Returns nodes as a number, with the names of the first few.
    fn named(&self, nodes: &[NodeName]) -> String {
        const NODES_SHOWN: usize = 5;
        let names = || nodes.iter().take(NODES_SHOWN).map(NodeName::as_str).collect::<Vec<_>>().join(", ");
        let more = nodes.len().saturating_sub(NODES_SHOWN);
        match nodes {
            [one] => one.to_string(),
            _ if nodes.len() == self.checked.nodes => format!("all {} nodes", nodes.len()),
            _ if more > 0 => format!("{} nodes ({}, and {more} more)", nodes.len(), names()),
            _ => format!("{} nodes ({})", nodes.len(), names()),
        }
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::grade::Grade;

    #[test]
    fn each_finding_says_what_why_and_how() {
        let findings = [Finding {
            rule: "quorum",
            severity: Severity::Error,
            subject: "pacemaker".into(),
            problem: "no quorum".into(),
            why: "nothing is fenced",
            fix: "look".into(),
        }];
        let checked = CheckedCounts { nodes: 3, devices: 3, candidates: 1 };
        let nodes = ["n1", "n2"].map(|name| NodeName::new(name).unwrap()).into();
        let what = "off, by level 1 (bmc)".to_owned();
        let note = CheckNote { name: "reachable-grade", nodes, grade: Grade::Off, text: what, why: None, fix: None };
        let one = CheckNote { nodes: note.nodes[..1].to_vec(), why: Some("so"), fix: Some("do"), ..note.clone() };
        let (notes, level) = ([note, one], Severity::Error);
        let report =
            CheckReport { version: VERSION, host: "n1".into(), level, checked, findings: &findings, notes: &notes };
        let text = report.text(None).plain();
        assert_eq!(
            text,
            "ERROR    pacemaker: no quorum\n         why:  nothing is fenced\n         fix:  look\n\
             note     2 nodes (n1, n2): off, by level 1 (bmc)\n\
             note     n1: off, by level 1 (bmc)\n         why:  so\n         fix:  do\n\
             1 error, 0 warnings; checked Pacemaker, Ganeti and this host, 3 devices of 3 nodes, 1 candidate\n"
        );
        assert!(report.text(Some(40)).plain().lines().all(|line| line.chars().count() <= 40));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["level"], &json["findings"][0]["rule"]), (&"error".into(), &"quorum".into()));
        assert_eq!((&json["notes"][0]["grade"], &json["notes"][0]["nodes"][1]), (&"off".into(), &"n2".into()));
    }
}
