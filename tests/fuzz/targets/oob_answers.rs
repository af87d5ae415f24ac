//! The output of an OOB program: only `"powered": false` may be read as off.
#![no_main]

use gnt_ha::core::ganeti::oob::{parse_health, parse_silence, parse_status, reason_in, start_of};
use gnt_ha::core::grade::Grade;
use gnt_ha::core::power::Power;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(status) = parse_status(bytes) {
        if status.power == Power::Off {
            // A JSON string may have any letter as an escape; the word `false` may not.
            assert!(bytes.windows(5).any(|word| word == b"false"), "an off from nowhere");
            assert_ne!(status.proves(), Grade::Unknown);
        } else {
            assert_eq!(status.proves(), Grade::Unknown, "a node that runs proves nothing");
        }
    }
    let _ = parse_health(bytes);
    assert_eq!(parse_silence(bytes).is_ok(), bytes.is_empty());
    assert!(reason_in(bytes).is_none_or(|reason| !reason.contains('\n')));
    let _ = start_of(bytes);
});
