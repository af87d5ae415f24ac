//! Rules about the host to which each BMC belongs: compares what the BMCs report with what the nodes report of themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckInput, CheckNote, Findings};
use crate::core::bmc_memory::{BmcMemory, BmcVerdict, ProvenBmc, WrongBmc};
use crate::core::grade::Grade;
use crate::core::host_identity::{BmcOwner, HostIdentity, Unproven, is_same_host, owner};
use crate::core::node::NodeName;
use crate::core::survey::DeviceAnswer;

/// A BMC that has answered, with the node that has it in the configuration.
struct Bmc<'a> {
    node: &'a NodeName,
    device: &'a DeviceAnswer,
    identity: &'a HostIdentity,
    owner: BmcOwner,
}

/// Returns what each node reports of itself, of the nodes that report an identity.
fn nodes(view: &CheckInput) -> BTreeMap<NodeName, HostIdentity> {
    let Some(Ok(survey)) = &view.survey else { return BTreeMap::new() };
    let own = view.host.node.iter().map(|here| (here, &survey.own));
    let reported = own.chain(survey.programs());
    reported.filter_map(|(node, program)| Some((node.clone(), program.host.clone()?))).collect()
}

/// Returns the BMCs that have answered, each with its owner.
fn bmcs<'a>(view: &'a CheckInput, nodes: &BTreeMap<NodeName, HostIdentity>) -> Vec<Bmc<'a>> {
    let of_device = |node: &'a NodeName, device: &'a DeviceAnswer| {
        let identity = device.identity.as_ref()?;
        Some(Bmc { node, device, identity, owner: owner(identity, node, nodes) })
    };
    let mut all: Vec<Bmc> = view
        .devices
        .iter()
        .flat_map(|(node, asked)| asked.iter().filter_map(move |one| of_device(node, one)))
        .collect();
    // What three BMCs report, and no node, is a value of their maker.
    let common: Vec<bool> = all.iter().map(|bmc| is_common(bmc, &all)).collect();
    for (bmc, _) in all.iter_mut().zip(common).filter(|(_, is_common)| *is_common) {
        bmc.owner = BmcOwner::Unproven(Unproven::Bmc);
    }
    all
}

/// The number of nodes whose BMCs report one identity that no node has, from which it identifies no host.
const COMMON_LEAST: usize = 3;

fn is_common(bmc: &Bmc, all: &[Bmc]) -> bool {
    let is_owned = matches!(bmc.owner, BmcOwner::Own(_) | BmcOwner::Another(_));
    let same: BTreeSet<&NodeName> =
        all.iter().filter(|other| is_same_host(other.identity, bmc.identity)).map(|other| other.node).collect();
    !is_owned && same.len() >= COMMON_LEAST
}

/// Returns what the input shows of the nodes' identities and of their BMCs, to be remembered at `now_ms`: what each node reports
/// of itself, and the BMCs that are proven to be those of their nodes.
#[must_use]
pub fn learned(view: &CheckInput, now_ms: u64) -> BmcMemory {
    let nodes = nodes(view);
    let mut learned = BmcMemory::default();
    // Also what identifies no host, or several: it takes the place of what was remembered before.
    for (node, host) in &nodes {
        learned.0.entry(node.clone()).or_default().host = Some(host.clone());
    }
    for Bmc { node, device, identity, owner } in bmcs(view, &nodes) {
        if matches!(owner, BmcOwner::Own(_)) {
            let proven = ProvenBmc { identity: identity.clone(), proven_ms: now_ms };
            learned.0.entry(node.clone()).or_default().bmcs.insert(device.device.clone(), proven);
        }
    }
    learned
}

/// Returns what this host will remember after this check: only the check on Ganeti's master is remembered.
fn remembered(view: &CheckInput) -> BmcMemory {
    let is_master = view.ganeti.as_ref().is_ok_and(|ganeti| ganeti.master() == view.host.node.as_ref());
    if !is_master {
        return view.bmc_memory.clone();
    }
    view.bmc_memory.after(&learned(view, 0), &[]).unwrap_or_else(|| view.bmc_memory.clone())
}

/// Reports BMCs of another node, BMCs of no node, two nodes with one BMC, and BMCs that a fencing will not use.
pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    let nodes = nodes(view);
    let memory = remembered(view);
    let all = bmcs(view, &nodes);
    for Bmc { node, device, identity, owner } in &all {
        let place = format!("level {}, {}", device.level, device.device);
        let own = nodes.get(*node).map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let refused = match memory.judge(node, &device.device, identity, "") {
            BmcVerdict::Wrong(why) if !matches!(owner, BmcOwner::Another(_)) => Some(why),
            _ => None,
        };
        if let Some(why) = refused {
            let before = match *why {
                WrongBmc::Another { owner, theirs, .. } => format!("the identity that {owner} had ({theirs})"),
                WrongBmc::Changed { before, now, .. } => {
                    format!("{now}; when it was proven to be {node}'s, it reported {before}")
                }
            };
            findings.add("bmc-refused", node, format!("{place}: its BMC reports {before}"));
            continue;
        }
        match owner {
            BmcOwner::Another(other) => {
                let what = format!("{place}: the BMC of {node} is {other}'s: it reports {identity}; {node} has {own}");
                findings.add("bmc-of-another-node", node, what);
            }
            BmcOwner::NoNode => {
                let what = format!("{place}: its BMC reports {identity}, and the node {own}");
                findings.add("bmc-identity-differs", node, what);
            }
            BmcOwner::Own(_) | BmcOwner::Unproven(_) => {}
        }
    }
    // Of a BMC that is another node's, and of an identity that several nodes report, more is known than that two are equal.
    let is_open = |bmc: &&Bmc| {
        let reported = nodes.values().filter(|node| is_same_host(node, bmc.identity)).count();
        reported < 2
            && !matches!(bmc.owner, BmcOwner::Another(_) | BmcOwner::Unproven(Unproven::Bmc | Unproven::Shared))
    };
    let mut before: Vec<&Bmc> = Vec::new();
    for bmc in all.iter().filter(is_open) {
        let same = |other: &&&Bmc| other.node != bmc.node && is_same_host(other.identity, bmc.identity);
        if let Some(other) = before.iter().find(same) {
            let (device, identity) = (&bmc.device.device, bmc.identity);
            let what = format!("{device}: its BMC and that of {} report one identity, {identity}", other.node);
            findings.add("bmc-shared", bmc.node, what);
        }
        before.push(bmc);
    }
}

/// Returns notes about BMCs of which it is unproven to which host they belong. Nodes with the same reason are in one note.
pub(super) fn unproven(view: &CheckInput) -> Vec<CheckNote> {
    let mut found: BTreeMap<String, Vec<NodeName>> = BTreeMap::new();
    let mut add = |node: &NodeName, device: &DeviceAnswer, why: Unproven| {
        let text = format!("{}: that the BMC is the host's own is unproven: {why}", device.device);
        let nodes = found.entry(text).or_default();
        if nodes.last() != Some(node) {
            nodes.push(node.clone());
        }
    };
    for Bmc { node, device, owner, .. } in bmcs(view, &nodes(view)) {
        match owner {
            // That a node does not answer, or has an older version, is a finding of its own.
            BmcOwner::Unproven(Unproven::NoAnswer) => {}
            BmcOwner::Unproven(why) => add(node, device, why),
            _ => {}
        }
    }
    for (node, asked) in &view.devices {
        for device in asked.iter().filter(|device| device.is_identity_unanswered) {
            add(node, device, Unproven::NotAnswered);
        }
    }
    let note = |(text, nodes)| CheckNote { name: "unproven-bmc", nodes, grade: Grade::Off, text, why: None, fix: None };
    found.into_iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, name};
    use super::super::{check, notes};
    use super::learned;

    fn uuid(last: u8) -> String {
        format!("4c4c4544-0042-3310-8052-b7c04f4d4b{last:02x}")
    }

    /// Each BMC reports the host of the node with this number; the nodes report their own.
    fn scene(bmcs: [u8; 4]) -> Scene {
        let mut scene = Scene::healthy();
        for (at, bmc) in bmcs.into_iter().enumerate() {
            let node = format!("n{}.lab", at + 1);
            scene.identities(&node, &uuid(bmc), &uuid(u8::try_from(at + 1).unwrap()));
        }
        scene
    }

    #[test]
    fn bmcs_of_their_own_hosts_are_no_finding() {
        let view = scene([1, 2, 3, 4]).read();
        assert_eq!(check(&view), []);
        assert!(notes(&view).iter().all(|note| note.name != "unproven-bmc"));
        let learned = learned(&view, 7);
        assert_eq!(learned.0.len(), 4);
        assert!(learned.0.values().all(|known| known.host.is_some() && known.bmcs["bmc"].proven_ms == 7));
    }

    /// Only a proven BMC is remembered, so that the swapped one is refused at a fencing.
    #[test]
    fn of_swapped_bmcs_only_the_nodes_are_remembered() {
        let learned = learned(&scene([1, 3, 2, 4]).read(), 7);
        let bmcs: Vec<usize> = learned.0.values().map(|known| known.bmcs.len()).collect();
        assert_eq!(bmcs, [1, 0, 0, 1]);
        assert!(learned.0.values().all(|known| known.host.is_some()));
    }

    /// The worst fault of a fence device.
    #[test]
    fn two_swapped_bmcs_are_found_with_their_nodes() {
        let found = check(&scene([1, 3, 2, 4]).read());
        let found: Vec<_> = found.iter().map(|one| (one.rule, one.problem.split(": it").next().unwrap())).collect();
        let swapped = [
            ("bmc-of-another-node", "level 1, bmc: the BMC of n2.lab is n3.lab's"),
            ("bmc-of-another-node", "level 1, bmc: the BMC of n3.lab is n2.lab's"),
        ];
        assert_eq!(found, swapped);
    }

    #[test]
    fn one_bmc_for_two_nodes_is_found_once() {
        assert_eq!(scene([1, 2, 2, 4]).found(), [("bmc-of-another-node", "n3.lab".to_owned())]);
        let mut scene = scene([1, 2, 2, 4]);
        scene.view.survey.as_mut().unwrap().as_mut().unwrap().nodes.values_mut().for_each(|found| {
            if let crate::core::survey::NodeSurvey::Answered { program: Some(program), .. } = found {
                program.host = None;
            }
        });
        assert_eq!(scene.found(), [("bmc-shared", "n3.lab".to_owned())], "the nodes have an older version");
    }

    /// Boards of one maker, and hosts without SMBIOS: nothing is proven, and nothing is wrong.
    #[test]
    fn what_identifies_no_host_is_a_note() {
        let mut scene = Scene::healthy();
        let default = "03000200-0400-0500-0006-000700080009";
        for node in ["n1.lab", "n2.lab"] {
            scene.identities(node, default, default);
        }
        scene.identities("n3.lab", &uuid(3), "");
        scene.identities("n4.lab", &uuid(4), &uuid(4));
        let view = scene.read();
        assert_eq!(check(&view), []);
        let proven: Vec<_> = learned(&view, 7).0.into_iter().filter(|(_, known)| !known.bmcs.is_empty()).collect();
        assert_eq!(proven.iter().map(|(node, _)| node).collect::<Vec<_>>(), [&name("n4.lab")]);
        let found = notes(&view).into_iter().filter(|note| note.name == "unproven-bmc");
        let found: Vec<_> = found.map(|note| (note.nodes, note.text)).collect();
        let text = |why: &str| format!("bmc: that the BMC is the host's own is unproven: {why}");
        assert_eq!(
            found,
            [
                (vec![name("n1.lab"), name("n2.lab")], text("its BMC reports no usable identity")),
                (vec![name("n3.lab")], text("the node reports no usable identity of its own")),
            ]
        );
    }
}
