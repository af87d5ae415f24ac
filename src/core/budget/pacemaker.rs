//! The time that Pacemaker gives an action of a fence device. Pure.

use std::time::Duration;

use super::fence;
use super::time_budget::{Term, TimeBudget};
use crate::core::pacemaker::duration::milliseconds;
use crate::core::pacemaker::property::FencingProperty;
use crate::core::pacemaker::resources::{Primitive, Resources, is_true};

/// The default of `stonith-timeout`, in milliseconds.
const DEFAULT_TIMEOUT_MS: u64 = 60_000;

/// The factor by which a host that asks a peer to fence waits longer than the peer has (`TIMEOUT_MULTIPLY_FACTOR`).
const PEER_WAIT_FACTOR: (u32, u32) = (6, 5);

/// Returns how long an action may take before Pacemaker kills the agent, and the source of that time.
#[must_use]
pub fn configured_timeout(device: &Primitive, action: &str, resources: &Resources) -> (Duration, String) {
    let own = format!("pcmk_{action}_timeout");
    if let Some(ms) = device.parameters.get(&own).and_then(|text| milliseconds(text)) {
        return (Duration::from_millis(ms), format!("{own} of {}", device.id));
    }
    let property = resources.fencing_property(FencingProperty::Timeout);
    match property.set.and_then(|(name, text)| Some((name, milliseconds(text)?))) {
        Some((name, ms)) => (Duration::from_millis(ms), format!("property {name}")),
        None => (Duration::from_millis(DEFAULT_TIMEOUT_MS), format!("property {}, its default", property.to_set)),
    }
}

/// Returns how long the host that asked waits at most for a fencing that has the time `given`, by a device with this
/// delay.
#[must_use]
pub fn waited(given: Duration, delay: Duration) -> Duration {
    (given + delay) * PEER_WAIT_FACTOR.0 / PEER_WAIT_FACTOR.1
}

/// Returns how long a fencing may be delayed, and why: for the device, and for the node that is to win of two.
#[must_use]
pub fn delay(device: Option<&Primitive>, resources: &Resources, is_precious: bool) -> Vec<Term> {
    let parameter = |name: &str| {
        let text = device?.parameters.get(name)?;
        // A map gives each node its own time (`NODE:TIME`, Pacemaker 2.1.2); the longest counts.
        let times = text.split([' ', ';', '\t']).filter_map(|one| milliseconds(one.rsplit(':').next()?));
        Some((name.to_owned(), times.max()?))
    };
    // `pcmk_delay_max` is the most, the base included; without it the base counts.
    let own =
        [parameter("pcmk_delay_base"), parameter("pcmk_delay_max")].into_iter().flatten().max_by_key(|(_, ms)| *ms);
    let precious = (|| {
        Some(("priority-fencing-delay".to_owned(), milliseconds(resources.property(&["priority-fencing-delay"])?)?))
    })();
    let all = own.into_iter().chain(precious.filter(|_| is_precious));
    all.filter(|(_, ms)| *ms > 0).map(|(name, ms)| Term::plus(Duration::from_millis(ms), name)).collect()
}

pub(super) fn sums(resources: &Resources) -> Vec<TimeBudget> {
    let enabled = resources.fencing_property(FencingProperty::Enabled).set.is_none_or(|(_, value)| is_true(value));
    let mut all = Vec::new();
    for device in resources.devices().filter(|device| enabled && device.kind == "fence_ganeti") {
        // Both actions have the same time unless one has its own; the shorter one is reported.
        let actions = ["reboot", "off"].map(|action| (action, configured_timeout(device, action, resources)));
        let shorter = actions.into_iter().min_by_key(|(_, (time, _))| *time);
        all.extend(shorter.map(|(action, given)| agent(device, action, given, resources)));
        all.extend(apart(device, resources));
    }
    all
}

fn agent(device: &Primitive, action: &str, (given, source): (Duration, String), resources: &Resources) -> TimeBudget {
    let set = device.parameters.get("deadline").and_then(|text| milliseconds(text));
    let deadline = set.map_or(fence::DEADLINE, Duration::from_millis);
    let from = if set.is_some() { format!("deadline of {}", device.id) } else { "its default".to_owned() };
    let fix = if source.starts_with("pcmk") {
        format!("crm_resource --resource {} --delete-parameter pcmk_{action}_timeout", device.id)
    } else {
        let name = resources.fencing_property(FencingProperty::Timeout).to_set;
        // Ganeti's 60 s, times the fencer's 1.2; a device with a longer deadline needs more.
        let enough = (deadline + fence::OVERHEAD).as_secs().max(72);
        resources.set_command(name, &format!("{enough}s"))
    };
    let attempts = device.parameters.get(&format!("pcmk_{action}_retries")).map_or("2, its default", String::as_str);
    let killed =
        format!("until Pacemaker kills it ({source}); all attempts together (pcmk_{action}_retries {attempts})");
    TimeBudget {
        subject: device.id.clone(),
        item: action.to_owned(),
        needed: vec![
            Term::plus(deadline, format!("fence_ganeti's own deadline ({from})")),
            Term::plus(fence::OVERHEAD, "to start, to notify Ganeti and to end, on a host that is busy"),
        ],
        available: vec![Term::plus(given, killed)],
        fix,
    }
}

/// Checks the delays of two nodes that lose each other. A random delay must not keep the one that is to win waiting as
/// long as the other.
fn apart(device: &Primitive, resources: &Resources) -> Option<TimeBudget> {
    let set = resources.property(&["priority-fencing-delay"]).and_then(milliseconds).filter(|ms| *ms > 0)?;
    let own = delay(Some(device), resources, false).into_iter().next()?;
    let Term { what, ms } = own;
    let (once, twice) = (Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)), what.clone());
    Some(TimeBudget {
        subject: device.id.clone(),
        item: "priority-fencing-delay".to_owned(),
        needed: vec![
            Term::plus(once, format!("{what} of {}", device.id)),
            Term::plus(once, "the same again, as Pacemaker's manual has it"),
        ],
        available: vec![Term::plus(Duration::from_millis(set), "property priority-fencing-delay")],
        fix: format!("crm_resource --resource {} --delete-parameter {twice}", device.id),
    })
}
