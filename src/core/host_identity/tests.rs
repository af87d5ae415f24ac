use super::*;

/// The UUID of a Dell server, as `dmidecode` and `product_uuid` show it.
const DELL: &str = "4c4c4544-0042-3310-8052-b7c04f4d4b32";

fn uuid(text: &str) -> HostIdentity {
    HostIdentity { uuid: Some(text.to_owned()), serial_number: None }
}

fn serial(text: &str) -> HostIdentity {
    HostIdentity { uuid: None, serial_number: Some(text.to_owned()) }
}

fn both(id: &str, number: &str) -> HostIdentity {
    HostIdentity { serial_number: Some(number.to_owned()), ..uuid(id) }
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// The bytes of the answer to Get System GUID, as BMCs send them.
#[test]
fn every_byte_order_is_the_same_host() {
    let cases = [
        (
            [0x4c, 0x4c, 0x45, 0x44, 0, 0x42, 0x33, 0x10, 0x80, 0x52, 0xb7, 0xc0, 0x4f, 0x4d, 0x4b, 0x32],
            ByteOrder::Rfc4122,
        ),
        (
            [0x44, 0x45, 0x4c, 0x4c, 0x42, 0, 0x10, 0x33, 0x80, 0x52, 0xb7, 0xc0, 0x4f, 0x4d, 0x4b, 0x32],
            ByteOrder::Smbios,
        ),
        (
            [0x32, 0x4b, 0x4d, 0x4f, 0xc0, 0xb7, 0x52, 0x80, 0x10, 0x33, 0x42, 0, 0x44, 0x45, 0x4c, 0x4c],
            ByteOrder::Ipmi,
        ),
        (
            [0x32, 0x4b, 0x4d, 0x4f, 0xc0, 0xb7, 0x52, 0x80, 0x33, 0x10, 0, 0x42, 0x4c, 0x4c, 0x45, 0x44],
            ByteOrder::ReversedSmbios,
        ),
        (
            [0x4f, 0x4d, 0x4b, 0x32, 0xb7, 0xc0, 0x80, 0x52, 0x10, 0x33, 0x42, 0, 0x44, 0x45, 0x4c, 0x4c],
            ByteOrder::SmbiosOfIpmi,
        ),
    ];
    for (bytes, order) in cases {
        let bmc = HostIdentity::of_bytes(bytes);
        assert_eq!(compare(&bmc, &uuid(DELL)), IdentityMatch::Same(MatchedBy::Uuid(order)), "{bmc}");
        assert_eq!(compare(&bmc, &uuid("4c4c4544-0043-3310-8052-b7c04f4d4b32")), IdentityMatch::Other);
    }
    // The UUID of the example in DSP0134, from a kernel that prints the bytes in their order in SMBIOS before 2.6.
    let old_kernel = uuid("33221100-5544-7766-8899-AABBCCDDEEFF");
    let same = IdentityMatch::Same(MatchedBy::Uuid(ByteOrder::Smbios));
    assert_eq!(compare(&uuid("00112233-4455-6677-8899-aabbccddeeff"), &old_kernel), same);
}

#[test]
fn values_that_many_boards_have_prove_nothing() {
    for common in [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE",
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "09000800-0700-0600-0005-000400020003",
        "4c4c4544-0000-2010-8020-80c04f202020",
        "Not Settable",
        "",
    ] {
        assert!(!uuid(common).is_usable(), "{common}");
        assert_eq!(compare(&uuid(common), &uuid(DELL)), IdentityMatch::Unproven(Unproven::Bmc), "{common}");
        assert_eq!(compare(&uuid(DELL), &uuid(common)), IdentityMatch::Unproven(Unproven::Node), "{common}");
    }
    for common in
        ["", "  ", "0", "00000000", "To Be Filled By O.E.M.", "Default string", "None", "..........", "0123456789"]
    {
        assert!(!serial(common).is_usable(), "{common}");
    }
    assert!(!HostIdentity::default().is_usable());
}

#[test]
fn a_serial_number_decides_where_a_uuid_is_missing() {
    let by_serial = IdentityMatch::Same(MatchedBy::SerialNumber);
    assert_eq!(compare(&serial("2B3CMK2"), &serial(" 2b3cmk2 ")), by_serial);
    assert_eq!(compare(&serial("2B3CMK2"), &both(DELL, "2B3CMK2")), by_serial);
    // A BMC with a UUID of its own, or that of another host in the chassis.
    let bmc = both("27946b59-9e44-4fa7-8e91-f3527a1ef094", "2B3CMK2");
    assert_eq!(compare(&bmc, &both(DELL, "2B3CMK2")), IdentityMatch::Unproven(Unproven::SerialNumberOnly));
    assert_eq!(compare(&bmc, &both(DELL, "2B3CMK3")), IdentityMatch::Other);
    assert_eq!(compare(&serial("2B3CMK2"), &uuid(DELL)), IdentityMatch::Unproven(Unproven::NothingInCommon));
}

#[test]
fn the_owner_of_a_bmc_is_found() {
    let second = "27946b59-9e44-4fa7-8e91-f3527a1ef094";
    let (n1, n2, n3) = (name("n1.lab"), name("n2.lab"), name("n3.lab"));
    let nodes = BTreeMap::from([(n1.clone(), both(DELL, "CHASSIS7")), (n2.clone(), both(second, "CHASSIS7"))]);
    let by_uuid = BmcOwner::Own(MatchedBy::Uuid(ByteOrder::Rfc4122));
    assert_eq!(owner(&uuid(DELL), &n1, &nodes), by_uuid);
    assert_eq!(
        owner(&both(second, "CHASSIS7"), &n1, &nodes),
        BmcOwner::Another(n2.clone()),
        "a serial number is weaker"
    );
    assert_eq!(owner(&serial("CHASSIS7"), &n1, &nodes), BmcOwner::Unproven(Unproven::Shared));
    let foreign = uuid("11111111-9e44-4fa7-8e91-f3527a1ef094");
    assert_eq!(owner(&foreign, &n1, &nodes), BmcOwner::NoNode);
    assert_eq!(owner(&foreign, &n3, &nodes), BmcOwner::Unproven(Unproven::NoAnswer));
    assert_eq!(owner(&uuid(second), &n3, &nodes), BmcOwner::Another(n2.clone()), "also of a node that did not answer");
    assert_eq!(owner(&HostIdentity::default(), &n1, &nodes), BmcOwner::Unproven(Unproven::Bmc));
    // Of the hosts of a chassis only one is known, and it reports the chassis' serial number.
    let chassis = BTreeMap::from([(n2.clone(), both(second, "CHASSIS7"))]);
    for bmc in [both(DELL, "CHASSIS7"), serial("CHASSIS7")] {
        assert!(matches!(owner(&bmc, &n1, &chassis), BmcOwner::Unproven(_)), "{bmc}");
    }
    let neighbour = BTreeMap::from([(n1.clone(), both(DELL, "CHASSIS7"))]);
    assert_eq!(
        owner(&both(second, "CHASSIS7"), &n1, &neighbour),
        BmcOwner::Unproven(Unproven::SerialNumberOnly),
        "the BMC of a neighbour is not proven to be its own"
    );
    let apart = BTreeMap::from([(n1.clone(), serial("2B3CMK2")), (n2.clone(), serial("2B3CMK3"))]);
    assert_eq!(owner(&serial("2B3CMK3"), &n1, &apart), BmcOwner::Another(n2.clone()));
    // Hosts of a lab, and boards of one maker: each node has the same identity.
    let alike = BTreeMap::from([(n1.clone(), uuid(DELL)), (n2, uuid(DELL))]);
    assert_eq!(owner(&uuid(DELL), &n1, &alike), BmcOwner::Unproven(Unproven::Shared));
    assert_eq!(owner(&foreign, &n1, &alike), BmcOwner::Unproven(Unproven::Shared));
}

/// After a new mainboard the chassis keeps its serial number, and twins of one chassis have one as well.
#[test]
fn a_bmc_has_changed_if_its_uuid_has() {
    let second = "27946b59-9e44-4fa7-8e91-f3527a1ef094";
    assert!(has_changed(&both(DELL, "CHASSIS7"), &both(second, "CHASSIS7")));
    assert!(!has_changed(&both(DELL, "CHASSIS7"), &uuid("44454c4c-4200-1033-8052-b7c04f4d4b32")), "another byte order");
    assert!(has_changed(&serial("2B3CMK2"), &both(DELL, "2B3CMK3")));
    for unusable in [HostIdentity::default(), uuid("00000000-0000-0000-0000-000000000000"), serial("None")] {
        assert!(!has_changed(&uuid(DELL), &unusable) && !has_changed(&unusable, &uuid(DELL)));
    }
    assert!(
        is_same_host(&uuid(DELL), &both(DELL, "x12"))
            && !is_same_host(&both(DELL, "CHASSIS7"), &both(second, "CHASSIS7"))
    );
}

#[test]
fn a_text_of_another_host_is_bounded() {
    let hostile = HostIdentity { uuid: Some("\u{1b}]0;x\n".repeat(1_000)), serial_number: Some(" \n ".to_owned()) };
    let bounded = hostile.bounded();
    assert!(bounded.uuid.as_ref().is_some_and(|text| text.len() <= TEXT_MOST && !text.contains('\u{1b}')), "{bounded}");
    assert_eq!(bounded.serial_number, None);
    let kept = both(DELL, "2B3CMK2");
    assert_eq!(kept.clone().bounded(), kept, "36 characters of a UUID are kept");
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<HostIdentity>(&text).unwrap(), kept);
}
