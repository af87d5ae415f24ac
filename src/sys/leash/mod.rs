//! The leash of this node: a watchdog that is petted only while a majority of the master candidates lets this node run.
//!
//! [`daemon`] is the loop, [`rounds`] asks the candidates, [`echo`] is what the daemons of two nodes say to each other, [`trial`]
//! asks the candidates once before it is armed, [`watchdog`] is the device, [`wanted`] what the administrator wants and what the
//! daemon says of itself, [`last_words`] what is done before the watchdog bites. What is decided is [`crate::core::shun::lease`].

pub mod daemon;
pub mod echo;
pub mod host;
mod last_words;
pub mod measured;
mod rounds;
pub mod trial;
pub mod wanted;
pub mod watchdog;
mod watchdog_ioctl;
