//! What is known, for programs that watch: in the shape of Ganeti's monitoring daemon, and as `OpenMetrics`.

pub mod envelope;
pub mod http;
pub mod openmetrics;

#[cfg(test)]
mod tests;
