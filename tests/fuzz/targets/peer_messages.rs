//! The messages of nodes about shunned nodes: parsed and written again unchanged, or rejected.
#![no_main]

use gnt_ha::core::config::AddressRange;
use gnt_ha::core::shun::list::ShunList;
use gnt_ha::core::shun::messages::{PeerReport, PeerRequest, SelfFenceReport};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Parses a message, writes it and parses it again; `None` if it is not valid.
fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<(T, T)> {
    let words: T = serde_json::from_slice(bytes).ok()?;
    let text = serde_json::to_vec(&words).ok()?;
    let back = serde_json::from_slice(&text).expect("what was written can be read");
    Some((words, back))
}

fuzz_target!(|bytes: &[u8]| {
    if let Some((question, back)) = again::<PeerRequest>(bytes) {
        assert_eq!(question, back);
    }
    if let Some((report, back)) = again::<PeerReport>(bytes) {
        assert_eq!(report, back);
    }
    if let Some((self_fence, back)) = again::<SelfFenceReport>(bytes) {
        assert_eq!(self_fence, back);
    }
    if let Some((shun_list, back)) = again::<ShunList>(bytes) {
        assert_eq!(shun_list, back);
        // A second receipt of the same message changes nothing.
        let mut merged = shun_list.clone();
        merged.merge(&shun_list);
        assert_eq!(merged, shun_list);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(network) = AddressRange::try_from(text.to_owned())
    {
        let address = text.split('/').next().and_then(|address| address.parse().ok());
        assert!(address.is_some_and(|address| network.contains(address)), "a network without its own address");
    }
});
