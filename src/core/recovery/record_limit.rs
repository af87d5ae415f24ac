//! The newest version of a host's record up to which a start off that host may go on, as an entry of its reason trail. Pure.

use std::fmt;

use crate::core::ganeti::record_version::{RecordVersion, stayed_offline};

/// The beginning of the entry in the reason trail.
const RECORD: &str = "only-record:";

/// The version of a host's record for which a start was planned, and what the record was then.
///
/// Between the plan and the operation, the host may be readmitted, start its instances, and be recorded offline again by
/// hand. That takes more updates of the record than [`stayed_offline`] allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordLimit {
    version: RecordVersion,
    was_offline: bool,
}

impl RecordLimit {
    /// Returns the limit of a start that is planned while the record has this version. `was_offline` is whether the record
    /// is written, and not only submitted.
    pub(super) fn of(version: &RecordVersion, was_offline: bool) -> Self {
        Self { version: version.clone(), was_offline }
    }

    /// Parses the entry of a reason trail; `None` for any other text.
    pub(super) fn parse(entry: &str) -> Option<Self> {
        let mut parts = entry.strip_prefix(RECORD)?.splitn(3, ':');
        let (serial, record, uuid) = (parts.next()?, parts.next()?, parts.next()?);
        let version = RecordVersion { uuid: uuid.to_owned(), serial: serial.parse().ok()? };
        let was_offline = match record {
            "offline" => true,
            "online" => false,
            _ => return None,
        };
        Some(Self { version, was_offline })
    }

    /// Returns whether the host has certainly not been online since, if its record has this version now.
    pub(super) fn holds(&self, now: Option<&RecordVersion>) -> bool {
        stayed_offline(Some(&self.version), self.was_offline, now)
    }
}

impl fmt::Display for RecordLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = if self.was_offline { "offline" } else { "online" };
        write!(f, "{RECORD}{}:{record}:{}", self.version.serial, self.version.uuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_as_it_was_written() {
        let version = |serial| RecordVersion { uuid: "a1:b".to_owned(), serial };
        for (was_offline, most) in [(true, 8), (false, 9)] {
            let limit = RecordLimit::of(&version(7), was_offline);
            let read = RecordLimit::parse(&limit.to_string()).unwrap();
            assert_eq!(read, limit);
            assert!(read.holds(Some(&version(most))) && !read.holds(Some(&version(most + 1))) && !read.holds(None));
        }
        assert_eq!(RecordLimit::parse("only-off:n3.lab"), None);
        assert_eq!(RecordLimit::parse("only-record:x:offline:u"), None);
    }
}
