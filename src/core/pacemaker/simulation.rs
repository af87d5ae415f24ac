//! What Pacemaker would do with a configuration, from the output of `crm_simulate --output-as=xml`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::escape::escape;

use crate::core::pacemaker::duration::milliseconds;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::{Primitive, Resources};
use crate::core::pacemaker::tree::BadCib;
use crate::core::pacemaker::tree::Element;

/// The actions that Pacemaker would run, in its order, and the present connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// The actions, without monitors and notifications, which change nothing.
    pub steps: Vec<SimulatedAction>,
    /// The host that now holds the connection to each Pacemaker remote node.
    pub connections: BTreeMap<String, String>,
}

/// The way in which a host dies in a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// A full member: corosync loses it.
    Member(PacemakerName),
    /// A remote node: a monitor of its connection fails (`OPERATION@HOST=CODE`, crm_simulate(8)). Its loss cannot be
    /// simulated in another way.
    Connection(String),
}

impl Death {
    /// Returns the way in which `node` dies, by the connections that exist `now`.
    #[must_use]
    pub fn of(node: &PacemakerName, now: &Simulation, resources: &Resources) -> Self {
        let is_it = |remote: &&Primitive| remote.id == node.as_str();
        let interval = resources.remotes().find(is_it).and_then(|remote| {
            milliseconds(remote.operation("monitor")?.settings.get("interval")?).filter(|interval| *interval > 0)
        });
        match (now.connections.get(node.as_str()), interval) {
            (Some(host), Some(interval)) => Self::Connection(format!("{node}_monitor_{interval}@{host}=1")),
            _ => Self::Member(node.clone()),
        }
    }
}

/// Returns the state of a full member that corosync has just lost and that was not fenced yet, as an element for the
/// CIB's status. `None` if the CIB has no state of a node of this name. Pacemaker itself writes the same
/// (`pcmk_injections.c`).
#[must_use]
pub fn lost_node_state(cib: &str, node: &PacemakerName) -> Option<String> {
    let cib = Element::parse(cib).ok()?;
    let state = cib.all("node_state").into_iter().find(|state| state.get("uname") == Some(node.as_str()))?;
    let (id, name) = (escape(state.get("id")?), escape(node.as_str()));
    Some(format!(
        r#"<node_state id="{id}" uname="{name}" in_ccm="false" crmd="online" join="member" expected="member"/>"#
    ))
}

/// Returns the same CIB with quorum lost.
#[must_use]
pub fn without_quorum(cib: &str) -> String {
    const QUORUM: &str = " have-quorum=\"";
    let Some((before, rest)) = cib.split_once("<cib") else { return cib.to_owned() };
    let (tag, body) = rest.split_once('>').map_or((rest, None), |(tag, body)| (tag, Some(body)));
    let others = match tag.split_once(QUORUM) {
        Some((first, last)) => format!("{first}{}", last.split_once('"').map_or("", |(_, after)| after)),
        None => tag.to_owned(),
    };
    let body = body.map_or_else(String::new, |body| format!(">{body}"));
    format!("{before}<cib{QUORUM}0\"{others}{body}")
}

/// The reason why Pacemaker's actions are unknown.
#[derive(Debug, thiserror::Error)]
pub enum SimulationOutputError {
    /// The output is not XML, or XML of another kind.
    #[error(transparent)]
    Answer(#[from] BadCib),
    /// The output has no transition. That does not mean that Pacemaker would do nothing.
    #[error("it has no transition (its answers are of version {0}; crm_simulate --version shows Pacemaker's)")]
    NoTransition(String),
}

/// One action of the transition that `crm_simulate` plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimulatedAction {
    /// Pacemaker would fence this node.
    Fence {
        /// The target of the fencing.
        node: String,
        /// The requested fencing: `off` or `reboot`.
        action: String,
    },
    /// Change the state of a resource.
    Resource {
        /// The id of the resource, or of an instance of a clone.
        resource: String,
        /// The operation: `start`, `stop`, `promote` or `demote`.
        action: String,
        /// The node on which it happens.
        node: String,
    },
}

impl Simulation {
    /// Parses the output.
    ///
    /// # Errors
    /// [`SimulationOutputError`] if the text is not an output of `crm_simulate`, or has no transition.
    pub fn parse(xml: &str) -> Result<Self, SimulationOutputError> {
        let answer = Element::parse(xml)?;
        if answer.name != "pacemaker-result" {
            return Err(BadCib::Shape.into());
        }
        let version = answer.get("api-version").unwrap_or("?");
        let transition = answer.children_named("transition").next();
        let transition = transition.ok_or_else(|| SimulationOutputError::NoTransition(version.to_owned()))?;
        let now = answer.children_named("cluster_status").flat_map(|status| status.all("resource"));
        let connections = now.filter(|resource| resource.get("resource_agent") == Some("ocf:pacemaker:remote"));
        let connections = connections.filter_map(|resource| {
            let host = resource.children_named("node").next()?.get("name")?;
            Some((resource.get("id")?.to_owned(), host.to_owned()))
        });
        Ok(Self { steps: transition.children.iter().filter_map(step).collect(), connections: connections.collect() })
    }

    /// Returns the nodes that would be fenced.
    #[must_use]
    pub fn fenced(&self) -> BTreeSet<String> {
        let fenced = |step: &SimulatedAction| match step {
            SimulatedAction::Fence { node, .. } => Some(node.clone()),
            SimulatedAction::Resource { .. } => None,
        };
        self.steps.iter().filter_map(fenced).collect()
    }

    /// Returns the node on which `role`, or an instance of it, would be started or promoted. The last such action
    /// counts, which is the promotion.
    #[must_use]
    pub fn promoted_on(&self, role: &str) -> Option<&str> {
        self.steps.iter().rev().find_map(|step| match step {
            SimulatedAction::Resource { resource, action, node }
                if matches!(action.as_str(), "start" | "promote") && resource.split(':').next() == Some(role) =>
            {
                Some(node.as_str())
            }
            _ => None,
        })
    }
}

fn step(element: &Element) -> Option<SimulatedAction> {
    const CHANGES: [&str; 4] = ["start", "stop", "promote", "demote"];
    let get = |name| element.get(name).map(str::to_owned);
    match element.name.as_str() {
        "fencing_action" => Some(SimulatedAction::Fence { node: get("target")?, action: get("op")? }),
        "rsc_action" => {
            let (resource, action, node) = (get("resource")?, get("op")?, get("node")?);
            CHANGES.contains(&action.as_str()).then_some(SimulatedAction::Resource { resource, action, node })
        }
        _ => None,
    }
}

/// Returns what is wrong with the fencings; `None` if exactly the dead node would be fenced. `died` is `None` if no
/// node has died.
#[must_use]
pub fn unexpected_fencing(died: Option<&PacemakerName>, fenced: &BTreeSet<String>) -> Option<String> {
    let died = died.map(PacemakerName::as_str);
    let others: Vec<&str> = fenced.iter().map(String::as_str).filter(|node| Some(*node) != died).collect();
    match died {
        None if !others.is_empty() => Some(format!("{} would be fenced at once", others.join(", "))),
        Some(died) if !others.is_empty() => {
            Some(format!("if {died} died, {} would be fenced as well", others.join(", ")))
        }
        Some(died) if fenced.is_empty() => Some(format!("if {died} died, no node would be fenced")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of the output of `crm_simulate` of Pacemaker 2.1.5.
    const DEATH: &str = r#"<pacemaker-result api-version="2.25" request="crm_simulate --simulate --node-fail n2.lab">
        <actions><node_action task="stop"/></actions>
        <transition><rsc_action resource="gnt-ha-fence" op="monitor" node="n2.lab" interval="60000"/>
        <fencing_action target="n2.lab" op="reboot"/>
        <rsc_action resource="gnt-ha-master" op="promote" node="n3.lab"/></transition><status code="0" message="OK"/></pacemaker-result>"#;

    #[test]
    fn the_dead_are_fenced_and_no_other() {
        let simulation = Simulation::parse(DEATH).unwrap();
        let dead = simulation.fenced();
        assert_eq!(simulation.steps.len(), 2, "a monitor changes nothing");
        assert_eq!((simulation.promoted_on("gnt-ha-master"), simulation.promoted_on("gnt-ha")), (Some("n3.lab"), None));
        let [n1, n2] = ["n1.lab", "n2.lab"].map(PacemakerName::of_test);
        assert_eq!(unexpected_fencing(Some(&n2), &dead), None);
        assert_eq!(unexpected_fencing(None, &dead).unwrap(), "n2.lab would be fenced at once");
        assert_eq!(unexpected_fencing(Some(&n1), &dead).unwrap(), "if n1.lab died, n2.lab would be fenced as well");
        assert_eq!(unexpected_fencing(Some(&n1), &BTreeSet::new()).unwrap(), "if n1.lab died, no node would be fenced");
        assert_eq!(unexpected_fencing(None, &BTreeSet::new()), None);
    }

    #[test]
    fn a_cib_loses_quorum_and_nothing_else() {
        let with = r#"<?xml version="1.0"?><cib epoch="1" have-quorum="1" dc-uuid="1"><configuration/></cib>"#;
        let without = r#"<?xml version="1.0"?><cib have-quorum="0" epoch="1" dc-uuid="1"><configuration/></cib>"#;
        assert_eq!(without_quorum(with), without);
        assert_eq!(without_quorum(without), without);
        assert_eq!(without_quorum("<cib><configuration/></cib>"), "<cib have-quorum=\"0\"><configuration/></cib>");
    }

    /// Parts of the output of `crm_simulate` of Pacemaker 2.1.5: with `--node-fail` a remote node stays online there.
    #[test]
    fn a_remote_node_dies_by_its_connection() {
        const NOW: &str = r#"<pacemaker-result><cluster_status><resources>
            <resource id="n17.lab" resource_agent="ocf:pacemaker:remote" role="Started"><node name="n1.lab" id="1"/></resource>
            <resource id="n18.lab" resource_agent="ocf:pacemaker:remote" role="Stopped"/>
            <resource id="gnt-ha-fence" resource_agent="stonith:fence_ganeti"><node name="n2.lab" id="2"/></resource>
            </resources></cluster_status><transition/></pacemaker-result>"#;
        const CIB: &str = r#"<cib><configuration><resources>
            <primitive id="n17.lab" class="ocf" provider="pacemaker" type="remote"><operations>
            <op id="m" name="monitor" interval="30s"/></operations></primitive></resources></configuration></cib>"#;
        let now = Simulation::parse(NOW).unwrap();
        assert_eq!(now.connections, BTreeMap::from([("n17.lab".to_owned(), "n1.lab".to_owned())]));
        let resources = Resources::parse(CIB).unwrap();
        let of = |node| Death::of(&PacemakerName::of_test(node), &now, &resources);
        assert_eq!(of("n17.lab"), Death::Connection("n17.lab_monitor_30000@n1.lab=1".into()));
        assert_eq!(of("n2.lab"), Death::Member(PacemakerName::of_test("n2.lab")));
    }

    /// Pacemaker's state of a node is found by Pacemaker's exact name: `n1` is neither `n10` nor `n1.lab`.
    #[test]
    fn who_dies_is_a_node_whose_state_pacemaker_has() {
        const CIB: &str = r#"<cib><status><node_state id="10" uname="n10" in_ccm="true"/>
            <node_state id="1" uname="n1" in_ccm="true"/></status></cib>"#;
        let state = r#"<node_state id="1" uname="n1" in_ccm="false" crmd="online" join="member" expected="member"/>"#;
        let of = |node| lost_node_state(CIB, &PacemakerName::of_test(node));
        assert_eq!(of("n1").as_deref(), Some(state));
        for other in ["n1.lab", "n2", "N1", "1"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    /// The output of Pacemaker 3.0.0 with `--node-fail`: it has no transition, and the program succeeds.
    #[test]
    fn an_answer_without_a_transition_is_not_that_nothing_would_happen() {
        const OUTPUT: &str = r#"<pacemaker-result api-version="2.38" request="crm_simulate --node-fail n3.lab">
            <modifications><modify_node action="Failing" node="n3.lab"/></modifications><status code="0" message="OK"/>
            </pacemaker-result>"#;
        let why = Simulation::parse(OUTPUT).unwrap_err().to_string();
        assert!(why.contains("no transition") && why.contains("version 2.38"), "{why}");
    }

    #[test]
    fn what_is_no_simulation_is_no_good_news() {
        for text in ["", "<cib/>", "<pacemaker-result/>", &DEATH[..200]] {
            assert!(Simulation::parse(text).is_err(), "{text}");
        }
    }
}
