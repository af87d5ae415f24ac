//! A node attribute that the node itself publishes.

/// What is to be done with the attribute: none if it is as it should be already.
///
/// `published` is what this host has said last; `now` is what it should say, none where it says nothing.
#[must_use]
pub fn change<'a>(published: Option<&str>, now: Option<&'a str>) -> Option<Option<&'a str>> {
    (published != now).then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each update is written through to every node: only a change is one. Without anything to say nothing is said at all.
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
