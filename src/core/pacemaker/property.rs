//! The cluster properties of fencing, which have two names: `stonith-*`, and from Pacemaker 3.0.2 on `fencing-*`. Pure.
//!
//! Source: Pacemaker's `lib/common/options.c` (`cluster_option_value`). If both names are set, a version that knows
//! both uses the later one, and warns of the older one. A version that knows only the older one ignores the other.

use super::resources::Resources;

/// The feature set of Pacemaker 3.0.2, the first version that knows the later names. In an older version `crm_verify`
/// fails for them.
pub const LATER_NAMES: [u32; 3] = [3, 20, 5];

/// A cluster property of fencing, whose name later versions of Pacemaker change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FencingProperty {
    /// Whether Pacemaker fences at all.
    Enabled,
    /// The time that Pacemaker gives an action of a fence device.
    Timeout,
}

impl FencingProperty {
    /// Returns the name that every version knows until now.
    #[must_use]
    pub const fn older(self) -> &'static str {
        match self {
            Self::Enabled => "stonith-enabled",
            Self::Timeout => "stonith-timeout",
        }
    }

    /// Returns the name from Pacemaker 3.0.2 on.
    #[must_use]
    pub const fn later(self) -> &'static str {
        match self {
            Self::Enabled => "fencing-enabled",
            Self::Timeout => "fencing-timeout",
        }
    }
}

/// The value of a property that Pacemaker uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective<'a> {
    /// The name whose value counts, and that value; `None` if the default counts.
    pub set: Option<(&'static str, &'a str)>,
    /// The name by which the property has to be set so that it counts.
    pub to_set: &'static str,
}

impl Resources {
    /// Returns the value of `property` that counts. Without a feature set either name may count: the older one comes
    /// first.
    #[must_use]
    pub fn fencing_property(&self, property: FencingProperty) -> Effective<'_> {
        let (older, later) = (property.older(), property.later());
        let value = |name: &'static str| Some((name, self.properties.get(name)?.as_str()));
        let knows_later = self.knows(LATER_NAMES);
        let set = match () {
            () if knows_later => value(later).or_else(|| value(older)),
            () if self.feature_set.is_some() => value(older),
            () => value(older).or_else(|| value(later)),
        };
        let to_set = match set {
            Some((name, _)) if !knows_later => name,
            _ if knows_later => later,
            _ => older,
        };
        Effective { set, to_set }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If both names are set, the one that the version uses counts, and the name to set is the one that then counts.
    #[test]
    fn the_name_that_counts_is_the_versions() {
        const OLD: Option<&str> = Some("3.16.1");
        const NEW: Option<&str> = Some("3.20.5");
        let (older, later) = ("stonith-enabled", "fencing-enabled");
        for (feature_set, of_older, of_later, set, to_set) in [
            (NEW, Some("true"), Some("false"), Some((later, "false")), later),
            (NEW, Some("false"), None, Some((older, "false")), later),
            (NEW, None, Some("false"), Some((later, "false")), later),
            (NEW, None, None, None, later),
            (OLD, Some("true"), Some("false"), Some((older, "true")), older),
            (OLD, None, Some("false"), None, older),
            (OLD, None, None, None, older),
            (Some("3.20.1"), Some("true"), Some("false"), Some((older, "true")), older),
            (Some("4.0.0"), Some("true"), Some("false"), Some((later, "false")), later),
            (None, Some("true"), Some("false"), Some((older, "true")), older),
            (None, None, Some("false"), Some((later, "false")), later),
        ] {
            let pairs = [(older, of_older), (later, of_later)];
            let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
            let feature_set = feature_set.map(str::to_owned);
            let resources = Resources { properties: pairs.collect(), feature_set, ..Resources::default() };
            let case = format!("{:?} of {:?}", resources.properties, resources.feature_set);
            assert_eq!(resources.fencing_property(FencingProperty::Enabled), Effective { set, to_set }, "{case}");
        }
    }
}
