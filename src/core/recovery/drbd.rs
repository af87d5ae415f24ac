//! What a host sees of its DRBD disks, kept at monitors until it is needed: after the death of the other host, a disk
//! does not show any more whether it has the newest data. Pure.
//!
//! Source: `/proc/drbd` of DRBD 8, which Ganeti uses (`drbdsetup(8)`, `lib/storage/drbd_info.py`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::freshness::DrbdSightings;
use crate::core::receipt::Timestamp;

/// How old a sighting of a fresh disk may be on the disk of this host, in milliseconds, if nothing else has changed.
const REWRITE_MS: u64 = 15_000;

/// The largest number of a minor (`DRBD_MAX_PORT` and the ports below it bound their number in Ganeti).
const MINOR_MOST: u32 = 100_000;

/// The DRBD disks of a host, by their minors: when each was last seen fresh, and otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrbdMemory(pub BTreeMap<u32, SeenMinor>);

/// One DRBD disk of this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMinor {
    /// When it was last seen connected, and up to date on both hosts.
    #[serde(default)]
    pub fresh: Option<Timestamp>,
    /// When it was seen otherwise for the first time since then. Later sightings add nothing: after the death of the other
    /// host, each shows the same, and a link that was lost before the death must not be forgotten.
    #[serde(default)]
    pub stale: Option<Timestamp>,
}

/// How long ago a host has seen one of its DRBD disks, in milliseconds of its clock since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrbdAges {
    /// When it was last seen connected, and up to date on both hosts.
    #[serde(default)]
    pub fresh_ms: Option<u64>,
    /// When it was seen otherwise for the first time since then.
    #[serde(default)]
    pub stale_ms: Option<u64>,
}

/// Parses `/proc/drbd`. Returns for each minor whether it is fresh; `None` for another version of DRBD, which lists no
/// disks there.
#[must_use]
pub fn parse(text: &str) -> Option<BTreeMap<u32, bool>> {
    if !text.starts_with("version: 8.") {
        return None;
    }
    let disk = |line: &str| {
        let (minor, rest) = line.trim_start().split_once(": ")?;
        let value = |key: &str| rest.split_whitespace().find_map(|word| word.strip_prefix(key));
        // A verification reads only.
        let is_connected = matches!(value("cs:")?, "Connected" | "VerifyS" | "VerifyT");
        Some((minor.parse().ok()?, is_connected && value("ds:") == Some("UpToDate/UpToDate")))
    };
    Some(text.lines().filter_map(disk).collect())
}

impl DrbdMemory {
    /// Returns the memory after `disks` were seen, and whether it has to be stored now. A disk that is not listed any more
    /// was seen otherwise.
    #[must_use]
    pub fn after_sighting(&self, disks: &BTreeMap<u32, bool>, now: Timestamp) -> (Self, bool) {
        let mut next = BTreeMap::new();
        for minor in disks.keys().chain(self.0.keys()) {
            let before = self.0.get(minor).copied().unwrap_or_default();
            let is_fresh = disks.get(minor) == Some(&true);
            let seen = if is_fresh {
                SeenMinor { fresh: Some(now), ..before }
            } else if is_stale_since(&before, now) {
                before
            } else {
                SeenMinor { stale: Some(now), ..before }
            };
            // A disk that is gone is remembered as long as its last good sighting may be asked for.
            if disks.contains_key(minor) || before.fresh.is_some_and(|at| at.boottime_ms <= now.boottime_ms) {
                next.insert(*minor, seen);
            }
        }
        let is_young = |at: Option<Timestamp>| {
            at.is_some_and(|at| now.boottime_ms.checked_sub(at.boottime_ms).is_some_and(|age_ms| age_ms < REWRITE_MS))
        };
        let is_kept = |(minor, seen): (&u32, &SeenMinor)| {
            self.0.get(minor).is_some_and(|before| {
                let was_fresh = is_fresh_last(before);
                let is_same = if was_fresh { is_young(before.fresh) } else { before.stale == seen.stale };
                was_fresh == is_fresh_last(seen) && is_same
            })
        };
        let is_to_store = next.len() != self.0.len() || !next.iter().all(is_kept);
        (Self(next), is_to_store)
    }

    /// Returns how long ago each disk was seen. What was seen in an earlier boot of this host is left out.
    #[must_use]
    pub fn ages(&self, now: Timestamp) -> BTreeMap<u32, DrbdAges> {
        let age = |at: Option<Timestamp>| now.boottime_ms.checked_sub(at?.boottime_ms);
        let of = |(minor, seen): (&u32, &SeenMinor)| {
            (*minor, DrbdAges { fresh_ms: age(seen.fresh), stale_ms: age(seen.stale) })
        };
        self.0.iter().map(of).collect()
    }
}

/// Returns whether the disk was already seen otherwise in this boot, and not fresh since.
fn is_stale_since(before: &SeenMinor, now: Timestamp) -> bool {
    !is_fresh_last(before) && before.stale.is_some_and(|at| at.boottime_ms <= now.boottime_ms)
}

fn is_fresh_last(seen: &SeenMinor) -> bool {
    seen.fresh.map(|at| at.boottime_ms) > seen.stale.map(|at| at.boottime_ms)
}

/// Returns what is accepted of the ages that a host reports of its own disks.
#[must_use]
pub fn believed(ages: BTreeMap<u32, DrbdAges>) -> BTreeMap<u32, DrbdAges> {
    ages.into_iter().filter(|(minor, _)| *minor < MINOR_MOST).collect()
}

/// Returns the sightings of an instance with these minors on its secondary node, whose ages were reported at `now_ms`, in
/// milliseconds since 1970. The instance is as fresh as its oldest disk, and a disk that was never seen fresh makes it
/// never seen.
#[must_use]
pub fn sightings(minors: &[u32], ages: &BTreeMap<u32, DrbdAges>, now_ms: u64) -> DrbdSightings {
    let of = |minor: &u32| ages.get(minor).copied().unwrap_or_default();
    let fresh: Option<Vec<u64>> = minors.iter().map(|minor| of(minor).fresh_ms).collect();
    // Of each disk what came after it was fresh, and of all the first: the death itself disconnects the others later.
    let is_later = |ages: &DrbdAges, stale_ms: u64| ages.fresh_ms.is_none_or(|fresh_ms| stale_ms <= fresh_ms);
    let stale_of = |ages: DrbdAges| ages.stale_ms.filter(|stale_ms| is_later(&ages, *stale_ms));
    let stale = minors.iter().filter_map(|minor| stale_of(of(minor))).max();
    DrbdSightings {
        fresh_ms: fresh.and_then(|ages| ages.into_iter().max()).map(|age_ms| now_ms.saturating_sub(age_ms)),
        stale_ms: stale.map(|age_ms| now_ms.saturating_sub(age_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DRBD 8.4, with a disk that is well, one whose host is gone, one that is resynchronized, and one without a peer.
    const PROC: &str = "version: 8.4.11 (api:1/proto:86-101)\nsrcversion: 211FB288A383ED945B83420\n \
        0: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----\n    ns:0 nr:1024 dw:1024 dr:0 al:0 bm:0 lo:0\n \
        1: cs:WFConnection ro:Secondary/Unknown ds:UpToDate/DUnknown C r-----\n    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0\n \
        2: cs:SyncTarget ro:Secondary/Primary ds:Inconsistent/UpToDate C r-----\n\t[>....] sync'ed:  1.2% (1024/1036)M\n \
        3: cs:Unconfigured\n11: cs:VerifyT ro:Secondary/Primary ds:UpToDate/UpToDate C r-----\n";

    fn at(ms: u64) -> Timestamp {
        Timestamp { wall_ms: 1_700_000_000_000 + ms, boottime_ms: ms }
    }

    #[test]
    fn only_a_connected_disk_with_both_halves_is_fresh() {
        let disks = parse(PROC).unwrap();
        assert_eq!(disks, BTreeMap::from([(0, true), (1, false), (2, false), (3, false), (11, true)]));
        assert_eq!(parse("version: 9.2.4 (api:2/proto:86-121)\n"), None);
        assert_eq!(parse("version: 8.4.11 (api:1/proto:86-101)\n"), Some(BTreeMap::new()));
    }

    #[test]
    fn the_last_good_sighting_is_kept_when_the_disk_is_lost() {
        let (memory, stores) = DrbdMemory::default().after_sighting(&BTreeMap::from([(0, true)]), at(1_000));
        assert!(stores);
        assert!(!memory.after_sighting(&BTreeMap::from([(0, true)]), at(10_000)).1, "nothing new for a while");
        let (memory, stores) = memory.after_sighting(&BTreeMap::from([(0, true)]), at(20_000));
        assert!(stores);
        let (memory, stores) = memory.after_sighting(&BTreeMap::from([(0, false)]), at(25_000));
        assert!(stores, "a change is stored at once");
        let (memory, _) = memory.after_sighting(&BTreeMap::new(), at(30_000));
        assert_eq!(memory.ages(at(31_000))[&0], DrbdAges { fresh_ms: Some(11_000), stale_ms: Some(6_000) });
        assert_eq!(memory.ages(at(500))[&0], DrbdAges::default(), "another boot");
    }

    /// The link is lost, the other host writes on and dies 15 s later, and a monitor runs after that, before recovery asks.
    #[test]
    fn a_link_that_was_lost_before_the_death_is_not_forgotten_after_it() {
        let seen = |memory: DrbdMemory, is_fresh, ms| memory.after_sighting(&BTreeMap::from([(0, is_fresh)]), at(ms)).0;
        let memory = seen(DrbdMemory::default(), true, 10_000);
        let memory = [20_000, 30_000, 40_000].into_iter().fold(memory, |memory, ms| seen(memory, false, ms));
        let sighting = sightings(&[0], &memory.ages(at(41_000)), at(41_000).wall_ms);
        let lost_ms = Some(at(35_000).wall_ms);
        let stale = super::super::freshness::NotFresh::Stale { before_death_ms: 15_000 };
        assert_eq!(super::super::freshness::age_before_death(sighting, lost_ms, 60_000), Err(stale));
        // Another disk of the instance was lost by the death.
        let mut ages = memory.ages(at(41_000));
        ages.insert(1, DrbdAges { fresh_ms: Some(11_000), stale_ms: Some(1_000) });
        assert_eq!(sightings(&[0, 1], &ages, at(41_000).wall_ms).stale_ms, Some(at(20_000).wall_ms));
        let again = seen(seen(memory, true, 50_000), false, 60_000);
        assert_eq!(again.ages(at(61_000))[&0], DrbdAges { fresh_ms: Some(11_000), stale_ms: Some(1_000) });
    }

    #[test]
    fn an_instance_is_as_fresh_as_its_oldest_disk() {
        let ages = BTreeMap::from([
            (0, DrbdAges { fresh_ms: Some(4_000), stale_ms: None }),
            (1, DrbdAges { fresh_ms: Some(9_000), stale_ms: Some(2_000) }),
        ]);
        let of = |minors: &[u32]| sightings(minors, &ages, 100_000);
        assert_eq!(of(&[0]), DrbdSightings { fresh_ms: Some(96_000), stale_ms: None });
        assert_eq!(of(&[0, 1]), DrbdSightings { fresh_ms: Some(91_000), stale_ms: Some(98_000) });
        assert_eq!(of(&[0, 7]).fresh_ms, None, "one was never seen");
        assert_eq!(of(&[]).fresh_ms, None);
    }
}
