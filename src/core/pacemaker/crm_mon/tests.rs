//! Tests of the parser of crm_mon's output.

use super::*;
use proptest::prelude::*;

/// Output of Pacemaker 2.1.5, shortened.
const XML: &str = r#"<pacemaker-result api-version="2.25" request="crm_mon">
        <summary><current_dc present="true" name="n1.lab" with_quorum="true"/>
          <cluster_options stonith-enabled="true" maintenance-mode="false"/></summary>
        <nodes>
          <node name="n1.lab" online="true" standby="false" pending="false" unclean="false" shutdown="false"/>
          <node name="n2.lab" online="true" standby="true" pending="false" unclean="false" shutdown="false"/>
          <node name="n3.lab" online="false" standby="false" pending="false" unclean="true" shutdown="false"/>
          <node name="n4.lab" online="false" standby="false" pending="false" unclean="false" shutdown="false"/>
        </nodes>
        <resources>
          <resource id="master" resource_agent="ocf:ganeti:ganeti-master-role" role="Started" active="true"><node name="n1.lab"/></resource>
          <resource id="other" resource_agent="ocf:heartbeat:Dummy" role="Started" active="true"><node name="n2.lab"/></resource>
        </resources>
        <fence_history status="0">
          <fence_event status="success" action="reboot" target="n4.lab" client="c" origin="n1.lab" delegate="n2.lab" completed="2026-11-22 19:40:00Z"/>
          <fence_event status="failed" action="off" target="n3.lab" delegate="a human" completed="2026-11-22 20:40:00 +01:00"/>
          <fence_event status="pending" action="reboot" target="n3.lab" extended-status="1"/>
        </fence_history></pacemaker-result>"#;

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

#[test]
fn everything_that_counts_is_read() {
    let found = CrmMon::parse(XML).unwrap();
    assert!(found.quorum && !found.maintenance);
    let all = ["n1.lab", "n2.lab", "n3.lab", "n4.lab", "n9.lab"].map(name);
    let seen = |node: &str| found.membership(&name(node), &all);
    assert_eq!([seen("n1.lab"), seen("n2.lab")], [Membership::Online, Membership::Standby]);
    assert_eq!([seen("n3.lab"), seen("n4.lab")], [Membership::Unclean, Membership::Absent]);
    assert_eq!(seen("n9.lab"), Membership::Unknown);
    assert_eq!(found.master_role, MasterRoleState::ActiveOn(name("n1.lab")));
    let stopped = XML.replace("role=\"Started\" active=\"true\"", "role=\"Stopped\" active=\"false\"");
    assert_eq!(CrmMon::parse(&stopped).unwrap().master_role, MasterRoleState::Inactive);
    let other = XML.replace("ganeti-master-role", "other");
    assert_eq!(CrmMon::parse(&other).unwrap().master_role, MasterRoleState::Unmanaged);
    let fences = found.fences_of(&name("n3.lab"), &all);
    assert_eq!(
        fences.iter().map(|fence| fence.status).collect::<Vec<_>>(),
        [FenceStatus::Failed, FenceStatus::Pending]
    );
    assert_eq!(fences[0].delegate, Delegate::Human);
    assert_eq!(fences[0].completed_ms, found.fences_of(&name("n4.lab"), &all)[0].completed_ms);
}

/// Output of Pacemaker 2.1.5 for a remote node that was fenced, and whose connection is being tried.
#[test]
fn a_remote_node_that_is_not_connected_to_is_not_online() {
    const STATES: &str = r#"<xpath-query><node_state id="1" uname="n1.lab" in_ccm="false" crmd="online"/>
            <node_state remote_node="true" id="n5.lab" uname="n5.lab" in_ccm="true" node_fenced="0"/>
            <node_state remote_node="true" id="n6.lab" uname="n6.lab" in_ccm="false" node_fenced="1795985335"/></xpath-query>"#;
    let remote = |n: u8, unclean: bool| {
        format!("<node name=\"n{n}.lab\" online=\"true\" pending=\"false\" unclean=\"{unclean}\" type=\"remote\"/>")
    };
    let remotes = format!("{}{}{}{}</nodes>", remote(5, false), remote(6, false), remote(7, false), remote(8, true));
    let found = CrmMon::parse(&XML.replace("</nodes>", &remotes)).unwrap();
    let of = |found: &CrmMon, n: u8| found.of(&PacemakerName::of_test(&format!("n{n}.lab")));
    assert_eq!(of(&found, 6), Membership::Online);
    let found = found.with_states(STATES).unwrap();
    let seen: Vec<Membership> = (5..=8).map(|n| of(&found, n)).collect();
    let expected = [Membership::Online, Membership::Absent, Membership::Absent, Membership::Unclean];
    assert_eq!((seen.as_slice(), of(&found, 1)), (&expected[..], Membership::Online), "a member is as crm_mon says");
    // Output of Pacemaker 3.0.0: the value is 0 for each remote node, also for one that is connected.
    let later = STATES.replace("in_ccm=\"true\" node_fenced", "in_ccm=\"0\" node_fenced");
    let later = later.replace("in_ccm=\"false\" node", "in_ccm=\"0\" node");
    let connection = |n: u8| {
        format!(
            "<resource id=\"n{n}.lab\" resource_agent=\"ocf:pacemaker:remote\" role=\"Started\" active=\"true\" \
                 failed=\"false\"/>"
        )
    };
    // crm_mon 3.0.0 does not show that a connection is being started: only node_fenced shows that it does not exist.
    let resources = format!("<resources>{}{}", connection(5), connection(6));
    let xml = XML.replace("</nodes>", &remotes).replace("<resources>", &resources);
    let again = CrmMon::parse(&xml).unwrap().with_states(&later).unwrap();
    assert_eq!(again.nodes, found.nodes);
    // A connection that is not started, has failed or is only tried does not exist.
    for (from, to) in [
        ("role=\"Started\" active=\"true\" failed", "role=\"Stopped\" active=\"true\" failed"),
        ("active=\"true\" failed", "active=\"false\" failed"),
        ("failed=\"false\"", "failed=\"true\""),
        ("failed=\"false\"", "failed=\"false\" pending=\"Starting\""),
    ] {
        let without = CrmMon::parse(&xml.replace(from, to)).unwrap().with_states(&later).unwrap();
        assert_eq!(of(&without, 5), Membership::Absent, "{to}");
    }
    for bad in ["", "<cib/>", "<xpath-query>"] {
        found.clone().with_states(bad).unwrap_err();
    }
}

/// An ambiguous name is never a match: an entry of `n1` belongs to neither of two nodes with that short name.
#[test]
fn of_two_domains_with_one_short_name_neither_has_its_history() {
    let text = XML.replace("target=\"n4.lab\"", "target=\"n1\"").replace("<node name=\"n1.lab\"", "<node name=\"n1\"");
    let found = CrmMon::parse(&text).unwrap();
    let all = [name("n1.east"), name("n1.west")];
    for node in &all {
        assert!(found.fences_of(node, &all).is_empty());
        assert_eq!(found.membership(node, &all), Membership::Unknown);
    }
    let alone = [name("n1.east")];
    assert_eq!(found.fences_of(&alone[0], &alone).len(), 1);
}

/// Pacemaker's watchdog fencing has no host that ran a device.
#[test]
fn the_watchdog_is_a_delegate_unless_a_node_has_its_name() {
    let text = XML.replace("delegate=\"n2.lab\"", "delegate=\"watchdog\"");
    assert_eq!(CrmMon::parse(&text).unwrap().fences[0].1.delegate, Delegate::Watchdog);
    let named = text.replace("name=\"n2.lab\"", "name=\"watchdog\"");
    assert_eq!(CrmMon::parse(&named).unwrap().fences[0].1.delegate, Delegate::Host(name("watchdog")));
}

/// A missing value must allow nothing.
#[test]
fn what_is_missing_allows_least() {
    let found = CrmMon::parse(r#"<r><nodes><node name="n1" online="true"/></nodes></r>"#).unwrap();
    assert!(!found.quorum && found.maintenance);
    for bad in ["", "<a/>", "<a", "not xml"] {
        assert!(CrmMon::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", at in 0usize..1500) {
        let _ = CrmMon::parse(&text);
        let at = (0..=at.min(XML.len())).rev().find(|at| XML.is_char_boundary(*at)).unwrap_or(0);
        let _ = CrmMon::parse(&XML[..at]);
        let _ = completed_ms(&text);
    }
}
