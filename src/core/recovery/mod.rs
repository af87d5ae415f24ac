//! Recovery: the instances of a dead host run again on other hosts. Decides which instance starts where, and which does
//! not and why.
//!
//! [`plan`](plan::plan) makes the plan of the cluster's state, [`opcodes`] makes Ganeti's jobs of it. Permission is
//! Ganeti's own: its autorepair tags ([`permission`]). The proof of the death comes first; see
//! [`RecoveryInput`](state::RecoveryInput) for what an unknown value counts as. What has changed between the plan and the
//! operation is found by the [`guard`], in a hook of Ganeti's. Pure.

pub mod allocator;
pub mod by_hand;
pub mod config_data;
pub mod coverage;
pub mod death;
mod down_instance;
pub mod drbd;
pub mod freshness;
pub mod guard;
pub mod harep;
pub mod instance;
pub mod instance_breaker;
pub mod live;
pub mod memory;
pub mod not_recovered;
pub mod opcodes;
pub mod permission;
pub mod plan;
pub mod priority;
pub mod queue;
mod record_limit;
pub mod recovery_log;
pub mod report;
pub mod role_job;
pub mod start_node;
pub mod state;
pub mod template;
pub mod unreadable;
