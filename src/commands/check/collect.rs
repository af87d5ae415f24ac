//! Collects the input of the checks: files of this host, Pacemaker, confd of the candidates, every node's devices or OOB
//! program, and the reports of the other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::error::NotInCluster;
use super::super::paths::Paths;
use super::host;
use crate::core::budget::levels::has_shun;
use crate::core::check::CheckInput;
use crate::core::check::input::CandidateState;
use crate::core::config::{Config, Resolved, SelfFenceConfig, names_to_resolve, with_levels};
use crate::core::ganeti::config::{GanetiConfig, Node};
use crate::core::ganeti::instances::owners;
use crate::core::ganeti::network::ClusterNetwork;
use crate::core::ganeti::oob::is_ours;
use crate::core::node::NodeName;
use crate::core::pacemaker::fence_score::lacking;
use crate::core::pacemaker::resources::Resources;
use crate::core::pacemaker::tree::BadCib;
use crate::power::bmc_memory;
use crate::power::query_nodes::{self, Identities, PowerStates};
use crate::service::shun::device::open;
use crate::service::survey::survey;
use crate::sys::clock::{Deadline, now};
use crate::sys::config_file;
use crate::sys::corosync::{self, COROSYNC_TIMEOUT};
use crate::sys::ganeti::confd::Confd;
use crate::sys::ganeti::files;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::oob_program::OobProgram;
use crate::sys::pacemaker::cibadmin;
use crate::sys::{identity, pacemaker, resolve};

/// The time limit for confd, which answers within 1 ms.
const CONFD_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit for resolving the names of BMCs and PDUs.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why the resources are unknown.
#[derive(Debug, thiserror::Error)]
enum ResourcesError {
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("cannot use {}: {error}", path.display())]
    Bad { path: PathBuf, error: BadCib },
}

/// Collects the whole input. With `devices`, also asks the nodes' OOB programs.
pub(super) fn collect(paths: &Paths, config: &Path, devices: bool, time: Duration) -> Result<CheckInput, NotInCluster> {
    let deadline = Deadline::after(time);
    if !paths.cib.exists() && !paths.data_dir.join("ssconf_node_list").exists() {
        return Err(NotInCluster { ganeti: paths.data_dir.join("ssconf_node_list"), pacemaker: paths.cib.clone() });
    }
    let ganeti = files::read_config(&paths.data_dir).map_err(|error| error.to_string());
    let ssconf = Ssconf::new(&paths.data_dir);
    let programs = ganeti.as_ref().map(programs).unwrap_or_default();
    let ours = programs.keys().find(|path| is_ours(path)).cloned();
    let loaded = ours.as_ref().map(|_| config_file::load(config).map_err(|error| error.to_string()));
    // With a wrong configuration no device answers, and each would be found as well.
    let valid = loaded.as_ref().and_then(|loaded| loaded.as_ref().ok());
    let bmc_memory = valid.map(|config| bmc_memory::read(&config.state)).unwrap_or_default();
    let asked_power = match &ganeti {
        Ok(ganeti) if devices => power(ganeti, valid, deadline),
        _ => PowerStates::default(),
    };
    let resolved = match (&ganeti, &loaded) {
        (Ok(ganeti), Some(Ok(config))) => {
            let names = names_to_resolve(&with_levels(ganeti, config), None);
            resolve::addresses(&names, deadline.at_most(RESOLVE_TIMEOUT))
        }
        _ => Resolved::new(),
    };
    let self_fence = match &loaded {
        Some(Ok(config)) => config.self_fence.clone(),
        _ => SelfFenceConfig::default(),
    };
    let shuns = ganeti.as_ref().is_ok_and(|ganeti| valid.is_some_and(|config| may_shun(ganeti, config)));
    let quorum = corosync::quorum(deadline.at_most(COROSYNC_TIMEOUT)).map_err(|error| error.to_string());
    let device = quorum.as_ref().ok().and_then(|quorum| quorum.device.as_ref()?.host.clone());
    let device_addresses = resolve::addresses(&device.into_iter().collect(), deadline.at_most(RESOLVE_TIMEOUT));
    let asked = ours.zip(valid).filter(|_| devices).map(|(_, loaded)| {
        survey(loaded, config, Path::new(files::DATA_DIR), deadline.at_most(loaded.deadline))
            .map_err(|error| error.to_string())
    });
    let node = identity::node_among(ganeti.iter().flat_map(GanetiConfig::nodes).map(|node| &node.name));
    Ok(CheckInput {
        resources: resources(&paths.cib).map_err(|error| error.to_string()),
        pacemaker: pacemaker::status(deadline).map_err(|error| error.to_string()),
        // The file does not contain what each node has reported, so `cibadmin` is asked. If Pacemaker does not answer,
        // another finding reports that.
        lacking: cibadmin::query(deadline).map(|cib| lacking(&cib)).unwrap_or_default(),
        quorum,
        device_addresses: device_addresses.into_values().flatten().collect(),
        owners: files::read_config_text(&paths.data_dir).ok().and_then(|text| owners(&text).ok()).unwrap_or_default(),
        tags: ssconf.cluster_tags().unwrap_or_default(),
        coverage: files::read_coverage(&paths.data_dir, now().wall_ms / 1_000),
        candidates: candidates(paths, &ssconf, deadline),
        config: loaded,
        resolved,
        survey: asked,
        programs,
        power: asked_power.nodes,
        devices: asked_power.devices,
        bmc_memory,
        host: host::collect(paths, node, &self_fence, shuns),
        not_isolated: not_isolated(paths, ganeti.as_ref().ok()),
        ganeti,
    })
}

/// Returns whether a fencing may shun a node, by a level or after its power-off.
fn may_shun(ganeti: &GanetiConfig, config: &Config) -> bool {
    config.shun.after_off || with_levels(ganeti, config).iter().any(|(_, levels)| levels.iter().any(has_shun))
}

/// Returns the nodes that shunning does not isolate, with the reason, from the disks in Ganeti's configuration.
fn not_isolated(paths: &Paths, ganeti: Option<&GanetiConfig>) -> BTreeMap<NodeName, String> {
    let Some((ganeti, network)) =
        ganeti.zip(files::read_config_text(&paths.data_dir).ok().and_then(|text| ClusterNetwork::parse(&text).ok()))
    else {
        return BTreeMap::new();
    };
    let why = |node: &Node| Some((node.name.clone(), network.isolation_objection(&node.name)?));
    ganeti.nodes().iter().filter_map(why).collect()
}

/// Asks for the power of every online node.
fn power(ganeti: &GanetiConfig, config: Option<&Config>, deadline: Deadline) -> PowerStates {
    // A device that hangs must leave time for what is asked after the devices: without time nothing is asked, and each
    // of that would be a finding.
    let by = deadline.at_most(deadline.left() * 3 / 4);
    query_nodes::power_states(query_nodes::programs(ganeti, false), config, Identities::Collected, by, open)
}

fn resources(cib: &Path) -> Result<Resources, ResourcesError> {
    let path = || cib.to_owned();
    let text = std::fs::read_to_string(cib).map_err(|error| ResourcesError::Unreadable { path: path(), error })?;
    Resources::parse(&text).map_err(|error| ResourcesError::Bad { path: path(), error })
}

/// Returns each OOB program with the reason why it cannot be run, if there is one.
fn programs(ganeti: &GanetiConfig) -> BTreeMap<PathBuf, Option<String>> {
    let all: BTreeSet<&PathBuf> = ganeti.nodes().iter().filter_map(|node| node.oob_program.as_ref()).collect();
    all.into_iter().map(|path| (path.clone(), OobProgram::find(path).err().map(|error| error.to_string()))).collect()
}

fn candidates(paths: &Paths, ssconf: &Ssconf, deadline: Deadline) -> BTreeMap<NodeName, CandidateState> {
    let names = ssconf.names("master_candidates").unwrap_or_default();
    let offline = ssconf.names("offline_nodes").unwrap_or_default();
    let addresses = ssconf.name_addresses("node_primary_ips").unwrap_or_default();
    let mut asked: BTreeMap<NodeName, CandidateState> = addresses
        .into_iter()
        .filter(|(name, _)| names.contains(name) && !offline.contains(name))
        .map(|(name, address)| (name, CandidateState { address, master: None }))
        .collect();
    let peers: Vec<_> = asked.values().map(|candidate| candidate.address).collect();
    let answers = Confd::new(&paths.data_dir).and_then(|confd| confd.masters(&peers, deadline.at_most(CONFD_TIMEOUT)));
    for answer in answers.unwrap_or_default() {
        for candidate in asked.values_mut().filter(|candidate| candidate.address == answer.from) {
            candidate.master = Some((answer.master.clone(), answer.serial));
        }
    }
    asked
}
