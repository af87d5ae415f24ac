//! Ganeti's two roles as Pacemaker's resources.

use super::part::{DECIDED, MASTER, MASTER_CLONE, NODE, NODE_CLONE, Part, PartState, SetupOptions, state};
use crate::core::pacemaker::resources::Resources;

/// Returns the part for Ganeti's master role. `two`: the cluster has two full members and no quorum device.
pub(super) fn master(resources: &Resources, options: SetupOptions, two: bool) -> Part {
    let agent = "class=\"ocf\" provider=\"ganeti\" type=\"ganeti-master-role\"";
    let op = |name: &str, rest: &str| format!("      <op id=\"{MASTER}-{name}\" {rest}/>\n");
    // Of two nodes the one with the master is to win.
    let priority =
        if two { format!("<nvpair id=\"{MASTER}-priority\" name=\"priority\" value=\"10\"/>") } else { String::new() };
    let theirs = resources.agents("ganeti-master-role").find(|role| role.id != MASTER);
    let (xml, pcs, crm, description, outer);
    if options.primitive {
        description = "Ganeti's master role, as one resource";
        outer = MASTER;
        let operations = [
            op("start", "name=\"start\" interval=\"0\" timeout=\"300s\""),
            op("stop", "name=\"stop\" interval=\"0\" timeout=\"60s\""),
            op("monitor", "name=\"monitor\" interval=\"10s\" timeout=\"30s\""),
        ];
        xml = format!(
            "  <primitive id=\"{MASTER}\" {agent}>\n    <meta_attributes id=\"{MASTER}-meta\"><nvpair id=\"{MASTER}-stickiness\" \
             name=\"resource-stickiness\" value=\"INFINITY\"/>{priority}</meta_attributes>\n    <operations>\n{}    </operations>\n  </primitive>",
            operations.concat()
        );
        let words = "op start timeout=300s op stop timeout=60s op monitor interval=10s timeout=30s meta resource-stickiness=INFINITY";
        let words = if two { format!("{words} priority=10") } else { words.to_owned() };
        pcs = vec![format!("pcs resource create {MASTER} ocf:ganeti:ganeti-master-role {words}")];
        crm = vec![format!("primitive {MASTER} ocf:ganeti:ganeti-master-role {words}")];
    } else {
        description = "Ganeti's master role, as a promotable clone";
        outer = MASTER_CLONE;
        let operations = [
            op("start", "name=\"start\" interval=\"0\" timeout=\"60s\""),
            op("stop", "name=\"stop\" interval=\"0\" timeout=\"60s\""),
            op("promote", "name=\"promote\" interval=\"0\" timeout=\"300s\""),
            op("demote", "name=\"demote\" interval=\"0\" timeout=\"60s\""),
            op("monitor-promoted", "name=\"monitor\" role=\"Promoted\" interval=\"10s\" timeout=\"30s\""),
            op("monitor-unpromoted", "name=\"monitor\" role=\"Unpromoted\" interval=\"30s\" timeout=\"30s\""),
        ];
        xml = format!(
            "  <clone id=\"{MASTER_CLONE}\">\n    <meta_attributes id=\"{MASTER}-meta\"><nvpair id=\"{MASTER}-promotable\" \
             name=\"promotable\" value=\"true\"/>{priority}</meta_attributes>\n    <primitive id=\"{MASTER}\" {agent}>\n    \
             <operations>\n{}    </operations>\n    </primitive>\n  </clone>",
            operations.concat()
        );
        let words = "op start timeout=60s op stop timeout=60s op promote timeout=300s op demote timeout=60s op monitor \
                     role=Promoted interval=10s timeout=30s op monitor role=Unpromoted interval=30s timeout=30s";
        let meta = if two { "promotable=true priority=10" } else { "promotable=true" };
        let more = if two { " meta priority=10" } else { "" };
        pcs = vec![format!(
            "pcs resource create {MASTER} ocf:ganeti:ganeti-master-role {words} promotable {MASTER_CLONE}{more}"
        )];
        crm = vec![
            format!("primitive {MASTER} ocf:ganeti:ganeti-master-role {words}"),
            format!("clone {MASTER_CLONE} {MASTER} meta {meta}"),
        ];
    }
    Part {
        description: description.to_owned(),
        section: "resources",
        state: state(&xml, outer, theirs, resources),
        xml,
        pcs,
        crm,
    }
}

/// Returns the deletion of the priority of the node with the master, for a cluster with a quorum device.
pub(super) fn preferred(resources: &Resources) -> Option<Part> {
    let role = resources.agents("ganeti-master-role").find(|role| role.id == MASTER)?;
    role.meta.get("priority")?;
    // The id is gnt-ha's, or the one that pcs or crmsh has given.
    let id = resources.pair_ids.iter().find(|id| id.starts_with(MASTER) && id.ends_with("-priority"))?;
    let resource = if role.is_clone { MASTER_CLONE } else { MASTER };
    // pcs would look for the priority in the clone alone, and change nothing where it has set it: in the primitive.
    let deletion = format!("crm_resource --resource {resource} --meta --delete-parameter priority");
    Some(Part {
        description: format!("priority of {resource}"),
        section: "resources",
        xml: format!("  <nvpair id=\"{id}\"/>"),
        crm: vec![format!("# {deletion}")],
        pcs: vec![deletion],
        state: PartState::Remove(DECIDED.to_owned()),
    })
}

/// Returns the part for every node's role. If the nodes' health is published, the clone also runs on a node with a bad
/// health, because it publishes that health.
pub(super) fn nodes(resources: &Resources, options: SetupOptions) -> Part {
    let (health, words_of_health) = if options.health {
        let pair = format!("<nvpair id=\"{NODE}-unhealthy\" name=\"allow-unhealthy-nodes\" value=\"true\"/>");
        (pair, " allow-unhealthy-nodes=true")
    } else {
        (String::new(), "")
    };
    let xml = format!(
        "  <clone id=\"{NODE_CLONE}\">\n    <meta_attributes id=\"{NODE}-meta\"><nvpair id=\"{NODE}-notify\" name=\"notify\" \
         value=\"true\"/>{health}</meta_attributes>\n    <primitive id=\"{NODE}\" class=\"ocf\" provider=\"ganeti\" type=\"ganeti-node-role\">\n    \
         <operations>\n      <op id=\"{NODE}-monitor\" name=\"monitor\" interval=\"30s\" timeout=\"30s\"/>\n    </operations>\n    \
         </primitive>\n  </clone>"
    );
    let theirs = resources.agents("ganeti-node-role").find(|role| role.id != NODE);
    let words = "ocf:ganeti:ganeti-node-role op monitor interval=30s timeout=30s";
    Part {
        description: "every node's role, as a clone that Pacemaker notifies of each fencing".to_owned(),
        section: "resources",
        pcs: vec![
            format!("pcs resource create {NODE} {words} clone {NODE_CLONE}"),
            format!("pcs resource meta {NODE_CLONE} notify=true{words_of_health}"),
        ],
        crm: vec![
            format!("primitive {NODE} {words}"),
            format!("clone {NODE_CLONE} {NODE} meta notify=true{words_of_health}"),
        ],
        state: state(&xml, NODE_CLONE, theirs, resources),
        xml,
    }
}
