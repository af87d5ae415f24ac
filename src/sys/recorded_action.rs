//! What every removal and readmission goes through: an intent before anything is touched, a receipt at the end.
//!
//! A ledger that cannot be written stops nothing (a host that must be fenced is fenced), but it is said loudly.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::clock::{millis, now};
use super::identity;
use super::receipt_log::ReceiptLog;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::receipt::{Action, ActionStep, Intent, LogEntry, Outcome, Receipt, VERSION};
use crate::core::text::one_line;

/// How long the disk may take for an entry.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest text in a receipt, in characters: what devices and programs say comes from outside.
const LONGEST: usize = 2_000;

/// One action under way.
#[derive(Debug)]
pub struct RecordedAction {
    ledger: ReceiptLog,
    intent: Intent,
    begun: Instant,
    steps: Vec<ActionStep>,
    warnings: Vec<String>,
}

/// How it ended, for the receipt.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// How.
    pub outcome: Outcome,
    /// How strongly it is proven that the node was stopped.
    pub grade: Grade,
    /// Whose word that is.
    pub proven_by: String,
    /// The error or the remark.
    pub reason: Option<String>,
    /// What Ganeti was told, or why not.
    pub record: Option<String>,
}

impl RecordedAction {
    /// Writes the intent. Nothing may be touched before.
    #[must_use]
    pub fn enter(ledger: ReceiptLog, program: &str, action: Action, node: &NodeName) -> Self {
        let at = now();
        let intent = Intent {
            version: VERSION,
            id: identity::new_id(at.wall_ms),
            program: program.to_owned(),
            action,
            node: node.clone(),
            requested_by: identity::asker(),
            host: identity::host(),
            boot_id: identity::boot_id(),
            at,
        };
        let mut road = Self { ledger, intent, begun: Instant::now(), steps: Vec::new(), warnings: Vec::new() };
        road.write(&LogEntry::Intent(road.intent.clone()));
        road
    }

    /// The id that joins the intent, the receipt and the parts.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.intent.id
    }

    /// What went wrong with the ledger so far, a line each: to be said at once, as we may be killed later.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Notes one thing that was tried, and what came back.
    pub fn step(&mut self, by: &str, did: &str, saw: &str) {
        let [by, did, saw] = [by, did, saw].map(|text| one_line(text, LONGEST));
        let step =
            ActionStep { at_ms: millis(self.begun.elapsed()), by: by.clone(), did: did.clone(), saw: saw.clone() };
        tracing::debug!(at_ms = step.at_ms, by, did, saw, "step");
        self.steps.push(step);
    }

    /// Writes the receipt. Returns what went wrong with the ledger since [`RecordedAction::take_warnings`].
    #[must_use]
    pub fn leave(mut self, finish: Finish) -> Vec<String> {
        let receipt = Receipt {
            version: VERSION,
            id: self.intent.id.clone(),
            node: self.intent.node.clone(),
            outcome: finish.outcome,
            grade: finish.grade,
            proven_by: finish.proven_by,
            steps: std::mem::take(&mut self.steps),
            reason: finish.reason.map(|text| one_line(&text, LONGEST)),
            record: finish.record.map(|text| one_line(&text, LONGEST)),
            at: now(),
            duration_ms: millis(self.begun.elapsed()),
        };
        self.write(&LogEntry::Receipt(receipt));
        self.warnings
    }

    fn write(&mut self, entry: &LogEntry) {
        let what = match entry {
            LogEntry::Intent(_) => "intent",
            LogEntry::Receipt(_) => "receipt",
        };
        if let Err(error) = append_within(&self.ledger, entry.clone()) {
            let Intent { action, node, .. } = &self.intent;
            // A node that is proven off must be recorded by this host all the same.
            let kept = self.ledger.append_until_boot(entry).map_or("", |()| ", and it is kept until the next boot");
            self.warnings
                .push(format!("{node}: no {what} of this {action} is on disk, the action goes on{kept}: {error}"));
        }
    }
}

/// A disk that hangs must not stop a fencing: the append goes on behind it, if it can.
fn append_within(ledger: &ReceiptLog, entry: LogEntry) -> Result<(), String> {
    let (done, answer) = mpsc::channel();
    let ledger = ledger.clone();
    let work = move || {
        // Nobody listens any more when it took too long.
        let _ = done.send(ledger.append(&entry).map_err(|error| error.to_string()));
    };
    std::thread::Builder::new().spawn(work).map_err(|error| error.to_string())?;
    answer
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(format!("the disk did not take it in {} s", PATIENCE.as_secs())))
}
