//! The metadata document, made from the table of options. It is valid by fence-agents' `metadata.rng`.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::options::AgentAction;
use crate::spec::{OPTIONS, OptionKind, Spec};

const SHORT: &str = "Fence agent for Ganeti's out-of-band power interface";

const LONG: &str = "fence_ganeti fences the nodes of a Ganeti cluster through their out-of-band (OOB) program, the \
node parameter oob_program. It runs the program itself, on any host that has what it needs (see oob_program), and never needs Ganeti's master, \
job queue or locks: so the node that is the master can be fenced too. Success is only what was read back from \
power-status afterwards, never an exit code. After a proven off the node is recorded offline in Ganeti where that is \
possible from here. Receipts of everything are kept: see gnt-ha history.";

/// Returns the whole document.
///
/// # Errors
/// No error in practice: the document is written to memory.
pub fn document() -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b'\t', 1);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
    writer
        .create_element("resource-agent")
        .with_attributes([("name", "fence_ganeti"), ("shortdesc", SHORT)])
        .write_inner_content(|writer| {
            text_element(writer, "longdesc", LONG)?;
            text_element(writer, "vendor-url", "https://ganeti.org/")?;
            writer.create_element("parameters").write_inner_content(|writer| {
                for spec in OPTIONS {
                    parameter(writer, spec, spec.name, false)?;
                    if let Some(old) = spec.old.filter(|old| SHOWN_OLD.contains(old)) {
                        parameter(writer, spec, old, true)?;
                    }
                }
                Ok(())
            })?;
            writer.create_element("actions").write_inner_content(|writer| {
                for (word, _) in AgentAction::WORDS {
                    let action = writer.create_element("action").with_attribute(("name", word));
                    // Pacemaker must not switch on a node by itself: an administrator decides on its readmission.
                    if word == "on" { action.with_attribute(("automatic", "0")) } else { action }.write_empty()?;
                }
                Ok(())
            })?;
            Ok(())
        })?;
    let mut document = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    document.push('\n');
    Ok(document)
}

/// Pacemaker 2.1 searches the metadata for `port` to choose the name under which it sends the node.
const SHOWN_OLD: [&str; 1] = ["port"];

fn parameter(writer: &mut Writer<Vec<u8>>, spec: &Spec, name: &str, deprecated: bool) -> io::Result<()> {
    // Pacemaker itself sends the action and the node, and shows them as not required in any case.
    let required = if spec.name == "action" { "1" } else { "0" };
    let mut element =
        writer.create_element("parameter").with_attributes([("name", name), ("unique", "0"), ("required", required)]);
    if deprecated {
        element = element.with_attribute(("deprecated", "1"));
    } else if let Some(old) = spec.old.filter(|old| SHOWN_OLD.contains(old)) {
        element = element.with_attribute(("obsoletes", old));
    }
    element.write_inner_content(|writer| {
        writer.create_element("getopt").with_attribute(("mixed", getopt(spec).as_str())).write_empty()?;
        let mut content = writer.create_element("content").with_attribute(("type", kind(spec.kind)));
        if let Some(default) = spec.default {
            content = content.with_attribute(("default", default));
        }
        match spec.kind {
            OptionKind::Select(words) => {
                content.write_inner_content(|writer| {
                    for word in words {
                        writer.create_element("option").with_attribute(("value", *word)).write_empty()?;
                    }
                    Ok(())
                })?;
            }
            _ => {
                content.write_empty()?;
            }
        }
        writer
            .create_element("shortdesc")
            .with_attribute(("lang", "en"))
            .write_text_content(BytesText::new(spec.help))?;
        Ok(())
    })?;
    Ok(())
}

fn text_element(writer: &mut Writer<Vec<u8>>, name: &str, text: &str) -> io::Result<()> {
    writer.create_element(name).write_text_content(BytesText::new(text))?;
    Ok(())
}

const fn kind(kind: OptionKind) -> &'static str {
    match kind {
        OptionKind::Flag => "boolean",
        OptionKind::Truth | OptionKind::Text => "string",
        OptionKind::Second => "second",
        OptionKind::Integer => "integer",
        OptionKind::Select(_) => "select",
    }
}

fn getopt(spec: &Spec) -> String {
    let long = spec.name.replace('_', "-");
    let short = spec.short.map(|short| format!("-{short}, ")).unwrap_or_default();
    match spec.kind {
        OptionKind::Flag => format!("{short}--{long}"),
        _ => format!("{short}--{long}=[{}]", spec.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pacemaker 2.1.5 searches for `port`, 3 for `plug` first; both must be present.
    #[test]
    fn both_names_of_the_node_are_there() {
        let document = document().unwrap();
        assert!(document.contains(r#"<parameter name="plug" unique="0" required="0" obsoletes="port">"#));
        assert!(document.contains(r#"<parameter name="port" unique="0" required="0" deprecated="1">"#));
    }
}
