//! Tries, before self-fencing is armed, whether what it lives on passes: signed answers and ICMP echoes of the master candidates.
//!
//! A lease is renewed by signed answers. Where all confds are silent, echoes keep it: without them an upgrade that stops confd
//! everywhere would reset every host. So both have to come from a majority.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::daemon::{address, candidates};
use super::echo::{Echo, Nonce};
use crate::core::shun::lease::majority;
use crate::sys::clock::Deadline;
use crate::sys::ganeti::confd::{Confd, PORT, Salts};
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::identity;

/// How often those that have not answered are asked again, and how long an answer is waited for.
const PAUSE: Duration = Duration::from_millis(250);

/// What came back of a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Who was asked.
    pub candidates: BTreeSet<IpAddr>,
    /// Whose confd answered, signed.
    pub signed: BTreeSet<IpAddr>,
    /// Whose kernel answered an echo.
    pub echoed: BTreeSet<IpAddr>,
}

impl Trial {
    /// Why self-fencing must not be armed here; none if it may.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        let (all, least) = (self.candidates.len(), majority(self.candidates.len()));
        if self.candidates.is_empty() {
            return Some(
                "no master candidate is known here (ssconf_master_candidates_ips): nobody could grant a lease"
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
            let why = "let ICMP echo pass between all nodes: without it, an upgrade that stops every confd resets every host";
            lack("ICMP echoes came back", &self.echoed, why)
        })
    }
}

/// Asks all candidates for a signed answer and for an echo, from this node's own address, until all have answered or the
/// deadline is over. Changes nothing.
///
/// # Errors
/// Why nobody was asked.
pub fn try_out(data_dir: &Path, deadline: Deadline) -> Result<Trial, String> {
    let ssconf = Ssconf::new(data_dir);
    let nodes = ssconf.names("node_list").map_err(|error| error.to_string())?;
    let node = identity::node_among(&nodes)
        .ok_or_else(|| format!("this host, {}, is not a node of this cluster (ssconf_node_list)", identity::host()))?;
    let own = address(&ssconf, &node).ok_or_else(|| format!("{node} has no address in ssconf_node_primary_ips"))?;
    let confd = Confd::new(data_dir).map_err(|error| error.to_string())?;
    let socket = UdpSocket::bind(SocketAddr::new(own, 0)).map_err(|error| format!("cannot use {own}: {error}"))?;
    socket.set_nonblocking(true).map_err(|error| error.to_string())?;
    let echo = Echo::bind(own).map_err(|error| format!("cannot send an ICMP echo from {own}: {error}"))?;
    let salts = Salts::new().map_err(|error| format!("no random number: {error}"))?;
    let mut nonces: BTreeMap<IpAddr, Nonce> = BTreeMap::new();
    let mut trial = Trial { candidates: candidates(&ssconf), ..Trial::default() };
    for candidate in &trial.candidates {
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce).map_err(|error| format!("no random number: {error}"))?;
        nonces.insert(*candidate, nonce);
    }
    loop {
        for candidate in trial.candidates.difference(&trial.signed) {
            // Refused or unreachable is no answer.
            let _ = socket.send_to(&confd.role_question(&node, &salts, *candidate), SocketAddr::new(*candidate, PORT));
        }
        for (candidate, nonce) in nonces.iter().filter(|(candidate, _)| !trial.echoed.contains(*candidate)) {
            echo.ask(*candidate, nonce);
        }
        deadline.sleep(PAUSE);
        let mut buffer = [0; 4096];
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    if confd.role(&buffer[..length]).is_some_and(|(salt, _)| salts.is_answer(&salt, from)) {
                        trial.signed.insert(from.ip());
                    }
                }
                // A refusal by ICMP comes as an error of a later call.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        while let Some((from, nonce)) = echo.answer() {
            if nonces.get(&from) == Some(&nonce) {
                trial.echoed.insert(from);
            }
        }
        let is_whole = trial.candidates.is_subset(&trial.signed) && trial.candidates.is_subset(&trial.echoed);
        if is_whole || deadline.passed() {
            return Ok(trial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(numbers: &[u8]) -> BTreeSet<IpAddr> {
        numbers.iter().map(|n| IpAddr::from([192, 0, 2, *n])).collect()
    }

    /// Where ICMP is filtered, an upgrade that stops all confds would reset every host that is armed.
    #[test]
    fn both_kinds_of_answer_have_to_come_from_a_majority() {
        let of = |signed: &[u8], echoed: &[u8]| {
            let trial = Trial { candidates: list(&[1, 2, 3]), signed: list(signed), echoed: list(echoed) };
            trial.why_not().unwrap_or_default()
        };
        assert_eq!(of(&[1, 2, 3], &[1, 2, 3]), "");
        assert_eq!(of(&[1, 2], &[2, 3]), "");
        assert!(of(&[1, 2, 3], &[1]).contains("ICMP echoes came back from 1 of 3 master candidates, 2 are needed"));
        assert!(of(&[1, 2, 3], &[1]).contains("silent: 192.0.2.2, 192.0.2.3"));
        assert!(of(&[1], &[1, 2, 3]).contains("signed answers of confd came from 1 of 3"));
        assert!(of(&[1, 7, 8, 9], &[1, 2, 3]).contains("from 1 of 3"), "whoever else answers");
        assert!(Trial::default().why_not().unwrap().contains("no master candidate is known"));
    }

    /// The candidate answers by the real protocol; nobody listens at the other one, and its kernel answers all the same.
    #[test]
    fn a_trial_tells_who_answers_and_how() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("not tested: an echo needs root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (at, host) = (folder.path(), identity::host());
        for (name, text) in [
            ("hmac.key", "0123456789".repeat(4) + "\n"),
            ("ssconf_node_list", format!("{host}\n")),
            ("ssconf_node_primary_ips", format!("{host} 127.14.9.1\n")),
            ("ssconf_master_candidates_ips", "127.14.9.2\n127.14.9.3\n".to_owned()),
        ] {
            std::fs::write(at.join(name), text).unwrap();
        }
        let confd = UdpSocket::bind("127.14.9.2:1814").unwrap();
        confd.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let trial = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = [0; 4096];
                let (length, from) = confd.recv_from(&mut buffer).unwrap();
                let answer = Confd::new(at).unwrap().role_answer(&buffer[..length], 1).unwrap();
                confd.send_to(&answer, from).unwrap();
            });
            try_out(at, Deadline::after(Duration::from_secs(1))).unwrap()
        });
        let both: BTreeSet<IpAddr> = ["127.14.9.2", "127.14.9.3"].map(|text| text.parse().unwrap()).into();
        assert_eq!((&trial.candidates, &trial.echoed), (&both, &both));
        assert_eq!(trial.signed, ["127.14.9.2".parse().unwrap()].into());
        assert!(trial.why_not().unwrap().contains("signed answers of confd came from 1 of 2"));
    }
}
