//! Prints the changes of a lab line by line as they happen, with the time since a start.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gnt_ha::core::history::ActionRecord;
use gnt_ha::core::receipt::{Action, Outcome};
use lab::{Lab, Watch};

use crate::receipts;

/// Prints the changes of a lab and its receipts, each once.
pub struct Teller<'lab> {
    lab: &'lab Lab,
    watch: Watch<'lab>,
    zero: SystemTime,
    told: BTreeSet<String>,
}

impl<'lab> Teller<'lab> {
    /// Starts to print changes from now on.
    #[must_use]
    pub fn new(lab: &'lab Lab) -> Self {
        let mut teller = Self { lab, watch: lab.watch(), zero: SystemTime::now(), told: BTreeSet::new() };
        let _past = teller.new_in_receipts();
        teller
    }

    /// Starts the clock again.
    pub fn start_clock(&mut self) {
        self.zero = SystemTime::now();
    }

    /// Prints a line of the caller's, with the time.
    pub fn say(&self, line: &str) {
        self.print(SystemTime::now(), line);
    }

    /// Prints the new changes and receipts.
    pub fn look(&mut self) {
        let mut lines: Vec<(SystemTime, String)> =
            self.watch.poll().into_iter().map(|event| (event.at, event.text)).collect();
        let receipts = self.new_in_receipts();
        // A round takes a moment. A change that was seen only now came before the agent that it started.
        if let Some((first, _)) = receipts.first() {
            lines.iter_mut().for_each(|(at, _)| *at = (*at).min(*first));
        }
        lines.extend(receipts);
        lines.sort_by_key(|(at, _)| *at);
        for (at, line) in lines {
            self.print(at, &line);
        }
    }

    /// Prints changes until `done`, or until the time is over. Returns the time since the clock was started.
    ///
    /// # Errors
    /// If the time is over.
    pub fn look_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&Lab) -> bool,
    ) -> Result<Duration, String> {
        let begun = SystemTime::now();
        loop {
            self.look();
            if done(self.lab) {
                let since = self.zero.elapsed().unwrap_or_default();
                self.look();
                return Ok(since);
            }
            if begun.elapsed().unwrap_or_default() >= limit {
                return Err(format!("waited {} s in vain: {what}", limit.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn print(&self, at: SystemTime, line: &str) {
        let seconds = at.duration_since(self.zero).unwrap_or_default().as_secs_f64();
        println!("  {seconds:6.1} s  {line}");
    }

    fn new_in_receipts(&mut self) -> Vec<(SystemTime, String)> {
        let mut lines = Vec::new();
        for story in receipts::on_all(self.lab) {
            self.new_in_story(&story, &mut lines);
        }
        lines
    }

    fn new_in_story(&mut self, story: &ActionRecord, lines: &mut Vec<(SystemTime, String)>) {
        let intent = &story.intent;
        if self.told.insert(format!("{} intent", intent.id)) {
            let line = format!(
                "{}: {}: {} of {}, asked by {}; the intent is on disk",
                intent.host,
                intent.program,
                deed(intent.action),
                intent.node,
                intent.requested_by.program
            );
            lines.push((at(intent.at.wall_ms), line));
        }
        for part in &story.parts {
            self.new_in_story(part, lines);
        }
        let Some(receipt) = &story.receipt else { return };
        if !self.told.insert(format!("{} receipt", intent.id)) {
            return;
        }
        // The parts of an action have receipts of their own.
        for step in receipt.steps.iter().filter(|_| story.parts.is_empty()) {
            let line = format!("{}:   {}: {}: {}", intent.host, step.by, step.did, step.saw);
            lines.push((at(intent.at.wall_ms + step.at_ms), line));
        }
        let end = match receipt.outcome {
            Outcome::Done | Outcome::Unchanged if intent.action == Action::On => {
                format!("{}: {} is on; the receipt is on disk", intent.host, intent.node)
            }
            Outcome::Done | Outcome::Unchanged => {
                format!(
                    "{}: {} of {}: proven {}, by {}; the receipt is on disk",
                    intent.host,
                    deed(intent.action),
                    intent.node,
                    receipt.grade,
                    receipt.proven_by
                )
            }
            outcome => format!(
                "{}: {} of {}: {outcome:?}: {}",
                intent.host,
                deed(intent.action),
                intent.node,
                receipt.reason.clone().unwrap_or_default()
            ),
        };
        lines.push((at(receipt.at.wall_ms), end));
        if let Some(record) = &receipt.record {
            lines.push((at(receipt.at.wall_ms), format!("{}: Ganeti: {record}", intent.host)));
        }
    }
}

/// Returns a receipt as a sentence.
fn deed(action: Action) -> String {
    if action == Action::Reboot { action.to_string() } else { format!("power-{action}") }
}

fn at(wall_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(wall_ms)
}
