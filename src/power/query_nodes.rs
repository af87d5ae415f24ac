//! Asks the OOB programs or the devices of all nodes at once, for commands that only read.

use std::collections::BTreeMap;

use crate::core::bmc_memory::{BmcMemory, BmcVerdict};
use crate::core::config::{Config, Driver};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::{OobStatus, is_ours};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::Power;
use crate::core::survey::{DeviceAnswer, power_of};
use crate::power::bmc_memory;
use crate::power::check;
use crate::power::device::OpenShun;
use crate::power::error::PowerError;
use crate::sys::clock::Deadline;
use crate::sys::fan_out::each;
use crate::sys::oob_program::{OobError, OobProgram};
use crate::sys::startup::allow_open_files;

/// The maximum number of nodes that are asked at once by a program for each: so many processes share the processors.
const PROGRAMS_AT_ONCE: usize = 64;

/// The maximum number of nodes whose BMCs this process asks itself at once. Such a question is a thread that waits, so
/// that a BMC that does not answer delays no other one.
const SESSIONS_AT_ONCE: usize = 1024;

/// The files that one such question has open at most: a socket, the lock and the state of the login pause, the password.
const FILES_OF_SESSION: usize = 4;

/// The files that this process has open for other things.
const OTHER_FILES: usize = 64;

/// The answer for each node, or the reason why it is unknown.
pub type NodeAnswers<T, E> = BTreeMap<NodeName, Result<T, E>>;

/// Returns the nodes whose OOB program can be run on this host, with the program. Includes nodes that are recorded
/// offline only if `offline`.
#[must_use]
pub fn programs(ganeti: &GanetiConfig, offline: bool) -> Vec<(NodeName, OobProgram)> {
    let nodes = ganeti.nodes().iter().filter(|node| offline || !node.offline);
    nodes.filter_map(|node| Some((node.name.clone(), OobProgram::find(node.oob_program.as_ref()?).ok()?))).collect()
}

/// What all nodes have answered: the power of each node with the grade of an "off", and the devices that were asked.
#[derive(Debug, Default)]
pub struct PowerStates {
    /// The power of each node that was asked; the reason where it is unknown.
    pub nodes: NodeAnswers<(Power, Grade), String>,
    /// The answer of each device, of the nodes whose devices were asked.
    pub devices: BTreeMap<NodeName, Vec<DeviceAnswer>>,
}

/// What is done with the identities of BMCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identities {
    /// Every BMC is asked, and every reading is returned, for a caller that compares all of them.
    Collected,
    /// A BMC is asked if its identity can be compared with what this host remembers. A BMC that is known to be another host's
    /// has not answered for the node.
    Compared,
}

/// Asks for the power of all these nodes at once. Of a node with `ganeti-oob`, this process asks each device itself, by
/// `config`, also those that a fencing would ask only after a failure of another; without `config` it asks none of these
/// nodes. A program of another author is run for each of its nodes.
#[must_use]
pub fn power_states(
    nodes: Vec<(NodeName, OobProgram)>,
    config: Option<&Config>,
    identities: Identities,
    deadline: Deadline,
    shun: OpenShun,
) -> PowerStates {
    let (ours, others): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|(_, program)| is_ours(program.path()));
    let ours: Vec<NodeName> = ours.into_iter().map(|(node, _)| node).collect();
    let by_programs = || PowerStates {
        nodes: power(&others, deadline).into_iter().map(|(node, answer)| (node, of_program(answer))).collect(),
        devices: BTreeMap::new(),
    };
    let by_devices = || {
        let asked = config.map(|config| devices(&ours, config, identities, deadline.at_most(config.deadline), shun));
        let mut states = PowerStates::default();
        for (node, asked) in asked.unwrap_or_default() {
            states.nodes.insert(node.clone(), of_devices(&asked));
            states.devices.extend(asked.map(|asked| (node, asked)));
        }
        states
    };
    let mut states = PowerStates::default();
    for part in each(&[true, false], 2, |has_program| if *has_program { by_programs() } else { by_devices() }) {
        states.nodes.extend(part.nodes);
        states.devices.extend(part.devices);
    }
    states
}

/// Returns the power with the grade of an "off" by the answer of an OOB program.
fn of_program(answer: Result<OobStatus, OobError>) -> Result<(Power, Grade), String> {
    answer.map(|status| (status.power, status.proves())).map_err(|error| error.to_string())
}

/// Returns the power by the answers of a node's devices. Reading alone proves no "off" here.
fn of_devices(asked: &Result<Vec<DeviceAnswer>, PowerError>) -> Result<(Power, Grade), String> {
    let asked = asked.as_ref().map_err(ToString::to_string)?;
    power_of(asked).map(|power| (power, Grade::Unknown)).map_err(|error| error.to_string())
}

/// Asks each node's OOB program for the power state.
#[must_use]
pub fn power(nodes: &[(NodeName, OobProgram)], deadline: Deadline) -> NodeAnswers<OobStatus, OobError> {
    let status = |(node, program): &(NodeName, OobProgram)| (node.clone(), program.status(node, deadline));
    each(nodes, PROGRAMS_AT_ONCE, status).into_iter().collect()
}

/// Asks every device of every level of each node, by the configuration of this host.
#[must_use]
pub fn devices(
    nodes: &[NodeName],
    config: &Config,
    identities: Identities,
    deadline: Deadline,
    shun: OpenShun,
) -> NodeAnswers<Vec<DeviceAnswer>, PowerError> {
    let memory = match identities {
        Identities::Collected => BmcMemory::default(),
        Identities::Compared => bmc_memory::read(&config.state),
    };
    let file = bmc_memory::file(&config.state).display().to_string();
    let ask = |node: &NodeName| {
        let is_asked = identities == Identities::Collected || memory.can_judge(node);
        let asked = check::devices(config, node, deadline, shun, is_asked).map(|mut asked| {
            asked.iter_mut().for_each(|device| refuse_wrong(node, device, &memory, &file));
            asked
        });
        (node.clone(), asked)
    };
    let (sessions, programs): (Vec<_>, Vec<_>) = nodes.iter().cloned().partition(|node| runs_no_program(config, node));
    let files = allow_open_files(FILES_OF_SESSION * sessions.len().min(SESSIONS_AT_ONCE) + OTHER_FILES);
    let sessions_at_once = (files.saturating_sub(OTHER_FILES) / FILES_OF_SESSION).clamp(1, SESSIONS_AT_ONCE);
    let groups = [(&programs, PROGRAMS_AT_ONCE), (&sessions, sessions_at_once)];
    each(&groups, groups.len(), |(nodes, at_once)| each(nodes, *at_once, ask)).into_iter().flatten().collect()
}

/// Takes a BMC that is known to be another host's for one that has not answered.
fn refuse_wrong(node: &NodeName, device: &mut DeviceAnswer, memory: &BmcMemory, file: &str) {
    let Some(identity) = &device.identity else { return };
    if let BmcVerdict::Wrong(why) = memory.judge(node, &device.device, identity, file) {
        (device.power, device.text) = (None, why.to_string());
    }
}

/// Returns whether all devices of the node are asked by this process itself. The driver `shun` runs a program only for a
/// node that is shunned, and few are.
fn runs_no_program(config: &Config, node: &NodeName) -> bool {
    let is_session = |driver: &Driver| match driver {
        Driver::Ipmi(_) | Driver::Shun => true,
        Driver::Redfish(_) | Driver::Agent(_) | Driver::Exec(_) => false,
    };
    config.levels_of(node).is_ok_and(|levels| levels.iter().flatten().all(|device| is_session(&device.driver)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    /// Only an IPMI device needs no program of its own.
    #[test]
    fn a_node_with_one_program_counts_to_the_programs() {
        let config = |devices: &str, levels: &str| {
            let text = format!("{devices}[nodes.\"n1.lab\"]\nlevels = {levels}\n");
            Config::parse(&text, std::path::Path::new("config.toml")).unwrap()
        };
        let bmc =
            "[devices.bmc]\ndriver = \"ipmi\"\naddress = \"192.0.2.1\"\nusername = \"admin\"\npassword_file = \"/p\"\n";
        let other = "[devices.other]\ndriver = \"exec\"\nprogram = \"/usr/lib/other\"\n";
        let node = NodeName::new("n1.lab").unwrap();
        assert!(runs_no_program(&config(bmc, "[[\"bmc\"]]"), &node));
        assert!(!runs_no_program(&config(&format!("{bmc}{other}"), "[[\"bmc\"], [\"other\"]]"), &node));
    }

    /// All programs run at once, and a failure of one does not affect another node.
    #[test]
    fn each_node_has_its_own_answer() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, "#!/bin/sh\n[ $2 = n2.lab ] && exit 1; echo '{\"powered\": true}'\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = OobProgram::find(&path).unwrap();
        let nodes: Vec<_> =
            ["n1.lab", "n2.lab"].map(|name| (NodeName::new(name).unwrap(), found.clone())).into_iter().collect();
        let answers = power(&nodes, Deadline::after(Duration::from_secs(5)));
        let on: Vec<bool> = answers.values().map(Result::is_ok).collect();
        assert_eq!(on, [true, false]);
    }
}
