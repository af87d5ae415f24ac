//! Ganeti's ssconf files: any bytes are not text, or lines of which only valid names and addresses are accepted.
#![no_main]

use gnt_ha::core::ganeti::ssconf::{addresses, lines, master, name_addresses, names};
use gnt_ha::core::ganeti::tags::{Tags, unknown};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(lines) = lines(bytes) else {
        assert!(std::str::from_utf8(bytes).is_err());
        return;
    };
    assert!(lines.iter().all(|line| !line.is_empty() && !line.contains('\n')));
    // The name that is read as master is in the first line, letter by letter.
    if let Ok(Some(master)) = master(&lines) {
        assert_eq!(lines.first().map(String::as_str), Some(master.as_str()));
    }
    if let Ok(names) = names(&lines) {
        assert_eq!(names.len(), lines.len());
    }
    assert!(addresses(&lines).len() <= lines.len());
    for (name, _) in name_addresses(&lines) {
        assert!(lines.iter().any(|line| line.starts_with(name.as_str())));
    }
    let tags = || lines.iter().map(String::as_str);
    let _ = (Tags::read(tags()), unknown(tags()));
});
