//! `gnt-ha setup`: configures Pacemaker for the Ganeti cluster. Shows the changes, tries them on a copy, and then
//! applies them.

pub mod error;
mod update;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::error::{SetupError, TrialError};
use super::error::CommandError;
use super::paths::Paths;
use super::simulation::{simulate, votes_without};
use crate::cli;
use crate::core::budget::{self, AdvertisedTimes, Figures, TimeBudget};
use crate::core::config::{Config, DEFAULT_RUN, DIGEST_PROPERTY, Digest, names_to_resolve, shared, with_levels};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Resources;
use crate::core::pacemaker::simulation::{Death, Simulation, unexpected_fencing};
use crate::core::reconcile::Membership;
use crate::core::setup::{
    GANETI, MEMBERS, PORT, PREFIX, Part, PartState, Reached, SetupOptions, deletions, fragment, full_members,
    is_only_kept, other_key, outdated, plan_reached, planned, to_connect,
};
use crate::service::shun::peer_reports;
use crate::service::survey::survey;
use crate::sys::clock::Deadline;
use crate::sys::command;
use crate::sys::config_file;
use crate::sys::corosync;
use crate::sys::ganeti::programs::Copy;
use crate::sys::ganeti::{files, luxi};
use crate::sys::identity;
use crate::sys::output::{Paint, Text};
use crate::sys::pacemaker;
use crate::sys::pacemaker::cibadmin::{self, Trial};
use crate::sys::remote_key;
use crate::sys::resolve;
pub use update::update;

/// The version of the format of `--json`.
const VERSION: u32 = 1;

/// The time limit for everything except the simulations of each host's death.
const LIMIT: Duration = Duration::from_secs(120);

/// The time limit for corosync's tools, which answer from memory.
const COROSYNC: Duration = Duration::from_secs(2);

/// The time limit for each of those simulations. One takes some hundredths of a second with three nodes, and more than
/// a second with hundreds.
const DEATH: Duration = Duration::from_secs(3);

/// The time limit for a future remote node to accept a connection and the key.
const REACH: Duration = Duration::from_secs(3);

/// The time limit for the full members to report their key for remote nodes.
const SURVEY: Duration = Duration::from_secs(20);

/// The time limit for luxid, which is on this host.
const SERVES: Duration = Duration::from_secs(8);

/// The first line of the output for crmsh, if some of the commands are for the shell.
const FOR_THE_SHELL: &str =
    "# Lines that begin with \"# \" are for the shell, all others for crm configure. Below this one:\n";

/// The time limit for resolving the names of BMCs and PDUs.
const RESOLVE: Duration = Duration::from_secs(5);

/// The command line of `setup`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Make the changes, after crm_verify and, where Pacemaker acts on what changes, a crm_simulate of every host's death
    #[arg(long)]
    apply: bool,

    /// Show what takes away everything that setup has made, and only that; with --apply, take it away
    #[arg(long, conflicts_with_all = ["primitive", "health"])]
    remove: bool,

    /// Change nothing: only show what --apply would change, as without it
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,

    /// Change at once what follows from Ganeti's nodes, of what setup has made, and only that:
    /// for Ganeti's hooks
    ///
    /// Quietly does nothing where setup has made nothing, and where Pacemaker does not run.
    #[arg(long, conflicts_with_all = ["apply", "remove", "primitive", "health", "format", "json"])]
    update: bool,

    /// Ganeti's master role as one resource that sticks to its host, not as a promotable clone
    #[arg(long)]
    primitive: bool,

    /// Have each node's health, as ganeti-node-role sees it, decide where Pacemaker's other resources run: they leave a node
    /// whose health is red (node-health-strategy=migrate-on-red, and the tag ocf:health:on)
    #[arg(long)]
    health: bool,

    /// How to show the changes
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Form,

    /// One JSON object, for programs
    ///
    /// Keys: version (1), pending (how many parts are to be changed), parts [{description, section, xml, pcs, crm, state, why}], where
    /// state is add, change, remove, unchanged, foreign or manual; shortfalls: times that do not fit, [{subject, item, needed [{what, ms}],
    /// available [{what, ms}], fix}]. Later versions may add keys.
    #[arg(long, conflicts_with_all = ["format", "apply", "remove"])]
    json: bool,

    #[command(flatten)]
    places: Paths,
}

/// How to show the changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line a part, for people
    #[default]
    Table,
    /// For cibadmin --modify --allow-create
    Xml,
    /// For pcs
    Pcs,
    /// For crm configure
    Crm,
}

#[derive(Serialize)]
struct Report<'a> {
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
        return update(&arguments.places, arguments.dry_run, Deadline::after(LIMIT));
    }
    let ganeti = files::read_config(&arguments.places.data_dir).map_err(SetupError::Ganeti)?;
    let is_master = is_master(&ganeti);
    if !is_master && Copy::read(&arguments.places.data_dir, &arguments.places.cib).denies(&ganeti) {
        return Err(SetupError::NotNamed(arguments.places.data_dir.join(files::CONFIG)).into());
    }
    let deaths = u32::try_from(ganeti.nodes().len()).unwrap_or(u32::MAX);
    let deadline = Deadline::after(LIMIT.saturating_add(DEATH.saturating_mul(deaths)));
    let cib = cibadmin::query(deadline)?;
    let resources = Resources::parse(&cib)?;
    if arguments.remove {
        return remove(&resources, arguments, deadline);
    }
    let path = config;
    let members = config_file::load_or_default(path).map_or(MEMBERS, |config| config.members);
    let quorum = corosync::quorum(deadline.at_most(COROSYNC));
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
    let addresses = match remote_key::check_addresses(&asked, PORT, deadline.at_most(REACH)) {
        Ok(checked) => {
            checked.into_iter().map(|(at, result)| (at, result.map_err(|error| error.to_string()))).collect()
        }
        // Without a key of this host no connection is made, and each has that reason.
        Err(error) => asked.iter().map(|address| (*address, Err(error.to_string()))).collect::<BTreeMap<_, _>>(),
    };
    let other_key = addresses.values().any(Result::is_ok).then(|| key_of_others(&resources, &ganeti, path, deadline));
    let reached = Reached { addresses, other_key: other_key.flatten() };
    let parts = plan_reached(&resources, &ganeti, wish, Some(&reached));
    let open = count_open(&parts);
    let is_left = parts.iter().any(|part| part.state.is_by_hand());
    let too_short = shortfalls(&planned(&resources, &parts), &ganeti, config.as_ref());
    let is_whole = !is_left && left_out.is_none();
    if let Some(line) = &left_out {
        cli::print_error("gnt-ha", line);
    }
    if arguments.json {
        let report = Report { version: VERSION, pending: open, parts: &parts, shortfalls: &too_short };
        cli::print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        return Ok(open == 0 && is_whole && too_short.is_empty());
    }
    cli::show(&shown(&parts, arguments.format))?;
    let table = arguments.format == Form::Table;
    if !too_short.is_empty() {
        let sums: String = too_short.iter().map(TimeBudget::text).collect();
        let comment = |line: &str| if table { format!("{line}\n") } else { format!("# {line}\n") };
        if arguments.format != Form::Xml {
            cli::print(&sums.lines().map(comment).collect::<String>())?;
        }
        let which = too_short.iter().map(|sum| format!("{}: {}", sum.subject, sum.item)).collect();
        return Err(SetupError::Shortfalls(which).into());
    }
    match (open, arguments.apply) {
        (0, _) => {
            if table && is_left {
                cli::print("what is marked with ! is to be done by hand; then again\n")?;
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
        let until = deadline.at_most(SURVEY.min(loaded.deadline));
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
            format!("the config.toml here is not the one that it stands for; copy the right one to all nodes, then on {master}: gnt-ha setup --apply")
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
    let resolved = resolve::addresses(&names_to_resolve(&nodes, None), Deadline::after(RESOLVE));
    match shared(&nodes, &resolved).into_iter().next() {
        Some(shared) => Err(SetupError::Shared { shared: Box::new(shared), path: path.to_owned() }.into()),
        None => Ok(Some(config)),
    }
}

/// Returns whether the program of a node reads gnt-ha's configuration. A node without a program will get ours.
fn is_read(ganeti: &GanetiConfig) -> bool {
    ganeti.nodes().iter().any(|node| node.oob_program.as_deref().is_none_or(is_ours))
}

/// Returns whether this host is Ganeti's master and serves as such. After a crash, a former master still is the master
/// by its own files.
fn is_master(ganeti: &GanetiConfig) -> bool {
    identity::node_among(ganeti.master()).is_some_and(|here| luxi::serves(&here, Deadline::after(SERVES)))
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
    let reported =
        reported.filter_map(|(node, report)| Some((node, peer_reports::self_fence_report(&report)?.self_fence.terms)));
    let own = identity::node_among(&ganeti.names())
        .zip(peer_reports::own_self_fence(&config.run).map(|self_fence| self_fence.terms));
    reported.chain(own).collect()
}

fn count_open(parts: &[Part]) -> usize {
    parts.iter().filter(|part| part.state.is_open()).count()
}

/// Applies the parts to the cluster. Applies nothing if Pacemaker finds a fault on a copy, or would fence a host that
/// is not dead.
fn apply(
    cib: &str,
    parts: &[Part],
    ganeti: &GanetiConfig,
    again: impl Fn(&Resources) -> Vec<Part>,
    deadline: Deadline,
) -> Result<(), SetupError> {
    let tells_ganeti = parts.iter().any(|part| part.section == GANETI && part.state.is_open());
    if tells_ganeti && !is_master(ganeti) {
        return Err(TrialError::NotMaster { master: ganeti.master().cloned() }.into());
    }
    try_out(cib, parts, deadline)?;
    // The device needs the settings in Ganeti first, to find its nodes.
    for command in parts.iter().filter(|part| part.section == GANETI && part.state.is_open()).flat_map(|part| &part.pcs)
    {
        let words: Vec<&str> = command.split(' ').collect();
        let [name, words @ ..] = words.as_slice() else { continue };
        command::run(Path::new(name), words, &[], deadline)
            .map_err(|error| SetupError::GanetiCommand { command: command.clone(), error })?;
    }
    cibadmin::merge(&fragment(parts), deadline)?;
    for element in outdated(parts) {
        cibadmin::delete(element, deadline).map_err(SetupError::NotDeleted)?;
    }
    let after = Resources::parse(&cibadmin::query(deadline)?)?;
    let open = again(&after).into_iter().filter(|part| part.section != GANETI && part.state.is_open());
    let open: Vec<String> = open.map(|part| part.description).collect();
    if open.is_empty() { Ok(()) } else { Err(SetupError::NotContained(open)) }
}

fn try_out(cib: &str, parts: &[Part], deadline: Deadline) -> Result<(), TrialError> {
    let status = pacemaker::status(deadline)?;
    let copy = Trial::begin(Path::new(DEFAULT_RUN), cib)?;
    copy.merge(&fragment(parts), deadline)?;
    for element in outdated(parts) {
        copy.delete(element, deadline)?;
    }
    copy.verify(deadline)?;
    // A hook has 30 s for this, and with hundreds of nodes each simulated death takes more than a second.
    if parts.iter().filter(|part| part.state.is_open()).all(is_only_kept) {
        return Ok(());
    }
    let online = status.nodes.iter().filter(|(_, membership)| *membership == Membership::Online);
    let resources = Resources::parse(cib)?;
    let quorum = corosync::quorum(deadline.at_most(COROSYNC));
    let now = simulate(&copy, None, true, deadline)?;
    unsurprised(None, &now)?;
    for (node, _) in online {
        let death = Death::of(node, &now, &resources);
        // A partition without quorum does not fence, whatever is configured.
        let left = quorum.as_ref().ok().and_then(|quorum| votes_without(quorum, &resources, node).ok());
        let keeps = left.is_none_or(|left| left.keeps);
        let simulation = simulate(&copy, Some(&death), keeps, deadline)?;
        if keeps || !simulation.fenced().is_empty() {
            unsurprised(Some(node), &simulation)?;
        }
    }
    Ok(())
}

fn unsurprised(died: Option<&PacemakerName>, simulation: &Simulation) -> Result<(), TrialError> {
    unexpected_fencing(died, &simulation.fenced()).map_or(Ok(()), |surprise| Err(TrialError::Unexpected(surprise)))
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
        "{} taken away; have Pacemaker forget what ran, then manage the rest again: crm_resource --refresh, then \
         crm_attribute --type crm_config --name maintenance-mode --delete\n",
        all.len()
    ))?;
    Ok(true)
}

fn shown(parts: &[Part], form: Form) -> Text {
    let open = || parts.iter().filter(|part| part.state.is_open());
    let lines =
        |words: fn(&Part) -> &[String]| open().flat_map(words).map(|line| format!("{line}\n")).collect::<String>();
    match form {
        Form::Table => table(parts),
        Form::Xml => Text::from(fragment(parts).as_str()),
        Form::Pcs => Text::from((lines(|part| &part.pcs) + &by_hand(parts, |part| &part.pcs)).as_str()),
        Form::Crm => Text::from((crm(&lines(|part| &part.crm)) + &by_hand(parts, |part| &part.crm)).as_str()),
    }
}

/// Returns the connections that an administrator has to make, with their reasons, as comments. They are not commands
/// for the shell or crmsh before their fault is fixed.
fn by_hand(parts: &[Part], words: fn(&Part) -> &[String]) -> String {
    let comment = |part: &Part| match &part.state {
        PartState::Manual(why) if part.section == "resources" => {
            let lines: String = words(part).iter().map(|line| format!("## {line}\n")).collect();
            Some(format!("## by hand: {why}\n{lines}"))
        }
        _ => None,
    };
    parts.iter().filter_map(comment).collect()
}

/// Marks commands that crmsh cannot run: to crmsh they are comments.
fn crm(lines: &str) -> String {
    let is_for_the_shell = lines.lines().any(|line| line.starts_with("# "));
    format!("{}{lines}", if is_for_the_shell { FOR_THE_SHELL } else { "" })
}

fn table(parts: &[Part]) -> Text {
    let mut text = Text::default();
    for part in parts {
        let (mark, why, paint) = match &part.state {
            PartState::Add => ("+ add      ", String::new(), Some(Paint::Green)),
            PartState::Change(why) => ("~ change   ", format!(": {why}"), Some(Paint::Yellow)),
            PartState::Remove(why) => ("- remove   ", format!(": {why}"), Some(Paint::Yellow)),
            PartState::Unchanged => ("= unchanged", String::new(), None),
            PartState::Foreign(why) => ("  foreign  ", format!(": {why}"), None),
            PartState::Manual(why) => ("! by hand  ", format!(": {why}"), Some(Paint::Yellow)),
        };
        text.push_painted(paint, mark);
        text.push_str(&format!("  {}{why}\n", part.description));
    }
    text
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
    fn a_digest_that_is_left_out_is_told_with_the_reason() {
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

    #[test]
    fn what_crmsh_does_not_do_is_said_at_the_head() {
        let property = "property stonith-enabled=true\n";
        assert_eq!(crm(property), property);
        let both = format!("# crm_attribute --name x --delete\n{property}");
        assert_eq!(crm(&both), format!("{FOR_THE_SHELL}{both}"));
        assert_eq!(crm(""), "");
    }

    /// A connection that setup does not make is shown, and is not a command in output that is piped to a shell or to
    /// crmsh.
    #[test]
    fn what_is_to_be_done_by_hand_is_a_comment() {
        let part = |section, state| Part {
            description: "n17.lab as a Pacemaker remote node".into(),
            section,
            xml: "  <primitive id=\"n17.lab\"/>".into(),
            pcs: vec!["pcs cluster node add-remote n17.lab".into()],
            crm: vec!["primitive n17.lab ocf:pacemaker:remote".into()],
            state,
        };
        let why = "n3.lab has another key for remote nodes, or none";
        let form = |form| shown(&[part("resources", PartState::Manual(why.into()))], form).plain();
        assert_eq!(form(Form::Pcs), format!("## by hand: {why}\n## pcs cluster node add-remote n17.lab\n"));
        assert_eq!(form(Form::Crm), format!("## by hand: {why}\n## primitive n17.lab ocf:pacemaker:remote\n"));
        assert!(!form(Form::Xml).contains("n17.lab"));
        let others = [part("resources", PartState::Add), part("nodes", PartState::Manual(why.into()))];
        assert_eq!(shown(&others, Form::Pcs).plain(), "pcs cluster node add-remote n17.lab\n");
    }
}
