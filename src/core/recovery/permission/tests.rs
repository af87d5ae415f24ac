use super::*;
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000;

fn tags(of: &[&str]) -> Vec<String> {
    of.iter().map(|tag| (*tag).to_owned()).collect()
}

/// The answer for tags given without their prefix.
fn asked(instance: &[&str], group: &[&str], cluster: &[&str]) -> Result<Permission, NotPermitted> {
    let full = |of: &[&str]| -> Vec<String> { of.iter().map(|tag| format!("{PREFIX}:{tag}")).collect() };
    let (instance, group, cluster) = (full(instance), full(group), full(cluster));
    permission(RepairTags { instance: &instance, group: &group, cluster: &cluster }, NOW)
}

fn permitted(object: TaggedObject, repair: RepairType) -> Result<Permission, NotPermitted> {
    Ok(Permission { object, repair })
}

#[test]
fn the_nearest_object_counts() {
    use {RepairType as R, TaggedObject as O};
    assert_eq!(asked(&[], &[], &[]), Err(NotPermitted::NoTag));
    assert_eq!(asked(&[], &[], &["failover"]), permitted(O::Cluster, R::Failover));
    assert_eq!(asked(&[], &["reinstall"], &["fix-storage"]), permitted(O::Group, R::Reinstall));
    assert_eq!(asked(&["failover"], &["suspend"], &["suspend"]), permitted(O::Instance, R::Failover));
    assert_eq!(
        asked(&["migrate"], &[], &["failover"]),
        Err(NotPermitted::TooWeak { object: O::Instance, repair: R::Migrate })
    );
}

/// The example of harep(1): a cluster with fix-storage and reinstall permits no failover.
#[test]
fn of_several_types_on_one_object_the_weakest_counts() {
    use {RepairType as R, TaggedObject as O};
    assert_eq!(
        asked(&[], &[], &["fix-storage", "reinstall"]),
        Err(NotPermitted::Contradiction { object: O::Cluster, weakest: R::FixStorage, strongest: R::Reinstall })
    );
    assert_eq!(asked(&["reinstall", "failover"], &[], &[]), permitted(O::Instance, R::Failover));
}

/// A suspension also overrules a permission of an object further away, and ends at its time.
#[test]
fn a_suspension_comes_first_and_ends() {
    use TaggedObject as O;
    let suspended = |object, until_s| Err(NotPermitted::Suspended { object, until_s });
    assert_eq!(asked(&["failover", "suspend"], &[], &[]), suspended(O::Instance, None));
    assert_eq!(asked(&["suspend:"], &[], &["failover"]), suspended(O::Instance, None));
    let (now, next) = (format!("suspend:{NOW}"), format!("suspend:{}", NOW + 1));
    assert_eq!(asked(&["failover"], &[&next], &[]), permitted(O::Instance, RepairType::Failover));
    assert_eq!(asked(&[], &[&next, &now, "failover"], &[]), suspended(O::Group, Some(NOW + 1)));
    assert_eq!(asked(&[], &[&now], &["failover"]), permitted(O::Cluster, RepairType::Failover));
    assert_eq!(asked(&[], &["suspend", &next], &["failover"]), suspended(O::Group, None));
    let huge = "suspend:99999999999999999999999";
    assert_eq!(asked(&[huge], &[], &["failover"]), suspended(O::Instance, Some(u64::MAX)));
}

#[test]
fn a_malformed_tag_is_a_refusal_and_names_the_tag() {
    for bad in ["failovr", "", "suspend:tomorrow", "suspend:-5", "failover:now", "Failover", "pending"] {
        let tag = format!("{PREFIX}:{bad}");
        let expected = NotPermitted::Malformed { object: TaggedObject::Instance, tag: tag.clone() };
        assert!(expected.to_string().contains(&tag));
        assert_eq!(asked(&[bad, "failover"], &[], &["failover"]), Err(expected), "{bad:?}");
    }
    let without_colon = tags(&["ganeti:watcher:autorepairfailover"]);
    let asked_of = permission(RepairTags { instance: &without_colon, group: &[], cluster: &[] }, NOW);
    assert!(matches!(asked_of, Err(NotPermitted::Malformed { .. })));
    // An object that is not asked any more does not matter.
    assert!(asked(&["failover"], &["failovr"], &[]).is_ok());
}

/// harep's own notes are not permissions, and other programs' tags are not read.
#[test]
fn other_tags_do_not_matter() {
    let note = "pending:failover:uuid:1700000000:12";
    assert_eq!(asked(&[note], &[], &["failover"]), permitted(TaggedObject::Cluster, RepairType::Failover));
    let other = tags(&["ganeti:watcher:other", "web", "ocf:recover:priority:5"]);
    let answer = permission(RepairTags { instance: &other, group: &other, cluster: &other }, NOW);
    assert_eq!(answer, Err(NotPermitted::NoTag));
}

proptest! {
    /// No text ever permits what `failover` and `reinstall` do not.
    #[test]
    fn only_the_two_words_permit(text in "[a-z:+*/.@_0-9-]{0,30}") {
        let is_permitted = asked(&[&text], &[], &[]).is_ok();
        prop_assert_eq!(is_permitted, text == "failover" || text == "reinstall");
    }

    #[test]
    fn the_order_of_the_tags_does_not_matter(all in prop::collection::vec(
        prop::sample::select(vec!["failover", "migrate", "suspend", "suspend:9", "suspend:1800000000"]), 0..5)) {
        let mut sorted = all.clone();
        sorted.sort_unstable();
        prop_assert_eq!(asked(&all, &[], &["failover"]), asked(&sorted, &[], &["failover"]));
    }
}
