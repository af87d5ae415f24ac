//! Asks the OOB programs or the devices of all nodes at once, for commands that only read.

use std::collections::BTreeMap;

use crate::core::config::Config;
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::OobStatus;
use crate::core::node::NodeName;
use crate::core::survey::DeviceAnswer;
use crate::power::check;
use crate::power::device::OpenShun;
use crate::power::error::PowerError;
use crate::sys::clock::Deadline;
use crate::sys::fan_out::each;
use crate::sys::oob_program::{OobError, OobProgram};

/// The maximum number of nodes that are asked at once.
const AT_ONCE: usize = 32;

/// The answer for each node, or the reason why it is unknown.
pub type NodeAnswers<T, E> = BTreeMap<NodeName, Result<T, E>>;

/// Returns the nodes whose OOB program can be run on this host, with the program. Includes nodes that are recorded
/// offline only if `offline`.
#[must_use]
pub fn programs(ganeti: &GanetiConfig, offline: bool) -> Vec<(NodeName, OobProgram)> {
    let nodes = ganeti.nodes().iter().filter(|node| offline || !node.offline);
    nodes.filter_map(|node| Some((node.name.clone(), OobProgram::find(node.oob_program.as_ref()?).ok()?))).collect()
}

/// Asks each node's OOB program for the power state.
#[must_use]
pub fn power(nodes: &[(NodeName, OobProgram)], deadline: Deadline) -> NodeAnswers<OobStatus, OobError> {
    let status = |(node, program): &(NodeName, OobProgram)| (node.clone(), program.status(node, deadline));
    each(nodes, AT_ONCE, status).into_iter().collect()
}

/// Asks every device of every level of each node, by the configuration of this host.
#[must_use]
pub fn devices(
    nodes: &[NodeName],
    config: &Config,
    deadline: Deadline,
    shun: OpenShun,
) -> NodeAnswers<Vec<DeviceAnswer>, PowerError> {
    let ask = |node: &NodeName| (node.clone(), check::devices(config, node, deadline, shun));
    each(nodes, AT_ONCE, ask).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

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
