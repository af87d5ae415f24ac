//! Models of shunning and the leash (docs/shunning.md). They run the decisions of [`gnt_ha::core::shun`] as they are, and a
//! world around them that loses, delays and repeats messages, stops processes, flushes rules and lets clocks run wrong.
//!
//! Each condition of the argument can be taken away ([`timing::Without`], [`rules::Without`]); the tests want the checker to
//! find a counter-example then, and none with all of them.

pub mod rules;
pub mod timing;

use std::net::IpAddr;

use gnt_ha::core::node::NodeName;

/// The node that is shunned.
pub const TARGET: u8 = 9;

/// The address of a node.
#[must_use]
pub fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

/// The name of a node.
///
/// # Panics
/// Never: it is a name.
#[must_use]
#[allow(clippy::expect_used, reason = "a constant name")]
pub fn name(number: u8) -> NodeName {
    NodeName::new(&format!("n{number}")).expect("a name")
}
