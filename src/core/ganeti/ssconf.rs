//! What Ganeti's ssconf files hold: one item a line. An adapter reads the files.

use std::net::IpAddr;

use crate::core::node::{BadNodeName, NodeName};

/// What `ssconf_master_node` holds while nobody is master (`lib/bootstrap.py`).
const NO_MASTER: &str = "NO MASTER";

/// The lines that are not empty; `None` if it is no text.
#[must_use]
pub fn lines(bytes: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Who is master by these lines; `None` for nobody.
///
/// # Errors
/// [`BadNodeName`], when somebody is that can be no node.
pub fn master(lines: &[String]) -> Result<Option<NodeName>, BadNodeName> {
    lines.first().filter(|name| *name != NO_MASTER).map(|name| NodeName::new(name)).transpose()
}

/// The node names.
///
/// # Errors
/// [`BadNodeName`], when one is none.
pub fn names(lines: &[String]) -> Result<Vec<NodeName>, BadNodeName> {
    lines.iter().map(|name| NodeName::new(name)).collect()
}

/// The addresses; lines that hold none are skipped.
#[must_use]
pub fn addresses(lines: &[String]) -> Vec<IpAddr> {
    lines.iter().filter_map(|line| line.trim().parse().ok()).collect()
}

/// The port of each node's SSH, by the lines `name=port`; other lines are skipped.
#[must_use]
pub fn ports(lines: &[String]) -> Vec<(NodeName, u16)> {
    let pair = |line: &String| {
        let (name, port) = line.split_once('=')?;
        Some((NodeName::new(name).ok()?, port.trim().parse().ok().filter(|port| *port > 0)?))
    };
    lines.iter().filter_map(pair).collect()
}

/// Of each line `name ip` both; other lines are skipped.
#[must_use]
pub fn name_addresses(lines: &[String]) -> Vec<(NodeName, IpAddr)> {
    let pair = |line: &String| {
        let (name, address) = line.split_once(' ')?;
        Some((NodeName::new(name).ok()?, address.trim().parse().ok()?))
    };
    lines.iter().filter_map(pair).collect()
}
