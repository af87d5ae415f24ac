//! Tests of the properties that the plan sets.

use super::*;

/// Option names that this Pacemaker knows (2.1 or 3). 2.1.5 has feature set 3.16.1, 3.0.1 has 3.20.1, 3.0.2 has 3.20.5.
#[test]
fn properties_have_the_names_that_this_pacemaker_knows() {
    let of = |feature_set: &str, there: &str| {
        let cib = EMPTY.replace("<cib>", &format!("<cib crm_feature_set=\"{feature_set}\">"));
        let set = format!("<crm_config><cluster_property_set id=\"s\">{there}</cluster_property_set></crm_config>");
        let resources = Resources::parse(&cib.replace("<crm_config/>", &set)).unwrap();
        let parts = plan(&resources, &ganeti(3, 3), SetupOptions::default());
        let is_pacemakers = |part: &Part| part.section == "crm_config" && !part.description.contains("gnt-ha-");
        let properties = parts.into_iter().filter(is_pacemakers);
        properties.map(|part| (part.description, part.state)).collect::<Vec<_>>()
    };
    let add =
        |names: &[&str]| names.iter().map(|name| (format!("property {name}"), PartState::Add)).collect::<Vec<_>>();
    let older = add(&["stonith-enabled = true", "stonith-timeout = 72s", "concurrent-fencing = true"]);
    assert_eq!(of("3.16.1", ""), older);
    assert_eq!(of("3.9.0", ""), older, "as numbers");
    assert_eq!(of("3.20.1", ""), older[..2], "concurrent-fencing is deprecated, and so by default");
    let later = add(&["fencing-enabled = true", "fencing-timeout = 72s"]);
    assert_eq!(of("3.20.5", ""), later);

    // After an upgrade gnt-ha's property is renamed and keeps its value; the administrator's property stays.
    let pair = |id: &str, name: &str| format!("<nvpair id=\"{id}\" name=\"{name}\" value=\"90s\"/>");
    let renamed = of("3.20.5", &pair("gnt-ha-options-stonith-timeout", "stonith-timeout"));
    let gone = PartState::Remove("this Pacemaker calls it fencing-timeout".into());
    assert_eq!(
        renamed[1..],
        [("property fencing-timeout = 90s".into(), PartState::Add), ("property stonith-timeout".into(), gone)]
    );
    let kept = of("3.20.5", &pair("x", "stonith-timeout"));
    assert_eq!(kept[1].1, PartState::Foreign("it is 90s, as stonith-timeout".into()));
    // A name that this Pacemaker does not know has no effect.
    assert_eq!(of("3.16.1", &pair("x", "fencing-timeout"))[1], older[1]);
}

/// Without allow-unhealthy-nodes the clone that publishes a red health is stopped by it.
#[test]
fn health_counts_where_it_is_wished_for() {
    let empty = Resources::parse(EMPTY).unwrap();
    let without = plan(&empty, &ganeti(3, 3), SetupOptions::default());
    assert!(!fragment(&without).contains("health") && without.iter().all(|part| !part.description.contains("health")));
    let options = SetupOptions { health: true, ..SetupOptions::default() };
    let parts = plan(&empty, &ganeti(3, 3), options);
    let made = fragment(&parts);
    assert!(made.contains("name=\"node-health-strategy\" value=\"migrate-on-red\""), "{made}");
    assert!(made.contains("name=\"allow-unhealthy-nodes\" value=\"true\""), "{made}");
    let asked_for: Vec<&Part> = parts.iter().filter(|part| part.section == GANETI && part.state.is_open()).collect();
    assert_eq!(
        asked_for.iter().map(|part| part.pcs[0].as_str()).collect::<Vec<_>>(),
        ["gnt-cluster add-tags ocf:health:on"]
    );
    // A configuration that has it without the option keeps it; one without it gets the clone changed.
    assert!(
        plan(&merged(&parts), &ganeti(3, 3), SetupOptions::default())
            .iter()
            .all(|part| part.state == PartState::Unchanged)
    );
    let later = plan(&merged(&without), &ganeti(3, 3), options);
    let why = PartState::Change("allow-unhealthy-nodes is not set, not true".into());
    assert!(later.iter().any(|part| part.state == why), "{later:#?}");
}

/// A quorum device decides a tie: no node is preferred, and what was made for that is removed, whichever tool made it.
#[test]
fn with_a_quorum_device_none_of_two_is_preferred() {
    let empty = Resources::parse(EMPTY).unwrap();
    for primitive in [false, true] {
        let without = SetupOptions { primitive, ..SetupOptions::default() };
        let with = SetupOptions { has_device: true, ..without };
        let first = plan(&empty, &ganeti(2, 2), with);
        assert!(!fragment(&first).contains("priority"), "{}", fragment(&first));
        let before = fragment(&plan(&empty, &ganeti(2, 2), without));
        for (from, to) in
            [("no such id", ""), ("gnt-ha-master-priority", "gnt-ha-master-clone-meta_attributes-priority")]
        {
            let there = Resources::parse(&format!("<cib>{}</cib>", before.replace(from, to))).unwrap();
            let parts = plan(&there, &ganeti(2, 2), with);
            let gone: Vec<&str> = outdated(&parts).collect();
            let id = if to.is_empty() { "gnt-ha-master-priority" } else { to };
            let delay = "<nvpair id=\"gnt-ha-options-priority-fencing-delay\"/>";
            assert_eq!(gone, [format!("<nvpair id=\"{id}\"/>").as_str(), delay]);
            let open = parts.iter().filter(|part| part.state.is_open() && !part.state.removes());
            assert_eq!(open.count(), 0, "nothing else changes");
        }
    }
}

/// Typed for two nodes as `setup` has printed it, the delay is in the set of pcs and crmsh (pcs cuts its id). `gnt-ha
/// check` warned of it for ever.
#[test]
fn with_a_quorum_device_the_typed_delay_is_removed_too() {
    let with = SetupOptions { has_device: true, ..SetupOptions::default() };
    let of_two = fragment(&plan(&Resources::parse(EMPTY).unwrap(), &ganeti(2, 2), SetupOptions::default()));
    let typed = of_two
        .replace("gnt-ha-options-priority-fencing-delay", "cib-bootstrap-options-priority-fencing-del")
        .replace("\"gnt-ha-options", "\"cib-bootstrap-options");
    let of = |cib: &str| plan(&Resources::parse(&format!("<cib>{cib}</cib>")).unwrap(), &ganeti(2, 2), with);
    let parts = of(&typed);
    let delay = parts.iter().find(|part| part.xml.contains("priority-fencing-del")).unwrap();
    assert_eq!(delay.xml.trim(), "<nvpair id=\"cib-bootstrap-options-priority-fencing-del\"/>");
    let deletion = "crm_attribute --name priority-fencing-delay --delete --set-name=cib-bootstrap-options";
    assert_eq!((&delay.pcs[..], &delay.crm[..]), (&[deletion.to_owned()][..], &[format!("# {deletion}")][..]));
    assert!(delay.state.removes());
    // Another value is the administrator's: it stays, and `gnt-ha check` reports it.
    let own = typed.replace("value=\"10s\"/>", "value=\"30s\"/>");
    assert_ne!(own, typed);
    assert!(!of(&own).iter().any(|part| part.xml.contains("priority-fencing-del")));
}
