//! A simulated cluster for the decisions of gnt-ha: hosts with power and links, Pacemaker's view and fencing, Ganeti's
//! flags, receipts. The decisions are the real ones (`gnt_ha::core::reconcile`). After each of them the invariants are
//! checked against the true state of the simulated world.

pub mod command;
mod ganeti;
mod host;
mod invariants;
mod pacemaker;
mod roles;
mod run;
mod script;
mod shunning;
mod view;
mod world;

pub use run::{Outcome, run};
pub use script::{Script, ScriptError};
