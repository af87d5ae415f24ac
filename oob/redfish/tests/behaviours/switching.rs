//! Power commands: never repeated without a reading, and never believed.

use redfish::{CallAnswer, CallOperation, FailureKind, PowerSeen, TransportFault};
use serde_json::json;

use crate::bmc::{
    Bmc, PASSWORD, RESET, SYSTEM, SYSTEMS, answer, call, changed, error, list, printed, raw, system, with_header,
};

fn off() -> redfish::Call {
    call(CallOperation::SwitchOff)
}

/// 200, 202 with a task and 204 mean accepted; the task is not asked, as the state is the proof.
#[test]
fn an_accepted_command_is_sent_once() {
    let task = with_header(answer(202, &json!({"TaskState": "New"})), "location", "/redfish/v1/TaskService/Tasks/1");
    for accepted in [raw(204, ""), raw(200, "{}"), task] {
        let mut bmc = Bmc::with(&["On"]).post(RESET, [accepted]);
        assert!(matches!(bmc.run(&off()), Ok(CallAnswer::Accepted { .. })));
        assert_eq!(bmc.log.last().unwrap(), &format!("POST {RESET} basic"));
        assert_eq!(bmc.bodies, ["{\"ResetType\":\"ForceOff\"}"]);
    }
    let mut bmc = Bmc::with(&["Off"]).post(RESET, [raw(204, "")]);
    assert!(bmc.run(&call(CallOperation::SwitchOn)).is_ok());
    assert_eq!(bmc.bodies, ["{\"ResetType\":\"On\"}"]);
}

/// IDRAC answers 409 to an off of a host that is off (openstack-k8s-operators/infra-operator#434).
#[test]
fn a_refusal_with_the_wanted_state_is_accepted() {
    let refused = error(409, "PSU501", "already powered OFF");
    let mut bmc = Bmc::with(&["Off"]).post(RESET, [refused]);
    let result = bmc.run(&off());
    assert_eq!(bmc.count("POST"), 1);
    // The refusal is reported: the state may be an old one, and no command was taken.
    assert_eq!(
        printed(result, "/accepted/refused"),
        json!("answered ResetType ForceOff with HTTP 409 (PSU501: already powered OFF)")
    );
}

/// ILO answers 400 `InvalidOperationForSystemState` to "already off", and also while it is busy after a power
/// change (apache/cloudstack#12921; sushy, `retry-ilo-not-ready`). The text decides nothing: the state does.
#[test]
fn a_refusal_with_another_state_is_repeated_after_a_reading() {
    let busy = || error(400, "InvalidOperationForSystemState", "Power is off");
    let mut bmc = Bmc::with(&["On"]).post(RESET, [busy(), busy(), raw(204, "")]);
    assert!(bmc.run(&off()).is_ok());
    let sent: Vec<&str> = bmc.log.iter().filter(|name| !name.contains("/Systems ")).map(|name| &name[..4]).collect();
    assert_eq!(sent, ["GET ", "POST", "GET ", "GET ", "POST", "GET ", "GET ", "POST"]);
    let mut never = Bmc::with(&["On"]).post(RESET, [busy()]);
    never.fails_with(&off(), FailureKind::Later, "HTTP 400 (InvalidOperationForSystemState: Power is off)");
    assert!(never.count("POST") <= 6, "{:?}", never.log);
}

/// IDRAC10 answers 409 to On for up to 60 s after an off (ironic, `conf/redfish.py`).
#[test]
fn on_is_repeated_while_it_conflicts() {
    let conflict = || error(409, "ActionParameterValueConflict", "conflict");
    let mut bmc = Bmc::with(&["Off"]).post(RESET, [conflict(), conflict(), raw(204, "")]);
    assert!(bmc.run(&call(CallOperation::SwitchOn)).is_ok());
}

/// Sushy's own retry sends a POST twice where its answer was lost.
#[test]
fn a_command_whose_answer_was_lost_is_not_repeated() {
    for fault in [TransportFault::Broken, TransportFault::Hung] {
        let mut bmc = Bmc::with(&["On"]).post(RESET, [raw(204, "")]).fails(&format!("POST {RESET}"), fault);
        bmc.fails_with(&off(), FailureKind::Later, "it failed");
        assert_eq!(bmc.count("POST"), 1);
    }
}

/// A BMC that is busy is asked for its state before the command is sent again.
#[test]
fn a_busy_bmc_gets_the_command_again_after_a_reading() {
    let busy = with_header(error(503, "ServiceTemporarilyUnavailable", "wait"), "retry-after", "4");
    let mut bmc = Bmc::with(&["On"]).post(RESET, [busy, raw(202, "")]);
    assert!(bmc.run(&off()).is_ok());
    assert_eq!(bmc.slept.as_secs(), 4);
}

/// V6, V35: `GracefulShutdown` is ignored by a system that hangs, and `PushPowerButton` may switch on
/// (apache/cloudstack#13376, ironcore-dev/metal-operator#129): neither takes the place of `ForceOff`.
#[test]
fn a_bmc_without_force_off_is_refused_with_its_list() {
    let action = |values: serde_json::Value| json!({"#ComputerSystem.Reset": {"target": RESET, "ResetType@Redfish.AllowableValues": values}});
    let with = |values| {
        let actions = changed("On", "Actions", action(values));
        Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [actions]).post(RESET, [raw(204, "")])
    };
    let mut bmc = with(json!(["On", "GracefulShutdown", "PushPowerButton"]));
    bmc.fails_with(&off(), FailureKind::Never, "does not allow ForceOff: only On, GracefulShutdown, PushPowerButton");
    assert_eq!(bmc.count("POST"), 0);
    let mut force_on = with(json!(["ForceOn", "ForceOff"]));
    assert!(force_on.run(&call(CallOperation::SwitchOn)).is_ok());
    assert_eq!(force_on.bodies, ["{\"ResetType\":\"ForceOn\"}"]);
    // No list, or an empty one: tried.
    assert!(with(json!(null)).run(&off()).is_ok());
    assert!(with(json!([])).run(&off()).is_ok());
}

/// OpenBMC has the values only in `ActionInfo`.
#[test]
fn allowed_values_are_read_from_the_action_info() {
    let path = "/redfish/v1/Systems/1/ResetActionInfo";
    let actions = json!({"#ComputerSystem.Reset": {"target": RESET, "@Redfish.ActionInfo": path}});
    let with = |values: &[&str]| {
        let info = json!({"Parameters": [{"Name": "Other"}, {"Name": "ResetType", "AllowableValues": values}]});
        Bmc::new()
            .get(SYSTEMS, [list(&[SYSTEM])])
            .get(SYSTEM, [changed("On", "Actions", actions.clone())])
            .get(path, [answer(200, &info)])
            .post(RESET, [raw(204, "")])
    };
    assert!(with(&["On", "ForceOff"]).run(&off()).is_ok());
    with(&["On"]).fails_with(&off(), FailureKind::Never, "does not allow ForceOff: only On");
}

/// A target outside of the system would switch another host, or send the command elsewhere.
#[test]
fn a_target_outside_of_the_system_gets_no_command() {
    for target in [
        "/redfish/v1/Systems/2/Actions/ComputerSystem.Reset",
        "/redfish/v1/Systems/11/Actions/ComputerSystem.Reset",
        "https://evil.lab/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
        "//evil.lab/x",
        "/redfish/v1/Systems/1/../2/Actions/ComputerSystem.Reset",
    ] {
        let actions = json!({"#ComputerSystem.Reset": {"target": target}});
        let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [changed("On", "Actions", actions)]);
        bmc.fails_with(&off(), FailureKind::Never, "leads to another system");
        assert_eq!(bmc.count("POST"), 0, "{target}");
    }
    let mut none = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [changed("On", "Actions", json!({}))]);
    none.fails_with(&off(), FailureKind::Never, "no action ComputerSystem.Reset");
}

/// A POST that is redirected becomes a GET (HewlettPackard/oneview-redfish-toolkit#373).
#[test]
fn a_redirected_command_is_not_followed() {
    let redirect = with_header(raw(308, ""), "location", &format!("{RESET}/"));
    let mut bmc = Bmc::with(&["On"]).post(RESET, [redirect]);
    bmc.fails_with(&off(), FailureKind::Never, "not followed");
    assert_eq!(bmc.count("POST"), 1);
}

/// A BMC that refuses for ever, as where the off is wired to nothing (sonic-net/sonic-mgmt#27237): its text is shown.
#[test]
fn a_refusal_is_shown() {
    let refused = error(500, "InternalError", "cannot write Chassis.RequestedPowerTransition");
    Bmc::with(&["On"]).post(RESET, [refused]).fails_with(&off(), FailureKind::Later, "InternalError: cannot write");
}

/// A user who may only read.
#[test]
fn a_missing_privilege_is_final() {
    let forbidden = error(403, "InsufficientPrivilege", "no");
    let mut bmc = Bmc::with(&["On"]).post(RESET, [forbidden]);
    bmc.fails_with(&off(), FailureKind::Never, "give the user the role Operator");
    assert_eq!(bmc.count("POST"), 1);
}

/// The host changes while the BMC refuses: the reading between ends the command.
#[test]
fn a_state_that_arrives_late_ends_the_command() {
    let busy = error(400, "x", "x");
    let mut bmc = Bmc::new()
        .get(SYSTEMS, [list(&[SYSTEM])])
        .get(SYSTEM, [system("On"), system("PoweringOff"), system("Off")])
        .post(RESET, [busy]);
    assert!(bmc.run(&off()).is_ok());
    assert_eq!(bmc.count("POST"), 1);
    // Between both states is not off: no command counts as done for it.
    assert_eq!(Bmc::with(&["PoweringOff"]).read(), Ok(PowerSeen::On));
}

/// The state is an old "Off", or the host's power-on is under way, and the BMC did not even take the command.
/// "Off" after that is not the command's.
#[test]
fn a_command_that_was_not_taken_is_sent_again_whatever_the_state_is() {
    for status in [404, 405, 410, 429, 502, 503, 504] {
        let refused = || error(status, "x", "x");
        let mut bmc = Bmc::with(&["Off"]).post(RESET, [refused(), refused(), raw(204, "")]);
        let result = bmc.run(&off());
        assert_eq!(printed(result, "/accepted/refused"), json!(null), "{status}");
        assert_eq!(bmc.count("POST"), 3, "{status}");
        let mut never = Bmc::with(&["Off"]).post(RESET, [refused()]);
        never.fails_with(&off(), FailureKind::Later, &format!("answered ResetType ForceOff with HTTP {status}"));
        assert!(never.count("POST") > 1, "{status}");
    }
}

/// A refusal is reported in any case, also where the state changes after it.
#[test]
fn a_refused_command_is_never_reported_as_taken() {
    for status in [400, 409, 500, 501] {
        for states in [&["Off"][..], &["On", "Off"], &["On", "On", "Off"]] {
            let mut bmc = Bmc::with(states).post(RESET, [error(status, "x", "x")]);
            let refused = printed(bmc.run(&off()), "/accepted/refused");
            assert!(refused.as_str().is_some_and(|why| why.contains(&status.to_string())), "{status}: {refused}");
        }
    }
}

/// The list of allowed values is the BMC's text as any other.
#[test]
fn the_allowed_values_are_quoted() {
    let values = json!(["\u{1b}[31m", PASSWORD, "x".repeat(1_000_000)]);
    let actions = json!({"#ComputerSystem.Reset": {"target": RESET, "ResetType@Redfish.AllowableValues": values}});
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [changed("On", "Actions", actions)]);
    let failure = bmc.run(&off()).unwrap_err();
    assert!(
        failure.why.len() < 300 && failure.why.contains("***") && !failure.why.contains('\u{1b}'),
        "{}",
        failure.why
    );
}
