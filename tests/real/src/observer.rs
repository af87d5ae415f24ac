//! Records which host served when, and which had the master IP: a process on each host checks many times a second.

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
const LOOK: &str = r#"
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

struct Seen {
    host: String,
    at: Duration,
    signs: BTreeMap<Sign, bool>,
}

/// Watches all hosts that have power at its start; a host that is booted later must be added again.
pub struct Witness {
    begun: Instant,
    sender: Option<Sender<Seen>>,
    seen: Receiver<Seen>,
    told: Vec<Seen>,
    looking: Vec<(Child, JoinHandle<()>)>,
}

impl Witness {
    /// Starts, and returns when every host was seen once.
    pub fn new(lab: &Lab) -> Self {
        let (sender, seen) = channel();
        let mut witness =
            Self { begun: Instant::now(), sender: Some(sender), seen, told: Vec::new(), looking: Vec::new() };
        lab.hosts().iter().for_each(|host| witness.watch(host));
        witness
    }

    /// Watches a host until it dies.
    pub fn watch(&mut self, host: &Host) {
        // A host that has just died gives no sign.
        let Ok(mut command) = host.command(&["python3", "-c", LOOK], None, false) else { return };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (begun, name, sender) = (self.begun, host.name().to_owned(), self.sender.clone().unwrap());
        let thread = std::thread::spawn(move || {
            let tell = |luxid, ip| {
                let signs = BTreeMap::from([(Sign::Luxid, luxid), (Sign::MasterIp, ip)]);
                let _ = sender.send(Seen { host: name.clone(), at: begun.elapsed(), signs });
            };
            for line in output.lines().map_while(Result::ok) {
                tell(line.starts_with('1'), line.ends_with('1'));
            }
            // The host is dead: no process of it runs.
            tell(false, false);
        });
        self.looking.push((child, thread));
    }

    /// Returns the host besides `old` that serves now, and since when.
    pub fn serving(&mut self, old: &str) -> Option<(String, Instant)> {
        self.told.extend(self.seen.try_iter());
        let mut timeline = Timeline::default();
        self.told.iter().for_each(|seen| timeline.add(seen));
        let now = |spans: &[Span]| spans.last().filter(|span| span.to.is_none()).map(|span| span.from);
        let luxids = timeline.0.iter().filter(|((sign, host), _)| *sign == Sign::Luxid && host != old);
        luxids.filter_map(|((_, host), spans)| Some((host.clone(), self.begun + now(spans)?))).next()
    }

    /// Ends, and returns which host gave which sign when.
    pub fn end(mut self) -> Timeline {
        let until = self.begun.elapsed();
        for (child, _) in &mut self.looking {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        for (_, thread) in self.looking.drain(..) {
            thread.join().unwrap();
        }
        self.sender = None;
        let mut timeline = Timeline::default();
        self.told.extend(self.seen.iter());
        self.told.iter().filter(|seen| seen.at <= until).for_each(|seen| timeline.add(seen));
        timeline
    }
}

/// The periods of each sign on each host.
#[derive(Debug, Default)]
pub struct Timeline(pub BTreeMap<(Sign, String), Vec<Span>>);

impl Timeline {
    fn add(&mut self, seen: &Seen) {
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

/// The check finds two masters at the same time, and accepts one after the other.
#[test]
fn a_witness_tells_two_at_once_from_one_after_the_other() {
    let seen = |host: &str, at: u64, luxid| Seen {
        host: host.to_owned(),
        at: Duration::from_millis(at),
        signs: BTreeMap::from([(Sign::Luxid, luxid), (Sign::MasterIp, false)]),
    };
    let judge = |second_from: u64| {
        let mut timeline = Timeline::default();
        let told = [seen("n1", 0, true), seen("n2", 0, false), seen("n2", second_from, true), seen("n1", 500, false)];
        told.iter().for_each(|seen| timeline.add(seen));
        std::panic::catch_unwind(|| timeline.assert_never_two()).is_ok()
    };
    assert!(judge(501));
    assert!(!judge(499));
}
