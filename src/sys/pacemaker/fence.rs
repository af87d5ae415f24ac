//! Requests fencing from Pacemaker, and confirms that a node is off, with Pacemaker's own tool (stonith_admin(8)).

use std::path::Path;
use std::time::Duration;

use super::PacemakerError;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::reconcile::Membership;
use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run};

/// The interval between two reads of the node's state while a confirmation is awaited.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The fencing action that is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FencingRequest {
    /// `off`: the node stays off.
    Off,
    /// `reboot`: the node is switched off and on again.
    Reboot,
}

/// Requests the fencing of a node and waits for its end. The fencing itself may take `given`, in whole seconds.
///
/// # Errors
/// [`ProgramError`] if the node was not fenced, or the result is unknown.
pub fn fence(
    node: &PacemakerName,
    what: FencingRequest,
    given: Duration,
    deadline: Deadline,
) -> Result<(), ProgramError> {
    let option = match what {
        FencingRequest::Off => "--fence",
        FencingRequest::Reboot => "--reboot",
    };
    let seconds = given.as_secs().to_string();
    run(Path::new("stonith_admin"), &[option, node.as_str(), "--timeout", &seconds], &[], deadline).map(drop)
}

/// The reason why Pacemaker does not regard a node as off after the confirmation.
#[derive(Debug, thiserror::Error)]
pub enum NotConfirmed {
    /// The confirmation was not sent: the tool failed.
    #[error(transparent)]
    Tool(#[from] ProgramError),
    /// The tool succeeded, and Pacemaker's state of the node contradicts the confirmation.
    #[error("stonith_admin --confirm succeeded, and Pacemaker still has {node} {}", word(*member))]
    Still {
        /// The name of the node.
        node: PacemakerName,
        /// Pacemaker's state of the node.
        member: Membership,
    },
    /// The tool succeeded, and Pacemaker's state of the node cannot be read.
    #[error("stonith_admin --confirm succeeded, and what Pacemaker has of {node} is unknown: {error}")]
    Unread {
        /// The name of the node.
        node: PacemakerName,
        /// The error of the read.
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

/// Confirms to Pacemaker that a node is off, and returns when Pacemaker's state of the node shows it. Pacemaker accepts
/// a confirmation for any name; only the state shows that it applied to this node.
///
/// # Errors
/// [`NotConfirmed`] if the tool fails, or the state does not show the confirmation at the deadline.
pub fn confirm(node: &PacemakerName, deadline: Deadline) -> Result<(), NotConfirmed> {
    run(Path::new("stonith_admin"), &["--confirm", node.as_str()], &[], deadline)?;
    read_back(node, || super::status(deadline).map(|status| status.of(node)), deadline)
}

/// Waits until Pacemaker has the node gone and clean. Repeats a read that fails until the deadline.
fn read_back(
    node: &PacemakerName,
    mut read: impl FnMut() -> Result<Membership, PacemakerError>,
    deadline: Deadline,
) -> Result<(), NotConfirmed> {
    loop {
        match read() {
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

    /// Only the state that was read back counts as success. `stonith_admin --confirm` also succeeds for a name that no
    /// node has, and while the state is being written.
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
        assert!(unread.to_string().contains("n3 is unknown"), "{unread}");
    }
}
