//! The driver `redfish` with its program against a BMC that works, reports a wrong state, is late or is absent.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bmc_responder::https::{Reply, Request, SYSTEM, Server, healthy, system};
use common::{NODE, PROGRAM, Site};
use serde_json::{Value, json};

/// The host behind the BMC: its power, and changes that are still to come.
#[derive(Default)]
struct Host {
    is_on: bool,
    pending: Option<(bool, Instant)>,
    commands: Vec<String>,
}

impl Host {
    fn state(&mut self) -> &'static str {
        if let Some((to, at)) = self.pending
            && Instant::now() >= at
        {
            self.is_on = to;
            self.pending = None;
        }
        if self.is_on { "On" } else { "Off" }
    }
}

/// A BMC whose host acts `delay` after a command, unless it is in that state: then the command is ignored, as by the
/// emulator of sushy-tools.
fn bmc(host: &Arc<Mutex<Host>>, delay: Duration) -> Server {
    let host = Arc::clone(host);
    Server::start(move |request| {
        let mut host = host.lock().unwrap();
        let state = host.state();
        if request.line.starts_with("POST") {
            let to = request.body.contains("On");
            host.commands.push(request.body.clone());
            if host.is_on != to {
                host.pending = Some((to, Instant::now() + delay));
            }
        }
        healthy(request, state)
    })
}

fn site_of(server: &Server, more: &str) -> Site {
    let program = Path::new(PROGRAM).with_file_name("redfish-call");
    assert!(program.is_file(), "no {}: cargo build -p redfish-call", program.display());
    let site = Site::new("");
    let text = site.text("config.toml").replace("deadline = 6", "deadline = 45");
    site.configure(&format!(
        "{text}[nodes.\"n1.lab\"]\nlevels = [[\"bmc\"]]\n[devices.bmc]\ndriver = \"redfish\"\naddress = \"127.0.0.1\"\nport = {}\n\
         username = \"fencing\"\npassword_file = \"{{dir}}/password\"\nfingerprint = \"{}\"\n{more}\n",
        server.port,
        server.identity.fingerprint()
    ));
    site
}

#[test]
fn a_host_is_switched_and_read() {
    let host = Arc::new(Mutex::new(Host { is_on: true, ..Host::default() }));
    let server = bmc(&host, Duration::from_millis(700));
    let site = site_of(&server, "");
    let on = site.oob("power-status").answered();
    assert_eq!(on["powered"], true);
    assert_eq!(on["devices"][0]["text"], format!("on (PowerState On, {SYSTEM})"));
    site.oob("power-off").silent();
    assert!(!host.lock().unwrap().is_on);
    let off = site.oob("power-status").answered();
    assert_eq!((&off["powered"], &off["grade"], &off["may_lag"]), (&json!(false), &json!("off"), &json!(true)));
    assert!(on["may_lag"].is_null());
    site.oob("power-on").silent();
    site.oob("power-cycle").silent();
    let host = host.lock().unwrap();
    assert!(host.is_on);
    let types: Vec<&str> =
        host.commands.iter().map(|body| if body.contains("ForceOff") { "off" } else { "on" }).collect();
    assert_eq!(types, ["off", "on", "off", "on"]);
}

/// A power-on of another program that is pending beats an accepted power-off and two quick readings of "Off".
#[test]
fn a_pending_power_on_is_seen() {
    let pending = Some((true, Instant::now() + Duration::from_secs(4)));
    let host = Arc::new(Mutex::new(Host { pending, ..Host::default() }));
    let server = bmc(&host, Duration::from_millis(300));
    site_of(&server, "").oob("power-off").silent();
    let mut host = host.lock().unwrap();
    assert_eq!(host.state(), "Off");
    assert_eq!(host.commands.len(), 2, "the first one came before the host was on");
}

/// A BMC that accepts the command and does nothing, or whose state is never known.
#[test]
fn what_is_not_read_back_is_a_failure() {
    for state in ["On", "Paused"] {
        let server = Server::start(move |request| healthy(request, state));
        let site = site_of(&server, "");
        site.oob_within("4", "power-off").failed_for(NODE, &["bmc", "not proven off"]);
        assert_eq!(site.receipt()["grade"], "unknown");
    }
}

/// IDRAC answers 409 to the power-off of a host that is off. The command switched nothing, and the receipt says so.
/// "Busy" has the same status, so the command is sent once more 10 s later.
#[test]
fn a_refusal_that_is_repeated_is_in_the_receipt() {
    let server = Server::start(|request| match healthy(request, "Off") {
        Reply::Json(_, _) if request.line.starts_with("POST") => Reply::Json(409, json!({})),
        other => other,
    });
    let site = site_of(&server, "");
    site.oob("power-off").silent();
    assert_eq!(server.requests().iter().filter(|request| request.line.starts_with("POST")).count(), 2);
    let reason = site.receipt()["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("bmc: it reported off before, and the command failed") && reason.contains("409"),
        "{reason}"
    );
}

/// With a refused command and a chassis that does not answer, the system's "Off" may be an old state.
#[test]
fn a_refusal_and_a_silent_chassis_prove_nothing() {
    let server = Server::start(|request| match healthy(request, "Off") {
        Reply::Json(_, _) if request.line.starts_with("POST") => Reply::Json(409, json!({})),
        Reply::Json(status, mut body) if request.line == format!("GET {SYSTEM}") => {
            body["Links"] = json!({"Chassis": [{"@odata.id": "/redfish/v1/Chassis/1"}]});
            Reply::Json(status, body)
        }
        Reply::Json(_, _) if request.line.contains("/Chassis/") => Reply::Json(500, json!({})),
        other => other,
    });
    let site = site_of(&server, "");
    site.oob("power-off").failed_for(
        NODE,
        &["bmc", "its off is not believed", "HTTP 409", "chassis /redfish/v1/Chassis/1 did not answer"],
    );
    assert_eq!(server.requests().iter().filter(|request| request.line.starts_with("POST")).count(), 2);
    assert_eq!(site.receipt()["grade"], "unknown");
}

/// Without the time for the readings after it no command is sent. The next level would cut the power of the BMC of a host
/// that is off.
#[test]
fn an_off_without_time_to_prove_it_is_not_handed_on() {
    let server = Server::start(|request| healthy(request, "Off"));
    let site = site_of(&server, "");
    let text = site.text("config.toml").replace("[[\"bmc\"]]", "[[\"bmc\"], [\"pdu\"]]");
    site.configure(&format!("{text}[devices.pdu]\ndriver = \"exec\"\nprogram = \"{{dir}}/pdu\"\n"));
    site.script("pdu", "");
    site.set_power("pdu", "on");
    site.oob_within("9", "power-off").failed_for(NODE, &["bmc", "it reports off", "12 s are needed"]);
    assert!(server.requests().iter().all(|request| !request.line.starts_with("POST")));
    assert_eq!(site.calls("pdu"), [] as [&str; 0]);
}

/// A refused login is tried once in a minute, also by the next program.
#[test]
fn a_refused_login_is_remembered() {
    let server = Server::start(|_| Reply::Json(401, json!({})));
    let site = site_of(&server, "");
    site.oob("power-status").failed_for(NODE, &["login of user \"fencing\"", "HTTP 401"]);
    site.oob("power-off").failed_for(NODE, &["it is not tried again"]);
    assert_eq!(server.requests().len(), 1);
    site.write("password", "another\n", 0o600);
    site.oob("power-status").failed_for(NODE, &["HTTP 401"]);
    assert_eq!(server.requests().len(), 2);
}

/// A chassis without a `PowerState` lets no off be believed. A reading of a host that is on does not ask for it, and `check` does.
#[test]
fn check_finds_a_chassis_that_would_confirm_no_off() {
    let server = Server::start(|request| match healthy(request, "On") {
        Reply::Json(status, mut body) if request.line == format!("GET {SYSTEM}") => {
            body["Links"] = json!({"Chassis": [{"@odata.id": "/redfish/v1/Chassis/1"}]});
            Reply::Json(status, body)
        }
        _ if request.line.contains("/Chassis/") => Reply::Json(200, json!({"@odata.id": "/redfish/v1/Chassis/1"})),
        other => other,
    });
    let site = site_of(&server, "");
    assert_eq!(site.oob("power-status").answered()["powered"], true);
    let ran = site.run(&["check", NODE], &[]);
    assert!(ran.code == Some(1) && ran.stdout.starts_with("ERROR"), "{ran:?}");
    assert!(ran.stdout.contains("no off of this host would be believed: /redfish/v1/Chassis/1"), "{ran:?}");
    assert!(server.requests().iter().all(|request| request.line.starts_with("GET")));
}

/// A certificate that is not trusted: `check` prints the fingerprint, and fencing never trusts it.
#[test]
fn check_prints_the_fingerprint_to_pin() {
    let server = Server::start(|request| healthy(request, "On"));
    let site = site_of(&server, "");
    let pin = server.identity.fingerprint();
    let text = site.text("config.toml").replace(&format!("fingerprint = \"{pin}\""), "");
    site.configure(&text);
    let ran = site.run(&["check", NODE], &[]);
    assert!(ran.stdout.contains(&format!("fingerprint = \"{pin}\"")), "{ran:?}");
    site.oob("power-off").failed_for(NODE, &["its certificate is not trusted"]);
    assert!(server.requests().is_empty());
}

/// Between two readings of one power change another host took the BMC's place.
#[test]
fn another_host_in_the_place_of_the_first_is_refused() {
    let count = Arc::new(Mutex::new(0));
    let server = Server::start(move |request: &Request| {
        let mut document = system("On");
        if request.line == format!("GET {SYSTEM}") {
            let mut count = count.lock().unwrap();
            *count += 1;
            if *count > 1 {
                document["UUID"] = json!("11111111-9e44-4fa7-8e91-f3527a1ef094");
                document["PowerState"] = json!("Off");
            }
            return Reply::Json(200, document);
        }
        healthy(request, "On")
    });
    let site = site_of(&server, "");
    site.oob("power-off").failed_for(NODE, &["has another UUID than before"]);
    assert!(server.requests().iter().all(|request| !request.line.starts_with("POST")));
}

#[test]
fn health_comes_from_the_status() {
    let server = Server::start(|request| match healthy(request, "On") {
        Reply::Json(status, mut body) if request.line.ends_with("/Systems/1") => {
            body["Status"] = json!({"Health": "OK", "HealthRollup": "Warning"});
            Reply::Json(status, body)
        }
        other => other,
    });
    let site = site_of(&server, "");
    assert_eq!(site.health_of("bmc system"), "WARNING");
    let _: Value = site.oob("health").answered();
}

/// A site with an outlet that is not the host's behind a BMC that takes no power-off. `state` gets whether the outlet is off.
fn bmc_and_foreign_outlet(state: impl Fn(bool) -> &'static str + Send + Sync + 'static) -> (Server, Site) {
    let outlet = Arc::new(Mutex::new(None::<std::path::PathBuf>));
    let known = Arc::clone(&outlet);
    let server = Server::start(move |request| {
        let path = known.lock().unwrap().clone();
        let is_off = path.is_some_and(|path| std::fs::read_to_string(path).unwrap_or_default().trim() == "off");
        match healthy(request, state(is_off)) {
            Reply::Json(_, _) if request.line.starts_with("POST") => Reply::Json(403, json!({})),
            other => other,
        }
    });
    let site = site_of(&server, "");
    let text = site.text("config.toml").replace("[[\"bmc\"]]", "[[\"bmc\"], [\"pdu\"]]");
    site.configure(&format!("{text}[devices.pdu]\ndriver = \"exec\"\nprogram = \"{{dir}}/pdu\"\nsees = \"feed\"\n"));
    site.script("pdu", "");
    site.set_power("pdu", "on");
    *outlet.lock().unwrap() = Some(site.path("power-pdu"));
    (server, site)
}

/// A BMC has read "On" in this fencing. Then it reads "Off", twice within 2 s, and takes no power-off: that may be the off
/// phase of another program's power cycle, and the "On" still contradicts the outlet in the next calls.
#[test]
fn an_off_that_may_lag_clears_no_on_of_the_same_fencing() {
    const FENCING: (&str, &str) = ("GNT_HA_PARENT_RECEIPT", "0123abcd-02");
    let moment = Arc::new(Mutex::new("On"));
    let of_bmc = Arc::clone(&moment);
    let (_server, site) = bmc_and_foreign_outlet(move |is_off| if is_off { "On" } else { *of_bmc.lock().unwrap() });
    assert_eq!(site.run(&["power-status", NODE], &[FENCING]).answered()["powered"], true);
    *moment.lock().unwrap() = "Off";
    assert_eq!(site.run(&["power-status", NODE], &[FENCING]).answered()["may_lag"], true);
    site.run(&["power-off", NODE], &[FENCING]).failed_for(NODE, &["HTTP 403", "level 1 still reads on"]);
    assert_eq!(site.receipt()["grade"], "unknown");
}

/// The BMC reads "Off" for some seconds after the outlet was switched, in the off phase of another program's power cycle.
#[test]
fn an_off_after_the_outlet_is_read_a_lag_later() {
    let off_since = Mutex::new(None::<Instant>);
    let (_server, site) = bmc_and_foreign_outlet(move |is_off| {
        let mut off_since = off_since.lock().unwrap();
        let since = is_off.then(|| *off_since.get_or_insert_with(Instant::now));
        if since.is_some_and(|since| since.elapsed() < Duration::from_secs(5)) { "Off" } else { "On" }
    });
    site.oob("power-off").failed_for(NODE, &["HTTP 403", "level 1 still reads on"]);
    assert_eq!(site.receipt()["grade"], "unknown");
}
