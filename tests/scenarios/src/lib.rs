//! A simulated cluster for the decisions of gnt-ha: hosts with power and links, Pacemaker's view and fencing, Ganeti's
//! flags, receipts. The decisions are the real ones (`gnt_ha::core::reconcile`); what they may never do is checked
//! against what is true in the simulated world, after each of them.

pub mod command;
mod ganeti;
mod host;
mod invariants;
mod pacemaker;
mod roles;
mod run;
mod script;
mod view;
mod world;

pub use run::{Outcome, run};
pub use script::{Script, ScriptError};
