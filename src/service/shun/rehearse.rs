//! Predicts what a shunning would prove: asks all other nodes, and changes nothing.

use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::shun::evaluation::{AcceptedWatchdogs, watchdog_objection};
use crate::core::shun::messages::{PeerRequest, SelfFenceReport};
use crate::power::device::OffPrediction;
use crate::sys::clock::Deadline;
use crate::sys::ganeti::peer_channel::PeerError;

use super::coordinator::ShunCoordinator;
use super::order_error::OrderError;

impl ShunCoordinator<'_> {
    /// Checks whether all nodes could be asked now to shun the target, and what that would prove. Changes nothing.
    ///
    /// # Errors
    /// The nodes that do not answer, each with the reason, or a proof that is weaker than `minimum_grade`.
    pub fn rehearse(&self, deadline: Deadline) -> Result<OffPrediction, OrderError> {
        let question =
            PeerRequest { about: vec![self.target().clone()], ..PeerRequest::requested_by(self.own_node().clone()) };
        let mut others = self.other_nodes(&self.network);
        others.insert(self.target().clone(), self.member.primary);
        let mut answers = self.channel().ask(&others, &question, deadline);
        let own = answers.remove(self.target());
        let silent: Vec<(NodeName, PeerError)> = answers
            .iter()
            .filter(|(name, _)| self.network.serves(self.target(), name))
            .filter_map(|(name, answer)| Some((name.clone(), answer.as_ref().err()?.clone())))
            .collect();
        if !silent.is_empty() {
            return Err(OrderError::NoAnswer(silent));
        }
        let self_fence = own.and_then(Result::ok).and_then(|report| report.self_fence);
        let answering = format!("{} other nodes answer", answers.len() + 1);
        let outside = self.network.isolation_objection(self.target());
        match provable(self_fence.as_ref(), self.config.minimum_grade, self.config.shun.accepted(), outside.as_deref())
        {
            Ok(proof) => Ok(OffPrediction { text: format!("{answering}; {}", proof.text), ..proof }),
            Err(proof) => {
                let proof = format!("{answering}; {proof}");
                Err(OrderError::TooWeak { proof, least: self.config.minimum_grade })
            }
        }
    }
}

/// Returns what a shunning would prove; as an error, if that is weaker than `least`. `outside` is the reason why
/// the shunning would not even prove `isolated`.
// The error is text: its only caller puts it into an `OrderError` behind what answers.
fn provable(
    self_fence: Option<&SelfFenceReport>,
    least: Grade,
    accepted: AcceptedWatchdogs,
    outside: Option<&str>,
) -> Result<OffPrediction, String> {
    let no_self_fence = || Some("its self-fencing is not armed".to_owned());
    let (grade, proof) =
        match self_fence.map_or_else(no_self_fence, |self_fence| watchdog_objection(self_fence, accepted)) {
            Some(why) => match outside {
                Some(outside) => (Grade::Unknown, format!("{why}: nothing would be proven, as {outside}")),
                None => (Grade::Isolated, format!("{why}: isolated, and no more")),
            },
            None => (Grade::Bounded, self_fence.map_or_else(String::new, lease_text)),
        };
    if grade < least {
        return Err(proof);
    }
    Ok(OffPrediction { text: proof, by_self_fence: grade == Grade::Bounded })
}

fn lease_text(self_fence: &SelfFenceReport) -> String {
    let SelfFenceReport { driver, lease_times, .. } = self_fence;
    format!(
        "armed ({driver}, {} s): bounded after {:.0} s",
        lease_times.watchdog_ms / 1_000,
        lease_times.wait_time().as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ganeti::network::ClusterNetwork;
    use crate::core::shun::evaluation::SOFTDOG;
    use crate::core::shun::lease_times::LeaseTimes;
    use serde_json::json;

    /// The check reports a failure where the fencing would not accept the proof.
    #[test]
    fn a_proof_that_is_too_weak_is_reported_before_it_is_needed() {
        let lease_times = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };
        let self_fence = |driver: &str, nowayout| SelfFenceReport {
            boot_id: "b".to_owned(),
            driver: driver.to_owned(),
            nowayout,
            lease_times,
            candidates: Vec::new(),
            asks_from: None,
            is_virtual: Some(false),
            guaranteed_for_ms: 600_000,
            lease_age_ms: 1,
        };
        let of = |self_fence: Option<SelfFenceReport>, least| {
            provable(self_fence.as_ref(), least, AcceptedWatchdogs::default(), None)
        };
        let good = self_fence("iTCO_wdt", true);
        let text = "armed (iTCO_wdt, 5 s): bounded after 25 s".to_owned();
        assert_eq!(of(Some(good), Grade::Bounded), Ok(OffPrediction { text, by_self_fence: true }));
        for weak in [None, Some(self_fence("iTCO_wdt", false)), Some(self_fence(SOFTDOG, true))] {
            let weak_proof = of(weak.clone(), Grade::Bounded).unwrap_err();
            assert!(weak_proof.ends_with("isolated, and no more"), "{weak_proof}");
            let OffPrediction { text, by_self_fence } = of(weak, Grade::Isolated).unwrap();
            assert!(text.ends_with("isolated, and no more") && !by_self_fence);
        }
        let softdog = self_fence(SOFTDOG, true);
        assert!(
            provable(
                Some(&softdog),
                Grade::Bounded,
                AcceptedWatchdogs { softdog: true, ..AcceptedWatchdogs::default() },
                None
            )
            .unwrap()
            .text
            .contains("bounded after")
        );
    }

    /// A host that is only shunned goes on writing to storage outside of the cluster.
    #[test]
    fn with_disks_outside_of_the_cluster_only_a_stopped_node_counts() {
        let outside = Some("web (rbd) has a disk outside of the cluster");
        let weak_proof = provable(None, Grade::Isolated, AcceptedWatchdogs::default(), outside).unwrap_err();
        assert!(weak_proof.contains("nothing would be proven, as web (rbd)"), "{weak_proof}");
        let text = json!({"cluster": {"cluster_name": "c.lab", "master_node": "u1"},
                          "nodes": {"u1": {"name": "n1.lab", "primary_ip": "192.0.2.1"}},
                          "disks": {"d": {"dev_type": "ext"}},
                          "instances": {"i": {"name": "web", "primary_node": "u1", "disks": ["d"]}}});
        let network = ClusterNetwork::parse(text.to_string().as_bytes()).unwrap();
        let why = network.isolation_objection(&NodeName::new("n1.lab").unwrap());
        assert!(why.unwrap().starts_with("web (ext) has a disk outside of the cluster"));
        assert_eq!(network.isolation_objection(&NodeName::new("n2.lab").unwrap()), None);
    }
}
