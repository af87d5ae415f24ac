//! Measures one monitor of each role, on a host that is Ganeti's master in a lab, and that of Ganeti's example agents
//! there.

use std::path::Path;

use lab::Host;

use crate::Result;
use crate::cases::{millis, progress};
use crate::measure::{Call, Run, in_turn, median};
use crate::table::{Goal, Row};

/// The path of the agents on a host; the examples are installed beside ours under a provider of their own.
const OURS: &str = "/usr/lib/ocf/resource.d/ganeti";
const THEIRS: &str = "/usr/lib/ocf/resource.d/ganeti-examples";

/// The names of the agents.
pub(crate) const AGENTS: [&str; 2] = ["ganeti-master-role", "ganeti-node-role"];

/// The tags of full mode.
const FULL: [&str; 2] = ["ocf:master-role:full", "ocf:node-role:full"];

/// Returns the file of an example agent; `None` if it is not installed.
pub(crate) fn example(dir: &Path, agent: &str) -> Option<Vec<u8>> {
    std::fs::read(dir.join(format!("{agent}.ocf"))).ok()
}

/// Returns all rows of the monitors.
pub(crate) fn rows(master: &Host, examples: &Path, runs: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for agent in AGENTS {
        progress(&format!("a partial monitor of {agent}"));
        let theirs = example(examples, agent);
        if let Some(bytes) = &theirs {
            master.write_file(&format!("{THEIRS}/{agent}"), bytes, 0o755)?;
        }
        rows.extend(partial(master, agent, theirs.is_some(), runs)?);
    }
    for tag in FULL {
        master.check(&["gnt-cluster", "add-tags", tag])?;
    }
    for agent in AGENTS {
        progress(&format!("a full monitor of {agent}"));
        let runs = (0..runs).map(|_| monitor(master, OURS, agent).run()).collect::<Result<Vec<_>>>()?;
        rows.push(time(&format!("full monitor of {agent}, CPU ms"), &runs, None, 20.0));
    }
    for tag in FULL {
        master.check(&["gnt-cluster", "remove-tags", tag])?;
    }
    Ok(rows)
}

/// Returns the call of a recurring monitor, as Pacemaker makes it.
fn monitor(host: &Host, dir: &str, agent: &str) -> Call {
    let variables = ["OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=bench", "OCF_RESKEY_CRM_meta_interval=10000"];
    Call {
        variables: variables.map(str::to_owned).to_vec(),
        on: Some(host.clone()),
        ..Call::new(Path::new(dir).join(agent), &["monitor"], "")
    }
}

fn partial(host: &Host, agent: &str, compare: bool, runs: usize) -> Result<[Row; 3]> {
    let (ours, theirs) = (monitor(host, OURS, agent), monitor(host, THEIRS, agent));
    let offspring = (ours.offspring()?, compare.then(|| theirs.offspring()).transpose()?);
    let (ours, theirs) = if compare {
        let (ours, theirs) = in_turn(&ours, &theirs, runs)?;
        (ours, Some(theirs))
    } else {
        ((0..runs).map(|_| ours.run()).collect::<Result<Vec<_>>>()?, None)
    };
    let peak = |runs: &[Run]| runs.iter().map(|run| run.peak).max().unwrap_or_default();
    let (peak_of_ours, peak_of_theirs) = (peak(&ours), theirs.as_deref().map(peak));
    let megabytes = |bytes: u64| format!("{:.1} MB", megabytes(bytes));
    Ok([
        time(&format!("partial monitor of {agent}, CPU ms"), &ours, theirs.as_deref(), 4.0),
        Row {
            what: format!("partial monitor of {agent}, peak memory, MB"),
            ours: megabytes(peak_of_ours),
            theirs: peak_of_theirs.map_or_else(absent, megabytes),
            figure: self::megabytes(peak_of_ours),
            goal: Goal::AtMost(8.0),
            note: String::new(),
        },
        Row {
            what: format!("partial monitor of {agent}, processes and threads it starts"),
            ours: offspring.0.to_string(),
            theirs: offspring.1.map_or_else(absent, |count| count.to_string()),
            figure: number(offspring.0),
            goal: Goal::AtMost(0.0),
            note: String::new(),
        },
    ])
}

fn time(what: &str, ours: &[Run], theirs: Option<&[Run]>, limit: f64) -> Row {
    let middle = |runs: &[Run]| median(runs.iter().map(|run| run.cpu));
    let (ours, theirs) = (middle(ours), theirs.map(middle));
    let ratio = theirs.map(|theirs| ours.as_secs_f64() / theirs.as_secs_f64());
    Row {
        what: what.to_owned(),
        ours: millis(ours),
        theirs: theirs.map_or_else(absent, millis),
        figure: ours.as_secs_f64() * 1000.0,
        goal: Goal::AtMost(limit),
        note: ratio.map_or_else(String::new, |ratio| format!("{ratio:.3} of what Ganeti's example takes")),
    }
}

/// The text of a row without a value for comparison.
fn absent() -> String {
    "-".to_owned()
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

fn megabytes(bytes: u64) -> f64 {
    number(bytes) / 1e6
}
