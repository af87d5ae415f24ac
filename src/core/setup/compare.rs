//! Compares a present element with the wanted one, whichever tool wrote it. Pure.
//!
//! `cibadmin`, pcs and crmsh write the same thing in different ways. pcs completes an operation with `interval="0s"`
//! where crmsh writes `0`. Both choose the ids of operations and parameters, and pcs adds operations of the agent's
//! metadata.

use crate::core::pacemaker::duration::milliseconds;
use crate::core::pacemaker::resources::{Operation, Pairs, Primitive, boolean, score};

/// Returns the first wanted setting that is missing or different. Settings that the administrator has added are
/// ignored.
pub(super) fn differs(wanted: &Primitive, there: &Primitive) -> Option<String> {
    missing(&wanted.parameters, &there.parameters, "")
        .or_else(|| missing(&wanted.meta, &there.meta, ""))
        .or_else(|| wanted.operations.iter().find_map(|operation| of_operation(operation, there)))
}

/// Compares one operation. One that is as wanted is enough: an agent may have several monitors.
fn of_operation(wanted: &Operation, there: &Primitive) -> Option<String> {
    let role = |operation: &Operation| operation.settings.get("role").map(|role| role_of(role));
    let alike = there.operations.iter().filter(|other| other.name == wanted.name && role(other) == role(wanted));
    let mut all = alike.map(|other| missing(&wanted.settings, &other.settings, &format!("{}: ", wanted.name)));
    match all.next() {
        None => Some(format!("it has no {} operation", wanted.name)),
        Some(first) => first.filter(|_| all.all(|other| other.is_some())),
    }
}

fn missing(wanted: &Pairs, there: &Pairs, of: &str) -> Option<String> {
    wanted.iter().find_map(|(name, value)| {
        // An operation that does not recur may have no interval.
        let is = there.get(name).map(String::as_str).or((name == "interval").then_some("0"));
        (!is.is_some_and(|is| is_same(name, value, is)))
            .then(|| format!("{of}{name} is {}, not {value}", is.unwrap_or("not set")))
    })
}

/// Returns the role by its present name: until Pacemaker 2.1 the roles had other names.
fn role_of(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "master" => "promoted".to_owned(),
        "slave" => "unpromoted".to_owned(),
        other => other.to_owned(),
    }
}

/// Returns whether Pacemaker treats two values of a setting as the same.
pub(super) fn is_same(name: &str, wanted: &str, is: &str) -> bool {
    let is_time = ["interval", "timeout", "delay"]
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with(['-', '_'])));
    let is_flag = matches!(wanted, "true" | "false");
    let is_score = matches!(name, "priority" | "resource-stickiness");
    wanted == is
        || is_time && milliseconds(wanted).is_some_and(|ms| milliseconds(is) == Some(ms))
        || is_flag && boolean(is) == boolean(wanted)
        || is_score && score(is).is_some_and(|number| score(wanted) == Some(number))
        || name == "role" && role_of(wanted) == role_of(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_a_value_are_the_same() {
        for (name, wanted, is) in [
            ("interval", "0", "0s"),
            ("interval", "60s", "1min"),
            ("timeout", "60s", "60"),
            ("timeout", "60s", "60000ms"),
            ("reconnect_interval", "60s", "1m"),
            ("stonith-timeout", "72s", "72"),
            ("notify", "true", "1"),
            ("notify", "true", "Yes"),
            ("resource-stickiness", "INFINITY", "1000000"),
            ("priority", "10", "+10"),
            ("role", "Promoted", "Master"),
        ] {
            assert!(is_same(name, wanted, is), "{name}: {wanted} and {is}");
        }
        for (name, wanted, is) in [
            ("interval", "10s", "10ms"),
            ("timeout", "60s", "never"),
            ("pcmk_off_retries", "1", "1s"),
            ("pcmk_off_retries", "1", "true"),
            ("notify", "true", "perhaps"),
            ("notify", "true", "false"),
            ("resource-stickiness", "INFINITY", "100"),
            ("resource-stickiness", "INFINITY", "-INFINITY"),
            ("role", "Promoted", "Slave"),
            ("server", "192.0.2.1", "192.0.2.10"),
        ] {
            assert!(!is_same(name, wanted, is), "{name}: {wanted} and {is}");
        }
    }
}
