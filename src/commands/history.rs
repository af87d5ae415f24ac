//! `gnt-ha history`: what was done to nodes, by whom, and how it was proven.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::{self, Paint};
use crate::config::{Config, DEFAULT_PATH, DEFAULT_STATE};
use crate::core::grade::Grade;
use crate::core::history::{Story, stories};
use crate::core::node::NodeName;
use crate::core::receipt::{Action, Asker, Outcome, Receipt};
use crate::core::reconcile::{Delegate, Fence, FenceAction, FenceStatus};
use crate::core::timeline::{Event, Fenced, joined};
use crate::sys::clock::Deadline;
use crate::sys::ledger::Ledger;
use crate::sys::pacemaker::{self, PacemakerError};

/// What is shown without `--all`.
const SHOWN: usize = 20;

/// How long Pacemaker may take to tell its fence history.
const ANSWER: Duration = Duration::from_secs(5);

/// The command line.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this node
    #[arg(value_name = "NODE")]
    node: Option<NodeName>,

    /// One JSON object a line, for programs
    ///
    /// Keys: of what this host did, intent, receipt (null if it was interrupted) and parts; pacemaker, what Pacemaker has in
    /// its fence history: node, action, status, completed_ms, delegate. It is null where that has nothing, and alone where
    /// another host, another fence agent or a human did it. Later versions may add keys.
    #[arg(long)]
    json: bool,

    /// Everything, not only the last 20
    #[arg(long)]
    all: bool,

    /// Folder of the receipts, instead of the configured one; Pacemaker is not asked then
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
}

/// Reads the receipts of this host and prints them, oldest first.
///
/// # Errors
/// One line, when they cannot be read.
pub fn run(arguments: &Arguments, config: &Path) -> Result<(), String> {
    let folder = state_folder(arguments, config)?;
    let count = if arguments.all { usize::MAX } else { SHOWN };
    let (contents, older) =
        Ledger::new(&folder).read_last(count, arguments.node.as_ref()).map_err(|error| error.to_string())?;
    for line in &contents.unreadable {
        cli::complain("gnt-ha", &format!("left out {line}"));
    }
    let stories = stories(contents.entries, arguments.node.as_ref());
    let fences = if arguments.state_dir.is_some() { Vec::new() } else { fences() };
    let since_ms = if older > 0 { stories.first().map(|story| story.intent.at.wall_ms) } else { None };
    let events = joined(stories, fences, arguments.node.as_ref(), since_ms);
    if arguments.json {
        return cli::print(&json_lines(&events)?);
    }
    if events.is_empty() {
        let whom = arguments.node.as_ref().map_or_else(|| "any node".to_owned(), ToString::to_string);
        return cli::print(&format!("Nothing was done to {whom} from this host ({}).\n", folder.display()));
    }
    let look = Look { zone: TimeZone::system(), colour: std::io::stdout().is_terminal() };
    let mut text = String::new();
    if older > 0 {
        text.push_str(&format!("({older} older ones are left out: --all shows them)\n\n"));
    }
    for event in &events {
        look.tell(event, &mut text);
        text.push('\n');
    }
    cli::print(&text)
}

/// Pacemaker's fence history. Where it does not run, or does not answer, there still are the receipts.
fn fences() -> Vec<(NodeName, Fence)> {
    match pacemaker::status(Deadline::after(ANSWER)) {
        Ok(status) => status.fences,
        Err(PacemakerError::NotHere) => Vec::new(),
        Err(error) => {
            cli::complain("gnt-ha", &format!("{error}; only the receipts of this host follow"));
            Vec::new()
        }
    }
}

/// The receipts' folder does not need the configuration: a host may have none, or a broken one, at 3 a.m.
fn state_folder(arguments: &Arguments, config: &Path) -> Result<PathBuf, String> {
    if let Some(folder) = &arguments.state_dir {
        return Ok(folder.clone());
    }
    match Config::load(config) {
        Ok(config) => Ok(config.state),
        Err(error) if config == Path::new(DEFAULT_PATH) => {
            if config.exists() {
                cli::complain("gnt-ha", &format!("{error}; looking in {DEFAULT_STATE}"));
            }
            Ok(DEFAULT_STATE.into())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn json_lines(events: &[Event]) -> Result<String, String> {
    let mut text = String::new();
    for event in events {
        text.push_str(&serde_json::to_string(event).map_err(|error| error.to_string())?);
        text.push('\n');
    }
    Ok(text)
}

/// How stories are shown.
struct Look {
    zone: TimeZone,
    colour: bool,
}

impl Look {
    fn tell(&self, event: &Event, text: &mut String) {
        match (&event.story, &event.pacemaker) {
            (Some(story), fenced) => {
                self.tell_story(story, text);
                if let Some(Fenced { fence, .. }) = fenced {
                    text.push_str(&format!("    Pacemaker: {}, {}\n", verb(fence.action), self.status(fence)));
                }
            }
            (None, Some(fenced)) => self.tell_fenced(fenced, text),
            (None, None) => {}
        }
    }

    /// What was done elsewhere, or by something else than our programs.
    fn tell_fenced(&self, fenced: &Fenced, text: &mut String) {
        let Fenced { node, fence } = fenced;
        let at = fence.completed_ms.map_or_else(|| "(not over)".to_owned(), |at| cli::time(at, &self.zone));
        text.push_str(&format!("{at}  {node}  {}  {}, says Pacemaker\n", verb(fence.action), self.status(fence)));
        let line = match &fence.delegate {
            Delegate::Host(host) => {
                format!("done by {host}: gnt-ha history there has the receipt, if it was fence_ganeti")
            }
            Delegate::Human => {
                "confirmed by a human (gnt-ha attest, stonith_admin --confirm): no device was asked".to_owned()
            }
            Delegate::Nobody => "by nobody that Pacemaker names".to_owned(),
        };
        text.push_str(&format!("    {line}\n"));
    }

    fn status(&self, fence: &Fence) -> String {
        match fence.status {
            FenceStatus::Success => self.painted(Paint::Green, "success"),
            FenceStatus::Failed => self.painted(Paint::Red, "FAILED: nothing is known of the node"),
            FenceStatus::Pending => self.painted(Paint::Yellow, "under way"),
        }
    }

    fn tell_story(&self, story: &Story, text: &mut String) {
        let intent = &story.intent;
        text.push_str(&format!(
            "{}  {}  {}  {}\n",
            cli::time(intent.at.wall_ms, &self.zone),
            intent.node,
            intent.action,
            self.result(story),
        ));
        text.push_str(&format!(
            "    asked by {} on {}, through {}\n",
            asker(&intent.asked_by),
            intent.host,
            intent.program
        ));
        self.tell_steps(story, intent.at.boottime_ms, text, "    ");
        if let Some(receipt) = &story.receipt {
            for (name, line) in [("remark", &receipt.reason), ("Ganeti", &receipt.record)] {
                if let Some(line) = line {
                    text.push_str(&format!("    {name}: {line}\n"));
                }
            }
        }
    }

    /// The steps of a story and of its parts on one time line, in seconds since the whole began.
    fn tell_steps(&self, story: &Story, zero: u64, text: &mut String, indent: &str) {
        let mut lines: Vec<(u64, String)> = Vec::new();
        collect(story, zero, 0, &mut lines);
        lines.sort_by_key(|(at, _)| *at);
        for (at, line) in lines {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of one action")]
            let seconds = at as f64 / 1000.0;
            text.push_str(&format!("{indent}{seconds:8.3} s  {line}\n"));
        }
    }

    fn result(&self, story: &Story) -> String {
        let action = story.intent.action;
        let Some(receipt) = &story.receipt else {
            return self.painted(Paint::Red, "NO END: killed, or still running; nothing is known");
        };
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of one action")]
        let took = format!("{:.1} s", receipt.took_ms as f64 / 1000.0);
        let proof = match receipt.grade {
            Grade::Unknown => String::new(),
            grade => format!(", proven {grade} by {}", witness(story, receipt)),
        };
        let already = if action == Action::On { "was on" } else { "was off" };
        match receipt.outcome {
            Outcome::Done => self.painted(Paint::Green, &format!("done in {took}{proof}")),
            Outcome::AlreadySo => self.painted(Paint::Green, &format!("{already} before{proof}")),
            Outcome::OffOnly => self.painted(Paint::Yellow, &format!("OFF, NOT ON AGAIN, after {took}{proof}")),
            Outcome::Refused => self.painted(Paint::Red, &format!("REFUSED after {took}")),
            Outcome::Unknown => self.painted(Paint::Red, &format!("FAILED after {took}: its state is unknown")),
        }
    }

    fn painted(&self, paint: Paint, text: &str) -> String {
        if self.colour { paint.on(text) } else { text.to_owned() }
    }
}

fn collect(story: &Story, zero: u64, depth: usize, lines: &mut Vec<(u64, String)>) {
    let begun = story.intent.at.boottime_ms.saturating_sub(zero);
    let indent = "  ".repeat(depth);
    if let Some(receipt) = &story.receipt {
        for step in &receipt.steps {
            lines.push((begun + step.at_ms, format!("{indent}{}: {}: {}", step.by, step.did, step.saw)));
        }
    }
    for part in &story.parts {
        collect(part, zero, depth + 1, lines);
    }
}

/// As Pacemaker calls it.
const fn verb(action: FenceAction) -> &'static str {
    match action {
        FenceAction::Off => "off",
        FenceAction::Reboot => "reboot",
        FenceAction::On => "on",
    }
}

/// Whose word the proof is: the device's, where a part of the story asked it, else as the receipt says.
fn witness(story: &Story, receipt: &Receipt) -> String {
    let parts = story.parts.iter().filter_map(|part| part.receipt.as_ref());
    parts
        .rev()
        .find(|part| part.grade == receipt.grade)
        .map_or_else(|| receipt.word_of.clone(), |part| format!("{}, through {}", part.word_of, receipt.word_of))
}

fn asker(asker: &Asker) -> String {
    let user = if asker.user == "root" { String::new() } else { format!(", user {}", asker.user) };
    format!("{} (process {}{user})", asker.program, asker.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::receipt::Entry;
    use crate::core::receipt::tests::{intent, receipt};

    fn told(entries: Vec<Entry>) -> String {
        let look = Look { zone: TimeZone::UTC, colour: false };
        let mut text = String::new();
        joined(stories(entries, None), Vec::new(), None, None).iter().for_each(|event| look.tell(event, &mut text));
        text
    }

    /// At 3 a.m., on a host that did nothing: who did it, and where to read on.
    #[test]
    fn what_pacemaker_alone_knows_is_told_too() {
        let told = |status, delegate| {
            let fence = Fence { action: FenceAction::Reboot, status, completed_ms: Some(2_000), delegate };
            let fenced = Fenced { node: NodeName::new("n3.lab").unwrap(), fence };
            let mut text = String::new();
            Look { zone: TimeZone::UTC, colour: false }
                .tell(&Event { story: None, pacemaker: Some(fenced) }, &mut text);
            text
        };
        let n2 = Delegate::Host(NodeName::new("n2.lab").unwrap());
        assert_eq!(
            told(FenceStatus::Success, n2.clone()),
            "1970-01-01 00:00:02 UTC  n3.lab  reboot  success, says Pacemaker\n    \
             done by n2.lab: gnt-ha history there has the receipt, if it was fence_ganeti\n"
        );
        let failed = told(FenceStatus::Failed, n2);
        assert!(failed.contains("FAILED") && !failed.contains("success"), "{failed}");
        assert!(told(FenceStatus::Success, Delegate::Human).contains("a human"));
    }

    /// An agent that ended too late has proven what Pacemaker takes for a failure.
    #[test]
    fn what_pacemaker_made_of_it_is_told() {
        let stories = stories(vec![Entry::Intent(intent("a", "n3")), Entry::Receipt(receipt("a", "n3"))], None);
        let fence = Fence {
            action: FenceAction::Reboot,
            status: FenceStatus::Failed,
            completed_ms: Some(1_300),
            delegate: Delegate::Host(NodeName::new("n1").unwrap()),
        };
        let mut text = String::new();
        let events = joined(stories, vec![(NodeName::new("n3").unwrap(), fence)], None, None);
        Look { zone: TimeZone::UTC, colour: false }.tell(&events[0], &mut text);
        assert!(text.ends_with("    Pacemaker: reboot, FAILED: nothing is known of the node\n"), "{text}");
    }

    #[test]
    fn a_story_reads_as_a_story() {
        let mut part = intent("b", "n3.lab");
        part.asked_by.request = Some("a".into());
        part.at.boottime_ms = 15;
        let mut whole = receipt("a", "n3.lab");
        whole.steps[0].did = "power-off".into();
        whole.steps[0].by = "/usr/lib/gnt-ha/ganeti-oob".into();
        whole.steps[0].saw = "done".into();
        whole.steps[0].at_ms = 290;
        whole.word_of = "/usr/lib/gnt-ha/ganeti-oob".into();
        whole.record = Some("job 7 records it offline".into());
        let text = told(vec![
            Entry::Intent(intent("a", "n3.lab")),
            Entry::Intent(part),
            Entry::Receipt(receipt("b", "n3.lab")),
            Entry::Receipt(whole),
        ]);
        assert_eq!(
            text,
            "1970-01-01 00:00:01 UTC  n3.lab  reboot  done in 0.3 s, proven off by bmc, through /usr/lib/gnt-ha/ganeti-oob\n    \
             asked by pacemaker-fenced (process 7) on n1.lab, through fence_ganeti\n       \
             0.008 s    bmc: read: off\n       \
             0.290 s  /usr/lib/gnt-ha/ganeti-oob: power-off: done\n    \
             Ganeti: job 7 records it offline\n"
        );
    }

    /// CloudStack 13376: alerts said "fencing performed" on each failure. A failure must not read like a success.
    #[test]
    fn what_failed_or_was_killed_says_so_loudly() {
        assert!(told(vec![Entry::Intent(intent("a", "n3"))]).contains("NO END: killed, or still running"));
        let mut failed = receipt("a", "n3");
        failed.outcome = Outcome::Unknown;
        failed.grade = Grade::Unknown;
        let text = told(vec![Entry::Intent(intent("a", "n3")), Entry::Receipt(failed)]);
        assert!(text.contains("FAILED") && !text.contains("proven"), "{text}");
    }
}
