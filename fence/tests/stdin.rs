//! The lines on stdin, as both generations of Pacemaker and the fence-agent API define them.

mod common;

use common::{Cluster, bounded, feed, in_shell, pacemakers_command};

/// Pacemaker 2.1 sends `port`, 3 sends `plug`, both send `nodename`; the order is that of a hash table
/// (`lib/fencing/st_actions.c`).
#[test]
fn both_generations_of_pacemaker_fence_the_node_they_mean() {
    for lines in [
        "action=off\nport=n2.lab\nnodename=n2.lab",
        "nodename=n2\nplug=n2\naction=off",
        "nodename=uname-of-n2\nport=n2.lab\naction=off",
        "plug=n2.lab\nport=n3.lab\naction=off\nnodename=n2",
        "port=n3.lab\naction=off\nnodename=n2.lab\nplug=n2.lab",
        "option=off\nnodename=n2.lab",
        "nodeid=2\naction=off\nport=N2.LAB",
    ] {
        let cluster = Cluster::new();
        cluster.pacemaker(lines).succeeded().printed("Success: Powered OFF\n");
        assert_eq!((cluster.power("n2.lab"), cluster.power("n3.lab")), ("off".into(), "on".into()), "{lines}");
    }
}

/// A device with a `plug` of its own is offered for all nodes. For a node other than its plug the agent does nothing
/// and reports no off.
#[test]
fn another_node_than_pacemaker_means_is_not_fenced() {
    for lines in [
        "nodename=n3.lab\nport=n2.lab",
        "plug=n2.lab\nnodename=N3",
        "plug=n2.lab\nport=n3.lab\nnodename=n3.lab",
        "plug=n9.lab\nnodename=n3.lab\nmissing_as_off=1",
    ] {
        for action in ["off", "on", "reboot", "status"] {
            let cluster = Cluster::new();
            cluster.pacemaker(&format!("action={action}\n{lines}")).stderr_has(&["Pacemaker names n3.lab", "plug"]);
            assert_eq!((cluster.power("n2.lab"), cluster.power("n3.lab")), ("on".into(), "on".into()), "{lines}");
        }
    }
}

/// A host that is not a master candidate has no configuration of Ganeti's. If it is a node, it has the list of the
/// nodes. If it is not a node, two names that cannot belong to one node contradict each other.
#[test]
fn another_node_is_not_fenced_where_ganetis_configuration_is_not() {
    let list = Some("n1.lab\nn2.lab\nn3.lab\n");
    for (lines, list, is_fenced) in [
        ("nodename=n3.lab\nplug=n2.lab", list, false),
        ("nodename=n3\nplug=n2", list, false),
        ("nodename=n2\nplug=n2.lab", list, true),
        // Pacemaker's own name of the node, which pcmk_host_map maps.
        ("nodename=uname-of-n2\nplug=n2.lab", list, true),
        ("nodename=n2\nplug=n2.lab", Some("n2.lab\nn2.example\n"), true),
        ("nodename=n2.example\nplug=n2.lab", Some("n2.lab\nn2.example\n"), false),
        ("nodename=n3.lab\nplug=n2.lab", None, false),
        ("nodename=n2.example\nplug=n2.lab", None, false),
        ("nodename=uname-of-n2\nplug=n2.lab", None, false),
        ("nodename=N2\nplug=n2.lab", None, true),
        ("nodename=n2.lab\nplug=n2.lab", None, true),
        ("plug=n2.lab", None, true),
    ] {
        for action in ["off", "reboot"] {
            let cluster = Cluster::new();
            std::fs::remove_file(cluster.path("data/config.data")).unwrap();
            list.iter().for_each(|list| std::fs::write(cluster.path("data/ssconf_node_list"), list).unwrap());
            let program = cluster.path("oob").display().to_string();
            let ran = cluster.pacemaker(&format!("action={action}\n{lines}\noob_program={program}"));
            if is_fenced {
                ran.succeeded();
                assert_eq!(cluster.called("power-off n2.lab"), 1, "{lines}");
            } else {
                let meant = lines.split(['=', '\n']).nth(1).unwrap();
                ran.failed(&[&format!("Pacemaker names {meant}"), "the fence device n2", "pcmk_host_map"]);
                assert!(cluster.calls().is_empty(), "{lines}: {list:?}");
            }
        }
    }
}

/// FenceAgentAPI.md: unknown arguments are ignored, `#` begins a comment, the last line of a key wins, and the case of
/// the action does not matter. fence-agents' library strips a pair of quotes.
#[test]
fn the_rules_of_the_api_hold() {
    for lines in [
        "pcmk_host_map=a:b\nCRM_meta_timeout=20000\nfuture_key=x=y=z\naction=off\nplug=n2.lab",
        "# plug=n3.lab\n\nno equals sign\naction=off\nplug=n2.lab",
        "action=status\nplug=n3.lab\naction=off\nplug=n2.lab",
        "action=OFF\nplug=n2.lab",
        "action=\"off\"\nplug=\"n2.lab\"",
        "action=off\r\nplug=n2.lab\r\n",
        "stonith-status-sleep=0.05\naction=off\nplug=n2.lab",
    ] {
        let cluster = Cluster::new();
        cluster.pacemaker(lines).succeeded();
        assert_eq!((cluster.power("n2.lab"), cluster.power("n3.lab")), ("off".into(), "on".into()), "{lines}");
    }
}

/// fence-agents' library strips each line (`fencing.py`, `_parse_input_stdin`). A here-document that is indented, or
/// has blanks at a line's end, works with every other agent.
#[test]
fn blanks_around_a_line_do_not_count() {
    let cluster = Cluster::new();
    cluster.pacemaker("  action=off \n\tplug=n2.lab\t\n  # plug=n3.lab").succeeded();
    assert_eq!((cluster.power("n2.lab"), cluster.power("n3.lab")), ("off".into(), "on".into()));
}

/// FenceAgentAPI.md: without an action the agent reboots.
#[test]
fn without_an_action_it_reboots() {
    let cluster = Cluster::new();
    cluster.pacemaker("plug=n2.lab").succeeded().printed("Success: Rebooted\n");
    assert_eq!((cluster.called("power-off n2.lab"), cluster.called("power-on n2.lab")), (1, 1));
}

/// Pacemaker searches stderr for the word to report "not supported" instead of a plain error (`stonith__result2rc`).
#[test]
fn an_unknown_action_is_unrecognised() {
    let cluster = Cluster::new();
    for action in ["diag", "power-off", "", "off;reboot", "offf"] {
        let ran = cluster.pacemaker(&format!("action={action}\nplug=n2.lab"));
        ran.failed(&["Unrecognised action", action, "use one of on, off"]);
    }
    cluster.person(&["-o", "diag", "-n", "n2.lab"]).failed(&["Unrecognised action 'diag'"]);
    assert!(cluster.calls().is_empty());
}

/// A wrong value never becomes a default: an administrator relies on the limit.
#[test]
fn a_wrong_value_touches_nothing_and_names_its_option() {
    for (name, value) in [
        ("deadline", "soon"),
        ("delay", "-1"),
        ("minimum_grade", "unknown"),
        ("missing_as_off", "maybe"),
        ("retry_on", "1.5"),
        ("deadline", "0"),
    ] {
        let cluster = Cluster::new();
        let ran = cluster.pacemaker(&format!("action=off\nplug=n2.lab\n{name}={value}"));
        ran.failed(&[name, value]);
        assert!(cluster.calls().is_empty() && cluster.receipt_log().is_empty(), "{name}={value}");
    }
}

/// Pacemaker's pipe cuts at 64 KiB (`lib/services/services_linux.c`). Complete input is accepted. Input that may be cut
/// is an error, as the missing lines may be essential.
#[test]
fn stdin_is_taken_up_to_what_a_pipe_holds() {
    const LIMIT: usize = 64 * 1024;
    let cluster = Cluster::new();
    let begin = format!("{}action=off\nplug=n2.lab\n#", cluster.settings());
    let full = format!("{begin}{}\n", "x".repeat(LIMIT - begin.len() - 1));
    feed(pacemakers_command(), full.as_bytes()).succeeded();

    let cluster = Cluster::new();
    for more in ["x".repeat(LIMIT), "x\n".repeat(4 * LIMIT)] {
        let ran = cluster.pacemaker(&format!("action=off\nplug=n2.lab\n#{more}"));
        ran.failed(&["65536 bytes"]);
    }
    assert!(cluster.calls().is_empty());
}

/// An agent that is started without stdin, by hand, by cron or by a broken wrapper, reports an error and never fences.
#[test]
fn no_stdin_at_all_is_a_plain_error() {
    feed(bounded(), b"").failed(&["no node was named"]);
    let cluster = Cluster::new();
    for text in [r#""$0" < /dev/null"#, r#"exec "$0" <&-"#] {
        in_shell(&cluster, text, "").failed(&["no node was named"]);
    }
    assert!(cluster.calls().is_empty());
}

/// Bytes that are not text are an error where they matter, and are ignored elsewhere.
#[test]
fn bytes_that_are_no_text_get_to_no_program() {
    let cluster = Cluster::new();
    let mut input = cluster.settings().into_bytes();
    input.extend(b"action=off\nplug=n2.lab\xff\n");
    feed(pacemakers_command(), &input).failed(&["not a valid node name"]);
    assert!(cluster.calls().is_empty());

    let mut input = cluster.settings().into_bytes();
    input.extend(b"\xff\xfe\x00=\x00\naction=off\nplug=n2.lab\n");
    feed(pacemakers_command(), &input).succeeded();
}
