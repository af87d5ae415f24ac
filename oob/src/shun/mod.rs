//! Shunning from this host: every other node is told to refuse one, and what they answer is judged.
//!
//! [`peers`] asks them, [`survivors`] knows who they are and what they said, [`proof`] what that proves, [`after`] shuns what another device has
//! proven off, [`refuse`] and [`readmit`] do what a person says, [`sync`] keeps everybody at what was decided.

pub mod after;
pub mod peers;
mod proof;
pub mod readmit;
pub mod refuse;
mod ssh;
pub mod survivors;
pub mod sync;
