//! Fills `{name}`, `{short}` and a node's own values into addresses and options; touches nothing.

use std::collections::BTreeMap;

use super::setting_error::SettingError;
use crate::core::node::NodeName;

/// A node's own values, as in `values = { outlet = "3" }`.
pub(crate) type Values = BTreeMap<String, String>;

/// Fills in `{name}` (the node's full name), `{short}` (up to the first dot) and `{KEY}` for each own value.
///
/// # Errors
/// [`SettingError::Brace`] if a brace is open, and [`SettingError::Key`] if a key is unknown: a half-filled address
/// would name another machine.
pub(crate) fn fill(template: &str, node: &NodeName, values: &Values) -> Result<String, SettingError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        filled.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let close = after
            .find('}')
            .filter(|_| rest[open..].starts_with('{'))
            .ok_or_else(|| SettingError::Brace(template.to_owned()))?;
        let key = &after[..close];
        filled.push_str(match key {
            "name" => node.as_str(),
            "short" => node.short(),
            own => values
                .get(own)
                .ok_or_else(|| SettingError::Key { template: template.to_owned(), key: own.to_owned() })?,
        });
        rest = &after[close + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Returns whether the text has a key to fill in.
pub(crate) fn has_key(template: &str) -> bool {
    template.contains('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, SettingError> {
        let values = Values::from([("outlet".to_owned(), "7".to_owned())]);
        fill(template, &NodeName::new("n1.example.com").unwrap(), &values)
    }

    #[test]
    fn names_and_own_values_are_filled_in() {
        assert_eq!(filled("{short}-bmc.example.com"), Ok("n1-bmc.example.com".into()));
        assert_eq!(filled("{name}/{outlet}"), Ok("n1.example.com/7".into()));
        assert_eq!(filled("plain"), Ok("plain".into()));
    }

    #[test]
    fn a_half_filled_template_is_an_error() {
        for bad in ["{short", "short}", "{}", "{nmae}", "{{short}}", "a}b{short}"] {
            assert!(filled(bad).is_err(), "{bad}");
        }
    }
}
