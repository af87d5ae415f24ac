//! Daemons of Ganeti fail, or their failure is simulated, while the host runs.

pub(crate) mod full;
pub(crate) mod simulate;
