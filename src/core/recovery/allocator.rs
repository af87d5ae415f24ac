//! Placement by Ganeti's allocator hail: which of a dead host's instances starts where, in one run for all of them. Pure:
//! [`request`] prints hail's input and this file parses its output; the caller runs the program.
//!
//! hail reads one JSON document and prints one line (`src/Ganeti/HTools/Program/Hail.hs`, `Backend/IAlloc.hs`). It needs
//! no daemon and changes nothing. An input that it cannot parse ends it with exit code 1 and a text on stderr.

pub mod request;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::instance::InstanceName;
use crate::core::node::NodeName;
use crate::core::text::one_line;

/// The path of hail in Ganeti's packages.
pub const HAIL: &str = "/usr/lib/ganeti/iallocators/hail";

/// The greatest length of hail's words in a message, in characters.
const MESSAGE_LIMIT: usize = 300;

/// Whether the allocator was asked, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllocatorState {
    /// The allocator was not asked yet.
    NotAsked,
    /// The new nodes that hail has chosen, and its reasons where it chose none.
    Answered(HailAnswer),
    /// The allocator cannot be used.
    Failed(AllocatorError),
}

/// hail's answer for all instances of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HailAnswer {
    /// The new primary node of each instance that has room.
    pub moved: BTreeMap<InstanceName, NodeName>,
    /// hail's reason for each instance that has none.
    pub failed: BTreeMap<InstanceName, String>,
}

/// The reason why the allocator has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocatorError {
    /// The program is not installed.
    #[error("the allocator {HAIL} is not installed (package ganeti-htools)")]
    Missing,
    /// The program could not be run: this text of the system.
    #[error("the allocator cannot be run: {0}")]
    NotRun(String),
    /// The program did not end in time.
    #[error("the allocator did not end in time")]
    TimedOut,
    /// The program ended with this exit code (or a signal) and this text.
    #[error("the allocator failed (exit code {}): {text}", code.map_or_else(|| "none".to_owned(), |code| code.to_string()))]
    Failed {
        /// The exit code; `None` after a signal.
        code: Option<i32>,
        /// The text on stderr, as one line.
        text: String,
    },
    /// The output is not an answer.
    #[error("the allocator's answer cannot be parsed: {0}")]
    Answer(String),
    /// The allocator reports that the request failed.
    #[error("the allocator reports: {0}")]
    Unsuccessful(String),
    /// The input for the allocator could not be made.
    #[error(transparent)]
    Request(#[from] request::RequestError),
}

impl HailAnswer {
    /// Adds the answer to another request.
    pub fn extend(&mut self, other: Self) {
        self.moved.extend(other.moved);
        self.failed.extend(other.failed);
    }
}

#[derive(Deserialize)]
struct RawAnswer {
    success: bool,
    #[serde(default)]
    info: String,
    #[serde(default)]
    result: Value,
}

/// The result of `node-evacuate`: moved, failed, and jobs, which are not used.
type RawResult = (Vec<(InstanceName, String, Vec<NodeName>)>, Vec<(InstanceName, Option<String>)>, Value);

/// Parses what the program left: its exit code (`None` after a signal), stdout and stderr.
///
/// # Errors
/// [`AllocatorError`] if the program failed or its output is not a complete answer.
pub fn answer(code: Option<i32>, stdout: &[u8], stderr: &[u8]) -> Result<HailAnswer, AllocatorError> {
    if code != Some(0) {
        let text = one_line(&String::from_utf8_lossy(stderr), MESSAGE_LIMIT);
        return Err(AllocatorError::Failed { code, text });
    }
    let unreadable = |error: serde_json::Error| AllocatorError::Answer(one_line(&error.to_string(), MESSAGE_LIMIT));
    let raw: RawAnswer = serde_json::from_slice(stdout).map_err(unreadable)?;
    if !raw.success {
        return Err(AllocatorError::Unsuccessful(one_line(&raw.info, MESSAGE_LIMIT)));
    }
    let (moved, failed, _): RawResult = serde_json::from_value(raw.result).map_err(unreadable)?;
    let mut answer = HailAnswer::default();
    for (instance, _, nodes) in moved {
        let Some(primary) = nodes.into_iter().next() else {
            return Err(AllocatorError::Answer(format!("{instance} has no node")));
        };
        answer.moved.insert(instance, primary);
    }
    for (instance, reason) in failed {
        let reason = one_line(&reason.unwrap_or_default(), MESSAGE_LIMIT);
        answer.failed.insert(instance, reason);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of hail 3.0.2 to seven instances of a dead host, jobs shortened.
    const ANSWER: &str = r#"{"success":true,"info":"Request successful: 3 instances failed to move and 4 were moved successfully","result":[[["a-drbd","default",["n2","n1"]],["b-ext","default",["n3"]],["c-less","default",["n3"]],["f-shared","default",["n2"]]],[["d-plain","Instances of type plain cannot be relocated"],["e-file","Instances of type file cannot be relocated"],["h-big","Can't find any good node:  Node n2 failed: FailMem; Node n3 failed: FailMem;"]],[[{"OP_ID":"OP_INSTANCE_MIGRATE","instance_name":"a-drbd"}]]]}"#;

    #[test]
    fn an_answer_of_hail_is_parsed() {
        let answer = answer(Some(0), ANSWER.as_bytes(), b"Warning: cluster has inconsistent data:").unwrap();
        let moved: Vec<(&str, &str)> =
            answer.moved.iter().map(|(instance, node)| (instance.as_str(), node.as_str())).collect();
        assert_eq!(moved, [("a-drbd", "n2"), ("b-ext", "n3"), ("c-less", "n3"), ("f-shared", "n2")]);
        let failed: Vec<&str> = answer.failed.keys().map(InstanceName::as_str).collect();
        assert_eq!(failed, ["d-plain", "e-file", "h-big"]);
        assert!(answer.failed[&InstanceName::new("h-big").unwrap()].contains("FailMem"));
    }

    #[test]
    fn a_failing_hail_is_an_error_with_its_words() {
        let text = b"Error: Wrong number of elems found with name nix\n\x1b[31m";
        let failed = answer(Some(1), b"", text).unwrap_err();
        assert_eq!(
            failed.to_string(),
            "the allocator failed (exit code 1): Error: Wrong number of elems found with name nix; \\u001b[31m"
        );
        assert!(matches!(answer(None, ANSWER.as_bytes(), b""), Err(AllocatorError::Failed { code: None, .. })));
    }

    #[test]
    fn a_part_of_an_answer_is_an_error() {
        for bad in [
            &ANSWER[..200],
            "",
            "{}",
            r#"{"success":true,"result":[]}"#,
            r#"{"success":true,"result":[[["a","g",[]]],[],[]]}"#,
        ] {
            assert!(matches!(answer(Some(0), bad.as_bytes(), b""), Err(AllocatorError::Answer(_))), "{bad}");
        }
        let no = br#"{"success":false,"info":"no","result":[]}"#;
        assert_eq!(answer(Some(0), no, b""), Err(AllocatorError::Unsuccessful("no".to_owned())));
    }
}
