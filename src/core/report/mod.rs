//! The status for monitoring programs: in the format of Ganeti's monitoring daemon, and as `OpenMetrics`. Pure.

pub mod envelope;
pub mod http;
pub mod openmetrics;

#[cfg(test)]
mod tests;
