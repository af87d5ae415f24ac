//! Nodes whose noded is unreachable from this host for a while: connections to it fail at once,
//! and those that stand are ended.
//!
//! Ganeti waits 5 s for a connection to a dead node (`lib/rpc/node.py`): seven times in one failover, and for each
//! dead candidate at every step of a job. An *unreachable* address ends each of these at once, and ends its wait for
//! the master IP to vanish, too (`lib/bootstrap.py`, `TcpPing`). Only for what is proven to be gone.
//!
//! Both ask noded's TCP port, and nothing else is touched. corosync has one UDP socket for all its peers: what is refused
//! for one of them is an error of the next datagram, to another. Survivors lost each other within a second and a half of
//! it, and the master role stopped for want of a quorum (libknet 1.25).
//!
//! The kernel itself ends it, whatever became of us, as the addresses are elements with a time-out of a set in a table of
//! our own (nft(8)): a host that comes back must find this one.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sys::clock::Deadline;
use crate::sys::command::ProgramError;
use crate::sys::connections::{self, Which};
use crate::sys::nft;
use crate::sys::tcp_check::NODED_PORT;

/// The table; all of it is ours.
const TABLE: &str = "gnt-ha-unreachable";

/// How long `nft` may take.
const EACH: Duration = Duration::from_secs(2);

/// Makes the noded of `addresses` unreachable from this host for `time`, in whole seconds, as far as that works: it saves time, and
/// nothing depends on it. An address that is unreachable already keeps the time that it has left.
pub fn make_unreachable(addresses: &[IpAddr], time: Duration) {
    if !addresses.is_empty() {
        told(nft::apply(&rules(addresses, time.as_secs()), Deadline::after(EACH)));
        connections::end(Which::TcpTo(NODED_PORT), addresses, Deadline::after(EACH));
    }
}

/// Makes reachable again what [`make_unreachable`] has made unreachable and the kernel has not let go yet.
pub fn make_reachable() {
    // Adding it first lets the removal succeed where there is none.
    let both = [json!({"add": {"table": table()}}), json!({"delete": {"table": table()}})];
    told(nft::apply(&both, Deadline::after(EACH)));
}

/// Whether [`make_unreachable`] has this address and the kernel has not let it go yet; none if that cannot be known. Changes
/// nothing.
#[must_use]
pub fn is_made_unreachable(address: IpAddr) -> Option<bool> {
    let objects = nft::list("inet", TABLE, Deadline::after(EACH)).ok()?;
    Some(objects.unwrap_or_default().iter().any(|object| holds(object, address)))
}

/// Whether this object of a listing is a set with the address in it.
fn holds(object: &Value, address: IpAddr) -> bool {
    let address = address.to_string();
    let elements = object.pointer("/set/elem").and_then(Value::as_array);
    // With a time-out an element is an object.
    elements.into_iter().flatten().any(|element| element.pointer("/elem/val").unwrap_or(element) == address.as_str())
}

fn told(done: Result<(), ProgramError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "what is reachable is as it was");
    }
}

fn table() -> Value {
    json!({"family": "inet", "name": TABLE})
}

/// One transaction (libnftables-json(5)): the kernel takes all of it or nothing.
fn rules(addresses: &[IpAddr], seconds: u64) -> Vec<Value> {
    let of_ours = |name: &str| json!({"family": "inet", "table": TABLE, "name": name});
    let with = |mut base: Value, more: Value| {
        if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
            base.extend(more);
        }
        base
    };
    let set = |name: &str, kind: &str| json!({"add": {"set": with(of_ours(name), json!({"type": kind, "flags": ["timeout"]}))}});
    // Ahead of connection tracking, which lets through what is established.
    let hook = json!({"type": "filter", "hook": "output", "prio": -300, "policy": "accept"});
    // An address that this host takes over meanwhile, the master IP, is reached over lo from then on.
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

    /// As nft(8) lists a set with time-outs, and one without.
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
