//! The times: whether they hold together, by the same sums as `gnt-ha setup`.

use super::{Findings, View};
use crate::core::budget::{Figures, too_short};

pub(super) fn look(view: &View, findings: &mut Findings) {
    let Ok(resources) = &view.resources else { return };
    let config = view.config.as_ref().and_then(|config| config.as_ref().ok());
    for sum in too_short(&Figures { resources, config, ganeti: view.ganeti.as_ref().ok() }) {
        findings.add_mended("budget", sum.about.clone(), sum.line(), sum.change);
    }
}
