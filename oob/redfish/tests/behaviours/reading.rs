//! What counts as a reading, and what does not. Only `Off` of the right system in a complete answer is off.

use redfish::{CallAnswer, CallOperation, FailureKind, HealthState, HttpResponse, PowerSeen, TransportFault};
use serde_json::{Value, json};

use crate::bmc::{
    Bmc, RESET, SYSTEM, SYSTEMS, answer, call, changed, error, list, power, printed, raw, system, system_at,
    with_header,
};

const CHASSIS: &str = "/redfish/v1/Chassis/1";

/// ironic takes `PoweringOff` for off, MAAS `PoweringOn`; the host has power in both.
#[test]
fn only_the_text_off_is_off() {
    for (state, power) in
        [("Off", PowerSeen::Off), ("On", PowerSeen::On), ("PoweringOff", PowerSeen::On), ("PoweringOn", PowerSeen::On)]
    {
        assert_eq!(Bmc::with(&[state]).read(), Ok(power), "{state}");
    }
    for state in ["Paused", "off", "OFF", "Off ", "", "StandbyOffline", "Disabled"] {
        Bmc::with(&[state]).is_unknown("its PowerState is");
    }
}

/// HPE Gen11 reports `Reset`, `Unknown` or null (MAAS, `redfish.py`).
#[test]
fn a_state_in_transition_is_unknown() {
    for state in ["Reset", "Unknown"] {
        Bmc::with(&[state]).is_unknown(state);
    }
    Bmc::new()
        .get(SYSTEMS, [list(&[SYSTEM])])
        .get(SYSTEM, [changed("Off", "PowerState", Value::Null)])
        .is_unknown("null");
}

/// Bmcweb leaves `PowerState` out while its state service is down.
#[test]
fn a_missing_state_is_unknown() {
    let mut document = system_at(SYSTEM, "Off");
    document.as_object_mut().unwrap().remove("PowerState");
    Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [answer(200, &document)]).is_unknown("missing");
}

/// Values have other types than the schema says (gofish, `resource.go`).
#[test]
fn a_state_of_another_type_is_unknown() {
    for value in [json!(0), json!(false), json!(["Off"]), json!({"Off": "Off"})] {
        Bmc::new()
            .get(SYSTEMS, [list(&[SYSTEM])])
            .get(SYSTEM, [changed("x", "PowerState", value)])
            .is_unknown("not a text");
    }
    // The types of keys that decide nothing do not count.
    let odd = changed("On", "Status", json!("0000-00-00"));
    assert_eq!(Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [odd]).read(), Ok(PowerSeen::On));
}

/// 200 with an empty body after a power change (device-management-toolkit/console#1051).
#[test]
fn an_empty_or_foreign_body_is_unknown() {
    for (body, words) in [
        ("", "empty"),
        ("  \n", "empty"),
        ("<html>Off</html>", "not a JSON object"),
        ("[\"/redfish/v1/Systems/1\",\"Off\"]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{\"PowerState\":\"Off\"} x", "not valid JSON"),
        ("{\"error\":{\"message\":\"Off\"}}", "no @odata.id"),
        ("{\"PowerState\":\"Off\"}", "no @odata.id"),
    ] {
        Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [raw(200, body)]).is_unknown(words);
    }
}

/// A body that was cut off anywhere, as when a connection without a length is closed, is never off.
#[test]
fn a_body_that_was_cut_off_is_unknown() {
    let whole = system_at(SYSTEM, "Off").to_string();
    for length in 0..whole.len() {
        let cut = raw(200, &whole[..length]);
        assert!(Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [cut]).read().is_err(), "{length}");
    }
    assert_eq!(Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [raw(200, &whole)]).read(), Ok(PowerSeen::Off));
}

/// With a key twice, the parser would keep one of both by chance.
#[test]
fn a_state_that_comes_twice_is_unknown() {
    for twice in ["\"PowerState\":\"Off\",\"PowerState\":\"On\"", "\"PowerState\":null,\"PowerState\":\"Off\""] {
        let body = format!("{{\"@odata.id\":\"{SYSTEM}\",{twice}}}");
        Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [raw(200, &body)]).is_unknown("twice");
    }
}

/// 200 only: a resource that is accepted, partial, cached or missing has no state.
#[test]
fn a_state_counts_only_with_status_200() {
    for status in [0, 201, 202, 203, 204, 206, 226, 300, 304, 400, 405, 409, 418, 500, 501, 599] {
        let mut off = system("Off");
        off.status = status;
        let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [off]);
        bmc.is_unknown(&format!("HTTP {status}"));
    }
}

/// IDRAC that is not ready answers 400 SWC0700 (quadsproject/badfish#129).
#[test]
fn a_bmc_that_is_not_ready_is_unknown() {
    let not_ready = error(400, "SWC0700", "iDRAC is not ready");
    Bmc::new().get(SYSTEMS, [not_ready]).is_unknown("HTTP 400 (SWC0700: iDRAC is not ready)");
}

/// 404 for a moment, by a race inside the BMC (sushy, `fix-dell-bmc-404`).
#[test]
fn a_404_is_never_off() {
    let missing = error(404, "ResourceMissingAtURI", "gone");
    Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [missing]).is_unknown("HTTP 404");
}

/// OpenBMC answers 503 with `Retry-After` while a service starts.
#[test]
fn a_busy_bmc_is_asked_again_within_the_time() {
    let busy = || with_header(error(503, "ServiceTemporarilyUnavailable", "wait"), "retry-after", "3");
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [busy(), busy(), system("Off")]);
    assert_eq!(bmc.read(), Ok(PowerSeen::Off));
    assert_eq!(bmc.slept.as_secs(), 6);
    let long = with_header(error(503, "ServiceTemporarilyUnavailable", "wait"), "retry-after", "3600");
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [long]);
    bmc.is_unknown("HTTP 503");
    assert!(bmc.slept.as_secs() <= 18);
}

/// Some iDRAC and HPE answer 406 to `Accept-Encoding: identity` (sushy, `connector.py`).
#[test]
fn a_406_is_followed_by_a_request_without_the_encoding() {
    let not_acceptable = error(406, "NotAcceptable", "no");
    let mut bmc = Bmc::new().get(SYSTEMS, [not_acceptable.clone(), list(&[SYSTEM])]).get(SYSTEM, [system("On")]);
    assert_eq!(bmc.read(), Ok(PowerSeen::On));
    assert_eq!(bmc.count(&format!("GET {SYSTEMS} basic any encoding")), 1);
    let mut never = Bmc::new().get(SYSTEMS, [not_acceptable]);
    never.is_unknown("HTTP 406");
    assert_eq!(never.log.len(), 2);
}

/// HPE resets connections that are used again (NVIDIA/libredfish, `network.rs`). A reading is repeated once.
#[test]
fn a_reading_on_a_broken_connection_is_repeated_once() {
    let get = format!("GET {SYSTEM}");
    let mut bmc = Bmc::with(&["On"]).fails(&get, TransportFault::Broken);
    assert_eq!(bmc.read(), Ok(PowerSeen::On));
    let mut twice = Bmc::with(&["On"]).fails(&get, TransportFault::Broken).fails(&get, TransportFault::Broken);
    twice.is_unknown("it failed: ***");
}

/// TCP answers, and HTTP never does; and the other ends of a connection.
#[test]
fn a_failed_exchange_says_what_it_shows() {
    for (fault, shows) in [
        (TransportFault::Hung, FailureKind::Later),
        (TransportFault::TooLarge, FailureKind::Later),
        (TransportFault::NoSign, FailureKind::NoSign),
        (TransportFault::Unreachable, FailureKind::Unheard),
        (TransportFault::Closed, FailureKind::Closed),
        (TransportFault::Tls, FailureKind::Never),
        (TransportFault::Local, FailureKind::Local),
    ] {
        let mut bmc = Bmc::with(&["Off"]).fails(&format!("GET {SYSTEMS}"), fault);
        bmc.fails_with(&call(CallOperation::Read), shows, "it failed");
    }
}

/// Redirects carry X-Auth-Token and, on 307, a login's password to the new host with curl -L and requests.
#[test]
fn a_redirect_leads_to_the_same_host_only_and_once() {
    let to = |location: &str| with_header(raw(307, ""), "location", location);
    let name = "/redfish/v1/Systems/n1";
    let mut call_name = call(CallOperation::Read);
    call_name.choice.uri = Some(name.to_owned());
    // The emulator of sushy-tools redirects a system's name to its UUID.
    let mut bmc = Bmc::new().get(name, [to(SYSTEM)]).get(SYSTEM, [system("On")]);
    assert!(bmc.run(&call_name).is_ok());
    for other in ["https://evil.lab/redfish/v1/Systems/1", "//evil.lab/x", "http://bmc.lab/redfish/v1/Systems/1", ""] {
        let mut bmc = Bmc::new().get(name, [to(other)]).get(SYSTEM, [system("Off")]);
        bmc.fails_with(&call_name, FailureKind::Never, "not followed");
        assert_eq!(bmc.log.len(), 1);
    }
    let mut circle = Bmc::new().get(name, [to(SYSTEM)]).get(SYSTEM, [to(name)]);
    circle.fails_with(&call_name, FailureKind::Never, "not followed");
}

fn chassis(more: &Value) -> HttpResponse {
    let mut document = json!({"@odata.id": CHASSIS, "ChassisType": "RackMount", "PowerState": "On"});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer(200, &document)
}

fn with_chassis(state: &str, answers: impl IntoIterator<Item = HttpResponse>) -> Bmc {
    let links = json!({"Chassis": [{"@odata.id": CHASSIS}]});
    Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [changed(state, "Links", links)]).get(CHASSIS, answers)
}

/// OpenBMC reports its host "Off" where it does not know, and the chassis is on (openbmc/openbmc#1933, #2211, #2224).
#[test]
fn a_chassis_that_is_on_contradicts_an_off() {
    with_chassis("Off", [chassis(&json!({}))]).is_unknown("/redfish/v1/Chassis/1 has \"On\"");
    assert_eq!(with_chassis("Off", [chassis(&json!({"PowerState": "Off"}))]).read(), Ok(PowerSeen::Off));
    // Only an off needs it: a chassis proves nothing of its own.
    let mut on = with_chassis("On", [chassis(&json!({"PowerState": "Off"}))]);
    assert_eq!(on.read(), Ok(PowerSeen::On));
    assert_eq!(on.count(&format!("GET {CHASSIS}")), 0);
    let mut without = call(CallOperation::Read);
    without.chassis = false;
    assert!(with_chassis("Off", [chassis(&json!({}))]).run(&without).is_ok());
}

/// The chassis of a blade may be the enclosure, which always has power (openbmc/bmcweb#12, #27).
#[test]
fn a_chassis_of_several_hosts_contradicts_nothing() {
    let hosts = json!({"ComputerSystems": [{"@odata.id": SYSTEM}, {"@odata.id": "/redfish/v1/Systems/2"}]});
    for shared in [json!({"ChassisType": "Enclosure"}), json!({"Links": hosts})] {
        let mut bmc = with_chassis("Off", [chassis(&shared)]);
        let result = bmc.run(&call(CallOperation::Read));
        assert_eq!(printed(result, "/power/known/chassis"), json!([]), "{shared}");
    }
}

/// OpenBMC shows the system "Off" where it knows nothing, and its chassis has no state in the same distress.
#[test]
fn a_chassis_that_does_not_know_contradicts_an_off() {
    for state in [json!(null), json!("Reset"), json!("Paused"), json!("PoweringOff"), json!(0), json!({"x": "Off"})] {
        with_chassis("Off", [chassis(&json!({"PowerState": state}))]).is_unknown("the off is not believed");
    }
    let without = answer(200, &json!({"@odata.id": CHASSIS, "ChassisType": "RackMount"}));
    with_chassis("Off", [without]).is_unknown("the off is not believed");
}

/// An off without the agreement of a chassis states that. The chassis is asked twice, unless it does not exist.
#[test]
fn an_off_without_its_chassis_has_a_caution() {
    let cautions = |mut bmc: Bmc, words: &str| {
        let result = bmc.run(&call(CallOperation::Read));
        let text = printed(result, "/power/cautions").to_string();
        assert!(text.contains(words), "{text}");
        bmc.count(&format!("GET {CHASSIS}"))
    };
    assert_eq!(cautions(with_chassis("Off", [error(500, "x", "x")]), "HTTP 500"), 2);
    assert_eq!(cautions(with_chassis("Off", [error(404, "x", "x")]), "HTTP 404"), 1);
    assert_eq!(cautions(with_chassis("Off", [error(403, "x", "x")]), "HTTP 403"), 1);
    // Another attempt could lock the account.
    assert_eq!(cautions(with_chassis("Off", [error(401, "x", "x")]), "HTTP 401"), 1);
    assert_eq!(cautions(with_chassis("Off", [raw(200, "")]), "is empty"), 2);
    let other = chassis(&json!({"@odata.id": "/redfish/v1/Chassis/2", "PowerState": "Off"}));
    assert_eq!(cautions(with_chassis("Off", [other]), "another document"), 1);
    let nameless = answer(200, &json!({"PowerState": "Off"}));
    assert_eq!(cautions(with_chassis("Off", [nameless]), "another document"), 1);
    for links in
        [json!({"Chassis": 7}), json!({"Chassis": [{}]}), json!({"Chassis": [{"@odata.id": "https://x/y"}]}), json!(7)]
    {
        let bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [changed("Off", "Links", links)]);
        cautions(bmc, "list of chassis cannot be read");
    }
    let many: Vec<Value> = (0..5).map(|_| json!({"@odata.id": CHASSIS})).collect();
    let bmc = Bmc::new()
        .get(SYSTEMS, [list(&[SYSTEM])])
        .get(SYSTEM, [changed("Off", "Links", json!({"Chassis": many}))])
        .get(CHASSIS, [chassis(&json!({"PowerState": "Off"}))]);
    cautions(bmc, "only 4 of its 5 chassis");
    // One attempt that fails is not the end.
    let mut again = with_chassis("Off", [error(500, "x", "x"), chassis(&json!({"PowerState": "Off"}))]);
    assert_eq!(printed(again.run(&call(CallOperation::Read)), "/power/cautions"), json!([]));
}

/// A chassis that has agreed with the first reading has to agree with the second: its silence is the BMC's distress.
#[test]
fn a_chassis_that_agreed_before_must_agree_again() {
    let off = || chassis(&json!({"PowerState": "Off"}));
    let first = with_chassis("Off", [off()]).run(&call(CallOperation::Read));
    let mut known = printed(first, "/power/known");
    known["chassis"] = json!([CHASSIS]);
    let mut later = call(CallOperation::Read);
    later.known = serde_json::from_value(known.clone()).ok();
    assert!(later.known.is_some(), "a later call gets {known}");
    assert_eq!(power(with_chassis("Off", [off()]).run(&later)), Ok(PowerSeen::Off));
    with_chassis("Off", [error(500, "x", "x")]).fails_with(&later, FailureKind::Later, "has agreed with an off before");
    let mut gone = Bmc::with(&["Off"]);
    gone.fails_with(&later, FailureKind::Later, "has agreed with an off before");
    // A command between both readings passes it on.
    later.operation = CallOperation::SwitchOff;
    let mut switched = Bmc::with(&["On"]).post(RESET, [raw(204, "")]);
    assert_eq!(printed(switched.run(&later), "/accepted/known"), known);
}

/// A BMC that has answered has power: its later silence proves nothing.
#[test]
fn silence_after_an_answer_is_no_sign_of_lost_power() {
    let mut bmc = Bmc::with(&["Off"]).fails(&format!("GET {SYSTEM}"), TransportFault::NoSign);
    bmc.is_unknown("it failed");
}

/// AMI answers for its chassis after more than 30 s (bb-Ricardo/check_redfish#74). The reading says that it is missing.
#[test]
fn a_chassis_that_does_not_answer_is_named() {
    let mut bmc = with_chassis("Off", [chassis(&json!({}))])
        .fails(&format!("GET {CHASSIS}"), TransportFault::Hung)
        .fails(&format!("GET {CHASSIS}"), TransportFault::Hung);
    match bmc.run(&call(CallOperation::Read)) {
        Ok(CallAnswer::Power { power: PowerSeen::Off, detail, cautions, .. }) => {
            assert_eq!(detail, format!("PowerState Off, {SYSTEM}"));
            assert_eq!(cautions, [format!("chassis {CHASSIS} did not answer: it failed: ***")]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn health_is_that_of_system_and_chassis() {
    let mut bmc = with_chassis("On", [chassis(&json!({"Status": {"HealthRollup": "Critical", "Health": "OK"}}))]);
    let Ok(CallAnswer::Health { items, .. }) = bmc.run(&call(CallOperation::Health)) else { panic!() };
    let found: Vec<_> = items.iter().map(|item| (item.name.as_str(), item.health)).collect();
    assert_eq!(found, [("system", HealthState::Ok), ("chassis 1", HealthState::Critical)]);
    let mut silent = with_chassis("On", [error(404, "x", "x")]);
    let Ok(CallAnswer::Health { items, .. }) = silent.run(&call(CallOperation::Health)) else { panic!() };
    assert_eq!(items[1].health, HealthState::Unknown);
}
