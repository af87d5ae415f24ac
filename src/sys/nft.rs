//! nftables, through its own program's JSON (libnftables-json(5)): one transaction, of which the kernel takes all or nothing.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::clock::Deadline;
use super::command::child::{ChildProcess, End};
use super::command::{ProgramError, run};

/// The program.
const NFT: &str = "nft";

/// The most that is read of a listing, in bytes: some 200,000 addresses.
const LISTING: usize = 16 * 1024 * 1024;

/// Carries out commands, in one transaction.
///
/// # Errors
/// [`ProgramError`]; nothing was changed then.
pub fn apply(commands: &[Value], deadline: Deadline) -> Result<(), ProgramError> {
    let input = json!({ "nftables": commands }).to_string();
    run(Path::new(NFT), &["--json", "--file", "-"], input.as_bytes(), deadline).map(drop)
}

/// A table as the kernel has it, with handles, a list of objects; none if there is no such table.
///
/// # Errors
/// [`ProgramError`]: what the kernel has is not known then.
pub fn list(family: &str, table: &str, deadline: Deadline) -> Result<Option<Vec<Value>>, ProgramError> {
    let words = ["--json", "--handle", "list", "table", family, table];
    let arguments = words.map(OsStr::new);
    let what = format!("{NFT} {}", words.join(" "));
    let given = deadline.left();
    let job = ChildProcess {
        program: Path::new(NFT),
        arguments: &arguments,
        stdin: &[],
        environment: &[],
        without: &[],
        guarded: false,
        deadline,
        linger: Duration::from_millis(100),
        output_limit: LISTING,
    };
    let ended = job.run().map_err(|error| ProgramError::Start { program: NFT.into(), error })?;
    let said = String::from_utf8_lossy(&ended.stderr).trim().replace('\n', "; ");
    match ended.end {
        End::Exited(0) if !ended.flooded => {}
        // nft(8) has one exit code for everything: only the kernel's word tells an absent table from another failure.
        End::Exited(_) if said.contains("No such file or directory") => return Ok(None),
        End::TimedOut => return Err(ProgramError::TimedOut { what, seconds: given.as_secs_f64(), said }),
        End::Exited(code) | End::Killed(code) => return Err(ProgramError::Failed { what, code, said }),
    }
    let bad = |why: &str| ProgramError::Failed { what: what.clone(), code: 0, said: why.to_owned() };
    let mut listing: Value = serde_json::from_slice(&ended.stdout).map_err(|error| bad(&error.to_string()))?;
    match listing.get_mut("nftables").map(Value::take) {
        Some(Value::Array(objects)) => Ok(Some(objects)),
        _ => Err(bad("it lists nothing")),
    }
}
pub mod shun_table;
pub mod unreachable;
