//! Does what an event of Ganeti's needs, within Ganeti's job or after it: [`event`] is the entry point, [`steps`] carries
//! out the steps that the core has planned.

pub mod error;
pub mod event;
mod fencing;
mod input;
mod instance;
mod limits;
mod reconcile;
mod standby;
pub mod steps;
