//! The page of the alert agent.

use ganeti_agents::alert::error::PROGRAM;
use ganeti_agents::alert::recipient::RECIPIENTS;

use crate::page::Page;

/// Returns the page `gnt-ha-alert(7)`.
pub(crate) fn page() -> Page {
    let lines = |text: &[&str]| text.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let mut page = Page::new(PROGRAM, 7, "Pacemaker's alert agent for a Ganeti cluster: reports each event once")
        .section("DESCRIPTION")
        .paragraph(
            "Pacemaker starts it as hacluster on every host that sees an event, and one host reports the event: the host that \
             requested a fencing, Ganeti's master for the membership (each other host for the master itself), the host that \
             ran an operation. A node is reported as fenced only if the fencing succeeded. The agent reports fencings and \
             failed fencings, nodes that left or joined the membership, operations that failed, and promotions.",
        )
        .paragraph("gnt-ha setup adds it without a recipient. Pacemaker waits 30 seconds for it, and does not try again.")
        .section("RECIPIENTS");
    for (recipient, meaning) in RECIPIENTS {
        page = page.item(recipient, "", meaning);
    }
    page.paragraph("The JSON has the keys version (1), host, kind (node, fencing, resource), node, urgent, text, description, at_s.")
        .section("EXAMPLE")
        .lines(&lines(&[
            "cibadmin --modify --allow-create --scope configuration --xml-text '<alerts>",
            "  <alert id=\"gnt-ha-alert\" path=\"/usr/lib/gnt-ha/gnt-ha-alert\">",
            "    <recipient id=\"ops\" value=\"mailto:ops@example.com\"/></alert></alerts>'",
        ]))
        .section("SEE ALSO")
        .paragraph("gnt-ha(8), cibadmin(8), curl(1)")
}
