//! A BMC for tests: supports IPMI 2.0 over LAN (suites 17 and 3), with faults on demand. [`https`] has one over Redfish.
//!
//! It has what `ipmi_sim` does not have: suite 17, K_g, account locks, faults, wrong power states, and a bad network.
//! Tests with `ipmitool` prove that it implements the real protocol, independently of the codec that it shares with the
//! client.

mod behaviour;
mod bmc;
mod commands;
pub mod https;
mod random;
mod server;
mod session;

pub use behaviour::{Attack, Behaviour, BrokenSuite, Completion, Forgery, Noise, PowerActs, PrivilegeReply, User};
pub use bmc::{Bmc, Seen};
pub use server::{Responder, serve};
