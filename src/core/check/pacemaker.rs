//! Rules about Pacemaker: its configuration and its state.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckInput, Findings};
use crate::core::config::is_board;
use crate::core::fence_agents::FenceDeviceKind;
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::tags::Tags;
use crate::core::grade::Grade;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::pacemaker::duration::milliseconds;
use crate::core::pacemaker::fence_score::ATTRIBUTE;
use crate::core::pacemaker::fencing::{FenceDevice, Fencing, FencingOption};
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::property::FencingProperty;
use crate::core::pacemaker::resources::{AttributeLocation, Primitive, Resources, is_true};
use crate::core::reconcile::{FenceStatus, Membership};
use crate::core::setup::{is_by_name, is_our_connection};

/// The types of gnt-ha's agents.
const MASTER_ROLE: &str = "ganeti-master-role";
const NODE_ROLE: &str = "ganeti-node-role";
const DEVICE: &str = "fence_ganeti";

/// The shortest timeout for a start of the master role, in milliseconds: it may have to wait for several nodes.
const START_TIMEOUT_MS: u64 = 120_000;

pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    match &view.pacemaker {
        Ok(state) => check_state(state, findings),
        Err(why) => findings.add("pacemaker-unknown", "pacemaker", why),
    }
    match &view.resources {
        Ok(resources) => {
            check_properties(resources, view, findings);
            check_devices(resources, view, findings);
            check_roles(resources, findings);
            check_health(resources, view, findings);
            check_connections(resources, findings);
        }
        Err(why) => findings.add("cib-unknown", "pacemaker", why),
    }
}

fn check_state(state: &CrmMon, findings: &mut Findings) {
    if !state.quorum {
        findings.add("quorum", "pacemaker", "this host's partition has no quorum");
    }
    for (name, member) in &state.nodes {
        if *member == Membership::Unclean {
            findings.add("node-unclean", name, "it is UNCLEAN");
        }
        // The latest event comes first.
        let last = state.fences.iter().find(|(target, _)| target == name.name()).map(|(_, fence)| fence);
        if last.is_some_and(|fence| fence.status == FenceStatus::Failed) {
            findings.add("fencing-failed", name, "the latest event of its fence history is a failure");
        }
    }
}

fn check_properties(resources: &Resources, view: &CheckInput, findings: &mut Findings) {
    let says = |names: &[&str]| resources.property(names).map(str::to_ascii_lowercase);
    let is_off = |names: &[&str]| says(names).is_some_and(|value| !is_true(&value));
    let mut add = |rule, problem: &str, fix| findings.add_with_fix(rule, "pacemaker".to_owned(), problem, fix);
    let enabled = resources.fencing_property(FencingProperty::Enabled);
    if let Some((name, _)) = enabled.set.filter(|(_, value)| !is_true(value)) {
        add("fencing-disabled", &format!("{name} is off"), resources.set_command(enabled.to_set, "true"));
    }
    if is_off(&["startup-fencing"]) {
        add("startup-fencing-disabled", "startup-fencing is off", resources.delete_command("startup-fencing"));
    }
    let has_device = view.quorum.as_ref().is_ok_and(|quorum| quorum.device.is_some());
    let many = has_device || view.pacemaker.as_ref().map_or(0, |state| state.nodes.len()) > 2;
    if many && says(&["no-quorum-policy"]).as_deref() == Some("ignore") {
        add("quorum-ignored", "no-quorum-policy is ignore", resources.set_command("no-quorum-policy", "stop"));
    }
    let maintenance = says(&["maintenance-mode"]).is_some_and(|value| is_true(&value));
    if maintenance || view.pacemaker.as_ref().is_ok_and(|state| state.maintenance) {
        let fix = format!("when the work is done: {}", resources.delete_command("maintenance-mode"));
        add("maintenance", "maintenance-mode is on", fix);
    }
    if is_off(&["concurrent-fencing"]) {
        let fix = resources.set_command("concurrent-fencing", "true");
        add("concurrent-fencing-off", "concurrent-fencing is off", fix);
    }
}

fn check_devices(resources: &Resources, view: &CheckInput, findings: &mut Findings) {
    let ours: Vec<&Primitive> = resources.devices().filter(|device| device.kind == DEVICE).collect();
    if resources.devices().next().is_none() {
        findings.add("no-device", "pacemaker", "there is no fence device at all");
    }
    for device in &ours {
        if device.is_held() {
            findings.add_with_fix("device-stopped", device.id.clone(), held(device), released(device, &device.id));
        }
        let interval = |device: &Primitive| {
            device.operation("monitor")?.settings.get("interval").and_then(|text| milliseconds(text))
        };
        if interval(device).unwrap_or(0) == 0 {
            findings.add("device-no-monitor", &device.id, "it has no recurring monitor");
        }
        let limit = device.parameters.get("pcmk_action_limit").map_or("1", String::as_str);
        if limit == "1" {
            findings.add("device-action-limit", &device.id, format!("pcmk_action_limit is {limit}"));
        }
        if device.parameters.get("minimum_grade").is_some_and(|word| word == Grade::Isolated.word()) {
            findings.add("device-accepts-isolated", &device.id, "minimum_grade is isolated");
        }
    }
    if let Ok(ganeti) = &view.ganeti {
        check_host_lists(resources, &ours, ganeti, view, findings);
        check_kinds(resources, ganeti, view, findings);
    }
}

/// Checks which nodes a device may fence, and on which nodes it may run.
fn check_host_lists(
    resources: &Resources,
    ours: &[&Primitive],
    ganeti: &GanetiConfig,
    view: &CheckInput,
    findings: &mut Findings,
) {
    // Devices of other agents that list no hosts count as reaching every node.
    let all_nodes = ganeti.names();
    let all = resources.devices().map(targets);
    let host_lists: Vec<Option<Vec<&str>>> = all.collect();
    for node in ganeti.nodes().iter().filter(|node| !node.offline && !host_lists.is_empty()) {
        let is_it = |name: &&str| NodeName::new(name).is_ok_and(|name| node::means(&name, &node.name, &all_nodes));
        if !host_lists.iter().any(|list| list.as_ref().is_none_or(|names| names.iter().any(&is_it))) {
            findings.add("device-misses-node", &node.name, "it is in no device's pcmk_host_list or pcmk_host_map");
        }
    }
    for location in resources.locations.iter().filter(|location| is_by_name(location)) {
        findings.add("device-banned", &location.node, format!("{} keeps the device off", location.id));
    }
    let Ok(state) = &view.pacemaker else { return };
    check_fencers(state, view, findings);
    let all = ganeti.names();
    for device in ours {
        let by_score = |scored: &AttributeLocation| scored.resource == device.outer && scored.attribute == ATTRIBUTE;
        if resources.scored.iter().any(by_score) {
            continue;
        }
        for node in ganeti.nodes().iter().filter(|node| !node.master_candidate && !node.offline) {
            let kept_off = resources.locations.iter().any(|location| {
                location.resource == device.outer
                    && location.keeps_off()
                    && state
                        .called(&node.name, &all)
                        .is_ok_and(|name| name.as_str().eq_ignore_ascii_case(&location.node))
            });
            let is_opt_in = resources.property(&["symmetric-cluster"]).is_some_and(|value| !is_true(value));
            // Pacemaker runs no fence device on a remote node.
            let is_remote = state.called(&node.name, &all).is_ok_and(|name| state.remotes.contains(name));
            if state.membership(&node.name, &all) != Membership::Unknown && !is_remote && !kept_off && !is_opt_in {
                findings.add("device-on-regular-nodes", &node.name, format!("{} may run there", device.id));
            }
        }
    }
}

/// Checks that at least two members have what a fencing needs: with one, no host is left that can fence it. If the
/// program that Ganeti names is missing here, that is a finding of its own. From their next monitor on the hosts then
/// publish that they lack it.
fn check_fencers(state: &CrmMon, view: &CheckInput, findings: &mut Findings) {
    if view.programs.values().any(Option::is_some) {
        return;
    }
    let online = state.nodes.iter().filter(|(name, member)| member.is_member() && !state.remotes.contains(name));
    let able: Vec<&PacemakerName> =
        online.map(|(name, _)| name).filter(|name| !view.lacking.contains(*name)).take(2).collect();
    let lacking = view.lacking.iter().map(PacemakerName::as_str).collect::<Vec<_>>().join(", ");
    match able[..] {
        _ if view.lacking.is_empty() => {}
        [] => findings.add("one-fencer", "pacemaker", format!("no host can fence: {lacking} lack what is needed")),
        [only] => findings.add("one-fencer", only, format!("no other host can fence: {lacking} lack what is needed")),
        _ => {}
    }
}

/// Returns whether Pacemaker may fence this node with a device that reads the power as off and does not fail with the
/// board in the host. `fence_ganeti` is left out: its levels are checked instead.
pub(super) fn has_other_device(resources: &Resources, view: &CheckInput, node: &NodeName, all: &[NodeName]) -> bool {
    let is_held = |device: &FenceDevice| resources.devices().any(|known| known.id == device.id && known.is_held());
    let is_out = |device: &FenceDevice| is_held(device) || is_board(&device.agent) || device.agent == DEVICE;
    let options = fencing(resources, view).options(node, all);
    options.0.iter().any(|option| option.worth(true).powered == Some(false) && !option.devices.iter().any(is_out))
}

/// Returns Pacemaker's fence devices, with the agents that the configuration adds as power agents.
fn fencing(resources: &Resources, view: &CheckInput) -> Fencing {
    match &view.config {
        Some(Ok(config)) => resources.fencing.with(&config.power_agents),
        _ => resources.fencing.clone(),
    }
}

/// Finds devices whose success proves too little to be recorded, and nodes that are fenced without `fence_ganeti`.
fn check_kinds(resources: &Resources, ganeti: &GanetiConfig, view: &CheckInput, findings: &mut Findings) {
    let fencing = fencing(resources, view);
    let all = ganeti.names();
    for (id, why) in fencing.ignored_levels(&all) {
        findings.add("topology-level-ignored", id, why);
    }
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for device in fencing.devices() {
        if let Some(odd) = &device.is_odd {
            findings.add("device-off-unproven", &device.id, format!("{} has {odd}", device.agent));
            reported.insert(&device.id);
        } else if let Some(reboots) = &device.reboots_for_off {
            findings.add("device-off-reboots", &device.id, format!("{} has {reboots}", device.agent));
        }
    }
    let mut weak: BTreeMap<&str, String> = BTreeMap::new();
    for node in ganeti.nodes().iter().filter(|node| !node.offline) {
        let options = fencing.options(&node.name, &all);
        let levels: Vec<&FencingOption> = options.0.iter().filter(|option| option.level.is_some()).collect();
        let has_ours = |option: &&FencingOption| option.devices.iter().any(|device| device.agent == DEVICE);
        if !levels.is_empty() && !levels.iter().any(has_ours) {
            let devices = |option: &&FencingOption| {
                option.devices.iter().map(|device| device.id.clone()).collect::<Vec<_>>().join("+")
            };
            let levels: Vec<String> = levels.iter().map(devices).collect();
            let problem = format!("its fencing levels have {}", levels.join(", "));
            let ids = fencing.level_ids(&node.name, &all);
            let deletion = |id: &&str| format!("cibadmin --delete --xml-text '<fencing-level id=\"{id}\"/>'");
            let deletions = ids.iter().map(deletion).collect::<Vec<_>>().join(" && ");
            let fix = format!("add the fence_ganeti device to them, or take them out: {deletions}");
            findings.add_with_fix("topology-without-ours", node.name.to_string(), problem, fix);
        }
        for device in options.0.iter().flat_map(|option| &option.devices) {
            let Some(known) = fencing.devices().iter().find(|known| known.id == device.id) else { continue };
            if let Some((other, beside)) = fencing.shared_with(known, &node.name, &all)
                && reported.insert(&known.id)
            {
                let what = format!("for {} it switches the machine that {} switches for {other}", node.name, beside.id);
                findings.add("device-of-two-nodes", &known.id, what);
            }
        }
        let of_theirs = options.0.iter().filter(|option| option.worth(true).grade < Grade::Bounded);
        for device in of_theirs.flat_map(|option| &option.devices).filter(|device| device.agent != DEVICE) {
            if reported.contains(device.id.as_str()) {
                continue;
            }
            if let Some(known) = fencing.devices().iter().find(|known| known.id == device.id) {
                let what = match known.kind {
                    FenceDeviceKind::Fabric => "cuts a path and switches no power",
                    _ => "is not known to switch the power and to read it back as it is set up",
                };
                weak.entry(&known.id).or_insert_with(|| format!("{} {what}", known.agent));
            }
        }
    }
    for (id, what) in weak {
        findings.add("device-proves-little", id, what);
    }
}

/// Returns the weakest grade that is enough for both programs: each has a setting of its own, and the higher one
/// counts.
pub(super) fn least_grade(view: &CheckInput) -> Grade {
    let of_config = view.config.iter().flatten().map(|config| config.minimum_grade);
    let of_devices = view.resources.iter().filter_map(Resources::least_grade);
    of_config.chain(of_devices).max().unwrap_or(Grade::Bounded)
}

/// Returns the names to which a device is restricted; `None` if the device is asked for its hosts.
fn targets(device: &Primitive) -> Option<Vec<&str>> {
    let list = device.parameters.get("pcmk_host_list");
    let map = device.parameters.get("pcmk_host_map");
    if list.is_none() && map.is_none()
        || device.parameters.get("pcmk_host_check").is_some_and(|check| check != "static-list")
    {
        return None;
    }
    let of_list = list.into_iter().flat_map(|list| list.split([' ', ',', ';'])).filter(|name| !name.is_empty());
    let of_map = map.into_iter().flat_map(|map| map.split([' ', ';'])).filter_map(|pair| pair.split(':').next());
    Some(of_list.chain(of_map).collect())
}

/// Returns which meta-attributes hold a resource, as a problem.
fn held(resource: &Primitive) -> String {
    format!("Pacemaker does not start or does not manage it, by its {}", resource.held_by().join(" and its "))
}

/// Returns the commands that delete these meta-attributes, for the resource with this id.
fn released(resource: &Primitive, id: &str) -> String {
    let deletion = |name: &&str| format!("crm_resource --resource {id} --meta --delete-parameter {name}");
    resource.held_by().iter().map(deletion).collect::<Vec<_>>().join(" && ")
}

fn check_roles(resources: &Resources, findings: &mut Findings) {
    let masters: Vec<&Primitive> = resources.agents(MASTER_ROLE).collect();
    if masters.is_empty() {
        findings.add("master-role-missing", MASTER_ROLE, "no resource runs it");
    }
    for second in masters.iter().skip(1) {
        // A clone without its primitive does not conform to Pacemaker's schema; a group keeps its other members.
        let (kind, id) = if second.is_clone { ("clone", &second.outer) } else { ("primitive", &second.id) };
        let fix = format!("delete one of them: cibadmin --delete --xml-text '<{kind} id=\"{id}\"/>'");
        let problem = format!("{} keeps the role as well", masters[0].id);
        findings.add_with_fix("master-role-twice", second.id.clone(), problem, fix);
    }
    for master in &masters {
        if master.meta.get("resource-stickiness").is_none_or(|score| score == "0" || score.starts_with('-'))
            && !master.is_clone
        {
            findings.add("master-role-no-stickiness", &master.id, "it has no resource-stickiness");
        }
        if master.meta.get("requires").is_some_and(|requires| !matches!(requires.as_str(), "fencing" | "unfencing")) {
            findings.add("master-role-unfenced", &master.id, format!("it requires only {}", master.meta["requires"]));
        }
        let taking = if master.is_clone { "promote" } else { "start" };
        let timeout = master.operation(taking).and_then(|operation| operation.settings.get("timeout"));
        let given = timeout.and_then(|text| milliseconds(text)).unwrap_or(20_000);
        if given < START_TIMEOUT_MS {
            findings.add("master-role-start-timeout", &master.id, format!("{taking} has {} s", given / 1_000));
        }
    }
    let nodes: Vec<&Primitive> = resources.agents(NODE_ROLE).collect();
    if nodes.is_empty() {
        findings.add("node-role-missing", NODE_ROLE, "no resource runs it");
    }
    for role in &nodes {
        if !role.is_clone {
            findings.add("node-role-no-clone", &role.id, "it is not a clone");
        } else if role.meta_is_true("notify") != Some(true) {
            findings.add("node-role-no-notify", &role.outer, "its clone does not notify");
        }
    }
    for role in masters.iter().chain(&nodes) {
        if role.is_held() {
            findings.add_with_fix("role-stopped", role.outer.clone(), held(role), released(role, &role.outer));
        }
        let watched = |role: &Primitive| {
            let monitors = role.operations.iter().filter(|operation| operation.name == "monitor");
            monitors.filter_map(|monitor| milliseconds(monitor.settings.get("interval")?)).any(|interval| interval > 0)
        };
        if !watched(role) {
            findings.add("role-no-monitor", &role.id, "it has no recurring monitor");
        }
        let ignores = |operation: &&crate::core::pacemaker::resources::Operation| {
            operation.settings.get("on-fail").is_some_and(|word| word == "ignore")
        };
        if let Some(operation) = role.operations.iter().find(ignores) {
            findings.add("role-failure-ignored", &role.id, format!("{} has on-fail=ignore", operation.name));
        }
    }
}

/// Checks the attribute that the tag publishes against Pacemaker's use of such attributes (`node-health-strategy`).
fn check_health(resources: &Resources, view: &CheckInput, findings: &mut Findings) {
    const NONE: &str = "none";
    let strategy = resources.property(&["node-health-strategy"]).unwrap_or(NONE);
    if strategy == NONE {
        if Tags::read(view.tags.iter().map(String::as_str)).health {
            findings.add("health-unused", "ocf:health:on", "node-health-strategy has the value none");
        }
        return;
    }
    // Pacemaker does not read the attribute of the instance inside a clone (measured with Pacemaker 2.1.5).
    let is_allowed =
        |role: &&Primitive| role.outer_meta.get("allow-unhealthy-nodes").is_some_and(|value| is_true(value));
    for role in resources.agents(NODE_ROLE).filter(|role| !is_allowed(role)) {
        let what = format!("node-health-strategy is {strategy}, and allow-unhealthy-nodes is not true for it");
        findings.add("health-stops-role", &role.outer, what);
    }
}

/// Checks the connections that gnt-ha has not made. `gnt-ha setup` changes those that it has made itself.
fn check_connections(resources: &Resources, findings: &mut Findings) {
    for remote in resources.remotes().filter(|remote| !is_our_connection(remote)) {
        if remote.meta_is_true("allow-migrate") != Some(false) {
            findings.add("remote-connection-migrates", &remote.id, "allow-migrate is not false for its connection");
        }
    }
}
