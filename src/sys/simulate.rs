//! Reads which conditions are simulated on this host: one file for each in a directory, named after the condition.

use std::collections::BTreeSet;
use std::path::Path;

use crate::core::roles::simulate::Simulated;

/// Name of the directory with these files, in the state directory.
pub const DIR: &str = "simulate";

/// Returns the conditions that are simulated by files in `dir`. A missing directory simulates nothing.
#[must_use]
pub fn present(dir: &Path) -> BTreeSet<Simulated> {
    // One check for the directory suffices: it rarely exists, and every monitor calls this function.
    if !dir.is_dir() {
        return BTreeSet::new();
    }
    Simulated::ALL.into_iter().filter(|condition| dir.join(condition.file()).exists()).collect()
}

/// Returns the names in `dir` that simulate nothing, such as misspelt names.
#[must_use]
pub fn unknown(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| Simulated::ALL.iter().all(|condition| condition.file() != name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_by_their_names_and_none_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let simulate = dir.path().join(DIR);
        assert!(present(&simulate).is_empty() && unknown(&simulate).is_empty());
        std::fs::create_dir(&simulate).unwrap();
        std::fs::write(simulate.join("wrong-role"), "").unwrap();
        std::fs::write(simulate.join("wrong-roll"), "").unwrap();
        assert_eq!(present(&simulate), BTreeSet::from([Simulated::WrongRole]));
        assert_eq!(unknown(&simulate), ["wrong-roll"]);
    }
}
