//! The frame of every recorded action: writes an intent before anything is changed, and a receipt at the end.
//!
//! A receipt log that cannot be written does not stop an action: a host that must be fenced is fenced. But the action
//! reports a warning.

use std::io;
use std::time::{Duration, Instant};

use super::clock::{millis, now};
use super::identity;
use super::receipt_log::{ReceiptLog, ReceiptLogError};
use super::time_limit::{NoResultError, within};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::receipt::{Action, ActionStep, Intent, LogEntry, Outcome, Receipt, VERSION};
use crate::core::text::one_line;

/// The time limit of the disk for one entry.
const DISK_LIMIT: Duration = Duration::from_secs(2);

/// The maximum length of a text in a receipt, in characters: texts of devices and programs come from outside.
const TEXT_MOST: usize = 2_000;

/// One action that is under way.
#[derive(Debug)]
pub struct RecordedAction {
    log: ReceiptLog,
    intent: Intent,
    begun: Instant,
    steps: Vec<ActionStep>,
    warnings: Vec<String>,
}

/// The result of an action, for the receipt.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionResult {
    /// How the action ended, as the receipt will have it.
    pub outcome: Outcome,
    /// The strength of the proof that the node was stopped.
    pub grade: Grade,
    /// The device, program or person on which the proof rests.
    pub proven_by: String,
    /// The error or a remark.
    pub reason: Option<String>,
    /// The change of Ganeti's record, or the reason why there was none.
    pub record: Option<String>,
}

impl ActionResult {
    /// Adds a reason behind the remarks that the result has already.
    pub fn add_reason(&mut self, why: String) {
        self.reason = Some(match self.reason.take() {
            Some(remarks) => format!("{remarks}; {why}"),
            None => why,
        });
    }
}

/// The reason why an entry is not on the disk.
#[derive(Debug, thiserror::Error)]
enum NotAppendedError {
    #[error(transparent)]
    Log(#[from] ReceiptLogError),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    #[error("the disk did not take it in {} s", DISK_LIMIT.as_secs())]
    Timeout,
}

impl RecordedAction {
    /// Writes the intent. The caller must not change anything before this call.
    #[must_use]
    pub fn begin(log: ReceiptLog, program: &str, action: Action, node: &NodeName) -> Self {
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
        let mut action = Self { log, intent, begun: Instant::now(), steps: Vec::new(), warnings: Vec::new() };
        action.write(&LogEntry::Intent(action.intent.clone()));
        action
    }

    /// Returns the id that connects the intent, the receipt and the parts of the action.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.intent.id
    }

    /// Takes the warnings about the receipt log so far, one line each. The caller must report them at once, as it may
    /// be killed later.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Adds a step: who was asked (`by`), the request (`did`) and the response (`saw`).
    pub fn step(&mut self, actor: &str, request: &str, response: &str) {
        let [actor, request, response] = [actor, request, response].map(|text| one_line(text, TEXT_MOST));
        let step = ActionStep {
            at_ms: millis(self.begun.elapsed()),
            actor: actor.clone(),
            request: request.clone(),
            response: response.clone(),
        };
        tracing::debug!(at_ms = step.at_ms, actor, request, response, "step");
        self.steps.push(step);
    }

    /// Writes the receipt. Returns the warnings about the receipt log since [`RecordedAction::take_warnings`].
    #[must_use]
    pub fn finish(mut self, result: ActionResult) -> Vec<String> {
        let receipt = Receipt {
            version: VERSION,
            id: self.intent.id.clone(),
            node: self.intent.node.clone(),
            outcome: result.outcome,
            grade: result.grade,
            proven_by: result.proven_by,
            steps: std::mem::take(&mut self.steps),
            reason: result.reason.map(|text| one_line(&text, TEXT_MOST)),
            record: result.record.map(|text| one_line(&text, TEXT_MOST)),
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
        if let Err(error) = append_within(&self.log, entry.clone()) {
            let Intent { action, node, .. } = &self.intent;
            // This host must still record a node that is proven off.
            let kept = self.log.append_until_boot(entry).map_or("", |()| ", and it is kept until the next boot");
            self.warnings
                .push(format!("{node}: no {what} of this {action} is on disk, the action goes on{kept}: {error}"));
        }
    }
}

/// Appends an entry within the time limit. A disk that hangs must not stop fencing; the append continues in the
/// background.
fn append_within(log: &ReceiptLog, entry: LogEntry) -> Result<(), NotAppendedError> {
    let log = log.clone();
    let appended = within(DISK_LIMIT, move || log.append(&entry)).map_err(|error| match error {
        NoResultError::Thread(error) => NotAppendedError::Thread(error),
        NoResultError::Timeout => NotAppendedError::Timeout,
    })?;
    Ok(appended?)
}
