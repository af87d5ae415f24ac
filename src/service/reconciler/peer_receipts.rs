//! Fetches receipts that other hosts have of their own fencings. Changes nothing.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use crate::core::config::DEFAULT_PATH;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::oob::is_ours;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power_receipt;
use crate::core::reconcile::PowerReceipt;
use crate::core::reconcile::peer_receipts;
use crate::service::shun::receipts::{Receipts, ReceiptsError, of_another};
use crate::sys::clock::Deadline;
use crate::sys::config_file;
use crate::sys::fan_out::each;

/// How long the receipts of another host are waited for. The decision can be made without them.
const RECEIPTS_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a host for its receipts of nodes, with Ganeti's files in `data_dir`.
///
/// # Errors
/// [`ReceiptsError`] if this host cannot ask, or the other one does not answer.
pub fn ask(
    data_dir: &Path,
    host: &NodeName,
    nodes: &[NodeName],
    deadline: Deadline,
) -> Result<Receipts, ReceiptsError> {
    let config = config_file::load_or_default(Path::new(DEFAULT_PATH))?;
    of_another(&config, data_dir, host, nodes, deadline.at_most(RECEIPTS_TIMEOUT))
}

/// Calls `ask` for each host of `asked` with the nodes beside it, all hosts at once. Passes to `take` each node of
/// `nodes`, the host, its receipts, and the strongest grade that they may prove for the node. `nodes` are those of
/// Ganeti. A missing answer is logged, and leaves the weakest grade.
pub fn fetch<E: Display + Send>(
    asked: BTreeMap<NodeName, Vec<NodeName>>,
    nodes: &[Node],
    ask: impl Fn(&NodeName, &[NodeName]) -> Result<Receipts, E> + Sync,
    mut take: impl FnMut(&Node, &NodeName, &[PowerReceipt], Grade),
) {
    // A host answers with `ganeti-oob`.
    let is_there = nodes.iter().filter_map(|node| node.oob_program.as_ref()).any(|program| is_ours(program));
    if asked.is_empty() || !is_there {
        return;
    }
    let config = config_file::load(Path::new(DEFAULT_PATH)).ok();
    let asked: Vec<(NodeName, Vec<NodeName>)> = asked.into_iter().collect();
    // All at once: each may be waited for, and a lost host does not answer.
    let answers = each(&asked, asked.len(), |(host, about)| ask(host, about));
    for (answer, (host, about)) in answers.into_iter().zip(asked) {
        let receipts = answer.unwrap_or_else(|error| {
            tracing::warn!(%host, %error, "its receipts are unknown: the weakest device counts");
            Receipts::new()
        });
        let receipts = power_receipt::believed(receipts, &about);
        for node in nodes {
            if let Some(receipts) = receipts.get(&node.name) {
                take(node, &host, receipts, peer_receipts::most(node, config.as_ref()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use serde_json::json;

    use super::*;
    use crate::core::ganeti::config::GanetiConfig;

    /// Each of two hosts answers only once both are asked: they are asked at the same time, so a lost one costs its
    /// time once.
    #[test]
    fn all_hosts_are_asked_at_once() {
        let node = |name: &str| json!({"name": name, "group": "g", "ndparams": {"oob_program": "/x/ganeti-oob"}});
        let ganeti = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}},
            "nodes": {"u1": node("n1.lab"), "u2": node("n2.lab"), "u3": node("n3.lab")}});
        let ganeti = GanetiConfig::parse(ganeti.to_string().as_bytes()).unwrap();
        let [n1, n2, n3] = ["n1.lab", "n2.lab", "n3.lab"].map(|name| NodeName::new(name).unwrap());
        let asked = BTreeMap::from([(n2.clone(), vec![n1.clone()]), (n3.clone(), vec![n1])]);
        let mut hosts = Vec::new();
        let both = Barrier::new(2);
        let ask = |_: &NodeName, about: &[NodeName]| {
            both.wait();
            Ok::<_, ReceiptsError>(about.iter().map(|node| (node.clone(), Vec::new())).collect())
        };
        fetch(asked, ganeti.nodes(), ask, |_, host, _, _| hosts.push(host.clone()));
        assert_eq!(hosts, [n2, n3]);
    }
}
