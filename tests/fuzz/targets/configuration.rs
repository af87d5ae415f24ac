//! `config.toml`: any text is rejected with its line, or gives every node its levels or a reason.
#![no_main]

use std::path::Path;

use gnt_ha::core::config::Config;
use gnt_ha::core::node::NodeName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(config) = Config::parse(text, Path::new("config.toml")) else { return };
    let mut nodes = config.named_nodes();
    nodes.extend(NodeName::new("n1.example.com"));
    for node in &nodes {
        if let Ok(levels) = config.levels_of(node) {
            assert!(!levels.is_empty() && levels.iter().all(|level| !level.is_empty()), "a level without a device");
        }
    }
});
