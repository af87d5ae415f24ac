//! Configures Pacemaker for the Ganeti cluster: plans the changes, tries them on a copy, and makes them.
//!
//! [`plan`] has the whole configuration, [`update`] only what follows from Ganeti's nodes, [`deletion`] deletes all of it.
//! [`recovery_switch`] switches recovery on. `apply` is what they have in common.

mod apply;
pub mod clusters;
pub mod deletion;
pub mod error;
pub mod plan;
pub mod recovery_switch;
pub mod update;
