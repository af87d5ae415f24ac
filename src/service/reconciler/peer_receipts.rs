//! Fetches receipts that other hosts have of their own fencings, by `ganeti-oob receipts`. It starts that program and
//! changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::core::config::DEFAULT_PATH;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::oob::is_ours;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power_receipt;
use crate::core::reconcile::{PowerReceipt, peer_receipts};
use crate::sys::clock::Deadline;
use crate::sys::config_file;
use crate::sys::every_node;

/// How long the receipts of another host are waited for. The decision can be made without them.
const RECEIPTS: Duration = Duration::from_secs(2);

/// The receipts of one host, by node.
type Receipts = BTreeMap<NodeName, Vec<PowerReceipt>>;

/// Asks each host of `asked` for its receipts of the nodes beside it, all hosts at once. Passes to `take` each node of
/// `nodes`, the host, its receipts, and the strongest grade that they may prove for the node. `nodes` are those of
/// Ganeti. A missing answer is logged, and leaves the weakest grade.
pub fn fetch(
    asked: BTreeMap<NodeName, Vec<NodeName>>,
    nodes: &[Node],
    deadline: Deadline,
    mut take: impl FnMut(&Node, &NodeName, &[PowerReceipt], Grade),
) {
    let programs = nodes.iter().filter_map(|node| node.oob_program.as_ref());
    let Some(program) = programs.into_iter().find(|program| is_ours(program)).filter(|_| !asked.is_empty()) else {
        return;
    };
    let config = config_file::load(Path::new(DEFAULT_PATH)).ok();
    // All at once: each may be waited for, and a lost one is silent.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = |(host, about): (NodeName, Vec<NodeName>)| {
            let task = move || (receipts_of(program, &host, &about, deadline), host, about);
            std::thread::Builder::new().spawn_scoped(scope, task)
        };
        let asked: Vec<_> = asked.into_iter().map(ask).collect();
        asked.into_iter().filter_map(|thread| thread.ok()?.join().ok()).collect()
    });
    for (said, host, about) in answers {
        let said = said.unwrap_or_else(|why| {
            tracing::warn!(%host, why, "its receipts could not be had: the weakest device counts");
            Receipts::new()
        });
        let said = power_receipt::believed(said, &about);
        for node in nodes {
            if let Some(receipts) = said.get(&node.name) {
                take(node, &host, receipts, peer_receipts::most(node, config.as_ref()));
            }
        }
    }
}

fn receipts_of(program: &Path, host: &NodeName, about: &[NodeName], deadline: Deadline) -> Result<Receipts, String> {
    let words: Vec<&str> = ["receipts", host.as_str()].into_iter().chain(about.iter().map(NodeName::as_str)).collect();
    every_node::ask_ours(program, &words, deadline.at_most(RECEIPTS))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;
    use crate::core::ganeti::config::GanetiConfig;

    /// Each of two hosts answers only once both are asked: they are asked at the same time, so a lost one costs its
    /// time once.
    #[test]
    fn all_hosts_are_asked_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("ganeti-oob");
        let text = "#!/bin/sh\n: >\"$0.$2\"\nuntil [ -e \"$0.n2.lab\" ] && [ -e \"$0.n3.lab\" ]; do sleep 0.01; done\n\
                    echo \"{\\\"$3\\\": []}\"\n";
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let node = |name: &str| json!({"name": name, "group": "g", "ndparams": {"oob_program": program}});
        let ganeti = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}},
            "nodes": {"u1": node("n1.lab"), "u2": node("n2.lab"), "u3": node("n3.lab")}});
        let ganeti = GanetiConfig::parse(ganeti.to_string().as_bytes()).unwrap();
        let [n1, n2, n3] = ["n1.lab", "n2.lab", "n3.lab"].map(|name| NodeName::new(name).unwrap());
        let asked = BTreeMap::from([(n2.clone(), vec![n1.clone()]), (n3.clone(), vec![n1])]);
        let mut told = Vec::new();
        fetch(asked, ganeti.nodes(), Deadline::after(Duration::from_secs(30)), |_, host, _, _| told.push(host.clone()));
        assert_eq!(told, [n2, n3]);
    }
}
