//! Output that is full, closed or gone: a fencing that is done stays a success, and no fencing is interrupted.

mod common;

use common::{Cluster, in_shell};

const OFF: &str = "action=off\nplug=n2.lab";

/// Fencing needs no reader of its output.
#[test]
fn closed_and_full_streams_stop_no_fencing() {
    for text in [
        r#"exec "$0" < "$1" >&-"#,
        r#"exec "$0" < "$1" 2>&-"#,
        r#"exec "$0" < "$1" >&- 2>&-"#,
        r#"exec "$0" < "$1" > /dev/full"#,
        r#"exec "$0" < "$1" 2> /dev/full"#,
        r#"exec "$0" < "$1" > /dev/full 2> /dev/full"#,
    ] {
        let cluster = Cluster::new();
        let ran = in_shell(&cluster, text, OFF);
        assert_eq!((ran.code, cluster.power("n2.lab")), (Some(0), "off".into()), "{text}: {ran:?}");
        assert_eq!(cluster.receipt()["outcome"], "done", "{text}");
    }
}

/// A failure stays a failure if it cannot be printed.
#[test]
fn closed_and_full_streams_make_no_success() {
    for text in [r#"exec "$0" < "$1" >&- 2>&-"#, r#"exec "$0" < "$1" > /dev/full 2> /dev/full"#] {
        let cluster = Cluster::with_program("exit 1");
        assert_eq!(in_shell(&cluster, text, OFF).code, Some(1), "{text}");
    }
}

/// `fence_ganeti -v ... 2>&1 | head`: the reader ends in the middle, and the fencing continues. The same holds on a
/// full disk.
#[test]
fn verbose_output_without_a_reader_breaks_nothing_off() {
    for text in [
        r#"exec "$0" < "$1" 2> /dev/full"#,
        r#"exec "$0" < "$1" 2>&-"#,
        r#"{ "$0" < "$1"; echo $? > "$1.code"; } 2>&1 | head -n 1 > /dev/null; exit "$(cat "$1.code")""#,
    ] {
        let cluster = Cluster::new();
        let ran = in_shell(&cluster, text, &format!("verbose=1\n{OFF}"));
        assert_eq!((ran.code, cluster.power("n2.lab")), (Some(0), "off".into()), "{text}: {ran:?}");
        assert_eq!(cluster.receipt()["outcome"], "done", "{text}");
    }
}

/// A debug file is a convenience. An option that was left behind must not prevent a fencing when the disk is full or
/// the directory is gone.
#[test]
fn a_debug_file_that_cannot_be_written_stops_no_fencing() {
    for file in ["/dev/full", "/nonexistent/directory/debug"] {
        let cluster = Cluster::new();
        let ran = cluster.pacemaker(&format!("debug_file={file}\n{OFF}"));
        assert_eq!((ran.code, cluster.power("n2.lab")), (Some(0), "off".into()), "{file}: {ran:?}");
    }
}

/// The debug file has the steps, and stderr has nothing more than without it.
#[test]
fn a_debug_file_holds_the_steps() {
    let cluster = Cluster::new();
    let file = cluster.path("debug");
    cluster.pacemaker(&format!("debug={}\n{OFF}", file.display())).succeeded();
    assert!(cluster.text("debug").contains("power-off"), "{}", cluster.text("debug"));
}

/// `quiet` leaves only the exit code, which is what Pacemaker uses.
#[test]
fn quiet_says_nothing_and_fails_all_the_same() {
    let ran = Cluster::with_program("exit 1").pacemaker(&format!("quiet=1\n{OFF}"));
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(1), "", ""));
}
