//! The simulated world: its hosts, its settings, its clock, and its log.

use std::collections::{BTreeMap, BTreeSet};

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::{BadNodeName, NodeName};
use gnt_ha::core::pacemaker::fencing::Fencing;
use gnt_ha::core::pacemaker::tree::Element;
use gnt_ha::core::receipt::Outcome;
use gnt_ha::core::reconcile::{FenceAction, Membership, Pause, PowerReceipt, Settings};
use gnt_ha::core::shun::list::Epoch;

use crate::command::{Command, Device, Host};
use crate::host::HostState;
use crate::roles::RoleState;
use crate::script::Script;

/// The beginning of the world, in s since 1970; it had no failure for a day before.
pub(crate) const BEGIN: u64 = 1_700_000_000;

/// How long before the beginning all hosts were started, in s.
pub(crate) const WELL_FOR: u64 = 86_400;

/// The whole state of a simulation.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// The time since the beginning, in s.
    pub(crate) now: u64,
    pub(crate) hosts: Vec<HostState>,
    pub(crate) master: Host,
    /// The node on which Pacemaker has the role; `None` while it moves.
    pub(crate) role_on: Option<Host>,
    pub(crate) role_managed: bool,
    pub(crate) role_moves_at: Option<u64>,
    /// Whether Pacemaker's node names differ from Ganeti's.
    pub(crate) names_differ: bool,
    pub(crate) pool: usize,
    pub(crate) boot: u64,
    pub(crate) pause: Option<Pause>,
    pub(crate) maintenance: bool,
    pub(crate) quorum_lost: bool,
    pub(crate) settings: Settings,
    pub(crate) device: Device,
    /// The other configured fence devices.
    pub(crate) beside: Vec<Device>,
    pub(crate) topology: Vec<(Host, Vec<Device>)>,
    /// The `minimum_grade` of `fence_ganeti`; `None` if it is not set.
    pub(crate) minimum_grade: Option<Grade>,
    pub(crate) watchdog_timeout: bool,
    pub(crate) power_agent: bool,
    pub(crate) fence_with: FenceAction,
    pub(crate) muted: bool,
    pub(crate) jobs_work: bool,
    pub(crate) receipts_of_all: bool,
    pub(crate) ask_noded: bool,
    pub(crate) receipts: u64,
    /// The hosts that reconcile now, besides the monitors.
    pub(crate) triggered: Vec<Host>,
    pub(crate) log: Vec<String>,
    /// The mode of the master role's agents, if they decide about the role.
    pub(crate) roles: Option<Mode>,
    /// The invariants that were broken since the last step.
    pub(crate) broken: Vec<String>,
    /// Number of checks of the invariants.
    pub(crate) checks: usize,
    /// The greatest epoch that each host has had of each node.
    pub(crate) epochs: BTreeMap<(Host, NodeName), Epoch>,
}

impl World {
    pub(crate) fn new(script: &Script) -> Result<Self, BadNodeName> {
        let hosts = (0..script.hosts)
            .map(|host| {
                let is_candidate = script.candidates.is_empty() || script.candidates.contains(&host);
                let candidates =
                    (0..script.hosts).filter(|host| script.candidates.is_empty() || script.candidates.contains(host));
                let role = RoleState::new(host == script.master, candidates.collect());
                Ok(HostState::new(NodeName::new(&format!("n{}", host + 1))?, script.master, is_candidate, role))
            })
            .collect::<Result<_, BadNodeName>>()?;
        Ok(Self {
            now: 0,
            hosts,
            master: script.master,
            role_on: Some(script.master),
            role_managed: true,
            role_moves_at: None,
            names_differ: false,
            pool: script.pool,
            boot: script.boot,
            pause: None,
            maintenance: false,
            quorum_lost: false,
            settings: Settings::default(),
            device: Device::Ganeti,
            beside: Vec::new(),
            topology: Vec::new(),
            minimum_grade: None,
            watchdog_timeout: false,
            power_agent: false,
            fence_with: FenceAction::Reboot,
            muted: false,
            jobs_work: true,
            receipts_of_all: true,
            ask_noded: true,
            receipts: 0,
            triggered: Vec::new(),
            log: Vec::new(),
            roles: None,
            broken: Vec::new(),
            checks: 0,
            epochs: BTreeMap::new(),
        })
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.log.push(format!("{:>5}s {text}", self.now));
    }

    /// Returns the wall clock of a host, in ms since 1970.
    pub(crate) fn wall_ms(&self, host: Host, at: u64) -> u64 {
        (BEGIN + at).saturating_add_signed(self.hosts[host].ahead) * 1_000
    }

    /// Carries out a command of the script.
    pub(crate) fn command(&mut self, command: &Command) {
        match *command {
            Command::PowerCut(host) => {
                self.hosts[host].stop();
                self.hosts[host].powered = false;
            }
            Command::PowerOn(host) => self.power_on(host),
            Command::Crash(host) => self.hosts[host].stop(),
            Command::Cut(host) => self.hosts[host].linked = false,
            Command::Heal(host) => self.heal(host),
            Command::Bmc(host, alive) => self.hosts[host].bmc = alive,
            Command::Noded(host, answers) => self.hosts[host].noded = answers,
            Command::StopStack(host) => self.stop_stack(host),
            Command::StartStack(host) => self.start_stack(host),
            Command::Autostart(host, on) => self.hosts[host].autostart = on,
            Command::Standby(host, on) => self.standby(host, on),
            Command::Fence(host, action, succeeds) => self.fence(host, action, succeeds && self.hosts[host].bmc),
            Command::Confirm(host) => self.confirm(host),
            Command::Receipt(host, action, outcome, grade) => {
                let receipt =
                    PowerReceipt { by_fencer: false, ..self.receipt(self.master, action, outcome, grade, "bmc") };
                self.by_hand(host, receipt);
            }
            Command::Begun(host, action) => {
                let receipt = self.receipt(self.master, action, Outcome::Unknown, Grade::Unknown, "nothing");
                self.by_hand(host, PowerReceipt { by_fencer: false, unfinished: true, ..receipt });
            }
            Command::Pause(ref reason) => {
                let since_ms = (BEGIN + self.now) * 1_000;
                self.pause = Some(Pause { reason: reason.clone(), by: "admin".to_owned(), since_ms });
            }
            Command::Resume => self.pause = None,
            Command::Maintenance(on) => self.maintenance = on,
            Command::QuorumLost(lost) => self.quorum_lost = lost,
            Command::LeastGrade(grade) => self.settings.least_grade = grade,
            Command::DeviceGrade(grade) => self.minimum_grade = Some(grade),
            Command::PowerOff(on) => self.settings.power_too.off = on,
            Command::Drain(on) => self.settings.drain = on,
            Command::Device(device) => self.device = device,
            Command::Beside(device) => self.beside.push(device),
            Command::Topology(host, ref devices) => self.topology.push((host, devices.clone())),
            Command::WatchdogTimeout => self.watchdog_timeout = true,
            Command::PowerAgent => self.power_agent = true,
            Command::FenceWith(action) => self.fence_with = action,
            Command::NotifyMuted(muted) => self.muted = muted,
            Command::MasterFailover(host) => self.master_failover(host),
            Command::RoleUnmanaged => {
                self.role_managed = false;
                self.role_on = None;
            }
            Command::NamesDiffer(differ) => self.names_differ = differ,
            Command::Outside(host) => {
                self.hosts[host].stack = false;
                self.hosts[host].autostart = false;
                self.hosts[host].member = Membership::Unknown;
            }
            Command::Readd(host) => self.readd(host),
            Command::Modify(host, flag, value) => self.modify(host, flag, value),
            Command::Touch(host) => self.touch(host),
            Command::HistoryGone(host) => self.hosts[host].fences.clear(),
            Command::Forget(host) => self.hosts[host].memory = gnt_ha::core::reconcile::Memory::default(),
            Command::Clock(host, by) => self.hosts[host].ahead += by,
            Command::BreakerReset => self.hosts.iter_mut().for_each(HostState::reset_breaker),
            Command::Jobs(work) => self.jobs_work = work,
            Command::ReceiptsOfAll(all) => self.receipts_of_all = all,
            Command::AskNoded(ask) => self.ask_noded = ask,
            Command::Reconcile(host) => self.triggered.push(host),
            Command::Roles(mode) => self.roles = Some(mode),
            Command::Copy(host, master, serial) => {
                self.hosts[host].believes_master = master;
                self.hosts[host].role.serial = serial;
                self.say(&format!("n{}'s copy names n{}, serial {serial}", host + 1, master + 1));
            }
            Command::Confd(host, answers) => self.hosts[host].role.confd = answers,
            Command::LuxidStopped(host) => self.hosts[host].role.serves = false,
            Command::Readmit(host) => self.readmit(host),
            Command::DiskFull(host, full) => self.hosts[host].fill(full),
        }
    }

    /// Simulates 1 s of the whole world.
    pub(crate) fn tick(&mut self) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].boots_at.is_some_and(|at| at <= self.now) {
                self.hosts[host].boots_at = None;
                self.hosts[host].up = true;
                self.say(&format!("n{} has booted", host + 1));
                if self.hosts[host].autostart {
                    self.start_stack(host);
                }
            }
        }
        self.pacemaker();
        self.watcher();
    }

    fn power_on(&mut self, host: Host) {
        let at = self.now + self.boot;
        let state = &mut self.hosts[host];
        state.powered = true;
        if !state.up && state.boots_at.is_none() {
            state.boots_at = Some(at);
        }
    }

    /// Switches the machine, as a person does.
    pub(crate) fn switch(&mut self, host: Host, action: FenceAction) {
        match action {
            FenceAction::On => self.power_on(host),
            FenceAction::Off => {
                self.hosts[host].stop();
                self.hosts[host].powered = false;
            }
            FenceAction::Reboot => {
                self.hosts[host].stop();
                self.power_on(host);
            }
        }
    }

    /// Adds a receipt that was written on `by`.
    pub(crate) fn receipt(
        &mut self,
        by: Host,
        action: gnt_ha::core::receipt::Action,
        outcome: Outcome,
        grade: gnt_ha::core::grade::Grade,
        proven_by: &str,
    ) -> PowerReceipt {
        self.receipts += 1;
        PowerReceipt {
            id: format!("r{}", self.receipts),
            action,
            outcome,
            grade,
            proven_by: proven_by.to_owned(),
            ended_ms: self.wall_ms(by, self.now),
            by_fencer: true,
            unfinished: false,
        }
    }

    /// Returns Pacemaker's configuration of fencing.
    pub(crate) fn fencing(&self) -> Fencing {
        let ids: BTreeSet<(&str, &str)> =
            [self.device].iter().chain(&self.beside).map(|device| (device.id(), device.agent())).collect();
        let least = self.minimum_grade.map_or_else(String::new, |grade| {
            format!("<instance_attributes id=\"i\"><nvpair id=\"g\" name=\"minimum_grade\" value=\"{grade}\"/></instance_attributes>")
        });
        let primitive = |(id, agent): &(&str, &str)| {
            let least = if *agent == "fence_ganeti" { least.as_str() } else { "" };
            format!("<primitive id=\"{id}\" class=\"stonith\" type=\"{agent}\">{least}</primitive>")
        };
        let level = |(index, (host, devices)): (usize, &(Host, Vec<Device>))| {
            let ids: Vec<&str> = devices.iter().map(|device| device.id()).collect();
            let target = &self.hosts[*host].name;
            format!("<fencing-level target=\"{target}\" index=\"{}\" devices=\"{}\"/>", index + 1, ids.join(","))
        };
        let timeout = if self.watchdog_timeout { "10" } else { "0" };
        let text = format!(
            "<cib><crm_config><nvpair name=\"stonith-watchdog-timeout\" value=\"{timeout}\"/></crm_config><resources>{}\
             </resources><fencing-topology>{}</fencing-topology></cib>",
            ids.iter().map(primitive).collect::<String>(),
            self.topology.iter().enumerate().map(level).collect::<String>()
        );
        let power_agents = self.power_agent.then(|| "fence_mine".to_owned()).into_iter().collect();
        Element::parse(&text).map(|cib| Fencing::of(&cib, &power_agents)).unwrap_or_default()
    }

    /// Returns the settings, with the minimum grade of Pacemaker's devices.
    pub(crate) fn settings(&self) -> Settings {
        self.settings.promised(self.minimum_grade.and_then(|_| self.fencing().least_of_ours()))
    }
}
