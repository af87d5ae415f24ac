//! Decides which nodes a rule is for, by its name or pattern; touches nothing.

use std::fmt;

use crate::core::node::{BadNodeName, NodeName};

/// The exact name of a node, or a pattern with `*` (any characters) and `?` (one character).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Returns the pattern, if its characters are those of a node's name, `*` and `?`.
    ///
    /// # Errors
    /// [`BadNodeName`] if other characters are in the text.
    pub fn new(text: &str) -> Result<Self, BadNodeName> {
        let plain: String = text.chars().map(|c| if matches!(c, '*' | '?') { 'x' } else { c }).collect();
        NodeName::new(&plain)?;
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Returns the node, if this is a name and not a pattern.
    #[must_use]
    pub fn exact(&self) -> Option<NodeName> {
        NodeName::new(&self.0).ok()
    }

    /// Returns whether the rule is for `node`. Case does not count.
    #[must_use]
    pub fn matches(&self, node: &NodeName) -> bool {
        glob(self.0.as_bytes(), node.as_str().to_ascii_lowercase().as_bytes())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Matches iteratively, in at most `pattern * text` steps.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let hits =
            [("n*.lab", "n12.lab"), ("*", "x"), ("rack1-?", "rack1-7"), ("N1.LAB", "n1.lab"), ("a*b*c", "axxbyyc")];
        for (pattern, node) in hits {
            assert!(Pattern::new(pattern).unwrap().matches(&NodeName::new(node).unwrap()), "{pattern} {node}");
        }
        for (pattern, node) in [("n?.lab", "n12.lab"), ("n1", "n1.lab"), ("a*b", "abc")] {
            assert!(!Pattern::new(pattern).unwrap().matches(&NodeName::new(node).unwrap()), "{pattern} {node}");
        }
    }

    #[test]
    fn a_pattern_holds_no_more_than_a_name_could() {
        assert!(Pattern::new("n[12]").is_err());
        assert!(Pattern::new("../*").is_err());
        assert!(Pattern::new("n1.lab").unwrap().exact().is_some());
        assert!(Pattern::new("n*").unwrap().exact().is_none());
    }
}
