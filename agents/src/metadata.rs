//! The OCF metadata document, made from the tables of [`crate::spec`].
//!
//! It uses only what the DTD of OCF 1.0 (`ra-api-1.dtd`, which `ocf-tester` checks), the schema of resource-agents and
//! that of OCF 1.1 have in common: a DOCTYPE, `unique` and `required`, no `reloadable`, no `reload-agent`.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::spec::{Agent, OcfAction, PARAMETERS, Parameter, ParameterKind};

/// The version of the OCF standard that the agents follow.
const OCF_VERSION: &str = "1.1";

/// Returns the whole document of `agent`.
///
/// # Errors
/// None in practice: the document is written to memory.
pub fn document(agent: &Agent) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 1);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
    writer.write_event(Event::DocType(BytesText::from_escaped("resource-agent SYSTEM \"ra-api-1.dtd\"")))?;
    writer
        .create_element("resource-agent")
        .with_attributes([("name", agent.name), ("version", env!("CARGO_PKG_VERSION"))])
        .write_inner_content(|writer| {
            text(writer, "version", None, OCF_VERSION)?;
            text(writer, "longdesc", Some("en"), agent.long)?;
            text(writer, "shortdesc", Some("en"), agent.short)?;
            writer
                .create_element("parameters")
                .write_inner_content(|writer| PARAMETERS.iter().try_for_each(|spec| parameter(writer, spec)))?;
            writer
                .create_element("actions")
                .write_inner_content(|writer| agent.actions.iter().try_for_each(|spec| action(writer, spec)))?;
            Ok(())
        })?;
    let mut document = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    document.push('\n');
    Ok(document)
}

fn parameter(writer: &mut Writer<Vec<u8>>, spec: &Parameter) -> io::Result<()> {
    writer
        .create_element("parameter")
        .with_attributes([("name", spec.name), ("unique", "0"), ("required", "0")])
        .write_inner_content(|writer| {
            text(writer, "longdesc", Some("en"), spec.long)?;
            text(writer, "shortdesc", Some("en"), spec.short)?;
            let kind = match spec.kind {
                ParameterKind::Text => "string",
            };
            let mut content = writer.create_element("content").with_attribute(("type", kind));
            if let Some(default) = spec.default {
                content = content.with_attribute(("default", default));
            }
            content.write_empty()?;
            Ok(())
        })?;
    Ok(())
}

fn action(writer: &mut Writer<Vec<u8>>, spec: &OcfAction) -> io::Result<()> {
    let mut element = writer
        .create_element("action")
        .with_attribute(("name", spec.name))
        .with_attribute(("timeout", format!("{}s", spec.timeout).as_str()));
    if let Some(interval) = spec.interval {
        element = element.with_attribute(("interval", format!("{interval}s").as_str()));
        element = element.with_attribute(("depth", "0"));
    }
    if let Some(role) = spec.role {
        element = element.with_attribute(("role", role));
    }
    element.write_empty()?;
    Ok(())
}

fn text(writer: &mut Writer<Vec<u8>>, name: &str, language: Option<&str>, text: &str) -> io::Result<()> {
    let mut element = writer.create_element(name);
    if let Some(language) = language {
        element = element.with_attribute(("lang", language));
    }
    element.write_text_content(BytesText::new(text))?;
    Ok(())
}
