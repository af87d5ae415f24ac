//! Plans the changes that the whole configuration of gnt-ha needs, with the answers of the nodes that would become
//! remote nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::apply::apply;
use super::clusters::Clusters;
use super::error::SetupError;
use crate::core::budget::{self, AdvertisedTimes, Figures, TimeBudget};
use crate::core::config::{Config, DIGEST_PROPERTY, Digest, FULL_MEMBERS_MOST, names_to_resolve, shared, with_levels};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::pacemaker::resources::Resources;
use crate::core::setup::{
    PORT, Part, RemoteChecks, SetupOptions, full_members, other_key, plan_reached, planned, to_connect,
};
use crate::service::shun::order_error::OrderError;
use crate::service::shun::peer_reports;
use crate::service::survey::survey;
use crate::sys::clock::Deadline;
use crate::sys::config_file::{self, ConfigFileError};
use crate::sys::corosync::{self, COROSYNC_TIMEOUT};
use crate::sys::ganeti::files;
use crate::sys::identity;
use crate::sys::remote_key;
use crate::sys::resolve;

/// The time limit for a future remote node to accept a connection and the key.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The time limit for the full members to report their key for remote nodes.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(20);

/// The time limit for resolving the names of BMCs and PDUs.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What an administrator wants of the setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupRequest {
    /// The master role as one resource, not as a promotable clone.
    pub primitive: bool,
    /// Each node's health decides where Pacemaker's other resources run.
    pub health: bool,
    /// The changes are to be made: then the configuration of gnt-ha must exist.
    pub apply: bool,
}

/// The changes that Pacemaker and Ganeti need, and what prevents them.
#[derive(Debug)]
pub struct SetupPlan {
    /// All parts of the configuration, each with its state.
    pub parts: Vec<Part>,
    /// The time budgets that do not fit: nothing may be changed.
    pub shortfalls: Vec<TimeBudget>,
    /// The line for the digest of the configuration, if this host does not change it although it differs.
    pub left_out: Option<String>,
    clusters: Clusters,
    options: SetupOptions,
    reached: RemoteChecks,
}

impl SetupPlan {
    /// Makes the plan; changes nothing. Asks the nodes that would become remote nodes for a connection. `path` is the
    /// path of gnt-ha's configuration.
    ///
    /// # Errors
    /// [`SetupError`] if an input that decides cannot be read, or if two nodes have devices of one machine.
    pub fn make(clusters: Clusters, request: SetupRequest, path: &Path) -> Result<Self, SetupError> {
        let Clusters { ganeti, is_master, resources, deadline, .. } = &clusters;
        let (is_master, deadline) = (*is_master, *deadline);
        let members = config_file::load_or_default(path).map_or(FULL_MEMBERS_MOST, |config| config.members);
        let quorum = corosync::quorum(deadline.at_most(COROSYNC_TIMEOUT));
        let has_device = match quorum {
            Ok(quorum) => quorum.device.is_some(),
            // With more than two full members the quorum device makes no difference.
            Err(error) if full_members(resources, ganeti, members) == 2 => return Err(SetupError::Votes(error)),
            Err(_) => false,
        };
        if request.apply && is_read(ganeti) && !path.exists() {
            return Err(SetupError::NoConfig(path.to_owned()));
        }
        let config = usable(ganeti, path)?;
        let here = config.as_ref().map(Config::digest);
        let left_out = here.filter(|_| !is_master).and_then(|here| left_out(ganeti, resources, here));
        let SetupRequest { primitive, health, .. } = request;
        let options = SetupOptions { primitive, health, has_device, members, digest: here.filter(|_| is_master) };
        let reached = reached(&clusters, members, path);
        let parts = plan_reached(resources, ganeti, options, Some(&reached));
        let shortfalls = shortfalls(&planned(resources, &parts), ganeti, config.as_ref());
        Ok(Self { parts, shortfalls, left_out, clusters, options, reached })
    }

    /// Returns the number of parts that are to be changed.
    #[must_use]
    pub fn open_parts(&self) -> usize {
        self.parts.iter().filter(|part| part.state.is_open()).count()
    }

    /// Returns whether an administrator has to change a part by hand.
    #[must_use]
    pub fn needs_hand(&self) -> bool {
        self.parts.iter().any(|part| part.state.is_by_hand())
    }

    /// Makes the changes, after a trial on a copy.
    ///
    /// # Errors
    /// [`SetupError`]; its text states what was changed before.
    pub fn apply(&self) -> Result<(), SetupError> {
        let Clusters { ganeti, cib, deadline, .. } = &self.clusters;
        let again = |after: &Resources| plan_reached(after, ganeti, self.options, Some(&self.reached));
        apply(cib, &self.parts, ganeti, again, *deadline)
    }
}

/// Asks the nodes that would become remote nodes for a connection, and the full members for their keys.
fn reached(clusters: &Clusters, members: usize, path: &Path) -> RemoteChecks {
    let Clusters { ganeti, resources, deadline, .. } = clusters;
    let asked: Vec<IpAddr> = to_connect(resources, ganeti, members).into_iter().collect();
    let addresses = match remote_key::check_addresses(&asked, PORT, deadline.at_most(CONNECT_TIMEOUT)) {
        Ok(checked) => {
            checked.into_iter().map(|(at, result)| (at, result.map_err(|error| error.to_string()))).collect()
        }
        // Without a key of this host no connection is made, and each has that reason.
        Err(error) => asked.iter().map(|address| (*address, Err(error.to_string()))).collect::<BTreeMap<_, _>>(),
    };
    let other_key = addresses.values().any(Result::is_ok).then(|| key_of_others(resources, ganeti, path, *deadline));
    RemoteChecks { addresses, other_key: other_key.flatten() }
}

/// The reason why the full members were not asked for their keys.
#[derive(Debug, thiserror::Error)]
enum KeyUnknown {
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// Returns why a full member may have another key for remote nodes than this host.
fn key_of_others(resources: &Resources, ganeti: &GanetiConfig, config: &Path, deadline: Deadline) -> Option<String> {
    let ask = || -> Result<_, KeyUnknown> {
        let loaded = config_file::load_or_default(config)?;
        let until = deadline.at_most(SURVEY_TIMEOUT.min(loaded.deadline));
        Ok(survey(&loaded, config, Path::new(files::DATA_DIR), until)?)
    };
    match ask() {
        Ok(survey) => other_key(resources, ganeti, identity::node_among(&ganeti.names()).as_ref(), &survey),
        Err(error) => Some(format!("the full members were not asked for their keys for remote nodes: {error}")),
    }
}

/// Returns the line for a digest that is not changed from this host, although it differs from that of the configuration
/// `here`.
fn left_out(ganeti: &GanetiConfig, resources: &Resources, here: Digest) -> Option<String> {
    if resources.property(&[DIGEST_PROPERTY]) == Some(here.to_string().as_str()) {
        return None;
    }
    let why = match (identity::node_among(ganeti.master()), ganeti.master()) {
        (None, Some(master)) => {
            format!("the config.toml here has another digest; copy the right one to all nodes, then on {master}: gnt-ha setup --apply")
        }
        _ => "luxid on this host does not answer, so that this host is not known to serve as Ganeti's master; when gnt-ha status shows that \
              it does: gnt-ha setup --apply"
            .to_owned(),
    };
    Some(format!("left out: property {DIGEST_PROPERTY}: {why}"))
}

/// Reads gnt-ha's configuration, if the program of a node reads it. A configuration with faults is an error.
fn usable(ganeti: &GanetiConfig, path: &Path) -> Result<Option<Config>, SetupError> {
    if !is_read(ganeti) || !path.exists() {
        return Ok(None);
    }
    let config = config_file::load(path)?;
    let nodes = with_levels(ganeti, &config);
    let resolved = resolve::addresses(&names_to_resolve(&nodes, None), Deadline::after(RESOLVE_TIMEOUT));
    match shared(&nodes, &resolved).into_iter().next() {
        Some(shared) => Err(SetupError::Shared { shared: Box::new(shared), path: path.to_owned() }),
        None => Ok(Some(config)),
    }
}

/// Returns whether the program of a node reads gnt-ha's configuration. A node without a program will get ours.
fn is_read(ganeti: &GanetiConfig) -> bool {
    ganeti.nodes().iter().any(|node| node.oob_program.as_deref().is_none_or(is_ours))
}

/// Returns the time budgets that do not fit. Without a configuration the levels of nodes are unknown, and only
/// Pacemaker's times are compared.
fn shortfalls(resources: &Resources, ganeti: &GanetiConfig, config: Option<&Config>) -> Vec<TimeBudget> {
    let advertised = config.map_or_else(AdvertisedTimes::new, |config| advertised(config, ganeti));
    budget::shortfalls(&Figures { resources, config, ganeti: Some(ganeti), advertised: &advertised })
}

/// Returns the self-fencing times that the nodes reported last, and those that this host reports now.
fn advertised(config: &Config, ganeti: &GanetiConfig) -> AdvertisedTimes {
    let reported = peer_reports::peers(&config.state).into_iter();
    let reported = reported
        .filter_map(|(node, report)| Some((node, peer_reports::self_fence_report(&report)?.self_fence.lease_times)));
    let own = identity::node_among(&ganeti.names())
        .zip(peer_reports::own_self_fence(&config.run).map(|self_fence| self_fence.lease_times));
    reported.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the serving master changes the digest. The line has the reason why this host does not, and the next step.
    #[test]
    fn a_digest_that_is_left_out_is_reported_with_the_reason() {
        let digest: Digest = "0000000000000000000000000000000a".parse().unwrap();
        let left_out_line = |master: &str, kept: &str| {
            let text = serde_json::json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}},
                                          "nodes": {"u1": {"name": master, "group": "g", "master_candidate": true}}});
            let ganeti = GanetiConfig::parse(text.to_string().as_bytes()).unwrap();
            let cib = format!(
                "<cib><configuration><crm_config><cluster_property_set id=\"s\"><nvpair id=\"d\" name=\"gnt-ha-config-digest\" \
                 value=\"{kept}\"/></cluster_property_set></crm_config></configuration></cib>"
            );
            left_out(&ganeti, &Resources::parse(&cib).unwrap(), digest)
        };
        let here = format!("{}.lab", identity::host().split('.').next().unwrap());
        for kept in ["", "0000000000000000000000000000000b"] {
            let silent = left_out_line(&here, kept).unwrap();
            assert!(
                silent.starts_with("left out: property gnt-ha-config-digest: luxid on this host does not answer"),
                "{silent}"
            );
            assert!(silent.ends_with("gnt-ha setup --apply"), "{silent}");
            let elsewhere = left_out_line("other.lab", kept).unwrap();
            assert!(elsewhere.ends_with("on other.lab: gnt-ha setup --apply"), "{elsewhere}");
        }
        assert_eq!(left_out_line(&here, &digest.to_string()), None);
    }
}
