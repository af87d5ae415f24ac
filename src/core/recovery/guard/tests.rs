use super::*;

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn locked(path: &str, status: &str, primary: &str) -> LockedInstance {
    let variables = [
        ("GANETI_HOOKS_PATH", path),
        ("GANETI_INSTANCE_NAME", "web"),
        ("GANETI_INSTANCE_STATUS", status),
        ("GANETI_INSTANCE_PRIMARY", primary),
    ];
    let variable = |wanted: &str| variables.iter().find(|(key, _)| *key == wanted).map(|(_, value)| (*value).into());
    LockedInstance::read(variable).unwrap()
}

/// The running jobs, one of which moves web off n3 and starts it.
fn running(source: &str) -> Value {
    let reason =
        json!([[source, "recover web", 5], [source, "only-off:n3.lab", 5], [source, "only-record:7:offline:u3", 5]]);
    let ops = json!([{"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web", "pnode": "n4.lab", "reason": reason},
                     {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web", "reason": reason},
                     {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web", "reason": reason}]);
    json!({"data": [[[0, 3], [0, [{"OP_ID": "OP_CLUSTER_VERIFY"}]]], [[0, 7], [0, ops]], [[0, 8], [3, null]]]})
}

fn checked(locked: &LockedInstance, offline: &[&str]) -> Result<(), GuardError> {
    let version = || Some(RecordVersion { uuid: "u3".to_owned(), serial: 7 });
    let offline = offline.iter().map(|text| (name(text), version())).collect();
    locked.check(&running(REASON_SOURCE), &offline, None).unwrap()
}

#[test]
fn a_start_goes_on_only_if_nothing_has_changed_since_its_plan() {
    let set = |status: &str, primary: &str| locked("instance-modify", status, primary);
    assert_eq!(checked(&set("up", "n3.lab"), &["n3.lab"]), Ok(()));
    assert!(matches!(checked(&set("down", "n3.lab"), &["n3.lab"]), Err(GuardError::Stopped(_))));
    assert!(matches!(checked(&set("up", "n4.lab"), &["n3.lab"]), Err(GuardError::Moved { .. })), "a duplicate");
    assert!(matches!(checked(&set("up", "n3.lab"), &[]), Err(GuardError::Online { .. })), "readmitted");
    let failover = locked("instance-failover", "up", "n3.lab");
    assert_eq!(checked(&failover, &["n3.lab"]), Ok(()));
    assert!(matches!(checked(&failover, &[]), Err(GuardError::Online { .. })), "it runs on a host that was readmitted");
    let start = |status: &str| locked("instance-start", status, "n4.lab");
    assert_eq!(checked(&start("up"), &["n3.lab"]), Ok(()));
    let stopped = checked(&start("down"), &["n3.lab"]).unwrap_err();
    assert!(stopped.to_string().ends_with(STOPPED_BY_HOOK), "{stopped}");
    assert!(matches!(checked(&start("?"), &["n3.lab"]), Err(GuardError::Stopped(_))), "unknown");
}

/// A start that failed on n4 is to be tried on n5. n4 is online.
#[test]
fn a_start_that_is_moved_again_leaves_the_node_on_which_it_failed() {
    let reason = json!([[REASON_SOURCE, "recover", 1], [REASON_SOURCE, "only-from:n4.lab", 1]]);
    let op = json!({"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web", "reason": reason});
    let answer = json!({"data": [[[0, 8], [0, [op]]]]});
    let of =
        |primary: &str| locked("instance-failover", "up", primary).check(&answer, &OfflineNodes::new(), None).unwrap();
    assert_eq!(of("n4.lab"), Ok(()));
    let off = name("n4.lab");
    assert_eq!(of("n6.lab"), Err(GuardError::Moved { instance: InstanceName::new("web").unwrap(), off }));
}

/// A start without a limit, or with one that cannot be read, was let through unchecked.
#[test]
fn a_start_without_a_readable_limit_is_left_to_the_queue() {
    for entry in ["recover web", "only-record:7:broken:u3", "only-record:x:offline:u3"] {
        let reason = json!([[REASON_SOURCE, "only-off:n3.lab", 5], [REASON_SOURCE, entry, 5]]);
        let op = json!({"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web", "reason": reason});
        let answer = json!({"data": [[[0, 7], [0, [op]]]]});
        let offline = OfflineNodes::from([(name("n3.lab"), Some(RecordVersion { uuid: "u3".to_owned(), serial: 7 }))]);
        let checked = locked("instance-failover", "up", "n3.lab").check(&answer, &offline, None).unwrap();
        assert!(matches!(checked, Err(GuardError::OnlineSince { .. })), "{entry}");
    }
}

/// While the start waits for its locks, the host is readmitted, starts web, and is set offline by hand.
#[test]
fn a_start_is_refused_if_its_host_may_have_been_online() {
    let version = |serial| Some(RecordVersion { uuid: "u3".to_owned(), serial });
    let limits = ["only-record:7:offline:u3", "only-record:6:online:u3"];
    for (limit, last) in limits.iter().zip([8, 8]) {
        let reason = json!([[REASON_SOURCE, "only-off:n3.lab", 5], [REASON_SOURCE, limit, 5]]);
        let op =
            json!({"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web", "pnode": "n4.lab", "reason": reason});
        let answer = json!({"data": [[[0, 7], [0, [op]]]]});
        let with = |version| {
            let offline = OfflineNodes::from([(name("n3.lab"), version)]);
            locked("instance-modify", "up", "n3.lab").check(&answer, &offline, None).unwrap()
        };
        assert_eq!((with(version(last - 1)), with(version(last))), (Ok(()), Ok(())), "{limit}");
        for after in [version(last + 1), version(6 - 1), None] {
            assert!(matches!(with(after), Err(GuardError::OnlineSince { .. })), "{limit}");
        }
        let anew = Some(RecordVersion { uuid: "u9".to_owned(), serial: last });
        assert!(matches!(with(anew), Err(GuardError::OnlineSince { .. })), "removed and added anew");
    }
}

/// For the jobs of others nothing more is read.
#[test]
fn the_operation_of_another_is_known_by_the_queue_alone() {
    let locked = locked("instance-modify", "up", "n3.lab");
    assert_eq!(locked.may_be_own(&running(REASON_SOURCE)), Ok(true));
    assert_eq!(locked.may_be_own(&running("gnt:client")), Ok(false));
    assert_eq!(locked.may_be_own(&json!({"data": [[]]})), Err(BadRunningJobs));
}

/// What an administrator does while starts wait for their locks: he removes the tag, pauses, or has a maintenance.
#[test]
fn no_own_start_goes_on_while_gnt_ha_may_start_nothing() {
    let offline = OfflineNodes::from([(name("n3.lab"), None)]);
    for why in [StartBlock::Off, StartBlock::Paused, StartBlock::Maintenance, StartBlock::Unknown] {
        for path in ["instance-modify", "instance-start", "instance-failover"] {
            let locked = locked(path, "up", "n3.lab");
            let refused = locked.check(&running(REASON_SOURCE), &offline, Some(why)).unwrap().unwrap_err();
            assert_eq!(refused, GuardError::Blocked { instance: locked.name.clone(), why });
            assert_eq!(refused.to_string(), format!("gnt-ha does not start web: {why} {STOPPED_BY_HOOK}"));
            assert_eq!(locked.check(&running("gnt:client"), &offline, Some(why)), Ok(Ok(())), "of others");
        }
    }
}

/// Starts may wait although the tag is gone, and a new master has not seen yet what waits in its queue. Otherwise
/// no operation waits for luxid.
#[test]
fn luxid_is_asked_only_if_a_start_may_be_under_way() {
    let modify = locked("instance-modify", "up", "n4.lab");
    let known = |is_on, has_starts, queue_is_known| StartsKnown { is_on, has_starts, queue_is_known };
    assert!(modify.is_to_check(known(false, true, true)), "the tag was removed");
    assert!(modify.is_to_check(known(true, false, false)), "a new master");
    assert!(!modify.is_to_check(known(true, false, true)));
    assert!(!modify.is_to_check(known(false, false, false)));
    let start = locked("instance-start", "up", "n4.lab");
    assert!(start.is_to_check(known(true, true, true)) && !start.is_to_check(known(true, false, false)));
}

/// An administrator starts a stopped instance, or changes one: gnt-ha does not stop that.
#[test]
fn what_others_do_is_not_checked() {
    for (path, status) in [("instance-start", "down"), ("instance-modify", "down")] {
        let locked = locked(path, status, "n4.lab");
        assert_eq!(locked.check(&running("gnt:client"), &OfflineNodes::new(), None), Ok(Ok(())));
        let other = LockedInstance { name: InstanceName::new("db").unwrap(), ..locked };
        assert_eq!(other.check(&running(REASON_SOURCE), &OfflineNodes::new(), None), Ok(Ok(())));
    }
    assert!(LockedInstance::read(|_| Some("instance-reboot".to_owned())).is_none());
}

#[test]
fn an_answer_of_another_shape_is_an_error() {
    let locked = locked("instance-start", "down", "n4.lab");
    assert_eq!(locked.check(&json!([]), &OfflineNodes::new(), None), Err(BadRunningJobs));
    assert_eq!(locked.check(&json!({"data": [[]]}), &OfflineNodes::new(), None), Err(BadRunningJobs));
}
