//! The notes that harep leaves in an instance's tags about its own repairs. Pure.
//!
//! Source: `parseInitTag`, `setInitialState` and `arStatusCmp` in `src/Ganeti/HTools/Program/Harep.hs`.
//! `...:pending:TYPE:ID:TIME:JOBS` is a repair under way; `...:result:TYPE:ID:TIME:RESULT:JOBS` is one that has ended.
//! While a repair is under way, or after one failed, harep does nothing more with the instance, and neither does gnt-ha.

use std::collections::BTreeMap;
use std::fmt;

use super::permission::{PREFIX, RepairType};
use crate::core::text::printable;

/// A repair of harep that keeps gnt-ha from the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HarepRepair {
    /// A repair is under way.
    Pending {
        /// The whole tag, for the message.
        tag: String,
        /// The numbers of the jobs that the repair has submitted.
        jobs: Vec<u64>,
    },
    /// A repair has failed. The note stays until the administrator removes it.
    Failed {
        /// The whole tag, for the message.
        tag: String,
    },
    /// Two repairs are under way at once, or one began while another was under way. harep itself stops there.
    Contradiction {
        /// The tag of the older repair.
        older: String,
        /// The tag of the newer repair.
        newer: String,
    },
    /// A note of harep cannot be parsed.
    Malformed {
        /// The whole tag, for the message.
        tag: String,
    },
}

impl fmt::Display for HarepRepair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending { jobs, .. } => {
                f.write_str("harep repairs it")?;
                for (index, job) in jobs.iter().enumerate() {
                    write!(f, "{}{job}", if index == 0 { ": job " } else { ", job " })?;
                }
                Ok(())
            }
            Self::Failed { tag } => {
                write!(f, "a repair of harep failed (gnt-instance remove-tags INSTANCE {})", printable(tag))
            }
            Self::Contradiction { older, newer } => {
                write!(f, "harep has two repairs of it: {} and {}", printable(older), printable(newer))
            }
            Self::Malformed { tag } => write!(f, "harep's tag {} cannot be parsed: remove it", printable(tag)),
        }
    }
}

/// The result of a repair, in harep's order: a later one of the same repair overrules those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RepairResult {
    Pending,
    NotPermitted,
    Success,
    Failure,
}

/// One note.
#[derive(Clone, Debug)]
struct Note<'a> {
    tag: &'a str,
    id: &'a str,
    time_s: u64,
    result: RepairResult,
    jobs: Vec<u64>,
}

/// Returns the repair that keeps gnt-ha from an instance with these tags, if there is one.
#[must_use]
pub fn repair_in_tags(tags: &[String]) -> Option<HarepRepair> {
    let mut repairs: BTreeMap<&str, Vec<Note<'_>>> = BTreeMap::new();
    for tag in tags {
        match parse(tag) {
            None => {}
            Some(Some(note)) => repairs.entry(note.id).or_default().push(note),
            Some(None) => return Some(HarepRepair::Malformed { tag: tag.clone() }),
        }
    }
    let mut repairs: Vec<Vec<Note<'_>>> = repairs.into_values().collect();
    repairs.sort_by_key(|notes| notes.iter().map(|note| note.time_s).min());
    let mut pending: Option<Note<'_>> = None;
    for notes in repairs {
        let Some(last) = notes.into_iter().max_by_key(|note| (note.result, note.time_s)) else { continue };
        if let Some(older) = pending {
            return Some(HarepRepair::Contradiction { older: older.tag.to_owned(), newer: last.tag.to_owned() });
        }
        match last.result {
            // The earliest failure counts.
            RepairResult::Failure => return Some(HarepRepair::Failed { tag: last.tag.to_owned() }),
            RepairResult::Pending => pending = Some(last),
            RepairResult::Success | RepairResult::NotPermitted => {}
        }
    }
    pending.map(|note| HarepRepair::Pending { tag: note.tag.to_owned(), jobs: note.jobs })
}

/// Parses a note. `None` if the tag is not one; `Some(None)` if the note is malformed.
fn parse(tag: &str) -> Option<Option<Note<'_>>> {
    let rest = tag.strip_prefix(PREFIX)?.strip_prefix(':')?;
    let is_note = |word: &str| rest == word || rest.strip_prefix(word).is_some_and(|rest| rest.starts_with(':'));
    if !is_note("pending") && !is_note("result") {
        return None;
    }
    let fields: Vec<&str> = rest.split(':').collect();
    Some(match fields.as_slice() {
        ["pending", repair, id, time, jobs] => note(tag, repair, id, time, RepairResult::Pending, jobs),
        ["result", repair, id, time, result, jobs] => {
            result_of(result).and_then(|result| note(tag, repair, id, time, result, jobs))
        }
        _ => None,
    })
}

fn note<'a>(tag: &'a str, repair: &str, id: &'a str, time: &str, result: RepairResult, jobs: &str) -> Option<Note<'a>> {
    RepairType::parse(repair)?;
    let jobs = jobs.split('+').filter(|job| !job.is_empty()).map(|job| job.parse().ok());
    Some(Note { tag, id, time_s: time.parse().ok()?, result, jobs: jobs.collect::<Option<Vec<u64>>>()? })
}

fn result_of(word: &str) -> Option<RepairResult> {
    match word {
        "enoperm" => Some(RepairResult::NotPermitted),
        "success" => Some(RepairResult::Success),
        "failure" => Some(RepairResult::Failure),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(notes: &[&str]) -> Option<HarepRepair> {
        let tags: Vec<String> = notes.iter().map(|note| format!("{PREFIX}:{note}")).collect();
        repair_in_tags(&tags)
    }

    fn full(note: &str) -> String {
        format!("{PREFIX}:{note}")
    }

    #[test]
    fn a_repair_under_way_is_named_with_its_jobs() {
        let pending = "pending:failover:u1:1700000000:12+13";
        assert_eq!(of(&[pending]), Some(HarepRepair::Pending { tag: full(pending), jobs: vec![12, 13] }));
        assert_eq!(
            of(&[pending]).map(|repair| repair.to_string()),
            Some("harep repairs it: job 12, job 13".to_owned())
        );
        assert_eq!(of(&["failover", "suspend:5"]), None);
    }

    /// The note of the result stands beside that of the beginning until harep removes it.
    #[test]
    fn the_result_of_the_same_repair_overrules_its_beginning() {
        let pending = "pending:failover:u1:1700000000:12";
        assert_eq!(of(&[pending, "result:failover:u1:1700000100:success:12"]), None);
        assert_eq!(of(&["result:reinstall:u1:1700000100:enoperm:"]), None);
        let failed = "result:failover:u1:1700000100:failure:12";
        assert_eq!(of(&[failed, pending]), Some(HarepRepair::Failed { tag: full(failed) }));
    }

    #[test]
    fn the_earliest_failure_counts_and_two_repairs_contradict_each_other() {
        let failed = "result:failover:u1:1700000100:failure:12";
        assert_eq!(of(&["pending:failover:u2:1700000200:13", failed]), Some(HarepRepair::Failed { tag: full(failed) }));
        let (older, newer) = ("pending:failover:u9:1700000000:12", "pending:migrate:u1:1700000200:13");
        assert_eq!(of(&[newer, older]), Some(HarepRepair::Contradiction { older: full(older), newer: full(newer) }));
        // A repair that ended before the other began is over.
        let done = "result:failover:u9:1700000000:success:12";
        assert_eq!(of(&[newer, done]), Some(HarepRepair::Pending { tag: full(newer), jobs: vec![13] }));
    }

    #[test]
    fn a_note_that_cannot_be_parsed_is_named() {
        for bad in [
            "pending",
            "pending:failover:u1:now:12",
            "pending:failover:u1:1700000000:x",
            "pending:all:u1:1700000000:12",
            "result:failover:u1:1700000000:maybe:12",
            "result:failover:u1:1700000000",
        ] {
            assert_eq!(of(&[bad]), Some(HarepRepair::Malformed { tag: full(bad) }), "{bad}");
        }
    }
}
