//! Makes the noded of dead nodes unreachable from this host for a limited time, with an nftables table of its own.
//! Connections to it fail at once, and existing ones are ended.
//!
//! Ganeti waits 5 s for a connection to a dead node (`lib/rpc/node.py`): seven times in one failover, and for each dead
//! candidate at every step of a job. An *unreachable* address ends each of these waits at once. It also ends Ganeti's
//! wait for the master IP to vanish (`lib/bootstrap.py`, `TcpPing`). It is used only for nodes that are proven to be
//! down.
//!
//! Both use noded's TCP port, and the rules affect no other traffic. corosync has one UDP socket for all its peers: a
//! rejected datagram to one peer is an error of the next datagram, to another peer. With such a rule, survivors lost
//! each other within 1.5 s, and the master role stopped without quorum (libknet 1.25).
//!
//! The kernel ends it by itself, even if gnt-ha dies: the addresses are set elements with a timeout in a table of our
//! own (nft(8)). A host that returns must be able to reach this one.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sys::clock::Deadline;
use crate::sys::command::ProgramError;
use crate::sys::connections::{self, ConnectionChoice};
use crate::sys::nft;
use crate::sys::tcp_check::NODED_PORT;

/// The name of the table, which belongs to gnt-ha as a whole.
const TABLE: &str = "gnt-ha-unreachable";

/// The time limit of one `nft` command.
const NFT_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes the noded of `addresses` unreachable from this host for `time`, in whole seconds. A failure is logged only:
/// this saves time, and nothing depends on it. An address that is already unreachable keeps its remaining time.
pub fn make_unreachable(addresses: &[IpAddr], time: Duration) {
    if !addresses.is_empty() {
        log_failure(nft::apply(&rules(addresses, time.as_secs()), Deadline::after(NFT_TIMEOUT)));
        connections::end(ConnectionChoice::TcpTo(NODED_PORT), addresses, Deadline::after(NFT_TIMEOUT));
    }
}

/// Ends all effects of [`make_unreachable`] that the kernel has not ended yet.
pub fn make_reachable() {
    // The table is added first, so that the deletion succeeds if it is absent.
    let both = [json!({"add": {"table": table()}}), json!({"delete": {"table": table()}})];
    log_failure(nft::apply(&both, Deadline::after(NFT_TIMEOUT)));
}

/// Returns whether [`make_unreachable`] has made this address unreachable and the kernel has not ended it yet. Returns
/// `None` if that is unknown. Changes nothing.
#[must_use]
pub fn is_made_unreachable(address: IpAddr) -> Option<bool> {
    let objects = nft::list("inet", TABLE, Deadline::after(NFT_TIMEOUT)).ok()?;
    Some(objects.unwrap_or_default().iter().any(|object| holds(object, address)))
}

/// Returns whether this object of a listing is a set that contains the address.
fn holds(object: &Value, address: IpAddr) -> bool {
    let address = address.to_string();
    let elements = object.pointer("/set/elem").and_then(Value::as_array);
    // An element with a timeout is an object.
    elements.into_iter().flatten().any(|element| element.pointer("/elem/val").unwrap_or(element) == address.as_str())
}

fn log_failure(done: Result<(), ProgramError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "the unreachable addresses were not changed");
    }
}

fn table() -> Value {
    json!({"family": "inet", "name": TABLE})
}

/// Returns the commands of one transaction (libnftables-json(5)): the kernel applies all or none.
fn rules(addresses: &[IpAddr], seconds: u64) -> Vec<Value> {
    let of_ours = |name: &str| json!({"family": "inet", "table": TABLE, "name": name});
    let with = |mut base: Value, more: Value| {
        if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
            base.extend(more);
        }
        base
    };
    let set = |name: &str, kind: &str| json!({"add": {"set": with(of_ours(name), json!({"type": kind, "flags": ["timeout"]}))}});
    // The hook runs before connection tracking, which accepts established connections.
    let hook = json!({"type": "filter", "hook": "output", "prio": -300, "policy": "accept"});
    // If this host takes over an address meanwhile, such as the master IP, its packets go over lo.
    let leaves = json!({"match": {"op": "!=", "left": {"meta": {"key": "oifname"}}, "right": "lo"}});
    let reject = |protocol: &str, set: &str, answer: (&str, &str)| {
        let to_them = json!({"match": {
            "op": "==", "left": {"payload": {"protocol": protocol, "field": "daddr"}}, "right": format!("@{set}")}});
        let noded = json!({"match": {
            "op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": NODED_PORT}});
        let refusal = json!({"reject": {"type": answer.0, "expr": answer.1}});
        json!({"add": {"rule": {"family": "inet", "table": TABLE, "chain": "output", "expr": [leaves, to_them, noded, refusal]}}})
    };
    let mut commands = vec![
        json!({"add": {"table": table()}}),
        set("unreachable4", "ipv4_addr"),
        set("unreachable6", "ipv6_addr"),
        json!({"add": {"chain": with(of_ours("output"), hook)}}),
        json!({"flush": {"chain": of_ours("output")}}),
        reject("ip", "unreachable4", ("icmp", "host-unreachable")),
        reject("ip6", "unreachable6", ("icmpv6", "addr-unreachable")),
    ];
    for address in addresses {
        let name = if address.is_ipv4() { "unreachable4" } else { "unreachable6" };
        let element = json!([{"elem": {"val": address, "timeout": seconds}}]);
        commands.push(json!({"add": {"element": with(of_ours(name), json!({"elem": element}))}}));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The listing has the form of nft(8), with one element with a timeout and one without.
    #[test]
    fn an_address_is_found_in_a_listing() {
        let set = json!({"set": {"family": "inet", "name": "unreachable4", "table": TABLE, "type": "ipv4_addr", "handle": 1,
            "flags": ["timeout"], "elem": [{"elem": {"val": "192.0.2.3", "timeout": 60, "expires": 59}}, "192.0.2.4"]}});
        for (address, is_there) in
            [("192.0.2.3", true), ("192.0.2.4", true), ("192.0.2.5", false), ("2001:db8::3", false)]
        {
            assert_eq!(holds(&set, address.parse().unwrap()), is_there, "{address}");
        }
        assert!(!holds(&json!({"table": {"name": TABLE}}), "192.0.2.3".parse().unwrap()));
    }
}
