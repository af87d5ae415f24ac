//! Whether a human's word that a node is off can be taken: not against what is seen.

use super::reconcile::Membership;

/// What is seen of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// It is the host that is asked.
    pub is_here: bool,
    /// Pacemaker's view.
    pub member: Membership,
    /// Something at its address takes or refuses connections.
    pub answers: bool,
}

/// What speaks against the word; silence speaks for nothing, and against nothing.
#[must_use]
pub const fn why_not(seen: Seen) -> Option<&'static str> {
    if seen.is_here {
        return Some("it is this host, and it runs");
    }
    if seen.member.is_member() {
        return Some("it is a member of Pacemaker's cluster: it runs");
    }
    if seen.answers {
        return Some("something at its address takes or refuses connections: it runs");
    }
    if matches!(seen.member, Membership::Unknown) {
        return Some("Pacemaker does not know it");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "A misspelt name": what is seen running is off at nobody's word.
    #[test]
    fn no_word_stands_against_what_is_seen() {
        let dead = Seen { is_here: false, member: Membership::Unclean, answers: false };
        assert_eq!(why_not(dead), None);
        assert_eq!(why_not(Seen { member: Membership::Absent, ..dead }), None);
        assert!(why_not(Seen { is_here: true, ..dead }).is_some());
        assert!(why_not(Seen { answers: true, ..dead }).is_some());
        for member in [
            Membership::Unknown,
            Membership::Pending,
            Membership::Online,
            Membership::Standby,
            Membership::ShuttingDown,
        ] {
            assert!(why_not(Seen { member, ..dead }).is_some(), "{member:?}");
        }
    }
}
