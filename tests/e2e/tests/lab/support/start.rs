//! Starts the labs of the scenarios: with the roles or bare, of one release or two, with remote nodes or a quorum device.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use e2e::install::{CONFIG, Proof, built_programs, install, install_hooks, protect, protect_by};
use e2e::lab_name;
use lab::{Lab, Options};

use crate::support::cib::{EXAMPLES, Roles};
use crate::support::cluster::Scene;

/// The timeout of the watchdogs of a bare lab.
pub(crate) const WATCHDOG_MS: u64 = 2_000;

impl Scene {
    /// Starts a working cluster: n1 is master, all others are candidates.
    pub(crate) fn up(name: &str, hosts: u8, roles: Roles) -> Self {
        Self::with_cib(name, hosts, &roles.sections(), roles.active())
    }

    /// Starts a cluster without BMCs: the others shun a node that is lost; with self-fencing it also resets itself.
    pub(crate) fn without_bmcs(name: &str, hosts: u8, roles: Roles, proof: &Proof) -> Self {
        let watchdog = proof.self_fence.map(|terms| Duration::from_millis(terms.watchdog_ms));
        let options = Options { watchdog, ..options(name, hosts, Duration::from_secs(3)) };
        let lab = Lab::up(options).unwrap();
        protect_by(&lab, &built_programs().unwrap(), None, proof).unwrap();
        Self::configured(lab, &roles.sections(), roles.active())
    }

    /// Starts a cluster with the given CIB, in which the resource `master` is `active` where the master is.
    pub(crate) fn with_cib(name: &str, hosts: u8, sections: &str, active: &'static str) -> Self {
        // A fenced host stays off until a scenario gives it power: the fencing need not be slow then.
        let lab = lab_up(name, hosts, false, Duration::from_secs(3));
        protect(&lab, &built_programs().unwrap(), None).unwrap();
        Self::configured(lab, sections, active)
    }

    /// Starts a cluster as Ganeti's documentation describes it, with our programs installed, and so our agents in the
    /// place of the examples. Neither Ganeti nor Pacemaker has any other configuration of ours.
    pub(crate) fn with_examples(name: &str) -> Self {
        let lab = lab_up(name, 3, true, Duration::from_secs(60));
        install(&lab, &built_programs().unwrap(), &Proof::default()).unwrap();
        install_hooks(&lab).unwrap();
        Self::configured(lab, EXAMPLES, Roles::Primitive.active())
    }

    /// Starts a bare Pacemaker and a bare Ganeti, with our programs and the BMCs' configuration on every host, and a
    /// watchdog that no program uses.
    pub(crate) fn bare(name: &str, hosts: u8) -> Lab {
        let watchdog = Some(Duration::from_millis(WATCHDOG_MS));
        let lab = Lab::up(Options { watchdog, ..options(name, hosts, Duration::from_secs(3)) }).unwrap();
        install(&lab, &built_programs().unwrap(), &Proof::default()).unwrap();
        install_hooks(&lab).unwrap();
        lab
    }

    /// Starts two bare hosts and a third one with qnetd, which decides which of them goes on. qnetd is the machine's own.
    pub(crate) fn with_qnetd(name: &str) -> Lab {
        let lab = Lab::up(Options { qnetd: true, ..options(name, 2, Duration::from_secs(3)) }).unwrap();
        install(&lab, &built_programs().unwrap(), &Proof::default()).unwrap();
        install_hooks(&lab).unwrap();
        lab
    }

    /// Starts a bare lab with `remotes` hosts that will be remote nodes and `members` other hosts. The configuration
    /// allows exactly so many full members.
    pub(crate) fn with_remotes(name: &str, members: u8, remotes: u8) -> Lab {
        let options = options(name, members + remotes, Duration::from_secs(3));
        let lab = Lab::up(Options { remotes, ..options }).unwrap();
        install(&lab, &built_programs().unwrap(), &Proof::default()).unwrap();
        install_hooks(&lab).unwrap();
        for host in lab.hosts() {
            let text = format!("members = {members}\n{}", host.read_file(CONFIG).unwrap());
            host.write_file(CONFIG, text.as_bytes(), 0o644).unwrap();
        }
        lab
    }

    /// Starts a bare lab with hosts of the other release, if they can run the programs of this machine. Their names in
    /// Pacemaker are not those in Ganeti.
    pub(crate) fn elsewhere(name: &str, hosts: u8) -> Lab {
        let options = options(name, hosts, Duration::from_secs(3));
        let lab = Lab::up(Options { systems: other_release(), short_names: true, ..options }).unwrap();
        install(&lab, &built_programs().unwrap(), &Proof::default()).unwrap();
        install_hooks(&lab).unwrap();
        lab
    }

    /// Starts three bare hosts of `system` with the programs of the directory `programs`.
    pub(crate) fn older(name: &str, system: &str, programs: &Path) -> Lab {
        let options = options(name, 3, Duration::from_secs(3));
        let lab = Lab::up(Options { systems: vec![system.into()], ..options }).unwrap();
        install(&lab, programs, &Proof::default()).unwrap();
        install_hooks(&lab).unwrap();
        lab
    }

    /// Returns a scene of a lab with its present configuration.
    pub(crate) fn with_lab(lab: Lab, roles: Roles) -> Self {
        Self::configured(lab, "", roles.active())
    }

    fn configured(lab: Lab, sections: &str, active: &'static str) -> Self {
        lab.configure_cib(sections).unwrap();
        let mut scene = Self { lab, active, boots: BTreeMap::new() };
        scene.boots = scene.boots_now();
        scene.wait_role("n1", 60);
        scene
    }
}

fn options(name: &str, hosts: u8, boot_delay: Duration) -> Options {
    Options {
        name: lab_name(name),
        hosts,
        boot_delay,
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    }
}

/// Returns the release that `GNT_HA_LAB_SYSTEM` names; without it the next one on a machine with Debian 12, and on a newer
/// machine its own: a program that was built there does not start on an older release.
fn other_release() -> Vec<String> {
    let own = std::fs::read_to_string("/etc/os-release").unwrap();
    let next = own.contains("VERSION_ID=\"12\"").then(|| "debian-13".to_owned());
    let other = std::env::var("GNT_HA_LAB_SYSTEM").ok().or(next);
    if other.is_none() {
        println!("hosts of this machine's own release: those of Debian 12 cannot run what was built here");
    }
    other.into_iter().collect()
}

/// Starts a lab; with `ipmilan` Pacemaker fences with `fence_ipmilan`.
fn lab_up(name: &str, hosts: u8, ipmilan: bool, boot_delay: Duration) -> Lab {
    Lab::up(Options { fencing: ipmilan, ..options(name, hosts, boot_delay) }).unwrap()
}
