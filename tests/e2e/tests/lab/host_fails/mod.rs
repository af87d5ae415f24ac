//! Hosts fail: power, network, BMC, disk or several at once.

pub(crate) mod bmc_dead;
pub(crate) mod breaker;
pub(crate) mod cut;
pub(crate) mod death;
pub(crate) mod disk;
pub(crate) mod last_candidates;
pub(crate) mod quorum_device;
pub(crate) mod recovery;
pub(crate) mod redfish;
pub(crate) mod remotes;
pub(crate) mod shunned;
pub(crate) mod storm;
pub(crate) mod two_nodes;
