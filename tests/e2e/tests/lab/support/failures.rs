//! Reads the failures that Pacemaker shows, and checks that the cluster has none.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::{Host, Output};

use crate::support::cluster::{Scene, short};

impl Scene {
    /// Runs a command on the first host that has an answer.
    pub(crate) fn anywhere(&self, words: &[&str]) -> Output {
        let all = self.lab.hosts();
        let answer = |host: &Host| host.run_within(words, Duration::from_secs(120)).ok().filter(Output::success);
        all.iter().find_map(answer).unwrap_or_else(|| panic!("no host runs {words:?}: {:#?}", self.lab.crm_mon()))
    }

    /// Returns the failed actions that Pacemaker shows: operation, host and reason.
    pub(crate) fn failures(&self) -> Vec<String> {
        let all = self.anywhere(&["crm_mon", "--one-shot", "--output-as=xml"]).stdout;
        let failure = |line: &str| {
            let value = |key: &str| line.split(&format!(" {key}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            let words = ["op_key", "node", "exitstatus", "exitreason"].map(|key| value(key).unwrap_or("?"));
            line.contains("<failure ").then(|| words.join(" "))
        };
        all.lines().filter_map(failure).collect()
    }

    /// Cleans the failures up in Pacemaker, as an administrator does when they are fixed, and lets Pacemaker act.
    pub(crate) fn forget_failures(&self) {
        self.anywhere(&["crm_resource", "--cleanup"]);
        self.anywhere(&["crm_resource", "--wait", "--timeout=90"]);
    }

    /// Returns the hosts that Pacemaker has fenced, or tried to fence.
    pub(crate) fn touched(&self) -> BTreeSet<String> {
        self.lab.fence_history().unwrap().iter().map(|event| short(&event.target)).collect()
    }

    /// Checks that every resource is active and has not failed, and that `master` serves with the master IP.
    pub(crate) fn is_well(&self, master: &str) -> bool {
        let Ok(seen) = self.lab.crm_mon() else { return false };
        let online = seen.nodes.iter().filter(|node| node.online && !node.standby).count();
        let here = |resource: &&lab::Resource| !resource.failed && resource.role == "Started";
        let nodes = seen.resources.iter().filter(|resource| resource.id == "node").filter(here).count();
        seen.resources.iter().all(|resource| !resource.failed)
            && nodes == online
            && self.holder().as_deref() == Some(master)
            && self.serving() == [master]
            && self.with_master_ip() == [master]
    }
}
