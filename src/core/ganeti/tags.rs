//! The tags that configure the roles for the whole cluster: `gnt-cluster add-tags ocf:master-role:full`. Pure.
//!
//! Ganeti's tags may contain only letters, digits and `.+*/:@-_`, and at most 128 characters
//! (`src/Ganeti/Constants.hs`, `lib/objects.py`), so a value follows a colon. The first two tags are those of Ganeti's
//! example agents.

/// How much the monitors of a role check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Only which role the node has; a daemon that does not work is not a failure.
    #[default]
    Partial,
    /// Also whether the daemons and files that the role needs work.
    Full,
}

/// What happens in Pacemaker to a node that runs there and that an administrator records offline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfflineByHand {
    /// The node is put on standby: it runs nothing.
    #[default]
    Standby,
    /// Pacemaker fences the node, so that what it runs starts elsewhere.
    Fence,
    /// The node stays as it is in Pacemaker.
    Leave,
}

/// The settings of the roles, by the cluster's tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    /// The mode of `ganeti-master-role`.
    pub master_mode: Mode,
    /// The mode of `ganeti-node-role`.
    pub node_mode: Mode,
    /// Whether full mode of `ganeti-node-role` also writes to Ganeti's file storage.
    pub check_storage: bool,
    /// Whether the job queue is drained before a planned move of the master.
    pub drain_queue: bool,
    /// Whether a node that leaves gracefully is drained.
    pub drain_node: bool,
    /// Whether a node is power-cycled when it is recorded offline (Ganeti's `powercycle`).
    pub use_powercycle: bool,
    /// Whether a node is powered off by its OOB program when it is recorded offline.
    pub use_poweroff: bool,
    /// Whether a candidate becomes master although another one has a newer configuration.
    pub any_serial: bool,
    /// Whether each node's health is published as a node attribute.
    pub health: bool,
    /// What happens in Pacemaker to a node that an administrator records offline.
    pub by_hand: OfflineByHand,
    /// Whether the instances of a dead host are started on other hosts, where Ganeti's autorepair tags permit it.
    pub recover: bool,
}

/// The tag that switches recovery on.
pub const RECOVER: &str = "ocf:recover:on";

impl Default for Tags {
    fn default() -> Self {
        Self {
            master_mode: Mode::Partial,
            node_mode: Mode::Partial,
            check_storage: false,
            drain_queue: true,
            drain_node: true,
            use_powercycle: false,
            use_poweroff: false,
            any_serial: false,
            health: false,
            by_hand: OfflineByHand::Standby,
            recover: false,
        }
    }
}

/// One tag of gnt-ha with its effect, as the manual page lists it.
pub struct Tag {
    /// The tag as it is set in Ganeti.
    pub text: &'static str,
    /// What the tag does, for the manual page.
    pub meaning: &'static str,
    set: fn(&mut Tags),
}

const fn tag(text: &'static str, meaning: &'static str, set: fn(&mut Tags)) -> Tag {
    Tag { text, meaning, set }
}

/// Every tag. Of two that contradict each other the one further down counts.
pub const TAGS: &[Tag] = &[
    tag(
        "ocf:node-offline:use-powercycle",
        "a node is power-cycled by its noded (gnt-node powercycle) before it is recorded offline",
        |tags| tags.use_powercycle = true,
    ),
    tag(
        "ocf:node-offline:use-poweroff",
        "a node is powered off by its OOB program (gnt-node power off) when it is recorded offline, if it was fenced in a way that leaves it on",
        |tags| tags.use_poweroff = true,
    ),
    tag("ocf:master-role:full", "monitors of the master check its daemons, its IP and its peers", |tags| {
        tags.master_mode = Mode::Full;
    }),
    tag("ocf:master-role:partial", "monitors of the master check only which node is master (default)", |tags| {
        tags.master_mode = Mode::Partial;
    }),
    tag("ocf:node-role:full", "monitors of a node check noded, confd and the root file system", |tags| {
        tags.node_mode = Mode::Full;
    }),
    tag("ocf:node-role:partial", "monitors of a node always succeed (default)", |tags| {
        tags.node_mode = Mode::Partial;
    }),
    tag(
        "ocf:node-role:check-storage",
        "in full mode, monitors of a node also write to Ganeti's file storage directories, where they exist",
        |tags| tags.check_storage = true,
    ),
    tag("ocf:drain-queue:off", "the master stops without waiting for running jobs", |tags| tags.drain_queue = false),
    tag(
        "ocf:drain-queue:on",
        "a planned move of the master waits for running jobs, for a limited time (default)",
        |tags| {
            tags.drain_queue = true;
        },
    ),
    tag("ocf:drain-node:off", "a node that leaves gracefully keeps its flags", |tags| tags.drain_node = false),
    tag("ocf:drain-node:on", "a node that leaves gracefully is drained (default)", |tags| tags.drain_node = true),
    tag(
        "ocf:failover:any-serial",
        "a candidate becomes master though another one has a newer configuration, which is lost then",
        |tags| tags.any_serial = true,
    ),
    tag(
        "ocf:health:on",
        "monitors of a node keep the node attribute #health-ganeti at what full mode would find, in partial mode as well: red, noded or a \
         file system fails; yellow, only confd does; green, nothing does. What that does to other resources is Pacemaker's \
         node-health-strategy; the clone of ganeti-node-role then needs allow-unhealthy-nodes=true",
        |tags| tags.health = true,
    ),
    tag(
        "ocf:offline-by-hand:leave",
        "a running node that an administrator records offline stays as it is in Pacemaker, which may give it the master role by its old configuration",
        |tags| tags.by_hand = OfflineByHand::Leave,
    ),
    tag(
        "ocf:offline-by-hand:fence",
        "a running node that an administrator records offline is fenced (stonith_admin --fence), if those that are left have quorum",
        |tags| tags.by_hand = OfflineByHand::Fence,
    ),
    tag(
        "ocf:offline-by-hand:standby",
        "a running node that an administrator records offline is put on standby in Pacemaker, until it is online again (default)",
        |tags| tags.by_hand = OfflineByHand::Standby,
    ),
    tag(
        RECOVER,
        "the instances of a dead host are started on other hosts, where Ganeti's autorepair tags (ganeti:watcher:autorepair:failover) permit it",
        |tags| tags.recover = true,
    ),
];

/// The prefix of each tag that the OCF agents read; Ganeti's example agents use it, too.
pub const PREFIX: &str = "ocf:";

impl Tags {
    /// Reads the cluster's tags; other tags are ignored.
    #[must_use]
    pub fn read<'a>(tags: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        let mut read = Self::default();
        for tag in TAGS {
            if tags.clone().into_iter().any(|given| given == tag.text) {
                (tag.set)(&mut read);
            }
        }
        read
    }
}

/// Returns the valid tags that have no effect beside the others, each with the tag that it needs, or that overrules it.
#[must_use]
pub fn idle(tags: &[&str]) -> Vec<(&'static str, &'static str)> {
    const STORAGE: &str = "ocf:node-role:check-storage";
    let all = Tags::read(tags.iter().copied());
    let given = |text: &str| tags.contains(&text);
    let changes = |tag: &Tag| Tags::read([tag.text]) != Tags::default();
    let mut found: Vec<(&str, &str)> = Vec::new();
    for tag in TAGS.iter().filter(|tag| given(tag.text) && changes(tag)) {
        let without = || tags.iter().copied().filter(|other| *other != tag.text);
        if Tags::read(without().collect::<Vec<_>>()) == all {
            // The tag further down that has set the same.
            let place = tag.text.rsplit_once(':').map_or(tag.text, |(place, _)| place);
            let other = TAGS.iter().rev().find(|other| given(other.text) && other.text.starts_with(place));
            found.push((tag.text, other.map_or("another tag", |other| other.text)));
        }
    }
    if given(STORAGE) && all.node_mode == Mode::Partial && !all.health {
        found.push((STORAGE, "ocf:node-role:full"));
    }
    found
}

/// Returns the tags that have the prefix and are not valid: misspelt, or of a newer version.
#[must_use]
pub fn unknown<'a>(tags: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let known = |tag: &str| TAGS.iter().any(|known| known.text == tag);
    tags.into_iter().filter(|tag| tag.starts_with(PREFIX) && !known(tag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_tag_can_be_given_to_ganeti_and_stands_once() {
        for tag in TAGS {
            assert!(tag.text.len() <= 128 && tag.text.starts_with(PREFIX), "{}", tag.text);
            assert!(tag.text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+*/:@-_".contains(&b)), "{}", tag.text);
            assert_eq!(TAGS.iter().filter(|other| other.text == tag.text).count(), 1, "{}", tag.text);
        }
    }

    #[test]
    fn defaults_are_partial_and_tags_change_them() {
        assert_eq!(Tags::read([]), Tags::default());
        let full = Tags::read(["ocf:master-role:full", "backup", "ocf:drain-queue:off"]);
        assert_eq!((full.master_mode, full.node_mode, full.drain_queue), (Mode::Full, Mode::Partial, false));
        assert_eq!(Tags::read(["ocf:master-role:partial", "ocf:master-role:full"]).master_mode, Mode::Partial);
        assert!(Tags::read(["ocf:node-offline:use-poweroff"]).use_poweroff);
        assert!(Tags::read(["ocf:health:on"]).health && !Tags::default().health);
    }

    #[test]
    fn a_misspelt_tag_is_found() {
        assert_eq!(unknown(["ocf:master-role:ful", "x", "ocf:node-role:full"]), ["ocf:master-role:ful"]);
    }

    /// A tag that only sets the default is not a fault; two that contradict each other are one.
    #[test]
    fn a_tag_that_does_nothing_beside_the_others_is_found() {
        assert_eq!(idle(&["ocf:master-role:partial", "ocf:drain-queue:on", "other"]), []);
        assert_eq!(
            idle(&["ocf:master-role:full", "ocf:master-role:partial"]),
            [("ocf:master-role:full", "ocf:master-role:partial")]
        );
        assert_eq!(idle(&["ocf:drain-node:off", "ocf:drain-node:on"]), [("ocf:drain-node:off", "ocf:drain-node:on")]);
        let storage = "ocf:node-role:check-storage";
        assert_eq!(idle(&[storage]), [(storage, "ocf:node-role:full")]);
        assert_eq!(idle(&[storage, "ocf:node-role:full"]), []);
        assert_eq!(idle(&[storage, "ocf:health:on"]), [], "health checks it in partial mode, too");
    }

    proptest! {
        #[test]
        fn the_order_in_the_file_does_not_matter(order in Just((0..TAGS.len()).collect::<Vec<_>>()).prop_shuffle(),
                                                 take in 0..TAGS.len()) {
            let given: Vec<&str> = order[..take].iter().map(|n| TAGS[*n].text).collect();
            let mut sorted = given.clone();
            sorted.sort_unstable();
            prop_assert_eq!(Tags::read(given), Tags::read(sorted));
        }
    }
}
