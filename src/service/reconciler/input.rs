//! Collects the input of a reconciliation: Ganeti's and Pacemaker's configuration and state, and the receipts of this host
//! and of others. Changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::noded_check::Addresses;
use super::peer_receipts::fetch;
use super::run::{ReconcileError, Reconciler};
use crate::core::ganeti::config::Node;
use crate::core::history::join_entries;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::cib::Cib;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::pacemaker::names::called;
use crate::core::reconcile::jobs::DRAINED_BY_US;
use crate::core::reconcile::{Membership, NodeState, PowerReceipt, ReconcileInput, peer_receipts};
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::files;
use crate::sys::receipt_log::ReceiptLog;
use crate::sys::{identity, pacemaker};

impl Reconciler {
    /// Reads Ganeti's and Pacemaker's state, the receipts and the pause.
    pub(super) fn collect_input(
        &self,
        seen: Option<&CrmMon>,
        deadline: Deadline,
    ) -> Result<(ReconcileInput, Addresses), ReconcileError> {
        let config = files::read_config(&self.data_dir)?;
        let here = self.own_node(config.nodes().iter().map(|node| &node.name))?;
        let pacemaker = match seen {
            Some(seen) => Cow::Borrowed(seen),
            None => Cow::Owned(pacemaker::status(deadline)?),
        };
        let actions = join_entries(ReceiptLog::new(&self.state_dir).read()?.entries, None);
        let Cib { offline_by_hand, fencing, .. } = self.read_cib()?;
        let all = config.names();
        let at = now();
        let addresses = config
            .nodes()
            .iter()
            .filter_map(|node| Some((node.name.clone(), config.notes(&node.name).primary_ip?)))
            .collect();
        let state = ReconcileInput {
            now: at,
            stack_started_ms: pacemaker::started_ms().unwrap_or(at.wall_ms),
            quorum: pacemaker.quorum,
            maintenance: pacemaker.maintenance,
            role: pacemaker.master_role.clone(),
            master: config.master().cloned(),
            pause: self.pause()?,
            candidate_pool_size: config.candidate_pool_size(),
            here,
            nodes: config
                .nodes()
                .iter()
                .map(|node| NodeState {
                    ganeti: node.clone(),
                    changed_ms: config.notes(&node.name).changed_ms,
                    version: config.notes(&node.name).version,
                    drained_by_us: config.notes(&node.name).tags.iter().any(|tag| tag == DRAINED_BY_US),
                    member: match pacemaker.membership(&node.name, &all) {
                        // The node did not leave: an administrator has it on standby, or takes it back at this moment.
                        Membership::Standby if called(&node.name, &offline_by_hand, &all).is_ok() => Membership::Online,
                        member => member,
                    },
                    is_remote: pacemaker.called(&node.name, &all).is_ok_and(|name| pacemaker.remotes.contains(name)),
                    member_since_ms: None,
                    answers: None,
                    fences: pacemaker.fences_of(&node.name, &all),
                    receipts: PowerReceipt::all_of(&actions, &node.name, &all),
                    options: fencing.options(&node.name, &all),
                })
                .collect(),
        };
        Ok((state, addresses))
    }

    /// Returns this host's name among Ganeti's nodes.
    pub(super) fn own_node<'a>(
        &self,
        names: impl IntoIterator<Item = &'a NodeName>,
    ) -> Result<NodeName, ReconcileError> {
        let found = match &self.own_name {
            Some(own) => node::find(own, names).ok().cloned(),
            None => identity::node_among(names),
        };
        let name = || self.own_name.as_ref().map_or_else(identity::host, ToString::to_string);
        found.ok_or_else(|| ReconcileError::Stranger(name()))
    }

    /// Fetches the receipts that `hosts` have of the nodes beside them: there a decision rests on a report of a device
    /// alone. Returns whether any was added. A missing answer leaves the weakest grade.
    pub(super) fn fetch_receipts(
        &self,
        state: &mut ReconcileInput,
        hosts: BTreeMap<NodeName, Vec<NodeName>>,
        deadline: Deadline,
    ) -> bool {
        let all: Vec<NodeName> = state.nodes.iter().map(|node| node.ganeti.name.clone()).collect();
        let nodes: Vec<Node> = state.nodes.iter().map(|node| node.ganeti.clone()).collect();
        let before: usize = state.nodes.iter().map(|node| node.receipts.len()).sum();
        let ask =
            |host: &NodeName, about: &[NodeName]| super::peer_receipts::ask(&self.data_dir, host, about, deadline);
        fetch(hosts, &nodes, ask, |node, host, receipts, most| {
            for state in state.nodes.iter_mut().filter(|state| state.ganeti.name == node.name) {
                peer_receipts::take(state, host, receipts, most, &all);
            }
        });
        state.nodes.iter().map(|node| node.receipts.len()).sum::<usize>() > before
    }
}
