//! Prints the changes of a lab line by line as they happen, with the time since a start.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gnt_ha::core::history::ActionRecord;
use gnt_ha::core::receipt::{Action, Outcome};
use lab::{Lab, Watch};

use crate::receipts;

/// Prints the changes of a lab and its receipts, each once.
pub struct Progress<'lab> {
    lab: &'lab Lab,
    watch: Watch<'lab>,
    zero: SystemTime,
    printed: BTreeSet<String>,
}

impl<'lab> Progress<'lab> {
    /// Starts to print changes from now on.
    #[must_use]
    pub fn new(lab: &'lab Lab) -> Self {
        let mut progress = Self { lab, watch: lab.watch(), zero: SystemTime::now(), printed: BTreeSet::new() };
        let _past = progress.new_in_receipts();
        progress
    }

    /// Starts the clock again.
    pub fn start_clock(&mut self) {
        self.zero = SystemTime::now();
    }

    /// Prints a line with the time.
    pub fn add(&self, line: &str) {
        self.print(SystemTime::now(), line);
    }

    /// Prints the new changes and receipts.
    pub fn poll(&mut self) {
        let mut lines: Vec<(SystemTime, String)> =
            self.watch.poll().into_iter().map(|event| (event.at, event.text)).collect();
        let receipts = self.new_in_receipts();
        // A poll takes a moment. A change that is seen only now came before the agent that it started.
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
    pub fn poll_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&Lab) -> bool,
    ) -> Result<Duration, String> {
        let begun = SystemTime::now();
        loop {
            self.poll();
            if done(self.lab) {
                let since = self.zero.elapsed().unwrap_or_default();
                self.poll();
                return Ok(since);
            }
            if begun.elapsed().unwrap_or_default() >= limit {
                return Err(format!("waited {} s without success: {what}", limit.as_secs()));
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
        for action in receipts::on_all(self.lab) {
            self.new_in_action(&action, &mut lines);
        }
        lines
    }

    fn new_in_action(&mut self, action: &ActionRecord, lines: &mut Vec<(SystemTime, String)>) {
        let intent = &action.intent;
        if self.printed.insert(format!("{} intent", intent.id)) {
            let line = format!(
                "{}: {}: {} of {}, requested by {}; the intent is on disk",
                intent.host,
                intent.program,
                action_name(intent.action),
                intent.node,
                intent.requested_by.program
            );
            lines.push((at(intent.at.wall_ms), line));
        }
        for part in &action.parts {
            self.new_in_action(part, lines);
        }
        let Some(receipt) = &action.receipt else { return };
        if !self.printed.insert(format!("{} receipt", intent.id)) {
            return;
        }
        // The parts of an action have receipts of their own.
        for step in receipt.steps.iter().filter(|_| action.parts.is_empty()) {
            let line = format!("{}:   {}: {}: {}", intent.host, step.actor, step.request, step.response);
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
                    action_name(intent.action),
                    intent.node,
                    receipt.grade,
                    receipt.proven_by
                )
            }
            outcome => format!(
                "{}: {} of {}: {outcome:?}: {}",
                intent.host,
                action_name(intent.action),
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

/// Returns an action in the words of the command line.
fn action_name(action: Action) -> String {
    if action == Action::Reboot { action.to_string() } else { format!("power-{action}") }
}

fn at(wall_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(wall_ms)
}
