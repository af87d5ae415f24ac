//! Updates of a node attribute that the node itself publishes. Pure.

/// Returns the update of the attribute; `None` if it is as it should be already.
///
/// `published` is the value that this host has published last. `now` is the value that it should have, `None` to remove
/// it.
#[must_use]
pub fn change<'a>(published: Option<&str>, now: Option<&'a str>) -> Option<Option<&'a str>> {
    (published != now).then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each update is written to every node, so only a change is published. Without a value nothing is published.
    #[test]
    fn only_a_change_is_published() {
        assert_eq!(change(None, None), None);
        assert_eq!(change(None, Some("green")), Some(Some("green")));
        assert_eq!(change(Some("green"), Some("green")), None);
        assert_eq!(change(Some("green"), Some("red")), Some(Some("red")));
        assert_eq!(change(Some("red"), None), Some(None), "the tag is gone");
        assert_eq!(change(Some("?"), Some("green")), Some(Some("green")), "not known what the cluster holds");
    }
}
