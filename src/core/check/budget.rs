//! Rules about times: whether the time budgets fit, by the same calculation as in `gnt-ha setup`.

use super::{CheckInput, Findings};
use crate::core::budget::{AdvertisedTimes, Figures, shortfalls};
use crate::core::survey::NodeSurvey;

pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    let Ok(resources) = &view.resources else { return };
    let config = view.config.as_ref().and_then(|config| config.as_ref().ok());
    let figures = Figures { resources, config, ganeti: view.ganeti.as_ref().ok(), advertised: &advertised(view) };
    for sum in shortfalls(&figures) {
        findings.add_with_fix("budget", sum.subject.clone(), sum.line(), sum.fix);
    }
}

/// Returns the self-fencing times that the nodes have just reported.
fn advertised(view: &CheckInput) -> AdvertisedTimes {
    let Some(Ok(survey)) = &view.survey else { return AdvertisedTimes::new() };
    let times = survey.nodes.iter().filter_map(|(node, found)| match found {
        NodeSurvey::Answered { self_fence, .. } => Some((node.clone(), self_fence.as_ref()?.self_fence.lease_times)),
        NodeSurvey::NoAnswer(_) => None,
    });
    let own = view.host.node.clone().zip(survey.own_self_fence.as_ref().map(|self_fence| self_fence.lease_times));
    times.chain(own).collect()
}
