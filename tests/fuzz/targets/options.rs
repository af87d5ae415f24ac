//! Options on stdin, as Pacemaker gives them: any bytes become typed options or an error of one line.
#![no_main]

use fence_ganeti::input;
use fence_ganeti::options::Options;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(given) = input::from_stdin(bytes) else { return };
    match Options::new(&given) {
        Ok(options) => {
            assert!(!options.action.needs_plug() || !options.plugs.is_empty(), "nothing to act on");
            assert!(options.delay < options.deadline);
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "an error is one line: {error}"),
    }
});
