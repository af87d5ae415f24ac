//! `gnt-ha setup --recover`: switches recovery on by the cluster's tags, and shows which instances that covers.

use super::super::error::CommandError;
use super::super::paths::Paths;
use crate::cli;
use crate::core::recovery::coverage::{Coverage, NotCoveredInstance};
use crate::service::setup::recovery_switch::{RecoverySwitch, TAGS};
use crate::sys::clock::Deadline;

/// Shows which instances recovery covers, and switches it on if `apply` is given. Returns whether it is on.
///
/// # Errors
/// [`CommandError`] if Ganeti's configuration cannot be used, or Ganeti does not set the tags.
pub(super) fn recover(paths: &Paths, apply: bool, deadline: Deadline) -> Result<bool, CommandError> {
    let switch = RecoverySwitch::read(&paths.data_dir)?;
    let RecoverySwitch { missing, coverage } = &switch;
    cli::print(&shown(coverage))?;
    let tags = missing.join(" ");
    if missing.is_empty() {
        cli::print(&format!("recovery is on: the cluster has the tags {}\n", TAGS.join(" ")))?;
        return Ok(true);
    }
    if !apply {
        cli::print(&format!(
            "recovery is off; to be changed: the cluster gets the tags {tags}: gnt-ha setup --recover --apply\n"
        ))?;
        return Ok(false);
    }
    switch.apply(deadline)?;
    cli::print(&format!("recovery is on: the cluster has got the tags {tags}; now gnt-ha check\n"))?;
    Ok(true)
}

/// Returns the coverage as text, one line for each instance that would stay down.
fn shown(coverage: &Coverage) -> String {
    let width =
        coverage.not_covered.iter().map(|not| not.instance.to_string().chars().count()).max().unwrap_or_default();
    let line = |not: &NotCoveredInstance| format!("! {:width$}  {}\n", not.instance, not.why);
    let mut text: String = coverage.not_covered.iter().map(line).collect();
    let (covered, down) = (coverage.covered.len(), coverage.not_covered.len());
    text.push_str(&format!("would be started elsewhere: {covered}; would stay down (!): {down}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recovery::config_data::RecoveryConfig;
    use crate::core::recovery::permission::CLUSTER_TAG;

    /// The tag of the cluster does not overrule what an instance's own tags or disks forbid.
    #[test]
    fn what_the_tag_does_not_cover_is_named() {
        let config = r#"{"cluster": {}, "nodegroups": {"g": {"name": "default"}}, "nodes": {"u1": {"name": "n1.lab", "group": "g"}},
            "disks": {"d": {"dev_type": "plain"}},
            "instances": {"a": {"name": "web", "primary_node": "u1", "admin_state": "up"},
                          "b": {"name": "mail", "primary_node": "u1", "admin_state": "up", "disks": ["d"]}}}"#;
        let mut config = RecoveryConfig::parse(config.as_bytes()).unwrap();
        config.add_cluster_tag(CLUSTER_TAG);
        assert_eq!(
            shown(&Coverage::of(&config, 1)),
            "! mail  not movable: its disks (template plain) are on its host alone\n\
             would be started elsewhere: 1; would stay down (!): 1\n"
        );
    }
}
