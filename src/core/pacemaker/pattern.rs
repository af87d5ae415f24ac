//! Patterns of node names (`target-pattern` of a fencing level): POSIX extended regular expressions, as far as node
//! names need them. Pure. For a pattern that uses more (groups, counts, named classes) the result is unknown.

/// One element of a pattern, which is compared with a character or a position.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Atom {
    Any,
    Start,
    End,
    Is(char),
    In { ranges: Vec<(char, char)>, negated: bool },
}

/// An atom with the number of times that it may occur.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    atom: Atom,
    least: usize,
    most: usize,
}

/// The greatest number of steps of one comparison.
const STEPS_MOST: usize = 20_000;

/// Returns whether a part of the name matches the pattern (`regexec(3)`, case counts); `None` if that is unknown.
pub(super) fn matches(pattern: &str, name: &str) -> Option<bool> {
    let options: Vec<Vec<Piece>> = pattern.split('|').map(pieces).collect::<Option<_>>()?;
    let name: Vec<char> = name.chars().collect();
    let mut steps = STEPS_MOST;
    for option in &options {
        for start in 0..=name.len() {
            if follows(option, &name, start, &mut steps)? {
                return Some(true);
            }
        }
    }
    Some(false)
}

fn pieces(pattern: &str) -> Option<Vec<Piece>> {
    let mut found: Vec<Piece> = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        let atom = match next {
            '(' | ')' | '{' | '}' => return None,
            '*' | '+' | '?' => {
                let piece = found.last_mut().filter(|piece| (piece.least, piece.most) == (1, 1))?;
                if matches!(piece.atom, Atom::Start | Atom::End) {
                    return None;
                }
                piece.least = usize::from(next == '+');
                piece.most = if next == '?' { 1 } else { usize::MAX };
                continue;
            }
            '.' => Atom::Any,
            '^' => Atom::Start,
            '$' => Atom::End,
            '\\' => Atom::Is(rest.next().filter(|next| !next.is_ascii_alphanumeric())?),
            '[' => class(&mut rest)?,
            other => Atom::Is(other),
        };
        found.push(Piece { atom, least: 1, most: 1 });
    }
    Some(found)
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Atom> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        let first = rest.next()?;
        match first {
            ']' if !ranges.is_empty() => return Some(Atom::In { ranges, negated }),
            '[' => return None,
            _ => {}
        }
        let mut last = first;
        if rest.next_if_eq(&'-').is_some() {
            match rest.peek()? {
                ']' => ranges.push(('-', '-')),
                _ => last = rest.next()?,
            }
        }
        ranges.push((first, last));
    }
}

/// Returns whether the pieces match the name at this place; `None` if the steps are used up.
fn follows(pieces: &[Piece], name: &[char], at: usize, steps: &mut usize) -> Option<bool> {
    *steps = steps.checked_sub(1)?;
    let Some((piece, rest)) = pieces.split_first() else { return Some(true) };
    match piece.atom {
        Atom::Start => return if at == 0 { follows(rest, name, at, steps) } else { Some(false) },
        Atom::End => return if at == name.len() { follows(rest, name, at, steps) } else { Some(false) },
        _ => {}
    }
    let fits = |found: char| match &piece.atom {
        Atom::Any => true,
        Atom::Is(wanted) => found == *wanted,
        Atom::In { ranges, negated } => ranges.iter().any(|(a, z)| (*a..=*z).contains(&found)) != *negated,
        Atom::Start | Atom::End => false,
    };
    let run = name.iter().skip(at).take(piece.most).take_while(|found| fits(**found)).count();
    for count in (piece.least..=run).rev() {
        if follows(rest, name, at + count, steps)? {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_of_node_names() {
        for (pattern, name, expected) in [
            (".*", "n1.lab", true),
            ("", "n1", true),
            ("n1", "n1.lab", true),
            ("^n1$", "n1.lab", false),
            ("^n[1-3]\\.lab$", "n2.lab", true),
            ("^n[^1-3]\\.lab$", "n2.lab", false),
            ("n1|n2", "n2.lab", true),
            ("^rack1-.+", "rack1-a", true),
            ("^rack1-.+", "rack1-", false),
            ("^n1?2$", "n2", true),
            ("N1", "n1", false),
            ("[]x-]", "-", true),
        ] {
            assert_eq!(matches(pattern, name), Some(expected), "{pattern} {name}");
        }
    }

    /// For a pattern that is not understood it is unknown whether it matches.
    #[test]
    fn what_is_not_understood_cannot_be_reported() {
        for pattern in ["(n1|n2)", "n{2}", "[[:alpha:]]", "\\w", "*n", "n**", "[a", "^*"] {
            assert_eq!(matches(pattern, "n1"), None, "{pattern}");
        }
        assert_eq!(matches(&"a*".repeat(40), &"a".repeat(60)), Some(true));
        assert_eq!(matches(&format!("{}b", "a*".repeat(40)), &"a".repeat(60)), None, "too long");
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern in "[a-c.*+?^$\\[\\]|\\\\-]{0,12}", name in "[a-c.-]{0,8}") {
            let _ = matches(&pattern, &name);
        }
    }
}
