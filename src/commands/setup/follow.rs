//! What `gnt-ha setup` has made follows Ganeti's nodes and the configuration of its master: `gnt-ha setup --follow`.

use std::path::Path;

use super::super::places::Paths;
use super::{Form, apply, is_master, is_read, read, shown, usable};
use crate::cli;
use crate::config::{Config, DIGEST_PROPERTY, Digest};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::pacemaker::resources::Resources;
use crate::core::setup::{followed, has_made, of_nodes};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;
use crate::sys::pacemaker::{PacemakerError, cibadmin};
use crate::sys::store::{PATIENCE, Store};

/// The digest of the configuration that was last this host's file's and Pacemaker's, in the state folder.
const SEEN_FILE: &str = "config-digest.json";

/// Has what was made follow Ganeti's nodes, and the configuration of its master; returns whether it does. Within a job of
/// Ganeti's, which holds its locks: no job is submitted.
///
/// # Errors
/// One line.
pub fn follow(places: &Paths, config: &Path, dry_run: bool, deadline: Deadline) -> Result<bool, String> {
    let cib = match cibadmin::query(deadline) {
        Err(PacemakerError::NotHere) => return Ok(true),
        cib => cib.map_err(|error| error.to_string())?,
    };
    let resources = read(&cib)?;
    if !has_made(&resources) {
        return Ok(true);
    }
    let ganeti = files::read_config(&places.data_dir).map_err(|error| error.to_string())?;
    let digest = digest_that_follows(&resources, &ganeti, config, &places.state_dir);
    let mut parts = of_nodes(&resources, &ganeti, digest);
    parts.retain(|part| part.state.is_open());
    if !parts.is_empty() {
        cli::show(&shown(&parts, Form::Table))?;
        if dry_run {
            return Ok(false);
        }
        apply(&cib, &parts, &ganeti, |after| of_nodes(after, &ganeti, digest), deadline)?;
    }
    if !dry_run {
        keep_seen(digest, &places.state_dir);
    }
    Ok(true)
}

/// What the digest of the configuration is to be: on Ganeti's master alone, and by a file that can be used.
fn digest_that_follows(resources: &Resources, ganeti: &GanetiConfig, path: &Path, state_dir: &Path) -> Option<Digest> {
    if !is_master(ganeti) || !is_read(ganeti) {
        return None;
    }
    let there = resources.property(&[DIGEST_PROPERTY]);
    // A state that cannot be read is as one that was never kept: the property is left.
    let seen = Store::new(state_dir).read::<String>(SEEN_FILE).ok().flatten().and_then(|text| text.parse().ok());
    let file = Config::load(path).ok()?.digest();
    let follows = followed(file, there, seen)?;
    let is_there = there.and_then(|text| text.parse().ok()) == Some(follows);
    // Only a change is worth to resolve the names of all devices.
    (is_there || usable(ganeti, path).is_ok()).then_some(follows)
}

/// Keeps that the file here was what the property holds. If it is lost, an administrator has to run `gnt-ha setup` after the
/// next change of the file, and `gnt-ha check` says so.
pub(super) fn keep_seen(digest: Option<Digest>, state_dir: &Path) {
    let (Some(digest), store) = (digest.map(|digest| digest.to_string()), Store::new(state_dir)) else { return };
    if store.read(SEEN_FILE).ok().flatten().as_ref() == Some(&digest) {
        return;
    }
    match store.write(SEEN_FILE, &digest, PATIENCE) {
        Ok(kept) => drop(kept.why_not_on_disk()),
        Err(error) => tracing::warn!(%error, "{SEEN_FILE} is not kept"),
    }
}
