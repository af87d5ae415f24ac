//! The checks before and after a drill: whether a host may be fenced for practice, and how the result differs from the
//! rehearsal. Pure.

use std::time::Duration;

use super::node::{self, NodeName};
use super::pacemaker::names::PacemakerName;
use super::reconcile::{MasterRoleState, Membership};
use super::rehearsal::RehearsalStep;

/// The state of the cluster before the drill.
#[derive(Clone, Debug)]
pub struct StateBefore<'a> {
    /// The node that is to be fenced.
    pub node: &'a NodeName,
    /// The node's name in Pacemaker.
    pub name: &'a PacemakerName,
    /// Whether the node is this host.
    pub is_here: bool,
    /// Whether this partition has quorum.
    pub quorum: bool,
    /// Whether Pacemaker is in maintenance mode, and acts on nothing.
    pub maintenance: bool,
    /// Pacemaker's nodes, with their states.
    pub members: &'a [(PacemakerName, Membership)],
    /// Why it is unknown whether quorum survives the loss of the node; `None` if it is known.
    pub uncounted: Option<&'a str>,
    /// The steps of the rehearsal.
    pub rehearsed: &'a [RehearsalStep],
}

/// Returns why the drill must not start, if there is a reason: a cluster that is not whole cannot spare a host.
#[must_use]
pub fn objection(before: &StateBefore<'_>) -> Option<String> {
    let is_well = |member: Membership| matches!(member, Membership::Online | Membership::Standby);
    if before.is_here {
        return Some("it is this host, which could not report what happened; run it on another host".to_owned());
    }
    if before.maintenance {
        return Some("Pacemaker is in maintenance mode: nothing would follow".to_owned());
    }
    if !before.quorum {
        return Some("this part of the cluster has no quorum: nothing would follow".to_owned());
    }
    match before.members.iter().find(|(name, _)| name == before.name) {
        None => return Some("Pacemaker has no such node".to_owned()),
        Some((_, member)) if !is_well(*member) => return Some("it is not online: nothing would be tested".to_owned()),
        Some(_) => {}
    }
    let lost: Vec<&str> =
        before.members.iter().filter(|(_, member)| !is_well(*member)).map(|(name, _)| name.as_str()).collect();
    if !lost.is_empty() {
        return Some(format!("{} is not online: wait until the cluster is whole", lost.join(", ")));
    }
    if let Some(why) = before.uncounted {
        return Some(format!("{why}, and so whether quorum survives it"));
    }
    let blocked = before.rehearsed.iter().find(|step| step.blocked);
    blocked.map(|step| {
        format!("a step of the rehearsal is blocked: {}: {} (gnt-ha rehearse {})", step.actor, step.action, before.node)
    })
}

/// The rehearsed and the observed events.
#[derive(Clone, Debug)]
pub struct StateAfter<'a> {
    /// The node that was fenced.
    pub node: &'a NodeName,
    /// The names of Ganeti's nodes.
    pub all: &'a [NodeName],
    /// The node that was to take the master role, if the fenced one had it.
    pub new_master: Option<&'a NodeName>,
    /// The targets of the fencings that have succeeded since the drill began.
    pub fenced: &'a [NodeName],
    /// Where Pacemaker has the master role now.
    pub role: &'a MasterRoleState,
    /// Whether the node was recorded offline, or was back before that.
    pub is_settled: bool,
    /// How long after the request the fencing had succeeded, in milliseconds; `None` if it has not.
    pub fenced_ms: Option<u64>,
    /// The longest time that was to be expected for the fencing.
    pub within: Duration,
}

/// Returns the differences from the rehearsal, one line each.
#[must_use]
pub fn differences(after: &StateAfter<'_>) -> Vec<String> {
    let is_it = |name: &NodeName| node::means(name, after.node, after.all);
    let mut lines = Vec::new();
    if !after.fenced.iter().any(is_it) {
        lines.push(format!("Pacemaker's fence history has no fencing of {}", after.node));
    }
    if let Some(ms) = after.fenced_ms.filter(|ms| u128::from(*ms) > after.within.as_millis()) {
        let (took, within) = (ms.div_ceil(1_000), after.within.as_secs());
        lines.push(format!(
            "it took {took} s until {} was fenced, and at most {within} s were to be expected",
            after.node
        ));
    }
    for other in after.fenced.iter().filter(|name| !is_it(name)) {
        lines.push(format!("{other} was fenced, too"));
    }
    if let Some(new_master) = after.new_master {
        match after.role {
            MasterRoleState::ActiveOn(host) if node::means(host, new_master, after.all) => {}
            MasterRoleState::ActiveOn(host) => lines.push(format!("the master role is on {host}, not on {new_master}")),
            MasterRoleState::Inactive | MasterRoleState::Unmanaged => {
                lines.push(format!("the master role is on no host, not on {new_master}"))
            }
        }
    }
    if !after.is_settled {
        lines.push(format!("Ganeti has not recorded {} offline, and it is not back", after.node));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn step(blocked: bool) -> RehearsalStep {
        let (typical_ms, latest_ms, grade) = (None, None, None);
        RehearsalStep {
            actor: "proof",
            action: "none: its BMC does not answer".to_owned(),
            blocked,
            typical_ms,
            latest_ms,
            grade,
        }
    }

    /// A drill must not cause an outage.
    #[test]
    fn a_cluster_that_is_not_whole_is_not_drilled() {
        let (node, [n1, n2, n3]) = (name("n3.lab"), ["n1", "n2", "n3"].map(PacemakerName::of_test));
        let members = |second, third| vec![(n1.clone(), Membership::Online), (n2.clone(), second), (n3.clone(), third)];
        let well = members(Membership::Standby, Membership::Online);
        let (open, blocked) = ([step(false)], [step(true)]);
        let before = StateBefore {
            node: &node,
            name: &n3,
            is_here: false,
            quorum: true,
            maintenance: false,
            members: &well,
            uncounted: None,
            rehearsed: &open,
        };
        assert_eq!(objection(&before), None);
        let lost = members(Membership::Unclean, Membership::Online);
        let gone = members(Membership::Online, Membership::Absent);
        for (refused, why) in [
            (StateBefore { is_here: true, ..before.clone() }, "this host"),
            (StateBefore { quorum: false, ..before.clone() }, "quorum"),
            (StateBefore { maintenance: true, ..before.clone() }, "maintenance"),
            (StateBefore { members: &well[..2], ..before.clone() }, "has no such node"),
            (StateBefore { members: &gone, ..before.clone() }, "not online"),
            (StateBefore { members: &lost, ..before.clone() }, "n2 is not online"),
            (StateBefore { uncounted: Some("votes are unknown"), ..before.clone() }, "whether quorum survives"),
            (StateBefore { rehearsed: &blocked, ..before.clone() }, "its BMC does not answer"),
        ] {
            let text = objection(&refused).unwrap();
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn what_was_not_rehearsed_is_reported() {
        let (node, new_master, other) = (name("n1.lab"), name("n2.lab"), name("n3.lab"));
        let role = MasterRoleState::ActiveOn(name("n2"));
        let fenced = [name("n1")];
        let all = ["n1.lab", "n2.lab", "n3.lab"].map(name);
        let within = Duration::from_secs(60);
        let fenced_ms = Some(60_000);
        let after = StateAfter {
            node: &node,
            all: &all,
            new_master: Some(&new_master),
            fenced: &fenced,
            role: &role,
            is_settled: true,
            fenced_ms,
            within,
        };
        assert_eq!(differences(&after), [""; 0]);
        assert_eq!(
            differences(&StateAfter { new_master: None, role: &MasterRoleState::Unmanaged, ..after.clone() }),
            [""; 0]
        );
        let two = [name("n1.lab"), other.clone()];
        let elsewhere = MasterRoleState::ActiveOn(other);
        for (seen, line) in [
            (StateAfter { fenced: &[], ..after.clone() }, "has no fencing of n1.lab"),
            (StateAfter { fenced: &two, ..after.clone() }, "n3.lab was fenced, too"),
            (StateAfter { role: &elsewhere, ..after.clone() }, "on n3.lab, not on n2.lab"),
            (StateAfter { role: &MasterRoleState::Inactive, ..after.clone() }, "on no host"),
            (
                StateAfter { fenced_ms: Some(60_001), ..after.clone() },
                "took 61 s until n1.lab was fenced, and at most 60 s",
            ),
            (StateAfter { is_settled: false, ..after.clone() }, "not recorded n1.lab offline"),
        ] {
            let lines = differences(&seen);
            assert!(lines.len() == 1 && lines[0].contains(line), "{lines:?}");
        }
    }
}
