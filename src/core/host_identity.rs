//! Compares the identity of the host that a BMC reports with the identity that each node reports of itself. Pure.
//!
//! A node reports its SMBIOS UUID and serial number (`product_uuid` and `product_serial` of Linux, DSP0134 section 7.2).
//! A BMC reports a UUID, and with Redfish also a serial number. BMCs send the 16 bytes in different orders ([`ByteOrder`]).
//! Some BMCs report an identity of their own, which belongs to no host: a BMC that matches no node is not proven to belong to
//! another host.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::node::NodeName;

/// The longest identity that is compared, in bytes.
const TEXT_MOST: usize = 256;

/// The most characters of an identity that is kept.
const CHARACTERS_MOST: usize = TEXT_MOST / 4;

/// UUIDs that makers give to many boards, in the order of their text: that of the reference BIOS of AMI in two orders, an
/// example, and the UUID of a Dell board without a service tag.
const COMMON_UUIDS: [u128; 4] = [
    0x0300_0200_0400_0500_0006_0007_0008_0009,
    0x0002_0003_0004_0005_0006_0007_0008_0009,
    0x1234_5678_1234_5678_90ab_cdde_efaa_bbcc,
    0x4c4c_4544_0000_2010_8020_80c0_4f20_2020,
];

/// Serial numbers that makers give to many boards, in lower case.
const COMMON_SERIALS: [&str; 13] = [
    "0123456789",
    "1234567890",
    "123456789",
    "default string",
    "n/a",
    "na",
    "none",
    "not applicable",
    "not specified",
    "not available",
    "system serial number",
    "to be filled by o.e.m.",
    "unknown",
];

/// The identity of a host, as its BMC or the host itself reports it. It may contain values that identify no host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// The UUID as text; the bytes of IPMI in the order in which they were received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The serial number of the host; blanks at its ends do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
}

/// The order in which a BMC reports the bytes of a UUID, compared with the text that the host reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// RFC 4122: each field with its most significant byte first.
    Rfc4122,
    /// SMBIOS: the first three fields with their least significant byte first.
    Smbios,
    /// IPMI 2.0 section 20.8: all bytes reversed.
    Ipmi,
    /// SMBIOS bytes that the BMC reverses as IPMI has it.
    ReversedSmbios,
    /// The bytes of IPMI, with the first three fields reversed again.
    SmbiosOfIpmi,
}

/// The value by which two identities match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy {
    /// The UUID, in this order of its bytes.
    Uuid(ByteOrder),
    /// The serial number, where one of them has no UUID.
    SerialNumber,
}

/// The reason why two identities cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The BMC reports no identity, or one that many boards have.
    #[error("its BMC reports no usable identity")]
    Bmc,
    /// The BMC has not answered the question for its identity, and may the next time.
    #[error("its BMC did not answer the question for its identity")]
    NotAnswered,
    /// The node reports no identity, or one that many boards have.
    #[error("the node reports no usable identity of its own")]
    Node,
    /// The node did not answer, or its version reports no identity.
    #[error("the identity of the node is unknown")]
    NoAnswer,
    /// Another node reports the same identity.
    #[error("several nodes report the same identity")]
    Shared,
    /// Both are usable, and no node reports that of the BMC.
    #[error("no node reports the identity of its BMC")]
    NoMatch,
    /// The UUIDs differ, and the serial numbers are equal.
    #[error("its BMC has the serial number of the node, which the hosts of a chassis may share, and another UUID")]
    SerialNumberOnly,
    /// One has only a UUID, and the other only a serial number.
    #[error("its BMC and the node report different kinds of identity")]
    NothingInCommon,
}

/// The result of the comparison of two identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityMatch {
    /// Both are of one host.
    Same(MatchedBy),
    /// Both are usable, and differ.
    Other,
    /// They cannot be compared, for this reason.
    Unproven(Unproven),
}

/// The host to which a BMC belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BmcOwner {
    /// The node that has the BMC in the configuration.
    Own(MatchedBy),
    /// The one other node whose identity the BMC reports.
    Another(NodeName),
    /// No node that reported its identity. The BMC may belong to a host outside of the cluster, or report an identity of its
    /// own.
    NoNode,
    /// The owner is unknown, for this reason.
    Unproven(Unproven),
}

impl HostIdentity {
    /// Returns the identity of 16 bytes in the order in which a BMC sent them.
    #[must_use]
    pub fn of_bytes(bytes: [u8; 16]) -> Self {
        Self { uuid: Some(uuid_text(u128::from_be_bytes(bytes))), serial_number: None }
    }

    /// Returns the identity with texts that are safe to print and store.
    #[must_use]
    pub fn bounded(self) -> Self {
        let plain = |text: String| -> String {
            text.chars()
                .filter(|letter| !letter.is_control())
                .take(CHARACTERS_MOST)
                .collect::<String>()
                .trim()
                .to_owned()
        };
        let set = |text: Option<String>| text.map(plain).filter(|text| !text.is_empty());
        Self { uuid: set(self.uuid), serial_number: set(self.serial_number) }
    }

    /// Whether the identity can be that of one host only.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.usable_uuid().is_some() || self.usable_serial().is_some()
    }

    fn usable_uuid(&self) -> Option<u128> {
        let value = parse_uuid(self.uuid.as_deref()?)?;
        let bytes = value.to_be_bytes();
        let is_one_byte = bytes.iter().all(|byte| *byte == bytes[0]);
        let is_common = COMMON_UUIDS.iter().any(|common| order_of(value, *common).is_some());
        (!is_one_byte && !is_common).then_some(value)
    }

    fn usable_serial(&self) -> Option<String> {
        let text = self.serial_number.as_deref()?.trim().to_ascii_lowercase();
        let is_set = text.len() >= 3 && text.len() <= TEXT_MOST && text.bytes().any(|byte| byte != text.as_bytes()[0]);
        (is_set && !COMMON_SERIALS.contains(&text.as_str())).then_some(text)
    }

    /// Returns the order in which the UUIDs of `self` (a BMC) and `node` match.
    fn uuid_order(&self, node: &Self) -> Option<ByteOrder> {
        order_of(self.usable_uuid()?, node.usable_uuid()?)
    }

    fn has_serial_of(&self, node: &Self) -> bool {
        self.usable_serial().is_some_and(|serial| node.usable_serial() == Some(serial))
    }

    /// Returns whether both have a usable UUID: then no serial number decides, which the hosts of one chassis may share.
    fn has_uuid_beside(&self, node: &Self) -> bool {
        self.usable_uuid().and(node.usable_uuid()).is_some()
    }
}

impl fmt::Display for HostIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.uuid, &self.serial_number) {
            (Some(uuid), Some(serial)) => write!(f, "UUID {uuid}, serial number {serial}"),
            (Some(uuid), None) => write!(f, "UUID {uuid}"),
            (None, Some(serial)) => write!(f, "serial number {serial}"),
            (None, None) => f.write_str("no identity"),
        }
    }
}

/// Compares the identity that a BMC reports with that of a node. A serial number decides only where a UUID is missing.
#[must_use]
pub fn compare(bmc: &HostIdentity, node: &HostIdentity) -> IdentityMatch {
    if let Some(order) = bmc.uuid_order(node) {
        return IdentityMatch::Same(MatchedBy::Uuid(order));
    }
    if bmc.has_serial_of(node) {
        return if bmc.has_uuid_beside(node) {
            IdentityMatch::Unproven(Unproven::SerialNumberOnly)
        } else {
            IdentityMatch::Same(MatchedBy::SerialNumber)
        };
    }
    let comparable = bmc.has_uuid_beside(node) || bmc.usable_serial().and(node.usable_serial()).is_some();
    match (bmc.is_usable(), node.is_usable()) {
        (false, _) => IdentityMatch::Unproven(Unproven::Bmc),
        (_, false) => IdentityMatch::Unproven(Unproven::Node),
        _ if comparable => IdentityMatch::Other,
        _ => IdentityMatch::Unproven(Unproven::NothingInCommon),
    }
}

/// Returns the owner of a BMC that the configuration gives to `own`. `nodes` has what each node reports of itself. A UUID is
/// stronger than a serial number, which the hosts of one chassis may share: a serial number counts only where a UUID is missing,
/// and shows another owner only if the node's own is known to differ.
#[must_use]
pub fn owner(bmc: &HostIdentity, own: &NodeName, nodes: &BTreeMap<NodeName, HostIdentity>) -> BmcOwner {
    if !bmc.is_usable() {
        return BmcOwner::Unproven(Unproven::Bmc);
    }
    let others = || nodes.iter().filter(|(name, _)| *name != own);
    let by_uuid = |node: &HostIdentity| bmc.uuid_order(node).map(MatchedBy::Uuid);
    let by_serial = |node: &HostIdentity| {
        (bmc.has_serial_of(node) && !bmc.has_uuid_beside(node)).then_some(MatchedBy::SerialNumber)
    };
    let has_own_serial = nodes.get(own).is_some_and(|mine| mine.usable_serial().is_some());
    for matched in [&by_uuid as &dyn Fn(&HostIdentity) -> Option<MatchedBy>, &by_serial] {
        let mine = nodes.get(own).and_then(matched);
        let mut found = others().filter(|(_, node)| matched(node).is_some());
        match (mine, found.next(), found.next()) {
            (Some(by), None, _) => return BmcOwner::Own(by),
            (None, Some((name, node)), None) if bmc.uuid_order(node).is_some() || has_own_serial => {
                return BmcOwner::Another(name.clone());
            }
            (None, Some(_), None) => return BmcOwner::Unproven(Unproven::Shared),
            (None, None, _) => {}
            _ => return BmcOwner::Unproven(Unproven::Shared),
        }
    }
    let Some(mine) = nodes.get(own) else { return BmcOwner::Unproven(Unproven::NoAnswer) };
    match compare(bmc, mine) {
        IdentityMatch::Unproven(why) => BmcOwner::Unproven(why),
        _ if others().any(|(_, node)| is_same_host(node, mine)) => BmcOwner::Unproven(Unproven::Shared),
        _ => BmcOwner::NoNode,
    }
}

/// Returns whether two identities are usable and those of one host. The UUIDs decide if both have one.
#[must_use]
pub fn is_same_host(one: &HostIdentity, other: &HostIdentity) -> bool {
    match (one.usable_uuid(), other.usable_uuid()) {
        (Some(one), Some(other)) => order_of(one, other).is_some(),
        _ => one.has_serial_of(other),
    }
}

/// Returns whether a BMC reports another host now than when it was remembered. The UUID alone decides if both have one: the
/// hosts of one chassis may share a serial number.
#[must_use]
pub fn has_changed(remembered: &HostIdentity, now: &HostIdentity) -> bool {
    match (remembered.usable_uuid(), now.usable_uuid()) {
        (Some(before), Some(now)) => order_of(before, now).is_none(),
        _ => remembered.usable_serial().zip(now.usable_serial()).is_some_and(|(before, now)| before != now),
    }
}

/// Parses 32 hexadecimal digits, with or without hyphens.
fn parse_uuid(text: &str) -> Option<u128> {
    let digits: String = text.trim().chars().filter(|letter| *letter != '-').collect();
    let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(&digits, 16).ok()).flatten()
}

fn uuid_text(value: u128) -> String {
    let digits = format!("{value:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// Reverses the bytes of each of the first three fields.
fn fields_reversed(value: u128) -> u128 {
    let mut bytes = value.to_be_bytes();
    for (from, to) in [(0, 4), (4, 6), (6, 8)] {
        if let Some(field) = bytes.get_mut(from..to) {
            field.reverse();
        }
    }
    u128::from_be_bytes(bytes)
}

/// Returns the order in which `bmc` has the bytes of `node`.
fn order_of(bmc: u128, node: u128) -> Option<ByteOrder> {
    let smbios = fields_reversed(node);
    [
        (node, ByteOrder::Rfc4122),
        (smbios, ByteOrder::Smbios),
        (node.swap_bytes(), ByteOrder::Ipmi),
        (smbios.swap_bytes(), ByteOrder::ReversedSmbios),
        (fields_reversed(node.swap_bytes()), ByteOrder::SmbiosOfIpmi),
    ]
    .into_iter()
    .find_map(|(value, order)| (value == bmc).then_some(order))
}

#[cfg(test)]
mod tests;
