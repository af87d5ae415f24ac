//! IPMI 2.0 over LAN (RMCP+) sessions for power control with verified answers.
//!
//! A wrong "off" lets two copies of a virtual machine write to one disk. So this library accepts no reply that does not
//! belong to the request, tries no refused login twice, and returns by a deadline. Commands and their typed replies use
//! `ipmi-rs`. The session is our own, because the one there accepts an old reply for a new one.
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//! use ipmi_lan::{Secret, Session, Target};
//!
//! let target = Target::new("192.0.2.7", "fence", Secret::new("a long random one"))?;
//! let mut session = Session::open(&target, Instant::now() + Duration::from_secs(10))?;
//! println!("on: {}", session.chassis_status()?.power_on);
//! session.close();
//! # Ok::<(), ipmi_lan::Error>(())
//! ```
//!
//! The codec modules use no sockets, clocks or random numbers, and serve both sides of a connection.

pub mod command;
mod datagram;
mod error;
mod flight;
mod handshake;
mod ignored;
pub mod keys;
pub mod lan_message;
mod login;
pub mod open_session;
pub mod protect;
pub mod rakp;
pub mod rmcp;
mod secret;
mod session;
pub mod status;
pub mod suite;
mod target;
mod timers;
mod transport;

pub use command::{ChassisControl, ChassisStatus, LastPowerEvent, PowerRestorePolicy, SelfTest, SelfTestFailures};
pub use datagram::{Datagram, decode_datagram};
pub use error::Error;
pub use ignored::{Ignored, IgnoredTally};
/// The commands and replies that this library uses.
pub use ipmi_rs;
pub use secret::Secret;
pub use session::Session;
pub use suite::CipherSuite;
pub use target::{DEFAULT_PORT, MAX_PASSWORD, MAX_USERNAME, Privilege, Target, TargetError};
