use super::*;
use proptest::prelude::*;

fn entry() -> impl Strategy<Value = ShunEntry> {
    let address = (1u8..5).prop_map(|n| IpAddr::from([192, 0, 2, n]));
    let addresses = proptest::collection::btree_set(address, 0..3);
    let grade = prop_oneof![Just(Grade::Isolated), Just(Grade::Bounded), Just(Grade::Off)];
    let scope = prop_oneof![Just(ShunScope::Tcp), Just(ShunScope::All)];
    let boot_id = proptest::option::of("[ab]");
    (0u64..5, addresses, scope, grade, boot_id, 0u64..3, "[ab]").prop_map(
        |(epoch, addresses, scope, grade, boot_id, since_ms, by)| {
            let epoch = Epoch(epoch);
            ShunEntry { epoch, addresses, scope, grade, boot_id, since_ms, by }
        },
    )
}

fn merged(a: &ShunEntry, b: &ShunEntry) -> ShunEntry {
    let mut all = a.clone();
    all.merge(b);
    all
}

proptest! {
    /// Merging has the same result in any order, any number of times, and by any path.
    #[test]
    fn merging_is_the_same_in_any_order(a in entry(), b in entry(), c in entry()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert!(merged(&a, &b).epoch >= a.epoch.max(b.epoch));
    }
}

/// A report of self-fencing from one boot proves nothing about another boot.
#[test]
fn of_two_boots_neither_is_known() {
    let entry = |boot: Option<&str>| ShunEntry {
        epoch: Epoch(1),
        addresses: BTreeSet::new(),
        scope: ShunScope::All,
        grade: Grade::Isolated,
        boot_id: boot.map(str::to_owned),
        since_ms: 1,
        by: "x".into(),
    };
    assert_eq!(merged(&entry(Some("a")), &entry(Some("b"))).boot_id.as_deref(), Some(SEVERAL_BOOTS));
    assert_eq!(merged(&entry(Some("a")), &entry(None)).boot_id.as_deref(), Some("a"));
}

#[test]
fn an_old_order_does_not_undo_a_later_one() {
    let first = Epoch::default().shunned();
    assert!(first.is_shunned() && first.shunned() == first);
    let readmitted = first.readmitted().unwrap();
    let second = readmitted.shunned();
    assert!(second > readmitted && readmitted > first && !readmitted.is_shunned());
    assert_eq!(Epoch::default().readmitted(), Ok(Epoch::default()), "who was never shunned needs no readmission");
}

/// An epoch that stayed at the largest number would shun for ever, so the end of the numbers is an error.
#[test]
fn no_epoch_stays_where_it_is() {
    for last in [u64::MAX, u64::MAX - 1, Epoch::MOST + 1] {
        assert!(Epoch(last).readmitted().is_err() && Epoch(last).anew().is_err(), "{last}");
        assert!(serde_json::from_str::<Epoch>(&last.to_string()).is_err(), "{last}");
    }
    assert_eq!(Epoch(Epoch::MOST - 1).readmitted(), Ok(Epoch(Epoch::MOST)));
    assert_eq!(Epoch(1).anew(), Ok(Epoch(3)));
}

/// No node shuns a node that was readmitted while the asking host was away; that is not a fault.
#[test]
fn what_was_learned_in_the_same_round_decides_who_lacks_what() {
    let [one, two, three] = ["n1", "n2", "n3"].map(|name| NodeName::new(name).unwrap());
    let entry = |epoch: u64| ShunEntry {
        epoch: Epoch(epoch),
        addresses: BTreeSet::new(),
        scope: ShunScope::All,
        grade: Grade::Isolated,
        boot_id: None,
        since_ms: 1,
        by: "x".into(),
    };
    let shun_list = |epoch: u64| ShunList(BTreeMap::from([(three.clone(), entry(epoch))]));
    let says = |epoch: Option<u64>| epoch.map(|epoch| (three.clone(), Epoch(epoch))).into_iter().collect();
    let (well, none, older): (BTreeMap<_, _>, BTreeMap<_, _>, BTreeMap<_, _>) =
        (says(Some(3)), says(None), says(Some(1)));
    let lines = |now: u64, second: &BTreeMap<NodeName, Epoch>| {
        not_shunned(&shun_list(3), &shun_list(now), [(&one, &well), (&two, second), (&three, &none)].into_iter())
    };
    assert_eq!(lines(3, &well), Vec::<String>::new());
    assert_eq!(lines(3, &none), ["n2 does not shun n3"]);
    assert_eq!(lines(3, &older), ["n2 shuns n3 in epoch 1, not in epoch 3"]);
    assert_eq!(lines(4, &none), Vec::<String>::new(), "it was readmitted");
}

/// A shun list beyond the limits is an error and never an empty list, wherever it is read.
#[test]
fn a_list_beyond_the_limits_is_an_error() {
    let entry = |epoch: u64, addresses: usize, boot: &str| {
        let addresses: Vec<String> = (0..addresses).map(|n| format!("192.0.2.{n}")).collect();
        serde_json::json!({"epoch": epoch, "addresses": addresses, "scope": "tcp", "grade": "off", "boot_id": boot,
                           "since_ms": 1, "by": "x"})
    };
    let read = |entry: serde_json::Value| {
        serde_json::from_value::<ShunList>(serde_json::json!({"n1": entry})).map_err(|error| error.to_string())
    };
    read(entry(1, 16, "b6c1e1f5-6f1f-4a43-8a0c-0123456789ab+123")).unwrap();
    assert!(read(entry(1, 17, "b")).unwrap_err().contains("17 addresses"));
    assert!(read(entry(1, 1, "a b")).unwrap_err().contains("boot id"));
    assert!(read(entry(u64::MAX, 1, "b")).unwrap_err().contains("epoch 18446744073709551615"));
    let many: serde_json::Map<_, _> = (0..=ENTRIES_MOST).map(|n| (format!("n{n}"), entry(1, 1, "b"))).collect();
    assert!(serde_json::from_value::<ShunList>(many.into()).unwrap_err().to_string().contains("too many"));
    let mut sent = entry(1, 1, "b");
    sent["by"] = format!("\u{1b}]0;owned\u{7}{}", "x".repeat(1_000)).into();
    let by = read(sent).unwrap().0.into_values().next().unwrap().by;
    assert!(by.chars().count() == TEXT_MOST && !by.chars().any(char::is_control), "{by}");
}
