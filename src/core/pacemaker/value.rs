//! Parses the values of Pacemaker's configuration; touches nothing.

/// Returns whether a value is one of Pacemaker's words for true (`crm_str_to_boolean`).
#[must_use]
pub fn is_true(value: &str) -> bool {
    boolean(value) == Some(true)
}

/// Parses one of Pacemaker's words for true and false (`crm_str_to_boolean`).
#[must_use]
pub fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Some(true),
        "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// The number from which on a score is infinite (`PCMK_SCORE_INFINITY`).
pub(super) const INFINITY: i64 = 1_000_000;

/// Parses a score as Pacemaker does (`char2score`).
#[must_use]
pub fn score(text: &str) -> Option<i64> {
    let text = text.trim();
    match text.to_ascii_uppercase().as_str() {
        "INFINITY" | "+INFINITY" => Some(INFINITY),
        "-INFINITY" => Some(-INFINITY),
        _ => Some(text.parse::<i64>().ok()?.clamp(-INFINITY, INFINITY)),
    }
}
