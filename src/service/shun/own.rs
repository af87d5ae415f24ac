//! Decides whether this host's own rules may have caused a missing answer or a refused connection; reads the kernel's
//! rules and the shun list.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::stored::{addresses_to_shun, shun_list, shunned_addresses};
use crate::sys::clock::Deadline;
use crate::sys::nft::shun_table;

/// The longest wait for the kernel's answer: the caller has more to ask.
const KERNEL_TIMEOUT: Duration = Duration::from_secs(2);

/// What this host does to packets from and to its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRules {
    listed: BTreeSet<IpAddr>,
    /// What the kernel drops; `None` if it could not be read, or has damaged rules: then it is unknown.
    kernel: Option<BTreeSet<IpAddr>>,
}

/// The state of this host towards one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// No rule of this host stops an answer. A host that answers runs, and a missing answer has its cause there.
    Open,
    /// A refused connection may come from this host's rules. Only an accepted connection is an answer, and a missing
    /// answer has its cause at the other host.
    Doubtful,
    /// The kernel shuns the address, as the list has it. It is shunned until it is readmitted, and cannot be asked.
    Shunned,
}

impl OwnRules {
    /// Reads the shun list in the state directory and the kernel's rules.
    #[must_use]
    pub fn read(state: &Path, deadline: Deadline) -> Self {
        let kernel = shun_table::applied_rules_if_known(deadline.at_most(KERNEL_TIMEOUT)).unwrap_or_else(|error| {
            tracing::warn!(%error, "the rules of this host's kernel are unknown");
            None
        });
        Self { listed: shunned_addresses(state), kernel: kernel.map(|rules| rules.addresses.into_keys().collect()) }
    }

    /// Returns a value for tests: the addresses of the list, and those that the kernel shuns, if that is known.
    #[cfg(test)]
    pub(crate) fn of_test(listed: &[IpAddr], kernel: Option<&[IpAddr]>) -> Self {
        let all = |addresses: &[IpAddr]| addresses.iter().copied().collect();
        Self { listed: all(listed), kernel: kernel.map(all) }
    }

    /// Returns the state of this host towards `address`. A list alone drops nothing: its rules may be absent, or leave
    /// this address out.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> AddressState {
        let is_listed = self.listed.contains(&address);
        match self.kernel.as_ref().map(|kernel| kernel.contains(&address)) {
            Some(true) if is_listed => AddressState::Shunned,
            // The rules are those from before a readmission.
            Some(true) => AddressState::Doubtful,
            None if is_listed => AddressState::Doubtful,
            Some(false) | None => AddressState::Open,
        }
    }
}

/// Returns the addresses of the nodes whose statements do not count: those of the shun list, also where their rules are
/// absent. If the list cannot be read, they are those that the kernel shuns.
#[must_use]
pub fn shunned_addresses_known(state: &Path, deadline: Deadline) -> BTreeSet<IpAddr> {
    let rules = || shun_table::applied_rules(deadline.at_most(KERNEL_TIMEOUT)).unwrap_or_default().addresses;
    shun_list(state)
        .map_or_else(|_| rules(), |shun_list| addresses_to_shun(&shun_list, |_, _| true))
        .into_keys()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node whose entry the kernel does not apply is asked. A drop that the kernel may cause is
    /// not an answer.
    #[test]
    fn the_kernel_decides_and_the_list_only_if_the_kernel_is_unknown() {
        let [both, list, kernel, none] = [1, 2, 3, 4].map(|n| IpAddr::from([192, 0, 2, n]));
        let own = OwnRules { listed: [both, list].into(), kernel: Some([both, kernel].into()) };
        let of = |own: &OwnRules| [both, list, kernel, none].map(|address| own.of(address));
        assert_eq!(of(&own), [AddressState::Shunned, AddressState::Open, AddressState::Doubtful, AddressState::Open]);
        let unknown = OwnRules { kernel: None, ..own };
        assert_eq!(
            of(&unknown),
            [AddressState::Doubtful, AddressState::Doubtful, AddressState::Open, AddressState::Open]
        );
    }
}
