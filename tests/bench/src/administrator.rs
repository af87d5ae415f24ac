//! What the administrator waits for: the commands that look, on a cluster that works.

use std::time::{Duration, Instant};

use lab::Host;
use real_parts::protect::GNT_HA;

use crate::Result;
use crate::cases::progress;
use crate::measure::median;
use crate::table::{Goal, Row};

/// What is called, and how long it may take, in seconds.
const LOOKS: [(&str, f64); 3] = [("status", 0.1), ("history", 0.1), ("check", 5.0)];

/// Medians of `runs` calls on `master`, as a user on that host waits for them.
pub(crate) fn rows(master: &Host, runs: usize) -> Result<Vec<Row>> {
    LOOKS.iter().map(|(command, limit)| row(master, command, *limit, runs)).collect()
}

fn row(master: &Host, command: &str, limit: f64, runs: usize) -> Result<Row> {
    progress(&format!("gnt-ha {command}"));
    let call = || -> Result<Duration> {
        let begun = Instant::now();
        let ended = master.run(&[GNT_HA, command])?;
        let took = begun.elapsed();
        // 1: it has found something, and said so.
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
