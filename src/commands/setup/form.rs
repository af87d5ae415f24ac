//! The changes of `gnt-ha setup` as text: a table, or input for cibadmin, pcs or crmsh.

use clap::ValueEnum;

use crate::core::setup::{Part, PartState, fragment};
use crate::sys::output::{Paint, Text};

/// The first line of the output for crmsh, if some of the commands are for the shell.
const FOR_THE_SHELL: &str =
    "# Lines that begin with \"# \" are for the shell, all others for crm configure. Below this one:\n";

/// Format of the changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanForm {
    /// One line for each part, to read
    #[default]
    Table,
    /// For cibadmin --modify --allow-create
    Xml,
    /// For pcs
    Pcs,
    /// For crm configure
    Crm,
}

/// Returns the changes in this form.
pub(super) fn shown(parts: &[Part], form: PlanForm) -> Text {
    let open = || parts.iter().filter(|part| part.state.is_open());
    let lines =
        |words: fn(&Part) -> &[String]| open().flat_map(words).map(|line| format!("{line}\n")).collect::<String>();
    match form {
        PlanForm::Table => table(parts),
        PlanForm::Xml => Text::from(fragment(parts).as_str()),
        PlanForm::Pcs => Text::from((lines(|part| &part.pcs) + &by_hand(parts, |part| &part.pcs)).as_str()),
        PlanForm::Crm => Text::from((crm(&lines(|part| &part.crm)) + &by_hand(parts, |part| &part.crm)).as_str()),
    }
}

/// Returns the connections that an administrator has to make, with their reasons, as comments. They are not commands
/// for the shell or crmsh before their fault is fixed.
fn by_hand(parts: &[Part], words: fn(&Part) -> &[String]) -> String {
    let comment = |part: &Part| match &part.state {
        PartState::Manual(why) if part.section == "resources" => {
            let lines: String = words(part).iter().map(|line| format!("## {line}\n")).collect();
            Some(format!("## by hand: {why}\n{lines}"))
        }
        _ => None,
    };
    parts.iter().filter_map(comment).collect()
}

/// Marks commands that crmsh cannot run: to crmsh they are comments.
fn crm(lines: &str) -> String {
    let is_for_the_shell = lines.lines().any(|line| line.starts_with("# "));
    format!("{}{lines}", if is_for_the_shell { FOR_THE_SHELL } else { "" })
}

fn table(parts: &[Part]) -> Text {
    let mut text = Text::default();
    for part in parts {
        let (mark, why, paint) = match &part.state {
            PartState::Add => ("+ add      ", String::new(), Some(Paint::Green)),
            PartState::Change(why) => ("~ change   ", format!(": {why}"), Some(Paint::Yellow)),
            PartState::Remove(why) => ("- remove   ", format!(": {why}"), Some(Paint::Yellow)),
            PartState::Unchanged => ("= unchanged", String::new(), None),
            PartState::Foreign(why) => ("  foreign  ", format!(": {why}"), None),
            PartState::Manual(why) => ("! by hand  ", format!(": {why}"), Some(Paint::Yellow)),
        };
        text.push_painted(paint, mark);
        text.push_str(&format!("  {}{why}\n", part.description));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crmsh_does_not_do_is_stated_at_the_head() {
        let property = "property stonith-enabled=true\n";
        assert_eq!(crm(property), property);
        let both = format!("# crm_attribute --name x --delete\n{property}");
        assert_eq!(crm(&both), format!("{FOR_THE_SHELL}{both}"));
        assert_eq!(crm(""), "");
    }

    /// A connection that setup does not make is shown, and is not a command in output that is piped to a shell or to
    /// crmsh.
    #[test]
    fn what_is_to_be_done_by_hand_is_a_comment() {
        let part = |section, state| Part {
            description: "n17.lab as a Pacemaker remote node".into(),
            section,
            xml: "  <primitive id=\"n17.lab\"/>".into(),
            pcs: vec!["pcs cluster node add-remote n17.lab".into()],
            crm: vec!["primitive n17.lab ocf:pacemaker:remote".into()],
            state,
        };
        let why = "n3.lab has another key for remote nodes, or none";
        let form = |form| shown(&[part("resources", PartState::Manual(why.into()))], form).plain();
        assert_eq!(form(PlanForm::Pcs), format!("## by hand: {why}\n## pcs cluster node add-remote n17.lab\n"));
        assert_eq!(form(PlanForm::Crm), format!("## by hand: {why}\n## primitive n17.lab ocf:pacemaker:remote\n"));
        assert!(!form(PlanForm::Xml).contains("n17.lab"));
        let others = [part("resources", PartState::Add), part("nodes", PartState::Manual(why.into()))];
        assert_eq!(shown(&others, PlanForm::Pcs).plain(), "pcs cluster node add-remote n17.lab\n");
    }
}
