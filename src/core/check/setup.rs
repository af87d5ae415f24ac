//! The rule that compares Pacemaker's configuration with what `gnt-ha setup` would make now.

use super::{CheckInput, Findings};
use crate::core::config::{Config, FULL_MEMBERS_MOST};
use crate::core::ganeti::tags::Tags;
use crate::core::setup::{GANETI, PREFIX, Part, SetupOptions, has_made, plan};

/// Rules about OOB programs. The plan has a copy of Ganeti's, and a wrong program is not a fault of the copy.
const OF_PROGRAMS: [&str; 2] = ["no-oob-program", "oob-program-missing"];

/// Rules whose findings mean that the configuration of this host must not yet become that of the others.
const OF_CONFIGURATION: [&str; 3] = ["configuration-wrong", "configurations-differ", "machine-shared"];

/// Reports the parts that differ. The caller runs it only if the other rules about Pacemaker find nothing: those are
/// more precise, and their fixes fix this as well.
pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    let (Ok(resources), Ok(ganeti)) = (&view.resources, &view.ganeti) else { return };
    if findings.0.iter().any(|finding| OF_PROGRAMS.contains(&finding.rule)) || !has_made(resources) {
        return;
    }
    let is_settled = !findings.0.iter().any(|finding| OF_CONFIGURATION.contains(&finding.rule));
    // The hosts compare their configuration with the master's.
    let is_master = view.host.node.is_some() && view.host.node.as_ref() == ganeti.master();
    let config = view.config.as_ref().and_then(|config| config.as_ref().ok()).filter(|_| is_settled && is_master);
    let options = SetupOptions {
        digest: config.map(Config::digest),
        primitive: resources.agents("ganeti-master-role").any(|role| role.id.starts_with(PREFIX) && !role.is_clone),
        has_device: view.quorum.as_ref().is_ok_and(|quorum| quorum.device.is_some()),
        health: Tags::read(view.tags.iter().map(String::as_str)).health,
        members: view
            .config
            .as_ref()
            .and_then(|config| config.as_ref().ok())
            .map_or(FULL_MEMBERS_MOST, |config| config.members),
    };
    let is_open = |part: &Part| part.section != GANETI && part.state.is_open() || part.state.is_by_hand();
    let open: Vec<String> =
        plan(resources, ganeti, options).into_iter().filter(is_open).map(|part| part.description).collect();
    if !open.is_empty() {
        findings.add(
            "setup-differs",
            "pacemaker",
            format!("differs from what gnt-ha setup makes: {}", open.join(", ")),
        );
    }
}
