//! Decisions and the words they are made of. Pure: state goes in, a plan or a value comes out.

pub mod breaker;
pub mod budget;
pub mod cib;
pub mod crm_mon;
pub mod ganeti_config;
pub mod gone;
pub mod grade;
pub mod history;
pub mod jobs;
pub mod node;
pub mod notice;
pub mod oob;
pub mod pause;
pub mod power;
pub mod pursuit;
pub mod receipt;
pub mod reconcile;
pub mod record;
pub mod roles;
pub mod simulate;
pub mod ssconf;
pub mod status;
pub mod tags;
pub mod words;
mod xml;
