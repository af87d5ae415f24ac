//! Decides for how long a memory of a shunned node holds: until a majority of the master candidates may have readmitted
//! it. It touches nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::lease::{blocks, majority};
use super::list::Epoch;

/// A reason why a memory of a shunned node, or a readmission, does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// A node that answers has a greater epoch.
    #[error("{from} has a later epoch, {later}, than the one that is remembered here, {remembered}")]
    LaterEpoch {
        /// The address of the node that answers.
        from: IpAddr,
        /// The epoch of that node.
        later: Epoch,
        /// The epoch that this host remembers.
        remembered: Epoch,
    },
    /// The candidates that do not answer are enough for a readmission.
    #[error("{answered} of {candidates} master candidates answer: the others may have readmitted it")]
    TooFewAnswers {
        /// The number of candidates that answer.
        answered: usize,
        /// The number of all candidates.
        candidates: usize,
    },
    /// Too few candidates have the readmission on their disks.
    #[error("{informed} of {candidates} master candidates have stored the readmission, and a majority is needed")]
    TooFewInformed {
        /// The number of candidates that have it.
        informed: usize,
        /// The number of all candidates.
        candidates: usize,
    },
}

/// Checks that this host's memory of a shunned node, in `epoch`, still holds. No node that answers may have a greater
/// epoch, and so many candidates must answer that the others are too few for a majority that could have readmitted it.
///
/// # Errors
/// [`MemoryError::LaterEpoch`] or [`MemoryError::TooFewAnswers`] if the memory may not hold.
pub fn still_holds(
    epoch: Epoch,
    answered: &[(IpAddr, Epoch)],
    candidates: &BTreeSet<IpAddr>,
) -> Result<(), MemoryError> {
    if let Some((from, later)) = answered.iter().find(|(_, theirs)| *theirs > epoch) {
        return Err(MemoryError::LaterEpoch { from: *from, later: *later, remembered: epoch });
    }
    let asked: BTreeSet<IpAddr> = answered.iter().map(|(from, _)| *from).collect();
    if !blocks(candidates, &asked) {
        return Err(MemoryError::TooFewAnswers {
            answered: candidates.intersection(&asked).count(),
            candidates: candidates.len(),
        });
    }
    Ok(())
}

/// Checks that so many candidates have a readmission that no memory of the shunning holds against it: `informed` have
/// it on their disks.
///
/// # Errors
/// [`MemoryError::TooFewInformed`] if these candidates are not a majority.
pub fn is_known_to_enough(informed: &BTreeSet<IpAddr>, candidates: &BTreeSet<IpAddr>) -> Result<(), MemoryError> {
    let count = candidates.intersection(informed).count();
    // Without candidates no memory holds either ([`still_holds`]).
    if candidates.is_empty() || count >= majority(candidates.len()) {
        return Ok(());
    }
    Err(MemoryError::TooFewInformed { informed: count, candidates: candidates.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A remembered `bounded` proves nothing about the boot that was readmitted since.
    #[test]
    fn a_memory_holds_only_while_no_majority_can_have_readmitted_the_node() {
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        let candidates = BTreeSet::from([1, 2, 3].map(address));
        let of = |answers: &[(u8, u64)]| {
            let answered: Vec<_> = answers.iter().map(|(n, epoch)| (address(*n), Epoch(*epoch))).collect();
            still_holds(Epoch(1), &answered, &candidates)
        };
        assert_eq!(of(&[(1, 1), (2, 1)]), Ok(()));
        assert_eq!(of(&[(1, 1), (2, 0)]), Ok(()), "it does not know of the shunning yet");
        assert!(of(&[(1, 1), (2, 2)]).unwrap_err().to_string().contains("later epoch, 2"));
        assert!(of(&[(1, 1), (2, 1), (7, 2)]).is_err(), "no candidate, and it knows");
        assert!(of(&[(1, 1)]).unwrap_err().to_string().contains("1 of 3 master candidates"));
        assert!(of(&[(1, 1), (7, 1), (8, 1)]).is_err(), "an address that is not a candidate's counts for no majority");
        assert!(still_holds(Epoch(1), &[(address(1), Epoch(1))], &BTreeSet::new()).is_err());
    }

    proptest! {
        /// No memory holds against a readmission that was reported as done.
        #[test]
        fn a_readmission_and_a_memory_have_a_candidate_in_common(
            candidates in proptest::collection::btree_set(0u8..9, 1..9),
            informed in proptest::collection::btree_set(0u8..9, 0..9),
            answer in proptest::collection::btree_set(0u8..9, 0..9),
        ) {
            let addresses = |of: BTreeSet<u8>| -> BTreeSet<IpAddr> { of.into_iter().map(|n| IpAddr::from([192, 0, 2, n])).collect() };
            let (candidates, informed, answer) = (addresses(candidates), addresses(informed), addresses(answer));
            let epoch = |from: &IpAddr| if informed.contains(from) { Epoch(2) } else { Epoch(1) };
            let answered: Vec<_> = answer.iter().map(|from| (*from, epoch(from))).collect();
            let is_done = is_known_to_enough(&informed, &candidates).is_ok();
            prop_assert!(!(is_done && still_holds(Epoch(1), &answered, &candidates).is_ok()));
        }
    }
}
