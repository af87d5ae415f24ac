//! `gnt-ha hook`: called by the scripts in Ganeti's directory of hooks. Updates Pacemaker and the shun list, and may
//! start a detached process.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::paths::Paths;
use super::{check, setup};
use crate::core::check::Severity;
use crate::core::config::Config;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::tags::{OfflineByHand, Tags};
use crate::core::hook::{Hook, HookEvent, HookInput, HookPlan, HookStep, fencing_objection, plan};
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::{Pairs, Resources};
use crate::core::pacemaker::standby::own;
use crate::core::reconcile::{BlockReason, Decision, Fence, FenceStatus};
use crate::core::recovery::guard::{GuardError, LockedInstance};
use crate::core::recovery::role_job;
use crate::core::setup::is_in_use;
use crate::core::shun::list::ShunScope;
use crate::core::shun::readiness::may_serve;
use crate::service::reconciler::run::{ReconcileError, Reconciler};
use crate::service::self_fence::daemon::promise;
use crate::service::self_fence::state as self_fence;
use crate::service::shun::applier::{self, ShunApplier};
use crate::service::shun::manual::shun_by_hand;
use crate::service::shun::sync::sync;
use crate::sys::clock::{Deadline, now};
use crate::sys::config_file::{self, ConfigFileError};
use crate::sys::corosync::{self, COROSYNC_TIMEOUT};
use crate::sys::ganeti::files;
use crate::sys::ganeti::luxi::{self, Luxi};
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::log::warn_system;
use crate::sys::pacemaker::fence::FencingRequest;
use crate::sys::pacemaker::{self, PacemakerError, cib, standby};
use crate::sys::{detached, identity};

/// The time limit for each step of a hook for which a job of Ganeti's waits.
const STEP_TIMEOUT: Duration = Duration::from_secs(8);

/// The time limit for changes that are tried on a copy first, with every host's death.
const UPDATE_SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// The time limit of a fencing (`stonith_admin --timeout`); `STONITH_ADMIN_TIMEOUT` is the limit for the tool itself.
const FENCING_TIMEOUT: Duration = Duration::from_secs(120);
const STONITH_ADMIN_TIMEOUT: Duration = Duration::from_secs(150);

/// The time in ms after a fencing during which Pacemaker may still show the node running.
const JUST_NOW_MS: u64 = 30_000;

/// The time limit for a new master to accept jobs and to be seen by Pacemaker.
const TAKE_OVER: Duration = Duration::from_secs(60);

/// The time limit for one attempt; `RECONCILE_PAUSE` is the interval between two.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(8);
const RECONCILE_PAUSE: Duration = Duration::from_secs(3);

/// The command line of `hook`, which Ganeti's hook script builds.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What a hook has put off, as it must not hold Ganeti up
    #[arg(hide = true, value_name = "STEP")]
    later: Vec<HookStep>,

    #[command(flatten)]
    paths: Paths,
}

/// Does the steps for an event of Ganeti's. Returns whether `gnt-cluster verify` is to show what was printed.
///
/// # Errors
/// [`CommandError`], for failed steps [`CommandError::Steps`]. It also goes to the system's log, as Ganeti does not show
/// the output of every hook.
pub fn run(arguments: &Arguments, config_path: &Path) -> Result<bool, CommandError> {
    let done = if arguments.later.is_empty() {
        hook(&arguments.paths, config_path)
    } else {
        detached::settle();
        do_all(&arguments.later, &arguments.paths, config_path).and_then(|all| nothing_failed(all.failed, all.is_well))
    };
    if let Err(error) = &done {
        warn_system("gnt-ha", &format!("hook: {error}"));
    }
    done
}

fn hook(paths: &Paths, config_path: &Path) -> Result<bool, CommandError> {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(event) = HookEvent::read(variable) else { return Ok(true) };
    if matches!(event.hook, Hook::Instance | Hook::InstanceModify) {
        if let Some(locked) = LockedInstance::read(variable).filter(|_| event.is_pre) {
            let master = variable("GANETI_MASTER").and_then(|name| NodeName::new(&name).ok());
            guard_start(&locked, master, paths)?;
        }
        if event.hook == Hook::Instance {
            instance(&event, paths, config_path)?;
        }
        return Ok(true);
    }
    let collected = collect(&event, paths, config_path);
    let Some(state) = (match collected {
        // Input that is unknown is not a reason to stop Ganeti's job.
        Err(_) if event.is_pre => return Ok(true),
        collected => collected?,
    }) else {
        return Ok(true);
    };
    let HookPlan { now: at_once, later, remarks } = plan(&event, &state)?;
    let Done { mut failed, is_well } = do_all(&at_once, paths, config_path)?;
    failed.extend(remarks.into_iter().map(CommandError::Remark));
    if !later.is_empty() {
        let config = config_path.display().to_string();
        let mut words = vec!["--config".to_owned(), config, "hook".to_owned()];
        words.extend(later.iter().map(ToString::to_string));
        let started = detached::start(&words);
        let not_started = |error| CommandError::StepsNotStarted { steps: words[3..].join(" "), error };
        failed.extend(started.err().map(not_started));
    }
    nothing_failed(failed, is_well)
}

/// Handles the start of an instance; an error stops Ganeti's job.
fn instance(event: &HookEvent, paths: &Paths, config_path: &Path) -> Result<(), CommandError> {
    let names = Ssconf::new(&paths.data_dir).names("node_list").unwrap_or_default();
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
    Err(CommandError::InstanceTooEarly { here, left_s: promise.saturating_sub(boot.uptime).as_secs() })
}

/// Stops a start of gnt-ha's whose reason is gone: its plan is older than the lock that Ganeti holds now. Other jobs
/// pass, and so does every job on a host that is not the master, or while no start of gnt-ha's can be under way.
/// `master` is Ganeti's master as Ganeti gives it to the hook; the file with its name may be old.
fn guard_start(locked: &LockedInstance, master: Option<NodeName>, paths: &Paths) -> Result<(), CommandError> {
    let ssconf = Ssconf::new(&paths.data_dir);
    let here = identity::node_among(&ssconf.names("node_list").unwrap_or_default());
    let master = master.or_else(|| ssconf.master().ok().flatten());
    let luxi = Path::new(files::LUXI_SOCKET);
    // Without a usable list of the nodes, the host with luxid's socket is the master.
    if here.as_ref().map_or_else(|| !luxi.exists(), |here| master.as_ref() != Some(here)) {
        return Ok(());
    }
    let reconciler = paths.reconciler();
    if !locked.is_to_check(reconciler.starts_known()) {
        return Ok(());
    }
    let unknown = |error| CommandError::StarterUnknown { instance: locked.name.clone(), error: Box::new(error) };
    let asked = Luxi::connect(luxi, Deadline::after(STEP_TIMEOUT))
        .and_then(|mut luxi| luxi.query_large(&LockedInstance::query()));
    let answer = asked.map_err(|error| unknown(error.into()))?;
    if !locked.may_be_own(&answer).map_err(|error| unknown(error.into()))? {
        return Ok(());
    }
    let ganeti = files::read_config(&paths.data_dir).map_err(|error| unknown(error.into()))?;
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

fn nothing_failed(failed: Vec<CommandError>, is_well: bool) -> Result<bool, CommandError> {
    if failed.is_empty() { Ok(is_well) } else { Err(CommandError::Steps(failed)) }
}

/// Collects only the input that the event needs; `None` on a host that is not a node of Ganeti's.
fn collect(event: &HookEvent, paths: &Paths, config_path: &Path) -> Result<Option<HookInput>, CommandError> {
    let ssconf = Ssconf::new(&paths.data_dir);
    let names = ssconf.names("node_list").unwrap_or_default();
    let Some(here) = identity::node_among(&names) else { return Ok(None) };
    let is_master = ssconf.master().ok().flatten().as_ref() == Some(&here)
        // The watcher runs this hook on every host. After a crash, a former master still is the master by its own
        // files.
        && (event.hook != Hook::Watcher || luxi::serves(&here, Deadline::after(RECONCILE_TIMEOUT)));
    if !is_master && !event.is_pre && !matches!(event.hook, Hook::Watcher | Hook::MasterIpTurnup) {
        return Ok(None);
    }
    let resources = cib::resources(&paths.cib)?;
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
        let ganeti = files::read_config(&paths.data_dir)?;
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
        state.is_our_record = target.is_some_and(|node| paths.reconciler().is_recording(node).unwrap_or(false));
        state.seen = pacemaker::status(Deadline::after(STEP_TIMEOUT)).ok();
        state.quorum = corosync::quorum(Deadline::after(COROSYNC_TIMEOUT)).ok();
    }
    Ok(Some(state))
}

fn of_ours(resources: &Resources) -> BTreeSet<PacemakerName> {
    let marked = resources.attributes.iter().filter(|(_, attributes)| own(attributes).mark);
    marked.map(|(node, _)| node.clone()).collect()
}

/// The result of the steps.
struct Done {
    failed: Vec<CommandError>,
    is_well: bool,
}

/// Does all steps one after the other; a step that fails does not stop the others.
fn do_all(steps: &[HookStep], paths: &Paths, config_path: &Path) -> Result<Done, CommandError> {
    let config = config_file::load_or_default(config_path)?;
    let mut done = Done { failed: Vec::new(), is_well: true };
    for step in steps {
        match one(step, paths, config_path, &config) {
            Ok(is_well) => done.is_well &= is_well,
            Err(error) => done.failed.push(error),
        }
    }
    Ok(done)
}

fn one(step: &HookStep, paths: &Paths, config_path: &Path, config: &Config) -> Result<bool, CommandError> {
    let soon = Deadline::after(STEP_TIMEOUT);
    match step {
        HookStep::Check => {
            let found = check::run(&check::Arguments::plain(paths.clone()), config_path)?;
            // Ganeti prints the output of a hook only if the hook fails, and a warning is not a failure.
            return Ok(found < Severity::Error);
        }
        HookStep::ApplyRules => {
            ShunApplier::new(config, &paths.data_dir)?.apply(soon)?;
        }
        HookStep::Sync => {
            let synced = sync(config, &paths.data_dir, soon.at_most(config.deadline))?;
            if let Some(failure) = synced.failure() {
                // Ganeti prints the output of a hook only if the hook fails: then the notes belong to the reason.
                return Err(CommandError::Sync { failure, notes: synced.notes });
            }
        }
        HookStep::Shun(node) => {
            let (reason, until) = ("recorded offline in Ganeti", soon.at_most(config.deadline));
            shun_by_hand(config, &paths.data_dir, node, reason, ShunScope::Tcp, until)?;
        }
        HookStep::UpdateSetup => drop(setup::update(paths, false, Deadline::after(UPDATE_SETUP_TIMEOUT))?),
        HookStep::Standby(node) => {
            let (name, _) = in_pacemaker(node, paths)?;
            standby::set(&name, soon).map_err(|error| CommandError::NotOnStandby {
                node: node.clone(),
                name,
                error,
            })?;
        }
        HookStep::ClearStandby(node) => release(node, paths, soon)?,
        HookStep::Fence(node) => fence(node, paths)
            .map_err(|error| CommandError::NotFenced { node: node.clone(), error: Box::new(error) })?,
        HookStep::Reconcile => record(paths)?,
    }
    Ok(true)
}

fn release(node: &NodeName, paths: &Paths, deadline: Deadline) -> Result<(), CommandError> {
    let (name, attributes) = in_pacemaker(node, paths)?;
    let ended = standby::end(&name, own(&attributes), deadline);
    ended.map_err(|error| CommandError::StillOnStandby { node: node.clone(), name, error })
}

/// Returns the name of one of Ganeti's nodes in Pacemaker, and its permanent attributes there.
fn in_pacemaker(node: &NodeName, paths: &Paths) -> Result<(PacemakerName, Pairs), CommandError> {
    let find = || -> Result<_, CommandError> {
        let resources = cib::resources(&paths.cib)?.unwrap_or_default();
        let all = files::read_config(&paths.data_dir)?.names();
        let name = resources.called(node, &all)?;
        Ok((name.clone(), resources.attributes.get(name).cloned().unwrap_or_default()))
    };
    find().map_err(|error| CommandError::PacemakerNotNotified { node: node.clone(), error: Box::new(error) })
}

/// Fences the node, unless the conditions of the plan no longer hold. The error follows the node's name.
fn fence(node: &NodeName, paths: &Paths) -> Result<(), CommandError> {
    let ganeti = files::read_config(&paths.data_dir)?;
    if !ganeti.find(node).is_ok_and(|found| found.offline) {
        return Err(CommandError::OnlineAgain);
    }
    let seen = pacemaker::status(Deadline::after(STEP_TIMEOUT))?;
    let all = ganeti.names();
    let name = seen.called(node, &all)?;
    if !seen.of(name).is_member() {
        return Ok(());
    }
    // One fencing suffices, also while the membership does not show it yet.
    let just_now = now().wall_ms.saturating_sub(JUST_NOW_MS);
    let is_under_way = |fence: &Fence| match fence.status {
        FenceStatus::Pending => true,
        FenceStatus::Success => fence.completed_ms.is_some_and(|at| at > just_now),
        FenceStatus::Failed => false,
    };
    if seen.fences_of(node, &all).iter().any(is_under_way) {
        return Ok(());
    }
    let by_hand = |error| CommandError::FenceByHand { name: name.clone(), error: Box::new(error) };
    // A remote node has no corosync node id.
    let id = cib::resources(&paths.cib).ok().flatten().and_then(|resources| resources.ids.get(name).copied());
    let votes = id.and_then(|id| Some(corosync::quorum(Deadline::after(COROSYNC_TIMEOUT)).ok()?.without(&[id])));
    if let Some(why) = fencing_objection(name, &seen, votes) {
        return Err(by_hand(CommandError::Objection(why)));
    }
    pacemaker::fence::fence(name, FencingRequest::Off, FENCING_TIMEOUT, Deadline::after(STONITH_ADMIN_TIMEOUT))
        .map_err(|error| by_hand(error.into()))
}

/// Reconciles the record, once the new master accepts jobs and Pacemaker's next monitor has seen its role. The monitors
/// of the master do the rest.
fn record(paths: &Paths) -> Result<(), CommandError> {
    let deadline = Deadline::after(TAKE_OVER);
    let reconciler = paths.reconciler();
    loop {
        match try_to_record(&reconciler, deadline) {
            Ok(true) => return Ok(()),
            Ok(false) if deadline.passed() => return Ok(()),
            Err(error) if deadline.passed() => return Err(CommandError::NothingRecorded(Box::new(error))),
            _ => deadline.sleep(RECONCILE_PAUSE),
        }
    }
}

/// Reconciles once. Returns whether Pacemaker has seen the role of this host, or does not run here.
fn try_to_record(reconciler: &Reconciler, deadline: Deadline) -> Result<bool, CommandError> {
    Luxi::connect(&reconciler.luxi, deadline.at_most(RECONCILE_TIMEOUT))?;
    let plan = match reconciler.run(deadline.at_most(RECONCILE_TIMEOUT)) {
        Err(ReconcileError::Pacemaker(PacemakerError::NotHere)) => return Ok(true),
        run => run?.0,
    };
    let is_elsewhere = |decision: &Decision| matches!(decision, Decision::Blocked(BlockReason::MasterElsewhere { .. }));
    Ok(!plan.decisions.iter().any(|entry| is_elsewhere(&entry.decision)))
}
