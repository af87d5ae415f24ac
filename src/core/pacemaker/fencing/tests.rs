use super::*;

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn all() -> Vec<NodeName> {
    ["n1.lab", "n2.lab", "n3.lab"].map(name).to_vec()
}

/// Returns a primitive of this agent with these parameters.
fn device(id: &str, agent: &str, parameters: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("<nvpair id=\"{id}-{name}\" name=\"{name}\" value=\"{value}\"/>");
    let pairs: String = parameters.iter().map(pair).collect();
    format!(
        "<primitive id=\"{id}\" class=\"stonith\" type=\"{agent}\"><instance_attributes id=\"{id}-i\">{pairs}\
         </instance_attributes></primitive>"
    )
}

fn fencing(properties: &str, resources: &str, topology: &str) -> Fencing {
    let text = format!(
        "<cib><configuration><crm_config><cluster_property_set id=\"p\">{properties}</cluster_property_set></crm_config>\
         <nodes><node id=\"1\" uname=\"n1\"/><node id=\"2\" uname=\"n2\"/><node id=\"3\" uname=\"n3\"><instance_attributes id=\"a\">\
         <nvpair id=\"r\" name=\"rack\" value=\"b\"/></instance_attributes></node></nodes><resources>{resources}</resources>\
         <fencing-topology>{topology}</fencing-topology></configuration></cib>"
    );
    Fencing::of(&Element::parse(&text).unwrap(), &BTreeSet::from(["fence_mine".to_owned()]))
}

/// Returns the grade that an off of n3.lab proves without a receipt.
fn grade(resources: &str, topology: &str) -> Grade {
    fencing("", resources, topology).options(&name("n3.lab"), &all()).worth(true).grade
}

const OURS_ONLY: &str = r#"<primitive id="f" class="stonith" type="fence_ganeti"/>"#;

/// A real fault: with a fabric device beside `fence_ganeti` in the CIB, a success without a receipt became `off`.
#[test]
fn a_fabric_device_beside_ours_leaves_isolation() {
    assert_eq!(grade(&format!("{OURS_ONLY}{}", device("scsi", "fence_scsi", &[])), ""), Grade::Isolated);
}

/// Each kind of device alone: the grade of its success, and what may be recorded of the power.
#[test]
fn each_kind_of_device() {
    for (agent, parameters, off, powered, reboot) in [
        ("fence_ipmilan", vec![], Grade::Off, Some(false), Grade::Bounded),
        ("fence_ipmilan", vec![("method", "cycle")], Grade::Off, Some(false), Grade::Isolated),
        ("fence_ipmilan", vec![("method", "onoff")], Grade::Off, Some(false), Grade::Bounded),
        ("fence_gce", vec![], Grade::Off, Some(false), Grade::Isolated),
        ("fence_gce", vec![("method", "onoff")], Grade::Off, Some(false), Grade::Bounded),
        ("fence_ipmilan", vec![("pcmk_off_action", "status")], Grade::Isolated, None, Grade::Isolated),
        ("fence_ipmilan", vec![("pcmk_reboot_action", "off")], Grade::Off, Some(false), Grade::Bounded),
        // Pacemaker uses `action` for both actions; the agents accept `option` for `action`.
        ("fence_ipmilan", vec![("action", "status")], Grade::Isolated, None, Grade::Isolated),
        ("fence_ipmilan", vec![("option", "on")], Grade::Isolated, None, Grade::Isolated),
        ("fence_ipmilan", vec![("action", "off")], Grade::Off, Some(false), Grade::Bounded),
        ("fence_ipmilan", vec![("pcmk_off_action", "reboot")], Grade::Bounded, None, Grade::Bounded),
        (
            "fence_ganeti",
            vec![("pcmk_off_action", "reboot"), ("minimum_grade", "off")],
            Grade::Bounded,
            None,
            Grade::Bounded,
        ),
        ("fence_virsh", vec![("missing_as_off", "true")], Grade::Isolated, None, Grade::Isolated),
        ("fence_ganeti", vec![("missing_as_off", "true")], Grade::Isolated, None, Grade::Isolated),
        ("fence_ganeti", vec![("missing_as_off", "perhaps")], Grade::Isolated, None, Grade::Isolated),
        ("fence_ganeti", vec![("missing_as_off", "false")], Grade::Bounded, None, Grade::Bounded),
        // This device cuts the virtual machine's network, and reports off because of that alone.
        ("fence_azure_arm", vec![("network-fencing", "1")], Grade::Isolated, None, Grade::Isolated),
        ("fence_azure_arm", vec![("network_fencing", "1")], Grade::Isolated, None, Grade::Isolated),
        ("fence_mine", vec![], Grade::Off, Some(false), Grade::Bounded),
        ("fence_theirs", vec![], Grade::Isolated, None, Grade::Isolated),
        ("fence_scsi", vec![], Grade::Isolated, None, Grade::Isolated),
        ("fence_sbd", vec![], Grade::Bounded, None, Grade::Bounded),
        ("fence_watchdog", vec![], Grade::Bounded, None, Grade::Bounded),
        ("fence_ganeti", vec![], Grade::Bounded, None, Grade::Bounded),
        ("fence_ganeti", vec![("minimum_grade", "off")], Grade::Off, None, Grade::Bounded),
        ("fence_ganeti", vec![("minimum_grade", "isolated")], Grade::Isolated, None, Grade::Isolated),
    ] {
        let of_n3 = [parameters.as_slice(), &[("pcmk_host_list", "n3")]].concat();
        let options = fencing("", &device("d", agent, &of_n3), "").options(&name("n3.lab"), &all());
        let worth = options.worth(true);
        assert_eq!(
            (worth.grade, worth.powered, options.worth(false).grade),
            (off, powered, reboot),
            "{agent} {parameters:?}"
        );
    }
}

/// The isolation of a host must not count as bounded because its receipt is out of reach.
#[test]
fn the_least_that_any_device_of_ours_takes_counts() {
    let with = |grade: &str| device("g", "fence_ganeti", &[("minimum_grade", grade)]);
    let template = |grade: &str| with(grade).replace("primitive", "template");
    let of_template = r#"<group id="x"><primitive id="p" template="g"/></group>"#;
    for (resources, expected) in [
        (OURS_ONLY.to_owned(), Grade::Bounded),
        (with("off"), Grade::Off),
        (format!("{OURS_ONLY}{}", with("off")), Grade::Bounded),
        (format!("{}{OURS_ONLY}", with("isolated")), Grade::Isolated),
        (format!("{}{}", with("off"), device("i", "fence_virsh", &[])), Grade::Off),
        (format!("{}{of_template}", template("isolated")), Grade::Isolated),
        (with(""), Grade::Bounded),
        (with("unknown"), Grade::Isolated),
        (with("OFF"), Grade::Isolated),
        (with("&broken;"), Grade::Isolated),
        // Under a rule the default may hold.
        (with("off").replace("<nvpair", "<rule id=\"r\" score=\"1\"/><nvpair"), Grade::Bounded),
        (
            format!(
                "{}<primitive id=\"r\" class=\"stonith\" type=\"fence_ganeti\"><instance_attributes id-ref=\"g-i\"/></primitive>",
                with("isolated")
            ),
            Grade::Isolated,
        ),
    ] {
        assert_eq!(grade(&resources, ""), expected, "{resources}");
        assert_eq!(fencing("", &resources, "").least_of_ours(), Some(expected), "{resources}");
    }
    assert_eq!(fencing("", &device("scsi", "fence_scsi", &[]), "").least_of_ours(), None);
    assert_eq!(grade("", ""), Grade::Isolated, "the delegate is unknown");
}

/// A device whose host list does not name the node cannot have fenced it; if the list is unknown, it may have.
#[test]
fn only_a_host_list_that_leaves_the_node_out_says_that_it_was_not_this_device() {
    let ipmi = device("i", "fence_virsh", &[]);
    for (parameters, expected) in [
        (vec![("pcmk_host_list", "n1,n2")], Grade::Off),
        (vec![("pcmk_host_list", "n1 N3.LAB")], Grade::Isolated),
        (vec![("pcmk_host_list", "n3")], Grade::Isolated),
        (vec![("pcmk_host_list", "n3.other")], Grade::Off),
        (vec![("pcmk_host_map", "n1:1;n2:2,3")], Grade::Off),
        (vec![("pcmk_host_map", "n1:1 n3:2")], Grade::Isolated),
        (vec![("pcmk_host_list", "n1"), ("pcmk_host_map", "n3:2")], Grade::Isolated),
        (vec![("pcmk_host_list", "n1"), ("pcmk_host_check", "static-list")], Grade::Off),
        (vec![("pcmk_host_list", "n1"), ("pcmk_host_check", "dynamic-list")], Grade::Isolated),
        (vec![("pcmk_host_list", "n1"), ("pcmk_host_check", "none")], Grade::Isolated),
    ] {
        let scsi = device("s", "fence_scsi", &parameters);
        assert_eq!(grade(&format!("{ipmi}{scsi}"), ""), expected, "{parameters:?}");
    }
    let listed = device("s", "fence_scsi", &[("pcmk_host_list", "n1")]);
    let under_rule = listed.replace("<nvpair", "<rule id=\"r\" score=\"1\"/><nvpair");
    assert_eq!(grade(&format!("{ipmi}{under_rule}"), ""), Grade::Isolated);
    // A short name that two nodes have may be either.
    let two = [name("n3.east"), name("n3.west")];
    let by_short = fencing("", &format!("{ipmi}{}", device("s", "fence_scsi", &[("pcmk_host_list", "n3")])), "");
    assert_eq!(by_short.options(&two[0], &two).worth(true).grade, Grade::Isolated);
}

/// For a node with a fencing topology only the devices of its levels count; of a level all have succeeded.
#[test]
fn a_topology_decides_which_devices_count() {
    let all_devices = [device("i", "fence_virsh", &[]), device("s", "fence_scsi", &[]), OURS_ONLY.to_owned()].concat();
    let level = |target: &str, index: u8, devices: &str| {
        format!("<fencing-level id=\"l{index}\" {target} index=\"{index}\" devices=\"{devices}\"/>")
    };
    let of = |topology: &str| {
        let options = fencing("", &all_devices, topology).options(&name("n3.lab"), &all());
        (options.worth(true).grade, options.has_ours())
    };
    assert_eq!(of(""), (Grade::Isolated, true));
    assert_eq!(of(&level("target=\"n3\"", 1, "i")), (Grade::Off, false));
    assert_eq!(of(&level("target=\"n3\"", 1, "i,s")), (Grade::Off, false));
    assert_eq!(of(&level("target=\"n3\"", 1, "f")), (Grade::Bounded, true));
    assert_eq!(
        of(&format!("{}{}", level("target=\"n3\"", 1, "f"), level("target=\"n3\"", 2, "s"))),
        (Grade::Isolated, true)
    );
    assert_eq!(of(&level("target=\"n1\"", 1, "i")), (Grade::Isolated, true), "of another node");
    assert_eq!(of(&level("target-pattern=\"^n[23]$\"", 1, "i")), (Grade::Off, false));
    assert_eq!(of(&level("target-pattern=\"^n1\"", 1, "i")), (Grade::Isolated, true));
    // A pattern that is not understood may match or not.
    assert_eq!(of(&level("target-pattern=\"(n3)\"", 1, "i")), (Grade::Isolated, true));
    assert_eq!(of(&level("target-attribute=\"rack\" target-value=\"b\"", 1, "i")), (Grade::Off, false));
    assert_eq!(of(&level("target-attribute=\"rack\" target-value=\"c\"", 1, "i")), (Grade::Isolated, true));
    // Pacemaker compares whole names, and accepts only an index of 1 to 9: otherwise any device may have done it.
    assert_eq!(of(&level("target=\"n3.lab\"", 1, "i")), (Grade::Isolated, true));
    assert_eq!(of(&level("target=\"N3\"", 1, "i")), (Grade::Off, false));
    assert_eq!(of(&level("target=\"n3\"", 10, "i")), (Grade::Isolated, true));
    assert_eq!(of(&level("target=\"n3\"", 0, "i")), (Grade::Isolated, true));
    assert_eq!(of(&level("target=\"n3\"", 1, "watchdog")), (Grade::Bounded, false));
    assert_eq!(of(&level("target=\"n3\"", 1, "gone")), (Grade::Isolated, false));
}

/// If Pacemaker may use the watchdog, a success without a receipt never proves that the power is off.
#[test]
fn watchdog_fencing_may_have_been_it() {
    let of = |value: &str| {
        let property = format!("<nvpair id=\"w\" name=\"stonith-watchdog-timeout\" value=\"{value}\"/>");
        let worth =
            fencing(&property, &device("i", "fence_virsh", &[]), "").options(&name("n3.lab"), &all()).worth(true);
        (worth.grade, worth.powered)
    };
    for off in ["0", "0s"] {
        assert_eq!(of(off), (Grade::Off, Some(false)), "{off}");
    }
    for on in ["10", "-1", "10s", "x"] {
        assert_eq!(of(on), (Grade::Bounded, None), "{on}");
    }
}

/// A device that would switch one machine for two nodes proves neither of them off: it is unknown whose power it has
/// read.
#[test]
fn a_machine_of_two_nodes_proves_neither_off() {
    let bmc = |id: &str, more: &[(&str, &str)]| device(id, "fence_ipmilan", &[&[("ip", "10.0.0.9")], more].concat());
    let pdu = |id: &str, more: &[(&str, &str)]| device(id, "fence_apc", &[&[("ip", "10.0.0.8")], more].concat());
    let listed = |of: &'static str| ("pcmk_host_list", of);
    let mapped = |of: &'static str| ("pcmk_host_map", of);
    for (resources, expected) in [
        (pdu("p", &[("port", "3"), listed("n2,n3")]), Grade::Isolated),
        (pdu("p", &[("plug", "3"), listed("n2 n3.lab")]), Grade::Isolated),
        (pdu("p", &[("plug", "3")]), Grade::Isolated),
        (pdu("p", &[("plug", "3"), listed("n3")]), Grade::Off),
        (pdu("p", &[("plug", "3"), listed("n3 N3.LAB")]), Grade::Off),
        // No node has that name.
        (pdu("p", &[("plug", "3"), listed("n3,n9")]), Grade::Off),
        (pdu("p", &[("port", "dynamic"), listed("n2,n3")]), Grade::Off),
        (pdu("p", &[]), Grade::Off),
        (pdu("p", &[mapped("n2:3;n3:3")]), Grade::Isolated),
        (pdu("p", &[mapped("n2:2;n3:3")]), Grade::Off),
        (pdu("p", &[mapped("n2:2,3;n3:3")]), Grade::Isolated),
        (pdu("p", &[mapped("n2:03;n3:3")]), Grade::Isolated),
        (pdu("p", &[mapped("n2:n3"), listed("n2,n3")]), Grade::Isolated),
        (pdu("p", &[("pcmk_host_argument", "none"), listed("n2,n3")]), Grade::Isolated),
        (pdu("p", &[("pcmk_host_argument", "switch"), ("plug", "1"), mapped("n2:2;n3:3")]), Grade::Off),
        // A board is one machine, whatever plug it is given.
        (bmc("b", &[listed("n2,n3")]), Grade::Isolated),
        (bmc("b", &[mapped("n2:2;n3:3")]), Grade::Isolated),
        (bmc("b", &[]), Grade::Isolated),
        (bmc("b", &[listed("n3")]), Grade::Off),
        (device("b", "fence_ipmilan", &[("pcmk_host_argument", "ip"), mapped("n2:10.0.0.2;n3:10.0.0.3")]), Grade::Off),
        (bmc("a", &[listed("n2")]) + &bmc("b", &[listed("n3")]), Grade::Isolated),
        (bmc("a", &[listed("n3")]) + &bmc("b", &[listed("n3")]), Grade::Off),
        (pdu("a", &[("plug", "3"), listed("n2")]) + &pdu("b", &[("port", "1:3"), listed("n3")]), Grade::Isolated),
        (pdu("a", &[("plug", "2"), listed("n2")]) + &pdu("b", &[("plug", "3"), listed("n3")]), Grade::Off),
        // A value that cannot be read may be any machine.
        (
            pdu("p", &[("plug", "3"), listed("n3")])
                .replace("</primitive>", "<instance_attributes id-ref=\"more\"/></primitive>"),
            Grade::Isolated,
        ),
    ] {
        let worth = fencing("", &resources, "").options(&name("n3.lab"), &all()).worth(true);
        let powered = (expected == Grade::Off).then_some(false);
        assert_eq!((worth.grade, worth.powered), (expected, powered), "{resources}");
    }
    // By the topology a device belongs to one node alone.
    let alone =
        ["n1", "n2", "n3"].map(|node| device(node, "fence_ipmilan", &[("ip", &format!("{node}-bmc"))])).concat();
    let level = |node: &str| format!("<fencing-level target=\"{node}\" index=\"1\" devices=\"{node}\"/>");
    assert_eq!(grade(&alone, ""), Grade::Isolated);
    assert_eq!(grade(&alone, &["n1", "n2", "n3"].map(level).concat()), Grade::Off);
    assert_eq!(grade(&alone, &["n1", "n3"].map(level).concat()), Grade::Isolated, "n2 may be fenced by n3's");
}

/// Only permanent node attributes choose a fencing level: capacities for placement do not.
#[test]
fn utilization_is_no_node_attribute() {
    let level = "<fencing-level target-attribute=\"rack\" target-value=\"b\" index=\"1\" devices=\"i\"/>";
    let resources = device("i", "fence_virsh", &[]) + OURS_ONLY;
    let text = |tag: &str| {
        format!(
            "<cib><configuration><nodes><node id=\"3\" uname=\"n3\"><{tag} id=\"a\"><nvpair id=\"r\" name=\"rack\" value=\"b\"/>\
             </{tag}></node></nodes><resources>{resources}</resources><fencing-topology>{level}</fencing-topology></configuration></cib>"
        )
    };
    let of = |tag: &str| {
        let fencing = Fencing::of(&Element::parse(&text(tag)).unwrap(), &BTreeSet::new());
        fencing.options(&name("n3.lab"), &all()).has_ours()
    };
    assert_eq!((of("instance_attributes"), of("utilization")), (false, true));
}
