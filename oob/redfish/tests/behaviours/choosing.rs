//! The one system: by its path, serial number or UUID, or as the only one.

use redfish::{CallOperation, FailureKind, PowerSeen, TransportFault};
use serde_json::json;

use crate::bmc::{
    Bmc, RESET, SYSTEM, SYSTEMS, answer, call, changed, error, known, known_as, list, power, printed, raw, system,
    system_at, with_header,
};

const OTHER: &str = "/redfish/v1/Systems/hypervisor";

fn two() -> Bmc {
    let mut other = system_at(OTHER, "Off");
    other["UUID"] = json!("11111111-9e44-4fa7-8e91-f3527a1ef094");
    other["SerialNumber"] = json!("S2");
    Bmc::new().get(SYSTEMS, [list(&[SYSTEM, OTHER])]).get(SYSTEM, [system("On")]).get(OTHER, [answer(200, &other)])
}

/// Bmcweb lists `hypervisor` behind `system`, GPU boards come first: `fence_redfish` takes the last one, others the
/// first (dsx-ai-factory/libredfish#124).
#[test]
fn several_systems_need_a_choice() {
    two().fails_with(&call(CallOperation::Read), FailureKind::Never, &format!("{SYSTEM}, {OTHER}; name one"));
    two().fails_with(&call(CallOperation::SwitchOff), FailureKind::Never, "name one");
}

/// A BMC that does not report the power is still known by its identity, before the first command.
#[test]
fn the_identity_needs_no_power_state() {
    let mut silent = system_at(SYSTEM, "On");
    silent["PowerState"] = json!(null);
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [answer(200, &silent)]);
    let Ok(answered) = bmc.run(&call(CallOperation::Identify)) else { panic!() };
    assert_eq!(answered.known().serial_number.as_deref(), Some("S1"));
}

#[test]
fn a_system_is_found_by_path_serial_number_or_uuid() {
    let mut by_path = call(CallOperation::Read);
    by_path.choice.uri = Some(SYSTEM.to_owned());
    let mut bmc = two();
    assert_eq!(power(bmc.run(&by_path)), Ok(PowerSeen::On));
    assert_eq!(bmc.log.len(), 1);
    let mut by_serial = call(CallOperation::Read);
    by_serial.choice.serial_number = Some(" S1 ".to_owned());
    assert_eq!(power(two().run(&by_serial)), Ok(PowerSeen::On));
    let mut by_uuid = call(CallOperation::Read);
    by_uuid.choice.uuid = Some("27946B599E444FA78E91F3527A1EF094".to_owned());
    assert_eq!(power(two().run(&by_uuid)), Ok(PowerSeen::On));
    by_uuid.choice.uuid = Some("00006B599E444FA78E91F3527A1EF094".to_owned());
    two().fails_with(&by_uuid, FailureKind::Never, "no system has the configured");
    // The path of one and the UUID of the other.
    by_path.choice.uuid = Some("11111111-9e44-4fa7-8e91-f3527a1ef094".to_owned());
    two().fails_with(&by_path, FailureKind::Never, "has not the configured");
}

/// All boards of a maker may have one serial number.
#[test]
fn an_identity_that_two_systems_have_is_refused() {
    let both = |path: &str| answer(200, &system_at(path, "Off"));
    let mut bmc =
        Bmc::new().get(SYSTEMS, [list(&[SYSTEM, OTHER])]).get(SYSTEM, [both(SYSTEM)]).get(OTHER, [both(OTHER)]);
    let mut by_serial = call(CallOperation::Read);
    by_serial.choice.serial_number = Some("S1".to_owned());
    bmc.fails_with(&by_serial, FailureKind::Never, "several systems have the configured identity");
}

/// An answer with the content of another system's path would prove the wrong host off.
#[test]
fn the_document_of_another_system_is_unknown() {
    let other = answer(200, &system_at("/redfish/v1/Systems/11", "Off"));
    Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [other]).is_unknown("in place of");
}

/// Between two calls of one power change the BMC became another host's, or its address was taken.
#[test]
fn a_system_with_another_identity_than_before_is_refused() {
    let mut later = call(CallOperation::Read);
    later.known = Some(known());
    let mut bmc = Bmc::with(&["Off"]);
    assert_eq!(power(bmc.run(&later)), Ok(PowerSeen::Off));
    assert_eq!(bmc.log, [format!("GET {SYSTEM} basic")]);
    for (key, value) in [("UUID", json!("x")), ("SerialNumber", json!("S2"))] {
        let mut document = system_at(SYSTEM, "Off");
        document[key] = value;
        for operation in [CallOperation::Read, CallOperation::SwitchOff] {
            let mut later = call(operation);
            later.known = Some(known());
            let mut bmc = Bmc::new().get(SYSTEM, [answer(200, &document)]).post(RESET, [raw(204, "")]);
            bmc.fails_with(&later, FailureKind::Never, "than before");
            assert_eq!(bmc.count("POST"), 0);
        }
    }
    // A BMC without any identity works, also one that loses it with the power.
    let mut bare = system_at(SYSTEM, "Off");
    bare.as_object_mut().unwrap().remove("SerialNumber");
    for uuid in [json!(""), json!(null), json!("00000000-0000-0000-0000-000000000000")] {
        bare["UUID"] = uuid;
        for known in [known(), known_as(json!({"uri": SYSTEM, "uuid": null, "serial_number": null}))] {
            later.known = Some(known);
            assert_eq!(power(Bmc::new().get(SYSTEM, [answer(200, &bare)]).run(&later)), Ok(PowerSeen::Off));
        }
    }
}

/// V16: `Members` is null, or empty in a 200, while the BMC's inner bus fails; the root lacks `Systems` until the BMC is
/// reset (Cray-HPE/docs-csm#832).
#[test]
fn an_empty_or_partial_list_is_unknown() {
    for (list, words) in [
        (json!({"Members": null}), "missing or not a list"),
        (json!({"Members": []}), "lists no system"),
        (json!({"Members": [{}]}), "missing or not a list"),
        (json!({"Members": [{"@odata.id": "https://evil.lab/x"}]}), "not one of its own"),
        (json!({"Members": [{"@odata.id": SYSTEM}], "Members@odata.count": 2}), "only a part"),
        (json!({"Members": [{"@odata.id": SYSTEM}], "Members@odata.count": "2"}), "only a part"),
        (json!({"Members": [{"@odata.id": SYSTEM}], "Members@odata.nextLink": "/x"}), "only a part"),
    ] {
        Bmc::new().get(SYSTEMS, [answer(200, &list)]).get(SYSTEM, [system("Off")]).is_unknown(words);
    }
    Bmc::new().get("/redfish/v1/", [answer(200, &json!({"RedfishVersion": "1.6.0"}))]).is_unknown("reset the BMC");
}

/// Redfish is switched off: 404 for all (dell/iDRAC-Redfish-Scripting#15).
#[test]
fn a_bmc_without_redfish_is_named() {
    Bmc::new().fails_with(&call(CallOperation::Read), FailureKind::Never, "no Redfish service");
}

/// The list is at another path on some older services: the root names it.
#[test]
fn the_root_names_the_list_where_the_usual_path_is_missing() {
    let root = json!({"Systems": {"@odata.id": "/redfish/v1/Hosts"}});
    let mut bmc = Bmc::new()
        .get("/redfish/v1/", [answer(200, &root)])
        .get("/redfish/v1/Hosts", [list(&[SYSTEM])])
        .get(SYSTEM, [system("On")]);
    assert_eq!(bmc.read(), Ok(PowerSeen::On));
}

/// Makers differ in the slash at the end (MAAS).
#[test]
fn a_configured_path_is_tried_with_and_without_a_slash() {
    for (configured, real) in [(SYSTEM.to_owned(), format!("{SYSTEM}/")), (format!("{SYSTEM}/"), SYSTEM.to_owned())] {
        let mut by_path = call(CallOperation::Read);
        by_path.choice.uri = Some(configured);
        let mut bmc = Bmc::new().get(&real, [system("Off")]);
        assert_eq!(power(bmc.run(&by_path)), Ok(PowerSeen::Off));
    }
}

/// A mistyped path fails at once, with the right one. A system that is listed and missing is asked again.
#[test]
fn a_wrong_path_fails_with_those_that_exist() {
    let mut wrong = call(CallOperation::Read);
    wrong.choice.uri = Some("/redfish/v1/Systems/2".to_owned());
    Bmc::with(&["Off"]).fails_with(&wrong, FailureKind::Never, &format!("it has {SYSTEM}"));
    let missing = error(404, "ResourceMissingAtURI", "gone");
    wrong.choice.uri = Some(SYSTEM.to_owned());
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [missing]);
    bmc.fails_with(&wrong, FailureKind::Later, "HTTP 404");
}

/// A path that the BMC has named itself leads to the system beside it: its "Off" would prove the wrong host off.
#[test]
fn a_path_that_the_bmc_named_is_not_exchanged_for_another() {
    let redirect = || with_header(raw(307, ""), "location", OTHER);
    let other = || answer(200, &system_at(OTHER, "Off"));
    let bmc = || Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [redirect()]).get(OTHER, [other()]);
    bmc().is_unknown("redirects GET /redfish/v1/Systems/1 to");
    let mut later = call(CallOperation::Read);
    later.known = Some(known());
    bmc().fails_with(&later, FailureKind::Later, "redirects GET");
    let mut by_uuid = call(CallOperation::SwitchOff);
    by_uuid.choice.uuid = known().uuid;
    bmc().fails_with(&by_uuid, FailureKind::Later, "redirects GET");
    // The slash at the end is no other path.
    let slash = format!("{SYSTEM}/");
    let mut bmc = Bmc::new()
        .get(SYSTEMS, [list(&[SYSTEM])])
        .get(SYSTEM, [with_header(raw(308, ""), "location", &slash)])
        .get(&slash, [system("Off")]);
    assert_eq!(bmc.read(), Ok(PowerSeen::Off));
}

/// Makers set one serial number on many boards: one system that has it is the right one only if all were read.
#[test]
fn a_serial_number_among_unread_systems_is_not_unique() {
    let mut by_serial = call(CallOperation::Read);
    by_serial.choice.serial_number = Some("S1".to_owned());
    let unread = || two().fails(&format!("GET {OTHER}"), TransportFault::Hung);
    unread().fails_with(&by_serial, FailureKind::Later, "could have the configured serial number, too");
    let mut by_uuid = call(CallOperation::Read);
    by_uuid.choice.uuid = known().uuid;
    assert_eq!(power(unread().run(&by_uuid)), Ok(PowerSeen::On));
    let many: Vec<String> = (0..65).map(|number| format!("/redfish/v1/Systems/m{number}")).collect();
    let paths: Vec<&str> = [SYSTEM].into_iter().chain(many.iter().map(String::as_str)).collect();
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&paths)]).get(SYSTEM, [system("Off")]);
    for path in &many {
        let mut other = system_at(path, "On");
        other["SerialNumber"] = json!("S2");
        bmc = bmc.get(path, [answer(200, &other)]);
    }
    bmc.fails_with(&by_serial, FailureKind::Never, "more than 64 systems");
}

/// Some BMCs write a UUID in another case while the host is off, and blanks around a serial number.
#[test]
fn an_identity_that_is_written_otherwise_is_the_same() {
    let mut later = call(CallOperation::Read);
    later.known = Some(known());
    let mut document = system_at(SYSTEM, "Off");
    document["UUID"] = json!("27946B599E444FA78E91F3527A1EF094");
    document["SerialNumber"] = json!(" S1  ");
    assert_eq!(power(Bmc::new().get(SYSTEM, [answer(200, &document)]).run(&later)), Ok(PowerSeen::Off));
    document["SerialNumber"] = json!("S2\u{1b}[31m");
    let mut bmc = Bmc::new().get(SYSTEM, [answer(200, &document)]);
    bmc.fails_with(&later, FailureKind::Never, "another serial number than before: \"S2\\u{1b}[31m\", not \"S1\"");
}

/// bmcweb lists `hypervisor` beside its host, network cards with a computer of their own list that: neither is the host.
#[test]
fn a_system_that_is_not_a_host_is_refused() {
    for kind in ["OS", "DPU"] {
        let bmc =
            || Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [changed("Off", "SystemType", json!(kind))]);
        bmc().fails_with(&call(CallOperation::Read), FailureKind::Never, "is not a host: its SystemType is");
        bmc().fails_with(&call(CallOperation::SwitchOff), FailureKind::Never, "is not a host");
        let mut by_path = call(CallOperation::Read);
        by_path.choice.uri = Some(SYSTEM.to_owned());
        bmc().fails_with(&by_path, FailureKind::Never, "is not a host");
        by_path.known = Some(known());
        bmc().fails_with(&by_path, FailureKind::Never, "is not a host");
        let mut by_uuid = call(CallOperation::Read);
        by_uuid.choice.uuid = known().uuid;
        bmc().fails_with(&by_uuid, FailureKind::Never, "no system has the configured");
    }
    let host = changed("Off", "SystemType", json!("Physical"));
    assert_eq!(Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [host]).read(), Ok(PowerSeen::Off));
}

/// An identity without end would make the outcome too long for its reader.
#[test]
fn an_identity_without_end_does_not_count() {
    let long = changed("Off", "SerialNumber", json!("S".repeat(500_000)));
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [long]);
    let result = bmc.run(&call(CallOperation::Read));
    assert_eq!(printed(result, "/power/known/serial_number"), json!(null));
}
