//! Logins: one attempt, no session left behind, no secret in a text.

use std::time::Duration;

use redfish::{Call, CallOperation, FailureKind, HttpResponse, HttpSecret, Login, PowerSeen, TransportFault};
use serde_json::json;

use crate::bmc::{
    Bmc, PASSWORD, SYSTEM, SYSTEMS, TOKEN, answer, call, changed, error, list, power, raw, system, with_header,
};

const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

const OWN: &str = "/redfish/v1/SessionService/Sessions/3";

fn by_session() -> Call {
    Call { login: Login::Session, ..call(CallOperation::Read) }
}

fn opened(location: &str) -> HttpResponse {
    with_header(with_header(raw(201, "{}"), "x-auth-token", TOKEN), "location", location)
}

fn bmc(login: HttpResponse) -> Bmc {
    Bmc::with(&["Off"]).post(SESSIONS, [login]).on(&format!("DELETE {OWN}"), [raw(204, "")])
}

/// IDRAC blocks an address after some refused logins: one attempt, and no other user or password.
#[test]
fn a_refused_login_is_not_repeated() {
    let refused = || error(401, "NoValidSession", &format!("{PASSWORD} is wrong"));
    let mut basic = Bmc::new().get(SYSTEMS, [refused()]);
    basic.fails_with(&call(CallOperation::Read), FailureKind::Login, "user \"fencing\"");
    assert_eq!(basic.log.len(), 1);
    let mut session = Bmc::new().post(SESSIONS, [refused()]);
    session.fails_with(&by_session(), FailureKind::Login, "check username and password_file");
    assert_eq!(session.count("POST"), 1);
}

#[test]
fn a_session_is_deleted_at_the_end() {
    let mut bmc = bmc(opened(OWN));
    assert_eq!(power(bmc.run(&by_session())), Ok(PowerSeen::Off));
    // The root and the login carry no credentials in a header.
    assert_eq!(bmc.log[0], "GET /redfish/v1/");
    assert_eq!(bmc.log[1], format!("POST {SESSIONS}"));
    assert_eq!(bmc.log.last().unwrap(), &format!("DELETE {OWN} token"));
    assert_eq!(bmc.bodies, [format!("{{\"Password\":\"{PASSWORD}\",\"UserName\":\"fencing\"}}")]);
    let mut failing = self::bmc(opened(OWN)).get(SYSTEMS, [error(500, "x", TOKEN)]);
    failing.fails_with(&by_session(), FailureKind::Later, "HTTP 500 (x: ***)");
    assert_eq!(failing.log.last().unwrap(), &format!("DELETE {OWN} token"));
}

/// V22: `Location` of a session is absolute, with another host's name, or missing (sushy; DMTF's library).
#[test]
fn a_session_is_deleted_whatever_its_location_is() {
    let mut other = bmc(opened(&format!("https://idrac-ABC{OWN}")));
    assert!(other.run(&by_session()).is_ok());
    assert_eq!(other.count(&format!("DELETE {OWN}")), 1);
    let body = with_header(answer(200, &json!({"@odata.id": OWN})), "x-auth-token", TOKEN);
    let mut body = bmc(body);
    assert!(body.run(&by_session()).is_ok());
    assert_eq!(body.count(&format!("DELETE {OWN}")), 1);
    let mut none = bmc(with_header(raw(204, ""), "x-auth-token", TOKEN));
    assert!(none.run(&by_session()).is_ok());
    assert_eq!(none.count("DELETE"), 0);
}

/// IDRAC answers 503 RAC0218 where all sessions are taken (check_redfish#89, stmcginnis/gofish#75). A fencing does not
/// wait for another program's session, and deletes none.
#[test]
fn without_a_free_session_the_password_goes_with_each_request() {
    let full = [
        error(503, "RAC0218", "The maximum number of user sessions is reached"),
        error(400, "SessionLimitExceeded", "full"),
        // The emulator of sushy-tools has no sessions.
        error(404, "GeneralError", "404 Not Found"),
    ];
    for full in full {
        let mut bmc = bmc(full);
        match bmc.run(&by_session()) {
            Ok(redfish::CallAnswer::Power { power: PowerSeen::Off, detail, .. }) => {
                assert!(detail.contains("no session: "), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bmc.count(&format!("GET {SYSTEM} basic")), 1);
        assert_eq!(bmc.count("DELETE"), 0);
    }
}

/// A new BMC takes the login and nothing else until its password is changed (openbmc/bmcweb#103,
/// xcat2/xcat-core#6511).
#[test]
fn a_password_that_must_be_changed_is_named() {
    let info = json!({"@Message.ExtendedInfo": [{"MessageId": "Base.1.8.PasswordChangeRequired"}]});
    let mut login = opened(OWN);
    login.body = info.to_string().into_bytes();
    let mut session = bmc(login);
    session.fails_with(&by_session(), FailureKind::Never, "must be changed");
    assert_eq!(session.count("DELETE"), 1);
    let mut basic = Bmc::new().get(SYSTEMS, [error(403, "PasswordChangeRequired", "x")]);
    basic.fails_with(&call(CallOperation::Read), FailureKind::Never, "must be changed");
}

/// The session is gone in the middle. The login was not refused: the next call opens another one.
#[test]
fn a_session_that_ended_is_not_a_refused_login() {
    let mut bmc = bmc(opened(OWN)).get(SYSTEMS, [error(401, "NoValidSession", "x")]);
    bmc.fails_with(&by_session(), FailureKind::Later, "has ended the session");
}

/// A redirect of the login would carry the password to another host.
#[test]
fn a_redirected_login_is_not_followed() {
    let mut bmc = bmc(with_header(raw(307, ""), "location", "https://evil.lab/"));
    bmc.fails_with(&by_session(), FailureKind::Never, "not followed");
    assert_eq!(bmc.count("POST"), 1);
}

/// The root names where sessions are opened. A path on another host is not used.
#[test]
fn sessions_are_opened_where_the_root_says() {
    for (named, used) in [("/redfish/v1/Sessions", "/redfish/v1/Sessions"), ("https://evil.lab/x", SESSIONS)] {
        let root = json!({"Links": {"Sessions": {"@odata.id": named}}});
        let mut bmc = Bmc::new()
            .get("/redfish/v1/", [answer(200, &root)])
            .get(SYSTEMS, [list(&[SYSTEM])])
            .get(SYSTEM, [system("On")])
            .post(used, [opened(OWN)]);
        assert_eq!(power(bmc.run(&by_session())), Ok(PowerSeen::On));
        assert_eq!(bmc.log[1], format!("POST {used}"));
    }
}

/// A token with a line break would add a header to each request.
#[test]
fn a_token_that_is_not_one_word_is_not_used() {
    for token in ["", "a b", "a\r\nX: y"] {
        let mut bmc = bmc(with_header(with_header(raw(201, "{}"), "x-auth-token", token), "location", OWN));
        bmc.fails_with(&by_session(), FailureKind::Later, "X-Auth-Token");
    }
}

/// A root that answers slowly does not end the login. The limit is longer than the time after which a BMC counts as silent:
/// a BMC without power shows as one.
#[test]
fn a_root_that_hangs_leaves_the_usual_path() {
    let mut bmc = bmc(opened(OWN)).fails("GET /redfish/v1/", TransportFault::Hung);
    assert_eq!(power(bmc.run(&by_session())), Ok(PowerSeen::Off));
    assert_eq!(bmc.log[1], format!("POST {SESSIONS}"));
    assert!(bmc.limits[0] > Duration::from_secs(5), "{:?}", bmc.limits);
    let mut silent = self::bmc(opened(OWN)).fails("GET /redfish/v1/", TransportFault::NoSign);
    silent.fails_with(&by_session(), FailureKind::NoSign, "it failed");
    assert_eq!(silent.count("POST"), 0);
}

/// bmcweb can switch Basic off. Without a free session, its 401 is not an answer about the user: the next call may find a
/// free session.
#[test]
fn a_refusal_after_a_full_session_table_is_not_a_refused_login() {
    let full = error(503, "RAC0218", "The maximum number of user sessions is reached");
    let mut bmc = bmc(full).get(SYSTEMS, [error(401, "NoValidSession", "x")]);
    bmc.fails_with(&by_session(), FailureKind::Later, "gave no session");
    let failure = bmc.run(&by_session()).unwrap_err();
    assert!(failure.why.contains("RAC0218") && failure.why.contains("HTTP 401"), "{failure}");
}

/// PAM or LDAP fail for a moment: the same user and password were right a request ago.
#[test]
fn a_refusal_after_an_accepted_request_is_not_a_refused_login() {
    let refused = || error(401, "NoValidSession", "x");
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [refused()]);
    bmc.fails_with(&call(CallOperation::Read), FailureKind::Later, "took the same login before");
    // The root is open to all, and shows nothing of the user.
    let root = answer(200, &json!({"Systems": {"@odata.id": "/redfish/v1/Hosts"}}));
    let mut first = Bmc::new().get("/redfish/v1/", [root]).get("/redfish/v1/Hosts", [refused()]);
    first.fails_with(&call(CallOperation::Read), FailureKind::Login, "login = \"session\"");
}

/// A session whose token did not come would stay, and each poll would take another one.
#[test]
fn a_session_without_a_token_is_deleted_too() {
    for token in ["", "a b"] {
        let mut bmc = bmc(with_header(with_header(raw(201, "{}"), "x-auth-token", token), "location", OWN));
        bmc.fails_with(&by_session(), FailureKind::Later, "X-Auth-Token");
        assert_eq!(bmc.log.last().unwrap(), &format!("DELETE {OWN} basic"));
    }
}

/// The body of a login comes back inside a text: the password has its JSON form there.
#[test]
fn a_password_in_its_json_form_is_not_quoted() {
    let mut call = by_session();
    call.password = HttpSecret::new("sec\"ret\\16");
    let echo = json!({"UserName": "fencing", "Password": "sec\"ret\\16"}).to_string();
    let mut bmc = bmc(error(500, "InternalError", &echo));
    let failure = bmc.run(&call).unwrap_err();
    assert!(failure.why.contains("***") && !failure.why.contains("ret"), "{failure}");
}

/// No loop over systems or chassis sends a refused login again.
#[test]
fn a_refused_login_ends_a_search() {
    let second = "/redfish/v1/Systems/2";
    let refused = || error(401, "NoValidSession", "x");
    let mut by_serial = call(CallOperation::Read);
    by_serial.choice.serial_number = Some("S1".to_owned());
    let mut bmc = Bmc::new().get(SYSTEMS, [list(&[SYSTEM, second])]).get(SYSTEM, [refused()]).get(second, [refused()]);
    bmc.fails_with(&by_serial, FailureKind::Later, "took the same login before");
    assert_eq!(bmc.count("GET"), 2);
    let links = json!({"Chassis": [{"@odata.id": "/redfish/v1/Chassis/1"}, {"@odata.id": "/redfish/v1/Chassis/2"}]});
    for operation in [CallOperation::Read, CallOperation::Health] {
        let mut bmc = Bmc::new()
            .get(SYSTEMS, [list(&[SYSTEM])])
            .get(SYSTEM, [changed("Off", "Links", links.clone())])
            .get("/redfish/v1/Chassis/1", [refused()])
            .get("/redfish/v1/Chassis/2", [refused()]);
        assert!(bmc.run(&call(operation)).is_ok());
        assert_eq!(bmc.count("GET /redfish/v1/Chassis"), 1);
    }
}
