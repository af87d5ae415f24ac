//! Keeps Ganeti's record of its nodes in line with what is proven. It collects the input, lets the core decide, and
//! submits jobs to Ganeti's luxid; its state is in the state directory.

pub mod after_fencing;
mod input;
mod last_run;
mod noded_check;
pub mod peer_receipts;
pub mod recover;
pub mod run;
mod start_guard;
mod submitted_jobs;
pub mod view;
