//! What `gnt-ha setup` has made, against what it would make now.

use super::{CheckInput, Findings};
use crate::core::config::Config;
use crate::core::ganeti::tags::Tags;
use crate::core::setup::{GANETI, MEMBERS, PREFIX, Part, SetupOptions, has_made, plan};

/// The plan has a copy of Ganeti's OOB programs; what is wrong with them is not the copy's fault.
const OF_PROGRAMS: [&str; 2] = ["no-oob-program", "oob-program-missing"];

/// Where one of these is found, the configuration on this host is not to be the others' yet.
const OF_CONFIGURATION: [&str; 3] = ["configuration-wrong", "configurations-differ", "machine-shared"];

/// Where nothing is found in Pacemaker that is looked for by name: that says more, and fixes this as well.
pub(super) fn look(view: &CheckInput, findings: &mut Findings) {
    let (Ok(resources), Ok(ganeti)) = (&view.resources, &view.ganeti) else { return };
    if findings.0.iter().any(|finding| OF_PROGRAMS.contains(&finding.rule)) || !has_made(resources) {
        return;
    }
    let is_settled = !findings.0.iter().any(|finding| OF_CONFIGURATION.contains(&finding.rule));
    // What the hosts compare theirs with is the master's.
    let is_master = view.host.node.is_some() && view.host.node.as_ref() == ganeti.master();
    let config = view.config.as_ref().and_then(|config| config.as_ref().ok()).filter(|_| is_settled && is_master);
    let wish = SetupOptions {
        digest: config.map(Config::digest),
        primitive: resources.agents("ganeti-master-role").any(|role| role.id.starts_with(PREFIX) && !role.is_clone),
        has_device: view.quorum.as_ref().is_ok_and(|quorum| quorum.device.is_some()),
        health: Tags::read(view.tags.iter().map(String::as_str)).health,
        members: view.config.as_ref().and_then(|config| config.as_ref().ok()).map_or(MEMBERS, |config| config.members),
    };
    let is_open = |part: &Part| part.section != GANETI && part.state.is_open() || part.state.is_by_hand();
    let open: Vec<String> = plan(resources, ganeti, wish).into_iter().filter(is_open).map(|part| part.what).collect();
    if !open.is_empty() {
        findings.add("setup-differs", "pacemaker", format!("not as gnt-ha setup would have it: {}", open.join(", ")));
    }
}
