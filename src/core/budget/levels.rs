//! The least time of each level of `ganeti-oob`: the levels before it do not answer, and `fence_ganeti` has read the
//! power first. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fence;
use super::redfish;
use super::time_budget::{AdvertisedTimes, Term, TimeBudget, seconds, share};
use crate::core::config::{Config, Driver, IpmiDevice, Level, RedfishDevice};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::walk::Task;
use crate::core::shun::lease_times::LeaseTimes;

/// How long a noded may take to answer. A noded that accepts the call and hangs must not use up the time of all others,
/// nor that for SSH. A healthy node answers in some ten milliseconds.
pub const NODED_ANSWERS: Duration = Duration::from_secs(5);

/// The time for a command and two readings: a healthy device needs far less.
const SWITCH_TIME: Duration = Duration::from_secs(5);

/// The part of the time budget of `fence_ganeti` that one level gets in the worst case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelTime {
    /// When the level begins at the latest, from the start of `fence_ganeti`.
    pub begins: Duration,
    /// The time that the level has then.
    pub gets: Duration,
    /// The figures of the calculation.
    terms: Vec<Term>,
}

/// Which of the levels before are assumed to be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilentLevels {
    /// The BMCs: they lose their power with the host.
    Bmcs,
    /// All levels, each for all of its share: an agent is asked again and again.
    All,
    /// The BMCs, but those over Redfish take commands and do nothing: each is read for all of its share.
    Stuck,
}

/// Returns the time of level `index` of `levels`, from the deadline of `fence_ganeti` and the own one of `ganeti-oob`.
#[must_use]
pub fn allotted(
    levels: &[Level],
    index: usize,
    own: Duration,
    deadline: &(Duration, String),
    silent: SilentLevels,
) -> LevelTime {
    let (whole, source) = deadline;
    let receipt = fence::receipt(*whole);
    let mut left = whole.saturating_sub(receipt);
    let before = |time: Duration, commanded| {
        silence(levels.get(..index).unwrap_or(levels), levels.len(), time, commanded, silent)
    };
    let reading = before(own.min(fence::grant(fence::reading(left)).stated), false);
    left = left.saturating_sub(reading);
    let read_back = fence::read_back(left);
    let grant = fence::grant(left.saturating_sub(read_back));
    let time = own.min(grant.stated);
    let before = before(time, true);
    let gets = level_share(time.saturating_sub(before), levels.get(index..).unwrap_or_default(), Task::Off);
    let terms = vec![
        Term::plus(*whole, format!("fence_ganeti's deadline ({source})")),
        Term::minus(receipt, "for its receipt"),
        Term::minus(reading, "for its first reading, while the levels before do not answer"),
        Term::minus(read_back, "to read the power after the command"),
        Term::minus(
            (left - read_back).saturating_sub(time),
            "so that ganeti-oob ends by itself (its own deadline, SIGTERM)",
        ),
        Term::minus(before, "for the command, while the levels before do not answer"),
        Term::minus(time.saturating_sub(before).saturating_sub(gets), "for the levels behind it"),
    ];
    let terms = terms.into_iter().filter(|term| term.ms != 0).collect();
    LevelTime { begins: reading + before, gets, terms }
}

/// Returns how much of the time that is left the first of `levels` gets: its share, or what a BMC over Redfish needs.
#[must_use]
pub fn level_share(left: Duration, levels: &[Level], task: Task) -> Duration {
    let least = levels.first().map(|level| least(level, task)).unwrap_or_default();
    share(left, levels.len()).max(least).min(left)
}

/// Returns the time below which no BMC over Redfish of this level can prove anything; 0 if it has none.
fn least(level: &Level, task: Task) -> Duration {
    let each = match task {
        Task::Off => redfish::POWER_CHANGE_TIME,
        // A power-on waits for no lag: a reading, the command and a reading take as long as two readings.
        Task::Read | Task::On => redfish::READING_TIME,
    };
    each * by_redfish(level)
}

fn by_redfish(level: &Level) -> u32 {
    let count = level.iter().filter(|device| matches!(device.driver, Driver::Redfish(_))).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns how long the levels `before`, of `levels` in total, are waited for.
fn silence(before: &[Level], levels: usize, time: Duration, commanded: bool, silent: SilentLevels) -> Duration {
    let mut spent = Duration::ZERO;
    for (number, level) in before.iter().enumerate() {
        let left = time.saturating_sub(spent);
        let share =
            share(left, levels - number).max(least(level, if commanded { Task::Off } else { Task::Read })).min(left);
        // A BMC that does not answer the reading before the command is given up. That reading has a third of the share
        // if a command is to follow, and all of it otherwise.
        let limit = |driver: &Driver| match driver {
            Driver::Redfish(_) if silent == SilentLevels::Stuck => match commanded {
                true => share,
                false => redfish::OPERATION_TIME,
            },
            Driver::Ipmi(IpmiDevice { login_timeout: time, .. })
            | Driver::Redfish(RedfishDevice { timeout: time, .. }) => {
                time.0.min(if commanded { share / 3 } else { share })
            }
            _ if silent == SilentLevels::All => share,
            // If such a device were silent, too, the next attempt would find the node shunned, and continue from there.
            _ => Duration::ZERO,
        };
        spent += level.iter().map(|device| limit(&device.driver)).max().unwrap_or_default();
    }
    spent
}

/// Returns the grade of an off by this level. `is_armed`: the node's self-fencing is armed.
#[must_use]
pub fn grade(level: &Level, is_armed: bool) -> Grade {
    let by_shunning = if is_armed { Grade::Bounded } else { Grade::Isolated };
    let of = |driver: &Driver| driver.proves().unwrap_or(by_shunning);
    level.iter().map(|device| of(&device.driver)).min().unwrap_or(Grade::Unknown)
}

/// Returns whether a device of the level is the driver `shun`, which switches no power.
#[must_use]
pub fn has_shun(level: &Level) -> bool {
    level.iter().any(|device| matches!(device.driver, Driver::Shun))
}

/// Returns the longest wait time for the self-fencing of one of `nodes`. It follows from the configuration, or from
/// what a node reports, because its watchdog may be a slower one.
fn wait(config: &Config, nodes: &[&NodeName], advertised: &AdvertisedTimes) -> Term {
    let ms = |ms: u64| seconds(i64::try_from(ms).unwrap_or(i64::MAX));
    let times = |terms: LeaseTimes| {
        let LeaseTimes { lease_ms, watchdog_ms, drift_ppm, stop_ms } = terms;
        let (lease, watchdog, stop) = (ms(lease_ms), ms(watchdog_ms), ms(stop_ms));
        format!("lease {lease} + 2 x watchdog {watchdog}, clocks wrong by {drift_ppm} ppm, stop {stop}")
    };
    let configured = config.self_fence.lease_times();
    let reported = nodes.iter().filter_map(|node| Some((*node, *advertised.get(*node)?)));
    match reported
        .max_by_key(|(_, terms)| terms.wait_time())
        .filter(|(_, terms)| terms.wait_time() > configured.wait_time())
    {
        Some((node, terms)) => Term::plus(
            terms.wait_time(),
            format!("until the lease of {node} ends, by its own report ({})", times(terms)),
        ),
        None => Term::plus(configured.wait_time(), format!("until its lease ends ({})", times(configured))),
    }
}

fn needed(level: &Level, config: &Config, nodes: &[&NodeName], advertised: &AdvertisedTimes) -> Vec<Term> {
    if !has_shun(level) {
        let bmcs = by_redfish(level);
        // The devices of a level are switched one after the other.
        let others = u32::try_from(level.len()).unwrap_or(u32::MAX).saturating_sub(bmcs);
        let each = if others > 1 { format!(", for each of {others} devices") } else { String::new() };
        let others =
            (others > 0).then(|| Term::plus(SWITCH_TIME * others, format!("a command and two readings{each}")));
        let redfish = [
            Term::plus(redfish::LONGEST_LAG * bmcs, "until a power-on that is pending would be seen (Redfish)"),
            Term::plus(redfish::CONFIRM_PAUSE * bmcs, "between two readings"),
            Term::plus(redfish::OPERATION_TIME * 4 * bmcs, "for a command and three readings"),
            Term::plus(redfish::SWITCH_OFF_TIME * bmcs, "until the host is off"),
        ];
        return redfish.into_iter().filter(|_| bmcs > 0).chain(others).collect();
    }
    let mut terms = vec![Term::plus(NODED_ANSWERS, "until every other node shuns it, though one noded hangs")];
    if config.minimum_grade > Grade::Isolated {
        terms.push(wait(config, nodes, advertised));
    }
    terms
}

/// Returns why a level is too slow, by the times that readings of its devices took; `None` if it is not, or shuns. The levels
/// before it do not answer.
#[must_use]
pub fn slow_level(levels: &[Level], index: usize, own: Duration, readings: &[Duration]) -> Option<String> {
    let level = levels.get(index).filter(|level| !has_shun(level))?;
    // A reading, the command and two readings; a level of several devices is then read as a whole.
    let operations = if level.len() > 1 { 5 } else { 4 };
    let by_redfish = least(level, Task::Off);
    let others: Duration = readings.iter().sum();
    let needed = by_redfish.max(others * operations);
    let deadline = (fence::DEADLINE, "its default".to_owned());
    let available = allotted(levels, index, own, &deadline, SilentLevels::Bmcs).gets;
    (needed > available).then(|| {
        format!(
            "a power-off needs about {:.0} s here ({operations} operations of each device, whose readings took {:.1} s), and has {:.0} s \
             of fence_ganeti's {:.0} s while the levels before do not answer: a second fencing may be needed; lengthen the \
             deadlines, or take a device or a level out",
            needed.as_secs_f64(),
            others.as_secs_f64(),
            available.as_secs_f64(),
            fence::DEADLINE.as_secs_f64()
        )
    })
}

/// Returns the time budget of each level of each node. Nodes with the same levels are in one budget.
#[must_use]
pub fn sums(
    config: &Config,
    ganeti: &GanetiConfig,
    deadline: &(Duration, String),
    advertised: &AdvertisedTimes,
) -> Vec<TimeBudget> {
    let mut alike: BTreeMap<String, (Vec<Level>, Vec<&NodeName>)> = BTreeMap::new();
    let ours = ganeti.nodes().iter().filter(|node| node.oob_program.as_ref().is_none_or(|path| is_ours(path)));
    for node in ours {
        // A node without levels is a finding of `gnt-ha check`.
        let Ok(levels) = config.levels_of(&node.name) else { continue };
        let names = |level: &Level| level.iter().map(|device| device.name.clone()).collect::<Vec<_>>().join("+");
        let key = levels.iter().map(names).collect::<Vec<_>>().join("/");
        alike.entry(key).or_insert_with(|| (levels, Vec::new())).1.push(&node.name);
    }
    let mut all = Vec::new();
    for (levels, nodes) in alike.values() {
        for (index, level) in levels.iter().enumerate() {
            let names: Vec<&str> = level.iter().map(|device| device.name.as_str()).collect();
            all.push(TimeBudget {
                subject: names_of(nodes),
                item: format!("level {} ({})", index + 1, names.join(", ")),
                needed: needed(level, config, nodes, advertised),
                available: allotted(levels, index, config.deadline, deadline, SilentLevels::Bmcs).terms,
                fix: fix(config, has_shun(level), levels.len()),
            });
            let before = levels.get(..index).unwrap_or_default();
            // A level that shuns goes on in the next fencing.
            if before.iter().any(|level| by_redfish(level) > 0) && !has_shun(level) {
                all.push(TimeBudget {
                    subject: names_of(nodes),
                    item: format!(
                        "level {} ({}), if the BMC before it takes commands and does nothing,",
                        index + 1,
                        names.join(", ")
                    ),
                    needed: needed(level, config, nodes, advertised),
                    available: allotted(levels, index, config.deadline, deadline, SilentLevels::Stuck).terms,
                    fix: fix(config, false, levels.len()),
                });
            }
        }
    }
    all
}

fn names_of(nodes: &[&NodeName]) -> String {
    match nodes {
        [] => String::new(),
        [one] => one.to_string(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    }
}

fn fix(config: &Config, is_shun: bool, levels: usize) -> String {
    let file = config.path.display();
    let what = match (is_shun, levels) {
        (true, 1) => {
            "shorten lease, watchdog_timeout or stop_time in [self_fence], on every node, or lengthen deadline"
        }
        (true, _) => {
            "shorten lease, watchdog_timeout or stop_time in [self_fence], on every node, or the login_timeout of a BMC in a level before it"
        }
        (false, _) => "lengthen deadline, or take a level out",
    };
    format!("{file}: {what}")
}
