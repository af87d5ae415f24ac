//! What `gnt-ha setup` has made, against what it would make now.

use super::{Findings, View};
use crate::core::ganeti::tags::Tags;
use crate::core::setup::{GANETI, PREFIX, Part, Wish, has_made, plan};

/// After all that is looked for in Pacemaker by name: where one of these is found it says more, and mends this as well.
pub(super) fn look(view: &View, findings: &mut Findings) {
    let (Ok(resources), Ok(ganeti)) = (&view.resources, &view.ganeti) else { return };
    if !findings.0.is_empty() || !has_made(resources) {
        return;
    }
    let wish = Wish {
        primitive: resources.agents("ganeti-master-role").any(|role| role.id.starts_with(PREFIX) && !role.is_clone),
        health: Tags::read(view.tags.iter().map(String::as_str)).health,
    };
    let is_open = |part: &Part| part.section != GANETI && part.state.is_open() || part.state.is_by_hand();
    let open: Vec<String> = plan(resources, ganeti, wish).into_iter().filter(is_open).map(|part| part.what).collect();
    if !open.is_empty() {
        findings.add("plan-differs", "pacemaker", format!("not as gnt-ha setup would have it: {}", open.join(", ")));
    }
}
