//! A BMC for tests: speaks IPMI 2.0 over LAN (suites 17 and 3) and misbehaves on demand.
//!
//! It does what `ipmi_sim` cannot: suite 17, K_g, account locks, faults, lies about power, and a bad network. That it
//! speaks the real protocol is proven with `ipmitool`, independently of the codec it shares with the client.

mod behaviour;
mod bmc;
mod commands;
mod random;
mod server;
mod session;

pub use behaviour::{Attack, Behaviour, Completion, Forgery, Noise, PowerActs, User};
pub use bmc::{Bmc, Seen};
pub use server::{Responder, serve};
