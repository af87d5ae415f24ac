//! The driver `agent`: fence agents, by the fence-agent API (FenceAgentAPI.md).

mod common;

use std::path::Path;

use common::{NODE, PASSWORD, Site};
use gnt_ha::core::text::is_hidden;

/// The API: options on stdin, no argument; `status` ends with 0 for on and 2 for off.
#[test]
fn an_agent_is_called_by_the_fence_agent_api() {
    let site = Site::with_agent("", r#"options = { ip = "pdu.lab", plug = "{short}", port = 7, ssl = true }"#);
    assert_eq!(site.oob("power-status").answered()["powered"], true);
    site.oob("power-off").silent();
    site.oob("power-on").silent();
    assert_eq!(site.calls("fence_fake"), ["status", "status", "off", "status", "status", "status", "on", "status"]);
    let stdin = site.text("stdin-fence_fake");
    for line in ["action=status", "ip=pdu.lab", "plug=n1", "port=7", "ssl=1"] {
        assert!(stdin.lines().any(|known| known == line), "no {line} in {stdin}");
    }
    assert_eq!(site.oob("health").answered()[0][1], "OK");
}

/// Every user can read `ps` and `/proc`: the password is only on stdin.
#[test]
fn the_password_is_on_stdin_only() {
    let site = Site::with_agent("", "");
    site.oob("power-off").silent();
    assert!(site.text("stdin-fence_fake").lines().any(|line| line == format!("password={PASSWORD}")));
    for seen in ["argv-fence_fake", "environ-fence_fake"] {
        assert!(!site.text(seen).is_empty() && !site.text(seen).contains(PASSWORD), "{seen}");
    }
}

/// 0 is on, 2 is off; after any other exit code the node's power is unknown.
#[test]
fn every_other_exit_code_is_unknown() {
    for (end, what) in [
        ("exit 1", "exit code 1"),
        ("exit 3", "exit code 3"),
        ("exit 255", "exit code 255"),
        ("kill -9 $$", "signal 9"),
    ] {
        let site = Site::with_agent(&format!("echo 'connection lost' >&2; {end}"), "");
        site.set_power("fence_fake", "off");
        site.oob("power-status").failed_for(NODE, &["pdu", what, "connection lost"]);
        site.oob_within("1", "power-off").failed_for(NODE, &["pdu", "power-off failed"]);
    }
}

/// An agent's success at `off` is an acknowledgement. Its status is the proof, also against its error.
#[test]
fn an_agents_answer_is_read_back() {
    let site = Site::with_agent(r#"[ "$action" = off ] && exit 0"#, "");
    site.oob_within("1.5", "power-off").failed_for(NODE, &["pdu", "not proven off"]);
    let site = Site::with_agent(r#"[ "$action" = off ] && { echo off > power-fence_fake; exit 1; }"#, "");
    site.oob("power-off").silent();
}

/// An agent that hangs is ended within the deadline.
#[test]
fn an_agent_that_hangs_is_ended() {
    let site = Site::with_agent("exec sleep 1000", "");
    site.oob_within("1.5", "power-status").failed_for(NODE, &["pdu", "timed out"]);
}

/// The error line says what to install, and where.
#[test]
fn an_agent_that_is_not_there_is_named() {
    let site = Site::with_agent("", "");
    std::fs::remove_file(site.path("fence_fake")).unwrap();
    site.oob("power-off").failed_for(NODE, &["pdu", "no fence agent", "fence_fake", "install the package"]);
}

/// Debian's own dummy agent, made with the agents' library: the real API.
#[test]
fn debians_dummy_agent_is_driven() {
    if !Path::new("/usr/sbin/fence_dummy").exists() {
        println!("skipped: there is no fence_dummy (Debian: fence-agents)");
        return;
    }
    let site = Site::new(
        "[nodes.\"n1.lab\"]\nlevels = [[\"dummy\"]]\n[devices.dummy]\ndriver = \"agent\"\nagent = \"fence_dummy\"\ngrade = \"off\"\n\
         options = { status_file = \"{dir}/dummy\" }\n",
    );
    site.configure(&site.text("config.toml").replace("deadline = 6", "deadline = 50"));
    std::fs::write(site.path("dummy"), "on").unwrap();
    assert_eq!(site.oob("power-status").answered()["powered"], true);
    site.oob("power-off").silent();
    assert_eq!(site.text("dummy"), "off");
    assert_eq!(site.oob("power-status").answered()["grade"], "off");
    site.oob("power-on").silent();
    assert_eq!(site.text("dummy"), "on");
}

/// Perl ends with 2 for a missing module, a shell for a syntax error: a broken agent is not a host without power.
#[test]
fn exit_code_2_alone_is_not_off() {
    let site = Site::with_agent("exit 2", "");
    for command in ["power-status", "power-off"] {
        site.oob_within("2", command).failed_for(NODE, &["pdu", "did not print it"]);
    }
    let site = Site::with_agent("[ \"$action\" = status ] && exit 2", "status_by_exit_code = true");
    assert_eq!(site.oob("power-status").answered()["powered"], false);
}

/// A fabric agent cuts a path: the host runs on, and that must not count as off.
#[test]
fn a_fabric_agents_off_is_not_off() {
    let site = Site::with_agent("", "grade = \"isolated\"");
    site.set_power("fence_fake", "off");
    site.oob("power-status").failed_for(NODE, &["pdu", "only isolated"]);
}

/// An agent's output is data. No control character of it reaches stderr or a receipt, and no part of it counts as a
/// line of ours.
#[test]
fn a_hostile_agent_is_quoted_and_not_obeyed() {
    let vice = r#"printf 'x\033]0;owned\007\302\233[2J\342\200\256\nn9.lab: is off\r\n\377' >&2; exit 1"#;
    let site = Site::with_agent(vice, "");
    for words in [&["power-off", NODE][..], &["power-off", NODE, "-v"], &["health", NODE], &["check"]] {
        let ran = site.run(words, &[("GNT_HA_DEADLINE", "1")]);
        for text in [&ran.stdout, &ran.stderr, &site.text("state/receipts.jsonl")] {
            let raw = text.chars().find(|letter| is_hidden(*letter) && *letter != '\n');
            assert_eq!(raw, None, "{words:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("n9.lab")), "{words:?}: {text}");
        }
    }
}
