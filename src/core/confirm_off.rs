//! Whether a human's word that a node is off can be taken: not against what is seen.

use super::reconcile::Membership;

/// What is seen of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeEvidence {
    /// It is the host that is asked.
    pub is_here: bool,
    /// Pacemaker's view.
    pub member: Membership,
    /// Something at its address takes or refuses connections.
    pub answers: bool,
    /// It was asked, and its silence is not this host's own refusal.
    pub was_asked: bool,
}

/// What speaks against the word; silence speaks for nothing, and against nothing.
#[must_use]
pub const fn objection(seen: NodeEvidence) -> Option<&'static str> {
    if seen.is_here {
        return Some("it is this host, and it runs");
    }
    if seen.member.is_member() {
        return Some("it is a member of Pacemaker's cluster: it runs");
    }
    if seen.answers {
        return Some("something at its address takes or refuses connections: it runs");
    }
    // Pacemaker may know it by another name, so its silence is all that speaks for the word.
    if matches!(seen.member, Membership::Unknown) && !seen.was_asked {
        return Some("Pacemaker does not know it, and this host refuses it, so that nobody can tell whether it runs");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "A misspelt name": what is seen running is off at nobody's word.
    #[test]
    fn no_word_stands_against_what_is_seen() {
        let dead = NodeEvidence { is_here: false, member: Membership::Unclean, answers: false, was_asked: false };
        assert_eq!(objection(dead), None);
        assert_eq!(objection(NodeEvidence { member: Membership::Absent, ..dead }), None);
        assert!(objection(NodeEvidence { is_here: true, ..dead }).is_some());
        assert!(objection(NodeEvidence { answers: true, ..dead }).is_some());
        for member in [Membership::Pending, Membership::Online, Membership::Standby, Membership::ShuttingDown] {
            assert!(objection(NodeEvidence { member, ..dead }).is_some(), "{member:?}");
        }
    }

    /// One that was taken out of Pacemaker, and not yet out of Ganeti, kept the role from everybody: nothing could prove it off.
    #[test]
    fn a_node_that_pacemaker_does_not_know_is_off_at_a_word_if_it_was_asked_and_is_silent() {
        let unknown = NodeEvidence { is_here: false, member: Membership::Unknown, answers: false, was_asked: true };
        assert_eq!(objection(unknown), None);
        assert!(objection(NodeEvidence { answers: true, ..unknown }).is_some());
        assert!(objection(NodeEvidence { was_asked: false, ..unknown }).is_some());
    }
}
