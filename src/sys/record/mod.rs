//! Keeping Ganeti's record of its nodes true: looking, deciding by the core, handing over, and what that needs.

mod alive;
pub mod gate;
mod hand_over;
pub mod recorder;
pub mod told;
pub mod unreachable;
pub mod view;
