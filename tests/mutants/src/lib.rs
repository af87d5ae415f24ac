//! Mutants of the functions that decide on shunning (`src/core/shun`): the model or a named test has to find each.
//!
//! [`list`] is the table of the mutants. [`tree`] makes a small copy of the workspace in which they are built: the
//! sources that decide, and the model, without the rest of the program.

pub mod list;
pub mod tree;

use std::path::PathBuf;

/// One small fault in a function that decides.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The mutant's name.
    pub name: &'static str,
    /// The file, relative to the top of the workspace.
    pub file: &'static str,
    /// A text that occurs in the file exactly once.
    pub find: &'static str,
    /// The text that replaces it.
    pub put: &'static str,
    /// The test that has to find the mutant.
    pub dies_in: Death,
}

/// The tests that can find a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// A test of `tests/model`, by its name.
    Model(&'static str),
    /// A unit test of the function's module, by its path below `core::shun`.
    Unit(&'static str),
}

impl Mutant {
    /// Returns the text of its file with the fault in it.
    ///
    /// # Errors
    /// If the replaced text does not occur in it exactly once: the function has changed, and the mutant has to follow.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(self.find).count() {
            1 if self.find != self.put => Ok(text.replacen(self.find, self.put, 1)),
            1 => Err(format!("{}: it changes nothing", self.name)),
            count => Err(format!("{}: {:?} occurs {count} times in {}", self.name, self.find, self.file)),
        }
    }
}

/// Returns the top directory of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::list::all;
    use super::*;

    /// The copy names directories and crates of the workspace: one that was renamed stops `make mutants`.
    #[test]
    fn the_copy_is_a_whole_workspace() {
        let dir = tempfile::tempdir().unwrap();
        tree::Tree::make(dir.path()).unwrap();
        let manifest = dir.path().join("tree/Cargo.toml");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = std::process::Command::new(cargo)
            .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
            .arg(manifest)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A mutant that does not apply to the source any more tests nothing.
    #[test]
    fn every_mutant_applies_to_the_source_as_it_is() {
        let text = |file: &str| fs::read_to_string(workspace().join(file)).unwrap();
        let failed: Vec<String> = all().filter_map(|mutant| mutant.apply(&text(mutant.file)).err()).collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        assert_eq!(all().map(|mutant| mutant.name).collect::<BTreeSet<_>>().len(), all().count(), "one name twice");
    }

    /// A mutant with a missing test is never found.
    #[test]
    fn every_mutant_names_a_test_that_exists() {
        let model = fs::read_to_string(workspace().join("tests/model/tests/models.rs")).unwrap();
        for mutant in all() {
            let (text, test) = match mutant.dies_in {
                Death::Model(test) => (model.clone(), test),
                Death::Unit(path) => {
                    let (module, test) = path.split_once("::tests::").unwrap();
                    let dir = workspace().join("src/core/shun");
                    let text = ["{}.rs", "{}/tests.rs"]
                        .map(|file| fs::read_to_string(dir.join(file.replace("{}", module))).unwrap_or_default());
                    (text.concat(), test)
                }
            };
            assert!(text.contains(&format!("fn {test}(")), "{}: there is no test {test}", mutant.name);
        }
    }
}
