//! The standby that gnt-ha sets in Pacemaker on a node that an administrator has recorded offline in Ganeti. Names and
//! a pure check.

use super::resources::Pairs;

/// Pacemaker's node attribute for standby.
pub const STANDBY: &str = "standby";

/// The permanent node attribute that marks a standby as gnt-ha's.
pub const MARK: &str = "gnt-ha-standby";

/// The value of that mark.
pub const MARKED: &str = "offline-by-hand";

/// The value of a standby that gnt-ha sets. Pacemaker's own tools write `on`, so a standby that was set again by them
/// is the administrator's.
pub const OURS: &str = "true";

/// What gnt-ha has set on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnMarks {
    /// Whether the node has gnt-ha's mark.
    pub mark: bool,
    /// Whether the standby is gnt-ha's, and was not set again by another program.
    pub standby: bool,
}

/// Returns what gnt-ha has set among a node's permanent attributes.
#[must_use]
pub fn own(attributes: &Pairs) -> OwnMarks {
    let mark = attributes.contains_key(MARK);
    OwnMarks { mark, standby: mark && attributes.get(STANDBY).is_some_and(|value| value == OURS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standby of a node that was recorded offline by hand is removed, and an administrator's own never.
    #[test]
    fn only_what_we_have_set_is_ours() {
        let of = |pairs: &[(&str, &str)]| own(&pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        assert_eq!(of(&[(MARK, MARKED), (STANDBY, OURS)]), OwnMarks { mark: true, standby: true });
        assert_eq!(of(&[(STANDBY, OURS)]), OwnMarks::default(), "no mark");
        for his in ["on", "off"] {
            assert_eq!(of(&[(MARK, MARKED), (STANDBY, his)]), OwnMarks { mark: true, standby: false }, "{his}");
        }
        assert_eq!(of(&[(MARK, MARKED)]), OwnMarks { mark: true, standby: false });
    }
}
