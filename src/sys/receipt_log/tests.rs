//! Tests the receipt log on a file system: torn lines, full disks, rotation, and readers beside a writer.

use super::*;
use crate::core::receipt::tests::{intent, receipt};
use std::os::unix::fs::PermissionsExt;

fn empty_log() -> (tempfile::TempDir, ReceiptLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = ReceiptLog::new(&dir.path().join("state"));
    (dir, log)
}

#[test]
fn entries_are_read_back_in_order_and_closed_to_others() {
    let (_dir, log) = empty_log();
    let entries = [LogEntry::Intent(intent("a", "n1")), LogEntry::Receipt(receipt("a", "n1"))];
    for entry in &entries {
        log.append(entry).unwrap();
    }
    assert_eq!(log.read().unwrap().entries, entries);
    let mode = std::fs::metadata(log.current()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A file without end, written by another program, must not fill the memory. The error names it, as its receipts
/// are unknown.
#[test]
fn a_receipt_log_beyond_the_limit_is_an_error_with_its_name() {
    let (_dir, log) = empty_log();
    log.append(&LogEntry::Intent(intent("a", "n1"))).unwrap();
    File::create(log.rotated(2)).unwrap().set_len(MAX_BYTES + 1).unwrap();
    let errors = [log.read().map(drop), log.read_last(1, None).map(drop)];
    for error in errors.map(|result| result.unwrap_err().to_string()) {
        assert!(error.contains("receipts.2.jsonl: it has more than 67108864 bytes"), "{error}");
    }
    log.append(&LogEntry::Intent(intent("b", "n1"))).unwrap();
}

/// A power cut tears the last line at any byte: no entry before it or after it may be lost.
#[test]
fn a_torn_last_line_is_recovered_at_every_byte() {
    let whole = LogEntry::Receipt(receipt("b", "n1")).to_line().unwrap();
    for cut in 1..whole.len() {
        let (_dir, log) = empty_log();
        log.append(&LogEntry::Intent(intent("a", "n1"))).unwrap();
        let mut file = OpenOptions::new().append(true).open(log.current()).unwrap();
        file.write_all(&whole.as_bytes()[..cut]).unwrap();
        log.append(&LogEntry::Intent(intent("c", "n1"))).unwrap();
        let contents = log.read().unwrap();
        assert_eq!(contents.entries, [LogEntry::Intent(intent("a", "n1")), LogEntry::Intent(intent("c", "n1"))]);
        assert_eq!(contents.unreadable.len(), 1, "cut at {cut}");
    }
}

#[test]
fn rotated_files_are_still_read() {
    let (_dir, mut log) = empty_log();
    log.rotate_at = 600;
    for n in 0..8 {
        log.append(&LogEntry::Intent(intent(&n.to_string(), "n1"))).unwrap();
    }
    assert!(log.rotated(2).exists());
    let ids: Vec<String> = log
        .read()
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| match entry {
            LogEntry::Intent(intent) => intent.id,
            LogEntry::Receipt(receipt) => receipt.id,
        })
        .collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

/// With a full disk, the error names the file, and no half line counts as an entry.
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::symlink("/dev/full", state.join("receipts.jsonl")).unwrap();
    let error = ReceiptLog::new(&state).append(&LogEntry::Intent(intent("a", "n1"))).unwrap_err().to_string();
    assert!(error.contains("receipts.jsonl") && error.contains("No space left"), "{error}");
}

/// A receipt that the disk does not accept can be read until the next boot, and moves to the disk once there is
/// room. Otherwise a fencing on a host with a full disk is never recorded.
#[test]
fn what_the_disk_does_not_accept_is_read_until_the_next_boot() {
    let (dir, log) = empty_log();
    let state = dir.path().join("state");
    std::fs::write(&state, "").unwrap();
    let entries = [LogEntry::Intent(intent("a", "n1")), LogEntry::Receipt(receipt("a", "n1"))];
    for entry in &entries {
        log.append(entry).unwrap_err();
        log.append_until_boot(entry).unwrap();
    }
    assert_eq!(log.read().unwrap().entries, entries);
    assert_eq!(log.read_last(1, None).unwrap().0.entries, entries);
    std::fs::remove_file(&state).unwrap();
    let next = LogEntry::Intent(intent("b", "n1"));
    log.append(&next).unwrap();
    let all: Vec<LogEntry> = entries.iter().cloned().chain([next]).collect();
    assert_eq!(log.read().unwrap().entries, all, "each of them once");
    std::fs::remove_dir_all(store::until_boot(&state)).unwrap();
    assert_eq!(log.read().unwrap().entries, all, "on the disk");
}

#[test]
fn the_last_actions_come_with_their_parts() {
    let (_dir, log) = empty_log();
    for id in ["a", "b", "c"] {
        log.append(&LogEntry::Intent(intent(id, if id == "b" { "n2.lab" } else { "n1.lab" }))).unwrap();
        let mut part = intent(&format!("{id}1"), if id == "b" { "n2.lab" } else { "n1.lab" });
        part.requested_by.request = Some(id.to_owned());
        log.append(&LogEntry::Intent(part)).unwrap();
        log.append(&LogEntry::Receipt(receipt(id, "n1.lab"))).unwrap();
    }
    let ids = |(contents, older): (Contents, usize)| {
        let ids = contents.entries.iter().map(|entry| match entry {
            LogEntry::Intent(intent) => intent.id.clone(),
            LogEntry::Receipt(receipt) => format!("{}!", receipt.id),
        });
        (ids.collect::<Vec<_>>().join(" "), older)
    };
    assert_eq!(ids(log.read_last(1, None).unwrap()), ("c c1 c!".to_owned(), 2));
    let n2 = NodeName::new("n2").unwrap();
    assert_eq!(ids(log.read_last(9, Some(&n2)).unwrap()), ("b b1 b!".to_owned(), 0));
    let each = log.read_last_of_each().unwrap();
    assert_eq!(ids((each, 0)).0, "b b1 b! c c1 c!", "n2.lab and n1.lab");
    // The clock was set back; and a newer build wrote of an action that this one cannot read.
    let mut before = intent("d", "n2.lab");
    before.at.wall_ms -= 1;
    log.append(&LogEntry::Intent(before)).unwrap();
    let newer =
        r#"{"version":99,"kind":"intent","id":"e","node":"n2.lab","at":{"wall_ms":9999999999999,"boottime_ms":1}}"#;
    let changed = r#"{"version":99,"kind":"intent","id":"f","node":"n2.lab","at":"2026-01-01T00:00:00Z"}"#;
    let mut file = OpenOptions::new().append(true).open(log.current()).unwrap();
    writeln!(file, "{newer}\n{changed}").unwrap();
    let each = log.read_last_of_each().unwrap();
    assert_eq!(each.unreadable, [""; 0]);
    assert_eq!(ids((each, 0)).0, "b b1 b! c c1 c!");
}

fn ids(snapshot: &Snapshot) -> Vec<String> {
    let mut ids = Vec::new();
    snapshot.scan(|_, line| ids.push(Head::from_line(line).unwrap().id)).unwrap();
    ids
}

/// A slow reader does not delay an append, and sees the entries of the moment at which it began.
#[test]
fn a_reader_delays_no_append() {
    let (_dir, mut log) = empty_log();
    log.rotate_at = 600;
    for n in 0..3 {
        log.append(&LogEntry::Intent(intent(&n.to_string(), "n1"))).unwrap();
    }
    let snapshots = [log.snapshot().unwrap(), log.snapshot().unwrap()];
    for n in 3..5 {
        log.append(&LogEntry::Intent(intent(&n.to_string(), "n1"))).unwrap();
    }
    for snapshot in snapshots {
        assert_eq!(ids(&snapshot), ["0", "1", "2"]);
    }
    assert_eq!(ids(&log.snapshot().unwrap()).len(), 5);
}

/// Four readers of a large receipt log once lost 4 of 204 receipts: an append gave up after one second.
#[test]
fn no_append_is_lost_while_others_read() {
    let (_dir, log) = empty_log();
    for n in 0..200 {
        log.append(&LogEntry::Receipt(receipt(&n.to_string(), "n1"))).unwrap();
    }
    // As many entries as a receipt log keeps.
    let text = std::fs::read(log.current()).unwrap();
    for n in 1..=ROTATED_FILES {
        let times = usize::try_from(ROTATE_AT).unwrap() / text.len() / 4;
        std::fs::write(log.rotated(n), text.repeat(times)).unwrap();
    }
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(order) {
                    log.read().unwrap();
                }
            });
        }
        let appended: Vec<_> = (0..20).map(|_| log.append(&LogEntry::Intent(intent("a", "n1")))).collect();
        is_over.store(true, order);
        assert!(appended.iter().all(Result::is_ok), "{appended:?}");
    });
}

#[test]
fn an_absent_receipt_log_has_no_entries() {
    let (_dir, log) = empty_log();
    assert!(log.read().unwrap().entries.is_empty());
}
