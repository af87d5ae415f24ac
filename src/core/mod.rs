//! Decision rules and the types that they use. The modules are pure: they take state and return a plan or a value, and
//! they do no input or output.

pub mod bmc_memory;
pub mod breaker;
pub mod budget;
pub mod check;
pub mod clocks;
pub mod config;
pub mod confirm_off;
pub mod drill;
pub mod evidence;
pub mod fence_agents;
pub mod ganeti;
pub mod grade;
pub mod history;
pub mod hook;
pub mod host_identity;
pub mod node;
pub mod pacemaker;
pub mod paths;
pub mod pause;
pub mod power;
pub mod power_change;
pub mod power_receipt;
pub mod quorum;
pub mod receipt;
pub mod reconcile;
pub mod recovery;
pub mod rehearsal;
pub mod report;
pub mod roles;
pub mod setup;
pub mod shun;
pub mod status;
pub mod survey;
pub mod text;
pub mod timeline;
