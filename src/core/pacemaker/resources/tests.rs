use super::*;
use crate::core::pacemaker::duration::milliseconds;

const CIB: &str = r#"<cib><configuration><crm_config><cluster_property_set id="p">
    <nvpair id="a" name="stonith-enabled" value="true"/></cluster_property_set></crm_config><nodes/>
    <resources><template id="t" class="stonith" type="fence_ganeti"><operations><op id="o" name="monitor" interval="60s"/></operations></template>
    <primitive id="f" template="t"><instance_attributes id="i"><nvpair id="l" name="pcmk_action_limit" value="-1"/></instance_attributes></primitive>
    <clone id="nodes"><meta_attributes id="m"><nvpair id="n" name="notify" value="true"/></meta_attributes>
    <primitive id="node" class="ocf" provider="ganeti" type="ganeti-node-role"><operations><op id="q" name="start" interval="0" timeout="2min"/></operations></primitive></clone></resources>
    <constraints><rsc_location id="c" rsc="f" node="n1" score="-INFINITY"/></constraints></configuration></cib>"#;

#[test]
fn templates_and_clones_give_what_they_have() {
    let found = Resources::parse(CIB).unwrap();
    assert_eq!(found.property(&["fencing-enabled", "stonith-enabled"]), Some("true"));
    let device = found.devices().next().unwrap();
    assert_eq!((device.kind.as_str(), device.parameters["pcmk_action_limit"].as_str()), ("fence_ganeti", "-1"));
    assert_eq!(device.operation("monitor").unwrap().settings["interval"], "60s");
    let node = found.agents("ganeti-node-role").next().unwrap();
    assert_eq!((node.outer.as_str(), node.is_clone, node.meta_is_true("notify")), ("nodes", true, Some(true)));
    assert_eq!(milliseconds(&node.operation("start").unwrap().settings["timeout"]), Some(120_000));
    assert_eq!(found.locations[0].score, "-INFINITY");
    assert_eq!(found.location_ids, ["c"]);
}

/// After `gnt-ha setup --apply` and `pcs property set stonith-enabled=false` two sets had the property. The command that
/// check printed ended with "Multiple attributes match name=stonith-enabled", and changed nothing.
#[test]
fn a_property_of_two_sets_is_changed_where_it_counts() {
    let ours = "<cluster_property_set id=\"gnt-ha-options\"><nvpair id=\"gnt-ha-options-x\" name=\"stonith-enabled\" value=\"true\"/></cluster_property_set>";
    let theirs = "<cluster_property_set id=\"cib-bootstrap-options\"><nvpair id=\"b\" name=\"stonith-enabled\" value=\"false\"/></cluster_property_set>";
    let of = |sets: &str| {
        Resources::parse(&format!("<cib><configuration><crm_config>{sets}</crm_config></configuration></cib>")).unwrap()
    };
    for both in [of(&format!("{ours}{theirs}")), of(&format!("{theirs}{ours}"))] {
        assert_eq!(both.property(&["stonith-enabled"]), Some("false"), "Pacemaker takes pcs's set first");
        assert_eq!(both.property_ids["stonith-enabled"], "b");
        let set = "crm_attribute --name stonith-enabled --update true --set-name cib-bootstrap-options";
        assert_eq!(both.set_command("stonith-enabled", "true"), set);
        let deletions = "crm_attribute --name stonith-enabled --delete --set-name cib-bootstrap-options && \
                         crm_attribute --name stonith-enabled --delete --set-name gnt-ha-options";
        assert_eq!(both.delete_command("stonith-enabled"), deletions);
    }
    let one = of(ours);
    assert_eq!(one.set_command("stonith-enabled", "true"), "crm_attribute --name stonith-enabled --update true");
    assert_eq!(one.delete_command("stonith-enabled"), "crm_attribute --name stonith-enabled --delete");
}

#[test]
fn what_is_no_cib_is_an_error() {
    for bad in ["", "<cib/>", "<pacemaker-result/>", "<cib><configuration>"] {
        assert!(Resources::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn times_have_units() {
    let all = ["20", "20s", "20ms", "2min", "1h", "x", "", "5 parsecs", "99999999999999999999"];
    let read: Vec<_> = all.iter().map(|text| milliseconds(text)).collect();
    let seconds = |s: u64| Some(s * 1_000);
    assert_eq!(read, [seconds(20), seconds(20), Some(20), seconds(120), seconds(3_600), None, None, None, None]);
}
