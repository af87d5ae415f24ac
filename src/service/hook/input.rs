//! Collects the state of this host for the event of a hook.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::error::HookError;
use super::limits::STEP_TIMEOUT;
use crate::core::ganeti::tags::{OfflineByHand, Tags};
use crate::core::hook::{Hook, HookEvent, HookInput};
use crate::core::node;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Resources;
use crate::core::pacemaker::standby::own;
use crate::core::setup::is_in_use;
use crate::service::reconciler::run::Reconciler;
use crate::service::shun::applier;
use crate::sys::clock::Deadline;
use crate::sys::config_file;
use crate::sys::corosync::{self, COROSYNC_TIMEOUT};
use crate::sys::ganeti::files;
use crate::sys::ganeti::luxi;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::identity;
use crate::sys::pacemaker::{self, cib};

/// The time limit for luxid to show that this host serves as the master.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(8);

/// Collects only the input that the event needs; `None` on a host that is not a node of Ganeti's.
pub(super) fn collect(
    event: &HookEvent,
    reconciler: &Reconciler,
    config_path: &Path,
) -> Result<Option<HookInput>, HookError> {
    let ssconf = Ssconf::new(&reconciler.data_dir);
    let names = ssconf.names("node_list").unwrap_or_default();
    let Some(here) = identity::node_among(&names) else { return Ok(None) };
    let is_master = ssconf.master().ok().flatten().as_ref() == Some(&here)
        // The watcher runs this hook on every host. After a crash, a former master still is the master by its own
        // files.
        && (event.hook != Hook::Watcher || luxi::serves(&here, Deadline::after(RECONCILE_TIMEOUT)));
    if !is_master && !event.is_pre && !matches!(event.hook, Hook::Watcher | Hook::MasterIpTurnup) {
        return Ok(None);
    }
    let resources = cib::resources(&reconciler.cib)?;
    let in_use = resources.as_ref().is_some_and(is_in_use);
    let config = config_file::load_or_default(config_path)?;
    let shun_list = applier::shun_list(&config.state)?;
    let mut state = HookInput {
        here,
        is_master,
        in_use,
        shuns: !shun_list.0.is_empty(),
        may_shun: config.shun.after_off,
        runs: resources.is_some() && pacemaker::started_ms().is_some(),
        offline: BTreeSet::new(),
        nodes: names.into_iter().collect(),
        shunned: shun_list.shunned().map(|(node, _)| node.clone()).collect(),
        readmitted: shun_list
            .0
            .iter()
            .filter(|(_, entry)| !entry.epoch.is_shunned())
            .map(|(node, _)| node.clone())
            .collect(),
        standby: resources.as_ref().map(of_ours).unwrap_or_default(),
        is_our_record: false,
        wanted: resources.as_ref().map(Resources::wanted_remotes).unwrap_or_default(),
        seen: None,
        quorum: None,
        ids: resources.as_ref().map(|resources| resources.ids.clone()).unwrap_or_default(),
        by_hand: OfflineByHand::default(),
    };
    // Only this host's own copy is current at once; the copies of other hosts follow later.
    if is_master || event.hook == Hook::MasterIpTurnup {
        let ganeti = files::read_config(&reconciler.data_dir)?;
        state.nodes = ganeti.nodes().iter().map(|node| node.name.clone()).collect();
        state.offline = ganeti.nodes().iter().filter(|node| node.offline).map(|node| node.name.clone()).collect();
    }
    let by_hand = event.hook == Hook::NodeModify && event.offline == Some(true);
    if by_hand && state.is_master && state.in_use {
        let tags = ssconf.cluster_tags().unwrap_or_default();
        state.by_hand = Tags::read(tags.iter().map(String::as_str)).by_hand;
        let among = if event.is_pre { &state.nodes } else { &state.offline };
        let target = event.target.as_ref().and_then(|target| node::find(target, among).ok());
        // If the state cannot be read, the change counts as an administrator's: one change too many in Pacemaker is
        // better than one too few.
        state.is_our_record = target.is_some_and(|node| reconciler.is_recording(node).unwrap_or(false));
        state.seen = pacemaker::status(Deadline::after(STEP_TIMEOUT)).ok();
        state.quorum = corosync::quorum(Deadline::after(COROSYNC_TIMEOUT)).ok();
    }
    Ok(Some(state))
}

fn of_ours(resources: &Resources) -> BTreeSet<PacemakerName> {
    let marked = resources.attributes.iter().filter(|(_, attributes)| own(attributes).mark);
    marked.map(|(node, _)| node.clone()).collect()
}
