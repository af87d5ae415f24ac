//! The check whether an administrator's confirmation that a node is off is accepted. It is not accepted if the node is
//! seen running. Pure.

use super::node::{Match, NodeName, compare};
use super::pacemaker::names::PacemakerName;
use super::reconcile::Membership;

/// The evidence about the node at the time of the confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfirmationEvidence {
    /// Whether the node is this host.
    pub is_here: bool,
    /// The node's state in Pacemaker.
    pub member: Membership,
    /// Whether a host at the node's address accepts or refuses connections.
    pub answers: bool,
    /// Whether the node was asked, and a missing answer cannot be the effect of this host's own shunning.
    pub was_asked: bool,
}

/// Returns why the confirmation is not accepted, if there is a reason. A missing answer is not a reason for or against.
#[must_use]
pub const fn objection(seen: ConfirmationEvidence) -> Option<&'static str> {
    if seen.is_here {
        return Some("it is this host, and it runs");
    }
    if seen.member.is_member() {
        return Some("it is a member of Pacemaker's cluster: it runs");
    }
    if seen.answers {
        return Some("a host at its address answers connections: it runs");
    }
    // Pacemaker may have the node by another name, so the missing answer alone supports the confirmation.
    if matches!(seen.member, Membership::Unknown) && !seen.was_asked {
        return Some("Pacemaker has no such node, and this host shuns it: no host can read whether it runs");
    }
    None
}

/// Returns a node that Pacemaker may have in the place of `node`, with another domain. Its name means none of Ganeti's
/// nodes `all`, and its short name is the same. A confirmation of `node` does not reach it.
#[must_use]
pub fn stranger<'a>(
    node: &NodeName,
    pacemaker: impl IntoIterator<Item = &'a PacemakerName>,
    all: &[NodeName],
) -> Option<&'a PacemakerName> {
    let is_stranger = |name: &PacemakerName| all.iter().all(|known| compare(name.name(), known, all) == Match::Other);
    pacemaker.into_iter().find(|name| is_stranger(name) && name.name().short().eq_ignore_ascii_case(node.short()))
}

/// Returns the nodes for which Pacemaker waits and whose names mean none of Ganeti's nodes `all`: one of them may be
/// the confirmed machine.
#[must_use]
pub fn unclean_strangers<'a>(
    pacemaker: impl IntoIterator<Item = (&'a PacemakerName, Membership)>,
    all: &[NodeName],
) -> Vec<PacemakerName> {
    let is_stranger = |name: &PacemakerName| all.iter().all(|known| compare(name.name(), known, all) == Match::Other);
    let strangers = pacemaker.into_iter().filter(|(name, member)| *member == Membership::Unclean && is_stranger(name));
    strangers.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `confirm-off` did not notify Pacemaker and exited with 0. Pacemaker had the node under the name of another domain,
    /// and it stayed UNCLEAN.
    #[test]
    fn a_node_that_pacemaker_may_have_by_another_name_is_found() {
        let all = ["n1.lab", "n3.lab", "n4.lab"].map(|name| NodeName::new(name).unwrap());
        let of = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| PacemakerName::of_test(name)).collect();
            stranger(&all[1], &names, &all).map(ToString::to_string)
        };
        assert_eq!(of(&["n1.lab", "N3.other"]).as_deref(), Some("N3.other"));
        assert_eq!(of(&["n1.lab", "db7", "n4", "n30.other"]), None, "another machine");
    }

    /// A node that Pacemaker has by an unrelated name stays UNCLEAN after its confirmation: the output names it.
    #[test]
    fn unclean_nodes_that_are_not_ganetis_are_named() {
        let all = ["n1.lab", "n3.lab"].map(|name| NodeName::new(name).unwrap());
        let names = ["n1.lab", "db7", "db8"].map(PacemakerName::of_test);
        let members = [Membership::Unclean, Membership::Unclean, Membership::Online];
        let found = unclean_strangers(names.iter().zip(members), &all);
        assert_eq!(found.iter().map(PacemakerName::as_str).collect::<Vec<_>>(), ["db7"]);
    }

    /// A misspelt name: a node that is seen running cannot be confirmed as off.
    #[test]
    fn a_node_that_is_seen_running_cannot_be_confirmed_off() {
        let dead =
            ConfirmationEvidence { is_here: false, member: Membership::Unclean, answers: false, was_asked: false };
        assert_eq!(objection(dead), None);
        assert_eq!(objection(ConfirmationEvidence { member: Membership::Absent, ..dead }), None);
        assert!(objection(ConfirmationEvidence { is_here: true, ..dead }).is_some());
        assert!(objection(ConfirmationEvidence { answers: true, ..dead }).is_some());
        for member in [Membership::Pending, Membership::Online, Membership::Standby, Membership::ShuttingDown] {
            assert!(objection(ConfirmationEvidence { member, ..dead }).is_some(), "{member:?}");
        }
    }

    /// A node that was removed from Pacemaker, and not yet from Ganeti, kept the master role from all nodes: nothing
    /// could prove it off.
    #[test]
    fn a_node_unknown_to_pacemaker_can_be_confirmed_off_if_it_was_asked_and_is_silent() {
        let unknown =
            ConfirmationEvidence { is_here: false, member: Membership::Unknown, answers: false, was_asked: true };
        assert_eq!(objection(unknown), None);
        assert!(objection(ConfirmationEvidence { answers: true, ..unknown }).is_some());
        assert!(objection(ConfirmationEvidence { was_asked: false, ..unknown }).is_some());
    }
}
