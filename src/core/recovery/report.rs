//! What a node has reported of the instances that it runs, and for what that counts. Pure.

use std::collections::BTreeSet;

use super::instance::InstanceName;

/// A node's report of the instances that it runs.
///
/// The report of a shunned node is not trusted: an instance that it names may run there, so it is not started, but one that it does not
/// name may run there as well. Only [`RunningReport::complete`] shows that an instance does not run on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunningReport {
    named: Option<BTreeSet<InstanceName>>,
    is_shunned: bool,
}

impl RunningReport {
    /// Makes the report of a node. `named` are the instances that the node names; `None` if it was not asked or has not
    /// answered.
    #[must_use]
    pub const fn new(named: Option<BTreeSet<InstanceName>>, is_shunned: bool) -> Self {
        Self { named, is_shunned }
    }

    /// Returns the instances that may run on the node, by its own report.
    pub fn named(&self) -> impl Iterator<Item = &InstanceName> {
        self.named.iter().flatten()
    }

    /// Returns all instances that run on the node; `None` if that is unknown.
    #[must_use]
    pub fn complete(&self) -> Option<&BTreeSet<InstanceName>> {
        self.named.as_ref().filter(|_| !self.is_shunned)
    }

    /// Returns whether the node has answered.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        self.named.is_some()
    }
}

impl From<BTreeSet<InstanceName>> for RunningReport {
    /// Makes the report of a node that is not shunned.
    fn from(running: BTreeSet<InstanceName>) -> Self {
        Self::new(Some(running), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shunned_node_does_not_name_may_run_there() {
        let web: BTreeSet<InstanceName> = [InstanceName::new("web").unwrap()].into();
        let shunned = RunningReport::new(Some(web.clone()), true);
        assert!(shunned.named().eq(&web) && shunned.complete().is_none());
        assert_eq!(RunningReport::from(web.clone()).complete(), Some(&web));
        assert!(RunningReport::default().complete().is_none() && !RunningReport::default().is_answer());
    }
}
