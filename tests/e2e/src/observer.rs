//! Records when each host served as master and when it had the master IP: a process on each host checks many times a
//! second.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::{Host, Lab};

/// A program that prints when one of the two changes, until its input ends. An address can be bound only where it is on
/// a device. A luxid that hangs does not serve.
const PROGRAM: &str = r#"
import json, select, socket, sys
def serves():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(1)
    try:
        s.connect('/var/run/ganeti/socket/ganeti-query')
        s.sendall(b'{"method":"QueryClusterInfo","args":[]}\x03')
        answer = b''
        while not answer.endswith(b'\x03'):
            part = s.recv(65536)
            if not part: return False
            answer += part
        return json.loads(answer[:-1])['success']
    except (OSError, ValueError): return False
    finally: s.close()
def has_ip():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.bind(('192.0.2.100', 0))
        return True
    except OSError: return False
    finally: s.close()
was = None
while not select.select([sys.stdin], [], [], 0.03)[0]:
    now = (serves(), has_ip())
    if now != was: print(int(now[0]), int(now[1]), flush=True)
    was = now
"#;

/// A sign of the master role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// luxid answers a request.
    Luxid,
    /// The master IP is on a device of the host.
    MasterIp,
}

/// A period in which a host gave a sign, counted from the watcher's start; without an end if it still does.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The beginning of the period.
    pub from: Duration,
    /// The end of the period; `None` if it goes on.
    pub to: Option<Duration>,
}

struct Observation {
    host: String,
    at: Duration,
    signs: BTreeMap<Sign, bool>,
}

/// Watches all hosts that have power at its start; a host that is booted later must be added again.
pub struct Observer {
    begun: Instant,
    sender: Option<Sender<Observation>>,
    seen: Receiver<Observation>,
    received: Vec<Observation>,
    processes: Vec<(Child, JoinHandle<()>)>,
}

impl Observer {
    /// Starts, and returns when every host was seen once.
    pub fn new(lab: &Lab) -> Self {
        let (sender, seen) = channel();
        let mut observer =
            Self { begun: Instant::now(), sender: Some(sender), seen, received: Vec::new(), processes: Vec::new() };
        lab.hosts().iter().for_each(|host| observer.watch(host));
        observer
    }

    /// Watches a host until it loses its power.
    pub fn watch(&mut self, host: &Host) {
        // A host that has just lost its power gives no sign.
        let Ok(mut command) = host.command(&["python3", "-c", PROGRAM], None, false) else { return };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (begun, name, sender) = (self.begun, host.name().to_owned(), self.sender.clone().unwrap());
        let thread = std::thread::spawn(move || {
            let send = |luxid, ip| {
                let signs = BTreeMap::from([(Sign::Luxid, luxid), (Sign::MasterIp, ip)]);
                let _ = sender.send(Observation { host: name.clone(), at: begun.elapsed(), signs });
            };
            for line in output.lines().map_while(Result::ok) {
                send(line.starts_with('1'), line.ends_with('1'));
            }
            // The host has no power: no process of it runs.
            send(false, false);
        });
        self.processes.push((child, thread));
    }

    /// Returns the host besides `old` that serves now, and since when.
    pub fn serving(&mut self, old: &str) -> Option<(String, Instant)> {
        self.received.extend(self.seen.try_iter());
        let mut timeline = Timeline::default();
        self.received.iter().for_each(|seen| timeline.add(seen));
        let now = |spans: &[Span]| spans.last().filter(|span| span.to.is_none()).map(|span| span.from);
        let luxids = timeline.0.iter().filter(|((sign, host), _)| *sign == Sign::Luxid && host != old);
        luxids.filter_map(|((_, host), spans)| Some((host.clone(), self.begun + now(spans)?))).next()
    }

    /// Ends the observation, and returns the periods of each sign on each host.
    pub fn end(mut self) -> Timeline {
        let until = self.begun.elapsed();
        for (child, _) in &mut self.processes {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        for (_, thread) in self.processes.drain(..) {
            thread.join().unwrap();
        }
        self.sender = None;
        let mut timeline = Timeline::default();
        self.received.extend(self.seen.iter());
        self.received.iter().filter(|seen| seen.at <= until).for_each(|seen| timeline.add(seen));
        timeline
    }
}

/// The periods of each sign on each host.
#[derive(Debug, Default)]
pub struct Timeline(pub BTreeMap<(Sign, String), Vec<Span>>);

impl Timeline {
    fn add(&mut self, seen: &Observation) {
        for (sign, given) in &seen.signs {
            let spans = self.0.entry((*sign, seen.host.clone())).or_default();
            match (spans.last_mut().filter(|span| span.to.is_none()), given) {
                (None, true) => spans.push(Span { from: seen.at, to: None }),
                (Some(span), false) => span.to = Some(seen.at),
                (Some(_), true) | (None, false) => {}
            }
        }
    }

    /// Returns the periods of a sign on a host.
    pub fn of(&self, sign: Sign, host: &str) -> &[Span] {
        self.0.get(&(sign, host.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Checks that no two hosts gave a sign at the same time.
    pub fn assert_never_two(&self) {
        let overlap = |a: &Span, b: &Span| a.to.is_none_or(|to| b.from < to) && b.to.is_none_or(|to| a.from < to);
        for ((sign, host), spans) in &self.0 {
            for ((_, other), others) in self.0.iter().filter(|((same, other), _)| same == sign && other > host) {
                let both = spans.iter().any(|span| others.iter().any(|other| overlap(span, other)));
                assert!(!both, "{host} and {other} at once, {sign:?}: {self:#?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check finds two masters at the same time, and accepts one after the other.
    #[test]
    fn the_check_finds_two_masters_at_once() {
        let seen = |host: &str, at: u64, luxid| Observation {
            host: host.to_owned(),
            at: Duration::from_millis(at),
            signs: BTreeMap::from([(Sign::Luxid, luxid), (Sign::MasterIp, false)]),
        };
        let is_accepted = |second_from: u64| {
            let mut timeline = Timeline::default();
            let observations =
                [seen("n1", 0, true), seen("n2", 0, false), seen("n2", second_from, true), seen("n1", 500, false)];
            observations.iter().for_each(|seen| timeline.add(seen));
            std::panic::catch_unwind(|| timeline.assert_never_two()).is_ok()
        };
        assert!(is_accepted(501));
        assert!(!is_accepted(499));
    }
}
