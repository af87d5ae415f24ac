//! The pages of the OCF agents, named and laid out as resource-agents does it.

use clap_mangen::roff::{bold, roman};
use ganeti_agents::spec::{Agent, MASTER_ROLE, NODE_ROLE, OcfAction, PARAMETERS};

use crate::page::Page;

/// The commands of one cluster shell for the configuration that all shells have in common.
struct Shell {
    section: &'static str,
    /// The commands for these operations, a line each.
    commands: fn(agent: &Agent, example: &Example, operations: Vec<String>) -> Vec<String>,
}

/// A clone's id and its one meta attribute.
struct Clone {
    id: &'static str,
    meta: &'static str,
}

const PROMOTABLE: &str = "promotable=true";

const SHELLS: [Shell; 2] =
    [Shell { section: "EXAMPLE PCS", commands: pcs }, Shell { section: "EXAMPLE CRM SHELL", commands: crm }];

/// Returns the commands of pcs. Options behind `clone ID` belong to the clone in one version of pcs and, after the word
/// `meta`, to the resource in another; a separate command has the same meaning in all versions.
fn pcs(agent: &Agent, example: &Example, operations: Vec<String>) -> Vec<String> {
    let mut words = vec![format!("pcs resource create {} ocf:ganeti:{}", example.id, agent.name)];
    words.extend(operations);
    let clone = example.clone.as_ref().map(|Clone { id, meta }| (id, meta, *meta == PROMOTABLE));
    words.extend(clone.map(|(id, _, promotable)| format!("{} {id}", if promotable { "promotable" } else { "clone" })));
    let mut lines = continued(words);
    lines.extend(
        clone.filter(|(.., promotable)| !promotable).map(|(id, meta, _)| format!("pcs resource meta {id} {meta}")),
    );
    lines
}

/// Returns the commands of crmsh, in one step: with two steps the first would start the resource that the second makes a
/// clone.
fn crm(agent: &Agent, example: &Example, operations: Vec<String>) -> Vec<String> {
    let mut words = vec![format!("primitive {} ocf:ganeti:{}", example.id, agent.name)];
    words.extend(operations);
    let mut lines = vec!["crm configure <<'END'".to_owned()];
    lines.extend(continued(words));
    lines.extend(example.clone.as_ref().map(|Clone { id, meta }| format!("clone {id} {} meta {meta}", example.id)));
    lines.push("END".to_owned());
    lines
}

/// Returns one command on several lines.
fn continued(words: Vec<String>) -> Vec<String> {
    let last = words.len().saturating_sub(1);
    let line = |(index, word): (usize, String)| {
        let indent = if index == 0 { "" } else { "    " };
        let end = if index == last { "" } else { " \\" };
        format!("{indent}{word}{end}")
    };
    words.into_iter().enumerate().map(line).collect()
}

/// An example of how to run an agent.
struct Example {
    heading: &'static str,
    id: &'static str,
    meta: Option<&'static str>,
    clone: Option<Clone>,
    wanted: fn(&OcfAction) -> bool,
}

/// Returns the page `ocf_ganeti_ganeti-master-role(7)`.
pub(crate) fn master_role() -> Page {
    const EXAMPLES: [Example; 2] = [
        Example {
            heading: "As one resource:",
            id: "ganeti-master",
            meta: Some("resource-stickiness=INFINITY"),
            clone: None,
            wanted: |action| {
                matches!(action.name, "start" | "stop") || (action.name == "monitor" && action.role.is_none())
            },
        },
        Example {
            heading: "As a promotable clone on all nodes:",
            id: "ganeti-master",
            meta: None,
            clone: Some(Clone { id: "ganeti-masters", meta: PROMOTABLE }),
            wanted: |action| {
                matches!(action.name, "start" | "stop" | "promote" | "demote")
                    || (action.name == "monitor" && action.role.is_some())
            },
        },
    ];
    page(&MASTER_ROLE, &EXAMPLES)
}

/// Returns the page `ocf_ganeti_ganeti-node-role(7)`.
pub(crate) fn node_role() -> Page {
    const EXAMPLES: [Example; 1] = [Example {
        heading: "On all nodes:",
        id: "ganeti-node",
        meta: None,
        clone: Some(Clone { id: "ganeti-nodes", meta: "notify=true" }),
        wanted: |action| action.name == "monitor",
    }];
    page(&NODE_ROLE, &EXAMPLES)
}

fn page(agent: &Agent, examples: &[Example]) -> Page {
    let actions: Vec<&str> = agent.actions.iter().map(|action| action.name).collect();
    let mut unique = actions.clone();
    unique.dedup();
    let mut page = Page::new(&format!("ocf_ganeti_{}", agent.name), 7, agent.short)
        .section("SYNOPSIS")
        .paragraph_of([bold(agent.name), roman(format!(" [{}]", unique.join(" | ")))])
        .section("DESCRIPTION")
        .paragraph(agent.long)
        .section("SUPPORTED PARAMETERS");
    for parameter in PARAMETERS {
        let default = parameter.default.map_or_else(String::new, |default| format!(", default {default}"));
        page = page.item(parameter.name, &format!(" (optional{default})"), parameter.long);
    }
    page = page.section("SUPPORTED ACTIONS").paragraph("The suggested minimum values are those of the metadata.");
    for action in agent.actions {
        page = page.item(action.name, "", &suggestion(action, ": ", ", "));
    }
    for shell in &SHELLS {
        page = page.section(shell.section);
        for example in examples {
            page = page.paragraph(example.heading).lines(&(shell.commands)(agent, example, operations(agent, example)));
        }
    }
    page.section("SEE ALSO").paragraph(&see_also(agent))
}

/// Returns the suggested role, interval and timeout of an operation.
fn suggestion(action: &OcfAction, is: &str, and: &str) -> String {
    let interval = action.interval.map(|seconds| format!("interval{is}{seconds}s"));
    let role = action.role.map(|role| format!("role{is}{role}"));
    let timeout = Some(format!("timeout{is}{}s", action.timeout));
    [role, interval, timeout].into_iter().flatten().collect::<Vec<_>>().join(and)
}

fn operations(agent: &Agent, example: &Example) -> Vec<String> {
    let operations = agent.actions.iter().filter(|action| (example.wanted)(action));
    let mut lines: Vec<String> =
        operations.map(|action| format!("op {} {}", action.name, suggestion(action, "=", " "))).collect();
    lines.extend(example.meta.map(|meta| format!("meta {meta}")));
    lines
}

fn see_also(agent: &Agent) -> String {
    let other = [&MASTER_ROLE, &NODE_ROLE].into_iter().find(|other| other.name != agent.name);
    let other = other.map_or_else(String::new, |other| format!("ocf_ganeti_{}(7), ", other.name));
    format!("{other}gnt-ha-tags(7), gnt-ha(8), fence_ganeti(8), gnt-cluster(8)")
}
