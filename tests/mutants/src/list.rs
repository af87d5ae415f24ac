//! The table of mutants, by what the functions decide on.

mod self_fencing;
mod shunning;

use crate::{Death, Mutant};

/// Returns all mutants.
pub fn all() -> impl Iterator<Item = &'static Mutant> {
    [shunning::MUTANTS, self_fencing::MUTANTS].into_iter().flatten()
}

const fn of(name: &'static str, file: &'static str, find: &'static str, put: &'static str, dies_in: Death) -> Mutant {
    Mutant { name, file, find, put, dies_in }
}
