//! The fence score: a transient node attribute by which each node publishes whether it can run the fence device. A rule
//! of a location constraint uses it as the score. Pure.
//!
//! Only the scheduler reads it. Pacemaker's fencer reads the rule without the status section
//! (`pcmk_sched_location_only`, `daemons/fenced/fenced_scheduler.c`; `pe_flag_quick_location` before 2.1.7). So the
//! score keeps no node from fencing: for the fencer the device's own answer to `list` counts, which each node gives for
//! itself. A cluster that has just started, or whose nodes have died faster than anything could be changed, therefore
//! fences from any node that can.

use std::collections::BTreeSet;

use super::names::PacemakerName;
use super::resources::Resources;
use super::tree::Element;

/// The node attribute. A node that has not published it yet may run the device.
pub const ATTRIBUTE: &str = "gnt-ha-fence-score";

/// A node's published ability to fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MayFence {
    /// The node lacks what the device needs.
    No,
    /// The node has what the device needs, as a copy.
    Yes,
    /// The node has what the device needs, and holds Ganeti's configuration.
    Candidate,
}

impl MayFence {
    /// Returns the score, as Pacemaker writes it.
    #[must_use]
    pub const fn score(self) -> &'static str {
        match self {
            Self::No => "-INFINITY",
            Self::Yes => "100",
            Self::Candidate => "200",
        }
    }
}

/// Returns the full members that are online and may fence `target` with a `fence_ganeti` device, by a whole CIB with
/// its status section. A member that is kept off by its name, or has published that it lacks what is needed, is left
/// out. `None` if there is no such device, or the status has no member.
#[must_use]
pub fn fencers(cib: &str, resources: &Resources, target: &PacemakerName) -> Option<Vec<PacemakerName>> {
    let cib = Element::parse(cib).ok()?;
    let ours: Vec<&str> = resources
        .devices()
        .filter(|device| device.kind == "fence_ganeti")
        .map(|device| device.outer.as_str())
        .collect();
    let states: Vec<(PacemakerName, &Element)> = cib
        .all("node_state")
        .into_iter()
        .filter(|state| state.get("crmd").is_some_and(is_online) && state.get("remote_node") != Some("true"))
        .filter_map(|state| Some((PacemakerName::read(state.get("uname")?)?, state)))
        .collect();
    if ours.is_empty() || states.is_empty() {
        return None;
    }
    let keeps_off = |device: &str, node: &PacemakerName| {
        let mut all = resources.locations.iter().filter(|location| location.resource == device);
        all.any(|location| location.keeps_off() && location.node.eq_ignore_ascii_case(node.as_str()))
    };
    let is_able = |state: &Element| {
        let mut pairs = state.all("nvpair").into_iter().filter(|pair| pair.get("name") == Some(ATTRIBUTE));
        pairs.all(|pair| pair.get("value") != Some(MayFence::No.score()))
    };
    let may = |node: &PacemakerName, state: &Element| {
        node != target && is_able(state) && ours.iter().any(|device| !keeps_off(device, node))
    };
    Some(states.into_iter().filter(|(node, state)| may(node, state)).map(|(node, _)| node).collect())
}

/// Returns the full members that have published that they lack what the device needs, by a whole CIB with its status
/// section. The attribute of a node is removed when the node leaves.
#[must_use]
pub fn lacking(cib: &str) -> BTreeSet<PacemakerName> {
    let Ok(cib) = Element::parse(cib) else { return BTreeSet::new() };
    let lacks = |state: &&Element| {
        let is_score = |pair: &&Element| pair.get("name") == Some(ATTRIBUTE);
        state.all("nvpair").into_iter().filter(is_score).any(|pair| pair.get("value") == Some(MayFence::No.score()))
    };
    let states = cib.all("node_state").into_iter().filter(lacks);
    states.filter_map(|state| PacemakerName::read(state.get("uname")?)).collect()
}

/// Returns whether `crmd` means online: a word until Pacemaker 2.1, later the time since when.
fn is_online(crmd: &str) -> bool {
    crmd == "online" || crmd.parse().is_ok_and(|since: u64| since > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status section of a cluster of four, of which n4 is gone.
    const CIB: &str = r#"<cib><configuration><resources><primitive id="f" class="stonith" type="fence_ganeti"/></resources>
        <constraints/></configuration><status>
        <node_state id="1" uname="n1" in_ccm="true" crmd="online"><transient_attributes id="1"><instance_attributes id="s1">
          <nvpair id="p1" name="gnt-ha-fence-score" value="200"/></instance_attributes></transient_attributes></node_state>
        <node_state id="2" uname="n2" in_ccm="1764435000" crmd="1764435000"><transient_attributes id="2"><instance_attributes id="s2">
          <nvpair id="p2" name="gnt-ha-fence-score" value="-INFINITY"/></instance_attributes></transient_attributes></node_state>
        <node_state id="3" uname="n3" in_ccm="true" crmd="online"/>
        <node_state id="4" uname="n4" in_ccm="false" crmd="offline"/></status></cib>"#;

    fn of(cib: &str, target: &str) -> Option<Vec<String>> {
        let found = fencers(cib, &Resources::parse(cib).unwrap(), &PacemakerName::of_test(target))?;
        Some(found.into_iter().map(|name| name.as_str().to_owned()).collect())
    }

    #[test]
    fn who_lives_and_lacks_nothing_may_fence() {
        assert_eq!(of(CIB, "n2").unwrap(), ["n1", "n3"], "n3 has not reported a score yet");
        assert_eq!(of(CIB, "n1").unwrap(), ["n3"]);
        let kept = r#"<constraints><rsc_location id="k" rsc="f" node="n3" score="-INFINITY"/></constraints>"#;
        assert_eq!(of(&CIB.replace("<constraints/>", kept), "n1").unwrap(), [""; 0]);
    }

    #[test]
    fn who_has_reported_that_it_lacks_something_is_known() {
        assert_eq!(lacking(CIB), BTreeSet::from([PacemakerName::of_test("n2")]));
        assert!(lacking("").is_empty() && lacking(&CIB.replace("-INFINITY", "100")).is_empty());
    }

    #[test]
    fn without_a_device_or_a_status_it_is_not_known() {
        assert_eq!(of(&CIB.replace("fence_ganeti", "fence_ipmilan"), "n1"), None);
        assert_eq!(of(&CIB.replace("node_state", "other"), "n1"), None);
    }
}
