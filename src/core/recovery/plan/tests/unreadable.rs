//! Tests instances that cannot be read in Ganeti's configuration: they are named and never started, and the others are.

use super::*;
use crate::core::recovery::unreadable::{BadInstance, UnreadableInstance};

fn bad(primary: Option<&str>, admin_state: Option<AdminState>) -> UnreadableInstance {
    let primary = primary.map(|name| NodeName::new(name).unwrap());
    UnreadableInstance { name: vm("bad"), primary, admin_state, why: BadInstance::AdminState }
}

fn with(bad: UnreadableInstance) -> RecoveryInput {
    RecoveryInput { unreadable: vec![bad], ..one() }
}

#[test]
fn one_that_cannot_be_read_blocks_no_other() {
    let down = (vm("bad"), NotRecovered::Unreadable(BadInstance::AdminState));
    for primary in [Some("n3"), None, Some("n9")] {
        let plan = decided(&with(bad(primary, None)));
        assert_eq!(plan.starts.iter().map(|start| &start.instance).collect::<Vec<_>>(), [&vm("web")]);
        assert_eq!(plan.not_recovered, std::slice::from_ref(&down), "{primary:?}");
    }
    for (primary, admin_state) in [(Some("n4"), None), (Some("n3"), Some(AdminState::Down))] {
        assert_eq!(decided(&with(bad(primary, admin_state))).not_recovered, [], "{primary:?} {admin_state:?}");
    }
    let off = RecoveryInput { is_on: false, ..with(bad(Some("n3"), None)) };
    assert_eq!(decided(&off).not_recovered, []);
}

/// It was started before it became unreadable.
#[test]
fn one_that_runs_is_not_called_down() {
    let runs = |primary| {
        let mut state = with(bad(primary, None));
        state.nodes[3].running = RunningReport::from(BTreeSet::from([vm("bad")]));
        decided(&state).not_recovered
    };
    assert_eq!(runs(None), []);
    assert_eq!(runs(Some("n3")), [(vm("bad"), NotRecovered::Runs(NodeName::new("n4").unwrap()))]);
}

#[test]
fn a_start_of_one_that_cannot_be_read_any_more_is_cancelled() {
    let start = |status| {
        let mut state = with(bad(Some("n3"), None));
        state.jobs = vec![job(7, JobKind::OwnStart, status, "bad", Some("n4"))];
        decided(&state).cancel
    };
    let why = CancelReason::NotRecovered(NotRecovered::Unreadable(BadInstance::AdminState));
    assert_eq!(start(JobStatus::NotBegun), [Cancel { job: 7, instance: vm("bad"), why }]);
    assert_eq!(start(JobStatus::Running), []);
}

/// A job names the beginning of a name. It may mean the one that cannot be read, so it counts for neither.
#[test]
fn a_short_name_that_may_mean_it_is_not_completed() {
    let named = |unreadable: &str| {
        let mut state = input(vec![instance("web.a", "rbd")]);
        state.unreadable = vec![UnreadableInstance { name: vm(unreadable), ..bad(Some("n4"), None) }];
        state.jobs = vec![job(7, JobKind::Other, JobStatus::Running, "web", None)];
        decided(&state).starts.len()
    };
    assert_eq!((named("db.a"), named("web.b")), (0, 1));
}
