//! Whether an armed node may run on: the one decision of self-fencing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::lease_times::LeaseTimes;

/// What one candidate said in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateAnswer {
    /// Its confd answered, signed and to this round's question, with a role that may run.
    MayRun,
    /// Its confd answered, signed, that this node is recorded offline.
    Refuses,
    /// Its confd is silent, and its self-fence daemon answered this round's echo, signed: a kernel that shuns this node drops the echo,
    /// so it does not. Without it a fault of confd everywhere, an upgrade that stops all daemons of Ganeti, would end every node at
    /// once. A candidate whose self-fence daemon does not run is silent.
    Alive,
    /// Nothing.
    Silent,
}

impl CandidateAnswer {
    /// Whether it lets a node run that was let run before.
    #[must_use]
    pub const fn grants(self) -> bool {
        matches!(self, Self::MayRun | Self::Alive)
    }
}

/// The lease of this node.
///
/// It counts from the moment when the questions were *sent*: whatever was on its way, and however long, a candidate that
/// refuses from some moment on has granted nothing that was sent later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    length: Duration,
    candidates: BTreeSet<IpAddr>,
    granted_at: Option<Duration>,
}

impl Lease {
    /// None yet, with the candidates to ask.
    #[must_use]
    pub fn new(terms: LeaseTimes, candidates: BTreeSet<IpAddr>) -> Self {
        Self { length: Duration::from_millis(terms.lease_ms), candidates, granted_at: None }
    }

    /// One that was granted before, to a process that is gone: by questions sent at `granted_at`.
    #[must_use]
    pub fn restored(terms: LeaseTimes, candidates: BTreeSet<IpAddr>, granted_at: Duration) -> Self {
        Self { granted_at: Some(granted_at), ..Self::new(terms, candidates) }
    }

    /// Takes `named` for the candidates whose majority counts, if none are in force: what could not be read when it began.
    pub fn begin_with(&mut self, named: &BTreeSet<IpAddr>) {
        if self.candidates.is_empty() {
            self.candidates = named.clone();
        }
    }

    /// When the questions were sent that it counts from.
    #[must_use]
    pub const fn granted_at(&self) -> Option<Duration> {
        self.granted_at
    }

    /// The candidates whose majority counts.
    #[must_use]
    pub const fn candidates(&self) -> &BTreeSet<IpAddr> {
        &self.candidates
    }

    /// Takes in what was said to the questions that were sent at `sent`, by the clock since boot; once or as often as
    /// answers come in, of an old round too.
    ///
    /// `named` are the candidates that Ganeti names now. Another list than the one in force comes into force only by a
    /// round that has a majority of both: else a master that was cut off with this node could make a list of the two.
    ///
    /// The first lease takes signed words only. A node that is let in again while Ganeti still has it offline may be refused
    /// when it asks and readmitted when its echo follows: a lease by that would be taken from it at once, and it be reset.
    pub fn round(&mut self, sent: Duration, named: &BTreeSet<IpAddr>, words: &BTreeMap<IpAddr, CandidateAnswer>) {
        let is_first = self.granted_at.is_none();
        let counts = |word: &CandidateAnswer| if is_first { *word == CandidateAnswer::MayRun } else { word.grants() };
        let grants = |list: &BTreeSet<IpAddr>| {
            let granted = list.iter().filter(|candidate| words.get(candidate).is_some_and(counts)).count();
            granted >= majority(list.len())
        };
        if !grants(&self.candidates) {
            return;
        }
        self.granted_at = self.granted_at.max(Some(sent));
        if *named != self.candidates && !named.is_empty() && grants(named) {
            self.candidates = named.clone();
        }
    }

    /// Whether the watchdog may be petted at `now`, read from the clock since boot in the moment before.
    #[must_use]
    pub fn may_pet(&self, now: Duration) -> bool {
        self.ends().is_some_and(|ends| now < ends)
    }

    /// When it ends, by the clock since boot; none: there never was one.
    #[must_use]
    pub fn ends(&self) -> Option<Duration> {
        self.granted_at.map(|sent| sent + self.length)
    }
}

/// How many of `count` are more than half; of none, nobody is.
#[must_use]
pub const fn majority(count: usize) -> usize {
    if count == 0 { usize::MAX } else { count / 2 + 1 }
}

/// Whether no majority of `candidates` is left that could grant, when those in `refusing` do not.
#[must_use]
pub fn blocks(candidates: &BTreeSet<IpAddr>, refusing: &BTreeSet<IpAddr>) -> bool {
    let could_grant = candidates.difference(refusing).count();
    !candidates.is_empty() && could_grant < majority(candidates.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn list(numbers: &[u8]) -> BTreeSet<IpAddr> {
        numbers.iter().map(|n| IpAddr::from([192, 0, 2, *n])).collect()
    }

    fn said(words: &[(u8, CandidateAnswer)]) -> BTreeMap<IpAddr, CandidateAnswer> {
        words.iter().map(|(n, word)| (IpAddr::from([192, 0, 2, *n]), *word)).collect()
    }

    fn lease(numbers: &[u8]) -> Lease {
        let terms = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 0 };
        Lease::new(terms, list(numbers))
    }

    #[test]
    fn it_counts_from_the_sending_and_an_old_round_shortens_nothing() {
        let mut lease = lease(&[1, 2, 3]);
        assert!(!lease.may_pet(S(0)), "there never was one");
        lease.round(S(5), &list(&[1, 2, 3]), &said(&[(1, CandidateAnswer::MayRun), (2, CandidateAnswer::MayRun)]));
        assert_eq!(lease.ends(), Some(S(15)));
        assert!(lease.may_pet(S(14)) && !lease.may_pet(S(15)));
        lease.round(S(3), &list(&[1, 2, 3]), &said(&[(1, CandidateAnswer::MayRun), (3, CandidateAnswer::MayRun)]));
        assert_eq!(lease.ends(), Some(S(15)));
    }

    /// "Loss means loss of a majority of all candidates, never a peer's opinion."
    #[test]
    fn half_is_no_majority_and_one_refusal_is_no_loss() {
        for (words, granted) in [
            (
                said(&[
                    (1, CandidateAnswer::MayRun),
                    (2, CandidateAnswer::MayRun),
                    (3, CandidateAnswer::Silent),
                    (4, CandidateAnswer::Silent),
                ]),
                false,
            ),
            (
                said(&[
                    (1, CandidateAnswer::MayRun),
                    (2, CandidateAnswer::MayRun),
                    (3, CandidateAnswer::MayRun),
                    (4, CandidateAnswer::Refuses),
                ]),
                true,
            ),
            (
                said(&[
                    (1, CandidateAnswer::Refuses),
                    (2, CandidateAnswer::Refuses),
                    (3, CandidateAnswer::MayRun),
                    (4, CandidateAnswer::MayRun),
                ]),
                false,
            ),
            (said(&[(7, CandidateAnswer::MayRun), (8, CandidateAnswer::MayRun), (9, CandidateAnswer::MayRun)]), false),
        ] {
            let mut lease = lease(&[1, 2, 3, 4]);
            lease.round(S(1), &list(&[1, 2, 3, 4]), &words);
            assert_eq!(lease.may_pet(S(2)), granted, "{words:?}");
        }
        let mut nobody = lease(&[]);
        nobody.round(S(1), &list(&[]), &said(&[]));
        assert!(!nobody.may_pet(S(1)));
    }

    /// Who refuses has said so with a signature: it is no word for the node, not even for one that had a lease.
    #[test]
    fn a_refusal_renews_nothing() {
        let mut lease = lease(&[1, 2, 3]);
        lease.round(S(1), &list(&[1, 2, 3]), &said(&[(1, CandidateAnswer::MayRun), (2, CandidateAnswer::MayRun)]));
        lease.round(
            S(5),
            &list(&[1, 2, 3]),
            &said(&[(1, CandidateAnswer::MayRun), (2, CandidateAnswer::Refuses), (3, CandidateAnswer::Refuses)]),
        );
        assert_eq!(lease.ends(), Some(S(11)));
    }

    /// All confds down by an upgrade, all hosts there: nobody is ended.
    #[test]
    fn a_fault_of_confd_everywhere_ends_nobody() {
        let mut lease = lease(&[1, 2, 3]);
        lease.round(S(1), &list(&[1, 2, 3]), &said(&[(1, CandidateAnswer::MayRun), (2, CandidateAnswer::MayRun)]));
        lease.round(S(5), &list(&[1, 2, 3]), &said(&[(1, CandidateAnswer::Alive), (2, CandidateAnswer::Alive)]));
        assert!(lease.may_pet(S(14)));
    }

    /// A host that was let in again, and that Ganeti still had offline, was reset by its self-fencing: its question had come before it
    /// was let in, its echo after that, and the next question was answered with "offline".
    #[test]
    fn no_echo_begins_a_lease() {
        let mut lease = lease(&[1, 2, 3]);
        for words in [
            said(&[(1, CandidateAnswer::Alive), (2, CandidateAnswer::Alive), (3, CandidateAnswer::Alive)]),
            said(&[(1, CandidateAnswer::Alive), (2, CandidateAnswer::Alive), (3, CandidateAnswer::MayRun)]),
        ] {
            lease.round(S(1), &list(&[1, 2, 3]), &words);
            assert_eq!(lease.ends(), None, "{words:?}");
        }
        lease.round(
            S(2),
            &list(&[1, 2, 3]),
            &said(&[(1, CandidateAnswer::MayRun), (2, CandidateAnswer::Refuses), (3, CandidateAnswer::MayRun)]),
        );
        assert_eq!(lease.ends(), Some(S(12)));
    }

    /// A master that was cut off together with this node can write what it likes into the list.
    #[test]
    fn a_shorter_list_needs_the_longer_ones_majority() {
        let mut lease = lease(&[1, 2, 3]);
        lease.round(S(1), &list(&[1]), &said(&[(1, CandidateAnswer::MayRun)]));
        assert!(!lease.may_pet(S(2)));
        assert_eq!(*lease.candidates(), list(&[1, 2, 3]));
        lease.round(S(2), &list(&[1, 2]), &said(&[(1, CandidateAnswer::MayRun), (2, CandidateAnswer::MayRun)]));
        assert_eq!(*lease.candidates(), list(&[1, 2]));
    }

    /// Else self-fencing would go by a list of which nobody has let the node run.
    #[test]
    fn a_list_comes_into_force_by_a_majority_of_its_own_too() {
        let mut lease = lease(&[1, 2, 3]);
        let words = said(&[(1, CandidateAnswer::MayRun), (2, CandidateAnswer::MayRun), (5, CandidateAnswer::MayRun)]);
        lease.round(S(1), &list(&[4, 5, 6]), &words);
        assert!(lease.may_pet(S(2)));
        assert_eq!(*lease.candidates(), list(&[1, 2, 3]));
    }

    /// Of a list that is not known nobody can say that no majority of it grants.
    #[test]
    fn an_empty_list_is_blocked_by_nobody() {
        assert!(!blocks(&list(&[]), &list(&[1, 2])));
        assert!(blocks(&list(&[1]), &list(&[1, 2])));
    }

    /// A list that cannot be read for a moment is no reason to wait for ever, nor to take another one later.
    #[test]
    fn one_that_began_without_candidates_takes_the_first_that_are_named() {
        let mut lease = lease(&[]);
        lease.begin_with(&list(&[1, 2, 3]));
        lease.begin_with(&list(&[1]));
        lease.begin_with(&list(&[]));
        assert_eq!(*lease.candidates(), list(&[1, 2, 3]));
    }

    proptest! {
        /// What blocks leaves no lease, whoever else grants.
        #[test]
        fn who_blocks_is_enough(numbers in proptest::collection::btree_set(0u8..9, 0..9), refusing in proptest::collection::btree_set(0u8..9, 0..9)) {
            let candidates = list(&numbers.iter().copied().collect::<Vec<_>>());
            let refusing = list(&refusing.into_iter().collect::<Vec<_>>());
            let words = candidates.difference(&refusing).map(|candidate| (*candidate, CandidateAnswer::MayRun)).collect();
            let mut lease = lease(&numbers.into_iter().collect::<Vec<_>>());
            lease.round(S(1), &candidates, &words);
            prop_assert_eq!(lease.may_pet(S(1)), !blocks(&candidates, &refusing) && !candidates.is_empty());
        }
    }
}
