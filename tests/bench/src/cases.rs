//! The cases of the benchmark, one or two rows each.

use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::admin_commands;
use crate::bmcs::{self, Bmcs};
use crate::fixture::{self, Cluster, Fixture, LOSSY, NODE, PASSWORD, USER, lossy_node};
use crate::measure::{Call, Run, in_turn, median};
use crate::sandbox::succeed;
use crate::simulator::Simulator;
use crate::table::{Goal, Row};

/// Packets lost in each direction, in percent.
const LOSS: u8 = 30;

/// The time within which an answer under loss has to come.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Runs all cases, in the order of the table.
pub(crate) fn all(fixture: &Fixture, runs: usize) -> Result<Vec<Row>> {
    let mut simulator = Simulator::start(&fixture.dir, fixture::quiet_address())?;
    let mut rows = status(fixture, &simulator, runs)?;
    rows.push(power_status(fixture, &simulator, runs)?);
    rows.push(metadata(fixture, runs)?);
    rows.push(loss(fixture)?);
    rows.extend(slow(fixture)?);
    let (row, peak) = many(fixture)?;
    rows.push(row);
    rows.push(admin_commands::thousand(fixture)?);
    rows.extend(admin_commands::large(fixture, runs)?);
    rows.extend(memory(fixture, peak)?);
    simulator.still_runs()?;
    Ok(rows)
}

/// Prints the running case on stderr.
pub(crate) fn progress(what: &str) {
    eprintln!("bench: {what}");
}

fn agent(fixture: &Fixture, action: &str, node: Option<&str>, cluster: Cluster, says: &'static str) -> Call {
    let arguments = fixture.agent_arguments(action, node, cluster);
    Call { arguments, ..Call::new(fixture.program("fence_ganeti"), &[], says) }
}

fn ipmitool(fixture: &Fixture, address: IpAddr) -> Call {
    let (address, password) = (address.to_string(), fixture.password_file().display().to_string());
    let arguments =
        ["-I", "lanplus", "-C", "3", "-H", &address, "-U", USER, "-f", &password, "chassis", "power", "status"];
    Call::new("ipmitool", &arguments, "Chassis Power is on")
}

fn status(fixture: &Fixture, simulator: &Simulator, runs: usize) -> Result<Vec<Row>> {
    progress("status through the agent and its OOB program, against fence_ipmilan");
    let ours = agent(fixture, "status", Some(NODE), Cluster::Few, "Status: ON");
    let address = simulator.address();
    let theirs = Call::new(
        "fence_ipmilan",
        &["-o", "status", "--lanplus", "--cipher=3", "-a", &address, "-l", USER, "-p", PASSWORD],
        "Status: ON",
    );
    let (ours, theirs) = in_turn(&ours, &theirs, runs)?;
    let wall = ratio("status, wall: fence_ganeti to fence_ipmilan", &ours, &theirs, |run| run.wall, 0.25);
    let cpu = ratio("status, CPU time: fence_ganeti to fence_ipmilan", &ours, &theirs, |run| run.cpu, 0.1);
    Ok(vec![wall, cpu])
}

fn power_status(fixture: &Fixture, simulator: &Simulator, runs: usize) -> Result<Row> {
    progress("power-status, against ipmitool");
    let ours = Call::new(fixture.program("ganeti-oob"), &["power-status", NODE], "\"powered\":true");
    let theirs = ipmitool(fixture, simulator.address().parse()?);
    let (ours, theirs) = in_turn(&ours, &theirs, runs)?;
    Ok(ratio("power-status, wall: ganeti-oob to ipmitool", &ours, &theirs, |run| run.wall, 0.4))
}

/// Measures power-off at BMCs that work off one packet after another, once at each: nothing in it is random.
fn slow(fixture: &Fixture) -> Result<Vec<Row>> {
    let _bmcs = Bmcs::start()?;
    let mut rows = Vec::new();
    for (place, millis) in (0u8..).zip(bmcs::SLOW) {
        progress(&format!("power-off with {millis} ms a packet, against ipmitool"));
        let ours = Call::new(fixture.program("ganeti-oob"), &["power-off", &fixture::slow_node(millis)], "");
        let address = bmcs::slow_address(place, false).to_string();
        let password = fixture.password_file().display().to_string();
        let theirs = Call::new(
            "ipmitool",
            &["-I", "lanplus", "-C", "3", "-H", &address, "-U", USER, "-f", &password, "chassis", "power", "off"],
            "Chassis Power Control: Down/Off",
        );
        let (ours, theirs) = (vec![ours.run()?], vec![theirs.run()?]);
        let what = format!("power-off, {millis} ms a packet, wall: ganeti-oob to ipmitool");
        rows.push(ratio(&what, &ours, &theirs, |run| run.wall, 0.8));
    }
    Ok(rows)
}

fn metadata(fixture: &Fixture, runs: usize) -> Result<Row> {
    progress("metadata, against fence_ipmilan");
    let ours = Call::new(fixture.program("fence_ganeti"), &["-o", "metadata"], "</resource-agent>");
    let theirs = Call::new("fence_ipmilan", &["-o", "metadata"], "</resource-agent>");
    let (ours, theirs) = in_turn(&ours, &theirs, runs)?;
    Ok(ratio("metadata, wall: fence_ganeti to fence_ipmilan", &ours, &theirs, |run| run.wall, 0.1))
}

/// Returns the row with the ratio of the medians.
pub(crate) fn ratio(what: &str, ours: &[Run], theirs: &[Run], time: impl Fn(&Run) -> Duration, limit: f64) -> Row {
    let (ours, theirs) = (median(ours.iter().map(&time)), median(theirs.iter().map(&time)));
    Row {
        what: what.to_owned(),
        ours: millis(ours),
        theirs: millis(theirs),
        figure: ours.as_secs_f64() / theirs.as_secs_f64(),
        goal: Goal::AtMost(limit),
        note: String::new(),
    }
}

/// Measures how many calls get an answer from the simulators behind a bad network; one after the other at each of them.
fn loss(fixture: &Fixture) -> Result<Row> {
    const OURS: usize = 5;
    const THEIRS: usize = 1;
    let mut simulators = (1..=LOSSY)
        .map(|number| Simulator::start(&fixture.dir, fixture::lossy_address(number)))
        .collect::<Result<Vec<_>>>()?;
    lose_packets()?;
    progress("ipmitool behind a bad network");
    let calls: Vec<Call> = (1..=LOSSY).map(|number| ipmitool(fixture, fixture::lossy_address(number))).collect();
    let theirs = answers(&calls, THEIRS)?;
    progress("status through the agent and its OOB program behind a bad network");
    let calls: Vec<Call> = (1..=LOSSY)
        .map(|number| agent(fixture, "status", Some(&lossy_node(number)), Cluster::Few, "Status: ON"))
        .collect();
    let ours = answers(&calls, OURS)?;
    simulators.iter_mut().try_for_each(Simulator::still_runs)?;
    let (in_time, their_in_time) = (ours.within(TIME_LIMIT), theirs.within(TIME_LIMIT));
    #[allow(clippy::cast_precision_loss, reason = "at most a hundred")]
    let percent = 100.0 * in_time as f64 / ours.asked.max(1) as f64;
    Ok(Row {
        what: format!("status at {LOSS} % loss each way, percent answered: fence_ganeti, ipmitool"),
        ours: format!("{in_time} of {}", ours.asked),
        theirs: format!("{their_in_time} of {}", theirs.asked),
        figure: percent,
        goal: Goal::AtLeast(95.0),
        note: format!(
            "within {} s; with more time ours {}; ipmitool {}",
            TIME_LIMIT.as_secs(),
            ours.text(),
            theirs.text()
        ),
    })
}

/// Drops packets to and from the simulators at their receivers: a sender must not notice it.
fn lose_packets() -> Result<()> {
    let network = "127.2.0.0/24";
    let rules = format!(
        "table inet bench {{\nchain input {{\ntype filter hook input priority 0\n\
         udp dport {port} ip daddr {network} numgen random mod 100 < {LOSS} drop\n\
         udp sport {port} ip saddr {network} numgen random mod 100 < {LOSS} drop\n}}\n}}\n",
        port = ipmi_lan::DEFAULT_PORT,
    );
    succeed(Command::new("nft").arg(rules).stdout(Stdio::null()))
}

/// Returns the times until the received answers.
#[derive(Default)]
struct Answers {
    asked: usize,
    times: Vec<Duration>,
}

impl Answers {
    fn within(&self, limit: Duration) -> usize {
        self.times.iter().filter(|time| **time <= limit).count()
    }

    fn text(&self) -> String {
        let slowest = self.times.iter().max().copied().unwrap_or_default();
        let middle = median(self.times.iter().copied());
        format!("{} of {}, after {} (median) to {}", self.times.len(), self.asked, millis(middle), millis(slowest))
    }
}

/// Runs the calls at the same time, the runs of each in turn. A run without an answer is not an error here.
fn answers(calls: &[Call], runs: usize) -> Result<Answers> {
    let one = |call: &Call| -> Result<Vec<Option<Duration>>> {
        let time = || call.try_run().map(|run| call.answered(&run).then_some(run.wall));
        (0..runs).map(|_| time()).collect()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = calls.iter().map(|call| scope.spawn(|| one(call))).collect();
        let mut answers = Answers::default();
        for thread in threads {
            let times = thread.join().map_err(|_| "a measuring thread died")??;
            answers.asked += times.len();
            answers.times.extend(times.into_iter().flatten());
        }
        Ok(answers)
    })
}

/// Measures all nodes of the large cluster at once, against the slowest of them alone. Also returns the agent's peak
/// memory.
fn many(fixture: &Fixture) -> Result<(Row, u64)> {
    const RUNS: usize = 5;
    progress("many nodes in one list-status");
    let bmcs = Bmcs::start()?;
    // All nodes are alike: a sample is enough.
    let alone = (1..=bmcs::COUNT)
        .step_by(10)
        .map(|number| agent(fixture, "status", Some(&fixture::many_node(number)), Cluster::Large, "Status: ON").run())
        .collect::<Result<Vec<_>>>()?;
    let slowest = alone.iter().map(|run| run.wall).max().unwrap_or_default();
    let call = agent(fixture, "list-status", None, Cluster::Large, ",ON");
    let mut all = Vec::new();
    let mut of_bmcs = bmcs.cpu()?;
    for _ in 0..RUNS {
        let run = call.run()?;
        if run.lines_with(call.says) != usize::from(bmcs::COUNT) {
            return Err("list-status did not get every node's state".into());
        }
        let now = bmcs.cpu()?;
        all.push((run.wall, run.cpu, now.saturating_sub(of_bmcs), run.peak));
        of_bmcs = now;
    }
    all.sort_unstable();
    let (wall, cpu, of_bmcs, _) = all.get(RUNS / 2).copied().ok_or("no run")?;
    let peak = all.iter().map(|(.., peak)| *peak).max().unwrap_or_default();
    let cores = thread::available_parallelism()?.get();
    let busy = (cpu + of_bmcs) / u32::try_from(cores)?;
    // A program that never leaves a core idle while there is work ends within this time (Graham's bound).
    let allowed = slowest.mul_f64(1.5).max(busy + slowest);
    let row = Row {
        what: format!("{} nodes in one list-status, wall: to the slowest alone", bmcs::COUNT),
        ours: millis(wall),
        theirs: millis(slowest),
        figure: wall.as_secs_f64() / slowest.as_secs_f64(),
        goal: Goal::AtMost(allowed.as_secs_f64() / slowest.as_secs_f64()),
        note: format!(
            "1.5, or what {cores} cores allow: CPU time {} of ours and {} of the BMCs is {} on each, and the slowest alone",
            millis(cpu),
            millis(of_bmcs),
            millis(busy)
        ),
    };
    Ok((row, peak))
}

/// Measures the peak memory of each program in its largest task.
fn memory(fixture: &Fixture, agents_peak: u64) -> Result<Vec<Row>> {
    progress("peak memory");
    let program = fixture.program("ganeti-oob");
    let health = Call::new(&program, &["health", NODE], "[[").run()?.peak;
    let status = Call::new(&program, &["power-status", NODE], "\"powered\":true").run()?.peak;
    let state = fixture.state_dir().display().to_string();
    let history = Call::new(fixture.program("gnt-ha"), &["history", "--state-dir", &state], "older ones are left out")
        .run()?
        .peak;
    let row = |what: &str, peak: u64| {
        #[allow(clippy::cast_precision_loss, reason = "megabytes")]
        let figure = peak as f64 / 1e6;
        Row {
            what: format!("peak memory, MB: {what}"),
            ours: format!("{figure:.1} MB"),
            theirs: "-".to_owned(),
            figure,
            goal: Goal::AtMost(12.0),
            note: String::new(),
        }
    };
    Ok(vec![
        row("fence_ganeti, list-status of the large cluster", agents_peak),
        row("ganeti-oob, power-status and health", health.max(status)),
        row("gnt-ha, history of a full receipt log", history),
    ])
}

/// Returns the value as text.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
