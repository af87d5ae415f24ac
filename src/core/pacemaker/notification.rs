//! Pacemaker's notifications to the instances of a clone, and what they mean for a node. Pure.
//!
//! Source: `lib/pengine/pe_notif.c`. Notifications are only triggers: one may be lost, and after the loss of several
//! nodes Pacemaker 2.1.5 names one of them.

/// The notification that Pacemaker passes to an instance of a clone (`OCF_RESKEY_CRM_meta_notify_*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// When Pacemaker notifies: `pre` or `post` for before or after the operation.
    pub kind: String,
    /// The operation of which it notifies: `start`, `stop`, `promote` or `demote`.
    pub operation: String,
    /// The reason (`key_operation`): `stonith` after a fencing, `stopped` after a graceful stop. Pacemaker 2.1.5 and
    /// later.
    pub key_operation: String,
    /// The nodes whose instance stops (`stop_uname`).
    pub stopping: Vec<String>,
    /// The nodes whose instance starts (`start_uname`).
    pub starting: Vec<String>,
}

/// The meaning of a notification for Ganeti's record of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nodes were fenced; Pacemaker 2.1.5 may name only one of several.
    Fenced(Vec<String>),
    /// Nodes left gracefully, or their instance is restarted.
    Left(Vec<String>),
    /// Nodes are there, again or for the first time. A node that was drained because it had left must not wait.
    Came(Vec<String>),
    /// The notification has no meaning for the record.
    Nothing,
}

/// Returns what a notification means for the record; only starts and stops that have happened (`post`) count.
#[must_use]
pub fn meaning(notice: &Notification) -> Meaning {
    match (notice.kind.as_str(), notice.operation.as_str(), notice.key_operation.as_str()) {
        ("post", "start", _) if !notice.starting.is_empty() => Meaning::Came(notice.starting.clone()),
        _ if notice.stopping.is_empty() => Meaning::Nothing,
        ("post", "stop", "stonith") => Meaning::Fenced(notice.stopping.clone()),
        ("post", "stop", _) => Meaning::Left(notice.stopping.clone()),
        _ => Meaning::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pe_notif.c`: a fencing and a graceful stop differ in `key_operation` alone.
    #[test]
    fn a_fencing_differs_from_a_graceful_leave() {
        let notice = Notification {
            kind: "post".into(),
            operation: "stop".into(),
            key_operation: "stonith".into(),
            stopping: vec!["n3.lab".into()],
            starting: Vec::new(),
        };
        assert_eq!(meaning(&notice), Meaning::Fenced(vec!["n3.lab".into()]));
        assert_eq!(
            meaning(&Notification { key_operation: "stopped".into(), ..notice.clone() }),
            Meaning::Left(vec!["n3.lab".into()])
        );
        assert_eq!(meaning(&Notification { kind: "pre".into(), ..notice.clone() }), Meaning::Nothing);
        assert_eq!(meaning(&Notification { operation: "start".into(), ..notice.clone() }), Meaning::Nothing);
        assert_eq!(meaning(&Notification { stopping: vec![], ..notice }), Meaning::Nothing);
    }

    /// A node that was drained because it had left is un-drained when its instance has started, not at a later monitor.
    #[test]
    fn who_comes_is_notified_when_its_instance_has_started() {
        let notice = Notification {
            kind: "post".into(),
            operation: "start".into(),
            starting: vec!["n3.lab".into()],
            ..Notification::default()
        };
        assert_eq!(meaning(&notice), Meaning::Came(vec!["n3.lab".into()]));
        assert_eq!(
            meaning(&Notification { kind: "pre".into(), ..notice.clone() }),
            Meaning::Nothing,
            "it may fail to start"
        );
        assert_eq!(meaning(&Notification { starting: vec![], ..notice }), Meaning::Nothing);
    }
}
