//! The detection time: token and consensus timeout of corosync (corosync.conf(5)), and the vote of a quorum device
//! (corosync-qdevice(8)). Pure.

use std::time::Duration;

use super::seconds;
use crate::core::quorum::{Quorum, QuorumDeviceState};

/// Corosync's own defaults, in milliseconds, since 3.1.
const DEFAULT_TOKEN_MS: u64 = 3_000;
const DEFAULT_TOKEN_COEFFICIENT_MS: u64 = 650;

/// Corosync's two timeouts, which decide when a membership without a dead node is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totem {
    /// The token timeout in milliseconds: without the token for so long, it counts as lost.
    pub token_ms: u64,
    /// The consensus timeout in milliseconds: for so long the others agree which nodes are left.
    pub consensus_ms: u64,
}

impl Totem {
    /// Parses the values of a running corosync, from `corosync-cmapctl runtime.config.totem`.
    #[must_use]
    pub fn of_cmap(text: &str) -> Option<Self> {
        let value = |wanted: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                let key = key.split_whitespace().next()?;
                (key == wanted).then(|| value.trim().parse().ok()).flatten()
            })
        };
        let token_ms = value("runtime.config.totem.token")?;
        Some(Self { token_ms, consensus_ms: value("runtime.config.totem.consensus")? })
    }

    /// Calculates the values as corosync does from its configuration; `None` for a text that is not a whole
    /// configuration.
    #[must_use]
    pub fn of_conf(text: &str) -> Option<Self> {
        let mut path: Vec<&str> = Vec::new();
        let (mut token, mut coefficient, mut consensus, mut nodes) = (None, None, None, 0_u64);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(section) = line.strip_suffix('{') {
                path.push(section.trim());
                nodes += u64::from(path == ["nodelist", "node"]);
            } else if line == "}" {
                path.pop()?;
            } else if path == ["totem"]
                && let Some((key, value)) = line.split_once(':')
            {
                let value = || value.trim().parse::<u64>().ok();
                match key.trim() {
                    "token" => token = Some(value()?),
                    "token_coefficient" => coefficient = Some(value()?),
                    "consensus" => consensus = Some(value()?),
                    _ => {}
                }
            }
        }
        if !path.is_empty() || text.trim().is_empty() {
            return None;
        }
        let more = nodes.saturating_sub(2).saturating_mul(coefficient.unwrap_or(DEFAULT_TOKEN_COEFFICIENT_MS));
        let token_ms = token.unwrap_or(DEFAULT_TOKEN_MS).saturating_add(more);
        Some(Self { token_ms, consensus_ms: consensus.unwrap_or_else(|| token_ms.saturating_mul(6) / 5) })
    }

    /// Returns the detection time: how long after a death Pacemaker sees it.
    #[must_use]
    pub fn detection_time(self) -> Duration {
        Duration::from_millis(self.token_ms.saturating_add(self.consensus_ms))
    }
}

/// When and how a death is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The usual time after the death.
    pub after: Duration,
    /// The longest time after the death.
    pub latest: Duration,
    /// How the death is seen, as text.
    pub how: String,
}

impl Detection {
    /// Returns the detection of a full member.
    #[must_use]
    pub fn by_corosync(totem: Totem) -> Self {
        let Totem { token_ms, consensus_ms } = totem;
        let after = totem.detection_time();
        Self { after, latest: after, how: format!("token {token_ms} ms + consensus {consensus_ms} ms") }
    }

    /// Returns the detection of a full member that is one of `quorum`'s, with the corosync node id `lost`. Corosync
    /// waits for a quorum device that gives its votes before it reports a change of its members. It waits for the
    /// device's `sync_timeout` at most.
    #[must_use]
    pub fn by_votes(totem: Totem, quorum: &Quorum, lost: Option<u32>) -> Self {
        let plain = Self::by_corosync(totem);
        let is_asked =
            quorum.members.iter().any(|member| Some(member.id) != lost && member.device == QuorumDeviceState::Votes);
        let Some(device) = quorum.device.as_ref().filter(|_| is_asked) else { return plain };
        let (earliest, latest) = device.given_ms();
        let about = Duration::from_millis(earliest.midpoint(latest)).max(plain.after);
        let at_most = plain.after + Duration::from_millis(device.sync_timeout_ms);
        let time = |ms: u64| seconds(i64::try_from(ms).unwrap_or(i64::MAX));
        let how = format!(
            "{}, and the vote of {} {} to {} after a death, at most {}",
            plain.how,
            device.called(),
            time(earliest),
            time(latest),
            time(u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX)),
        );
        Self { after: about, latest: at_most.max(about), how }
    }

    /// Returns the detection of a remote node, by a monitor of its connection. It dies between two monitors, on average
    /// half-way.
    #[must_use]
    pub fn by_monitor(interval_ms: u64, timeout_ms: u64) -> Self {
        let time = |ms: u64| seconds(i64::try_from(ms).unwrap_or(i64::MAX));
        let how =
            format!("its connection is checked every {}, with {} for the answer", time(interval_ms), time(timeout_ms));
        let after = Duration::from_millis((interval_ms / 2).saturating_add(timeout_ms));
        Self { after, latest: Duration::from_millis(interval_ms.saturating_add(timeout_ms)), how }
    }
}
