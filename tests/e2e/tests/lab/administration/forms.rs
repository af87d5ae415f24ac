//! Types the output of `gnt-ha setup --format` as printed: with each form the cluster is set up completely.

use std::time::Instant;

use e2e::install::GNT_HA;
use lab::Host;

use crate::daemon_fails::full::shell;
use crate::support::cluster::Scene;

/// Each form, with the shell line that types the output in FILE. Exit code 1: a change is pending.
const FORMS: [(&str, &str); 3] = [
    // In crmsh's form other commands are comments, which are for the shell.
    (
        "crm",
        "sed -n 's/^# \\(gnt-cluster .*\\)/\\1/p' FILE | sh -e; crm configure <FILE; \
         sed -n 's/^# \\(crm_attribute .*\\)/\\1/p' FILE | sh -e",
    ),
    ("pcs", "sh -e FILE"),
    ("xml", "cibadmin --modify --allow-create --xml-file FILE"),
];

/// Sets the cluster up with one form after the other; removes the configuration before each.
pub(crate) fn each_is_so(scene: &Scene, host: &Host) {
    for (form, typed) in FORMS {
        let begun = Instant::now();
        take_away(scene, host);
        let file = format!("/root/setup.{form}");
        shell(host, &format!("{GNT_HA} setup --format {form} >{file} || [ $? = 1 ]"));
        println!(
            "{}{}",
            host.read_file(&file).unwrap(),
            shell(host, &format!("set -e; {}", typed.replace("FILE", &file))).text()
        );
        let is_so = host.run(&[GNT_HA, "setup"]).unwrap();
        assert!(is_so.success(), "what was typed by {form} is not what is wanted: {}", is_so.text());
        scene.wait_role(host.name(), 60);
        println!("setup by {form}: {:.1} s", begun.elapsed().as_secs_f64());
    }
}

/// Removes the configuration of `setup`, and the properties that `setup --remove` keeps.
pub(crate) fn take_away(scene: &Scene, host: &Host) {
    let maintenance = ["crm_attribute", "--type", "crm_config", "--name", "maintenance-mode"];
    host.check(&[&maintenance[..], &["--update", "true"]].concat()).unwrap();
    host.check(&[GNT_HA, "setup", "--remove", "--apply"]).unwrap();
    // `setup --remove` keeps the properties of Pacemaker: without them each form has to set them.
    for name in ["stonith-enabled", "stonith-timeout"] {
        host.run(&["crm_attribute", "--name", name, "--delete"]).unwrap();
    }
    host.check(&["crm_resource", "--refresh"]).unwrap();
    scene.wait("Pacemaker has forgotten them", 60, || Ok(scene.lab.crm_mon()?.resources.is_empty()));
    host.check(&[&maintenance[..], &["--delete"]].concat()).unwrap();
}
