//! What Pacemaker needs to protect a Ganeti cluster, and how that differs from what it has.
//!
//! Everything that is made has an id that begins with [`PREFIX`]: by it this program knows its own again, changes nothing
//! else, and can take all of it away.

mod locations;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::ganeti::config::GanetiConfig;
use super::pacemaker::resources::{Pairs, Primitive, Resources};
use locations::locations;

/// What the ids of everything that is made begin with.
pub const PREFIX: &str = "gnt-ha-";

/// What the administrator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The master role as one resource, not as a promotable clone.
    pub primitive: bool,
}

/// One thing that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is, in words.
    pub what: String,
    /// Its section of the configuration: `crm_config`, `resources`, `constraints`, `alerts`; [`GANETI`] for what Ganeti is told.
    pub section: &'static str,
    /// As Pacemaker's XML; of what is to be removed, the id alone.
    pub xml: String,
    /// For pcs(8), a command a line.
    pub pcs: Vec<String>,
    /// For crmsh, a line for `crm configure` each; what is not crmsh's, as a comment.
    pub crm: Vec<String>,
    /// How that differs from what is there.
    #[serde(flatten)]
    pub state: State,
}

/// How a part differs from what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum State {
    /// It is not there.
    Add,
    /// It is there, and ours, and different.
    Change(String),
    /// It is there, and ours, and no longer wanted.
    Remove(String),
    /// It is there as it should be.
    Same,
    /// Somebody else's does the same, and is left as it is.
    Kept(String),
}

impl State {
    /// Whether something is to be done.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Add | Self::Change(_) | Self::Remove(_))
    }

    /// Whether something is to be taken away.
    #[must_use]
    pub const fn is_removal(&self) -> bool {
        matches!(self, Self::Remove(_))
    }
}

/// What has to be taken out of the configuration: elements for `cibadmin --delete`.
pub fn outdated(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter(|part| part.state.is_removal()).map(|part| part.xml.trim())
}

/// Whether this program has made anything of this configuration.
#[must_use]
pub fn has_made(resources: &Resources) -> bool {
    !removal(resources).is_empty()
}

/// Whether anything of ours is configured, by whoever made it.
#[must_use]
pub fn is_in_use(resources: &Resources) -> bool {
    has_made(resources)
        || resources.devices().any(|device| device.kind == "fence_ganeti")
        || ["ganeti-master-role", "ganeti-node-role"].iter().any(|agent| resources.agents(agent).next().is_some())
}

/// What follows from Ganeti's nodes, and changes as they come, go, and become master candidates.
#[must_use]
pub fn of_nodes(resources: &Resources, ganeti: &GanetiConfig) -> Vec<Part> {
    if has_made(resources) { locations(resources, ganeti) } else { Vec::new() }
}

/// The section of what is not Pacemaker's, but Ganeti's.
pub const GANETI: &str = "ganeti";

/// Where `make install` puts it.
const OOB_PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// Tells Ganeti, on its master; a node or group with a program of its own keeps that (gnt-cluster(8)).
pub const TELL_GANETI: [&str; 4] =
    ["gnt-cluster", "modify", "--node-parameters", "oob_program=/usr/lib/gnt-ha/ganeti-oob"];

const DEVICE: &str = "gnt-ha-fence";
const MASTER: &str = "gnt-ha-master";
const MASTER_CLONE: &str = "gnt-ha-master-clone";
const NODE: &str = "gnt-ha-node";
const NODE_CLONE: &str = "gnt-ha-node-clone";
const ALERT: &str = "gnt-ha-alert";

/// Where `make install` puts it.
const ALERT_AGENT: &str = "/usr/lib/gnt-ha/gnt-ha-alert";

/// What Pacemaker should have for these nodes.
#[must_use]
pub fn plan(resources: &Resources, ganeti: &GanetiConfig, wish: Wish) -> Vec<Part> {
    let two = ganeti.nodes().len() == 2;
    let mut parts = vec![
        oob_program(ganeti),
        property("stonith-enabled", "true", resources),
        // Ganeti gives an OOB program 60 s, and Pacemaker 1.2 times that to whoever asks a peer.
        property("stonith-timeout", "72s", resources),
        property("concurrent-fencing", "true", resources),
    ];
    if two {
        // Of two nodes that have lost each other, the one with the master has 10 s to fence the other.
        parts.push(property("priority-fencing-delay", "10s", resources));
    }
    parts.push(device(resources));
    parts.extend(locations(resources, ganeti));
    parts.push(master(resources, wish, two));
    parts.push(nodes(resources));
    parts.push(alert(resources));
    parts
}

/// What has to be merged into the configuration: `cibadmin --modify --allow-create`.
#[must_use]
pub fn fragment(parts: &[Part]) -> String {
    let mut text = "<configuration>\n".to_owned();
    for section in ["crm_config", "resources", "constraints", "alerts"] {
        let open: Vec<&str> = parts
            .iter()
            .filter(|part| part.section == section && part.state.is_open() && !part.state.is_removal())
            .map(|part| part.xml.as_str())
            .collect();
        if open.is_empty() {
            continue;
        }
        let body = open.join("\n");
        text.push_str(&if section == "crm_config" {
            format!("<crm_config><cluster_property_set id=\"{PREFIX}options\">\n{body}\n</cluster_property_set></crm_config>\n")
        } else {
            format!("<{section}>\n{body}\n</{section}>\n")
        });
    }
    text.push_str("</configuration>\n");
    text
}

/// Everything that this program has made, as elements that `cibadmin --delete` takes, what refers to others first.
#[must_use]
pub fn removal(resources: &Resources) -> Vec<String> {
    let is_ours = |id: &str| id.starts_with(PREFIX);
    let locations = resources.locations.iter().filter(|location| is_ours(&location.id));
    let mut all: Vec<String> = locations.map(|location| format!("<rsc_location id=\"{}\"/>", location.id)).collect();
    let mut outer: Vec<(&str, bool)> = resources
        .primitives
        .iter()
        .filter(|primitive| is_ours(&primitive.outer))
        .map(|p| (p.outer.as_str(), p.is_clone))
        .collect();
    outer.dedup();
    all.extend(
        outer.iter().map(|(id, is_clone)| format!("<{} id=\"{id}\"/>", if *is_clone { "clone" } else { "primitive" })),
    );
    let alerts = resources.alerts.iter().filter(|(id, _)| is_ours(id));
    all.extend(alerts.map(|(id, _)| format!("<alert id=\"{id}\"/>")));
    if resources.property_sets.iter().any(|set| is_ours(set)) {
        all.push(format!("<cluster_property_set id=\"{PREFIX}options\"/>"));
    }
    all
}

/// Of every node: one that has none can be fenced by nobody.
fn oob_program(ganeti: &GanetiConfig) -> Part {
    let without = ganeti.nodes().iter().filter(|node| node.oob_program.is_none()).count();
    let command = TELL_GANETI.join(" ");
    Part {
        what: format!("Ganeti's OOB program for every node ({OOB_PROGRAM})"),
        section: GANETI,
        xml: String::new(),
        pcs: vec![command.clone()],
        crm: vec![format!("# {command}")],
        state: match without {
            0 => State::Same,
            _ if without == ganeti.nodes().len() => State::Add,
            some => State::Change(format!("{some} of {} nodes have none", ganeti.nodes().len())),
        },
    }
}

fn property(name: &str, value: &str, resources: &Resources) -> Part {
    // As Pacemaker 3 calls it; both understand the older name.
    let later = name.replace("stonith-", "fencing-");
    let state = match resources.property(&[name, &later]) {
        None => State::Add,
        Some(there) if there == value => State::Same,
        // What the administrator has set is his: `gnt-ha check` says where it does not hold together.
        Some(there) => State::Kept(format!("it is {there}")),
    };
    Part {
        what: format!("property {name} = {value}"),
        section: "crm_config",
        xml: format!("  <nvpair id=\"{PREFIX}options-{name}\" name=\"{name}\" value=\"{value}\"/>"),
        pcs: vec![format!("pcs property set {name}={value}")],
        crm: vec![format!("property {name}={value}")],
        state,
    }
}

fn device(resources: &Resources) -> Part {
    let xml = format!(
        "  <primitive id=\"{DEVICE}\" class=\"stonith\" type=\"fence_ganeti\">\n    <instance_attributes id=\"{DEVICE}-parameters\">\n\
         {}    </instance_attributes>\n    <operations>\n      <op id=\"{DEVICE}-monitor\" name=\"monitor\" interval=\"60s\" timeout=\"60s\"/>\n\
         \x20   </operations>\n  </primitive>",
        DEVICE_PARAMETERS
            .iter()
            .map(|(name, value)| format!("      <nvpair id=\"{DEVICE}-{name}\" name=\"{name}\" value=\"{value}\"/>\n"))
            .collect::<String>()
    );
    let settings: Vec<String> = DEVICE_PARAMETERS.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let settings = settings.join(" ");
    let theirs = resources.devices().find(|device| device.kind == "fence_ganeti" && device.id != DEVICE);
    Part {
        what: "fence device for every node".to_owned(),
        section: "resources",
        pcs: vec![format!("pcs stonith create {DEVICE} fence_ganeti {settings} op monitor interval=60s timeout=60s")],
        crm: vec![format!(
            "primitive {DEVICE} stonith:fence_ganeti params {settings} op monitor interval=60s timeout=60s"
        )],
        state: state(&xml, DEVICE, theirs, resources),
        xml,
    }
}

/// `fence_ganeti` tries hard by itself: with one attempt each, Pacemaker goes on to the next peer instead of trying the same
/// one again with less time.
const DEVICE_PARAMETERS: [(&str, &str); 3] =
    [("pcmk_action_limit", "-1"), ("pcmk_off_retries", "1"), ("pcmk_reboot_retries", "1")];

fn master(resources: &Resources, wish: Wish, two: bool) -> Part {
    let agent = "class=\"ocf\" provider=\"ganeti\" type=\"ganeti-master-role\"";
    let op = |name: &str, rest: &str| format!("      <op id=\"{MASTER}-{name}\" {rest}/>\n");
    // Of two nodes the one with the master is to win.
    let priority =
        if two { format!("<nvpair id=\"{MASTER}-priority\" name=\"priority\" value=\"10\"/>") } else { String::new() };
    let theirs = resources.agents("ganeti-master-role").find(|role| role.id != MASTER);
    let (xml, pcs, crm, what, outer);
    if wish.primitive {
        what = "Ganeti's master role, as one resource";
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
        what = "Ganeti's master role, as a promotable clone";
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
    Part { what: what.to_owned(), section: "resources", state: state(&xml, outer, theirs, resources), xml, pcs, crm }
}

fn nodes(resources: &Resources) -> Part {
    let xml = format!(
        "  <clone id=\"{NODE_CLONE}\">\n    <meta_attributes id=\"{NODE}-meta\"><nvpair id=\"{NODE}-notify\" name=\"notify\" \
         value=\"true\"/></meta_attributes>\n    <primitive id=\"{NODE}\" class=\"ocf\" provider=\"ganeti\" type=\"ganeti-node-role\">\n    \
         <operations>\n      <op id=\"{NODE}-monitor\" name=\"monitor\" interval=\"30s\" timeout=\"30s\"/>\n    </operations>\n    \
         </primitive>\n  </clone>"
    );
    let theirs = resources.agents("ganeti-node-role").find(|role| role.id != NODE);
    let words = "ocf:ganeti:ganeti-node-role op monitor interval=30s timeout=30s";
    Part {
        what: "every node's role, as a clone that is told of each fencing".to_owned(),
        section: "resources",
        pcs: vec![
            format!("pcs resource create {NODE} {words} clone {NODE_CLONE}"),
            format!("pcs resource meta {NODE_CLONE} notify=true"),
        ],
        crm: vec![format!("primitive {NODE} {words}"), format!("clone {NODE_CLONE} {NODE} meta notify=true")],
        state: state(&xml, NODE_CLONE, theirs, resources),
        xml,
    }
}

/// Without recipients it writes to the system's log; those are the administrator's to add.
fn alert(resources: &Resources) -> Part {
    let ours = resources.alerts.iter().find(|(id, _)| id == ALERT);
    let theirs = resources.alerts.iter().find(|(id, path)| id != ALERT && path == ALERT_AGENT);
    Part {
        what: "the alert agent, which says what happened in the system's log".to_owned(),
        section: "alerts",
        xml: format!("  <alert id=\"{ALERT}\" path=\"{ALERT_AGENT}\"/>"),
        pcs: vec![format!("pcs alert create path={ALERT_AGENT} id={ALERT}")],
        crm: vec![format!("alert {ALERT} {ALERT_AGENT}")],
        state: match (ours, theirs) {
            (_, Some((id, _))) => State::Kept(format!("{id} does it")),
            (Some((_, path)), None) if path == ALERT_AGENT => State::Same,
            (Some((_, path)), None) => State::Change(format!("its path is {path}")),
            (None, None) => State::Add,
        },
    }
}

/// Compares an element of ours with what is there, as both are read.
fn state(xml: &str, outer: &str, theirs: Option<&Primitive>, resources: &Resources) -> State {
    if let Some(theirs) = theirs {
        return State::Kept(format!("{} does it", theirs.outer));
    }
    let Some(there) = resources.primitives.iter().find(|primitive| primitive.outer == outer) else {
        let other_kind = resources
            .primitives
            .iter()
            .find(|primitive| outer.starts_with(&primitive.id) || primitive.outer.starts_with(outer));
        return other_kind.filter(|other| other.id == MASTER).map_or(State::Add, |other| {
            State::Kept(format!("{} does it in the other form (gnt-ha setup --remove, then again)", other.outer))
        });
    };
    let whole = format!("<cib><configuration><resources>{xml}</resources></configuration></cib>");
    let wanted = Resources::parse(&whole).ok().and_then(|read| read.primitives.into_iter().next());
    let differs =
        wanted.as_ref().map_or_else(|| Some("it cannot be compared".to_owned()), |wanted| differs(wanted, there));
    differs.map_or(State::Same, State::Change)
}

/// What is wanted and not so; what the administrator has added is his.
fn differs(wanted: &Primitive, there: &Primitive) -> Option<String> {
    let missing = |wanted: &Pairs, there: &Pairs, of: &str| {
        let differs = |(name, value): (&String, &String)| {
            (there.get(name) != Some(value)).then(|| {
                let is = there.get(name).map_or_else(|| "not set".to_owned(), Clone::clone);
                format!("{of}{name} is {is}, not {value}")
            })
        };
        wanted.iter().find_map(differs)
    };
    missing(&wanted.parameters, &there.parameters, "").or_else(|| missing(&wanted.meta, &there.meta, "")).or_else(
        || {
            wanted.operations.iter().find_map(|operation| {
                let role = operation.settings.get("role");
                let same = there
                    .operations
                    .iter()
                    .find(|other| other.name == operation.name && other.settings.get("role") == role);
                match same {
                    None => Some(format!("it has no {} operation", operation.name)),
                    Some(same) => missing(&operation.settings, &same.settings, &format!("{}: ", operation.name)),
                }
            })
        },
    )
}
