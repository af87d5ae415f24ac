//! What proves that a node is gone: our receipts, and Pacemaker's fence history. Asked for once in a take-over.

use gnt_ha::core::history::{Story, stories};
use gnt_ha::core::node::NodeName;
use gnt_ha::core::pacemaker::crm_mon::CrmMon;
use gnt_ha::core::pacemaker::fencing::Fencing;
use gnt_ha::core::reconcile::{Membership, Memory, Removal, Written};
use gnt_ha::core::roles::gone;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::ledger::Ledger;
use gnt_ha::sys::pacemaker::{self, PacemakerError};
use gnt_ha::sys::record::recorder::remembered;

use crate::site::{Place, Site};

/// What is known of what was done to nodes.
#[derive(Debug)]
pub struct Evidence {
    pacemaker: Result<CrmMon, PacemakerError>,
    stories: Vec<Story>,
    fencing: Option<Fencing>,
    memory: Option<Memory>,
    all: Vec<NodeName>,
}

impl Evidence {
    /// Asks Pacemaker, and reads this host's receipts.
    #[must_use]
    pub fn gather(place: &Place, site: &Site, deadline: Deadline) -> Self {
        let ledger = Ledger::new(&place.state_dir).read().ok();
        Self {
            pacemaker: pacemaker::status(deadline),
            stories: ledger.map(|contents| stories(contents.entries, None)).unwrap_or_default(),
            fencing: place.fencing(),
            memory: remembered(&place.state_dir).ok(),
            all: site.nodes.clone(),
        }
    }

    /// How Pacemaker sees `node`; none if it could not be asked.
    #[must_use]
    pub fn membership(&self, node: &NodeName) -> Option<Membership> {
        self.pacemaker.as_ref().ok().map(|pacemaker| pacemaker.membership(node, &self.all))
    }

    /// What proves that `node` is gone, in words; `None` without a proof. Whoever asks has tried to reach it and could not.
    #[must_use]
    pub fn proof_that_gone(&self, node: &NodeName) -> Option<String> {
        let (member, fences) = match &self.pacemaker {
            Ok(pacemaker) => (Some(pacemaker.membership(node, &self.all)), pacemaker.fences_of(node, &self.all)),
            Err(PacemakerError::NotHere) => (None, Vec::new()),
            // It runs and does not answer: the node may be a member.
            Err(_) => return None,
        };
        let of_today = |(fencing, _): (&Fencing, &Memory)| fencing.ways(node, &self.all);
        let written = Written {
            fences: &fences,
            receipts: &Removal::all_of(&self.stories, node, &self.all),
            // Of a configuration that cannot be read nothing is known of the devices, nor of those there were before.
            ways: &self.fencing.as_ref().zip(self.memory.as_ref()).map(of_today).unwrap_or_default(),
            first: &self.memory.as_ref().map(|memory| memory.first(node)).unwrap_or_default(),
        };
        let proof = gone::proof_that_gone(member, &written, now().wall_ms)?;
        Some(format!("{node} is proven {}: {}", proof.grade, proof.word))
    }
}
