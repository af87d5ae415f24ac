//! Formats one action as an HTML page that needs no script, picture, font or other file.

use jiff::tz::TimeZone;

use super::text::{caller_name, result, seconds, verb};
use crate::cli;
use crate::core::history::{ActionRecord, TimedStep};
use crate::core::reconcile::FenceStatus;
use crate::core::text::printable;
use crate::core::timeline::TimelineEvent;
use crate::sys::output::Paint;

/// The height of a lane of the drawing, in pixels. Widths are in per cent of the browser's width.
const LANE: usize = 44;
const TOP: usize = 28;
const LEFT: f64 = 1.5;
const WIDTH: f64 = 97.0;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8888; --good: #1a7f37; --bad: #cf222e; --doubt: #9a6700; --step: #0969da; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; --doubt: #d29922; --step: #4493f8; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; } .good { color: var(--good); } .bad { color: var(--bad); } .doubt { color: var(--doubt); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0 1.5rem; } dt { opacity: .7; } dd { margin: 0; }
svg { display: block; margin: 1.5rem 0; overflow: visible; } svg line { stroke: var(--line); }
svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
svg circle { fill: var(--step); stroke: Canvas; }
table { border-collapse: collapse; width: 100%; } tr { border-bottom: 1px solid var(--line); }
th, td { text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0; } td:last-child { padding-right: 0; }
td.at { text-align: right; font-variant-numeric: tabular-nums; } td.at, td.did { white-space: nowrap; } td.by { min-width: 8rem; }
@media (max-width: 46rem) { thead { display: none; } td { padding: 0; } td.by { min-width: 0; }
tr { display: grid; grid-template-columns: max-content auto 1fr; column-gap: .75rem; padding: .25rem 0; }
td:last-child { grid-column: 1 / -1; } }
";

/// Returns the page of `action`, which belongs to `event`.
pub(super) fn page(action: &ActionRecord, event: &TimelineEvent, zone: &TimeZone) -> String {
    let intent = &action.intent;
    let (paint, ended) = result(action);
    let title = format!("{} {}, {}", intent.node, intent.action, cli::time(intent.at.wall_ms, zone));
    let mut facts = vec![
        (
            "requested by",
            format!("{} on {}, through {}", caller_name(&intent.requested_by), intent.host, intent.program),
        ),
        ("receipt", intent.id.clone()),
    ];
    if let Some(receipt) = &action.receipt {
        facts.extend(receipt.reason.iter().map(|line| ("remark", line.clone())));
        facts.extend(receipt.record.iter().map(|line| ("Ganeti", line.clone())));
    }
    if let Some(fenced) = &event.pacemaker {
        let status = match fenced.fence.status {
            FenceStatus::Success => "success",
            FenceStatus::Failed => "FAILED: the state of the node is unknown",
            FenceStatus::Pending => "under way",
        };
        facts.push(("Pacemaker", format!("{}, {status}", verb(fenced.fence.action))));
    }
    let of_instances = event.recovery_steps();
    let mut steps = action.steps();
    steps.extend(of_instances.iter().map(|step| TimedStep { at_ms: step.at_ms, depth: 0, step }));
    let facts: String =
        facts.iter().map(|(name, text)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(text))).collect();
    let rows: String = steps.iter().map(row).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n<p class=\"{class}\"><strong>{ended}</strong></p>\n<dl>{facts}</dl>\n{drawing}\n\
         <table><thead><tr><th>after</th><th>who</th><th>was asked</th><th>what came back</th></tr></thead>\n\
         <tbody>{rows}</tbody></table></body></html>\n",
        title = escaped(&title),
        class = class(paint),
        ended = escaped(&ended),
        drawing = drawing(&steps, action),
    )
}

const fn class(paint: Paint) -> &'static str {
    match paint {
        Paint::Green => "good",
        Paint::Red => "bad",
        Paint::Yellow => "doubt",
    }
}

fn row(tried: &TimedStep<'_>) -> String {
    let TimedStep { at_ms, step, .. } = tried;
    let [actor, request, response] = [short(&step.actor), &step.request, &step.response].map(escaped);
    format!(
        "<tr><td class=\"at\">{:.3} s</td><td class=\"by\">{actor}</td><td class=\"did\">{request}</td><td>{response}</td></tr>\n",
        seconds(*at_ms)
    )
}

/// Returns the file name of a program.
fn short(by: &str) -> &str {
    by.rsplit('/').next().unwrap_or(by)
}

/// Draws one lane for each device, program or person that was asked, in the order of the first step, and a dot for each
/// step.
fn drawing(steps: &[TimedStep<'_>], action: &ActionRecord) -> String {
    let mut lanes: Vec<&str> = Vec::new();
    for tried in steps {
        if !lanes.contains(&tried.step.actor.as_str()) {
            lanes.push(&tried.step.actor);
        }
    }
    if lanes.is_empty() {
        return String::new();
    }
    let last = steps.iter().map(|tried| tried.at_ms);
    let end_ms = last.chain(action.receipt.iter().map(|receipt| receipt.duration_ms)).max().unwrap_or(0).max(1);
    let x = |at_ms: u64| LEFT + WIDTH * seconds(at_ms) / seconds(end_ms);
    let bottom = TOP + LANE * lanes.len();
    let mut svg = format!(
        "<svg width=\"100%\" height=\"{bottom}\" role=\"img\" aria-label=\"time line, {:.1} seconds\">\n",
        seconds(end_ms)
    );
    let digits = if end_ms < 4_000 { 2 } else { 1 };
    for (tick, anchor) in ["start", "middle", "middle", "middle", "end"].into_iter().enumerate() {
        let at_ms = end_ms * tick as u64 / 4;
        svg.push_str(&format!(
            "<line x1=\"{x:.2}%\" y1=\"{TOP}\" x2=\"{x:.2}%\" y2=\"{bottom}\"/><text x=\"{x:.2}%\" y=\"18\" text-anchor=\"{anchor}\">\
             {:.digits$} s</text>\n",
            seconds(at_ms),
            x = x(at_ms),
        ));
    }
    for (number, lane) in lanes.iter().enumerate() {
        let y = TOP + LANE * number;
        svg.push_str(&format!(
            "<line x1=\"{LEFT}%\" y1=\"{dot}\" x2=\"{}%\" y2=\"{dot}\"/><text x=\"{:.2}%\" y=\"{}\">{}</text>\n",
            LEFT + WIDTH,
            LEFT + 0.5,
            y + 16,
            escaped(short(lane)),
            dot = y + 30,
        ));
        let of_it = steps.iter().filter(|tried| tried.step.actor == *lane);
        for TimedStep { at_ms, step, .. } in of_it {
            svg.push_str(&format!(
                "<circle cx=\"{:.2}%\" cy=\"{}\" r=\"6\"><title>{:.3} s: {}: {}</title></circle>\n",
                x(*at_ms),
                y + 30,
                seconds(*at_ms),
                escaped(&step.request),
                escaped(&step.response),
            ));
        }
    }
    svg + "</svg>"
}

/// Escapes text for HTML: the responses of devices and programs come from outside.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in printable(text).chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::history::join_entries;
    use crate::core::receipt::tests::{intent, receipt};
    use crate::core::receipt::{LogEntry, Outcome};
    use crate::core::recovery::recovery_log::RecoveryLog;
    use crate::core::timeline::{add_instances, joined};
    use quick_xml::Reader;
    use quick_xml::events::Event as Xml;

    fn page_of(entries: Vec<LogEntry>) -> String {
        page_with(entries, RecoveryLog::default())
    }

    fn page_with(entries: Vec<LogEntry>, log: RecoveryLog) -> String {
        let mut events = joined(join_entries(entries, None), Vec::new(), None, None);
        add_instances(&mut events, log);
        page(events[0].action.as_ref().unwrap(), &events[0], &TimeZone::UTC)
    }

    #[test]
    fn every_step_is_a_dot_and_a_row() {
        let page = page_of(vec![LogEntry::Intent(intent("a", "n3.lab")), LogEntry::Receipt(receipt("a", "n3.lab"))]);
        assert_eq!((page.matches("<circle ").count(), page.matches("<tr><td").count()), (1, 1));
        assert!(page.contains("<strong>done in 0.3 s, proven off by bmc</strong>"), "{page}");
        assert!(!page.contains("http"), "nothing is fetched");
    }

    /// The instances are on the same time line, and their names come from outside.
    #[test]
    fn an_instance_has_its_dots_and_rows() {
        let log = r#"{"instances": [{"instance": "<web>", "off": "n3.lab", "lost_ms": 900, "since_ms": 1500, "starts":
            [{"at_ms": 2000, "job": 50, "on": "n2.lab"}], "runs": {"at_ms": 6000, "on": "n2.lab"}, "not_started": null,
            "is_over": true}]}"#;
        let entries = vec![LogEntry::Intent(intent("a", "n3.lab")), LogEntry::Receipt(receipt("a", "n3.lab"))];
        let page = page_with(entries, serde_json::from_str(log).unwrap());
        assert_eq!((page.matches("<circle ").count(), page.matches("<tr><td").count()), (3, 3));
        assert!(page.contains("5.000 s: &lt;web&gt;: seen running on n2.lab"), "{page}");
    }

    #[test]
    fn a_failure_reads_like_one_and_no_step_is_no_drawing() {
        let mut failed = receipt("a", "n3");
        (failed.outcome, failed.steps) = (Outcome::Unknown, Vec::new());
        let page = page_of(vec![LogEntry::Intent(intent("a", "n3")), LogEntry::Receipt(failed)]);
        assert!(page.contains("class=\"bad\"><strong>FAILED") && !page.contains("<svg"), "{page}");
    }

    /// A BMC's answer and an administrator's reason are data in the page, and never become markup.
    #[test]
    fn what_comes_from_outside_stays_text() {
        let mut hostile = receipt("a", "n3");
        hostile.steps[0].response = "<script>alert(1)</script> & \"off\"".to_owned();
        hostile.steps[0].actor = "</text><b>".to_owned();
        hostile.reason = Some("'</dd>".to_owned());
        let page = page_of(vec![LogEntry::Intent(intent("a", "n3")), LogEntry::Receipt(hostile)]);
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        // The page is well-formed XML except for the two elements that HTML does not close.
        let whole = page.replace("\"utf-8\">", "\"utf-8\"/>").replace("=device-width\">", "=device-width\"/>");
        let mut reader = Reader::from_str(&whole);
        while !matches!(reader.read_event().unwrap(), Xml::Eof) {}
    }
}
