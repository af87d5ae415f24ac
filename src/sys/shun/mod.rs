//! Refusing a lost node on this host, and telling what this host knows.
//!
//! [`keeper`] is the way in; [`remembered`] the list on the disk; [`table`] holds the rules, [`protected`] what is never refused, [`own`] what of
//! a silence is this host's doing, [`known`] and [`running`] are for the report.

pub mod keeper;
pub mod known;
pub mod own;
mod protected;
mod remembered;
pub mod running;
pub mod table;
