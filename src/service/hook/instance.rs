//! Checks an operation on an instance before Ganeti carries it out.

use std::path::Path;

use super::error::HookError;
use super::limits::STEP_TIMEOUT;
use crate::core::config::Config;
use crate::core::ganeti::config::Node;
use crate::core::hook::HookEvent;
use crate::core::node::NodeName;
use crate::core::recovery::guard::{GuardError, LockedInstance};
use crate::core::recovery::role_job;
use crate::core::shun::readiness::may_serve;
use crate::service::reconciler::run::Reconciler;
use crate::service::self_fence::daemon::promise;
use crate::service::self_fence::state as self_fence;
use crate::sys::clock::Deadline;
use crate::sys::config_file::{self, ConfigFileError};
use crate::sys::ganeti::files;
use crate::sys::ganeti::luxi::Luxi;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::identity;

/// Stops the start of an instance on this host while other nodes may rely on its self-fencing, which is not armed.
pub(super) fn check_promise(event: &HookEvent, data_dir: &Path, config_path: &Path) -> Result<(), HookError> {
    let names = Ssconf::new(data_dir).names("node_list").unwrap_or_default();
    let Some(here) = identity::node_among(&names).filter(|here| event.is_pre && event.is_to_run_on(here)) else {
        return Ok(());
    };
    // A configuration that cannot be used is reported elsewhere. It does not stop a host that never armed self-fencing.
    let config = config_file::load_or_default(config_path);
    let config = config.or_else(|_| Config::parse("", config_path).map_err(ConfigFileError::from))?;
    let (boot, promise) = (self_fence::boot(&config.state, &config.run), promise(config.self_fence.lease_times()));
    if !boot.is_wanted {
        self_fence::forget_promise(&config.state, promise);
    }
    if may_serve(boot, promise) {
        return Ok(());
    }
    Err(HookError::InstanceTooEarly { here, left_s: promise.saturating_sub(boot.uptime).as_secs() })
}

/// Stops a start of gnt-ha's whose reason is gone: its plan is older than the lock that Ganeti holds now. Other jobs
/// pass, and so does every job on a host that is not the master, or while no start of gnt-ha's can be under way.
/// `master` is Ganeti's master as Ganeti gives it to the hook; the file with its name may be old.
pub(super) fn check_start(
    locked: &LockedInstance,
    master: Option<NodeName>,
    reconciler: &Reconciler,
) -> Result<(), HookError> {
    let ssconf = Ssconf::new(&reconciler.data_dir);
    let here = identity::node_among(&ssconf.names("node_list").unwrap_or_default());
    let master = master.or_else(|| ssconf.master().ok().flatten());
    let luxi = reconciler.luxi.as_path();
    // Without a usable list of the nodes, the host with luxid's socket is the master.
    if here.as_ref().map_or_else(|| !luxi.exists(), |here| master.as_ref() != Some(here)) {
        return Ok(());
    }
    if !locked.is_to_check(reconciler.starts_known()) {
        return Ok(());
    }
    let unknown = |error| HookError::StarterUnknown { instance: locked.name.clone(), error: Box::new(error) };
    let asked = Luxi::connect(luxi, Deadline::after(STEP_TIMEOUT))
        .and_then(|mut luxi| luxi.query_large(&LockedInstance::query()));
    let answer = asked.map_err(|error| unknown(error.into()))?;
    if !locked.may_be_own(&answer).map_err(|error| unknown(error.into()))? {
        return Ok(());
    }
    let ganeti = files::read_config(&reconciler.data_dir).map_err(|error| unknown(error.into()))?;
    let version = |node: &Node| (node.name.clone(), ganeti.notes(&node.name).version);
    let offline = ganeti.nodes().iter().filter(|node| node.offline).map(version).collect();
    let checked = locked.check(&answer, &offline, reconciler.start_block()).map_err(|error| unknown(error.into()))?;
    let Err(GuardError::OnlineSince { off, .. }) = &checked else { return Ok(checked?) };
    // Its record may have changed in other ways: the queue shows that.
    let asked =
        Luxi::connect(luxi, Deadline::after(STEP_TIMEOUT)).and_then(|mut luxi| luxi.query_large(&role_job::query()));
    let answer = asked.map_err(|error| unknown(error.into()))?;
    let uuid = |node: &Node| (node.name.clone(), ganeti.notes(&node.name).version.map(|version| version.uuid));
    let nodes = ganeti.nodes().iter().map(uuid).collect();
    if role_job::recorded_by_us(&answer, &nodes, role_job::COLUMNS).contains(off) { Ok(()) } else { Ok(checked?) }
}
