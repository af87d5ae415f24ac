//! Tests the answers that self-fencing depends on, before it is armed: signed answers of the master candidates' confds,
//! and echoes of their self-fence daemons. It sends UDP packets and changes nothing.
//!
//! A lease is renewed by signed answers of confd. Where no confd answers, signed echoes of the self-fence daemons renew
//! it. Without them an upgrade that stops confd everywhere would reset every host. So both have to come from a
//! majority.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::daemon::{candidates, own_address};
use super::error::SelfFenceError;
use crate::core::ganeti::CONFD_PORT;
use crate::core::shun::lease::majority;
use crate::sys::clock::Deadline;
use crate::sys::ganeti::confd::{Confd, Salts};
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::signed_echo::{EchoKey, Nonce};

/// The time between two questions to a candidate that has not answered; also the wait for answers.
const ECHO_INTERVAL: Duration = Duration::from_millis(250);

/// The answers to a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EchoTest {
    /// The candidates that were asked.
    pub candidates: BTreeSet<IpAddr>,
    /// The candidates whose confd sent a signed answer.
    pub signed: BTreeSet<IpAddr>,
    /// The candidates whose self-fence daemon sent a signed echo.
    pub echoed: BTreeSet<IpAddr>,
    /// The UDP port of the echoes.
    pub port: u16,
}

impl EchoTest {
    /// Returns why self-fencing must not be armed here; `None` if it may.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        let (all, least) = (self.candidates.len(), majority(self.candidates.len()));
        if self.candidates.is_empty() {
            return Some(
                "this host has no list of master candidates (ssconf_master_candidates_ips): no candidate could grant a lease"
                    .to_owned(),
            );
        }
        let lack = |what: &str, of: &BTreeSet<IpAddr>, do_this: &str| {
            let silent: Vec<String> = self.candidates.difference(of).map(ToString::to_string).collect();
            let came = self.candidates.intersection(of).count();
            (came < least).then(|| {
                format!(
                    "{what} from {came} of {all} master candidates, {least} are needed (silent: {}); {do_this}",
                    silent.join(", ")
                )
            })
        };
        lack("signed answers of confd came", &self.signed, "let UDP port 1814 pass, and start ganeti-confd there").or_else(|| {
            let why = format!(
                "let UDP port {} pass between all nodes, and start gnt-ha-self-fence on each of them: without it, an upgrade that \
                 stops every confd resets every host",
                self.port
            );
            lack("signed echoes came back", &self.echoed, &why)
        })
    }
}

/// Asks all candidates for a signed answer and, at `port`, for a signed echo, from this node's own address. Ends when
/// all have answered or at the deadline. Changes nothing.
///
/// # Errors
/// [`SelfFenceError`] if no candidate was asked: a file of Ganeti cannot be read, this host is not a node of the cluster,
/// or its address or random numbers cannot be used.
pub fn test_echoes(data_dir: &Path, port: u16, deadline: Deadline) -> Result<EchoTest, SelfFenceError> {
    let ssconf = Ssconf::new(data_dir);
    let (node, own) = own_address(&ssconf)?;
    let confd = Confd::new(data_dir)?;
    let unusable = |error| SelfFenceError::Address { address: own, error };
    let socket = UdpSocket::bind(SocketAddr::new(own, 0)).map_err(unusable)?;
    socket.set_nonblocking(true).map_err(unusable)?;
    let key = EchoKey::new(&confd).map_err(SelfFenceError::EchoKey)?;
    let salts = Salts::new().map_err(SelfFenceError::Random)?;
    let mut nonces: BTreeMap<IpAddr, Nonce> = BTreeMap::new();
    let mut test = EchoTest { candidates: candidates(&ssconf), port, ..EchoTest::default() };
    for candidate in &test.candidates {
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce).map_err(|error| SelfFenceError::Random(error.into()))?;
        nonces.insert(*candidate, nonce);
    }
    loop {
        for candidate in test.candidates.difference(&test.signed) {
            // An error of sending counts as no answer.
            let _ = socket
                .send_to(&confd.role_question(&node, &salts, *candidate), SocketAddr::new(*candidate, CONFD_PORT));
        }
        for (candidate, nonce) in nonces.iter().filter(|(candidate, _)| !test.echoed.contains(*candidate)) {
            let _ = socket.send_to(&key.question(nonce, own, *candidate), SocketAddr::new(*candidate, port));
        }
        deadline.sleep(ECHO_INTERVAL);
        let mut buffer = [0; 4096];
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let datagram = &buffer[..length];
                    if confd.role(datagram).is_some_and(|(salt, _)| salts.is_answer(&salt, from)) {
                        test.signed.insert(from.ip());
                    }
                    let nonce = key.answered(datagram, own, from.ip()).filter(|_| from.port() == port);
                    if nonce.is_some_and(|nonce| nonces.get(&from.ip()) == Some(&nonce)) {
                        test.echoed.insert(from.ip());
                    }
                }
                // An ICMP error for an earlier packet comes as an error of a later call.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        let is_whole = test.candidates.is_subset(&test.signed) && test.candidates.is_subset(&test.echoed);
        if is_whole || deadline.passed() {
            return Ok(test);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::identity;
    use crate::sys::signed_echo::Responder;

    fn list(numbers: &[u8]) -> BTreeSet<IpAddr> {
        numbers.iter().map(|n| IpAddr::from([192, 0, 2, *n])).collect()
    }

    /// If echoes are filtered, an upgrade that stops all confds would reset every armed host.
    #[test]
    fn both_kinds_of_answer_have_to_come_from_a_majority() {
        let of = |signed: &[u8], echoed: &[u8]| {
            let test =
                EchoTest { candidates: list(&[1, 2, 3]), signed: list(signed), echoed: list(echoed), port: 1817 };
            test.objection().unwrap_or_default()
        };
        assert_eq!(of(&[1, 2, 3], &[1, 2, 3]), "");
        assert_eq!(of(&[1, 2], &[2, 3]), "");
        let one = of(&[1, 2, 3], &[1]);
        assert!(one.contains("signed echoes came back from 1 of 3 master candidates, 2 are needed"), "{one}");
        assert!(one.contains("silent: 192.0.2.2, 192.0.2.3"), "{one}");
        assert!(one.contains("let UDP port 1817 pass") && one.contains("start gnt-ha-self-fence"), "{one}");
        assert!(of(&[1], &[1, 2, 3]).contains("signed answers of confd came from 1 of 3"));
        assert!(of(&[1, 7, 8, 9], &[1, 2, 3]).contains("from 1 of 3"), "other hosts answer");
        assert!(EchoTest::default().objection().unwrap().contains("no list of master candidates"));
    }

    /// The candidates answer by the real protocol: one both questions, one only the echo, one the echo with another
    /// key.
    #[test]
    fn a_trial_reports_which_candidates_answer_and_how() {
        let dir = tempfile::tempdir().unwrap();
        let (at, host) = (dir.path(), identity::host());
        let cluster_key = "0123456789".repeat(4) + "\n";
        for (name, text) in [
            ("hmac.key", cluster_key.clone()),
            ("ssconf_node_list", format!("{host}\n")),
            ("ssconf_node_primary_ips", format!("{host} 127.14.9.1\n")),
            ("ssconf_master_candidates_ips", "127.14.9.2\n127.14.9.3\n127.14.9.4\n".to_owned()),
        ] {
            std::fs::write(at.join(name), text).unwrap();
        }
        let port = 1817;
        let [both, echo, foreign] = [2, 3, 4].map(|host| IpAddr::from([127, 14, 9, host]));
        let confd = UdpSocket::bind((both, CONFD_PORT)).unwrap();
        confd.set_nonblocking(true).unwrap();
        let (ours, other) =
            (EchoKey::of_bytes(cluster_key.as_bytes()).unwrap(), EchoKey::of_bytes(b"another").unwrap());
        let responders = [(both, &ours), (echo, &ours), (foreign, &other)]
            .map(|(at, key)| (Responder::new(SocketAddr::new(at, port)), key));
        let deadline = Deadline::after(Duration::from_secs(2));
        let test = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = [0; 4096];
                while !deadline.passed() {
                    responders.iter().for_each(|(responder, key)| responder.answer_by(key));
                    if let Ok((length, from)) = confd.recv_from(&mut buffer) {
                        let answer = Confd::new(at).unwrap().role_answer(&buffer[..length], 1).unwrap();
                        confd.send_to(&answer, from).unwrap();
                    }
                    deadline.sleep(Duration::from_millis(5));
                }
            });
            test_echoes(at, port, deadline).unwrap()
        });
        assert_eq!(test.candidates, [both, echo, foreign].into());
        assert_eq!((&test.signed, &test.echoed), (&[both].into(), &[both, echo].into()));
        assert!(test.objection().unwrap().contains("signed answers of confd came from 1 of 3"));
    }
}
