//! The files that simulate a failure: a monitor finds it while the file exists.

use gnt_ha::core::roles::simulate::Simulated;
use lab::Host;

use crate::daemon_fails::full::shell;
use crate::support::cluster::Scene;
use crate::support::end::End;

const DIR: &str = "/var/lib/gnt-ha/simulate";

/// The agent whose monitor finds each failure, on the master, and its exit code. For a primitive, in full mode.
const fn finds(condition: Simulated) -> (&'static str, i32) {
    match condition {
        Simulated::FailedMasterDaemon | Simulated::MissingMasterIp => ("ganeti-master-role", 1),
        Simulated::WrongRole => ("ganeti-master-role", 5),
        Simulated::UnresponsiveNoded | Simulated::UnresponsiveConfd | Simulated::ReadOnlyRoot => {
            ("ganeti-node-role", 1)
        }
    }
}

/// Tests every such file, with a monitor of Pacemaker's own and with one run by hand.
pub(crate) fn each_file(scene: &Scene) {
    for condition in Simulated::ALL {
        let before = scene.holder().unwrap();
        let master = scene.host(&before);
        let (agent, code) = finds(condition);
        let file = format!("{DIR}/{}", condition.file());
        scene.forget_failures();
        shell(&master, &format!("mkdir -p {DIR}; touch {file}"));
        assert_eq!(monitor(&master, agent), code, "{file}");
        scene.wait(&format!("Pacemaker finds {file}"), 30, || {
            Ok(scene.failures().iter().any(|failure| failure.contains(master.uname())))
        });
        println!("{file}: {:?}", scene.failures());
        // A node does not keep a role that it cannot have: the role moves, without a fencing. Any other failure is
        // recovered in place.
        let holder = if condition == Simulated::WrongRole { scene.wait_new_master(&before) } else { before.clone() };
        shell(&master, &format!("rm {file}"));
        scene.wait(&format!("{file} is forgotten"), 60, || Ok(scene.is_well(&holder)));
        let expected = if agent == "ganeti-master-role" && holder != before { 7 } else { 0 };
        assert_eq!(monitor(&master, agent), expected, "{file} is gone");
        scene.assert_end(&End { master: &holder, ..End::default() });
    }
}

/// Runs a monitor by hand, of a role that Pacemaker runs as one resource.
fn monitor(host: &Host, agent: &str) -> i32 {
    host.run(&[&format!("/usr/lib/ocf/resource.d/ganeti/{agent}"), "monitor"]).unwrap().code
}
