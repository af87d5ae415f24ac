//! Decides for how long a memory of a shunned node holds: until a majority of the master candidates may have readmitted
//! it. It touches nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::lease::{blocks, majority};
use super::list::Epoch;

/// Checks that this host's memory of a shunned node, in `epoch`, still holds. No node that answers may have a greater
/// epoch, and so many candidates must answer that the others are too few for a majority that could have readmitted it.
///
/// # Errors
/// A message with the greater epoch, or with the number of candidates that answer, if the memory may not hold.
pub fn still_holds(epoch: Epoch, answered: &[(IpAddr, Epoch)], candidates: &BTreeSet<IpAddr>) -> Result<(), String> {
    if let Some((from, later)) = answered.iter().find(|(_, theirs)| *theirs > epoch) {
        return Err(format!("{from} knows of a later epoch, {later}, than the one that is remembered here, {epoch}"));
    }
    let asked: BTreeSet<IpAddr> = answered.iter().map(|(from, _)| *from).collect();
    if !blocks(candidates, &asked) {
        return Err(format!(
            "{} of {} master candidates answer: the others may have readmitted it",
            candidates.intersection(&asked).count(),
            candidates.len()
        ));
    }
    Ok(())
}

/// Checks that so many candidates have a readmission that no memory of the shunning holds against it: `told` have it on
/// their disks.
///
/// # Errors
/// A message with the number of candidates that have it, if they are no majority.
pub fn is_known_to_enough(told: &BTreeSet<IpAddr>, candidates: &BTreeSet<IpAddr>) -> Result<(), String> {
    let count = candidates.intersection(told).count();
    // Without candidates no memory holds either ([`still_holds`]).
    if candidates.is_empty() || count >= majority(candidates.len()) {
        return Ok(());
    }
    Err(format!("{count} of {} master candidates have it on their disks, and a majority has to", candidates.len()))
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
        assert!(of(&[(1, 1), (2, 2)]).unwrap_err().contains("later epoch, 2"));
        assert!(of(&[(1, 1), (2, 1), (7, 2)]).is_err(), "no candidate, and it knows");
        assert!(of(&[(1, 1)]).unwrap_err().contains("1 of 3 master candidates"));
        assert!(of(&[(1, 1), (7, 1), (8, 1)]).is_err(), "who is no candidate says nothing of a majority");
        assert!(still_holds(Epoch(1), &[(address(1), Epoch(1))], &BTreeSet::new()).is_err());
    }

    proptest! {
        /// No memory holds against a readmission that was reported as done.
        #[test]
        fn a_readmission_and_a_memory_have_a_candidate_in_common(
            candidates in proptest::collection::btree_set(0u8..9, 1..9),
            told in proptest::collection::btree_set(0u8..9, 0..9),
            answer in proptest::collection::btree_set(0u8..9, 0..9),
        ) {
            let addresses = |of: BTreeSet<u8>| -> BTreeSet<IpAddr> { of.into_iter().map(|n| IpAddr::from([192, 0, 2, n])).collect() };
            let (candidates, told, answer) = (addresses(candidates), addresses(told), addresses(answer));
            let epoch = |from: &IpAddr| if told.contains(from) { Epoch(2) } else { Epoch(1) };
            let answered: Vec<_> = answer.iter().map(|from| (*from, epoch(from))).collect();
            let is_done = is_known_to_enough(&told, &candidates).is_ok();
            prop_assert!(!(is_done && still_holds(Epoch(1), &answered, &candidates).is_ok()));
        }
    }
}
