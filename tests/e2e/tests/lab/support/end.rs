//! Checks the end of a scenario: which node is master, and which nodes were fenced or are recorded offline or drained.

use std::collections::BTreeSet;

use e2e::receipts;
use lab::Power;

use crate::support::cluster::{Flags, Scene, short};

/// The expected end of a scenario. Lists are in the order of the names.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End<'a> {
    pub(crate) master: &'a str,
    pub(crate) fenced: &'a [&'a str],
    pub(crate) offline: &'a [&'a str],
    pub(crate) drained: &'a [&'a str],
}

impl Scene {
    /// Checks the end of a scenario: which node is master, which were fenced, are offline or drained; no other node was
    /// affected.
    pub(crate) fn assert_end(&self, end: &End<'_>) {
        assert_eq!(self.holder().as_deref(), Some(end.master), "{:#?}", self.lab.crm_mon());
        assert_eq!(self.serving(), [end.master]);
        assert_eq!(self.with_master_ip(), [end.master]);
        self.assert_only_fenced(end.fenced);
        let flags = self.flags();
        let having = |flag: fn(&Flags) -> bool| {
            flags.iter().filter(|(_, flags)| flag(flags)).map(|(name, _)| name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(having(|flags| flags.role == "M"), [end.master], "{flags:#?}");
        assert_eq!(having(|flags| flags.offline), end.offline, "{flags:#?}");
        assert!(flags.values().all(|flags| flags.offline || !flags.unpowered), "{flags:#?}");
        assert_eq!(having(|flags| flags.drained), end.drained, "{flags:#?}");
    }

    /// Checks that exactly these hosts were fenced, that no other fencing was tried, and that no other host lost its
    /// power.
    pub(crate) fn assert_only_fenced(&self, names: &[&str]) {
        let history = self.lab.fence_history().unwrap();
        let actions = receipts::on_all(&self.lab);
        let targets = history.iter().map(|event| event.target.as_str());
        // Pacemaker's fence history can be deleted; receipts stay.
        let all = targets.chain(actions.iter().map(|action| action.intent.node.as_str()));
        let touched: BTreeSet<String> = all.map(short).collect();
        assert_eq!(touched.iter().collect::<Vec<_>>(), names, "{history:#?} {actions:#?}");
        let now = self.boots_now();
        for (name, boot) in self.boots.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
            assert_eq!(now.get(name), Some(boot), "{name} was booted");
        }
    }

    /// Notes that the scenario itself booted a host: its running boot is not the known one.
    pub(crate) fn expect_boot(&mut self, name: &str) {
        let boot = self.boots_now().remove(name).unwrap_or_else(|| panic!("{name} does not run"));
        let before = self.boots.insert(name.to_owned(), boot.clone());
        println!("{name} was booted by the scenario: {before:?}, now {boot}");
        assert_ne!(before, Some(boot), "{name} was not booted");
    }

    /// Returns the hosts that have a promotion score.
    pub(crate) fn promotable(&self) -> Vec<String> {
        let words = ["attrd_updater", "--query", "--all", "--name", "master-master"];
        let running = self.lab.hosts().into_iter().find(|host| host.power_status() == Power::On).unwrap();
        let output = running.check(&words).unwrap().stdout;
        let host = |line: &str| {
            let value = |key: &str| line.split(key).nth(1)?.split('"').next().map(str::to_owned);
            value("value=\"").filter(|score| !score.is_empty())?;
            value("host=\"").map(|name| short(&name))
        };
        let mut names: Vec<String> = output.lines().filter_map(host).collect();
        names.sort_unstable();
        names
    }

    /// Checks that no resource has failed on any host, and that no node is banned for one.
    pub(crate) fn assert_no_node_banned(&self) {
        let words = ["crm_mon", "--one-shot", "--output-as=xml"];
        let running = self.lab.hosts().into_iter().find(|host| host.power_status() == Power::On).unwrap();
        let status = running.check(&words).unwrap().stdout;
        let bad: Vec<&str> =
            status.lines().filter(|line| line.contains("<failure ") || line.contains("<ban ")).collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }
}
