//! Ganeti's `config.data`: any bytes are rejected, or have at least one node, and each node is found by its name.
#![no_main]

use gnt_ha::core::ganeti::config::GanetiConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = GanetiConfig::parse(bytes) else { return };
    assert!(!config.nodes().is_empty());
    for node in config.nodes() {
        // Two nodes of one name are ambiguous; an existing name is never unknown.
        if let Err(error) = config.find(&node.name) {
            assert!(error.to_string().contains("may be any of"), "{error}");
        }
        let _ = config.needs_promotion_without(node);
    }
});
