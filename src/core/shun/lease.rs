//! Decides whether an armed node may go on: the one decision of self-fencing. It touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::lease_times::LeaseTimes;

/// The answer of one candidate in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateAnswer {
    /// Its confd answered this round's question, signed, with a role that may run: it grants the lease.
    Granted,
    /// Its confd answered, signed, that this node is recorded offline: it denies the lease.
    Denied,
    /// Its confd did not answer, and its self-fence daemon answered this round's signed echo. A kernel that shuns this
    /// node drops the echo, so the candidate does not shun it. Without the echo a fault of confd everywhere, such as an
    /// upgrade that stops all of Ganeti's daemons, would reset every node at once. A candidate without a self-fence
    /// daemon is [`CandidateAnswer::Silent`] then.
    Alive,
    /// No answer that counts. Like a denial, it grants no lease.
    Silent,
}

impl CandidateAnswer {
    /// Returns whether the answer grants a lease to a node that had one before.
    #[must_use]
    pub const fn grants(self) -> bool {
        matches!(self, Self::Granted | Self::Alive)
    }
}

/// The lease of this node.
///
/// It counts from the moment when the questions were *sent*. However long a question was on its way, a candidate that
/// shuns the node from some moment on has granted no question that was sent later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    length: Duration,
    candidates: BTreeSet<IpAddr>,
    granted_at: Option<Duration>,
}

impl Lease {
    /// Returns a lease that was not granted yet, with the candidates to ask.
    #[must_use]
    pub fn new(lease_times: LeaseTimes, candidates: BTreeSet<IpAddr>) -> Self {
        Self { length: Duration::from_millis(lease_times.lease_ms), candidates, granted_at: None }
    }

    /// Returns a lease that was granted to an earlier process of the service, by questions that were sent at
    /// `granted_at`.
    #[must_use]
    pub fn restored(lease_times: LeaseTimes, candidates: BTreeSet<IpAddr>, granted_at: Duration) -> Self {
        Self { granted_at: Some(granted_at), ..Self::new(lease_times, candidates) }
    }

    /// Uses `named` as the candidates whose majority counts, if the lease has none: their list could not be read when
    /// it began.
    pub fn begin_with(&mut self, named: &BTreeSet<IpAddr>) {
        if self.candidates.is_empty() {
            self.candidates = named.clone();
        }
    }

    /// Returns when the questions were sent that the lease counts from, by the clock since boot; `None` if it was never
    /// granted.
    #[must_use]
    pub const fn granted_at(&self) -> Option<Duration> {
        self.granted_at
    }

    /// Returns the candidates whose majority counts.
    #[must_use]
    pub const fn candidates(&self) -> &BTreeSet<IpAddr> {
        &self.candidates
    }

    /// Evaluates the answers to the questions that were sent at `sent`, by the clock since boot. It may be called once
    /// or with each answer, also for an old round.
    ///
    /// `named` are the candidates that Ganeti names now. A list that differs from the current one replaces it only by a
    /// round with a majority of both. Otherwise a master that was cut off together with this node could write a list of
    /// the two.
    ///
    /// The first lease counts answers of confd only. A node may be shunned when it sends its question, and readmitted
    /// when its echo follows, while it is still recorded offline. A lease by that echo would be denied at once,
    /// and the node reset.
    pub fn round(&mut self, sent: Duration, named: &BTreeSet<IpAddr>, answers: &BTreeMap<IpAddr, CandidateAnswer>) {
        let is_first = self.granted_at.is_none();
        let counts =
            |answer: &CandidateAnswer| if is_first { *answer == CandidateAnswer::Granted } else { answer.grants() };
        let grants = |list: &BTreeSet<IpAddr>| {
            let granted = list.iter().filter(|candidate| answers.get(candidate).is_some_and(counts)).count();
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

    /// Returns whether a keepalive may be sent at `now`, which is read from the clock since boot in the moment before.
    #[must_use]
    pub fn is_valid(&self, now: Duration) -> bool {
        self.ends().is_some_and(|ends| now < ends)
    }

    /// Returns when the lease ends, by the clock since boot; `None` if it was never granted.
    #[must_use]
    pub fn ends(&self) -> Option<Duration> {
        self.granted_at.map(|sent| sent + self.length)
    }
}

/// Returns how many of `count` candidates are a strict majority; of no candidates no number is.
#[must_use]
pub const fn majority(count: usize) -> usize {
    if count == 0 { usize::MAX } else { count / 2 + 1 }
}

/// Returns whether the candidates that do not shun the node are too few for a majority. `shunning` are those that shun
/// it. An empty list of candidates is never blocked.
#[must_use]
pub fn blocks(candidates: &BTreeSet<IpAddr>, shunning: &BTreeSet<IpAddr>) -> bool {
    let could_grant = candidates.difference(shunning).count();
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

    fn answers(answers: &[(u8, CandidateAnswer)]) -> BTreeMap<IpAddr, CandidateAnswer> {
        answers.iter().map(|(n, answer)| (IpAddr::from([192, 0, 2, *n]), *answer)).collect()
    }

    fn lease(numbers: &[u8]) -> Lease {
        let lease_times = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 0 };
        Lease::new(lease_times, list(numbers))
    }

    #[test]
    fn it_counts_from_the_sending_and_an_old_round_shortens_nothing() {
        let mut lease = lease(&[1, 2, 3]);
        assert!(!lease.is_valid(S(0)), "there never was one");
        lease.round(S(5), &list(&[1, 2, 3]), &answers(&[(1, CandidateAnswer::Granted), (2, CandidateAnswer::Granted)]));
        assert_eq!(lease.ends(), Some(S(15)));
        assert!(lease.is_valid(S(14)) && !lease.is_valid(S(15)));
        lease.round(S(3), &list(&[1, 2, 3]), &answers(&[(1, CandidateAnswer::Granted), (3, CandidateAnswer::Granted)]));
        assert_eq!(lease.ends(), Some(S(15)));
    }

    /// A lease is lost only with the majority of all candidates, never by the answer of one.
    #[test]
    fn half_is_no_majority_and_one_denial_is_no_loss() {
        for (answers, granted) in [
            (
                answers(&[
                    (1, CandidateAnswer::Granted),
                    (2, CandidateAnswer::Granted),
                    (3, CandidateAnswer::Silent),
                    (4, CandidateAnswer::Silent),
                ]),
                false,
            ),
            (
                answers(&[
                    (1, CandidateAnswer::Granted),
                    (2, CandidateAnswer::Granted),
                    (3, CandidateAnswer::Granted),
                    (4, CandidateAnswer::Denied),
                ]),
                true,
            ),
            (
                answers(&[
                    (1, CandidateAnswer::Denied),
                    (2, CandidateAnswer::Denied),
                    (3, CandidateAnswer::Granted),
                    (4, CandidateAnswer::Granted),
                ]),
                false,
            ),
            (
                answers(&[(7, CandidateAnswer::Granted), (8, CandidateAnswer::Granted), (9, CandidateAnswer::Granted)]),
                false,
            ),
        ] {
            let mut lease = lease(&[1, 2, 3, 4]);
            lease.round(S(1), &list(&[1, 2, 3, 4]), &answers);
            assert_eq!(lease.is_valid(S(2)), granted, "{answers:?}");
        }
        let mut unasked = lease(&[]);
        unasked.round(S(1), &list(&[]), &answers(&[]));
        assert!(!unasked.is_valid(S(1)));
    }

    /// A signed denial grants nothing, also to a node that had a lease.
    #[test]
    fn a_denial_renews_nothing() {
        let mut lease = lease(&[1, 2, 3]);
        lease.round(S(1), &list(&[1, 2, 3]), &answers(&[(1, CandidateAnswer::Granted), (2, CandidateAnswer::Granted)]));
        lease.round(
            S(5),
            &list(&[1, 2, 3]),
            &answers(&[(1, CandidateAnswer::Granted), (2, CandidateAnswer::Denied), (3, CandidateAnswer::Denied)]),
        );
        assert_eq!(lease.ends(), Some(S(11)));
    }

    /// If all confds stop for an upgrade while all hosts run, no host is reset.
    #[test]
    fn a_fault_of_confd_everywhere_ends_no_role() {
        let mut lease = lease(&[1, 2, 3]);
        lease.round(S(1), &list(&[1, 2, 3]), &answers(&[(1, CandidateAnswer::Granted), (2, CandidateAnswer::Granted)]));
        lease.round(S(5), &list(&[1, 2, 3]), &answers(&[(1, CandidateAnswer::Alive), (2, CandidateAnswer::Alive)]));
        assert!(lease.is_valid(S(14)));
    }

    /// A node was readmitted while Ganeti still had it recorded offline. Its question came before the readmission, its
    /// echo after it, and the next question was answered with "offline": its self-fencing reset it.
    #[test]
    fn no_echo_begins_a_lease() {
        let mut lease = lease(&[1, 2, 3]);
        for answers in [
            answers(&[(1, CandidateAnswer::Alive), (2, CandidateAnswer::Alive), (3, CandidateAnswer::Alive)]),
            answers(&[(1, CandidateAnswer::Alive), (2, CandidateAnswer::Alive), (3, CandidateAnswer::Granted)]),
        ] {
            lease.round(S(1), &list(&[1, 2, 3]), &answers);
            assert_eq!(lease.ends(), None, "{answers:?}");
        }
        lease.round(
            S(2),
            &list(&[1, 2, 3]),
            &answers(&[(1, CandidateAnswer::Granted), (2, CandidateAnswer::Denied), (3, CandidateAnswer::Granted)]),
        );
        assert_eq!(lease.ends(), Some(S(12)));
    }

    /// A master that was cut off together with this node can write any list of candidates.
    #[test]
    fn a_shorter_list_needs_the_longer_ones_majority() {
        let mut lease = lease(&[1, 2, 3]);
        lease.round(S(1), &list(&[1]), &answers(&[(1, CandidateAnswer::Granted)]));
        assert!(!lease.is_valid(S(2)));
        assert_eq!(*lease.candidates(), list(&[1, 2, 3]));
        lease.round(S(2), &list(&[1, 2]), &answers(&[(1, CandidateAnswer::Granted), (2, CandidateAnswer::Granted)]));
        assert_eq!(*lease.candidates(), list(&[1, 2]));
    }

    /// Otherwise self-fencing would go by a list of which no majority has granted the lease.
    #[test]
    fn a_list_comes_into_force_by_a_majority_of_its_own_too() {
        let mut lease = lease(&[1, 2, 3]);
        let answers =
            answers(&[(1, CandidateAnswer::Granted), (2, CandidateAnswer::Granted), (5, CandidateAnswer::Granted)]);
        lease.round(S(1), &list(&[4, 5, 6]), &answers);
        assert!(lease.is_valid(S(2)));
        assert_eq!(*lease.candidates(), list(&[1, 2, 3]));
    }

    /// Of an unknown list it is unknown that no majority of it can grant.
    #[test]
    fn an_empty_list_is_never_blocked() {
        assert!(!blocks(&list(&[]), &list(&[1, 2])));
        assert!(blocks(&list(&[1]), &list(&[1, 2])));
    }

    /// A list that could not be read for a moment must not stop self-fencing for ever, nor be replaced by another one
    /// later.
    #[test]
    fn one_that_began_without_candidates_takes_the_first_that_are_named() {
        let mut lease = lease(&[]);
        lease.begin_with(&list(&[1, 2, 3]));
        lease.begin_with(&list(&[1]));
        lease.begin_with(&list(&[]));
        assert_eq!(*lease.candidates(), list(&[1, 2, 3]));
    }

    proptest! {
        /// Candidates that block leave no lease, whatever the others answer.
        #[test]
        fn who_blocks_is_enough(numbers in proptest::collection::btree_set(0u8..9, 0..9), shunning in proptest::collection::btree_set(0u8..9, 0..9)) {
            let candidates = list(&numbers.iter().copied().collect::<Vec<_>>());
            let shunning = list(&shunning.into_iter().collect::<Vec<_>>());
            let answers = candidates.difference(&shunning).map(|candidate| (*candidate, CandidateAnswer::Granted)).collect();
            let mut lease = lease(&numbers.into_iter().collect::<Vec<_>>());
            lease.round(S(1), &candidates, &answers);
            prop_assert_eq!(lease.is_valid(S(1)), !blocks(&candidates, &shunning) && !candidates.is_empty());
        }
    }
}
