//! The permission to start an instance elsewhere: Ganeti's autorepair tags, read as harep reads them. Pure.
//!
//! Source: `getArPolicy` and `setArPolicy` in `src/Ganeti/HTools/Loader.hs`, harep(1). The instance's tags come before
//! those of its group, and the group's before the cluster's. On one object a suspension comes first, and of several types
//! the weakest counts. harep ignores a tag that it cannot parse. Here such a tag is a refusal, because it shows that the
//! administrator meant something else than what is in force.

use std::fmt;

use crate::core::text::printable;

/// The prefix of the tags, without the colon (`autoRepairTagPrefix` in `src/Ganeti/Constants.hs`).
pub const PREFIX: &str = "ganeti:watcher:autorepair";

/// The tag of the cluster that permits recovery of every instance whose own tags or group do not forbid it.
pub const CLUSTER_TAG: &str = "ganeti:watcher:autorepair:failover";

/// The types of harep's repairs of an instance, weakest first (`AutoRepairType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RepairType {
    /// Replace a secondary node whose disks are lost.
    FixStorage,
    /// Migrate the running instance to its secondary node.
    Migrate,
    /// Start the instance on another node.
    Failover,
    /// Recreate the disks. gnt-ha never does that.
    Reinstall,
}

impl RepairType {
    /// Every type, weakest first.
    pub const ALL: [Self; 4] = [Self::FixStorage, Self::Migrate, Self::Failover, Self::Reinstall];

    /// Returns the name that Ganeti's tags have for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::FixStorage => "fix-storage",
            Self::Migrate => "migrate",
            Self::Failover => "failover",
            Self::Reinstall => "reinstall",
        }
    }

    /// Parses Ganeti's name of it; `None` for another text.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }
}

impl fmt::Display for RepairType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The object that has a tag, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaggedObject {
    /// The tags of the instance itself.
    Instance,
    /// The node group of the instance's primary node.
    Group,
    /// The cluster, whose tags count last.
    Cluster,
}

impl fmt::Display for TaggedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Instance => "the instance",
            Self::Group => "its node group",
            Self::Cluster => "the cluster",
        })
    }
}

/// All tags that decide about one instance.
#[derive(Clone, Copy, Debug)]
pub struct RepairTags<'a> {
    /// The tags of the instance, which count first.
    pub instance: &'a [String],
    /// The tags of the node group of its primary node.
    pub group: &'a [String],
    /// The tags of the cluster, which count last.
    pub cluster: &'a [String],
}

/// The autorepair tag in force: the object that has it, and the type that it permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The object with the tag that is in force.
    pub object: TaggedObject,
    /// The type that is permitted: at least [`RepairType::Failover`].
    pub repair: RepairType,
}

/// The reason why an instance may not be started elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPermitted {
    /// No object has an autorepair tag.
    NoTag,
    /// The type that is in force is weaker than `failover`.
    TooWeak {
        /// The object with the tag.
        object: TaggedObject,
        /// The type that is in force.
        repair: RepairType,
    },
    /// One object has a type that permits the start and a weaker one that does not. harep uses the weaker one.
    Contradiction {
        /// The object with both tags.
        object: TaggedObject,
        /// The type that is in force.
        weakest: RepairType,
        /// The type that has no effect.
        strongest: RepairType,
    },
    /// A tag suspends repairs, for ever or until a time.
    Suspended {
        /// The object with the tag.
        object: TaggedObject,
        /// The end of the suspension, in seconds since 1970; `None` if it has no end.
        until_s: Option<u64>,
    },
    /// A tag with the prefix cannot be parsed.
    Malformed {
        /// The object with the tag.
        object: TaggedObject,
        /// The whole tag, for the message.
        tag: String,
    },
}

impl fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTag => write!(f, "no tag permits it (gnt-instance add-tags INSTANCE {PREFIX}:failover)"),
            Self::TooWeak { object, repair } => {
                write!(f, "the tag {PREFIX}:{repair} of {object} permits no failover")
            }
            Self::Contradiction { object, weakest, strongest } => {
                write!(
                    f,
                    "{object} has the tags {PREFIX}:{weakest} and {PREFIX}:{strongest}, and the weaker one counts"
                )
            }
            Self::Suspended { object, until_s: None } => write!(f, "suspended by the tag {PREFIX}:suspend of {object}"),
            Self::Suspended { object, until_s: Some(until_s) } => {
                write!(f, "suspended until {} by a tag of {object}", utc(*until_s))
            }
            Self::Malformed { object, tag } => {
                write!(f, "the tag {} of {object} is not a valid autorepair tag: correct or remove it", printable(tag))
            }
        }
    }
}

/// One autorepair tag.
enum Tag {
    Repair(RepairType),
    SuspendForever,
    SuspendUntil(u64),
    /// harep's own note ([`super::harep`]).
    Note,
    Malformed,
}

/// Returns the permission to start an instance elsewhere. `now_s` is the wall clock, in seconds since 1970.
///
/// # Errors
/// [`NotPermitted`] if no tag permits it now.
pub fn permission(tags: RepairTags<'_>, now_s: u64) -> Result<Permission, NotPermitted> {
    let objects = [
        (TaggedObject::Instance, tags.instance),
        (TaggedObject::Group, tags.group),
        (TaggedObject::Cluster, tags.cluster),
    ];
    for (object, tags) in objects {
        if let Some(answer) = of_object(object, tags, now_s) {
            return answer;
        }
    }
    Err(NotPermitted::NoTag)
}

/// Returns the answer of one object; `None` if it has no tag that is in force.
fn of_object(object: TaggedObject, tags: &[String], now_s: u64) -> Option<Result<Permission, NotPermitted>> {
    let mut until: Option<u64> = None;
    let mut repairs = Vec::new();
    let mut malformed = None;
    let mut is_suspended = false;
    for (tag, read) in tags.iter().filter_map(|tag| Some((tag, parse(tag)?))) {
        match read {
            Tag::Repair(repair) => repairs.push(repair),
            Tag::SuspendForever => is_suspended = true,
            Tag::SuspendUntil(end) if end > now_s => until = until.max(Some(end)),
            Tag::SuspendUntil(_) | Tag::Note => {}
            Tag::Malformed => malformed = malformed.or(Some(tag)),
        }
    }
    if is_suspended || until.is_some() {
        return Some(Err(NotPermitted::Suspended { object, until_s: until.filter(|_| !is_suspended) }));
    }
    if let Some(tag) = malformed {
        return Some(Err(NotPermitted::Malformed { object, tag: tag.clone() }));
    }
    let (weakest, strongest) = (*repairs.iter().min()?, *repairs.iter().max()?);
    Some(if weakest >= RepairType::Failover {
        Ok(Permission { object, repair: weakest })
    } else if strongest >= RepairType::Failover {
        Err(NotPermitted::Contradiction { object, weakest, strongest })
    } else {
        Err(NotPermitted::TooWeak { object, repair: weakest })
    })
}

/// Parses a tag; `None` if it is not an autorepair tag. harep accepts `suspend` and `suspend:` as the same
/// (`chompPrefix` in `src/Ganeti/Utils.hs`).
fn parse(tag: &str) -> Option<Tag> {
    let rest = tag.strip_prefix(PREFIX)?;
    let Some(rest) = rest.strip_prefix(':') else { return Some(Tag::Malformed) };
    let (word, value) = rest.split_once(':').map_or((rest, None), |(word, value)| (word, Some(value)));
    Some(match (word, value) {
        ("suspend", None | Some("")) => Tag::SuspendForever,
        ("suspend", Some(time)) => seconds(time).map_or(Tag::Malformed, Tag::SuspendUntil),
        ("pending" | "result", Some(_)) => Tag::Note,
        (word, None) => RepairType::parse(word).map_or(Tag::Malformed, Tag::Repair),
        _ => Tag::Malformed,
    })
}

/// Returns a time in seconds since 1970 as text.
fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "the end of time".to_owned(), |time| time.to_string())
}

/// Parses a time in seconds since 1970. A number that is too large is the end of time: harep has numbers without limit.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
