//! The page of an incident (`gnt-ha history --incident ... --html`) as a real browser shows it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::install::built_programs;
use serde_json::Value;

/// Receipts like those of hosts, with names as long as in a data centre. There is a reboot within a second, one by two
/// PDUs whose host did not come on again, and one that failed.
const RECEIPTS: &str = include_str!("page/receipts.jsonl");
const INCIDENTS: [&str; 3] = ["01a207ac40c3", "01a21aac4d71", "01a21a9d8b7a"];

const MEASURE: &str = include_str!("page/measure.js");

/// The page's own elements; a browser has made any other from a device's text.
const ELEMENTS: &str = "body circle dd div dl dt h1 head html line meta p script strong style svg table tbody td text th \
                        thead title tr";

/// A wide screen in light mode, and the narrowest window of Chromium in dark mode (`prefers-color-scheme`).
const SCREENS: [(u32, bool); 2] = [(1280, false), (500, true)];

/// The least contrast of text (WCAG 2.1, 1.4.3), and of a drawing's parts (1.4.11).
const READABLE: f64 = 4.5;
const VISIBLE: f64 = 3.0;

fn page(dir: &Path, incident: &str) -> String {
    let program = built_programs().unwrap().join("gnt-ha");
    let mut command = Command::new(program);
    command.env("TZ", "UTC").args(["history", "--incident", incident, "--html", "--state-dir"]).arg(dir);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the measurements of a browser with this width.
fn measured(dir: &Path, page: &str, width: u32, dark_mode: bool) -> Value {
    let file = dir.join("page.html");
    // A script element of the page itself would be one more than this one and the one that it writes.
    std::fs::write(&file, page.replace("</body>", &format!("<script>{MEASURE}</script></body>"))).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-default-apps",
            "--hide-scrollbars",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},900"))
        .args(dark_mode.then_some("--force-dark-mode"))
        .arg(format!("file://{}", file.display()))
        .stderr(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("chromium: {error}: tests/requirements chromium"));
    let dom = String::from_utf8(output.stdout).unwrap();
    let (_, from) =
        dom.split_once("<script type=\"application/json\" id=\"measured\">").unwrap_or_else(|| panic!("{dom}"));
    let measured: Value = serde_json::from_str(from.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(measured["width"], width, "the browser's window");
    assert_eq!(measured["dark_mode"], dark_mode);
    measured
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} of {value}"))
}

fn is_within(inner: &Value, outer: &Value) -> bool {
    number(inner, "left") >= number(outer, "left") - 0.5
        && number(inner, "right") <= number(outer, "right") + 0.5
        && number(inner, "top") >= number(outer, "top") - 0.5
        && number(inner, "bottom") <= number(outer, "bottom") + 0.5
}

fn assert_readable(seen: &Value) {
    assert_eq!(seen["scrolls"], seen["width"], "nothing is beside the screen");
    assert_eq!(seen["cut"], 0, "no text runs out of its place");
    for contrast in list(&seen["contrasts"]) {
        assert!(contrast.as_f64().unwrap() >= READABLE, "{contrast}");
    }
    for contrast in list(&seen["dotContrasts"]) {
        assert!(contrast.as_f64().unwrap() >= VISIBLE, "{contrast}");
    }
    let ticks = list(&seen["ticks"]);
    for (left, right) in ticks.iter().zip(&ticks[1..]) {
        assert!(number(left, "right") < number(right, "left"), "times that run into each other: {ticks:?}");
    }
}

/// The page is self-contained HTML with the time line drawn (checked in headless Chromium).
#[test]
fn a_browser_shows_every_step_on_the_time_line_and_loads_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("receipts.jsonl"), RECEIPTS).unwrap();
    let known: BTreeSet<&str> = ELEMENTS.split_whitespace().collect();
    for incident in INCIDENTS {
        let page = page(dir.path(), incident);
        assert!(!page.contains("<script") && !page.contains("url(") && !page.contains("@import"), "{page}");
        for (width, dark_mode) in SCREENS {
            let seen = measured(dir.path(), &page, width, dark_mode);
            let what = format!("{incident} at {width}, dark_mode: {dark_mode}");
            println!("{what}: {} dots", list(&seen["dots"]).len());
            assert_eq!((&seen["fetched"], &seen["points"]), (&Value::Array(Vec::new()), &Value::from(0)), "{what}");
            let strange: Vec<&Value> =
                list(&seen["elements"]).iter().filter(|name| !known.contains(name.as_str().unwrap())).collect();
            assert!(strange.is_empty(), "{what}: {strange:?}");
            assert_readable(&seen);

            let (dots, rows) = (list(&seen["dots"]), list(&seen["rows"]));
            assert!(dots.len() >= 3 && dots.len() == rows.len(), "{what}: {} dots, {} rows", dots.len(), rows.len());
            let drawing = &seen["drawing"][0];
            assert!(dots.iter().chain(list(&seen["texts"])).all(|part| is_within(part, drawing)), "{what}: {seen:#}");
            for row in rows {
                let cell = |at: usize| row["says"][at].as_str().unwrap();
                let says = format!("{}: {}: {}", cell(0), cell(2), cell(3));
                let of_it: Vec<&Value> = dots.iter().filter(|dot| dot["says"] == says.as_str()).collect();
                assert!(!of_it.is_empty(), "{what}: no dot for {says}");
            }
            assert_in_order(dots);
        }
    }
}

/// A later time is further to the right.
fn assert_in_order(dots: &[Value]) {
    let at = |dot: &Value| dot["says"].as_str().unwrap().split_once(" s:").unwrap().0.parse::<f64>().unwrap();
    let mut all: Vec<(f64, f64)> = dots.iter().map(|dot| (at(dot), number(dot, "left"))).collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let [first, .., last] = all[..] else { panic!("{all:?}") };
    for (seconds, left) in &all {
        let there = first.1 + (last.1 - first.1) * (seconds - first.0) / (last.0 - first.0);
        assert!((left - there).abs() < 1.5, "{seconds} s is at {left}, not at {there}");
    }
}
