//! Rules about this host: installed files, saved state, settings.

use super::input::Installed;
use super::{CheckInput, Findings};
use crate::core::ganeti::tags::{RECOVER, Tags};

/// The file in the state directory that holds the newer configuration that was seen.
const FILE: &str = "newer-config.json";

pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    let host = &view.host;
    if host.fence_agent == Installed::Missing {
        findings.add("no-fence-agent", "fence_ganeti", "it is not in Pacemaker's directory of fence agents");
    }
    for (name, installed) in &host.agents {
        match installed {
            Installed::Program => {}
            Installed::Script => findings.add("example-agent", name, "it is a script: Ganeti's example"),
            Installed::Missing => findings.add("no-agent", name, "it is not installed"),
        }
    }
    if !host.hooks.is_empty() {
        // One failed installation is one finding.
        let all: Vec<String> = host.hooks.iter().map(|(file, why)| format!("{}: {why}", file.display())).collect();
        findings.add("hook-missing", "/etc/ganeti/hooks", all.join("; "));
    }
    for file in &host.no_voting {
        findings.add("no-voting-default", file.display(), "it gives Ganeti's daemons --no-voting");
    }
    // Without recovery, harep is the only one that starts instances elsewhere.
    for file in host.harep.iter().filter(|_| view.tags.iter().any(|tag| tag == RECOVER)) {
        findings.add("harep-beside", file.display(), "it runs harep");
    }
    for file in &host.stale_pidfiles {
        findings.add("stale-pidfile", file.display(), "its daemon does not run, and it is not root's");
    }
    if let Some(file) = &host.watcher_absent {
        findings.add("watcher-absent", file.display(), "there is no such file");
    }
    if host.watcher_paused.is_some() {
        findings.add("watcher-paused", "ganeti-watcher", "it is paused");
    }
    for condition in &host.simulated {
        findings.add("simulated", condition.file(), "this condition is simulated here");
    }
    for file in &host.simulates_nothing {
        findings.add("unknown-simulation", file, "it is not the name of a condition");
    }
    if let Some(pause) = &host.pause {
        findings.add("paused", "gnt-ha", format!("paused by {}: {}", pause.by, pause.reason));
    }
    if let Some(open) = &host.breaker {
        findings.add(
            "breaker-open",
            "gnt-ha",
            format!("{} nodes wait for a reset, the limit is {} at once", open.blocked.len(), open.limit),
        );
    }
    for why in &host.unreadable {
        findings.add("state-unreadable", "gnt-ha", why.as_str());
    }
    if let Some(why) = role_blocked_reason(view) {
        findings.add("role-blocked", FILE, why);
    }
    if !host.systemd_watchdogs.is_empty() {
        findings.add("systemd-watchdog", "systemd", host.systemd_watchdogs.join(", "));
    }
    for unit in &host.not_enabled {
        findings.add("unit-not-enabled", unit, "systemd does not start it at the next boot");
    }
    if let Some(why) = &host.lease_lacks {
        findings.add("lease-at-risk", "gnt-ha-self-fence", why.as_str());
    }
    for (node, by) in &host.shunned {
        let claim = view.candidates.get(node).and_then(|state| state.master.as_ref());
        let ignored = claim.map(|(master, serial)| format!("; ignored: it names {master} master (serial {serial})"));
        findings.add("shunned", node, format!("shunned by {by}{}", ignored.unwrap_or_default()));
    }
}

/// Returns why this host, a master candidate, would not take the master role after a death, if there is a reason.
fn role_blocked_reason(view: &CheckInput) -> Option<String> {
    let (Ok(ganeti), Some(here)) = (&view.ganeti, &view.host.node) else { return None };
    let is_candidate = ganeti.nodes().iter().any(|node| node.name == *here && node.master_candidate);
    if !is_candidate || Tags::read(view.tags.iter().map(String::as_str)).any_serial {
        return None;
    }
    let own = ganeti.serial;
    match &view.host.newer_config {
        Ok(newer) => newer.as_ref().filter(|newer| newer.blocks_role(own)).map(|newer| {
            format!(
                "{} was named master with the serial {}, and the configuration here has {own}",
                newer.master, newer.serial
            )
        }),
        Err(why) => Some(format!("it cannot be read: {why}")),
    }
}
