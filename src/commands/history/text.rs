//! Formats the history for a terminal.

use jiff::tz::TimeZone;

use crate::cli;
use crate::core::grade::Grade;
use crate::core::history::{ActionRecord, TimedStep};
use crate::core::receipt::{Action, ActionStep, Caller, Outcome, Receipt};
use crate::core::reconcile::{Delegate, Fence, FenceAction, FenceStatus};
use crate::core::text::printable;
use crate::core::timeline::{FencedNode, TimelineEvent};
use crate::sys::output::{Paint, Text};

/// The parameters of the format.
pub(super) struct TextFormat {
    pub(super) zone: TimeZone,
}

impl TextFormat {
    /// Appends one event to `text`.
    pub(super) fn push_event(&self, event: &TimelineEvent, text: &mut Text) {
        match (&event.action, &event.pacemaker) {
            (Some(action), fenced) => {
                self.push_action(action, text);
                if let Some(FencedNode { fence, .. }) = fenced {
                    text.push_str(&format!("    Pacemaker: {}, ", verb(fence.action)));
                    push_status(fence, text);
                    text.push_str("\n");
                }
            }
            (None, Some(fenced)) => self.push_fencing(fenced, text),
            (None, None) => {}
        }
        push_steps(&event.recovery_steps(), text);
    }

    /// Appends a fencing by another host, or by a program that is not ours.
    fn push_fencing(&self, fenced: &FencedNode, text: &mut Text) {
        let FencedNode { node, fence } = fenced;
        let at = fence.completed_ms.map_or_else(|| "(pending)".to_owned(), |at| cli::time(at, &self.zone));
        text.push_str(&format!("{at}  {node}  {}  ", verb(fence.action)));
        push_status(fence, text);
        text.push_str(
            ", reported by Pacemaker
",
        );
        let line = match &fence.delegate {
            Delegate::Host(host) => {
                format!("fenced from {host}; gnt-ha history there has the receipt, if fence_ganeti did it")
            }
            Delegate::Human => {
                "confirmed by an administrator (gnt-ha confirm-off, stonith_admin --confirm): no device was used"
                    .to_owned()
            }
            Delegate::Watchdog => {
                "watchdog self-fencing: no device was used, the node is trusted to have reset itself".to_owned()
            }
            Delegate::Unnamed => "Pacemaker does not name the host that did it".to_owned(),
        };
        text.push_str(&format!("    {line}\n"));
    }

    fn push_action(&self, action: &ActionRecord, text: &mut Text) {
        let intent = &action.intent;
        let begun = cli::time(intent.at.wall_ms, &self.zone);
        text.push_str(&format!("{begun}  {}  {}  ", intent.node, intent.action));
        let (paint, ended) = result(action);
        text.push_painted(Some(paint), &printable(&ended));
        text.push_str(&format!(
            "\n    requested by {} on {}, through {}, receipt {}\n",
            printable(&caller_name(&intent.requested_by)),
            printable(&intent.host),
            printable(&intent.program),
            printable(&intent.id),
        ));
        for TimedStep { at_ms, depth, step } in action.steps() {
            push_step(at_ms, depth, step, text);
        }
        if let Some(receipt) = &action.receipt {
            for (name, line) in [("remark", &receipt.reason), ("Ganeti", &receipt.record)] {
                if let Some(line) = line {
                    text.push_str(&format!("    {name}: {}\n", printable(line)));
                }
            }
        }
    }
}

fn push_step(at_ms: u64, depth: usize, step: &ActionStep, text: &mut Text) {
    let (indent, [actor, request, response]) =
        ("  ".repeat(depth), [&step.actor, &step.request, &step.response].map(|word| printable(word)));
    text.push_str(&format!("    {:8.3} s  {indent}{actor}: {request}: {response}\n", seconds(at_ms)));
}

/// Appends the steps of the instances, which end long after the fencing.
fn push_steps(steps: &[ActionStep], text: &mut Text) {
    for step in steps {
        push_step(step.at_ms, 0, step, text);
    }
}

fn push_status(fence: &Fence, text: &mut Text) {
    let (paint, word) = match fence.status {
        FenceStatus::Success => (Paint::Green, "success"),
        FenceStatus::Failed => (Paint::Red, "FAILED: the state of the node is unknown"),
        FenceStatus::Pending => (Paint::Yellow, "under way"),
    };
    text.push_painted(Some(paint), word);
}

/// Returns the result of an action with its colour.
pub(super) fn result(action: &ActionRecord) -> (Paint, String) {
    let Some(receipt) = &action.receipt else {
        return (Paint::Red, "no result: killed, or still running; its state is unknown".to_owned());
    };
    let took = format!("{:.1} s", seconds(receipt.duration_ms));
    let proof = match receipt.grade {
        Grade::Unknown => String::new(),
        grade => format!(", proven {grade} by {}", proven_by(action, receipt)),
    };
    let already = if action.intent.action == Action::On { "was on" } else { "was off" };
    match receipt.outcome {
        Outcome::Done => (Paint::Green, format!("done in {took}{proof}")),
        Outcome::Unchanged => (Paint::Green, format!("{already} before{proof}")),
        Outcome::OffOnly => (Paint::Yellow, format!("OFF, NOT ON AGAIN, after {took}{proof}")),
        Outcome::Refused => (Paint::Red, format!("REFUSED after {took}")),
        Outcome::Unknown => (Paint::Red, format!("FAILED after {took}: its state is unknown")),
    }
}

/// Converts the ms of one action to seconds.
#[allow(clippy::cast_precision_loss, reason = "of minutes at most")]
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// Returns Pacemaker's name of the fencing action.
pub(super) const fn verb(action: FenceAction) -> &'static str {
    match action {
        FenceAction::Off => "off",
        FenceAction::Reboot => "reboot",
        FenceAction::On => "on",
    }
}

/// Returns on what the proof rests: the device, if a part of the action asked it, or what the receipt names.
fn proven_by(action: &ActionRecord, receipt: &Receipt) -> String {
    let parts = action.parts.iter().filter_map(|part| part.receipt.as_ref());
    parts
        .rev()
        .find(|part| part.grade == receipt.grade)
        .map_or_else(|| receipt.proven_by.clone(), |part| format!("{}, through {}", part.proven_by, receipt.proven_by))
}

/// Returns who requested the action.
pub(super) fn caller_name(caller: &Caller) -> String {
    let user = if caller.user == "root" { String::new() } else { format!(", user {}", caller.user) };
    format!("{} (process {}{user})", caller.program, caller.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::history::join_entries;
    use crate::core::node::NodeName;
    use crate::core::receipt::LogEntry;
    use crate::core::receipt::tests::{intent, receipt};
    use crate::core::timeline::joined;

    fn text_of(entries: Vec<LogEntry>) -> String {
        let format = TextFormat { zone: TimeZone::UTC };
        let mut text = Text::default();
        joined(join_entries(entries, None), Vec::new(), None, None)
            .iter()
            .for_each(|event| format.push_event(event, &mut text));
        text.plain()
    }

    /// On a host that did nothing, the text has the host that fenced and where its history is.
    #[test]
    fn a_fencing_by_another_host_is_shown() {
        let text_of_fencing = |status, delegate| {
            let fence = Fence { action: FenceAction::Reboot, status, completed_ms: Some(2_000), delegate };
            let fenced = FencedNode { node: NodeName::new("n3.lab").unwrap(), fence };
            let mut text = Text::default();
            TextFormat { zone: TimeZone::UTC }
                .push_event(&TimelineEvent { action: None, pacemaker: Some(fenced), instances: Vec::new() }, &mut text);
            text.plain()
        };
        let n2 = Delegate::Host(NodeName::new("n2.lab").unwrap());
        assert_eq!(
            text_of_fencing(FenceStatus::Success, n2.clone()),
            "1970-01-01 00:00:02 UTC  n3.lab  reboot  success, reported by Pacemaker
    \
             fenced from n2.lab; gnt-ha history there has the receipt, if fence_ganeti did it\n"
        );
        let failed = text_of_fencing(FenceStatus::Failed, n2);
        assert!(failed.contains("FAILED") && !failed.contains("success"), "{failed}");
        assert!(text_of_fencing(FenceStatus::Success, Delegate::Human).contains("by an administrator"));
    }

    /// An agent that ended too late has proven what Pacemaker regards as a failure.
    #[test]
    fn the_result_of_pacemaker_is_shown_below_the_action() {
        let actions =
            join_entries(vec![LogEntry::Intent(intent("a", "n3")), LogEntry::Receipt(receipt("a", "n3"))], None);
        let fence = Fence {
            action: FenceAction::Reboot,
            status: FenceStatus::Failed,
            completed_ms: Some(1_300),
            delegate: Delegate::Host(NodeName::new("n1").unwrap()),
        };
        let mut text = Text::default();
        let events = joined(actions, vec![(NodeName::new("n3").unwrap(), fence)], None, None);
        TextFormat { zone: TimeZone::UTC }.push_event(&events[0], &mut text);
        let text = text.plain();
        assert!(text.ends_with("    Pacemaker: reboot, FAILED: the state of the node is unknown\n"), "{text}");
    }

    #[test]
    fn an_action_is_shown_with_its_steps() {
        let mut part = intent("b", "n3.lab");
        part.requested_by.request = Some("a".into());
        part.at.boottime_ms = 15;
        let mut whole = receipt("a", "n3.lab");
        whole.steps[0].request = "power-off".into();
        whole.steps[0].actor = "/usr/lib/gnt-ha/ganeti-oob".into();
        whole.steps[0].response = "done".into();
        whole.steps[0].at_ms = 290;
        whole.proven_by = "/usr/lib/gnt-ha/ganeti-oob".into();
        whole.record = Some("job 7 records it offline".into());
        let text = text_of(vec![
            LogEntry::Intent(intent("a", "n3.lab")),
            LogEntry::Intent(part),
            LogEntry::Receipt(receipt("b", "n3.lab")),
            LogEntry::Receipt(whole),
        ]);
        assert_eq!(
            text,
            "1970-01-01 00:00:01 UTC  n3.lab  reboot  done in 0.3 s, proven off by bmc, through /usr/lib/gnt-ha/ganeti-oob\n    \
             requested by pacemaker-fenced (process 7) on n1.lab, through fence_ganeti, receipt a\n       \
             0.008 s    bmc: read: off\n       \
             0.290 s  /usr/lib/gnt-ha/ganeti-oob: power-off: done\n    \
             Ganeti: job 7 records it offline\n"
        );
    }

    /// CloudStack 13376: alerts reported "fencing performed" for each failure. A failure must not read like a success.
    #[test]
    fn a_failed_or_interrupted_action_is_shown_as_such() {
        assert!(text_of(vec![LogEntry::Intent(intent("a", "n3"))]).contains("no result: killed, or still running"));
        let mut failed = receipt("a", "n3");
        failed.outcome = Outcome::Unknown;
        failed.grade = Grade::Unknown;
        let text = text_of(vec![LogEntry::Intent(intent("a", "n3")), LogEntry::Receipt(failed)]);
        assert!(text.contains("FAILED") && !text.contains("proven"), "{text}");
    }
}
