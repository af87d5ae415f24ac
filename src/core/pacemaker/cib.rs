//! Pacemaker's configuration (`/usr/share/pacemaker/resources-*.rng`, `nvset-*.rng`), as far as the reconciler needs
//! it. Pure.
//!
//! Sets of parameters may be referred to, come from templates, and hold only under rules. None of that is followed: a
//! value counts wherever it is written, and of several values the one that allows least.

use std::collections::BTreeSet;

use crate::core::pacemaker::fencing::Fencing;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::standby::MARK;
use crate::core::pacemaker::tree::{BadCib, Element};
use crate::core::pause::Pause;

/// The cluster property that holds the administrator's pause.
pub const PAUSE: &str = "gnt-ha-pause";

/// The parts of the configuration that the reconciler uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cib {
    /// The fence devices and levels.
    pub fencing: Fencing,
    /// Whether a property set has `maintenance-mode` on.
    pub maintenance: bool,
    /// The pause of the whole cluster.
    pub pause: Option<Pause>,
    /// The nodes with gnt-ha's standby mark ([`MARK`]), because an administrator has recorded them offline in Ganeti.
    pub offline_by_hand: BTreeSet<PacemakerName>,
}

impl Cib {
    /// Parses a whole CIB, with or without its status section. `power_agents` are as in [`Fencing::of`].
    ///
    /// # Errors
    /// [`BadCib`] if the text is not XML, or not a whole CIB.
    pub fn parse(xml: &str, power_agents: &BTreeSet<String>) -> Result<Self, BadCib> {
        let cib = Element::parse(xml)?;
        // A file that ends early may lack the very lines that count.
        if cib.name != "cib" || cib.children.is_empty() {
            return Err(BadCib::Shape);
        }
        let properties: Vec<(&str, Option<&str>)> = cib
            .all("crm_config")
            .into_iter()
            .flat_map(|config| config.all("nvpair"))
            .filter_map(|pair| Some((pair.get("name")?, pair.get("value"))))
            .collect();
        let values =
            |name: &'static str| properties.iter().filter(move |(own, _)| *own == name).map(|(_, value)| *value);
        let nodes = cib.all("nodes").into_iter().flat_map(|nodes| nodes.children_named("node"));
        let is_offline_by_hand = |node: &&Element| node.all("nvpair").iter().any(|pair| pair.get("name") == Some(MARK));
        Ok(Self {
            fencing: Fencing::of(&cib, power_agents),
            // A value that is not a word for "off" counts as on.
            maintenance: values("maintenance-mode").any(is_on),
            pause: values(PAUSE).next().map(|value| Pause::of_property(value.unwrap_or_default())),
            offline_by_hand: nodes
                .filter(is_offline_by_hand)
                .filter_map(|node| PacemakerName::read(node.get("uname")?))
                .collect(),
        })
    }
}

/// Returns whether a value counts as on: each one that Pacemaker does not read as off (`crm_str_to_boolean`).
fn is_on(value: Option<&str>) -> bool {
    !matches!(value.map(str::to_ascii_lowercase).as_deref(), Some("false" | "off" | "no" | "n" | "0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file that Pacemaker 2.1.5 wrote, shortened.
    fn cib(properties: &str, resources: &str) -> String {
        format!(
            r#"<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="5" num_updates="0" admin_epoch="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="cib-bootstrap-options-dc-version" name="dc-version" value="2.1.5-a3f44794f94"/>
      </cluster_property_set>
      {properties}
    </crm_config>
    <nodes><node id="1" uname="n1.lab"/></nodes>
    <resources>{resources}</resources>
    <constraints/>
  </configuration>
</cib>
"#
        )
    }

    fn set(name: &str, value: &str) -> String {
        format!(
            r#"<cluster_property_set id="s"><nvpair id="s-1" name="{name}" value="{value}"/></cluster_property_set>"#
        )
    }

    fn device(element: &str, grade: &str) -> String {
        format!(
            r#"<{element} id="f" class="stonith" type="fence_ganeti"><instance_attributes id="i">
               <nvpair id="g" name="minimum_grade" value="{grade}"/></instance_attributes></{element}>"#
        )
    }

    fn parse(text: &str) -> Result<Cib, BadCib> {
        Cib::parse(text, &BTreeSet::new())
    }

    const SILENT: &str = r#"<primitive id="f" class="stonith" type="fence_ganeti"/>"#;

    #[test]
    fn a_pause_is_found_in_whichever_set_it_is() {
        assert_eq!(parse(&cib("", "")).unwrap().pause, None);
        let pause = Pause { reason: "a <fan> & \"x\" \u{fc}".into(), by: "root".into(), since_ms: 7 };
        let escaped = quick_xml::escape::escape(pause.to_property()).into_owned();
        assert_eq!(parse(&cib(&set(PAUSE, &escaped), "")).unwrap().pause, Some(pause));
        assert!(parse(&cib(&set(PAUSE, "false"), "")).unwrap().pause.is_some(), "no licence to act");
        // A node attribute or a resource's parameter of that name is not a pause.
        assert_eq!(parse(&cib("", &set(PAUSE, "x"))).unwrap().pause, None);
    }

    #[test]
    fn maintenance_is_on_unless_it_is_set_off() {
        let on = |value: &str| parse(&cib(&set("maintenance-mode", value), "")).unwrap().maintenance;
        assert!(on("true") && on("1") && on("perhaps"));
        assert!(!on("false") && !on("0") && !parse(&cib("", "")).unwrap().maintenance);
    }

    /// Half a file may lack the pause.
    #[test]
    fn half_a_file_is_none() {
        let whole = cib(&set(PAUSE, "x"), &device("primitive", "off"));
        for end in 0..whole.trim_end().len() {
            assert!(parse(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        for bad in ["", "<a/>", "<a", "not xml", "<cib/>"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}", at in 0usize..1200) {
            let _ = parse(&text);
            let whole = cib(&set(PAUSE, "x"), SILENT);
            let at = at.min(whole.len());
            let _ = parse(&format!("{}{text}{}", &whole[..at], &whole[at..]));
        }
    }

    /// A node that was recorded offline by hand and then added again was drained because its standby had not ended yet.
    #[test]
    fn whose_standby_is_ours_is_known() {
        let node = |name: &str, mark: &str| {
            format!(
                "<node id=\"{name}\" uname=\"{name}.lab\"><instance_attributes id=\"nodes-{name}\">\
                 <nvpair id=\"{name}-s\" name=\"standby\" value=\"true\"/>{mark}</instance_attributes></node>"
            )
        };
        let mark = format!("<nvpair id=\"m\" name=\"{MARK}\" value=\"offline-by-hand\"/>");
        let nodes = [node("n1", ""), node("n3", &mark), node("n4", "")].concat();
        let xml =
            format!("<cib><configuration><nodes>{nodes}</nodes><resources>{mark}</resources></configuration></cib>");
        assert_eq!(parse(&xml).unwrap().offline_by_hand, [PacemakerName::of_test("n3.lab")].into());
    }
}
