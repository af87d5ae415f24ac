//! Fencing by Pacemaker, asked for by its own tool (stonith_admin(8)).

use std::path::Path;
use std::time::Duration;

use super::PacemakerError;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::reconcile::Membership;
use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run};

/// How often Pacemaker is asked whether it has taken a confirmation.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fencing {
    /// Off, and it stays off.
    Off,
    /// Off, and on again.
    Reboot,
}

/// Has Pacemaker fence a node, and waits for it; the fencing itself gets `given`.
///
/// # Errors
/// [`ProgramError`]: it was not fenced, or is not known to be.
pub fn fence(node: &PacemakerName, what: Fencing, given: Duration, deadline: Deadline) -> Result<(), ProgramError> {
    let option = match what {
        Fencing::Off => "--fence",
        Fencing::Reboot => "--reboot",
    };
    let seconds = given.as_secs().to_string();
    run(Path::new("stonith_admin"), &[option, node.as_str(), "--timeout", &seconds], &[], deadline).map(drop)
}

/// Why Pacemaker does not take a node for off though it was told so.
#[derive(Debug, thiserror::Error)]
pub enum NotConfirmed {
    /// It was not told.
    #[error(transparent)]
    Tool(#[from] ProgramError),
    /// It was told, and what it holds of the node says otherwise.
    #[error("stonith_admin --confirm succeeded, and Pacemaker still has {node} {}", word(*member))]
    Still {
        /// The node.
        node: PacemakerName,
        /// What Pacemaker has of it.
        member: Membership,
    },
    /// It was told, and what it holds of the node cannot be read.
    #[error("stonith_admin --confirm succeeded, and what Pacemaker has of {node} is not known: {error}")]
    Unread {
        /// The node.
        node: PacemakerName,
        /// Why.
        error: PacemakerError,
    },
}

const fn word(member: Membership) -> &'static str {
    match member {
        Membership::Unclean => "UNCLEAN",
        Membership::Unknown => "no more among its nodes",
        _ => "in its membership",
    }
}

/// Tells Pacemaker that a node is off, and returns when Pacemaker has it so: it takes any name for a confirmation, and only
/// its state of the node shows that it was this one's.
///
/// # Errors
/// [`NotConfirmed`].
pub fn confirm(node: &PacemakerName, deadline: Deadline) -> Result<(), NotConfirmed> {
    run(Path::new("stonith_admin"), &["--confirm", node.as_str()], &[], deadline)?;
    read_back(node, || super::status(deadline).map(|status| status.of(node)), deadline)
}

/// Waits until Pacemaker has the node gone and clean. What cannot be read for a moment is asked for again.
fn read_back(
    node: &PacemakerName,
    mut look: impl FnMut() -> Result<Membership, PacemakerError>,
    deadline: Deadline,
) -> Result<(), NotConfirmed> {
    loop {
        match look() {
            Ok(Membership::Absent) => return Ok(()),
            _ if !deadline.passed() => deadline.sleep(POLL_INTERVAL),
            Ok(member) => return Err(NotConfirmed::Still { node: node.clone(), member }),
            Err(error) => return Err(NotConfirmed::Unread { node: node.clone(), error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Success is what was read back: `stonith_admin --confirm` succeeds for a name that no node has, and while the cluster's
    /// state is written.
    #[test]
    fn a_node_is_confirmed_when_pacemaker_no_longer_has_it_unclean() {
        let node = PacemakerName::of_test("n3");
        let mut answers = vec![Ok(Membership::Absent), Err(PacemakerError::NotHere), Ok(Membership::Unclean)];
        let long = Deadline::after(Duration::from_secs(600));
        read_back(&node, || answers.pop().unwrap(), long).unwrap();
        assert!(answers.is_empty(), "it was asked again");
        let over = Deadline::after(Duration::ZERO);
        for member in [Membership::Unclean, Membership::Unknown, Membership::Online, Membership::Pending] {
            let why = read_back(&node, || Ok(member), over).unwrap_err();
            assert!(matches!(why, NotConfirmed::Still { .. }), "{why}");
        }
        let unread = read_back(&node, || Err(PacemakerError::NotHere), over).unwrap_err();
        assert!(unread.to_string().contains("n3 is not known"), "{unread}");
    }
}
