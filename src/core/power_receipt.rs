//! What a receipt tells of a fencing, as hosts tell it to each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::grade::Grade;
use super::node::NodeName;
use super::receipt::{Action, Outcome};

/// The most receipts of a node that a host tells and is believed about.
pub const EACH_MOST: usize = 8;

/// The most nodes that a question may be about.
pub const NODES_MOST: usize = 16;

/// The most bytes of a receipt's id, and of what it names.
const TEXT_MOST: usize = 200;

/// An action that touched the node's power: fenced by one of our programs, through Pacemaker or by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerReceipt {
    /// The id of its intent and its receipt.
    pub id: String,
    /// What was asked for.
    pub action: Action,
    /// How it ended; unknown for one that left no receipt.
    pub outcome: Outcome,
    /// What it proves.
    pub grade: Grade,
    /// Whose word that is.
    pub proven_by: String,
    /// When it ended, in milliseconds since 1970, by the clock of the host that did it; when it began, for one that left no
    /// receipt.
    pub ended_ms: u64,
    /// Pacemaker's fencer asked for it; else a person or Ganeti did.
    pub by_fencer: bool,
    /// It left no receipt: it was interrupted, or still runs. No host tells another of one.
    #[serde(skip)]
    pub unfinished: bool,
}

/// What is taken of such an answer at all: of the nodes that were asked about, bounded, and nothing that is no receipt of a fencing.
#[must_use]
pub fn believed(
    said: BTreeMap<NodeName, Vec<PowerReceipt>>,
    asked: &[NodeName],
) -> BTreeMap<NodeName, Vec<PowerReceipt>> {
    let is_one = |removal: &PowerReceipt| {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        removal.by_fencer
            && (1..=TEXT_MOST).contains(&removal.id.len())
            && removal.id.bytes().all(is_id)
            && removal.proven_by.len() <= TEXT_MOST
            && !removal.proven_by.chars().any(char::is_control)
    };
    let of_one = |(node, mut told): (NodeName, Vec<PowerReceipt>)| {
        told.truncate(EACH_MOST);
        told.retain(is_one);
        (node, told)
    };
    said.into_iter().filter(|(node, _)| asked.contains(node)).map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(id: &str, ended_ms: u64, grade: Grade) -> PowerReceipt {
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

    /// Sizes and texts are bounded before anything is made of them; what was not asked for is nothing.
    #[test]
    fn an_answer_is_bounded() {
        let (n2, n3) = (NodeName::new("n2.lab").unwrap(), NodeName::new("n3.lab").unwrap());
        let many: Vec<PowerReceipt> = (0..100).map(|n| removal(&format!("a-{n}"), n, Grade::Off)).collect();
        let taken = believed([(n3.clone(), many.clone()), (n2, many)].into(), std::slice::from_ref(&n3));
        assert_eq!(
            taken.into_iter().map(|(node, told)| (node, told.len())).collect::<Vec<_>>(),
            [(n3.clone(), EACH_MOST)]
        );
        for bad in [
            PowerReceipt { id: String::new(), ..removal("a", 1, Grade::Off) },
            PowerReceipt { id: "a\u{1b}".to_owned(), ..removal("a", 1, Grade::Off) },
            PowerReceipt { id: "a".repeat(TEXT_MOST + 1), ..removal("a", 1, Grade::Off) },
            PowerReceipt { proven_by: "\u{1b}]0;x".to_owned(), ..removal("a", 1, Grade::Off) },
            PowerReceipt { proven_by: "x".repeat(TEXT_MOST + 1), ..removal("a", 1, Grade::Off) },
            PowerReceipt { by_fencer: false, ..removal("a", 1, Grade::Off) },
        ] {
            let taken = believed([(n3.clone(), vec![bad.clone()])].into(), std::slice::from_ref(&n3));
            assert!(taken[&n3].is_empty(), "{bad:?}");
        }
    }
}
