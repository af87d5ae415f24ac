//! Resolves names to addresses within a time limit, which the resolver of the C library does not have.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use super::clock::Deadline;
use crate::core::config::Resolved;

/// The maximum number of names that are resolved at once.
const AT_ONCE: usize = 16;

/// Returns the addresses of these names, as far as they are known at the deadline. A resolver that hangs is left
/// behind: therefore not by [`fan_out::each`](super::fan_out::each), which waits for all.
#[must_use]
pub fn addresses(names: &BTreeSet<String>, deadline: Deadline) -> Resolved {
    let mut known = Resolved::new();
    let (sender, answers) = mpsc::channel();
    let queue = Arc::new(Mutex::new(names.iter().cloned().collect::<Vec<_>>()));
    for _ in 0..AT_ONCE.min(names.len()) {
        let (queue, sender) = (Arc::clone(&queue), sender.clone());
        let work = move || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(name) = next else { return };
                let found = (name.as_str(), 0).to_socket_addrs();
                let found: BTreeSet<IpAddr> = found.into_iter().flatten().map(|address| address.ip()).collect();
                if sender.send((name, found)).is_err() {
                    return;
                }
            }
        };
        // With fewer threads it takes longer; the deadline still holds.
        let _ = std::thread::Builder::new().name("resolve".to_owned()).spawn(work);
    }
    drop(sender);
    while let Ok((name, found)) = answers.recv_timeout(deadline.left()) {
        known.insert(name, found);
    }
    known
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_name_of_this_host_is_found_and_no_time_is_none() {
        let names = ["localhost".to_owned(), "no-such-name.invalid".to_owned()].into();
        let known = addresses(&names, Deadline::after(Duration::from_secs(20)));
        assert!(known["localhost"].iter().any(|address| address.is_loopback()));
        assert!(known.get("no-such-name.invalid").is_none_or(BTreeSet::is_empty));
        assert!(addresses(&BTreeSet::new(), Deadline::after(Duration::ZERO)).is_empty());
    }
}
