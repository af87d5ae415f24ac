//! Measures the administrator's commands that only read, on a working cluster and on recorded states of a large one.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::install::GNT_HA;
use lab::Host;

use crate::Result;
use crate::bmcs::{self, Bmcs};
use crate::cases::{progress, ratio};
use crate::fixture::{Cluster, Fixture, PASSWORD, USER};
use crate::measure::{Call, median};
use crate::table::{Goal, Row};

/// The commands, each with its limit in s.
const READING_COMMANDS: [(&str, f64); 3] = [("status", 0.1), ("history", 0.1), ("check", 5.0)];

/// Measures medians of `runs` calls on `master`, as a user on that host waits for them.
pub(crate) fn rows(master: &Host, runs: usize) -> Result<Vec<Row>> {
    READING_COMMANDS.iter().map(|(command, limit)| row(master, command, *limit, runs)).collect()
}

fn row(master: &Host, command: &str, limit: f64, runs: usize) -> Result<Row> {
    progress(&format!("gnt-ha {command}"));
    let call = || -> Result<Duration> {
        let begun = Instant::now();
        let ended = master.run(&[GNT_HA, command])?;
        let took = begun.elapsed();
        // Exit code 1: the command has findings, and printed them.
        if ended.code <= 1 { Ok(took) } else { Err(ended.text().into()) }
    };
    call()?;
    let times: Result<Vec<Duration>> = (0..runs).map(|_| call()).collect();
    let middle = median(times?.into_iter());
    Ok(Row {
        what: format!("gnt-ha {command} on 3 hosts, s"),
        ours: format!("{:.3}", middle.as_secs_f64()),
        theirs: "-".to_owned(),
        figure: middle.as_secs_f64(),
        goal: Goal::AtMost(limit),
        note: "median, with the way into the host".to_owned(),
    })
}

/// Measures the large cluster, whose BMCs are slow to log in to, by its files: no Pacemaker is asked.
pub(crate) fn large(fixture: &Fixture, runs: usize) -> Result<Vec<Row>> {
    let _bmcs = Bmcs::start()?;
    let cib = fixture.dir.join("cib.xml");
    std::fs::write(&cib, "<cib><configuration/></cib>")?;
    [("status", 0.3, runs), ("check", 5.0, 3)]
        .into_iter()
        .map(|(command, limit, runs)| {
            progress(&format!("gnt-ha {command} of {} hosts", bmcs::COUNT));
            let call = reading_command(fixture, &[command], Cluster::Large, &cib);
            let times: Result<Vec<Duration>> = (0..runs).map(|_| run_and_check(&call, command)).collect();
            let middle = median(times?.into_iter());
            Ok(Row {
                what: format!("gnt-ha {command} of {} hosts, by files and BMCs, s", bmcs::COUNT),
                ours: format!("{:.3}", middle.as_secs_f64()),
                theirs: "-".to_owned(),
                figure: middle.as_secs_f64(),
                goal: Goal::AtMost(limit),
                note: "median; without Pacemaker; a full receipt log; each BMC takes 0.2 s for a login".to_owned(),
            })
        })
        .collect()
}

/// Measures the power states of a thousand nodes in one call, against `ipmipower`, which asks all BMCs from one process.
pub(crate) fn thousand(fixture: &Fixture) -> Result<Row> {
    const RUNS: usize = 5;
    progress("the power of a thousand nodes, against ipmipower");
    let _bmcs = Bmcs::start()?;
    let cib = fixture.dir.join("cib.xml");
    std::fs::write(&cib, "<cib><configuration/></cib>")?;
    let ours = reading_command(fixture, &["status", "--power"], Cluster::Thousand, &cib);
    let addresses: Vec<String> =
        (1..=bmcs::THOUSAND).map(|number| bmcs::address_of_thousand(number).to_string()).collect();
    let theirs = Call::new(
        "ipmipower",
        &["-D", "LAN_2_0", "-I", "17", "-u", USER, "-p", PASSWORD, "-h", &addresses.join(","), "--stat"],
        ": on",
    );
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let run = ours.try_run()?;
        let answer = run.json()?;
        let on = |node: &&serde_json::Value| node["power_reading"]["power"] == "on";
        let seen = answer["nodes"].as_array().map_or(0, |nodes| nodes.iter().filter(on).count());
        let run_of_theirs = theirs.run()?;
        for (program, seen) in [("gnt-ha", seen), ("ipmipower", run_of_theirs.lines_with(theirs.says))] {
            if seen != usize::from(bmcs::THOUSAND) {
                return Err(format!("{program} saw the power of {seen} nodes").into());
            }
        }
        of_ours.push(run);
        of_theirs.push(run_of_theirs);
    }
    let what = format!("{} nodes' power, wall: gnt-ha status --power to ipmipower", bmcs::THOUSAND);
    let mut row = ratio(&what, &of_ours, &of_theirs, |run| run.wall, 0.5);
    row.note = "medians; each BMC takes 0.2 s for a login".to_owned();
    Ok(row)
}

/// Returns the call of a command that only reads, with JSON as its output, for this cluster's files.
fn reading_command(fixture: &Fixture, command: &[&str], cluster: Cluster, cib: &Path) -> Call {
    let state = fixture.state_dir();
    let dirs = [("--data-dir", fixture.data_dir(cluster)), ("--state-dir", state), ("--cib", cib.to_owned())];
    let mut call = Call::new(fixture.program("gnt-ha"), command, "");
    call.arguments.push("--json".to_owned());
    call.arguments.extend(dirs.iter().flat_map(|(name, path)| [(*name).to_owned(), path.display().to_string()]));
    call
}

/// Runs the command and checks its result. Pacemaker is absent, so only the findings about Ganeti and devices count.
fn run_and_check(call: &Call, command: &str) -> Result<Duration> {
    let run = call.try_run()?;
    let answer: serde_json::Value = run.json()?;
    let count = match command {
        "status" => answer["nodes"].as_array().map(Vec::len),
        _ => answer["checked"]["devices"].as_u64().and_then(|count| usize::try_from(count).ok()),
    };
    if count == Some(bmcs::COUNT.into()) {
        Ok(run.wall)
    } else {
        Err(format!("gnt-ha {command} saw {count:?} hosts").into())
    }
}
