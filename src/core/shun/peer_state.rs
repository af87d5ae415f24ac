//! Decides the state of a peer towards the node that is shunned: by its answer, by what is remembered of it, and by
//! whether it serves the node. It touches nothing.

use super::evaluation::PeerState;
use super::list::{Epoch, ShunScope};
use crate::core::grade::Grade;

/// The facts that are known of a peer.
#[derive(Clone, Debug)]
pub struct PeerFacts<'a> {
    /// Its answer; as an error why it did not answer.
    pub answer: Result<Answer<'a>, &'a str>,
    /// The grade of the proof that it has stopped, and the source, if that memory still holds ([`super::memory`]).
    pub proven: Option<(Grade, &'a str)>,
    /// Whether it is recorded offline and it was not readmitted since.
    pub recorded_offline: bool,
    /// Whether it gives the shunned node anything: one of the two is a master candidate, or they share a DRBD disk.
    pub serves: bool,
}

/// The answer of a peer about the node that is shunned.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The epoch in which its kernel shuns every address of the node; `None` if it does not.
    pub shuns: Option<Epoch>,
    /// The scope in which it shuns the node.
    pub scope: ShunScope,
    /// The ruleset id of its rules.
    pub ruleset_id: &'a str,
    /// Why it does not shun the node.
    pub objection: &'a str,
}

/// Returns the state of the peer. A peer that answers is never taken as proven off, nor left out as one that serves
/// nothing.
#[must_use]
pub fn peer_state(facts: &PeerFacts<'_>) -> PeerState {
    match (&facts.answer, facts.proven) {
        (Ok(answer), _) => match answer.shuns {
            Some(epoch) => PeerState::Shuns { epoch, ruleset_id: answer.ruleset_id.to_owned(), scope: answer.scope },
            None => PeerState::Unconfirmed(format!("does not shun it: {}", answer.objection)),
        },
        (Err(_), Some((grade, by))) if grade >= Grade::Bounded => PeerState::ProvenOff(format!("{grade}, by {by}")),
        // A node is recorded offline only on proof, or because an administrator recorded it.
        (Err(_), _) if facts.recorded_offline => PeerState::ProvenOff("recorded offline".to_owned()),
        (Err(_), _) if !facts.serves => PeerState::ServesNothing,
        (Err(why), _) => PeerState::Unconfirmed(format!("does not confirm that it shuns it: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Answer<'static> =
        Answer { shuns: Some(Epoch(1)), scope: ShunScope::All, ruleset_id: "a", objection: "it is readmitted" };

    fn silent() -> PeerFacts<'static> {
        PeerFacts { answer: Err("no answer"), proven: None, recorded_offline: false, serves: true }
    }

    #[test]
    fn who_answers_is_taken_by_the_answer_alone() {
        let facts = |shuns| PeerFacts {
            answer: Ok(Answer { shuns, ..ANSWER }),
            proven: Some((Grade::Off, "x")),
            recorded_offline: true,
            serves: false,
        };
        assert!(matches!(peer_state(&facts(Some(Epoch(1)))), PeerState::Shuns { .. }));
        assert!(matches!(peer_state(&facts(None)), PeerState::Unconfirmed(_)));
    }

    #[test]
    fn who_is_silent_counts_by_proof_or_because_nothing_depends_on_it() {
        assert!(matches!(peer_state(&silent()), PeerState::Unconfirmed(_)));
        for grade in [Grade::Unknown, Grade::Isolated] {
            assert!(
                matches!(peer_state(&PeerFacts { proven: Some((grade, "x")), ..silent() }), PeerState::Unconfirmed(_)),
                "{grade}"
            );
        }
        for grade in [Grade::Bounded, Grade::Off] {
            assert!(
                matches!(peer_state(&PeerFacts { proven: Some((grade, "x")), ..silent() }), PeerState::ProvenOff(_)),
                "{grade}"
            );
        }
        assert!(matches!(peer_state(&PeerFacts { recorded_offline: true, ..silent() }), PeerState::ProvenOff(_)));
        assert_eq!(peer_state(&PeerFacts { serves: false, ..silent() }), PeerState::ServesNothing);
    }
}
