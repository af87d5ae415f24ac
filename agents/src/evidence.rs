//! Collects the evidence that a node is off or gone: this host's receipts, those of other hosts, and Pacemaker's fence
//! history. A take-over collects it once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

use gnt_ha::core::history::{ActionRecord, join_entries};
use gnt_ha::core::node::NodeName;
use gnt_ha::core::pacemaker::crm_mon::CrmMon;
use gnt_ha::core::pacemaker::fencing::{Fencing, FencingOptions};
use gnt_ha::core::reconcile::{Fence, FencingEvidence, First, Membership, Memory, PowerReceipt, peer_receipts};
use gnt_ha::core::roles::gone;
use gnt_ha::service::reconciler::peer_receipts::{ask, fetch};
use gnt_ha::service::reconciler::run::remembered;
use gnt_ha::service::shun::receipts::Receipts;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::pacemaker::{self, PacemakerError};
use gnt_ha::sys::receipt_log::ReceiptLog;

use crate::ganeti_view::GanetiView;
use crate::paths::AgentPaths;

/// The evidence of the actions on the nodes.
#[derive(Debug)]
pub struct NodesEvidence {
    pacemaker: Result<CrmMon, PacemakerError>,
    actions: Vec<ActionRecord>,
    /// Receipts that other hosts have of their own fencings.
    received: BTreeMap<NodeName, Vec<PowerReceipt>>,
    fencing: Option<Fencing>,
    memory: Option<Memory>,
    all: Vec<NodeName>,
}

/// The evidence of one node.
struct NodeEvidence {
    member: Option<Membership>,
    fences: Vec<Fence>,
    receipts: Vec<PowerReceipt>,
    options: FencingOptions,
    first: First,
}

impl NodeEvidence {
    fn fencing_evidence(&self) -> FencingEvidence<'_> {
        FencingEvidence { fences: &self.fences, receipts: &self.receipts, options: &self.options, first: &self.first }
    }
}

impl NodesEvidence {
    /// Asks Pacemaker for its status, and reads this host's receipts, fence devices and memory.
    #[must_use]
    pub fn collect(paths: &AgentPaths, ganeti: &GanetiView, deadline: Deadline) -> Self {
        let log = ReceiptLog::new(&paths.state_dir).read().ok();
        Self {
            pacemaker: pacemaker::status(deadline),
            actions: log.map(|contents| join_entries(contents.entries, None)).unwrap_or_default(),
            received: BTreeMap::new(),
            fencing: paths.fencing(),
            memory: remembered(&paths.state_dir).ok(),
            all: ganeti.nodes.clone(),
        }
    }

    /// Asks other hosts for their receipts of `nodes`, the most important node first. Asks only a host that has fenced such a
    /// node, and only if the fence history alone proves too little.
    pub fn ask_others(&mut self, nodes: &[NodeName], paths: &AgentPaths, ganeti: &GanetiView, deadline: Deadline) {
        let ask = |host: &NodeName, about: &[NodeName]| ask(&paths.data_dir, host, about, deadline);
        self.received = self.receipts_of_others(nodes, &ganeti.here, &paths.data_dir, ask);
    }

    fn receipts_of_others<E: Display + Send>(
        &self,
        nodes: &[NodeName],
        here: &NodeName,
        data_dir: &Path,
        ask: impl Fn(&NodeName, &[NodeName]) -> Result<Receipts, E> + Sync,
    ) -> BTreeMap<NodeName, Vec<PowerReceipt>> {
        let (mut asked, mut found) = (BTreeMap::new(), BTreeMap::<NodeName, Vec<PowerReceipt>>::new());
        let mut seen = BTreeSet::from([here]);
        for node in nodes.iter().filter(|node| seen.insert(*node)) {
            let Some(known) = self.of_node(node) else { continue };
            let source = gone::source_that_proves_too_little(known.member, &known.fencing_evidence(), now().wall_ms);
            source.iter().for_each(|source| peer_receipts::add(&mut asked, node, source, here, &self.all));
        }
        // A master candidate has the file. Without the file the best grade of a receipt is unknown.
        let Some(ganeti) = files::read_config(data_dir).ok().filter(|_| !asked.is_empty()) else { return found };
        fetch(asked, ganeti.nodes(), ask, |node, host, receipts, most| {
            let Some(known) = self.of_node(&node.name) else { return };
            let taken = peer_receipts::accepted_receipts(
                &known.options,
                &known.fences,
                &known.receipts,
                (host, receipts),
                most,
                &self.all,
            );
            found.entry(node.name.clone()).or_default().extend(taken);
        });
        found
    }

    /// Returns Pacemaker's state of `node`; `None` if Pacemaker could not be asked.
    #[must_use]
    pub fn membership(&self, node: &NodeName) -> Option<Membership> {
        self.pacemaker.as_ref().ok().map(|pacemaker| pacemaker.membership(node, &self.all))
    }

    /// Returns the proof that `node` is gone, as text; `None` without a proof. The caller has tried to reach the node
    /// and could not.
    #[must_use]
    pub fn proof_that_gone(&self, node: &NodeName) -> Option<String> {
        let known = self.of_node(node)?;
        let proof = gone::proof_that_gone(known.member, &known.fencing_evidence(), now().wall_ms)?;
        Some(format!("{node} is proven {}: {}", proof.grade, proof.source))
    }

    /// Returns the evidence of a node; `None` if Pacemaker runs and does not answer, as the node may be a member.
    fn of_node(&self, node: &NodeName) -> Option<NodeEvidence> {
        let (member, fences) = match &self.pacemaker {
            Ok(pacemaker) => (Some(pacemaker.membership(node, &self.all)), pacemaker.fences_of(node, &self.all)),
            Err(PacemakerError::NotHere) => (None, Vec::new()),
            Err(_) => return None,
        };
        let of_today = |(fencing, _): (&Fencing, &Memory)| fencing.options(node, &self.all);
        let mut receipts = PowerReceipt::all_of(&self.actions, node, &self.all);
        receipts.extend(self.received.get(node).into_iter().flatten().cloned());
        Some(NodeEvidence {
            member,
            fences,
            receipts,
            // If the configuration cannot be read, neither the present devices nor the earlier ones are known.
            options: self.fencing.as_ref().zip(self.memory.as_ref()).map(of_today).unwrap_or_default(),
            first: self.memory.as_ref().map(|memory| memory.first(node)).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use gnt_ha::sys::pacemaker::cib;
    use serde_json::json;

    use super::*;

    /// n1 was fenced by n3, with a device that accepts `isolated`: the fence history alone proves no more. n3 has the
    /// receipt.
    fn evidence(dir: &Path) -> NodesEvidence {
        let ago = now().wall_ms.saturating_sub(5_000) / 1_000;
        let at =
            std::process::Command::new("date").args(["--utc", "+%F %TZ", "--date"]).arg(format!("@{ago}")).output();
        let at = String::from_utf8(at.unwrap().stdout).unwrap();
        let xml = format!(
            "<pacemaker-result api-version=\"2.25\" request=\"crm_mon\"><summary><current_dc present=\"true\" \
             with_quorum=\"true\"/><cluster_options maintenance-mode=\"false\"/></summary><nodes>\
             <node name=\"n1.lab\" online=\"false\" standby=\"false\" pending=\"false\" unclean=\"false\" shutdown=\"false\"/>\
             <node name=\"n2.lab\" online=\"true\" standby=\"false\" pending=\"false\" unclean=\"false\" shutdown=\"false\"/>\
             <node name=\"n3.lab\" online=\"true\" standby=\"false\" pending=\"false\" unclean=\"false\" shutdown=\"false\"/>\
             </nodes><fence_history status=\"0\"><fence_event status=\"success\" action=\"off\" target=\"n1.lab\" client=\"c\" \
             origin=\"n2.lab\" delegate=\"n3.lab\" completed=\"{}\"/></fence_history></pacemaker-result>",
            at.trim()
        );
        let text = "<cib><configuration><crm_config/><nodes/><resources><primitive id=\"f\" class=\"stonith\" \
                    type=\"fence_ganeti\"><instance_attributes id=\"i\"><nvpair id=\"g\" name=\"minimum_grade\" \
                    value=\"isolated\"/></instance_attributes></primitive></resources><constraints/></configuration></cib>";
        std::fs::write(dir.join("cib.xml"), text).unwrap();
        NodesEvidence {
            pacemaker: Ok(CrmMon::parse(&xml).unwrap()),
            actions: Vec::new(),
            received: BTreeMap::new(),
            fencing: Some(cib::read(&dir.join("cib.xml"), &BTreeSet::new()).unwrap().fencing),
            memory: Some(Memory::default()),
            all: ["n1.lab", "n2.lab", "n3.lab"].map(|name| NodeName::new(name).unwrap()).to_vec(),
        }
    }

    /// Writes Ganeti's configuration, where n1 has an OOB program that is not gnt-ha's.
    fn write_ganeti(dir: &Path) {
        let node = |name: &str, program: &str| json!({"name": name, "group": "g", "master_candidate": true, "ndparams": {"oob_program": program}});
        let ganeti = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}},
            "nodes": {"u1": node("n1.lab", "/x/oob"), "u2": node("n2.lab", "/x/ganeti-oob"), "u3": node("n3.lab", "/x/ganeti-oob")}});
        std::fs::write(dir.join("config.data"), ganeti.to_string()).unwrap();
    }

    /// Answers for n3, which has a receipt of n1; no other host answers.
    fn answer(host: &NodeName, about: &[NodeName]) -> Result<Receipts, String> {
        assert!(about.iter().all(|node| node.as_str() == "n1.lab"), "{about:?}");
        let receipt = json!({"n1.lab": [{"id": "a-1", "action": "off", "outcome": "done", "grade": "off", "proven_by": "bmc",
            "ended_ms": now().wall_ms - 5_000, "by_fencer": true}]});
        if host.as_str() == "n3.lab" {
            Ok(serde_json::from_value(receipt).unwrap())
        } else {
            Err("no answer".to_owned())
        }
    }

    /// Any member can fence, and its receipt is only on its own disk: the node that takes the role asks for it.
    #[test]
    fn the_receipt_of_the_host_that_fenced_proves_a_node_gone() {
        let dir = tempfile::tempdir().unwrap();
        write_ganeti(dir.path());
        let mut evidence = evidence(dir.path());
        let [n1, n2, n3] = ["n1.lab", "n2.lab", "n3.lab"].map(|name| NodeName::new(name).unwrap());
        assert_eq!(evidence.proof_that_gone(&n1), None, "its device alone proves isolated");
        let [lost, other] = [&n1, &n3].map(|node| [node.clone()]);
        assert!(evidence.receipts_of_others(&lost, &n3, dir.path(), answer).is_empty(), "n3 has its own receipts");
        assert!(evidence.receipts_of_others(&other, &n2, dir.path(), answer).is_empty(), "nothing rests on n1");
        evidence.received = evidence.receipts_of_others(&lost, &n2, dir.path(), answer);
        let proof = evidence.proof_that_gone(&n1);
        assert_eq!(proof.as_deref(), Some("n1.lab is proven off: bmc, as n3.lab reports, receipt a-1"));
        assert_eq!(evidence.proof_that_gone(&n3), None, "it is a member");
    }
}
