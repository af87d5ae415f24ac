//! `gnt-ha confirm-off`: an administrator confirms that a node is off. Confirms it to Pacemaker and writes a receipt.

use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::paths::Paths;
use crate::cli;
use crate::core::confirm_off::{ConfirmationEvidence, objection, stranger, unclean_strangers};
use crate::core::grade::Grade;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::names::{NoPacemakerName, PacemakerName};
use crate::core::receipt::{Action, Outcome};
use crate::core::reconcile::Membership;
use crate::service::shun::own::{AddressState, OwnRules};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::identity;
use crate::sys::pacemaker::{self, fence};
use crate::sys::receipt_log::ReceiptLog;
use crate::sys::recorded_action::{ActionResult, RecordedAction};
use crate::sys::tcp_check::{self, NODED_PORT};

/// The time limit for everything except the administrator's answer.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// The time limit for the node to show that it runs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The command line of `confirm-off`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the node, full or short
    node: NodeName,

    /// Reason, which the receipt keeps: the evidence that the node is off
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Do not ask; needed without a terminal
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    paths: Paths,
}

/// Confirms the node as off, unless there is evidence that it runs.
///
/// # Errors
/// [`CommandError::NotConfirmedOff`] if the evidence contradicts the confirmation or cannot be collected,
/// [`CommandError::ConfirmOff`] if Pacemaker did not accept it.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let ssconf = Ssconf::new(&arguments.paths.data_dir);
    let names = ssconf.names("node_list")?;
    let node = node::find(&arguments.node, &names)?.clone();
    let refused = |error| CommandError::NotConfirmedOff { node: node.clone(), error: Box::new(error) };
    let (seen, name, waiting) = collect_evidence(&arguments.paths, &ssconf, &node, &names).map_err(refused)?;
    if let Some(why) = objection(seen) {
        return Err(refused(CommandError::Objection(why.to_owned())));
    }
    if !arguments.yes {
        // A name that is typed twice is rarely wrong.
        let question = format!(
            "If {node} still runs, two hosts can write to its disks. To confirm that it is off, type its full name:"
        );
        cli::confirm(&question, node.as_str()).map_err(|error| refused(error.into()))?;
    }
    let user = identity::asker().user;
    let mut action = RecordedAction::begin(ReceiptLog::new(&arguments.paths.state_dir), "gnt-ha", Action::Off, &node);
    let warnings = action.take_warnings();
    warnings.iter().for_each(|warning| cli::print_error("gnt-ha", warning));
    action.step(&user, "confirms that it is off", &arguments.reason);
    let confirmed = match &name {
        Some(name) => fence::confirm(name, Deadline::after(CONFIRM_TIMEOUT)),
        None => Ok(()),
    };
    match &name {
        Some(name) => {
            let saw = confirmed
                .as_ref()
                .map_or_else(ToString::to_string, |()| format!("{name} is off, and no longer UNCLEAN"));
            action.step("Pacemaker", "is notified that it is off", &saw);
        }
        None => action.step("Pacemaker", "read its name of the node", "it has no such node"),
    }
    let is_accepted = confirmed.is_ok();
    let warnings = action.finish(ActionResult {
        outcome: if is_accepted { Outcome::Done } else { Outcome::Unknown },
        grade: if is_accepted { Grade::Off } else { Grade::Unknown },
        proven_by: format!("{user}: {}", arguments.reason),
        reason: confirmed.as_ref().err().map(ToString::to_string),
        record: None,
    });
    warnings.iter().for_each(|warning| cli::print_error("gnt-ha", warning));
    confirmed.map_err(|error| CommandError::ConfirmOff {
        node: node.clone(),
        shown: name.as_ref().map_or(node.as_str(), PacemakerName::as_str).to_owned(),
        error: Box::new(error),
    })?;
    let then = match name {
        Some(_) => "Pacemaker goes on, and Ganeti's master records it",
        None => "Pacemaker has no such node; Ganeti's master records it",
    };
    cli::print(&format!("{node}: confirmed as off; {then}\n"))?;
    if name.is_none() {
        for other in waiting {
            cli::print_error(
                "gnt-ha",
                &format!(
                    "Pacemaker waits for {other}, which is UNCLEAN and by its name none of Ganeti's nodes; if that is {node}: \
                     stonith_admin --confirm {other}"
                ),
            );
        }
    }
    Ok(())
}

/// Returns the evidence about the node, its name in Pacemaker, and the [`unclean_strangers`]. The name is `None` if
/// Pacemaker has no such node.
fn collect_evidence(
    paths: &Paths,
    ssconf: &Ssconf,
    node: &NodeName,
    all: &[NodeName],
) -> Result<(ConfirmationEvidence, Option<PacemakerName>, Vec<PacemakerName>), CommandError> {
    let deadline = Deadline::after(CONFIRM_TIMEOUT);
    let status = pacemaker::status(deadline)?;
    let name = match status.called(node, all) {
        Ok(name) => Some(name.clone()),
        Err(error @ NoPacemakerName::Unknown { .. }) => {
            if let Some(other) = stranger(node, status.nodes.iter().map(|(name, _)| name), all) {
                return Err(CommandError::OtherName { node: node.clone(), other: other.clone(), error });
            }
            None
        }
        Err(error) => return Err(error.into()),
    };
    let addresses = ssconf.name_addresses("node_primary_ips")?;
    let address = addresses.into_iter().find(|(name, _)| name == node).map(|(_, address)| address);
    let own_rules = OwnRules::read(&paths.state_dir, deadline.at_most(CONNECT_TIMEOUT));
    let (answers, was_asked) = address.map_or((false, false), |address| {
        let deadline = deadline.at_most(CONNECT_TIMEOUT);
        let is_there = || tcp_check::is_there(address, NODED_PORT, deadline);
        let accepts = || !tcp_check::accepting(&[address], NODED_PORT, 1, deadline).is_empty();
        asked(own_rules.of(address), is_there, accepts)
    });
    let seen = ConfirmationEvidence {
        is_here: identity::node_among([node]).is_some(),
        member: name.as_ref().map_or(Membership::Unknown, |name| status.of(name)),
        answers,
        was_asked,
    };
    let waiting = unclean_strangers(status.nodes.iter().map(|(name, member)| (name, *member)), all);
    Ok((seen, name, waiting))
}

/// Returns whether a node answers, and whether its silence is its own. This host's own kernel resets connections to a
/// node that it shuns, or may shun. Only an accepted connection counts for such a node.
fn asked(own: AddressState, is_there: impl FnOnce() -> bool, accepts: impl FnOnce() -> bool) -> (bool, bool) {
    match own {
        AddressState::Open => (is_there(), true),
        AddressState::Doubtful | AddressState::Shunned => (accepts(), false),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    /// A reset by this host's own kernel does not show that the node runs. If the kernel
    /// does not apply the shun list, the answer of a node on that list counts.
    #[test]
    fn a_connection_that_this_hosts_rules_drop_prevents_no_confirmation() {
        let [both, list, kernel, none] = [1, 2, 3, 4].map(|n| IpAddr::from([192, 0, 2, n]));
        let known = OwnRules::of_test(&[both, list], Some(&[both, kernel]));
        let unknown = OwnRules::of_test(&[both, list], None);
        let of = |own: &OwnRules, is_there: bool, accepts: bool| {
            [both, list, kernel, none].map(|address| asked(own.of(address), || is_there, || accepts))
        };
        let (by_itself, by_the_kernel) = ((true, true), (false, false));
        assert_eq!(of(&known, true, false), [by_the_kernel, by_itself, by_the_kernel, by_itself], "refused");
        assert_eq!(of(&unknown, true, false), [by_the_kernel, by_the_kernel, by_itself, by_itself], "refused");
        let (answers, silent) = ((true, false), (false, true));
        assert_eq!(of(&known, true, true), [answers, by_itself, answers, by_itself], "accepted");
        assert_eq!(of(&known, false, false), [by_the_kernel, silent, by_the_kernel, silent], "silent");
    }
}
