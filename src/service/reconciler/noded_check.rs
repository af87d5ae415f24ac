//! Checks whether nodes run again, by TCP connections to their nodeds. May remove this host's own unreachable
//! addresses.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::core::node::NodeName;
use crate::service::shun::own::{AddressState, OwnRules};
use crate::sys::clock::Deadline;
use crate::sys::fan_out::each;
use crate::sys::nft::unreachable::{is_made_unreachable, make_reachable};

/// The address of each node in the primary network.
pub(crate) type Addresses = BTreeMap<NodeName, IpAddr>;

/// The time limit of one connection to a noded.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How to treat an address that this host itself may have made unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnUnreachable {
    /// The address is made reachable and asked again: for a reconciler.
    Lifted,
    /// The address stays unreachable and its node's state is unknown: for commands that change nothing.
    Kept,
}

/// Asks all nodes at once whether the port of their noded answers, which proves that the node runs. The result lacks
/// nodes that could not be asked.
pub(crate) fn check_nodeds(
    asked: &Addresses,
    port: u16,
    own: OwnUnreachable,
    deadline: Deadline,
) -> BTreeMap<NodeName, bool> {
    let asked: Vec<(&NodeName, &IpAddr)> = asked.iter().collect();
    let ask = |(node, address): &(&NodeName, &IpAddr)| {
        Some(((*node).clone(), noded_answers(SocketAddr::new(**address, port), own, deadline)?))
    };
    each(&asked, asked.len(), ask).into_iter().flatten().collect()
}

/// Returns whether each node runs, unless this host itself blocks the answer. A shunned node counts as not running
/// until it is readmitted. The state is unknown for a node that this host may shun: its own kernel would answer. `ask`
/// asks all other nodes.
pub(crate) fn answers(
    nodes: Addresses,
    own: &OwnRules,
    ask: impl FnOnce(&Addresses) -> BTreeMap<NodeName, bool>,
) -> BTreeMap<NodeName, bool> {
    let of = |wanted: AddressState| {
        let is_so = nodes.iter().filter(move |(_, address)| own.of(**address) == wanted);
        is_so.map(|(node, address)| (node.clone(), *address)).collect::<Addresses>()
    };
    let mut answers = ask(&of(AddressState::Open));
    answers.extend(of(AddressState::Shunned).into_keys().map(|node| (node, false)));
    answers
}

/// Returns whether the noded's host answers; `None` if that is unknown, because no time was left or this host failed.
fn noded_answers(target: SocketAddr, own: OwnUnreachable, deadline: Deadline) -> Option<bool> {
    let connect = || {
        let is_time = deadline.left() >= CONNECT_TIMEOUT;
        is_time.then(|| TcpStream::connect_timeout(&target, CONNECT_TIMEOUT).map(drop).map_err(|error| error.kind()))
    };
    judged(connect, own, make_reachable, || is_made_unreachable(target.ip()))
}

/// Evaluates the answers of `connect`. `lift` removes this host's own unreachable addresses; `stands` returns whether
/// this address is one of them, if known.
fn judged(
    connect: impl Fn() -> Option<Result<(), ErrorKind>>,
    own: OwnUnreachable,
    lift: impl Fn(),
    stands: impl Fn() -> Option<bool>,
) -> Option<bool> {
    let answer = match (connect()?, own) {
        // The error may come from this host's own unreachable address.
        (Err(ErrorKind::HostUnreachable), OwnUnreachable::Lifted) => {
            lift();
            connect()?
        }
        (Err(ErrorKind::HostUnreachable), OwnUnreachable::Kept) if stands() != Some(false) => return None,
        (answer, _) => answer,
    };
    match answer {
        // A host that rejects the connection runs, and its noded does not listen yet.
        Ok(()) | Err(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => Some(true),
        Err(ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::WouldBlock) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::OwnUnreachable::{Kept, Lifted};
    use super::*;

    /// No other test listens on this address: a port that is closed on 127.0.0.1 may belong to another test.
    const OWN: &str = "127.0.18.11";

    /// Without time to ask, a node does not count as silent: the reconciler would record a running node offline.
    #[test]
    fn a_noded_that_cannot_be_asked_is_not_silent() {
        let noded = std::net::TcpListener::bind((OWN, 0)).unwrap();
        let port = noded.local_addr().unwrap().port();
        let node = NodeName::new("n3").unwrap();
        let asked = Addresses::from([(node.clone(), OWN.parse().unwrap())]);
        assert_eq!(
            check_nodeds(&asked, port, Kept, Deadline::after(CONNECT_TIMEOUT * 5)),
            BTreeMap::from([(node.clone(), true)])
        );
        assert_eq!(
            check_nodeds(&asked, port, Kept, Deadline::after(CONNECT_TIMEOUT / 2)),
            BTreeMap::new(),
            "no time left"
        );
        drop(noded);
        let refused = check_nodeds(&asked, port, Kept, Deadline::after(CONNECT_TIMEOUT * 5));
        assert_eq!(refused, BTreeMap::from([(node, true)]), "a host that rejects the connection runs");
    }

    /// An entry of the shun list that the kernel does not apply does not block an answer. An address that the kernel
    /// shuns without an entry is not asked: the kernel's own reset would count as the answer of a running node.
    #[test]
    fn only_nodes_that_the_kernel_does_not_shun_are_asked() {
        let node = |n: u8| NodeName::new(&format!("n{n}.lab")).unwrap();
        let [both, list, kernel, none] = [1, 2, 3, 4].map(|n| IpAddr::from([192, 0, 2, n]));
        let nodes: Addresses = [(node(1), both), (node(2), list), (node(3), kernel), (node(4), none)].into();
        let of = |own: &OwnRules| {
            let asked = Cell::new(Vec::new());
            let ask = |open: &Addresses| {
                asked.set(open.keys().map(ToString::to_string).collect());
                open.keys().map(|node| (node.clone(), true)).collect()
            };
            let answers = answers(nodes.clone(), own, ask);
            (asked.take(), [1, 2, 3, 4].map(|n| answers.get(&node(n)).copied()))
        };
        let known = OwnRules::of_test(&[both, list], Some(&[both, kernel]));
        assert_eq!(of(&known), (vec!["n2.lab".into(), "n4.lab".into()], [Some(false), Some(true), None, Some(true)]));
        let unknown = OwnRules::of_test(&[both, list], None);
        assert_eq!(of(&unknown), (vec!["n3.lab".into(), "n4.lab".into()], [None, None, Some(true), Some(true)]));
    }

    /// A command that only reads changes nothing: a status once deleted the addresses that a running failover had made
    /// unreachable.
    #[test]
    fn a_command_that_only_reads_leaves_addresses_unreachable() {
        let lifted = Cell::new(0);
        let lift = || lifted.set(lifted.get() + 1);
        let unreachable = || Some(Err(ErrorKind::HostUnreachable));
        for (stands, answers) in [(Some(true), None), (None, None), (Some(false), Some(false))] {
            assert_eq!(judged(unreachable, Kept, lift, || stands), answers, "{stands:?}");
        }
        assert_eq!(judged(|| Some(Ok(())), Kept, lift, || Some(true)), Some(true));
        assert_eq!(lifted.get(), 0);
        let reached = || Some(if lifted.get() == 0 { Err(ErrorKind::HostUnreachable) } else { Ok(()) });
        assert_eq!(judged(reached, Lifted, lift, || None), Some(true));
        assert_eq!(lifted.get(), 1);
    }
}
