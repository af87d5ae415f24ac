//! Runs the commands of a documentation page in its order, and compares their output with the page.

use std::time::Duration;

use lab::{Host, Lab};

/// Commands that only read, or that change nothing while they fail: the state that they wait for may take a moment.
const READS: [&str; 7] = [
    "/usr/lib/gnt-ha/ganeti-oob check",
    "gnt-ha readmit",
    "gnt-ha check",
    "gnt-ha self-fence status",
    "gnt-ha rehearse",
    "gnt-ha status",
    "stonith_admin --history",
];

/// The end of a line that `setup` prints with Pacemaker 2 alone, as the pages say: Pacemaker 3 always fences concurrently.
const PACEMAKER_2_ALONE: &str = " property concurrent-fencing = true";

/// A command of the page, and the output that the page shows, one line each.
struct Shown {
    command: String,
    output: Vec<String>,
}

fn shown(page: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
        let Some(line) = line.strip_prefix("    ") else {
            is_open = false;
            continue;
        };
        if let Some(command) = line.strip_prefix("# ") {
            all.push(Shown { command: command.to_owned(), output: Vec::new() });
            is_open = true;
        } else if let Some(last) = all.last_mut().filter(|_| is_open) {
            last.output.push(line.to_owned());
        }
    }
    all
}

/// Numbers differ from run to run; a name such as `n3` does not.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut before = ' ';
    for letter in line.trim().chars() {
        let is_name = before.is_ascii_alphabetic();
        match letter {
            '0'..='9' if before == '#' => continue,
            '0'..='9' if !is_name => plain.push('#'),
            other => plain.push(other),
        }
        before = match letter {
            // The other digits of a name belong to it.
            '0'..='9' if is_name => before,
            '0'..='9' => '#',
            other => other,
        };
    }
    plain
}

/// `...` on a line of its own matches any lines, within a line any text.
fn is_like(printed: &[&str], shown: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "..." => (0..=printed.len()).any(|skip| is_like(&printed[skip..], rest)),
        Some((line, rest)) => printed.split_first().is_some_and(|(first, others)| {
            let mut left = plain(first);
            let shown = plain(line);
            let parts: Vec<&str> = shown.split("...").collect();
            let begins = left.starts_with(parts[0]) && left.ends_with(parts[parts.len() - 1]);
            let all = parts.iter().all(|part| match left.find(part) {
                Some(at) => {
                    left = left[at + part.len()..].to_owned();
                    true
                }
                None => false,
            });
            begins && all && (parts.len() > 1 || left.is_empty()) && is_like(others, rest)
        }),
    }
}

fn check_output(host: &Host, shown: &Shown) -> Result<(), String> {
    let output = host.run(&["sh", "-c", &shown.command]).unwrap().text();
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut shown = shown.output.clone();
    if shown.iter().any(|line| line.ends_with(PACEMAKER_2_ALONE)) {
        let version = host.run(&["pacemakerd", "--version"]).unwrap().text();
        shown.retain(|line| version.contains("Pacemaker 2.") || !line.ends_with(PACEMAKER_2_ALONE));
    }
    if is_like(&lines, &shown) { Ok(()) } else { Err(output) }
}

/// Types the page's commands on `host`.
pub(crate) fn follow(page: &str, lab: &Lab, host: &Host) {
    let all = shown(page);
    assert!(!all.is_empty(), "no commands");
    for shown in &all {
        let command = &shown.command;
        println!("# {command}");
        let mut output = String::new();
        let mut tried = || match check_output(host, shown) {
            Ok(()) => true,
            Err(text) => {
                output = text;
                false
            }
        };
        let as_shown = if READS.iter().any(|read| command.starts_with(read)) {
            lab.wait_until(command, Duration::from_secs(60), || Ok(tried())).is_ok()
        } else {
            tried()
        };
        assert!(
            as_shown,
            "{command}: the page shows\n{}\nand the command prints
{output}",
            shown.output.join("\n")
        );
    }
}

#[test]
fn only_output_that_the_page_shows_matches() {
    let shown: Vec<String> = ["If n1 died:", "...", "  took 3.2 s, ... done"].map(str::to_owned).into();
    assert!(is_like(&["If n1 died:", "x", "y", "  took 11.84 s, well done"], &shown));
    assert!(is_like(
        &["If n1 died:", "  took 0.1 s, done"],
        &["If n1 died:".to_owned(), "  took 3.2 s, done".to_owned()]
    ));
    assert!(!is_like(&["If n1 died:", "  took 11.84 s, well undone!"], &shown));
    assert!(!is_like(&["If n1 died:", "  took 1 s, so done", "more"], &shown));
    assert!(!is_like(&[], &shown));
    assert_eq!(plain("n12.lab fenced in 12.50 s"), "n12.lab fenced in #.# s");
}
