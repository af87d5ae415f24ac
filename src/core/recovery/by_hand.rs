//! Whether an administrator may have instances of dead hosts started now (`gnt-ha recover`). The guards of each instance
//! hold as always; these hold for all of them, and the command names them before it does anything. Pure.

use super::not_recovered::NotRecovered;
use crate::core::node::{self, NodeName};
use crate::core::reconcile::{Decision, MasterRoleState, Plan, ReconcileInput};

/// The reason why no instance may be started by hand now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByHandObjection {
    /// This host is not the master, by Ganeti's files or by Pacemaker.
    #[error("this host is not the master: run the command there (gnt-cluster getmaster, crm_mon --one-shot)")]
    NotMaster,
    /// A guard prevents each start.
    #[error("{0}")]
    Guard(NotRecovered),
    /// The host is recorded online, and is not about to be recorded offline.
    #[error(
        "{0} is not recorded offline (gnt-ha status shows why; gnt-ha recover {0} --dry-run shows what would happen if it died)"
    )]
    Online(NodeName),
}

/// Checks what the last reconciliation has seen and decided. `is_on`: recovery is on. With `off`, only the instances of that host
/// are to be started.
///
/// # Errors
/// [`ByHandObjection`] if no instance may be started.
pub fn check(
    state: &ReconcileInput,
    decided: &Plan,
    is_on: bool,
    off: Option<&NodeName>,
) -> Result<(), ByHandObjection> {
    if !is_on {
        return Err(ByHandObjection::Guard(NotRecovered::Off));
    }
    let has_role = match &state.role {
        MasterRoleState::Unmanaged => true,
        MasterRoleState::Inactive => false,
        MasterRoleState::ActiveOn(host) => {
            node::find(host, state.nodes.iter().map(|node| &node.ganeti.name)) == Ok(&state.here)
        }
    };
    if !has_role || state.master.as_ref() != Some(&state.here) {
        return Err(ByHandObjection::NotMaster);
    }
    let guard = if !state.quorum {
        Some(NotRecovered::NoQuorum)
    } else if state.maintenance {
        Some(NotRecovered::Maintenance)
    } else if let Some(pause) = &state.pause {
        Some(NotRecovered::Paused(pause.clone()))
    } else {
        decided.memory.breaker.open_state().cloned().map(NotRecovered::NodeBreaker)
    };
    if let Some(guard) = guard {
        return Err(ByHandObjection::Guard(guard));
    }
    let is_dead = |name: &NodeName| {
        let is_recorded = state.nodes.iter().any(|node| node.ganeti.name == *name && node.ganeti.offline);
        let is_recorded_now = |decision: &Decision| matches!(decision, Decision::Offline { .. });
        is_recorded || decided.decisions.iter().any(|entry| entry.node == *name && is_recorded_now(&entry.decision))
    };
    match off.filter(|name| !is_dead(name)) {
        Some(name) => Err(ByHandObjection::Online(name.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::pause::Pause;
    use crate::core::receipt::Timestamp;
    use crate::core::reconcile::Memory;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn state() -> ReconcileInput {
        ReconcileInput {
            now: Timestamp { wall_ms: 1, boottime_ms: 1 },
            stack_started_ms: 0,
            quorum: true,
            maintenance: false,
            here: name("n1.lab"),
            master: Some(name("n1.lab")),
            role: MasterRoleState::Unmanaged,
            pause: None,
            candidate_pool_size: 3,
            nodes: Vec::new(),
        }
    }

    #[test]
    fn each_guard_of_the_cluster_is_named_before_anything_is_done() {
        let none = Plan { decisions: Vec::new(), memory: Memory::default() };
        let of = |state: &ReconcileInput| check(state, &none, true, None).err();
        assert_eq!(of(&state()), None);
        assert_eq!(check(&state(), &none, false, None), Err(ByHandObjection::Guard(NotRecovered::Off)));
        let other = ReconcileInput { master: Some(name("n2.lab")), ..state() };
        assert_eq!(of(&other), Some(ByHandObjection::NotMaster));
        let inactive = ReconcileInput { role: MasterRoleState::Inactive, ..state() };
        assert_eq!(of(&inactive), Some(ByHandObjection::NotMaster));
        let alone = ReconcileInput { quorum: false, ..state() };
        assert_eq!(of(&alone), Some(ByHandObjection::Guard(NotRecovered::NoQuorum)));
        let maintained = ReconcileInput { maintenance: true, ..state() };
        assert_eq!(of(&maintained), Some(ByHandObjection::Guard(NotRecovered::Maintenance)));
        let pause = Pause::new("a fan", "root", 1).unwrap();
        let paused = ReconcileInput { pause: Some(pause.clone()), ..state() };
        assert_eq!(of(&paused), Some(ByHandObjection::Guard(NotRecovered::Paused(pause))));
        let n3 = name("n3.lab");
        assert_eq!(check(&state(), &none, true, Some(&n3)), Err(ByHandObjection::Online(n3.clone())));
    }
}
