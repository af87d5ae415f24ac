//! The votes in corosync: those of its members, and those of a quorum device if there is one (votequorum(5),
//! corosync-qdevice(8)). Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The default of `quorum.device.timeout`, in milliseconds: the time between two checks of the quorum device by
/// corosync.
const DEFAULT_DEVICE_TIMEOUT_MS: u64 = 10_000;

/// The default of `quorum.device.sync_timeout`, in milliseconds: the same during a change of the members.
const SYNC_TIMEOUT: u64 = 30_000;

/// The votes that corosync counts on one host, in its part of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// The number of votes if all members were there.
    pub expected: u64,
    /// The number of votes that quorum needs.
    pub needed: u64,
    /// Whether each of two nodes may go on alone (`two_node`).
    pub two_node: bool,
    /// Whether after a start of all nodes there is no quorum before all were seen once (`wait_for_all`).
    pub wait_for_all: bool,
    /// The members of this part of the cluster.
    pub members: Vec<Voter>,
    /// The quorum device of corosync.conf; `None` without one.
    pub device: Option<QuorumDevice>,
}

/// A full member of the cluster, as corosync counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// The node id (`nodeid` in corosync.conf(5)), which stays when the name changes.
    pub id: u32,
    /// The name in corosync's node list, which may differ from Ganeti's.
    pub name: String,
    /// The number of its votes (`quorum_votes`, 1 by default).
    pub votes: u64,
    /// The state of the quorum device on this member.
    pub device: QuorumDeviceState,
}

/// The state of the quorum device on one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumDeviceState {
    /// No daemon connects corosync to the device.
    Stopped,
    /// A daemon runs, and the device has no vote for this member: qnetd is not reached, or gives its vote to
    /// another part of the cluster.
    Silent,
    /// The member has the device's vote.
    Votes,
}

/// The configuration of a quorum device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumDevice {
    /// The model of the device: `net` is the only one that corosync-qdevice(8) has.
    pub model: String,
    /// The host that runs corosync-qnetd; `None` if the configuration names none.
    pub host: Option<String>,
    /// The algorithm: `ffsplit` or `lms`.
    pub algorithm: String,
    /// The number of its votes; `None` if it is not set.
    pub votes: Option<u64>,
    /// Milliseconds between two checks of the device by corosync.
    pub timeout_ms: u64,
    /// Milliseconds for which a change of the members waits for the device.
    pub sync_timeout_ms: u64,
}

impl QuorumDevice {
    /// Returns the earliest and latest time at which qnetd gives its vote after the death of a host without power, in
    /// milliseconds. A host counts as lost after a silence of 1.2 timeouts, and its last sign of life was up to 0.8
    /// timeouts before the death.
    #[must_use]
    pub const fn given_ms(&self) -> (u64, u64) {
        (self.timeout_ms.saturating_mul(2) / 5, self.timeout_ms.saturating_mul(6) / 5)
    }

    /// Returns the name of the device for a message.
    #[must_use]
    pub fn called(&self) -> String {
        self.host.as_ref().map_or_else(|| format!("quorum device {}", self.model), |host| format!("qnetd on {host}"))
    }
}

/// The votes that would be left after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemainingVotes {
    /// The number of votes that would be left.
    pub votes: u64,
    /// The number of votes with all members.
    pub of: u64,
    /// The number of votes that quorum needs.
    pub needed: u64,
    /// Whether the votes that are left are a quorum.
    pub keeps: bool,
    /// Whether there is a quorum device that would not give its vote.
    pub is_alone: bool,
}

impl RemainingVotes {
    /// Returns why there would be no quorum; `None` if there would be.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        let Self { votes, of, needed, .. } = self;
        let alone = if self.is_alone { "; the quorum device has none to give: gnt-ha check" } else { "" };
        (!self.keeps).then(|| format!("{votes} of {of} votes would be left, and {needed} are needed{alone}"))
    }
}

impl Quorum {
    /// Parses the output of `corosync-cmapctl quorum` and `corosync-quorumtool -s`; `None` if a part is missing.
    #[must_use]
    pub fn parse(cmap: &str, tool: &str) -> Option<Self> {
        let key = |wanted: &str| {
            cmap.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.split_whitespace().next()? == wanted).then(|| value.trim().to_owned())
            })
        };
        let number = |wanted: &str| key(wanted)?.parse::<u64>().ok();
        key("quorum.provider")?;
        let device = key("quorum.device.model").map(|model| QuorumDevice {
            model,
            host: key("quorum.device.net.host"),
            algorithm: key("quorum.device.net.algorithm").unwrap_or_else(|| "ffsplit".to_owned()),
            votes: number("quorum.device.votes"),
            timeout_ms: number("quorum.device.timeout").unwrap_or(DEFAULT_DEVICE_TIMEOUT_MS),
            sync_timeout_ms: number("quorum.device.sync_timeout").unwrap_or(SYNC_TIMEOUT),
        });
        let line = |wanted: &str| {
            tool.lines().find_map(|line| Some(line.trim().strip_prefix(wanted)?.trim_start().strip_prefix(':')?.trim()))
        };
        let first = |wanted: &str| line(wanted)?.split_whitespace().next()?.parse::<u64>().ok();
        let flags: BTreeSet<&str> = line("Flags")?.split_whitespace().collect();
        let (_, table) = tool.split_once("Membership information")?;
        let members: Vec<Voter> = table.lines().filter_map(voter).collect();
        if members.is_empty() {
            return None;
        }
        Some(Self {
            expected: first("Expected votes")?,
            needed: first("Quorum")?,
            two_node: flags.contains("2Node"),
            wait_for_all: flags.contains("WaitForAll"),
            members,
            device,
        })
    }

    /// Returns whether the device's vote can be counted from now on: one member has it, and all of its part have it
    /// then.
    #[must_use]
    pub fn has_device_vote(&self) -> bool {
        self.members.iter().any(|member| member.device == QuorumDeviceState::Votes)
    }

    /// Returns the device's votes: the number that is set, or the members' votes less one (corosync-qdevice(8)).
    fn device_votes(&self, device: &QuorumDevice) -> u64 {
        // The expected votes include the device's.
        device.votes.unwrap_or_else(|| self.expected.saturating_sub(1) / 2)
    }

    /// Returns what would be left without these members, by corosync node ids.
    #[must_use]
    pub fn without(&self, lost: &[u32]) -> RemainingVotes {
        let rest: Vec<&Voter> = self.members.iter().filter(|member| !lost.contains(&member.id)).collect();
        let given = rest.iter().any(|member| member.device == QuorumDeviceState::Votes);
        let device = self.device.as_ref().map_or(0, |device| if given { self.device_votes(device) } else { 0 });
        let votes = rest.iter().fold(device, |sum, member| sum.saturating_add(member.votes));
        let keeps = !rest.is_empty() && (votes >= self.needed || self.two_node);
        let is_alone = self.device.is_some() && !given;
        RemainingVotes { votes, of: self.expected, needed: self.needed, keeps, is_alone }
    }
}

/// Parses a line of the members' table: node id, votes, the state of the device if a member has one, name.
fn voter(line: &str) -> Option<Voter> {
    let mut words = line.split_whitespace();
    let (id, votes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let third = words.next()?;
    // The line of the device itself.
    if id == 0 {
        return None;
    }
    let device = match third {
        "NR" => Some(QuorumDeviceState::Stopped),
        flags if flags.contains(',') => {
            let has = |wanted: &str| flags.split(',').any(|flag| flag == wanted);
            Some(match (has("A"), has("V")) {
                (true, true) => QuorumDeviceState::Votes,
                (true, false) => QuorumDeviceState::Silent,
                // A device whose daemon has ended stays registered.
                (false, _) => QuorumDeviceState::Stopped,
            })
        }
        _ => None,
    };
    let name = if device.is_some() { words.next()? } else { third };
    Some(Voter { id, name: name.to_owned(), votes, device: device.unwrap_or(QuorumDeviceState::Stopped) })
}

/// A host or an instance, with its names and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressOwner {
    /// The owner as text, such as `node n1.lab`.
    pub what: String,
    /// The name of the host or instance.
    pub name: String,
    /// The addresses of the host or instance.
    pub addresses: BTreeSet<IpAddr>,
}

/// Returns the host or instance of this cluster that is the host with qnetd. `found` are the addresses to which its
/// name resolves.
#[must_use]
pub fn own_host<'a>(host: &str, found: &BTreeSet<IpAddr>, owners: &'a [AddressOwner]) -> Option<&'a AddressOwner> {
    let address: Option<IpAddr> = host.parse().ok();
    let is_it = |owner: &&AddressOwner| {
        owner.name.eq_ignore_ascii_case(host)
            || address.iter().chain(found).any(|address| owner.addresses.contains(address))
    };
    owners.iter().find(is_it)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Output of corosync 3.1.7 for two nodes and a device.
    pub(crate) const CMAP: &str = "quorum.device.model (str) = net\nquorum.device.net.algorithm (str) = ffsplit\n\
        quorum.device.net.host (str) = 192.0.2.200\nquorum.device.net.tls (str) = off\nquorum.device.votes (u32) = 1\n\
        quorum.provider (str) = corosync_votequorum\nquorum.wait_for_all (u8) = 1\n";

    pub(crate) const TOOL: &str = "Quorum information\n------------------\nDate:             Sun Nov 29 20:59:17 2026\n\
        Quorum provider:  corosync_votequorum\nNodes:            2\nNode ID:          1\nRing ID:          1.9\nQuorate:          Yes\n\n\
        Votequorum information\n----------------------\nExpected votes:   3\nHighest expected: 3\nTotal votes:      3\n\
        Quorum:           2  \nFlags:            Quorate WaitForAll Qdevice \n\nMembership information\n----------------------\n\
        \x20   Nodeid      Votes    Qdevice Name\n         1          1    A,V,NMW n1.lab (local)\n         2          1    A,V,NMW n2.lab\n\
        \x20        0          1            Qdevice\n";

    /// The same without a device.
    const TWO: &str = "Quorum information\n------------------\nNodes:            2\nQuorate:          Yes\n\n\
        Votequorum information\n----------------------\nExpected votes:   2\nHighest expected: 2\nTotal votes:      2\n\
        Quorum:           1  \nFlags:            2Node Quorate WaitForAll \n\nMembership information\n----------------------\n\
        \x20   Nodeid      Votes Name\n         1          1 n1.lab (local)\n         2          1 n2.lab\n";

    const PLAIN: &str = "quorum.provider (str) = corosync_votequorum\n";

    #[test]
    fn votes_are_read_with_a_device_and_without() {
        let quorum = Quorum::parse(CMAP, TOOL).unwrap();
        let device = quorum.device.clone().unwrap();
        assert_eq!((device.called().as_str(), device.votes), ("qnetd on 192.0.2.200", Some(1)));
        assert_eq!((device.timeout_ms, device.sync_timeout_ms, device.given_ms()), (10_000, 30_000, (4_000, 12_000)));
        assert_eq!((quorum.expected, quorum.needed, quorum.two_node, quorum.wait_for_all), (3, 2, false, true));
        let members: Vec<_> = quorum.members.iter().map(|m| (m.id, m.name.as_str(), m.votes, m.device)).collect();
        assert_eq!(members, [(1, "n1.lab", 1, QuorumDeviceState::Votes), (2, "n2.lab", 1, QuorumDeviceState::Votes)]);
        let two = Quorum::parse(PLAIN, TWO).unwrap();
        assert_eq!((two.device, two.two_node, two.members.len()), (None, true, 2));
        for (cmap, tool) in [("", TWO), (PLAIN, ""), (PLAIN, "Quorum: 1\nFlags: 2Node\n"), (PLAIN, &TWO[..300])] {
            assert_eq!(Quorum::parse(cmap, tool), None, "{tool}");
        }
    }

    /// Of two nodes each goes on alone; with a device a node goes on with the device's vote, and not without.
    #[test]
    fn what_is_left_after_a_death_is_counted() {
        let left = |tool: &str| Quorum::parse(CMAP, tool).unwrap().without(&[1]);
        assert!(left(TOOL).keeps && !left(TOOL).is_alone);
        let dead = TOOL.replace("A,V,", "A,NV,").replace("         0          1  ", "         0          0  ");
        let why = "1 of 3 votes would be left, and 2 are needed; the quorum device has none to give: gnt-ha check";
        assert_eq!(left(&dead).objection().as_deref(), Some(why));
        // The node that stays has no vote of the device, although the other has.
        assert!(!left(&TOOL.replace("A,V,NMW n2", "NR n2")).keeps);
        assert!(!left(&TOOL.replace("A,V,NMW n2", "NA,V,NMW n2")).keeps);
        assert!(left(&TOOL.replace("A,V,NMW n1", "NR n1")).keeps);
        let two = Quorum::parse(PLAIN, TWO).unwrap();
        assert!(two.without(&[2]).keeps && !two.without(&[1, 2]).keeps);
        let three = TWO.replace("2Node ", "").replace("n2.lab\n", "n2.lab\n         3          1 n3.lab\n");
        let three = three
            .replace("Expected votes:   2", "Expected votes:   3")
            .replace("Quorum:           1", "Quorum:           2");
        let three = Quorum::parse(PLAIN, &three).unwrap();
        assert!(three.without(&[3]).keeps && !three.without(&[2, 3]).keeps && three.without(&[]).keeps);
    }

    /// `lms`: the device has as many votes as there are members, less one.
    #[test]
    fn the_last_one_of_four_goes_on_with_as_many_votes() {
        let cmap = CMAP.replace("quorum.device.votes (u32) = 1\n", "").replace("ffsplit", "lms");
        let tool = TOOL
            .replace("Expected votes:   3", "Expected votes:   7")
            .replace("Quorum:           2", "Quorum:           4");
        let more = "A,V,NMW n2.lab\n         3          1    A,V,NMW n3.lab\n         4          1    A,V,NMW n4.lab\n";
        let quorum = Quorum::parse(&cmap, &tool.replace("A,V,NMW n2.lab\n", more)).unwrap();
        assert!(quorum.without(&[2, 3, 4]).keeps);
        assert_eq!(quorum.without(&[2, 3, 4]).votes, 4);
    }

    #[test]
    fn who_has_the_address_of_qnetd_is_found() {
        let owner = |name: &str, address: &str| AddressOwner {
            what: format!("node {name}"),
            name: name.to_owned(),
            addresses: [address.parse().unwrap()].into(),
        };
        let owners = [owner("n1.lab", "192.0.2.1"), owner("vm1.lab", "192.0.2.50")];
        let none = BTreeSet::new();
        let of = |host: &str, found: &BTreeSet<IpAddr>| own_host(host, found, &owners).map(|owner| owner.name.clone());
        assert_eq!(of("192.0.2.200", &none), None);
        assert_eq!(of("192.0.2.1", &none).as_deref(), Some("n1.lab"));
        assert_eq!(of("VM1.lab", &none).as_deref(), Some("vm1.lab"));
        assert_eq!(of("q.lab", &["192.0.2.50".parse().unwrap()].into()).as_deref(), Some("vm1.lab"));
    }
}
