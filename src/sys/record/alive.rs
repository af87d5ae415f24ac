//! Whether nodes run again: their nodeds are asked.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::core::node::NodeName;
use crate::sys::clock::Deadline;
use crate::sys::record::unreachable::{is_made_unreachable, make_reachable};

/// Each node's address in the primary network.
pub(super) type Addresses = BTreeMap<NodeName, IpAddr>;

/// How long a noded may take for a connection.
const NODED: Duration = Duration::from_secs(1);

/// What becomes of an address that this host may have made unreachable itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnRefusal {
    /// It is made reachable, and asked again: for those who record.
    Lifted,
    /// It stays as it is, and where it stands nothing is known: for those who only look.
    Kept,
}

/// Whether each node answers on its noded's port: that proves that it runs. All are asked at once, and those that could not
/// be asked are not among the answers.
pub(super) fn nodeds_answer(
    asked: &Addresses,
    port: u16,
    own: OwnRefusal,
    deadline: Deadline,
) -> BTreeMap<NodeName, bool> {
    std::thread::scope(|scope| {
        let ask = |(node, address): (&NodeName, &IpAddr)| {
            let (node, target) = (node.clone(), SocketAddr::new(*address, port));
            let question = move || Some((node, noded_answers(target, own, deadline)?));
            std::thread::Builder::new().spawn_scoped(scope, question).ok()
        };
        let questions: Vec<_> = asked.iter().filter_map(ask).collect();
        questions.into_iter().filter_map(|question| question.join().ok().flatten()).collect()
    })
}

/// Whether a noded's host answers; none if that is not known: there was no time for it, or it failed on this host.
fn noded_answers(target: SocketAddr, own: OwnRefusal, deadline: Deadline) -> Option<bool> {
    let connect = || {
        let is_time = deadline.left() >= NODED;
        is_time.then(|| TcpStream::connect_timeout(&target, NODED).map(drop).map_err(|error| error.kind()))
    };
    judged(connect, own, make_reachable, || is_made_unreachable(target.ip()))
}

/// What the answers of `connect` say; `lift` ends this host's own refusals, `stands` tells of this one, if that is known.
fn judged(
    connect: impl Fn() -> Option<Result<(), ErrorKind>>,
    own: OwnRefusal,
    lift: impl Fn(),
    stands: impl Fn() -> Option<bool>,
) -> Option<bool> {
    let answer = match (connect()?, own) {
        // That may be our own refusal.
        (Err(ErrorKind::HostUnreachable), OwnRefusal::Lifted) => {
            lift();
            connect()?
        }
        (Err(ErrorKind::HostUnreachable), OwnRefusal::Kept) if stands() != Some(false) => return None,
        (answer, _) => answer,
    };
    match answer {
        // A refusal is the word of a host that runs, whose noded is not up yet.
        Ok(()) | Err(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => Some(true),
        Err(ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::WouldBlock) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::OwnRefusal::{Kept, Lifted};
    use super::*;

    /// No other test listens there: a port that is closed here may be another's on 127.0.0.1.
    const OWN: &str = "127.0.18.11";

    /// No time to ask is no silence: it would offline who runs again.
    #[test]
    fn a_noded_that_cannot_be_asked_is_not_silent() {
        let noded = std::net::TcpListener::bind((OWN, 0)).unwrap();
        let port = noded.local_addr().unwrap().port();
        let node = NodeName::new("n3").unwrap();
        let asked = Addresses::from([(node.clone(), OWN.parse().unwrap())]);
        assert_eq!(
            nodeds_answer(&asked, port, Kept, Deadline::after(NODED * 5)),
            BTreeMap::from([(node.clone(), true)])
        );
        assert_eq!(nodeds_answer(&asked, port, Kept, Deadline::after(NODED / 2)), BTreeMap::new(), "no time left");
        drop(noded);
        let refused = nodeds_answer(&asked, port, Kept, Deadline::after(NODED * 5));
        assert_eq!(refused, BTreeMap::from([(node, true)]), "a host that refuses runs");
    }

    /// Who only looks changes nothing: a status deleted the addresses that a failover under way had made unreachable.
    #[test]
    fn a_look_lifts_no_refusal_of_this_host() {
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
