//! Established connections with a refused node: ended, so that nobody waits on one (ss(8), `-K`; `SOCK_DESTROY`).
//!
//! What the kernel does not end, a socket of its own, is refused all the same.

use std::net::IpAddr;
use std::path::Path;

use crate::core::shun::register::Reach;
use crate::sys::clock::Deadline;
use crate::sys::program::run;
use crate::sys::shun::table::Wanted;

/// How many addresses one command names.
const AT_ONCE: usize = 200;

/// Ends the connections with `addresses`, as far as the kernel does.
pub(super) fn end(addresses: &Wanted, deadline: Deadline) {
    for (reach, protocols) in [(Reach::Everything, "-tu"), (Reach::Tcp, "-t")] {
        let of_it: Vec<String> =
            addresses.iter().filter(|(_, of)| **of == reach).map(|(address, _)| destination(*address)).collect();
        for some in of_it.chunks(AT_ONCE) {
            let mut words = vec!["-K", "-H", "-n", "-a", protocols];
            for (index, address) in some.iter().enumerate() {
                words.extend(if index == 0 { &["dst"][..] } else { &["or", "dst"] });
                words.push(address);
            }
            if let Err(error) = run(Path::new("ss"), &words, &[], deadline) {
                tracing::warn!(%error, "connections with a refused node are not ended; they are refused all the same");
            }
        }
    }
}

fn destination(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
