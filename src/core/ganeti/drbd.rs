//! DRBD options that discard data without asking when both halves of a disk have been written to (drbdsetup(8),
//! `net-options`). Pure.

/// The policies that discard what was written on one side, each with its option. The policies that are left out
/// disconnect, discard nothing that was written (`discard-zero-changes`), or follow the policy for no primary
/// (`consensus`).
const DISCARDING: [(&str, &[&str]); 4] = [
    (
        "after-sb-0pri",
        &[
            "discard-younger-primary",
            "discard-older-primary",
            "discard-least-changes",
            "discard-local",
            "discard-remote",
        ],
    ),
    ("after-sb-1pri", &["discard-secondary", "call-pri-lost-after-sb", "violently-as0p"]),
    ("after-sb-2pri", &["call-pri-lost-after-sb", "violently-as0p"]),
    ("rr-conflict", &["violently"]),
];

/// Returns the options of `net-custom` that discard what was written, as they are in force: of one option the last
/// counts.
#[must_use]
pub fn discarding(options: &str) -> Vec<String> {
    let plain = options.replace(['"', '\''], "").replace('=', " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let value_of = |option: &str| {
        let at = words.iter().rposition(|word| word.trim_start_matches('-') == option)?;
        words.get(at + 1).copied()
    };
    let found = DISCARDING.iter().filter_map(|(option, bad)| {
        let value = value_of(option)?;
        bad.contains(&value).then(|| format!("{option} {value}"))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_throws_away_is_found() {
        assert_eq!(discarding("--after-sb-0pri=discard-least-changes"), ["after-sb-0pri discard-least-changes"]);
        assert_eq!(
            discarding("--max-buffers 8000 --after-sb-1pri 'discard-secondary' --after-sb-2pri violently-as0p"),
            ["after-sb-1pri discard-secondary", "after-sb-2pri violently-as0p"]
        );
        // Ganeti's own options (`lib/storage/drbd_cmdgen.py`).
        assert_eq!(discarding("--after-sb-0pri discard-zero-changes --after-sb-1pri consensus"), [""; 0]);
        assert_eq!(discarding("--after-sb-0pri discard-local --after-sb-0pri disconnect"), [""; 0]);
        assert_eq!(discarding("--after-sb-0pri"), [""; 0]);
    }
}
