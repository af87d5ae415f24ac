//! Sends a request to other nodes: to all at once by their nodeds, and by SSH to those that cannot be asked by noded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::budget::levels::NODED_ANSWERS;
use crate::core::config::Config;
use crate::core::ganeti::network::ClusterNetwork;
use crate::core::node::NodeName;
use crate::core::shun::belief::{self, SentRequest};
use crate::core::shun::lease_times::LeaseTimes;
use crate::core::shun::messages::{ANSWER_LIMIT, COMMAND, MAX_REQUEST_BYTES, PeerReport, PeerRequest};
use crate::sys::clock::Deadline;
use crate::sys::command::run_up_to;
use crate::sys::fan_out::each;
use crate::sys::ganeti::noded_call::{CallError, NodedCall, call_all, oob_program};
use crate::sys::ganeti::ssconf::Ssconf;
use serde_json::{Value, json};

/// The most that an answer by SSH may take.
const SSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer of each node, or the reason why it is unknown.
pub type PeerAnswers = BTreeMap<NodeName, Result<PeerReport, PeerError>>;

/// The reason why a node has no answer that counts. Each text follows the node's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The time was over.
    #[error("did not answer in time")]
    NoAnswer,
    /// The node was not in the request.
    #[error("was not asked")]
    NotAsked,
    /// The request cannot be sent.
    #[error("was not asked: {0}")]
    Request(String),
    /// The answer is not one that the node can give.
    #[error("{0}")]
    Disbelieved(String),
    /// `noded-call` did not run, or failed.
    #[error("noded cannot be asked: {0}")]
    NodedCall(String),
    /// noded did not answer, or answered with an error of its own.
    #[error("{0}")]
    Noded(String),
    /// noded ran `ganeti-oob`, which failed.
    #[error("{0}")]
    Program(String),
    /// The answer has another form.
    #[error("cannot parse its answer: {0}")]
    Parse(String),
    /// The answer has neither a payload nor an error.
    #[error("its answer is empty")]
    Empty,
    /// The node did not answer by noded, nor by SSH.
    #[error("{noded}; {ssh}")]
    Both {
        /// The failure by noded, which is tried first.
        noded: Box<PeerError>,
        /// The failure by SSH, which is tried when noded fails.
        ssh: Box<PeerError>,
    },
    /// The node did not answer by SSH.
    #[error("{0}")]
    Ssh(String),
}

/// The channel to other nodes: noded, and SSH as the fallback.
#[derive(Clone, Debug)]
pub struct PeerChannel {
    /// Ganeti's data directory, with this host's certificate.
    data_dir: PathBuf,
    /// The name of the cluster, which is the host key alias of its nodes in SSH.
    cluster: String,
    /// The master candidates, by this host's configuration.
    candidates: BTreeSet<NodeName>,
    /// The times of this host's own self-fencing.
    own_lease_times: LeaseTimes,
}

impl From<CallError> for PeerError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotRun(why) => Self::NodedCall(why),
            CallError::Procedure(why) => Self::Program(why),
            CallError::Transport(why) => Self::Noded(why),
            CallError::Empty => Self::Empty,
        }
    }
}

impl PeerChannel {
    /// Returns a channel to the nodes of `network`, with Ganeti's files in `data_dir`.
    #[must_use]
    pub fn new(config: &Config, network: &ClusterNetwork, data_dir: &Path) -> Self {
        let candidates = network.members.iter().filter(|(_, member)| member.candidate).map(|(name, _)| name.clone());
        Self {
            data_dir: data_dir.to_owned(),
            cluster: network.cluster.clone(),
            candidates: candidates.collect(),
            own_lease_times: config.self_fence.lease_times(),
        }
    }

    /// Returns the part of a node's answer that is believed.
    fn believed(&self, node: &NodeName, question: &PeerRequest, report: PeerReport) -> Result<PeerReport, PeerError> {
        let is_candidate = self.candidates.contains(node);
        belief::answer(
            report,
            SentRequest {
                node,
                is_candidate,
                about: &question.about,
                receipts: &question.receipts,
                drbd: question.drbd,
                own_lease_times: self.own_lease_times,
            },
        )
        .map_err(|why| PeerError::Disbelieved(why.to_string()))
    }

    /// Sends the request to all of `peers`, and returns when each has answered or the deadline is over. The result has
    /// only what its node is believed about.
    #[must_use]
    pub fn ask(&self, peers: &BTreeMap<NodeName, IpAddr>, question: &PeerRequest, deadline: Deadline) -> PeerAnswers {
        let believed = |(node, answer): (NodeName, Result<PeerReport, PeerError>)| {
            let answer = answer.and_then(|report| self.believed(&node, question, report));
            (node, answer)
        };
        let parts = match question.parts(MAX_REQUEST_BYTES) {
            Ok(parts) => parts,
            Err(why) => {
                let error = PeerError::Request(why.to_string());
                return peers.keys().map(|node| (node.clone(), Err(error.clone()))).collect();
            }
        };
        let mut answers = PeerAnswers::new();
        let mut left = peers.clone();
        for part in &parts {
            answers.extend(self.ask_all(&left, part, deadline).into_iter().map(believed));
            left.retain(|node, _| answers.get(node).is_some_and(Result::is_ok));
        }
        answers
    }

    fn ask_all(&self, peers: &BTreeMap<NodeName, IpAddr>, question: &PeerRequest, deadline: Deadline) -> PeerAnswers {
        let mut answers: PeerAnswers = peers.keys().map(|node| (node.clone(), Err(PeerError::NoAnswer))).collect();
        if peers.is_empty() {
            return answers;
        }
        let Ok(text) = serde_json::to_string(question) else { return answers };
        let mut to_ask: BTreeMap<NodeName, IpAddr> = peers.clone();
        for (node, answer) in self.by_noded(peers, &text, deadline.at_most(NODED_ANSWERS)) {
            // A node that answered, even with an error of our program, need not be asked through the other channel. A
            // noded that rejects this host's certificate, or has another version, has not answered.
            if matches!(answer, Ok(_) | Err(PeerError::Program(_))) {
                to_ask.remove(&node);
            }
            answers.insert(node, answer);
        }
        // For hosts where only noded is down; a login needs time.
        const LOGIN_TIMEOUT: Duration = Duration::from_millis(1_500);
        if deadline.left() > LOGIN_TIMEOUT {
            for (node, answer) in self.by_ssh(&to_ask, &text, deadline.at_most(SSH_TIMEOUT)) {
                let noded = match answers.get(&node) {
                    Some(Err(error)) => Box::new(error.clone()),
                    _ => Box::new(PeerError::NotAsked),
                };
                answers.insert(node, answer.map_err(|ssh| PeerError::Both { noded, ssh: Box::new(ssh) }));
            }
        }
        answers
    }

    fn by_noded(&self, peers: &BTreeMap<NodeName, IpAddr>, question: &str, deadline: Deadline) -> PeerAnswers {
        let own = oob_program();
        let seconds = deadline.left().as_secs().max(1);
        let call = |(node, address): (&NodeName, &IpAddr)| {
            let arguments = json!([own, COMMAND, question, seconds]);
            (node.clone(), NodedCall { address: *address, arguments })
        };
        let calls = peers.iter().map(call).collect();
        call_all(&self.data_dir, "run_oob", &calls, deadline)
            .into_iter()
            .map(|(node, answer)| (node, answer.map_err(PeerError::from).and_then(report)))
            .collect()
    }

    /// Sends the request by SSH, on stdin, as the remote end is a shell.
    fn by_ssh(&self, peers: &BTreeMap<NodeName, IpAddr>, question: &str, deadline: Deadline) -> PeerAnswers {
        let own = oob_program();
        let Some(own) = own.to_str().filter(|path| is_plain(path)) else { return PeerAnswers::new() };
        let command = [own, COMMAND, "-"];
        let options = super::ssh_options::options(&self.data_dir, &self.cluster);
        // A node without a port in that file is asked at ssh's own default port.
        let ports: BTreeMap<NodeName, u16> =
            Ssconf::new(&self.data_dir).ssh_ports().unwrap_or_default().into_iter().collect();
        let ask = |node: &NodeName, address: IpAddr| {
            let target = format!("root@{address}");
            let port = ports.get(node).map(|port| format!("-oPort={port}"));
            let mut words: Vec<&str> = options.iter().chain(&port).map(String::as_str).collect();
            words.push(&target);
            words.extend(command);
            let text = run_up_to(ANSWER_LIMIT, Path::new("ssh"), &words, question.as_bytes(), deadline)
                .map_err(|error| PeerError::Ssh(error.to_string()))?;
            serde_json::from_str::<PeerReport>(text.trim())
                .map_err(|error| PeerError::Ssh(format!("ssh: cannot parse its answer: {error}")))
        };
        let peers: Vec<(&NodeName, &IpAddr)> = peers.iter().collect();
        each(&peers, peers.len(), |(node, address)| ((*node).clone(), ask(node, **address))).into_iter().collect()
    }
}

fn report(payload: Value) -> Result<PeerReport, PeerError> {
    serde_json::from_value(payload).map_err(|error| PeerError::Parse(error.to_string()))
}

/// Whether a path needs no quoting in any shell.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
}
