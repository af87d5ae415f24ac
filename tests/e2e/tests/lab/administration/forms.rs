//! Types the output of `gnt-ha setup --format` as printed: with each form the cluster is set up completely.

use std::time::{Duration, Instant};

use e2e::install::GNT_HA;
use lab::Host;

use crate::daemon_fails::full::shell;
use crate::support::cib::Roles;
use crate::support::cluster::{Scene, short};

/// Each form, with the shell line that types the output in FILE. Exit code 1: a change is pending.
const FORMS: [(&str, &str); 3] = [
    // In crmsh's form other commands are comments, which are for the shell.
    (
        "crm",
        "sed -n 's/^# \\(gnt-[a-z]* .*\\)/\\1/p' FILE | sh -e; crm configure <FILE; \
         sed -n 's/^# \\(crm_[a-z]* .*\\)/\\1/p' FILE | sh -e",
    ),
    ("pcs", "sh -e FILE"),
    // What is not in Pacemaker's configuration is named on stderr.
    (
        "xml",
        "sed -n 's/.*make the change with: //p' FILE.err | sh -e; cibadmin --modify --allow-create --xml-file FILE",
    ),
];

/// The most that typing a form may take: pcs starts an interpreter for each of some fifteen lines.
const TYPED_WITHIN: Duration = Duration::from_secs(180);

/// Sets the cluster up with one form after the other; removes the configuration before each.
pub(crate) fn each_is_so(scene: &Scene, host: &Host, roles: Roles) {
    let options: &[&str] = match roles {
        Roles::Primitive => &["--primitive"],
        Roles::Promotable => &[],
    };
    for (form, typed) in FORMS {
        let begun = Instant::now();
        take_away(scene, host);
        is_so_when_typed(host, form, typed, options);
        let is_it = |found: &lab::Resource| {
            found.id == "gnt-ha-master"
                && found.role == roles.active()
                && found.nodes.first().is_some_and(|node| short(node) == host.name())
        };
        scene.wait(&format!("the role is on {}", host.name()), 60, || {
            Ok(scene.lab.crm_mon()?.resources.iter().any(is_it))
        });
        println!("setup {} by {form}: {:.1} s", options.join(" "), begun.elapsed().as_secs_f64());
    }
}

/// Types the changes in the given form, as printed: there are no others.
pub(crate) fn type_one(host: &Host, wanted: &str) {
    let (form, typed) = FORMS.into_iter().find(|(form, _)| *form == wanted).unwrap();
    is_so_when_typed(host, form, typed, &[]);
}

/// Types the deletions of what two nodes had before they got a quorum device, set by the same form: they are gone. pcs
/// and crmsh have a set of their own for the properties.
pub(crate) fn each_deletes_the_preference(host: &Host) {
    let delay = "priority-fencing-delay";
    for (form, typed) in FORMS {
        let priority = ["crm_resource", "--resource", "gnt-ha-master-clone", "--meta", "--set-parameter", "priority"];
        host.check(&[&priority[..], &["--parameter-value", "10"]].concat()).unwrap();
        match form {
            "crm" => shell(host, &format!("crm configure property {delay}=10s")),
            "pcs" => shell(host, &format!("pcs property set {delay}=10s")),
            _ => shell(host, &format!("crm_attribute --name {delay} --update 30s --set-name=gnt-ha-options")),
        };
        is_so_when_typed(host, form, typed, &[]);
        let cib = host.check(&["cibadmin", "--query", "--scope", "configuration"]).unwrap().stdout;
        assert!(!cib.contains(delay) && !cib.contains("name=\"priority\""), "{form}: {cib}");
    }
}

fn is_so_when_typed(host: &Host, form: &str, typed: &str, options: &[&str]) {
    let (file, words) = (format!("/root/setup.{form}"), options.join(" "));
    shell(host, &format!("{GNT_HA} setup {words} --format {form} >{file} 2>{file}.err || [ $? = 1 ]"));
    let typed = format!("set -e; {}", typed.replace("FILE", &file));
    let output = host.run_within(&["sh", "-c", &typed], TYPED_WITHIN).unwrap();
    println!("{}{}", host.read_file(&file).unwrap(), output.text());
    assert!(output.success(), "{form}: {}", output.text());
    let is_so = host.run(&[&[GNT_HA, "setup"], options].concat()).unwrap();
    assert!(is_so.success(), "what was typed by {form} is not what is wanted: {}", is_so.text());
}

/// Removes the configuration of `setup`, and the properties that `setup --remove` keeps.
pub(crate) fn take_away(scene: &Scene, host: &Host) {
    let maintenance = ["crm_attribute", "--type", "crm_config", "--name", "maintenance-mode"];
    host.check(&[&maintenance[..], &["--update", "true"]].concat()).unwrap();
    host.check(&[GNT_HA, "setup", "--remove", "--apply"]).unwrap();
    // `setup --remove` keeps the properties of Pacemaker, and Ganeti's OOB program: without them each form has to set
    // them. Pacemaker 3.0.2 and later have the second names.
    let both = ["stonith-enabled", "stonith-timeout", "fencing-enabled", "fencing-timeout"];
    for name in both.into_iter().chain(["concurrent-fencing", "priority-fencing-delay", "node-health-strategy"]) {
        host.run(&["crm_attribute", "--name", name, "--delete"]).unwrap();
    }
    host.check(&["gnt-cluster", "modify", "--node-parameters", "oob_program="]).unwrap();
    host.check(&["crm_resource", "--refresh"]).unwrap();
    scene.wait("Pacemaker has forgotten them", 60, || Ok(scene.lab.crm_mon()?.resources.is_empty()));
    host.check(&[&maintenance[..], &["--delete"]].concat()).unwrap();
}
