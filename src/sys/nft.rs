//! Runs `nft` with its JSON format (libnftables-json(5)). Each call is one transaction: the kernel applies all commands
//! or none.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::clock::Deadline;
use super::command::child::{ChildProcess, End};
use super::command::{ProgramError, run};

/// The name of the program.
const NFT: &str = "nft";

/// The most bytes that are read of a listing: enough for about 200,000 addresses.
const LISTING_MOST: usize = 16 * 1024 * 1024;

/// Applies commands in one transaction.
///
/// # Errors
/// [`ProgramError`] if `nft` fails; nothing was changed then.
pub fn apply(commands: &[Value], deadline: Deadline) -> Result<(), ProgramError> {
    let input = json!({ "nftables": commands }).to_string();
    run(Path::new(NFT), &["--json", "--file", "-"], input.as_bytes(), deadline).map(drop)
}

/// Returns the objects of a table in the kernel, with their handles; `None` if there is no such table.
///
/// # Errors
/// [`ProgramError`] if `nft` fails; the content of the kernel is unknown then.
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
        output_limit: LISTING_MOST,
    };
    let ended = job.run().map_err(|error| ProgramError::Start { program: NFT.into(), error })?;
    let output = String::from_utf8_lossy(&ended.stderr).trim().replace('\n', "; ");
    match ended.end {
        End::Exited(0) if !ended.flooded => {}
        // nft(8) has one exit code for every failure: only the kernel's error text distinguishes an absent table.
        End::Exited(_) if output.contains("No such file or directory") => return Ok(None),
        End::TimedOut => return Err(ProgramError::TimedOut { what, seconds: given.as_secs_f64(), output }),
        End::Exited(code) | End::Killed(code) => return Err(ProgramError::Failed { what, code, output }),
    }
    let bad = |why: &str| ProgramError::Failed { what: what.clone(), code: 0, output: why.to_owned() };
    let mut listing: Value = serde_json::from_slice(&ended.stdout).map_err(|error| bad(&error.to_string()))?;
    match listing.get_mut("nftables").map(Value::take) {
        Some(Value::Array(objects)) => Ok(Some(objects)),
        _ => Err(bad("it lists nothing")),
    }
}
pub mod shun_table;
pub mod unreachable;
