//! Asks the other nodes' `ganeti-oob` for their version, configuration, clock and self-fencing. Changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::config::Config;
use crate::core::shun::messages::{DatedSelfFenceReport, PeerReport, PeerRequest};
use crate::core::survey::{NodeSurvey, Survey, skew_ms};
use crate::service::shun::applier::ShunApplier;
use crate::service::shun::order_error::OrderError;
use crate::service::shun::peer_reports;
use crate::sys::clock::{Deadline, now};
use crate::sys::identity;

use crate::sys::ganeti::network;
use crate::sys::ganeti::peer_channel::PeerChannel;

/// Asks every node that is neither offline nor shunned, and changes nothing there. `path` is the path of this host's
/// configuration.
///
/// # Errors
/// [`OrderError`] if no node was asked.
pub fn survey(config: &Config, path: &Path, data_dir: &Path, deadline: Deadline) -> Result<Survey, OrderError> {
    let applier = ShunApplier::new(config, data_dir)?;
    let shun_list = applier.shun_list()?;
    let network = network::read(data_dir)?;
    let peers: BTreeMap<_, _> = network
        .members
        .iter()
        .filter(|(name, member)| *name != applier.own_node() && !member.offline && !shun_list.epoch(name).is_shunned())
        .map(|(name, member)| (name.clone(), member.primary))
        .collect();
    let question = PeerRequest::requested_by(applier.own_node().clone());
    let channel = PeerChannel::new(config, &network, data_dir);
    let asked = now();
    let answers = channel.ask(&peers, &question, deadline);
    let own = identity::program(path);
    let age_ms = now().boottime_ms.saturating_sub(asked.boottime_ms);
    let says = |PeerReport { program, self_fence, .. }: PeerReport| NodeSurvey::Answered {
        skew_ms: program.as_ref().map_or(0, |program| skew_ms(program.wall_ms, asked.wall_ms, own.wall_ms)),
        program,
        self_fence: self_fence.map(|self_fence| DatedSelfFenceReport { self_fence, age_ms, uptime_ms: None }),
    };
    let nodes = answers
        .into_iter()
        .map(|(node, answer)| (node, answer.map_or_else(|error| NodeSurvey::NoAnswer(error.to_string()), says)))
        .collect();
    Ok(Survey { own, own_self_fence: peer_reports::own_self_fence(&config.run), nodes })
}
