//! What Pacemaker would do by a configuration, as `crm_simulate --output-as=xml` tells it.

use std::collections::BTreeSet;

use crate::core::pacemaker::cib::BadCib;
use crate::core::pacemaker::tree::Element;

/// The nodes that would be fenced.
///
/// # Errors
/// [`BadCib`] when that is no answer of `crm_simulate`.
pub fn fenced(xml: &str) -> Result<BTreeSet<String>, BadCib> {
    let answer = Element::parse(xml)?;
    if answer.name != "pacemaker-result" || answer.children_named("transition").next().is_none() {
        return Err(BadCib::Shape);
    }
    let targets = answer.all("fencing_action").into_iter().filter_map(|action| action.get("target"));
    Ok(targets.map(str::to_owned).collect())
}

/// What is wrong with that, if `died` has died, or nobody: exactly the dead are to be fenced.
#[must_use]
pub fn surprise(died: Option<&str>, fenced: &BTreeSet<String>) -> Option<String> {
    let others: Vec<&str> = fenced.iter().map(String::as_str).filter(|node| Some(*node) != died).collect();
    match died {
        None if !others.is_empty() => Some(format!("{} would be fenced at once", others.join(", "))),
        Some(died) if !others.is_empty() => {
            Some(format!("if {died} died, {} would be fenced as well", others.join(", ")))
        }
        Some(died) if fenced.is_empty() => Some(format!("if {died} died, nobody would be fenced")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut from what `crm_simulate` of Pacemaker 2.1.5 says.
    const DEATH: &str = r#"<pacemaker-result api-version="2.25" request="crm_simulate --simulate --node-fail n2.lab">
        <actions><node_action task="stop"/></actions>
        <transition><rsc_action action="monitor" resource="x" node="n1.lab"/>
        <fencing_action target="n2.lab" op="reboot"/></transition><status code="0" message="OK"/></pacemaker-result>"#;

    #[test]
    fn the_dead_are_fenced_and_nobody_else() {
        let dead = fenced(DEATH).unwrap();
        assert_eq!(surprise(Some("n2.lab"), &dead), None);
        assert_eq!(surprise(None, &dead).unwrap(), "n2.lab would be fenced at once");
        assert_eq!(surprise(Some("n1.lab"), &dead).unwrap(), "if n1.lab died, n2.lab would be fenced as well");
        assert_eq!(surprise(Some("n1.lab"), &BTreeSet::new()).unwrap(), "if n1.lab died, nobody would be fenced");
        assert_eq!(surprise(None, &BTreeSet::new()), None);
    }

    #[test]
    fn what_is_no_simulation_is_no_good_news() {
        for text in ["", "<cib/>", "<pacemaker-result/>", &DEATH[..200]] {
            assert!(fenced(text).is_err(), "{text}");
        }
    }
}
