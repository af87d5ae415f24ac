//! How a peer stands to the node that is shunned: by what it answers, by what is remembered of it, by what it serves.

use super::list::{Epoch, ShunScope};
use super::verdict::PeerState;
use crate::core::grade::Grade;

/// What is known of a peer.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What it answers; an error: it did not, and why.
    pub answer: Result<Answer<'a>, &'a str>,
    /// How it is proven to have stopped itself, and by whom, if that memory still holds ([`super::memory`]).
    pub proven: Option<(Grade, &'a str)>,
    /// Ganeti has it recorded offline, and it was not readmitted since.
    pub recorded_offline: bool,
    /// It serves any channel of the node that is shunned.
    pub serves: bool,
}

/// What a peer says of the node that is shunned.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// Its kernel refuses every address of it, in this epoch.
    pub refuses: Option<Epoch>,
    /// As far as this.
    pub reach: ShunScope,
    /// By these rules.
    pub ruleset_id: &'a str,
    /// Why it does not.
    pub why_not: &'a str,
}

/// How it stands. Whoever answers is never proven off, nor left out as one that serves nothing.
#[must_use]
pub fn stand(facts: &Facts<'_>) -> PeerState {
    match (&facts.answer, facts.proven) {
        (Ok(answer), _) => match answer.refuses {
            Some(epoch) => PeerState::Refuses { epoch, ruleset_id: answer.ruleset_id.to_owned(), reach: answer.reach },
            None => PeerState::Unconfirmed(format!("does not refuse it: {}", answer.why_not)),
        },
        (Err(_), Some((grade, by))) if grade >= Grade::Bounded => PeerState::ProvenOff(format!("{grade}, by {by}")),
        // Ganeti records a node offline on proof only, or at a person's word.
        (Err(_), _) if facts.recorded_offline => PeerState::ProvenOff("recorded offline".to_owned()),
        (Err(_), _) if !facts.serves => PeerState::ServesNothing,
        (Err(why), _) => PeerState::Unconfirmed(format!("does not say that it refuses it: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Answer<'static> =
        Answer { refuses: Some(Epoch(1)), reach: ShunScope::Everything, ruleset_id: "a", why_not: "it is readmitted" };

    fn silent() -> Facts<'static> {
        Facts { answer: Err("no answer"), proven: None, recorded_offline: false, serves: true }
    }

    #[test]
    fn who_answers_is_taken_by_the_answer_alone() {
        let facts = |refuses| Facts {
            answer: Ok(Answer { refuses, ..ANSWER }),
            proven: Some((Grade::Off, "x")),
            recorded_offline: true,
            serves: false,
        };
        assert!(matches!(stand(&facts(Some(Epoch(1)))), PeerState::Refuses { .. }));
        assert!(matches!(stand(&facts(None)), PeerState::Unconfirmed(_)));
    }

    #[test]
    fn who_is_silent_counts_by_proof_or_because_nothing_depends_on_it() {
        assert!(matches!(stand(&silent()), PeerState::Unconfirmed(_)));
        for grade in [Grade::Unknown, Grade::Isolated] {
            assert!(
                matches!(stand(&Facts { proven: Some((grade, "x")), ..silent() }), PeerState::Unconfirmed(_)),
                "{grade}"
            );
        }
        for grade in [Grade::Bounded, Grade::Off] {
            assert!(
                matches!(stand(&Facts { proven: Some((grade, "x")), ..silent() }), PeerState::ProvenOff(_)),
                "{grade}"
            );
        }
        assert!(matches!(stand(&Facts { recorded_offline: true, ..silent() }), PeerState::ProvenOff(_)));
        assert_eq!(stand(&Facts { serves: false, ..silent() }), PeerState::ServesNothing);
    }
}
