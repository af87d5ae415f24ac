//! Watches a lab and returns its changes, one line each.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::crm::{CrmMon, FenceEvent, Node};
use crate::lab::Lab;
use crate::power::Power;
use crate::status::ssconf;

/// A change, with the time at which it was noticed.
#[derive(Debug, Clone)]
pub struct Event {
    /// The time, up to one polling interval after the change.
    pub at: SystemTime,
    /// The text, such as `n3.lab is lost (UNCLEAN)`.
    pub text: String,
}

/// Compares a lab with its state at the last poll.
#[derive(Debug)]
pub struct Watch<'lab> {
    lab: &'lab Lab,
    power: BTreeMap<String, Power>,
    /// The lines of the ssconf files, by host and key.
    ganeti: BTreeMap<(String, &'static str), Vec<String>>,
    seen: Option<CrmMon>,
    /// Finished fencing actions: another host's late view may have them as pending again.
    reported: Vec<FenceEvent>,
}

const KEYS: [(&str, &str); 2] = [("master_node", "master"), ("offline_nodes", "offline nodes")];

impl<'lab> Watch<'lab> {
    pub(crate) fn new(lab: &'lab Lab) -> Self {
        let mut watch = Self { lab, power: BTreeMap::new(), ganeti: BTreeMap::new(), seen: None, reported: Vec::new() };
        watch.poll();
        watch
    }

    /// Returns the changes since the last call. Call it about every second.
    pub fn poll(&mut self) -> Vec<Event> {
        let mut lines = self.power();
        lines.extend(self.pacemaker());
        lines.extend(self.ganeti());
        lines.into_iter().map(|text| Event { at: SystemTime::now(), text }).collect()
    }

    fn power(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for host in self.lab.hosts() {
            let now = host.power_status();
            if self.power.insert(host.name().into(), now).is_some_and(|before| before != now) {
                let text = match now {
                    Power::Off => "has no power",
                    Power::Booting => "has power and boots",
                    Power::On => "has started its services",
                };
                lines.push(format!("{}: {text}", host.name()));
            }
        }
        lines
    }

    /// Returns the view of a host in a partition with quorum, if there is one.
    fn view(&self) -> Option<CrmMon> {
        let mut any = None;
        for host in self.lab.hosts().into_iter().filter(|h| h.power_status() != Power::Off) {
            match host.crm_mon() {
                Ok(view) if view.quorum && view.dc.is_some() => return Some(view),
                Ok(view) => any = any.or(Some(view)),
                Err(_) => {}
            }
        }
        any
    }

    fn pacemaker(&mut self) -> Vec<String> {
        let now = self.view();
        let mut lines = match (&self.seen, &now) {
            (Some(before), Some(now)) => changes(before, now),
            (Some(_), None) => vec!["no Pacemaker answers".into()],
            (None, Some(_)) => vec!["Pacemaker answers".into()],
            (None, None) => Vec::new(),
        };
        let was = self.seen.take();
        self.seen = now;
        lines.extend(self.fencing(was.is_some(), &was.map(|w| w.fencing).unwrap_or_default()));
        lines
    }

    fn fencing(&mut self, report: bool, before: &[FenceEvent]) -> Vec<String> {
        let events = self.seen.iter().flat_map(|s| s.fencing.iter().rev());
        let new: Vec<_> = events.filter(|e| !before.contains(e) && !self.reported.contains(e)).cloned().collect();
        self.reported.extend(new.iter().filter(|e| !e.completed.is_empty()).cloned());
        if !report {
            return Vec::new();
        }
        new.iter()
            .map(|event| {
                let by = if event.delegate.is_empty() { String::new() } else { format!(" by {}", event.delegate) };
                format!("fencing: {} of {}{by} for {}: {}", event.action, event.target, event.client, event.status)
            })
            .collect()
    }

    fn ganeti(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, word) in KEYS {
            let mut changed: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for host in self.lab.hosts() {
                let Some(now) = ssconf(&host, key) else { continue };
                let text = if now.is_empty() { "none".to_owned() } else { now.join(", ") };
                if self.ganeti.insert((host.name().into(), key), now.clone()).is_some_and(|before| before != now) {
                    changed.entry(text).or_default().push(host.name().into());
                }
            }
            lines.extend(
                changed.into_iter().map(|(text, hosts)| format!("Ganeti {word} on {}: {text}", hosts.join(", "))),
            );
        }
        lines
    }
}

fn changes(before: &CrmMon, now: &CrmMon) -> Vec<String> {
    let mut lines = Vec::new();
    let view = |node: &Node| (node.online && !node.pending, node.unclean);
    for node in &now.nodes {
        let old = before.node(&node.name);
        let (was, is) = (old.map(view), view(node));
        if was == Some(is) {
            continue;
        }
        lines.push(match is {
            (true, false) => format!("{} is online", node.name),
            (true, true) => format!("{} is online, but UNCLEAN", node.name),
            (false, true) => format!("{} is lost (UNCLEAN)", node.name),
            (false, false) => format!("{} is offline (clean)", node.name),
        });
    }
    if before.dc != now.dc {
        lines.push(format!("DC is {}", now.dc.as_deref().unwrap_or("none")));
    }
    if before.quorum != now.quorum {
        lines.push(if now.quorum { "quorum is back".into() } else { "quorum is lost".into() });
    }
    lines
}
