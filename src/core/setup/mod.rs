//! The plan of `gnt-ha setup`: what Pacemaker needs to protect a Ganeti cluster, compared with its configuration. Pure:
//! nothing is applied here.
//!
//! Each element that gnt-ha makes has an id that begins with [`PREFIX`]. By this prefix gnt-ha recognizes its own
//! elements, changes nothing else, and can remove all of them. (The connection to a Pacemaker remote node must have the
//! node's name; the id of its parameters shows who made it.)
//!
//! ```
//! use gnt_ha::core::ganeti::config::GanetiConfig;
//! use gnt_ha::core::pacemaker::resources::Resources;
//! use gnt_ha::core::setup::{PartState, SetupOptions, plan};
//!
//! let ganeti = GanetiConfig::parse(
//!     br#"{"version": 3000000, "serial_no": 17, "cluster": {"master_node": "u1"}, "nodegroups": {"g1": {}},
//!          "nodes": {"u1": {"name": "n1.lab", "group": "g1", "master_candidate": true}}}"#,
//! )?;
//! let parts = plan(&Resources::parse("<cib><configuration/></cib>")?, &ganeti, SetupOptions::default());
//! assert!(parts.iter().any(|part| part.xml.contains("gnt-ha-fence") && part.state == PartState::Add));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compare;
mod ganeti;
mod locations;
mod part;
mod properties;
mod remotes;
mod roles;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::ganeti::config::GanetiConfig;
use super::pacemaker::resources::Resources;
use super::paths::{ALERT_AGENT, OOB_PROGRAM};
pub(crate) use locations::is_by_name;
use locations::{locations, off_remotes};
use part::{ALERT, DEVICE, state};
pub use part::{GANETI, PREFIX, Part, PartState, SetupOptions};
pub use properties::is_only_kept;
use properties::{digest, programs, properties};
pub(crate) use remotes::is_ours as is_our_connection;
use remotes::remotes;
use roles::{master, nodes};

/// The elements to be removed from the configuration, for `cibadmin --delete`.
pub fn outdated(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter(|part| part.state.removes()).map(|part| part.xml.trim())
}

/// Returns whether gnt-ha has made an element of this configuration.
#[must_use]
pub fn has_made(resources: &Resources) -> bool {
    !deletions(resources).is_empty()
}

/// Returns whether the configuration uses an agent of gnt-ha, made by `gnt-ha setup` or not.
#[must_use]
pub fn is_in_use(resources: &Resources) -> bool {
    has_made(resources)
        || resources.devices().any(|device| device.kind == "fence_ganeti")
        || ["ganeti-master-role", "ganeti-node-role"].iter().any(|agent| resources.agents(agent).next().is_some())
}

/// Returns the parts that depend on Ganeti's nodes, their programs and candidates, and the deletions of what earlier
/// versions made for them.
///
/// The digest of the configuration is left out. An administrator decides which file is right, by
/// `gnt-ha setup --apply`.
#[must_use]
pub fn of_nodes(resources: &Resources, ganeti: &GanetiConfig) -> Vec<Part> {
    if !has_made(resources) {
        return Vec::new();
    }
    programs(resources, ganeti, None).into_iter().chain(locations(resources)).collect()
}

pub use ganeti::{SET_OOB_PROGRAM, TAG_HEALTH};
pub use remotes::{PORT, RemoteChecks, full_members, other_key, to_connect};

/// Returns what Pacemaker should have for these nodes, with the state of each part.
#[must_use]
pub fn plan(resources: &Resources, ganeti: &GanetiConfig, options: SetupOptions) -> Vec<Part> {
    plan_reached(resources, ganeti, options, None)
}

/// Returns the same plan, without a connection to a remote node that was not `reached` (see [`to_connect`]).
#[must_use]
pub fn plan_reached(
    resources: &Resources,
    ganeti: &GanetiConfig,
    options: SetupOptions,
    reached: Option<&RemoteChecks>,
) -> Vec<Part> {
    let two = full_members(resources, ganeti, options.members) == 2 && !options.has_device;
    let mut parts = vec![ganeti::oob_program(ganeti)];
    parts.extend(properties(resources, two, options));
    parts.extend(programs(resources, ganeti, Some(Path::new(OOB_PROGRAM))));
    parts.extend(options.digest.and_then(|wanted| digest(resources, wanted)));
    if options.health {
        parts.push(ganeti::health(ganeti));
    }
    let connections = remotes(resources, ganeti, options.members, reached);
    let is_added = |part: &Part| part.section == "resources" && part.state == PartState::Add;
    let has_remotes = resources.remotes().next().is_some() || connections.iter().any(is_added);
    parts.extend(connections);
    parts.push(device(resources));
    parts.extend(locations(resources));
    parts.push(master(resources, options, two));
    parts.extend(has_remotes.then(|| off_remotes(resources, options)));
    if options.has_device {
        parts.extend(roles::preferred(resources));
        parts.extend(properties::preferred(resources));
    }
    parts.push(nodes(resources, options));
    parts.push(alert(resources));
    parts
}

/// Returns Pacemaker's configuration as it will be after the plan, for checks before it is applied.
#[must_use]
pub fn planned(resources: &Resources, parts: &[Part]) -> Resources {
    let mut planned = resources.clone();
    let Ok(made) = Resources::parse(&format!("<cib>{}</cib>", fragment(parts))) else { return planned };
    planned.properties.extend(made.properties);
    for primitive in made.primitives {
        // Like `cibadmin --modify`: what the administrator has added stays.
        match planned.primitives.iter_mut().find(|there| there.id == primitive.id) {
            Some(there) => {
                there.parameters.extend(primitive.parameters);
                there.meta.extend(primitive.meta);
            }
            None => planned.primitives.push(primitive),
        }
    }
    planned
}

fn is_in_fragment(part: &Part) -> bool {
    part.section != GANETI && part.state.is_open() && !part.state.removes()
}

/// Returns the open parts that [`fragment`] cannot have: changes of Ganeti's configuration, and deletions.
pub fn beside_fragment(parts: &[Part]) -> impl Iterator<Item = &Part> {
    parts.iter().filter(|part| part.state.is_open() && !is_in_fragment(part))
}

/// Returns the XML to merge into the configuration: `cibadmin --modify --allow-create`.
#[must_use]
pub fn fragment(parts: &[Part]) -> String {
    let mut text = "<configuration>\n".to_owned();
    for section in ["crm_config", "resources", "constraints", "alerts"] {
        let open: Vec<&str> = parts
            .iter()
            .filter(|part| part.section == section && is_in_fragment(part))
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

/// Returns all elements that gnt-ha has made, for `cibadmin --delete`. Elements that refer to others come first.
#[must_use]
pub fn deletions(resources: &Resources) -> Vec<String> {
    let is_ours = |id: &str| id.starts_with(PREFIX);
    let locations = resources.location_ids.iter().filter(|id| is_ours(id));
    let mut all: Vec<String> = locations.map(|id| format!("<rsc_location id=\"{id}\"/>")).collect();
    let mut outer: Vec<(&str, bool)> = resources
        .primitives
        .iter()
        .filter(|primitive| is_ours(&primitive.outer) || remotes::is_ours(primitive))
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
        description: "fence device for every node".to_owned(),
        section: "resources",
        pcs: vec![format!("pcs stonith create {DEVICE} fence_ganeti {settings} op monitor interval=60s timeout=60s")],
        crm: vec![format!(
            "primitive {DEVICE} stonith:fence_ganeti params {settings} op monitor interval=60s timeout=60s"
        )],
        state: state(&xml, DEVICE, theirs, resources),
        xml,
    }
}

/// The parameters of the fence device. `fence_ganeti` itself repeats its attempts. With one attempt for each action,
/// Pacemaker goes on to the next peer instead of trying the same one again with less time.
const DEVICE_PARAMETERS: [(&str, &str); 3] =
    [("pcmk_action_limit", "-1"), ("pcmk_off_retries", "1"), ("pcmk_reboot_retries", "1")];

/// Returns the part for the alert agent. Without recipients it writes to the system's log; recipients are the
/// administrator's to add.
fn alert(resources: &Resources) -> Part {
    let ours = resources.alerts.iter().find(|(id, _)| id == ALERT);
    let theirs = resources.alerts.iter().find(|(id, path)| id != ALERT && path == ALERT_AGENT);
    Part {
        description: "the alert agent, which writes events to the system's log".to_owned(),
        section: "alerts",
        xml: format!("  <alert id=\"{ALERT}\" path=\"{ALERT_AGENT}\"/>"),
        pcs: vec![format!("pcs alert create path={ALERT_AGENT} id={ALERT}")],
        crm: vec![format!("alert {ALERT} {ALERT_AGENT}")],
        state: match (ours, theirs) {
            (_, Some((id, _))) => PartState::Foreign(format!("{id} does it")),
            (Some((_, path)), None) if path == ALERT_AGENT => PartState::Unchanged,
            (Some((_, path)), None) => PartState::Change(format!("its path is {path}")),
            (None, None) => PartState::Add,
        },
    }
}
