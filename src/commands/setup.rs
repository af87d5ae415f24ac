//! `gnt-ha setup`: configures Pacemaker for the Ganeti cluster. Shows the changes, tries them on a copy, and then
//! applies them.

mod form;
mod recover;
mod update;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::form::{PlanForm, shown};
use super::check::wrong_bmcs;
use super::error::CommandError;
use super::paths::Paths;
use crate::cli;
use crate::core::budget::TimeBudget;
use crate::core::setup::{Part, beside_fragment};
use crate::service::setup::clusters::Clusters;
use crate::service::setup::deletion::Deletion;
use crate::service::setup::error::SetupError;
use crate::service::setup::plan::{SetupPlan, SetupRequest};
use crate::sys::clock::Deadline;
pub use update::update;

/// The version of the format of `--json`.
const VERSION: u32 = 1;

/// The time limit for everything except the simulations of each host's death.
const SETUP_TIMEOUT: Duration = Duration::from_secs(120);

/// The command line of `setup`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Make the changes, after a comparison of the BMCs with their nodes, crm_verify and, where Pacemaker acts on what changes, a
    /// crm_simulate of every host's death
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

    /// Make Ganeti's master role one resource with stickiness, not a promotable clone
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
/// [`CommandError::Setup`] if the times do not fit together, an input cannot be read or a change failed; otherwise the
/// error of the output.
pub fn run(arguments: &Arguments, config: &Path) -> Result<bool, CommandError> {
    let paths = &arguments.paths;
    if arguments.update {
        return update(paths, arguments.dry_run, Deadline::after(SETUP_TIMEOUT));
    }
    if arguments.recover {
        return recover::recover(paths, arguments.apply, Deadline::after(SETUP_TIMEOUT));
    }
    let clusters = Clusters::read(&paths.data_dir, &paths.cib, SETUP_TIMEOUT)?;
    if arguments.remove {
        return remove(&Deletion::plan(clusters), arguments.apply);
    }
    let request = SetupRequest { primitive: arguments.primitive, health: arguments.health, apply: arguments.apply };
    let plan = SetupPlan::make(clusters, request, config)?;
    let open = plan.open_parts();
    let is_left = plan.needs_hand();
    let is_whole = !is_left && plan.left_out.is_none();
    if let Some(line) = &plan.left_out {
        cli::print_error("gnt-ha", line);
    }
    let SetupPlan { parts, shortfalls: too_short, .. } = &plan;
    if arguments.json {
        let report = SetupReport { version: VERSION, pending: open, parts, shortfalls: too_short };
        cli::print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        return Ok(open == 0 && is_whole && too_short.is_empty());
    }
    cli::show(&shown(parts, arguments.format))?;
    let table = arguments.format == PlanForm::Table;
    if arguments.format == PlanForm::Xml {
        for part in beside_fragment(parts) {
            let line =
                format!("{} is not in the XML; make the change with: {}", part.description, part.pcs.join(" && "));
            cli::print_error("gnt-ha", &line);
        }
    }
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
            // Fencing by the BMC of another host is worse than none.
            let wrong = wrong_bmcs(paths, config)?;
            if !wrong.is_empty() {
                return Err(CommandError::WrongBmcs(wrong));
            }
            plan.apply()?;
            cli::print(&format!("{open} changed; now gnt-ha check\n"))?;
            Ok(is_whole)
        }
    }
}

/// Shows or deletes everything that setup has made.
fn remove(deletion: &Deletion, is_to_apply: bool) -> Result<bool, CommandError> {
    let all = &deletion.elements;
    let shown: String = all.iter().map(|element| format!("- {element}\n")).collect();
    cli::print(&shown)?;
    if all.is_empty() {
        cli::print("setup has made nothing here\n")?;
        return Ok(true);
    }
    if !is_to_apply {
        cli::print(&format!("{} to be removed: gnt-ha setup --remove --apply\n", all.len()))?;
        return Ok(false);
    }
    deletion.apply()?;
    if deletion.leaves_health_tag() {
        cli::print("Ganeti keeps the tag by which health is published: gnt-cluster remove-tags ocf:health:on\n")?;
    }
    cli::print(&format!(
        "{} removed; clear the results in Pacemaker, then end the maintenance: crm_resource --refresh, then \
         crm_attribute --type crm_config --name maintenance-mode --delete\n",
        all.len()
    ))?;
    Ok(true)
}
