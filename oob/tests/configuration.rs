//! The configuration and the secrets: each mistake is one line with its place and its fix.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{NODE, PASSWORD, Site};

const BMC: &str = r#"
[nodes."n1.lab"]
levels = [["bmc"]]
[devices.bmc]
driver = "ipmi"
address = "127.0.0.1"
username = "admin"
password_file = "{dir}/password"
"#;

/// After a mistake no device is asked, and no receipt records an attempt.
#[track_caller]
fn refused(site: &Site, words: &[&str]) {
    for command in ["power-off", "power-status", "check"] {
        let ran = site.oob(command);
        assert_eq!(ran.code, Some(1), "{command}: {ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word) || ran.stdout.contains(word), "{command}: no {word:?} in {ran:?}");
        }
    }
}

/// A misspelt key must not lead to a silent default.
#[test]
fn a_misspelt_key_names_its_line_and_the_nearest() {
    let site = Site::new(&BMC.replace("username", "usrename"));
    refused(&site, &["config.toml:11:", "usrename", "did you mean \"username\"?"]);
    let site = Site::new(&BMC.replace("levels", "level"));
    refused(&site, &["config.toml:7:", "did you mean \"levels\"?"]);
    let site = Site::new(&BMC.replace("\"bmc\"", "\"bcm\""));
    refused(&site, &["config.toml:7:", "no device \"bcm\"", "did you mean \"bmc\"?"]);
    let site = Site::new(&BMC.replace("ipmi", "impi"));
    refused(&site, &["config.toml:", "no driver \"impi\"", "did you mean \"ipmi\"?"]);
}

/// Suite 0 needs no password; the other weak ones do not protect the transmitted data.
#[test]
fn weak_cipher_suites_are_refused() {
    for suite in [0, 1, 2, 6, 15, 16] {
        let site = Site::new(&format!("{BMC}cipher_suites = [17, {suite}]\n"));
        refused(&site, &["config.toml:8", &format!("cipher suite {suite}"), "17 and 3 can be used"]);
    }
}

/// The file names programs that run as root.
#[test]
fn a_configuration_that_others_may_write_is_refused() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    for mode in [0o666, 0o662, 0o620] {
        std::fs::set_permissions(site.path("config.toml"), std::fs::Permissions::from_mode(mode)).unwrap();
        refused(&site, &["config.toml", "others may write it", "chmod go-w"]);
    }
    std::fs::set_permissions(site.path("config.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    // Other users may read it, as it has no secret.
    site.oob("power-off").silent();
    if std::os::unix::fs::chown(site.path("config.toml"), Some(65534), None).is_ok() {
        refused(&site, &["config.toml", "belongs to user 65534"]);
    } else {
        println!("skipped: only root can give a file away");
    }
}

/// The configuration is absent, unreadable, or not a file.
#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    site.write("config.toml", "\u{0}\u{1}", 0o600);
    refused(&site, &["config.toml:1:"]);
    std::fs::remove_file(site.path("config.toml")).unwrap();
    refused(&site, &["config.toml", "No such file"]);
    std::fs::create_dir(site.path("config.toml")).unwrap();
    refused(&site, &["config.toml", "not a regular file"]);
}

/// A secret that other users may read is not accepted; a missing or empty one is reported with its file.
#[test]
fn a_secret_file_must_be_closed_and_there() {
    let site = Site::new(BMC);
    for mode in [0o644, 0o640, 0o602] {
        std::fs::set_permissions(site.path("password"), std::fs::Permissions::from_mode(mode)).unwrap();
        refused(&site, &["bmc", "/password", "others may read it", "chmod 0600"]);
    }
    site.write("password", "\nsecond line\n", 0o600);
    refused(&site, &["bmc", "/password", "first line is empty"]);
    std::fs::remove_file(site.path("password")).unwrap();
    refused(&site, &["bmc", "/password", "No such file"]);
}

/// More people read the CIB, this file and the process list than may read a secret.
#[test]
fn a_secret_in_the_configuration_is_refused_and_not_repeated() {
    for key in ["password", "passwd", "snmp_priv_passwd"] {
        let site = Site::with_agent("", &format!("options = {{ {key} = \"hunter2\" }}"));
        refused(&site, &["use password_file"]);
        let ran = site.oob("power-off");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
}

/// The agents' library accepts `-` for `_` in the names of options, so both spellings are checked for secrets.
#[test]
fn a_secret_under_the_other_spelling_is_refused_too() {
    let site = Site::with_agent("", "options = { snmp-priv-passwd = \"hunter2\" }");
    refused(&site, &["use password_file"]);
}

/// A node for which the configuration has no rule, or two.
#[test]
fn a_node_without_one_rule_is_named() {
    let site =
        Site::new("[devices.dev]\ndriver = \"exec\"\nprogram = \"{dir}/dev\"\n[nodes.n9]\nlevels = [[\"dev\"]]\n");
    site.oob("power-off").failed_for(NODE, &["has no rule for node", "[default]"]);
    assert_eq!(site.receipt()["outcome"], "refused");
    let rule = |pattern| format!("[nodes.\"{pattern}\"]\nlevels = [[\"dev\"]]\n");
    let both = format!("{}{}", rule("n1*"), rule("*.lab"));
    let site = Site::new(&format!("[devices.dev]\ndriver = \"exec\"\nprogram = \"{{dir}}/dev\"\n{both}"));
    site.oob("power-off").failed_for(NODE, &["n1*", "*.lab", "all match"]);
}

/// `check` logs in, reads, prints each device's reading, and changes nothing.
#[test]
fn check_reads_every_device_and_changes_nothing() {
    let site = Site::with_scripts(&["good", "bad"], r#"[["good"], ["bad"]]"#);
    site.set_power("bad", "burning");
    let ran = site.oob("check");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("ok     n1.lab  level 1  good: on"), "{ran:?}");
    assert!(ran.stdout.contains("ERROR  n1.lab  level 2  bad:") && ran.stdout.contains("no such host"), "{ran:?}");
    assert!(ran.stderr.contains("1 of 2 devices"), "{ran:?}");
    assert!(site.receipt_log().is_empty());
    for name in ["good", "bad"] {
        assert!(site.calls(name).iter().all(|call| call.starts_with("power-status")), "{name}");
    }
    site.run(&["check"], &[]).failed(&["names no node by its name", "ganeti-oob check NODE"]);
}

/// After any failure the password is in no output.
#[test]
fn no_secret_comes_out() {
    // An agent that is called with -v, or is broken, prints its input.
    let chatty = r#"cat stdin-fence_fake >&2; exit 1"#;
    let site = Site::with_agent(chatty, "");
    let mut all = String::new();
    for arguments in [
        ["-v", "power-off", "n1.lab"],
        ["-v", "power-status", "n1.lab"],
        ["-v", "health", "n1.lab"],
        ["-v", "check", "n1.lab"],
    ] {
        let ran = site.run(&arguments, &[("GNT_HA_DEADLINE", "1.5")]);
        all.push_str(&ran.stdout);
        all.push_str(&ran.stderr);
    }
    all.push_str(&site.text("state/receipts.jsonl"));
    assert!(all.contains("fence_fake"), "{all}");
    assert!(!all.contains(PASSWORD), "{all}");
}
