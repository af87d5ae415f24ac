//! Rules about corosync's quorum device: whether it would give its vote, and which settings must not be used with it.

use super::{CheckInput, Findings};
use crate::core::quorum::{Quorum, QuorumDevice, QuorumDeviceState, own_host};

/// The longest `quorum.device.sync_timeout`, in milliseconds, that is not a finding: the default. A device that hangs
/// delays corosync for that long.
const SYNC_TIMEOUT: u64 = 30_000;

/// The longest `quorum.device.timeout`, in milliseconds, that is not a finding: the default.
const DEVICE_TIMEOUT_MS: u64 = 10_000;

/// Applies the rules about quorum. If neither corosync's nor Pacemaker's state is known, the missing state of Pacemaker
/// is found already.
pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    let quorum = match &view.quorum {
        Ok(quorum) => quorum,
        Err(why) => {
            if view.pacemaker.is_ok() {
                findings.add("quorum-unknown", "corosync", why);
            }
            return;
        }
    };
    let Some(device) = &quorum.device else { return };
    check_members(quorum, device, findings);
    check_settings(quorum, device, findings);
    if let Some(host) = &device.host
        && let Some(owner) = own_host(host, &view.device_addresses, &view.owners)
    {
        findings.add("quorum-device-own-host", device.called(), format!("that is {}", owner.what));
    }
    let Ok(resources) = &view.resources else { return };
    if quorum.members.len() == 2 && resources.property(&["priority-fencing-delay"]).is_some_and(|value| value != "0") {
        let problem = "priority-fencing-delay is set, and corosync has a quorum device";
        let fix = resources.delete_command("priority-fencing-delay");
        findings.add_with_fix("fencing-delayed", "pacemaker".to_owned(), problem, fix);
    }
}

/// Each member runs its own connection to the device.
fn check_members(quorum: &Quorum, device: &QuorumDevice, findings: &mut Findings) {
    for member in &quorum.members {
        match member.device {
            QuorumDeviceState::Votes => {}
            QuorumDeviceState::Stopped => {
                findings.add(
                    "quorum-device-stopped",
                    &member.name,
                    "corosync-qdevice does not report to corosync there",
                );
            }
            QuorumDeviceState::Silent => {
                let what = format!("it has no vote of {}", device.called());
                findings.add("quorum-device-no-answer", &member.name, what);
            }
        }
    }
}

fn check_settings(quorum: &Quorum, device: &QuorumDevice, findings: &mut Findings) {
    if quorum.two_node {
        findings.add("quorum-device-two-node", "corosync", "two_node is set beside a quorum device");
    }
    let is_split = device.algorithm == "ffsplit";
    if is_split && device.votes != Some(1) {
        let votes = device.votes.map_or("not set".to_owned(), |votes| votes.to_string());
        findings.add("quorum-device-votes", "corosync", format!("quorum.device.votes is {votes}, with ffsplit"));
    }
    if device.sync_timeout_ms > SYNC_TIMEOUT || device.timeout_ms > DEVICE_TIMEOUT_MS {
        let QuorumDevice { timeout_ms, sync_timeout_ms, .. } = device;
        let what = format!("quorum.device.timeout is {timeout_ms} ms, and sync_timeout {sync_timeout_ms} ms");
        findings.add("quorum-device-slow", "corosync", what);
    }
    if !quorum.wait_for_all {
        findings.add("quorum-device-no-wait", "corosync", "wait_for_all is not set");
    }
}
