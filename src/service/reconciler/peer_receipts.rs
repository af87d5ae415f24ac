//! Receipts that other hosts have of their own fencings, asked of them by `ganeti-oob receipts`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::config::{Config, DEFAULT_PATH};
use crate::core::ganeti::config::Node;
use crate::core::ganeti::oob::is_ours;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power_receipt;
use crate::core::reconcile::{PowerReceipt, peer_receipts};
use crate::sys::clock::Deadline;
use crate::sys::every_node;

/// How long another host's receipts are waited for: what they decide can be decided without them.
const RECEIPTS: Duration = Duration::from_secs(2);

/// Asks each host of `asked` for its receipts of the nodes beside it, and gives what it told of each to `take`: the node, the host,
/// its receipts, and the most that they may say of the node. `nodes` are Ganeti's. A silence is logged, and leaves the weakest
/// grade.
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
    let config = Config::load(Path::new(DEFAULT_PATH)).ok();
    for (host, about) in asked {
        let words: Vec<&str> =
            ["receipts", host.as_str()].into_iter().chain(about.iter().map(NodeName::as_str)).collect();
        let answer: Result<BTreeMap<NodeName, Vec<PowerReceipt>>, String> =
            every_node::ask_ours(program, &words, deadline.at_most(RECEIPTS));
        let said = answer.unwrap_or_else(|why| {
            tracing::warn!(%host, why, "its receipts could not be had: the weakest device counts");
            BTreeMap::new()
        });
        let said = power_receipt::believed(said, &about);
        for node in nodes {
            if let Some(receipts) = said.get(&node.name) {
                take(node, &host, receipts, peer_receipts::most(node, config.as_ref()));
            }
        }
    }
}
