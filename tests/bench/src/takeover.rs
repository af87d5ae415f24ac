//! Kills the master's host. Measures the times until another one serves and until the dead one is recorded, and which
//! others are affected, also when the old master gets power again and returns with its old files.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::install::{built_programs, protect};
use e2e::observer::Observer;
use e2e::{lab_name, receipts, roles};
use lab::{Host, Lab, Options, Power};

use crate::Result;
use crate::admin_commands;
use crate::cases::progress;
use crate::measure::{ON_HOSTS, median};
use crate::monitors::{self, AGENTS, example};
use crate::table::{Goal, Row};

/// The master's host, which is killed.
const OLD: &str = "n1";

/// The time after which a run fails, with any agents: twice what Ganeti's examples need for a new master.
const TIME_LIMIT: Duration = Duration::from_secs(85);

/// The interval at which the record of the dead host is checked, after another one serves.
const OFTEN: Duration = Duration::from_millis(200);

/// The interval at which other affected hosts are checked for: each check is a dozen processes.
const RARELY: Duration = Duration::from_secs(3);

/// The most that a boot may take here, until Pacemaker has the host back.
const BOOT: Duration = Duration::from_secs(60);

/// The time for which the hosts are watched when the old master is back: several monitors, and their effects.
const SETTLED: Duration = Duration::from_secs(30);

/// The result of a kill.
struct Takeover {
    serves: Option<Duration>,
    recorded: Option<Duration>,
    /// The hosts that were fenced or lost power, besides the one that was killed.
    touched: BTreeSet<String>,
}

/// Returns all rows that need a lab.
pub(crate) fn all(labs: u8, runs: usize, examples: &Path) -> Result<Vec<Row>> {
    let programs = built_programs()?;
    let mut rows = Vec::new();
    let mut ours = Vec::new();
    for number in 1..=labs {
        progress(&format!("a lab, the {number}. of {labs}; the master's host is killed"));
        let lab = up(false)?;
        protect(&lab, &programs, None)?;
        let master = lab.host(OLD)?;
        roles::configure(&lab, &master)?;
        if number == 1 {
            master.write_file(ON_HOSTS, &std::fs::read(std::env::current_exe()?)?, 0o755)?;
            rows = monitors::rows(&master, examples, runs)?;
            rows.extend(admin_commands::rows(&master, runs)?);
        }
        ours.push(kill(&lab, &master)?);
    }
    rows.extend(table(&ours, with_examples(examples)?.as_ref()));
    Ok(rows)
}

fn up(ipmilan: bool) -> Result<Lab> {
    let options = Options { name: lab_name("bench"), fencing: ipmilan, replace: true, ..Options::default() };
    Ok(Lab::up(options)?)
}

/// Does the same with Ganeti's example agents and `fence_ipmilan`, if they are installed.
fn with_examples(dir: &Path) -> Result<Option<Takeover>> {
    let agents = AGENTS.map(|agent| (agent, example(dir, agent)));
    if agents.iter().any(|(_, bytes)| bytes.is_none()) {
        return Ok(None);
    }
    progress("a lab with Ganeti's example agents and fence_ipmilan; the master's host is killed");
    let lab = up(true)?;
    for host in lab.hosts() {
        for (agent, bytes) in &agents {
            let bytes = bytes.as_deref().unwrap_or_default();
            host.write_file(&format!("/usr/lib/ocf/resource.d/ganeti/{agent}"), bytes, 0o755)?;
        }
    }
    let master = lab.host(OLD)?;
    roles::configure(&lab, &master)?;
    kill(&lab, &master).map(Some)
}

/// A process on each host reports whether it serves, so that the check does not slow down what it checks; everything
/// else is checked from time to time.
fn kill(lab: &Lab, old: &Host) -> Result<Takeover> {
    let others: Vec<Host> = lab.hosts().into_iter().filter(|host| host.name() != old.name()).collect();
    let mut observer = Observer::new(lab);
    let begun = Instant::now();
    old.power_off()?;
    let mut takeover = Takeover { serves: None, recorded: None, touched: BTreeSet::new() };
    let mut last_watched = begun;
    while begun.elapsed() < TIME_LIMIT && takeover.recorded.is_none() && takeover.touched.is_empty() {
        std::thread::sleep(OFTEN);
        if let Some((host, since)) = observer.serving(old.name()) {
            takeover.serves.get_or_insert(since.saturating_duration_since(begun));
            let master = others.iter().find(|other| other.name() == host);
            let recorded = master.is_some_and(|master| roles::has_offline(master, &old.fqdn()));
            takeover.recorded = recorded.then(|| begun.elapsed());
        }
        if last_watched.elapsed() > RARELY {
            takeover.touched = touched(lab, old, &others);
            last_watched = Instant::now();
        }
    }
    drop(observer.end());
    old.power_on()?;
    // If all hosts are fenced none returns: that is found below.
    let _ = lab.wait_until("the old master is back", BOOT, || Ok(lab.crm_mon()?.is_online(old.name())));
    let back = Instant::now();
    while back.elapsed() < SETTLED {
        takeover.touched.append(&mut touched(lab, old, &others));
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(takeover)
}

fn touched(lab: &Lab, old: &Host, others: &[Host]) -> BTreeSet<String> {
    let history = lab.fence_history().unwrap_or_default().into_iter().map(|event| event.target);
    let fenced = receipts::on_all(lab).into_iter().map(|action| action.intent.node.as_str().to_owned());
    let off = others.iter().filter(|host| host.power_status() != Power::On).map(Host::fqdn);
    history.chain(fenced).chain(off).filter(|name| *name != old.fqdn()).collect()
}

fn table(ours: &[Takeover], theirs: Option<&Takeover>) -> Vec<Row> {
    /// The time of an event that never happened; it must not look like a measurement.
    const NEVER: Duration = Duration::MAX;
    let row = |what: &str, time: fn(&Takeover) -> Option<Duration>, limit: f64| {
        let times = || ours.iter().map(|takeover| time(takeover).unwrap_or(NEVER));
        let middle = median(times());
        let all: Vec<String> = times().map(text).collect();
        Row {
            what: what.to_owned(),
            ours: text(middle),
            theirs: theirs.map_or_else(|| "-".to_owned(), |theirs| text(time(theirs).unwrap_or(NEVER))),
            figure: if middle == NEVER { f64::MAX } else { middle.as_secs_f64() },
            goal: Goal::AtMost(limit),
            note: note(&all.join(", "), middle, theirs.and_then(time)),
        }
    };
    let names = |takeover: &Takeover| takeover.touched.iter().cloned().collect::<Vec<_>>().join(", ");
    let most = ours.iter().map(|takeover| takeover.touched.len()).max().unwrap_or_default();
    let whose: Vec<String> = ours.iter().map(names).filter(|names| !names.is_empty()).collect();
    vec![
        row("master's host killed, until another answers LUXI, s", |takeover| takeover.serves, 8.0),
        row("master's host killed, until it is recorded offline, s", |takeover| takeover.recorded, 20.0),
        Row {
            what: "master's host killed and given power again, other hosts touched".to_owned(),
            ours: most.to_string(),
            theirs: theirs.map_or_else(|| "-".to_owned(), |theirs| theirs.touched.len().to_string()),
            figure: u32::try_from(most).unwrap_or(u32::MAX).into(),
            goal: Goal::AtMost(0.0),
            note: whose.join("; "),
        },
    ]
}

fn note(all: &str, ours: Duration, theirs: Option<Duration>) -> String {
    let ratio = theirs.map(|theirs| ours.as_secs_f64() / theirs.as_secs_f64());
    let ratio = ratio.map_or_else(String::new, |ratio| format!("; {ratio:.3} of what Ganeti's examples take"));
    format!("the runs: {all}{ratio}")
}

fn text(time: Duration) -> String {
    if time == Duration::MAX { "never".to_owned() } else { format!("{:.1} s", time.as_secs_f64()) }
}
