//! The receipt of a power action in the form that hosts send to each other, and the limits of what is accepted. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::grade::Grade;
use super::node::NodeName;
use super::receipt::{Action, Outcome};

/// The greatest number of receipts of one node that a host sends and accepts.
pub const EACH_MOST: usize = 8;

/// The greatest number of nodes in one question.
pub const NODES_MOST: usize = 16;

/// The greatest length of a receipt's id and of its `proven_by`, in bytes.
const TEXT_MOST: usize = 200;

/// An action on the node's power by a program of gnt-ha, through Pacemaker or by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerReceipt {
    /// The id of its intent and its receipt.
    pub id: String,
    /// The action on the power that the intent requested; only an off can prove that the node was stopped.
    pub action: Action,
    /// How the action ended; [`Outcome::Unknown`] if it left no receipt.
    pub outcome: Outcome,
    /// How strongly the action proves that the node was stopped.
    pub grade: Grade,
    /// The device, program or person on which the grade rests.
    pub proven_by: String,
    /// When the action ended, in milliseconds since 1970, by the wall clock of the host that did it. Without a receipt:
    /// when it began.
    pub ended_ms: u64,
    /// Whether Pacemaker's fencer requested it; otherwise a user or Ganeti did.
    pub by_fencer: bool,
    /// Whether it left no receipt: it was interrupted, or still runs. Hosts do not send such actions to each other.
    #[serde(skip)]
    pub unfinished: bool,
}

/// Returns what is accepted of a host's answer: receipts of fencings, of the nodes in `asked`, within the limits of
/// number, length and characters.
#[must_use]
pub fn believed(
    answered: BTreeMap<NodeName, Vec<PowerReceipt>>,
    asked: &[NodeName],
) -> BTreeMap<NodeName, Vec<PowerReceipt>> {
    let is_one = |receipt: &PowerReceipt| {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        receipt.by_fencer
            && (1..=TEXT_MOST).contains(&receipt.id.len())
            && receipt.id.bytes().all(is_id)
            && receipt.proven_by.len() <= TEXT_MOST
            && !receipt.proven_by.chars().any(char::is_control)
    };
    let of_one = |(node, mut receipts): (NodeName, Vec<PowerReceipt>)| {
        receipts.truncate(EACH_MOST);
        receipts.retain(is_one);
        (node, receipts)
    };
    answered.into_iter().filter(|(node, _)| asked.contains(node)).map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(id: &str, ended_ms: u64, grade: Grade) -> PowerReceipt {
        let (action, outcome, proven_by) = (Action::Off, Outcome::Done, "bmc".to_owned());
        PowerReceipt {
            id: id.to_owned(),
            action,
            outcome,
            grade,
            proven_by,
            ended_ms,
            by_fencer: true,
            unfinished: false,
        }
    }

    /// Number, length and characters are limited before an answer is used; nodes that were not in the question are left
    /// out.
    #[test]
    fn an_answer_is_bounded() {
        let (n2, n3) = (NodeName::new("n2.lab").unwrap(), NodeName::new("n3.lab").unwrap());
        let many: Vec<PowerReceipt> = (0..100).map(|n| receipt(&format!("a-{n}"), n, Grade::Off)).collect();
        let taken = believed([(n3.clone(), many.clone()), (n2, many)].into(), std::slice::from_ref(&n3));
        assert_eq!(
            taken.into_iter().map(|(node, receipts)| (node, receipts.len())).collect::<Vec<_>>(),
            [(n3.clone(), EACH_MOST)]
        );
        for bad in [
            PowerReceipt { id: String::new(), ..receipt("a", 1, Grade::Off) },
            PowerReceipt { id: "a\u{1b}".to_owned(), ..receipt("a", 1, Grade::Off) },
            PowerReceipt { id: "a".repeat(TEXT_MOST + 1), ..receipt("a", 1, Grade::Off) },
            PowerReceipt { proven_by: "\u{1b}]0;x".to_owned(), ..receipt("a", 1, Grade::Off) },
            PowerReceipt { proven_by: "x".repeat(TEXT_MOST + 1), ..receipt("a", 1, Grade::Off) },
            PowerReceipt { by_fencer: false, ..receipt("a", 1, Grade::Off) },
        ] {
            let taken = believed([(n3.clone(), vec![bad.clone()])].into(), std::slice::from_ref(&n3));
            assert!(taken[&n3].is_empty(), "{bad:?}");
        }
    }
}
