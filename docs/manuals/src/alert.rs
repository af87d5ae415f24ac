//! The page of the alert agent.

use ganeti_agents::alert::PROGRAM;
use ganeti_agents::alert::way::RECIPIENTS;

use crate::page::Page;

/// `gnt-ha-alert(7)`.
pub(crate) fn page() -> Page {
    let lines = |text: &[&str]| text.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let mut page = Page::new(PROGRAM, 7, "Pacemaker's alert agent for a Ganeti cluster: what happened, once, in words that are true")
        .section("DESCRIPTION")
        .paragraph(
            "Pacemaker starts it as hacluster on every host that sees an event, and one host tells: of a fencing the one that \
             asked for it, of the membership Ganeti's master (of the master itself each of the others), of an operation the \
             one that ran it. A node is said to be fenced only where the fencing succeeded. Told are fencings and failed ones, \
             nodes that left the membership or joined it, operations that failed, and promotions.",
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
