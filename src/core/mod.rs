//! Decisions and the words they are made of. Pure: state goes in, a plan or a value comes out.

pub mod attest;
pub mod breaker;
pub mod budget;
pub mod check;
pub mod drill;
pub mod ganeti;
pub mod grade;
pub mod history;
pub mod hook;
pub mod node;
pub mod outlook;
pub mod pacemaker;
pub mod pause;
pub mod power;
pub mod pursuit;
pub mod receipt;
pub mod reconcile;
pub mod record;
pub mod rehearsal;
pub mod report;
pub mod roles;
pub mod setup;
pub mod shun;
pub mod status;
pub mod survey;
pub mod timeline;
