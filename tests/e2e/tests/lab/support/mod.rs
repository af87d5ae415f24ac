//! Builds a cluster with the roles, acts on it, and reads its state from outside.

pub(crate) mod cib;
pub(crate) mod cluster;
pub(crate) mod doc_page;
pub(crate) mod end;
pub(crate) mod failures;
pub(crate) mod flows;
pub(crate) mod instances;
pub(crate) mod start;
pub(crate) mod watcher;
