//! Keeping Ganeti's record of its nodes true: looking, deciding by the core, handing over, and what that needs.

pub mod after_fencing;
mod noded_check;
pub mod peer_receipts;
pub mod run;
mod submitted_jobs;
pub mod view;
