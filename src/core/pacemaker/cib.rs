//! Pacemaker's configuration (`/usr/share/pacemaker/resources-*.rng`, `nvset-*.rng`), as far as the record needs it.
//!
//! Sets of parameters may be referred to, come from templates, and hold only under rules. None of that is followed:
//! whatever is written anywhere counts, and of several values the one that allows least.

use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::standby::MARK;
use crate::core::pacemaker::xml::attribute;
use crate::core::reconcile::{Pause, Settings};

/// The cluster property that holds the administrator's pause.
pub const PAUSE: &str = "gnt-ha-pause";

/// The agent whose devices promise a grade.
const AGENT: &str = "fence_ganeti";

/// What the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cib {
    /// What a success of any `fence_ganeti` device proves at least: the lowest `minimum_grade` of them all.
    pub device_grade: Grade,
    /// Some property set has `maintenance-mode` on.
    pub maintenance: bool,
    /// The pause of the whole cluster.
    pub pause: Option<Pause>,
    /// The nodes whose standby is ours, while Ganeti has them offline by an administrator's word.
    pub held: BTreeSet<NodeName>,
}

/// Why a configuration is none.
#[derive(Debug, thiserror::Error)]
pub enum BadCib {
    /// No XML.
    #[error("it is no XML: {0}")]
    Xml(#[from] quick_xml::Error),
    /// XML of something else, or cut short.
    #[error("it is no whole CIB")]
    Shape,
}

impl Cib {
    /// Reads a whole CIB, with or without its status section.
    ///
    /// # Errors
    /// [`BadCib`].
    pub fn parse(xml: &str) -> Result<Self, BadCib> {
        let mut reader = Reader::from_str(xml);
        let mut path: Vec<String> = Vec::new();
        let mut is_whole = false;
        let mut devices = Devices::default();
        let (mut maintenance, mut pause, mut held) = (false, None, BTreeSet::new());
        let mut node = None;
        loop {
            let (tag, is_empty) = match reader.read_event()? {
                Event::Eof => break,
                Event::Start(tag) => (tag, false),
                Event::Empty(tag) => (tag, true),
                Event::End(tag) => {
                    if matches!(tag.name().as_ref(), "primitive" | "template") {
                        devices.leave();
                    }
                    path.pop();
                    is_whole |= path.is_empty() && tag.name().as_ref() == "cib";
                    continue;
                }
                _ => continue,
            };
            if tag.name().as_ref() == "nvpair" {
                let (name, value) = (attribute(&tag, "name"), attribute(&tag, "value"));
                match name.as_deref() {
                    Some(MARK) if within(&path, "nodes") => held.extend(node.clone()),
                    Some("minimum_grade") => devices.promise(value.as_deref()),
                    // What cannot be read as "off" is on.
                    Some("maintenance-mode") if within(&path, "crm_config") => maintenance |= is_on(value.as_deref()),
                    Some(PAUSE) if within(&path, "crm_config") => {
                        pause = pause.or_else(|| Some(Pause::of_property(value.as_deref().unwrap_or_default())));
                    }
                    _ => {}
                }
            }
            if tag.name().as_ref() == "node" && within(&path, "nodes") {
                node = attribute(&tag, "uname").and_then(|name| NodeName::new(&name).ok());
            }
            if matches!(tag.name().as_ref(), "primitive" | "template") {
                let is_ours = attribute(&tag, "type").as_deref() == Some(AGENT);
                devices.enter(is_ours);
                if is_empty {
                    devices.leave();
                }
            }
            if !is_empty {
                path.push(tag.name().as_ref().to_owned());
            }
        }
        // A file that ends early may lack the very lines that count.
        if !is_whole {
            return Err(BadCib::Shape);
        }
        Ok(Self { device_grade: devices.lowest.unwrap_or(DEFAULT), maintenance, pause, held })
    }
}

/// What a device promises that does not say (`minimum_grade` in `fence_ganeti`'s metadata).
const DEFAULT: Grade = Settings::DEVICE_GRADE;

/// What the devices seen so far promise.
#[derive(Default)]
struct Devices {
    lowest: Option<Grade>,
    /// The resource under way is one of ours and has not said what it promises.
    is_silent: bool,
}

impl Devices {
    fn enter(&mut self, is_ours: bool) {
        self.is_silent = is_ours;
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.is_silent) {
            self.lower(DEFAULT);
        }
    }

    fn promise(&mut self, value: Option<&str>) {
        self.is_silent = false;
        self.lower(match value.map(str::trim) {
            // An empty value is none to the agent.
            Some("") => DEFAULT,
            // With another word than these the agent fences nothing.
            Some(word) => {
                word.parse().ok().filter(|grade| Grade::ACCEPTABLE.contains(grade)).unwrap_or(Grade::Isolated)
            }
            None => Grade::Isolated,
        });
    }

    fn lower(&mut self, grade: Grade) {
        self.lowest = Some(self.lowest.map_or(grade, |lowest| lowest.min(grade)));
    }
}

fn within(path: &[String], element: &str) -> bool {
    path.iter().any(|name| name == element)
}

/// Pacemaker's words for off (`crm_str_to_boolean`); everything else is on here.
fn is_on(value: Option<&str>) -> bool {
    !matches!(value.map(str::to_ascii_lowercase).as_deref(), Some("false" | "off" | "no" | "n" | "0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Pacemaker 2.1.5 wrote it to disk, shortened.
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

    fn grade(resources: &str) -> Grade {
        Cib::parse(&cib("", resources)).unwrap().device_grade
    }

    const SILENT: &str = r#"<primitive id="f" class="stonith" type="fence_ganeti"/>"#;

    /// A host's isolation must not count as bounded only because its receipt is out of reach.
    #[test]
    fn the_lowest_grade_of_any_device_counts() {
        assert_eq!(grade(""), Grade::Bounded);
        assert_eq!(grade(SILENT), Grade::Bounded);
        assert_eq!(grade(&device("primitive", "off")), Grade::Off);
        assert_eq!(grade(&device("primitive", "isolated")), Grade::Isolated);
        assert_eq!(grade(&format!("{SILENT}{}", device("primitive", "off"))), Grade::Bounded);
        assert_eq!(grade(&format!("{}{SILENT}", device("primitive", "isolated"))), Grade::Isolated);
        let other = r#"<primitive id="o" class="stonith" type="fence_ipmilan"/>"#;
        assert_eq!(grade(&format!("{other}{}", device("primitive", "off"))), Grade::Off);
    }

    #[test]
    fn templates_and_groups_count() {
        let of_template = r#"<primitive id="p" template="f"/>"#;
        assert_eq!(grade(&format!("{}{of_template}", device("template", "isolated"))), Grade::Isolated);
        let own = r#"<template id="t" class="stonith" type="fence_ganeti"/><group id="g"><primitive id="p" template="t">
            <instance_attributes id="i"><nvpair id="n" name="minimum_grade" value="isolated"/></instance_attributes>
            </primitive></group>"#;
        assert_eq!(grade(own), Grade::Isolated);
    }

    #[test]
    fn a_grade_that_cannot_be_read_allows_least() {
        for word in ["unknown", "OFF", "bounded-ish", "&broken;"] {
            assert_eq!(grade(&device("primitive", word)), Grade::Isolated, "{word}");
        }
        assert_eq!(grade(&device("primitive", "")), Grade::Bounded);
    }

    #[test]
    fn a_pause_is_found_in_whichever_set_it_is() {
        assert_eq!(Cib::parse(&cib("", "")).unwrap().pause, None);
        let pause = Pause { reason: "a <fan> & \"x\" \u{fc}".into(), by: "root".into(), since_ms: 7 };
        let escaped = quick_xml::escape::escape(pause.to_property()).into_owned();
        assert_eq!(Cib::parse(&cib(&set(PAUSE, &escaped), "")).unwrap().pause, Some(pause));
        assert!(Cib::parse(&cib(&set(PAUSE, "false"), "")).unwrap().pause.is_some(), "no licence to act");
        // A node attribute or a resource's parameter of that name is none.
        assert_eq!(Cib::parse(&cib("", &set(PAUSE, "x"))).unwrap().pause, None);
    }

    #[test]
    fn maintenance_is_on_unless_it_is_said_to_be_off() {
        let on = |value: &str| Cib::parse(&cib(&set("maintenance-mode", value), "")).unwrap().maintenance;
        assert!(on("true") && on("1") && on("perhaps"));
        assert!(!on("false") && !on("0") && !Cib::parse(&cib("", "")).unwrap().maintenance);
    }

    /// Half a file may lack the pause.
    #[test]
    fn half_a_file_is_none() {
        let whole = cib(&set(PAUSE, "x"), &device("primitive", "off"));
        for end in 0..whole.trim_end().len() {
            assert!(Cib::parse(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        for bad in ["", "<a/>", "<a", "not xml", "<cib/>"] {
            assert!(Cib::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}", at in 0usize..1200) {
            let _ = Cib::parse(&text);
            let whole = cib(&set(PAUSE, "x"), SILENT);
            let at = at.min(whole.len());
            let _ = Cib::parse(&format!("{}{text}{}", &whole[..at], &whole[at..]));
        }
    }

    /// A node that was offlined by hand, and is added again, was drained for its standby before that had ended.
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
        assert_eq!(Cib::parse(&xml).unwrap().held, [NodeName::new("n3.lab").unwrap()].into());
    }
}
