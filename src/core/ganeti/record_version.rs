//! Which version of a node's record Ganeti has. Pure.

use serde::{Deserialize, Serialize};

/// The version of a node's record in `config.data`.
///
/// Ganeti increments `serial_no` with each update of the object, never less than once for an operation that changes it
/// (`replaceIn` in `src/Ganeti/WConfd/ConfigModifications.hs`). A node that is added anew has another UUID; one that is
/// added again (`--readd`) keeps its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordVersion {
    /// The UUID of the node's object.
    pub uuid: String,
    /// The serial number of the node's object (`serial_no`).
    pub serial: u64,
}

impl RecordVersion {
    /// Returns how often the record was updated since `before`; `None` if it is that of another object, or is older: the
    /// configuration of another host.
    #[must_use]
    pub fn updates_since(&self, before: &Self) -> Option<u64> {
        self.serial.checked_sub(before.serial).filter(|_| self.uuid == before.uuid)
    }
}

/// Returns whether a node that is offline in `now` was certainly not put online by Ganeti since `before` and recorded
/// offline again. `was_offline` is whether it was offline in `before`. False if a version is unknown.
///
/// At least two more updates are needed for that: one that puts the node online, and one that records it offline. If it was
/// online before, another record came first.
#[must_use]
pub fn stayed_offline(before: Option<&RecordVersion>, was_offline: bool, now: Option<&RecordVersion>) -> bool {
    let most = if was_offline { 1 } else { 2 };
    let updates = before.zip(now).and_then(|(before, now)| now.updates_since(before));
    updates.is_some_and(|updates| updates <= most)
}

/// Returns whether a node that was online in `before` and is online in `now` was certainly not recorded offline and put online
/// again in between: that takes at least two updates, and one more if a tag of the node has changed (`has_new_tag`).
/// gnt-ha's own drain is two updates, a flag and a tag. False if a version is unknown.
#[must_use]
pub fn stayed_online(before: Option<&RecordVersion>, now: Option<&RecordVersion>, has_new_tag: bool) -> bool {
    let updates = before.zip(now).and_then(|(before, now)| now.updates_since(before));
    updates.is_some_and(|updates| updates <= if has_new_tag { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(uuid: &str, serial: u64) -> RecordVersion {
        RecordVersion { uuid: uuid.to_owned(), serial }
    }

    #[test]
    fn a_node_that_was_added_again_needs_more_updates() {
        let stayed =
            |was_offline, serial| stayed_offline(Some(&version("u", 7)), was_offline, Some(&version("u", serial)));
        assert_eq!([7, 8, 9].map(|serial| stayed(true, serial)), [true, true, false]);
        assert_eq!([8, 9, 10].map(|serial| stayed(false, serial)), [true, true, false], "a record is two updates");
    }

    #[test]
    fn a_record_and_its_end_are_two_updates() {
        let stayed = |serial| stayed_online(Some(&version("u", 7)), Some(&version("u", serial)), false);
        assert_eq!([6, 7, 8, 9].map(stayed), [false, true, true, false]);
        let with_tag = |serial| stayed_online(Some(&version("u", 7)), Some(&version("u", serial)), true);
        assert_eq!([8, 9, 10].map(with_tag), [true, true, false], "one of them is the tag");
    }

    #[test]
    fn an_unknown_version_shows_nothing() {
        let known = version("u", 7);
        for (before, now) in [(None, Some(&known)), (Some(&known), None)] {
            assert!(!stayed_offline(before, true, now) && !stayed_online(before, now, true));
        }
        assert!(!stayed_online(Some(&version("other", 7)), Some(&known), true), "removed, and added anew");
        assert!(!stayed_offline(Some(&version("other", 7)), true, Some(&known)), "removed, and added anew");
        assert!(!stayed_offline(Some(&version("u", 8)), true, Some(&known)), "an older configuration");
    }
}
