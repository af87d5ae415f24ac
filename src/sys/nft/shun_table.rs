//! The nftables rules that shun addresses: one table of ours, and a second one on a host with a bridge. Reads and
//! changes only these tables.
//!
//! The hooks run before connection tracking (its hooks have priority -200, `nf_ip_hook_priorities`), so that no rule
//! that accepts established connections comes first. Incoming packets are dropped. Outgoing TCP packets are answered
//! with a reset, so that a connection fails at once. Other outgoing packets are dropped, which fails at once, too
//! (EPERM). The rules never send an ICMP error: corosync has one UDP socket for all its peers, and takes an error of
//! one peer for an error of another (libknet 1.25).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::core::shun::list::ShunScope;
use crate::sys::clock::Deadline;
use crate::sys::command::ProgramError;
use crate::sys::nft;
use crate::sys::tcp_check::NODED_PORT;

/// The name of the table, in the families `inet` and `bridge`.
pub const TABLE: &str = "gnt-ha-shunned";

/// The priority of the hooks, before everything that accepts packets.
const PRIORITY: i32 = -400;

/// The shunned addresses, each with its scope.
pub type ShunnedAddresses = BTreeMap<IpAddr, ShunScope>;

/// The shun rules that the kernel has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedRules {
    /// The shunned addresses, each with its scope.
    pub addresses: ShunnedAddresses,
    /// The kernel's handles of table, chains and rules. A different id means that the rules were absent in between.
    pub ruleset_id: String,
}

/// What the kernel did with the rules that were to be applied, with the rules that it has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyResult {
    /// The kernel had these rules already.
    Unchanged(AppliedRules),
    /// The kernel has changed its rules.
    Done(AppliedRules),
}

impl ApplyResult {
    /// Returns the rules that the kernel has now.
    #[must_use]
    pub const fn rules(&self) -> &AppliedRules {
        match self {
            Self::Unchanged(rules) | Self::Done(rules) => rules,
        }
    }
}

/// Makes the kernel shun exactly the addresses in `wanted`, and reads the rules back.
///
/// Existing rules stay, with their ruleset id: only addresses are added and removed. If the kernel has other addresses
/// than `before`, which were applied last, another program has changed them. All rules are made again then, with a new
/// ruleset id.
///
/// # Errors
/// [`ProgramError`] if `nft` fails, or the kernel does not have the rules afterwards.
pub fn apply(
    before: &ShunnedAddresses,
    wanted: &ShunnedAddresses,
    deadline: Deadline,
) -> Result<ApplyResult, ProgramError> {
    let bridged = has_bridge();
    let found = read(bridged, deadline)?;
    if wanted.is_empty() && found == TableState::Nothing {
        return Ok(ApplyResult::Unchanged(AppliedRules::default()));
    }
    let commands = match &found {
        TableState::Whole(rules) if rules.addresses == *wanted => return Ok(ApplyResult::Unchanged(rules.clone())),
        _ if wanted.is_empty() => remove(),
        TableState::Whole(rules) if rules.addresses == *before => change(&rules.addresses, wanted, bridged),
        TableState::Nothing | TableState::Damaged | TableState::Whole(_) => {
            remove().into_iter().chain(make(wanted, bridged)).collect()
        }
    };
    nft::apply(&commands, deadline)?;
    match read(bridged, deadline)? {
        TableState::Whole(rules) if rules.addresses == *wanted => Ok(ApplyResult::Done(rules)),
        TableState::Nothing if wanted.is_empty() => Ok(ApplyResult::Done(AppliedRules::default())),
        found => Err(ProgramError::Failed {
            what: format!("nft: reading back the table {TABLE}"),
            code: 0,
            output: match found {
                TableState::Whole(_) => {
                    "it has other addresses than were applied: does another program change it?".to_owned()
                }
                TableState::Nothing => "it is absent: does another program flush all rules?".to_owned(),
                TableState::Damaged => "its rules are not those that were made: does another program change it, or is /etc/protocols missing \
                     (Debian: netbase)?"
                        .to_owned(),
            },
        }),
    }
}

/// Returns the addresses that the kernel shuns. A table that is damaged counts as empty.
///
/// # Errors
/// [`ProgramError`] if `nft` fails.
pub fn applied_rules(deadline: Deadline) -> Result<AppliedRules, ProgramError> {
    applied_rules_if_known(deadline).map(Option::unwrap_or_default)
}

/// Returns the addresses that the kernel shuns; `None` for a damaged table, which may still drop packets.
///
/// # Errors
/// [`ProgramError`] if `nft` fails.
pub fn applied_rules_if_known(deadline: Deadline) -> Result<Option<AppliedRules>, ProgramError> {
    Ok(match read(has_bridge(), deadline)? {
        TableState::Whole(rules) => Some(rules),
        TableState::Nothing => Some(AppliedRules::default()),
        TableState::Damaged => None,
    })
}

/// Permits connections from this host to the noded of `address` for this number of seconds, by the kernel's clock.
///
/// # Errors
/// [`ProgramError`] if `nft` fails.
pub fn allow_noded(address: IpAddr, seconds: u64, deadline: Deadline) -> Result<(), ProgramError> {
    let element = json!([{"elem": {"val": address, "timeout": seconds}}]);
    nft::apply(&[json!({"add": {"element": set_of("inet", "allow_noded", address, element)}})], deadline)
}

#[derive(Debug, PartialEq, Eq)]
enum TableState {
    Nothing,
    /// The table differs from what was made: a chain was flushed, or a rule was deleted.
    Damaged,
    Whole(AppliedRules),
}

const SCOPES: [(&str, ShunScope); 2] = [("all", ShunScope::All), ("tcp", ShunScope::Tcp)];

fn read(bridged: bool, deadline: Deadline) -> Result<TableState, ProgramError> {
    let Some(listing) = nft::list("inet", TABLE, deadline)? else { return Ok(TableState::Nothing) };
    let Some(mut whole) = whole(&listing, &chains()) else { return Ok(TableState::Damaged) };
    if bridged {
        let Some(listing) = nft::list("bridge", TABLE, deadline)? else { return Ok(TableState::Damaged) };
        match self::whole(&listing, &bridge_chains()) {
            Some(bridge) if bridge.addresses == whole.addresses => whole.ruleset_id.push_str(&bridge.ruleset_id),
            _ => return Ok(TableState::Damaged),
        }
    }
    Ok(TableState::Whole(whole))
}

/// Returns the shunned addresses in a listing, if its chains and rules are those that were made.
fn whole(listing: &[Value], wanted: &[Chain]) -> Option<AppliedRules> {
    let objects = |kind: &'static str| listing.iter().filter_map(move |object| object.get(kind));
    let text = |object: &Value, key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut ruleset_id = String::new();
    let mut number =
        |object: &Value| ruleset_id.push_str(&format!("{} ", object.get("handle").unwrap_or(&Value::Null)));
    number(objects("table").next()?);
    for chain in wanted {
        let found = objects("chain").find(|object| text(object, "name") == chain.name)?;
        if text(found, "hook") != chain.name || found.get("prio").and_then(Value::as_i64) != Some(PRIORITY.into()) {
            return None;
        }
        number(found);
        let rules: Vec<&Value> = objects("rule").filter(|rule| text(rule, "chain") == chain.name).collect();
        if rules.len() != chain.rules.len()
            || rules.iter().zip(&chain.rules).any(|(rule, made)| rule.get("expr") != Some(made))
        {
            return None;
        }
        rules.into_iter().for_each(&mut number);
    }
    let mut addresses = ShunnedAddresses::new();
    for set in objects("set") {
        let name = text(set, "name");
        let Some((_, scope)) = SCOPES.iter().find(|(word, _)| name.trim_end_matches(['4', '6']) == *word) else {
            continue;
        };
        for element in set.get("elem").and_then(Value::as_array).into_iter().flatten() {
            addresses.insert(element.as_str()?.parse().ok()?, *scope);
        }
    }
    Some(AppliedRules { addresses, ruleset_id })
}

struct Chain {
    /// The name of the chain and of its hook.
    name: &'static str,
    rules: Vec<Value>,
}

fn meta(op: &str, key: &str, right: &str) -> Value {
    json!({"match": {"op": op, "left": {"meta": {"key": key}}, "right": right}})
}

fn field(protocol: &str, field: &str, right: Value) -> Value {
    json!({"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": field}}, "right": right}})
}

/// Returns a match such as `ip saddr @tcp4`.
fn to_or_from(version: u8, direction: &str, set: &str) -> Value {
    field(if version == 4 { "ip" } else { "ip6" }, direction, json!(format!("@{set}{version}")))
}

fn chains() -> Vec<Chain> {
    let (drop, accept) = (json!({"drop": null}), json!({"accept": null}));
    let reset = json!({"reject": {"type": "tcp reset"}});
    let tcp = || meta("==", "l4proto", "tcp");
    // The exception for connections to a noded comes first.
    let mut prerouting = vec![json!([meta("==", "iifname", "lo"), accept])];
    let mut output = vec![json!([meta("==", "oifname", "lo"), accept])];
    let mut forward = Vec::new();
    for version in [4, 6] {
        prerouting.push(json!([
            to_or_from(version, "saddr", "allow_noded"),
            field("tcp", "sport", json!(NODED_PORT)),
            accept
        ]));
        output.push(json!([
            to_or_from(version, "daddr", "allow_noded"),
            field("tcp", "dport", json!(NODED_PORT)),
            accept
        ]));
    }
    for version in [4, 6] {
        for set in ["all", "tcp"] {
            let all = set == "all";
            let from = to_or_from(version, "saddr", set);
            prerouting.push(if all { json!([from, drop]) } else { json!([from, tcp(), drop]) });
            for chain in [&mut output, &mut forward] {
                chain.push(json!([to_or_from(version, "daddr", set), tcp(), reset]));
                if all {
                    chain.push(json!([to_or_from(version, "daddr", set), drop]));
                }
            }
        }
    }
    vec![
        Chain { name: "prerouting", rules: prerouting },
        Chain { name: "forward", rules: forward },
        Chain { name: "output", rules: output },
    ]
}

/// The hooks above do not see packets that a bridge forwards between its ports, such as instances' traffic.
fn bridge_chains() -> Vec<Chain> {
    let drop = json!({"drop": null});
    let mut forward = Vec::new();
    for (version, set, direction) in [4, 6]
        .iter()
        .flat_map(|version| ["all", "tcp"].map(|set| (version, set)))
        .flat_map(|(v, s)| ["saddr", "daddr"].map(|d| (*v, s, d)))
    {
        let which = to_or_from(version, direction, set);
        forward.push(if set == "all" {
            json!([which, drop])
        } else {
            json!([which, meta("==", "l4proto", "tcp"), drop])
        });
    }
    vec![Chain { name: "forward", rules: forward }]
}

fn has_bridge() -> bool {
    let devices = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    devices.into_iter().any(|device| device.path().join("bridge").is_dir())
}

fn remove() -> Vec<Value> {
    // The table is added first, so that the deletion succeeds if it is absent.
    let table = |family: &str| json!({"table": {"family": family, "name": TABLE}});
    ["inet", "bridge"]
        .iter()
        .flat_map(|family| [json!({"add": table(family)}), json!({"delete": table(family)})])
        .collect()
}

fn make(wanted: &ShunnedAddresses, bridged: bool) -> Vec<Value> {
    let mut commands = Vec::new();
    let families = [("inet", chains(), true), ("bridge", bridge_chains(), bridged)];
    for (family, chains, _) in families.into_iter().filter(|(.., present)| *present) {
        commands.push(json!({"add": {"table": {"family": family, "name": TABLE}}}));
        for (set, flags) in [("all", json!([])), ("tcp", json!([])), ("allow_noded", json!(["timeout"]))] {
            for (version, kind) in [(4, "ipv4_addr"), (6, "ipv6_addr")] {
                let mut made =
                    json!({"family": family, "table": TABLE, "name": format!("{set}{version}"), "type": kind});
                if flags != json!([]) {
                    made["flags"] = flags.clone();
                }
                commands.push(json!({"add": {"set": made}}));
            }
        }
        for chain in chains {
            let hook = json!({"family": family, "table": TABLE, "name": chain.name, "type": "filter", "hook": chain.name,
                              "prio": PRIORITY, "policy": "accept"});
            commands.push(json!({"add": {"chain": hook}}));
            for rule in chain.rules {
                let rule = json!({"family": family, "table": TABLE, "chain": chain.name, "expr": rule});
                commands.push(json!({"add": {"rule": rule}}));
            }
        }
    }
    commands.extend(elements("add", wanted, bridged));
    commands
}

fn change(before: &ShunnedAddresses, wanted: &ShunnedAddresses, bridged: bool) -> Vec<Value> {
    let not_in = |these: &ShunnedAddresses, others: &ShunnedAddresses| -> ShunnedAddresses {
        these.iter().filter(|(address, scope)| others.get(address) != Some(scope)).map(|(a, r)| (*a, *r)).collect()
    };
    let mut commands = elements("delete", &not_in(before, wanted), bridged);
    commands.extend(elements("add", &not_in(wanted, before), bridged));
    commands
}

fn elements(verb: &str, addresses: &ShunnedAddresses, bridged: bool) -> Vec<Value> {
    let mut commands = Vec::new();
    for (set, scope) in SCOPES {
        for is_v4 in [true, false] {
            let of_it = |(address, of): &(&IpAddr, &ShunScope)| **of == scope && address.is_ipv4() == is_v4;
            let some: BTreeSet<&IpAddr> = addresses.iter().filter(of_it).map(|(address, _)| address).collect();
            let Some(first) = some.first() else { continue };
            let families = ["inet", "bridge"].into_iter().take(if bridged { 2 } else { 1 });
            commands
                .extend(families.map(|family| json!({verb: {"element": set_of(family, set, **first, json!(some))}})));
        }
    }
    commands
}

fn set_of(family: &str, set: &str, of: IpAddr, elements: Value) -> Value {
    let version = if of.is_ipv4() { 4 } else { 6 };
    json!({"family": family, "table": TABLE, "name": format!("{set}{version}"), "elem": elements})
}
