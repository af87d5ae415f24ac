//! An administrator sets up, checks, moves, pauses and takes nodes out of service.

pub(crate) mod blocked;
pub(crate) mod commands;
pub(crate) mod examples;
pub(crate) mod forms;
pub(crate) mod graceful;
pub(crate) mod moves;
pub(crate) mod offline_by_hand;
pub(crate) mod planted;
pub(crate) mod setup;
pub(crate) mod tutorial;
pub(crate) mod upgrade;
