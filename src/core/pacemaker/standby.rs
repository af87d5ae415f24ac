//! Pacemaker's standby, as far as it is ours: of a node that an administrator has recorded offline in Ganeti.

use super::resources::Pairs;

/// Pacemaker's attribute.
pub const STANDBY: &str = "standby";

/// The permanent node attribute that says that the standby is ours.
pub const MARK: &str = "gnt-ha-standby";

/// What it says.
pub const MARKED: &str = "offline-by-hand";

/// The value of a standby of ours. Pacemaker's own tools write `on`: whoever sets it again after us makes it his.
pub const OURS: &str = "true";

/// What there is of ours on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Our mark.
    pub mark: bool,
    /// A standby that nobody else has set since.
    pub standby: bool,
}

/// What there is of ours among a node's permanent attributes.
#[must_use]
pub fn own(attributes: &Pairs) -> Own {
    let mark = attributes.contains_key(MARK);
    Own { mark, standby: mark && attributes.get(STANDBY).is_some_and(|value| value == OURS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What offlining by hand sets is taken away, and never an administrator's own.
    #[test]
    fn only_what_we_have_set_is_ours() {
        let of = |pairs: &[(&str, &str)]| own(&pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        assert_eq!(of(&[(MARK, MARKED), (STANDBY, OURS)]), Own { mark: true, standby: true });
        assert_eq!(of(&[(STANDBY, OURS)]), Own::default(), "no mark");
        for his in ["on", "off"] {
            assert_eq!(of(&[(MARK, MARKED), (STANDBY, his)]), Own { mark: true, standby: false }, "{his}");
        }
        assert_eq!(of(&[(MARK, MARKED)]), Own { mark: true, standby: false });
    }
}
