//! What would happen if a host died now: Pacemaker's outlook and our own decisions, as one list of steps.

use serde::Serialize;

use super::outlook::{Outlook, Step as Move, surprise};
use super::reconcile::Decision;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Who would do it: `Pacemaker`, `proof`, `Ganeti's record`.
    pub who: &'static str,
    /// What.
    pub what: String,
    /// It would not happen, or not as it should: what is in the way.
    pub blocked: bool,
}

impl Step {
    fn open(who: &'static str, what: String) -> Self {
        Self { who, what, blocked: false }
    }

    fn blocked(who: &'static str, what: String) -> Self {
        Self { who, what, blocked: true }
    }
}

/// What is known before.
#[derive(Debug)]
pub struct Known<'a> {
    /// The host, as Pacemaker calls it.
    pub died: &'a str,
    /// By `crm_simulate`.
    pub outlook: &'a Outlook,
    /// The resource of Ganeti's master role, if the dead host had it.
    pub role: Option<&'a str>,
    /// What its OOB program says of each level that could prove it, or why none could.
    pub proof: Result<Vec<String>, String>,
    /// What would be recorded, were it proven like that, or why nothing can be said.
    pub record: Result<&'a Decision, String>,
}

/// The steps, in their order.
#[must_use]
pub fn steps(known: &Known<'_>) -> Vec<Step> {
    const PACEMAKER: &str = "Pacemaker";
    const PROOF: &str = "proof";
    const RECORD: &str = "Ganeti's record";
    let fenced = known.outlook.fenced();
    let mut steps: Vec<Step> = Vec::new();
    if let Some(surprise) = surprise(Some(known.died), &fenced) {
        steps.push(Step::blocked(PACEMAKER, surprise));
    }
    let (fencing, rest): (Vec<&Move>, Vec<&Move>) =
        known.outlook.steps.iter().partition(|step| matches!(step, Move::Fence { .. }));
    steps.extend(fencing.into_iter().map(|step| Step::open(PACEMAKER, said(step))));
    match &known.proof {
        Ok(lines) => steps.extend(lines.iter().map(|line| Step::open(PROOF, line.clone()))),
        Err(error) => {
            let what = format!("none: {error}; nobody takes over before a human confirms that it is off");
            steps.push(Step::blocked(PROOF, what));
        }
    }
    let proven = known.proof.is_ok();
    // What ran on the dead is stopped by its death.
    let is_real = |step: &&Move| !matches!(step, Move::Resource { node, .. } if node == known.died);
    let make = |step: &Move| Step { who: PACEMAKER, what: said(step), blocked: !proven };
    let rest: Vec<&Move> = rest.into_iter().filter(is_real).collect();
    if let Some(role) = known.role.filter(|role| known.outlook.taker(role).is_none_or(|host| host == known.died)) {
        steps.push(Step::blocked(PACEMAKER, format!("starts or promotes {role} nowhere (who offers? crm_mon -1 -A)")));
    }
    steps.extend(rest.into_iter().map(make));
    steps.push(match &known.record {
        Ok(decision @ Decision::Offline { proof, .. }) if proven => {
            // What would prove it is not there yet.
            let told = decision.to_string();
            let what = told.split(": ").next().unwrap_or_default();
            Step::open(RECORD, format!("{what}, on a proof of {} or better", proof.grade))
        }
        Ok(Decision::Offline { .. }) => Step::blocked(RECORD, "nothing before it is proven".to_owned()),
        Ok(decision) => Step::blocked(RECORD, decision.to_string()),
        Err(error) => Step::blocked(RECORD, error.clone()),
    });
    steps
}

fn said(step: &Move) -> String {
    match step {
        Move::Fence { node, action } => format!("fences {node} ({action})"),
        Move::Resource { resource, action, node } => format!("{action} {resource} on {node}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::reconcile::Quiet;

    fn outlook() -> Outlook {
        let resource = |action: &str, node: &str| Move::Resource {
            resource: "master".into(),
            action: action.into(),
            node: node.into(),
        };
        let fence = Move::Fence { node: "n1.lab".into(), action: "off".into() };
        Outlook { steps: vec![resource("stop", "n1.lab"), fence, resource("promote", "n2.lab")] }
    }

    fn blocked(proof: Result<Vec<String>, String>, record: Result<&Decision, String>) -> Vec<(String, bool)> {
        let outlook = outlook();
        let known = Known { died: "n1.lab", outlook: &outlook, role: Some("master"), proof, record };
        steps(&known).into_iter().map(|step| (step.what, step.blocked)).collect()
    }

    /// Unknown is not success: without a proof nothing that waits for it is said to happen.
    #[test]
    fn nothing_follows_a_proof_that_is_not_there() {
        let nothing = Decision::Nothing(Quiet::AsItShould);
        let said = blocked(Err("its BMC does not answer".to_owned()), Ok(&nothing));
        assert_eq!(said[0], ("fences n1.lab (off)".into(), false));
        assert!(said[1].0.contains("a human confirms") && said[1..].iter().all(|(_, blocked)| *blocked), "{said:?}");
        assert_eq!(said.len(), 4, "what ran on the dead is not stopped by anybody: {said:?}");
    }

    #[test]
    fn what_keeps_it_from_the_record_is_said_beside_what_happens() {
        let said = blocked(Ok(vec!["bmc: on".to_owned()]), Err("paused".to_owned()));
        assert_eq!(said[1], ("bmc: on".into(), false));
        assert_eq!(said[2], ("promote master on n2.lab".into(), false));
        assert_eq!(said[3], ("paused".into(), true));
    }

    #[test]
    fn a_role_that_nobody_takes_is_said() {
        let mut outlook = outlook();
        outlook.steps.truncate(2);
        let record = Err("paused".to_owned());
        let known = Known { died: "n1.lab", outlook: &outlook, role: Some("master"), proof: Ok(Vec::new()), record };
        let said = steps(&known);
        assert!(said.iter().any(|step| step.blocked && step.what.contains("promotes master nowhere")), "{said:?}");
    }
}
