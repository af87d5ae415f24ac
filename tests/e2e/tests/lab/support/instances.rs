//! Instances of Ganeti's fake hypervisor without disks: they can be created, moved, and run twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Host, Lab};

use crate::support::cluster::Scene;

/// The directory in which the fake hypervisor has a file for each running instance.
pub(crate) const INSTANCES: &str = "run/ganeti/fake-hypervisor";

/// An OS definition of Ganeti that installs nothing.
const OS: &str = "d=/srv/ganeti/os/none && mkdir -p $d && cd $d && \
    for s in create export import rename verify; do printf '#!/bin/sh\\n' >$s && chmod 755 $s; done && \
    echo 20 >ganeti_api_version && echo default >variants.list && : >parameters.list";

impl Scene {
    /// Makes and starts instances, each on its node, as jobs of `master`; returns when all of them run. The last byte of
    /// the address of each counts up from `first_address`.
    pub(crate) fn add_instances(&self, master: &str, instances: &[(&str, &str)], first_address: u8) {
        for host in self.lab.hosts() {
            host.check(&["sh", "-c", OS]).unwrap();
        }
        let master = self.host(master);
        for (address, (name, node)) in (first_address..).zip(instances) {
            let (name, node, net) = (format!("{name}.lab"), format!("{node}.lab"), format!("0:ip=192.0.2.{address}"));
            let words = ["gnt-instance", "add", "-t", "diskless", "--no-ip-check", "--no-name-check", "--submit"];
            master.check(&[&words[..], &["-o", "none+default", "--net", &net, "-n", &node, &name]].concat()).unwrap();
        }
        let names: Vec<&str> = instances.iter().map(|(name, _)| *name).collect();
        self.wait("the instances run", 120, || Ok(names.iter().all(|name| !ran_on(&self.lab, name).is_empty())));
    }

    /// Waits until each of these instances runs on one host; prints when the first and the last one ran.
    pub(crate) fn wait_instances(&self, names: &[&str], begun: Instant) -> BTreeMap<String, String> {
        let mut on = BTreeMap::new();
        let mut times: Vec<Duration> = Vec::new();
        self.wait(&format!("{names:?} run again"), 90, || {
            for name in names.iter().filter(|name| !on.contains_key(**name)).collect::<Vec<_>>() {
                if let [host] = ran_on(&self.lab, name).as_slice() {
                    on.insert((*name).to_owned(), host.clone());
                    times.push(begun.elapsed());
                }
            }
            Ok(on.len() == names.len())
        });
        let seconds = |time: Option<&Duration>| time.map(Duration::as_secs_f64).unwrap_or_default();
        println!(
            "{on:?}: the first ran {:.1} s after, the last {:.1} s",
            seconds(times.first()),
            seconds(times.last())
        );
        on
    }

    /// Checks that none of these instances runs on any host.
    pub(crate) fn assert_down(&self, names: &[&str]) {
        for name in names {
            assert_eq!(ran_on(&self.lab, name), Vec::<String>::new(), "{name} runs");
        }
    }
}

/// Returns the hosts on which an instance runs, seen from outside.
pub(crate) fn ran_on(lab: &Lab, name: &str) -> Vec<String> {
    let runs = |root: &Path| root.join(INSTANCES).join(format!("{name}.lab")).exists();
    let runs = |host: &Host| host.root().is_some_and(|root| runs(&root));
    lab.hosts().iter().filter(|host| runs(host)).map(|host| host.name().to_owned()).collect()
}
