//! `gnt-ha rehearse`: what would happen if a host died now.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::places::Places;
use crate::cli;
use crate::config::DEFAULT_RUN;
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::node::NodeName;
use crate::core::outlook::Outlook;
use crate::core::pacemaker::resources::Resources;
use crate::core::rehearsal::{Known, Step, steps};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;
use crate::sys::oob_program::OobProgram;
use crate::sys::pacemaker::trial::{self, Trial};
use crate::sys::program;

/// The shape of `--json`.
const VERSION: u32 = 1;

/// The time for everything.
const LIMIT: Duration = Duration::from_secs(60);

/// The command line.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the node, full or short
    node: NodeName,

    /// One JSON object, for programs
    ///
    /// Keys: version (1), node, steps [{who, what, blocked}]. Later versions may add keys.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    places: Places,
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    node: &'a NodeName,
    steps: &'a [Step],
}

/// What was rehearsed.
pub(super) struct Rehearsal {
    pub(super) node: NodeName,
    pub(super) steps: Vec<Step>,
    /// Who would take the master role over, if the dead host had it.
    pub(super) heir: Option<NodeName>,
}

/// Runs it; returns whether nothing is in the way.
///
/// # Errors
/// One line.
pub fn run(arguments: &Arguments) -> Result<bool, String> {
    let Rehearsal { node, steps, .. } = rehearse(&arguments.places, &arguments.node, Deadline::after(LIMIT))?;
    let text = if arguments.json {
        let report = Report { version: VERSION, node: &node, steps: &steps };
        serde_json::to_string_pretty(&report).map_err(|error| error.to_string())? + "\n"
    } else {
        let blocked = steps.iter().filter(|step| step.blocked).count();
        let end = match blocked {
            0 => "nothing is in the way; nothing was changed\n".to_owned(),
            some => format!("{some} of {} would not happen (!); nothing was changed\n", steps.len()),
        };
        shown(&node, &steps) + &end
    };
    cli::print(&text)?;
    Ok(steps.iter().all(|step| !step.blocked))
}

/// Rehearses the death of `given`.
///
/// # Errors
/// One line.
pub(super) fn rehearse(places: &Places, given: &NodeName, deadline: Deadline) -> Result<Rehearsal, String> {
    let ganeti = files::read_config(&places.data_dir).map_err(|error| error.to_string())?;
    let node = ganeti.find(given).map_err(|error| error.to_string())?.name.clone();
    let cib = trial::query(deadline).map_err(|error| error.to_string())?;
    let outlook = outlook(&cib, &node, deadline)?;
    let role = Resources::parse(&cib).ok().and_then(|resources| {
        let role = resources.agents("ganeti-master-role").next();
        role.map(|role| role.id.clone()).filter(|_| ganeti.master() == Some(&node))
    });
    let decision = places.recorder().rehearse(&node, deadline).map_err(|error| error.to_string());
    let record = match &decision {
        Ok(Some(decision)) => Ok(decision),
        Ok(None) => Err("nothing: Ganeti does not know it".to_owned()),
        Err(error) => Err(error.clone()),
    };
    let proof = proof(&ganeti, &node, deadline);
    let known = Known { died: node.as_str(), outlook: &outlook, role: role.as_deref(), proof, record };
    let steps = steps(&known);
    let heir = role.and_then(|role| outlook.taker(&role)).and_then(|host| NodeName::new(host).ok());
    Ok(Rehearsal { node, steps, heir })
}

fn outlook(cib: &str, node: &NodeName, deadline: Deadline) -> Result<Outlook, String> {
    let simulate = || {
        let copy = Trial::begin(Path::new(DEFAULT_RUN), cib)?;
        copy.simulate(Some(node.as_str()), deadline)
    };
    let said = simulate().map_err(|error| error.to_string())?;
    Outlook::parse(&said).map_err(|error| format!("cannot use what crm_simulate says: {error}"))
}

/// Our own program says of each level what it could prove; any other one, at least, whether it answers.
fn proof(ganeti: &GanetiConfig, node: &NodeName, deadline: Deadline) -> Result<Vec<String>, String> {
    let found = ganeti.find(node).map_err(|error| error.to_string())?;
    let path = found.oob_program.as_ref().ok_or("Ganeti has no OOB program for it (gnt-ha setup)")?;
    if is_ours(path) {
        let said = program::run(path, &["check", node.as_str()], &[], deadline).map_err(|error| error.to_string())?;
        return Ok(said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect());
    }
    let program = OobProgram::find(path).map_err(|error| error.to_string())?;
    let status = program.status(node, deadline).map_err(|error| error.to_string())?;
    Ok(vec![format!("{} answers: {}", path.display(), status.power)])
}

/// The steps, a line each.
pub(super) fn shown(node: &NodeName, steps: &[Step]) -> String {
    let mut text = format!("If {node} died now:\n");
    for step in steps {
        let mark = if step.blocked { '!' } else { ' ' };
        text.push_str(&format!("{mark} {:15}  {}\n", step.who, step.what));
    }
    text
}
