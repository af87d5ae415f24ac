//! The contents of Ganeti's ssconf files, one item per line. Pure: an adapter reads the files.

use std::net::IpAddr;

use crate::core::node::{BadNodeName, NodeName};

/// The content of `ssconf_master_node` while there is no master (`lib/bootstrap.py`).
const NO_MASTER: &str = "NO MASTER";

/// Returns the lines that are not empty; `None` if the bytes are not text.
#[must_use]
pub fn lines(bytes: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Returns the master by these lines; `None` if there is no master.
///
/// # Errors
/// [`BadNodeName`] if the first line is not a valid node name.
pub fn master(lines: &[String]) -> Result<Option<NodeName>, BadNodeName> {
    lines.first().filter(|name| *name != NO_MASTER).map(|name| NodeName::new(name)).transpose()
}

/// Returns the node names.
///
/// # Errors
/// [`BadNodeName`] if a line is not a valid node name.
pub fn names(lines: &[String]) -> Result<Vec<NodeName>, BadNodeName> {
    lines.iter().map(|name| NodeName::new(name)).collect()
}

/// Returns the addresses; other lines are skipped.
#[must_use]
pub fn addresses(lines: &[String]) -> Vec<IpAddr> {
    lines.iter().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Returns the port of each node's SSH, by the lines `name=port`; other lines are skipped.
#[must_use]
pub fn ports(lines: &[String]) -> Vec<(NodeName, u16)> {
    let pair = |line: &String| {
        let (name, port) = line.split_once('=')?;
        Some((NodeName::new(name).ok()?, port.trim().parse().ok().filter(|port| *port > 0)?))
    };
    lines.iter().filter_map(pair).collect()
}

/// Returns the name and address of each line `name ip`; other lines are skipped.
#[must_use]
pub fn name_addresses(lines: &[String]) -> Vec<(NodeName, IpAddr)> {
    let pair = |line: &String| {
        let (name, address) = line.split_once(' ')?;
        Some((NodeName::new(name).ok()?, address.trim().parse().ok()?))
    };
    lines.iter().filter_map(pair).collect()
}
