//! `gnt-ha setup`: configures Pacemaker for the Ganeti cluster. Shows the changes, tries them on a copy, and then
//! applies them.

mod apply;
pub mod error;
mod form;
mod recover;
mod update;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::apply::{apply, is_master};
use self::error::SetupError;
use self::form::{PlanForm, shown};
use super::error::CommandError;
use super::paths::Paths;
use crate::cli;
use crate::core::budget::{self, AdvertisedTimes, Figures, TimeBudget};
use crate::core::config::{Config, DIGEST_PROPERTY, Digest, MEMBERS, names_to_resolve, shared, with_levels};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::pacemaker::resources::Resources;
use crate::core::setup::{
    PORT, PREFIX, Part, RemoteChecks, SetupOptions, deletions, full_members, other_key, plan_reached, planned,
    to_connect,
};
use crate::service::shun::peer_reports;
use crate::service::survey::survey;
use crate::sys::clock::Deadline;
use crate::sys::config_file;
use crate::sys::corosync::{self, COROSYNC_TIMEOUT};
use crate::sys::ganeti::files;
use crate::sys::ganeti::programs::Copy;
use crate::sys::identity;
use crate::sys::pacemaker::cibadmin;
use crate::sys::remote_key;
use crate::sys::resolve;
pub use update::update;

/// The version of the format of `--json`.
const VERSION: u32 = 1;

/// The time limit for everything except the simulations of each host's death.
const LIMIT: Duration = Duration::from_secs(120);

/// The time limit for each of those simulations. One takes some hundredths of a second with three nodes, and more than
/// a second with hundreds.
const SIMULATION_TIMEOUT: Duration = Duration::from_secs(3);

/// The time limit for a future remote node to accept a connection and the key.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The time limit for the full members to report their key for remote nodes.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(20);

/// The time limit for resolving the names of BMCs and PDUs.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The command line of `setup`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Make the changes, after crm_verify and, where Pacemaker acts on what changes, a crm_simulate of every host's death
    #[arg(long)]
    apply: bool,

    /// Show how to remove everything that setup has made; with --apply, remove it
    #[arg(long, conflicts_with_all = ["primitive", "health"])]
    remove: bool,

    /// Only show the changes, as without --apply
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,

    /// Apply only those changes to the elements of setup that follow from Ganeti's nodes; for Ganeti's
    /// hooks
    ///
    /// Does nothing, without a message, where setup has made nothing or Pacemaker does not run.
    #[arg(long, conflicts_with_all = ["apply", "remove", "primitive", "health", "format", "json"])]
    update: bool,

    /// Show which instances of a dead host recovery would start elsewhere; with --apply, switch recovery on, and change
    /// nothing else
    ///
    /// Run on Ganeti's master. The cluster gets the tags ocf:recover:on and ganeti:watcher:autorepair:failover; harep reads
    /// the second one, too.
    #[arg(long, conflicts_with_all = ["remove", "update", "primitive", "health", "format", "json"])]
    recover: bool,

    /// Ganeti's master role as one resource with stickiness, not as a promotable clone
    #[arg(long)]
    primitive: bool,

    /// Have Pacemaker's other resources leave a node whose health is red, as ganeti-node-role reports it
    /// (node-health-strategy=migrate-on-red, and the tag ocf:health:on)
    #[arg(long)]
    health: bool,

    /// Format of the changes
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: PlanForm,

    /// Print one JSON object, for programs
    ///
    /// Keys: version (1), pending (how many parts are to be changed), parts [{description, section, xml, pcs, crm, state, why}], where
    /// state is add, change, remove, unchanged, foreign or manual; shortfalls: times that do not fit, [{subject, item, needed [{what, ms}],
    /// available [{what, ms}], fix}]. Later versions may add keys.
    #[arg(long, conflicts_with_all = ["format", "apply", "remove"])]
    json: bool,

    #[command(flatten)]
    paths: Paths,
}

#[derive(Serialize)]
struct SetupReport<'a> {
    version: u32,
    pending: usize,
    parts: &'a [Part],
    shortfalls: &'a [TimeBudget],
}

/// Runs the command. Returns whether there is nothing to change.
///
/// # Errors
/// [`CommandError::Setup`] if the times do not fit together or a change failed; otherwise the error of the input or of
/// the output.
pub fn run(arguments: &Arguments, config: &Path) -> Result<bool, CommandError> {
    if arguments.update {
        return update(&arguments.paths, arguments.dry_run, Deadline::after(LIMIT));
    }
    if arguments.recover {
        return recover::recover(&arguments.paths, arguments.apply, Deadline::after(LIMIT));
    }
    let ganeti = files::read_config(&arguments.paths.data_dir).map_err(SetupError::Ganeti)?;
    let is_master = is_master(&ganeti);
    if !is_master && Copy::read(&arguments.paths.data_dir, &arguments.paths.cib).denies(&ganeti) {
        return Err(SetupError::NotNamed(arguments.paths.data_dir.join(files::CONFIG)).into());
    }
    let deaths = u32::try_from(ganeti.nodes().len()).unwrap_or(u32::MAX);
    let deadline = Deadline::after(LIMIT.saturating_add(SIMULATION_TIMEOUT.saturating_mul(deaths)));
    let cib = cibadmin::query(deadline)?;
    let resources = Resources::parse(&cib)?;
    if arguments.remove {
        return remove(&resources, arguments, deadline);
    }
    let path = config;
    let members = config_file::load_or_default(path).map_or(MEMBERS, |config| config.members);
    let quorum = corosync::quorum(deadline.at_most(COROSYNC_TIMEOUT));
    let has_device = match quorum {
        Ok(quorum) => quorum.device.is_some(),
        // With more than two full members the quorum device makes no difference.
        Err(error) if full_members(&resources, &ganeti, members) == 2 => return Err(SetupError::Votes(error).into()),
        Err(_) => false,
    };
    if arguments.apply && is_read(&ganeti) && !path.exists() {
        return Err(SetupError::NoConfig(path.to_owned()).into());
    }
    let config = usable(&ganeti, path)?;
    let here = config.as_ref().map(Config::digest);
    let left_out = here.filter(|_| !is_master).and_then(|here| left_out(&ganeti, &resources, here));
    let digest = here.filter(|_| is_master);
    let wish = SetupOptions { primitive: arguments.primitive, health: arguments.health, has_device, members, digest };
    let asked: Vec<IpAddr> = to_connect(&resources, &ganeti, members).into_iter().collect();
    let addresses = match remote_key::check_addresses(&asked, PORT, deadline.at_most(CONNECT_TIMEOUT)) {
        Ok(checked) => {
            checked.into_iter().map(|(at, result)| (at, result.map_err(|error| error.to_string()))).collect()
        }
        // Without a key of this host no connection is made, and each has that reason.
        Err(error) => asked.iter().map(|address| (*address, Err(error.to_string()))).collect::<BTreeMap<_, _>>(),
    };
    let other_key = addresses.values().any(Result::is_ok).then(|| key_of_others(&resources, &ganeti, path, deadline));
    let reached = RemoteChecks { addresses, other_key: other_key.flatten() };
    let parts = plan_reached(&resources, &ganeti, wish, Some(&reached));
    let open = count_open(&parts);
    let is_left = parts.iter().any(|part| part.state.is_by_hand());
    let too_short = shortfalls(&planned(&resources, &parts), &ganeti, config.as_ref());
    let is_whole = !is_left && left_out.is_none();
    if let Some(line) = &left_out {
        cli::print_error("gnt-ha", line);
    }
    if arguments.json {
        let report = SetupReport { version: VERSION, pending: open, parts: &parts, shortfalls: &too_short };
        cli::print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        return Ok(open == 0 && is_whole && too_short.is_empty());
    }
    cli::show(&shown(&parts, arguments.format))?;
    let table = arguments.format == PlanForm::Table;
    if !too_short.is_empty() {
        let sums: String = too_short.iter().map(TimeBudget::text).collect();
        let comment = |line: &str| if table { format!("{line}\n") } else { format!("# {line}\n") };
        if arguments.format != PlanForm::Xml {
            cli::print(&sums.lines().map(comment).collect::<String>())?;
        }
        let which = too_short.iter().map(|sum| format!("{}: {}", sum.subject, sum.item)).collect();
        return Err(SetupError::Shortfalls(which).into());
    }
    match (open, arguments.apply) {
        (0, _) => {
            if table && is_left {
                cli::print("make the changes that are marked with ! by hand; then run gnt-ha setup again\n")?;
            } else if table && is_whole {
                cli::print("Pacemaker has everything that it needs; continue with gnt-ha check\n")?;
            }
            Ok(is_whole)
        }
        (_, false) => {
            if table {
                cli::print(&format!("{open} to be changed: gnt-ha setup --apply\n"))?;
            }
            Ok(false)
        }
        (_, true) => {
            apply(&cib, &parts, &ganeti, |after| plan_reached(after, &ganeti, wish, Some(&reached)), deadline)?;
            cli::print(&format!("{open} changed; now gnt-ha check\n"))?;
            Ok(is_whole)
        }
    }
}

/// Returns why a full member may have another key for remote nodes than this host.
fn key_of_others(resources: &Resources, ganeti: &GanetiConfig, config: &Path, deadline: Deadline) -> Option<String> {
    let ask = || -> Result<_, CommandError> {
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
fn usable(ganeti: &GanetiConfig, path: &Path) -> Result<Option<Config>, CommandError> {
    if !is_read(ganeti) || !path.exists() {
        return Ok(None);
    }
    let config = config_file::load(path)?;
    let nodes = with_levels(ganeti, &config);
    let resolved = resolve::addresses(&names_to_resolve(&nodes, None), Deadline::after(RESOLVE_TIMEOUT));
    match shared(&nodes, &resolved).into_iter().next() {
        Some(shared) => Err(SetupError::Shared { shared: Box::new(shared), path: path.to_owned() }.into()),
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

fn count_open(parts: &[Part]) -> usize {
    parts.iter().filter(|part| part.state.is_open()).count()
}

/// Shows or deletes everything that setup has made. Deletes only in maintenance mode, in which Pacemaker stops no
/// daemon of Ganeti.
fn remove(resources: &Resources, arguments: &Arguments, deadline: Deadline) -> Result<bool, CommandError> {
    let all = deletions(resources);
    let shown: String = all.iter().map(|element| format!("- {element}\n")).collect();
    cli::print(&shown)?;
    if all.is_empty() {
        cli::print("setup has made nothing here\n")?;
        return Ok(true);
    }
    if !arguments.apply {
        cli::print(&format!("{} to be removed: gnt-ha setup --remove --apply\n", all.len()))?;
        return Ok(false);
    }
    if resources.property(&["maintenance-mode"]).is_none_or(|value| value != "true") {
        return Err(SetupError::NotInMaintenance.into());
    }
    for (done, element) in all.iter().enumerate() {
        cibadmin::delete(element, deadline).map_err(|error| SetupError::Remove { done, all: all.len(), error })?;
    }
    if resources.property_ids.get("node-health-strategy").is_some_and(|id| id.starts_with(PREFIX)) {
        cli::print("Ganeti keeps the tag by which health is published: gnt-cluster remove-tags ocf:health:on\n")?;
    }
    cli::print(&format!(
        "{} removed; clear the results in Pacemaker, then end the maintenance: crm_resource --refresh, then \
         crm_attribute --type crm_config --name maintenance-mode --delete\n",
        all.len()
    ))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A promoted host and a lost one look the same from here: the error names both reasons.
    #[test]
    fn who_is_not_named_as_a_candidate_reads_both_reasons() {
        let error = SetupError::NotNamed("/var/lib/ganeti/config.data".into()).to_string();
        for part in [
            "/var/lib/ganeti/config.data",
            "gnt-ha-oob-programs",
            "was lost",
            "has just made it a candidate",
            "on Ganeti's master",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

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
