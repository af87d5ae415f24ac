//! Whether a silence, or a refused connection, may be this host's own doing: by what its kernel refuses, and what its shun list says.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::stored::{register, shunned_addresses, wanted};
use crate::sys::clock::Deadline;
use crate::sys::nft::shun_table;

/// The most that the kernel's answer may take: whoever asks has other questions to ask.
const KERNEL: Duration = Duration::from_secs(2);

/// What this host does to packets from and to its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRefusals {
    listed: BTreeSet<IpAddr>,
    /// None where the kernel could not be asked, or has rules that are damaged: then nothing is known of it.
    kernel: Option<BTreeSet<IpAddr>>,
}

/// How this host stands to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Nothing of this host's keeps an answer away: who answers runs, and a silence is the other's.
    Open,
    /// A refused connection may be this host's own: only an accepted one is an answer, and a silence is the other's.
    Doubtful,
    /// The kernel refuses it, as the list says: it stays out until it is readmitted, and cannot be asked.
    Shunned,
}

impl OwnRefusals {
    /// Reads the list in the state folder, and asks the kernel.
    #[must_use]
    pub fn read(state: &Path, deadline: Deadline) -> Self {
        let kernel = shun_table::refused_if_known(deadline.at_most(KERNEL)).unwrap_or_else(|error| {
            tracing::warn!(%error, "what this host's kernel refuses is not known");
            None
        });
        Self { listed: shunned_addresses(state), kernel: kernel.map(|refused| refused.addresses.into_keys().collect()) }
    }

    /// Of a test: what the list says, and what the kernel refuses, if that is known.
    #[cfg(test)]
    pub(crate) fn of_test(listed: &[IpAddr], kernel: Option<&[IpAddr]>) -> Self {
        let all = |addresses: &[IpAddr]| addresses.iter().copied().collect();
        Self { listed: all(listed), kernel: kernel.map(all) }
    }

    /// How this host stands to `address`. A list alone refuses nothing: its rules may be gone, or leave this address out.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Own {
        let is_listed = self.listed.contains(&address);
        match self.kernel.as_ref().map(|kernel| kernel.contains(&address)) {
            Some(true) if is_listed => Own::Shunned,
            // Rules of before a readmission.
            Some(true) => Own::Doubtful,
            None if is_listed => Own::Doubtful,
            Some(false) | None => Own::Open,
        }
    }
}

/// The addresses of the nodes whose voice does not count: those of the shun list, also where no rule stands; of a list that
/// cannot be read what the kernel refuses.
#[must_use]
pub fn shunned_or_refused(state: &Path, deadline: Deadline) -> BTreeSet<IpAddr> {
    let refused = || shun_table::refused(deadline.at_most(KERNEL)).unwrap_or_default().addresses;
    register(state).map_or_else(|_| refused(), |register| wanted(&register, |_, _| true)).into_keys().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the list says and the kernel does not do is no reason not to ask; what the kernel may do is no answer.
    #[test]
    fn the_kernel_decides_and_the_list_only_where_it_is_not_known() {
        let [both, list, kernel, none] = [1, 2, 3, 4].map(|n| IpAddr::from([192, 0, 2, n]));
        let own = OwnRefusals { listed: [both, list].into(), kernel: Some([both, kernel].into()) };
        let of = |own: &OwnRefusals| [both, list, kernel, none].map(|address| own.of(address));
        assert_eq!(of(&own), [Own::Shunned, Own::Open, Own::Doubtful, Own::Open]);
        let unknown = OwnRefusals { kernel: None, ..own };
        assert_eq!(of(&unknown), [Own::Doubtful, Own::Doubtful, Own::Open, Own::Open]);
    }
}
