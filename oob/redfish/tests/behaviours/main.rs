//! Each behaviour of a BMC that was reported in public, with the right result and words. `Client` is called as
//! `redfish-call` does, with a BMC that answers from a script and a clock that stands still.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

mod bmc;
mod choosing;
mod login;
mod reading;
mod rehearsing;
mod switching;
