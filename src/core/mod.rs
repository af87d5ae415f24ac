//! Decisions and the words they are made of. Pure: state goes in, a plan or a value comes out.

pub mod budget;
pub mod ganeti_config;
pub mod grade;
pub mod history;
pub mod node;
pub mod oob;
pub mod power;
pub mod pursuit;
pub mod receipt;
pub mod record;
