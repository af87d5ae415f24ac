//! The CIB of a cluster with Ganeti's example agents, unchanged, with our agents in their place.

use crate::support::cluster::Scene;
use crate::support::doc_page::follow;
use crate::support::end::End;

const PAGE: &str = include_str!("../../../../../docs/howto/from-the-example-agents.md");

const AGENT: &str = "/usr/lib/ocf/resource.d/ganeti/ganeti-node-role";

/// With the examples the new master is fenced too, and the old one is never recorded offline. The fence device is not
/// ours, so there is no receipt, and the fenced host boots again at once. Then the page's second part is followed:
/// Ganeti's own power interface.
#[test]
fn the_examples_cib_works_with_our_agents() {
    let scene = Scene::with_examples("examples");
    let (over_them, own_device) = PAGE.split_at(PAGE.find("## 2. ").unwrap());
    // One host was left out: its program is a script with unknown effect.
    let host = scene.host("n1");
    host.check(&["cp", "-p", AGENT, "/root/ganeti-node-role"]).unwrap();
    host.write_file("/root/example", b"#!/bin/bash\nexec /root/ganeti-node-role \"$@\"\n", 0o755).unwrap();
    host.check(&["mv", "/root/example", AGENT]).unwrap();
    follow(over_them, &scene.lab, &host);
    host.check(&["mv", "/root/ganeti-node-role", AGENT]).unwrap();

    let new = scene.kill_the_master("n1");
    scene.wait_offline(&["n1"]);
    let end = End { master: &new, fenced: &["n1"], offline: &["n1"], ..End::default() };
    scene.assert_end(&end);
    scene.wait_back("n1");
    scene.settle();
    scene.assert_end(&end);

    // It was back before it was recorded offline, and so before the others shunned it: its boot needs a confirmation.
    let word = ["gnt-ha", "readmit", "n1.lab", "--force", "--reason", "it was fenced, and has booted since"];
    scene.host(&new).check(&word).unwrap();
    scene.add_again("n1", &new);
    follow(own_device, &scene.lab, &scene.host(&new));
    scene.assert_end(&End { offline: &[], ..end });
}
