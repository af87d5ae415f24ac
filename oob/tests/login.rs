//! Logins to a BMC: a refusal is reported, is never an off, and is not repeated until the account is locked.

mod common;

use bmc_responder::{Behaviour, User};
use common::{NODE, PASSWORD, Site, bmc, bmc_with};
use ipmi_lan::{CipherSuite, Privilege};

/// A BMC key of 20 bytes, the length of K_g.
const KG: &str = "0123456789abcdefghij";

const COMMANDS: [&str; 4] = ["power-status", "power-off", "power-cycle", "health"];

/// BMCs lock an account after a few refused logins, and then no fencing would work. Each command costs one at most, and
/// often none; new credentials are tried at once.
#[test]
fn a_wrong_password_is_tried_once() {
    let (bmc, site) = bmc(Behaviour::default());
    site.write("password", "not-the-password\n", 0o600);
    for (done, command) in (1..).zip(COMMANDS) {
        site.oob(command).failed_for(NODE, &["bmc", "the password is not the one the BMC has"]);
        assert_eq!((bmc.seen().rakp1, bmc.failed_logins()), (done, 0), "{command}");
    }
    assert!(bmc.power());
    site.write("password", PASSWORD, 0o600);
    site.oob("power-off").silent();
    assert!(!bmc.power());
}

/// The same BMC may be in several levels (alone, and together with a PDU): still one refused login for each command.
#[test]
fn a_wrong_password_is_tried_once_although_two_levels_have_the_bmc() {
    let (bmc, site) = bmc(Behaviour::default());
    site.write("password", "not-the-password\n", 0o600);
    let text = site.text("config.toml").replace(r#"[["bmc"]]"#, r#"[["bmc"], ["bmc", "dev"]]"#);
    site.configure(&format!("{text}[devices.dev]\ndriver = \"exec\"\nprogram = \"{{dir}}/dev\"\n"));
    site.script("dev", "");
    site.set_power("dev", "on");
    site.oob("power-off").failed_for(NODE, &["bmc", "password"]);
    assert_eq!(bmc.seen().rakp1, 1);
}

/// Every form in which a BMC refuses a login: tried once, with its reason, and never an off.
#[test]
fn refused_logins_are_reported_and_not_repeated() {
    let user = |privilege| vec![User { name: "admin".to_owned(), password: PASSWORD.into(), privilege }];
    // A refused name may also mean a suite that the BMC does not compute: it is tried once with each suite.
    for (behaviour, words, times) in [
        (Behaviour { users: vec![], ..Behaviour::default() }, ["user refused", "check the user name"], 2),
        (Behaviour { lock_after: Some(0), ..Behaviour::default() }, ["0Dh", "locked"], 2),
        (Behaviour { users: user(Privilege::User), ..Behaviour::default() }, ["privilege level", "operator"], 1),
        (Behaviour { rakp3_statuses: [0x0F].into(), ..Behaviour::default() }, ["password", "RAKP message 4"], 1),
    ] {
        let (bmc, site) = bmc(behaviour);
        bmc.set_power(false);
        site.oob("power-off").failed_for(NODE, &["bmc"]).failed(&words);
        assert_eq!(bmc.seen().rakp1, times, "{words:?}");
        assert_eq!(site.receipt()["grade"], "unknown");
    }
}

/// Until a session is open, any host may have sent a refusal: one packet must not keep a BMC out of the next fencing. A
/// refusal that the session's keys prove to be the BMC's is not repeated.
#[test]
fn a_refusal_that_may_be_forged_is_not_remembered() {
    for status in [0x0D, 0x0A, 0x0F, 0x12] {
        // A refused name alone leads to the other suite, which is refused here, too.
        let (bmc, site) = bmc(Behaviour {
            rakp1_statuses: vec![status; 1 + usize::from(status == 0x0D)].into(),
            ..Behaviour::default()
        });
        site.oob("power-status").failed_for(NODE, &["bmc"]);
        site.oob("power-off").silent();
        assert!(!bmc.power(), "{status:02X}h");
    }
    let (bmc, site) = bmc(Behaviour { open_statuses: [0x0D; 2].into(), ..Behaviour::default() });
    site.oob("power-status").failed_for(NODE, &["bmc"]);
    site.oob("power-off").silent();
    assert!(!bmc.power());
    let user = User { name: "admin".to_owned(), password: PASSWORD.into(), privilege: Privilege::User };
    let (bmc, site) = bmc_with(Behaviour { users: vec![user], strict_role: false, ..Behaviour::default() }, "");
    for command in COMMANDS {
        site.oob(command).failed_for(NODE, &["bmc", "privilege level"]);
    }
    assert_eq!(bmc.seen().logins, 1);
}

/// While suite 3 is allowed as well, a forged refusal of suite 17 can lead to it: `check` advises to remove it where it
/// is not needed.
#[test]
fn check_advises_the_one_suite_that_works() {
    for (offered, keys, advised) in [
        (&[CipherSuite::Suite17, CipherSuite::Suite3][..], "", true),
        (&[CipherSuite::Suite17, CipherSuite::Suite3], "cipher_suites = [17]", false),
        (&[CipherSuite::Suite3], "", false),
    ] {
        let (_bmc, site) = bmc_with(Behaviour { suites: offered.to_vec(), ..Behaviour::default() }, keys);
        let ran = site.oob("check");
        let noted = ran.succeeded().stdout.contains("note   n1.lab  level 1  bmc: cipher suite 17 works");
        assert_eq!(noted, advised, "{ran:?}");
        let devices = site.devices();
        assert_eq!(devices[0]["advice"].is_string(), advised, "{devices}");
    }
}

/// The null user has no name, and on many BMCs no password either.
#[test]
fn the_null_user_is_refused_before_the_login() {
    let (bmc, site) = bmc(Behaviour::default());
    let text = site.text("config.toml").replace("username = \"admin\"", "username = \"\"");
    site.configure(&text);
    site.oob("power-off").failed_for(NODE, &["username is empty", "null user"]);
    assert_eq!(bmc.seen().datagrams, 0);
}

/// The user level can read and not switch: a check would succeed, and the fencing fail.
#[test]
fn a_privilege_that_cannot_switch_is_refused_beforehand() {
    let (bmc, site) = bmc_with(Behaviour::default(), "privilege = \"user\"");
    site.oob("power-status").failed(&["unknown variant `user`", "`operator`"]);
    assert_eq!(bmc.seen().rakp1, 0);
}

/// K_g (IPMI 2.0 section 13.31), as text or in hex: without it, or with another, the login fails and the line names the
/// key.
#[test]
fn the_bmc_key_is_used() {
    let locked = || Behaviour { kg: Some(KG.into()), ..Behaviour::default() };
    let hex: String = KG.bytes().map(|byte| format!("{byte:02x}")).collect();
    for file in [KG.to_owned(), format!("0x{hex}")] {
        let (_bmc, site) = bmc_with(locked(), "kg_file = \"{dir}/kg\"");
        site.write("kg", &file, 0o600);
        assert_eq!(site.oob("power-status").answered()["powered"], true);
        site.oob("power-off").silent();
    }
    let (bmc, site) = bmc(locked());
    site.oob("power-off").failed_for(NODE, &["bmc", "K_g"]);
    assert!(bmc.power());
    assert_eq!(bmc.seen().rakp1, 1);
    let (bmc, site) = bmc_with(locked(), "kg_file = \"{dir}/kg\"");
    site.write("kg", "jihgfedcba9876543210", 0o600);
    site.oob("power-off").failed_for(NODE, &["bmc", "K_g"]);
    site.write("kg", "too short", 0o600);
    site.oob("power-off").failed_for(NODE, &["bmc", "no BMC key"]);
    site.write("kg", KG, 0o644);
    site.oob("power-off").failed_for(NODE, &["bmc", "others may read it"]);
    assert!(bmc.power());
}

/// A password with more than 20 bytes cannot be a BMC's: reported before anything is sent.
#[test]
fn a_password_that_no_bmc_has_is_refused_before_the_login() {
    let (bmc, site) = bmc(Behaviour::default());
    site.write("password", &"p".repeat(21), 0o600);
    let ran = site.oob("power-off");
    ran.failed_for(NODE, &["bmc"]);
    assert!(!ran.stderr.contains("ppp"), "{ran:?}");
    assert_eq!(bmc.seen().datagrams, 0);
}

fn everything(site: &Site, into: &mut String) {
    for command in COMMANDS.into_iter().chain(["check"]) {
        let ran = site.run(&["-v", command, common::NODE], &[("GNT_HA_DEADLINE", "2")]);
        into.push_str(&ran.stdout);
        into.push_str(&ran.stderr);
    }
    into.push_str(&site.text("state/receipts.jsonl"));
}

/// Many people read logs, receipts and errors, and send them with bug reports.
#[test]
fn no_secret_of_a_bmc_comes_out() {
    let mut all = String::new();
    let (_bmc, site) = bmc_with(Behaviour { kg: Some(KG.into()), ..Behaviour::default() }, "kg_file = \"{dir}/kg\"");
    site.write("kg", KG, 0o600);
    everything(&site, &mut all);
    site.write("password", "wrong-secret16", 0o600);
    everything(&site, &mut all);
    site.write("kg", &KG[..19], 0o600);
    everything(&site, &mut all);
    assert!(all.contains("chassis status") && all.contains("password is not the one"), "{all}");
    for secret in [PASSWORD, &KG[..19], "0x303132"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}
