//! Prepares the files on the machine: the programs, their configuration, Ganeti's, and a receipt log.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::receipt::{Action, ActionStep, Caller, Intent, LogEntry, Outcome, Receipt, Timestamp, VERSION};
use gnt_ha::sys::receipt_log::ReceiptLog;
use serde_json::{Value, json};

use crate::{Result, bmcs, sandbox};

/// The user name of every BMC.
pub(crate) const USER: &str = "admin";

/// The password; `ipmi_sim` accepts at most 16 characters.
pub(crate) const PASSWORD: &str = "sixteen-letters!";

/// The node behind the simulator to which no packet is lost.
pub(crate) const NODE: &str = "n1.bench";

/// The number of simulators behind a bad network: our programs use each in turn.
pub(crate) const LOSSY: u8 = 20;

/// The number of instances in the large cluster's configuration.
const INSTANCES: u32 = 1000;

/// The number of fencings in the receipt log: more than it keeps.
const FENCINGS: u64 = 24_000;

/// The required programs, and their packages in Debian.
const TOOLS: [(&str, &str); 8] = [
    ("fence_ipmilan", "fence-agents"),
    ("ip", "iproute2"),
    ("ipmi_sim", "openipmi"),
    ("ipmipower", "freeipmi-tools"),
    ("ipmitool", "ipmitool"),
    ("nft", "nftables"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];

/// Returns an error with every program that is not installed.
pub(crate) fn check_tools() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |tool: &str| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|(tool, _)| !there(tool))
        .map(|(tool, package)| format!("{tool} (Debian package {package})"))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("missing: {}", missing.join(", ")).into()) }
}

/// Returns the address of the simulator to which no packet is lost.
pub(crate) const fn quiet_address() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

/// Returns the address of the `number`-th simulator behind a bad network.
pub(crate) const fn lossy_address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 2, 0, number))
}

/// Returns the node behind that simulator.
pub(crate) fn lossy_node(number: u8) -> String {
    format!("lossy{number}.bench")
}

/// Returns the node whose BMC works off one packet in so many ms.
pub(crate) fn slow_node(millis: u16) -> String {
    format!("slow{millis}.bench")
}

/// The clusters whose configuration of Ganeti the benchmark writes.
#[derive(Clone, Copy)]
pub(crate) enum Cluster {
    /// The nodes whose BMCs are simulators, or slow.
    Few,
    /// [`bmcs::COUNT`] nodes with many instances.
    Large,
    /// [`bmcs::THOUSAND`] nodes with many instances.
    Thousand,
}

/// The paths of all files of a benchmark.
pub(crate) struct Fixture {
    /// The directory of all files that are made here.
    pub(crate) dir: PathBuf,
    programs: PathBuf,
}

impl Fixture {
    /// Makes all files.
    pub(crate) fn make() -> Result<Self> {
        let programs = std::env::current_exe()?.parent().ok_or("no directory of programs")?.to_owned();
        let fixture = Self { dir: Path::new(sandbox::MEMORY).join("bench"), programs };
        for program in ["fence_ganeti", "ganeti-oob", "gnt-ha"] {
            let path = fixture.program(program);
            if !path.is_file() {
                return Err(format!("{} is not built: make bench builds it", path.display()).into());
            }
        }
        fs::create_dir_all(&fixture.dir)?;
        for cluster in [Cluster::Few, Cluster::Large, Cluster::Thousand] {
            fs::create_dir_all(fixture.data_dir(cluster))?;
        }
        fs::write(fixture.password_file(), format!("{PASSWORD}\n"))?;
        fs::set_permissions(fixture.password_file(), Permissions::from_mode(0o600))?;
        fixture.configure()?;
        fixture.write_clusters()?;
        fixture.write_receipts()?;
        Ok(fixture)
    }

    /// Returns the path of a program of gnt-ha, beside this one.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Returns Ganeti's data directory of this cluster.
    pub(crate) fn data_dir(&self, cluster: Cluster) -> PathBuf {
        self.dir.join(match cluster {
            Cluster::Few => "few",
            Cluster::Large => "large",
            Cluster::Thousand => "thousand",
        })
    }

    /// Returns the directory of the receipts.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Returns the file with the password.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.dir.join("password")
    }

    /// Returns the agent's arguments: the action, the node (all, if none is given), and the cluster.
    pub(crate) fn agent_arguments(&self, action: &str, node: Option<&str>, cluster: Cluster) -> Vec<String> {
        let mut arguments = vec!["-o".to_owned(), action.to_owned()];
        arguments.extend(node.into_iter().flat_map(|node| ["-n".to_owned(), node.to_owned()]));
        arguments.extend(["--data-dir".to_owned(), self.data_dir(cluster).display().to_string()]);
        arguments.extend(["--state-dir".to_owned(), self.state_dir().display().to_string()]);
        arguments
    }

    /// Returns gnt-ha's configuration: one cipher suite for the simulators, as for the other programs; one template for
    /// the many BMCs.
    fn configure(&self) -> Result<()> {
        let device = |name: &str, address: &str, suites: &str| {
            format!(
                "[devices.{name}]\ndriver = \"ipmi\"\naddress = \"{address}\"\nusername = \"{USER}\"\n\
                 password_file = \"{}\"\ncipher_suites = {suites}\n\n",
                self.password_file().display()
            )
        };
        let rule = |node: &str, device: &str| format!("[nodes.\"{node}\"]\nlevels = [[\"{device}\"]]\n\n");
        let mut text = device("template", "{short}-bmc.bench", "[17, 3]");
        text += "[default]\nlevels = [[\"template\"]]\n\n";
        text += &(device("quiet", &quiet_address().to_string(), "[3]") + &rule(NODE, "quiet"));
        for number in 1..=LOSSY {
            let name = format!("lossy{number}");
            text += &device(&name, &lossy_address(number).to_string(), "[3]");
            text += &rule(&lossy_node(number), &name);
        }
        for (place, millis) in (0u8..).zip(bmcs::SLOW) {
            let name = format!("slow{millis}");
            text += &device(&name, &bmcs::slow_address(place, true).to_string(), "[3]");
            text += &rule(&slow_node(millis), &name);
        }
        let path = Path::new(gnt_ha::core::config::DEFAULT_PATH);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, text)?;
        fs::set_permissions(path, Permissions::from_mode(0o644))?;

        let mut hosts = String::from("127.0.0.1 localhost\n");
        for number in 1..=bmcs::COUNT {
            hosts += &format!("{} b{number}-bmc.bench\n", bmcs::address(number));
        }
        for number in 1..=bmcs::THOUSAND {
            hosts += &format!("{} m{number}-bmc.bench\n", bmcs::address_of_thousand(number));
        }
        Ok(fs::write("/etc/hosts", hosts)?)
    }

    fn write_clusters(&self) -> Result<()> {
        let few: Vec<String> = std::iter::once(NODE.to_owned())
            .chain((1..=LOSSY).map(lossy_node))
            .chain(bmcs::SLOW.map(slow_node))
            .collect();
        let many: Vec<String> = (1..=bmcs::COUNT).map(many_node).collect();
        let thousand: Vec<String> = (1..=bmcs::THOUSAND).map(node_of_thousand).collect();
        for (cluster, nodes, instances) in
            [(Cluster::Few, few, 20), (Cluster::Large, many, INSTANCES), (Cluster::Thousand, thousand, INSTANCES)]
        {
            let text = self.cluster(&nodes, instances).to_string();
            fs::write(self.data_dir(cluster).join("config.data"), text)?;
        }
        Ok(())
    }

    /// Writes Ganeti's files, as far as their size and structure matter to a reader.
    fn cluster(&self, nodes: &[String], instances: u32) -> Value {
        let node = |(index, name): (usize, &String)| {
            let value = json!({
                "name": name, "primary_ip": "192.0.2.1", "secondary_ip": "198.51.100.1", "serial_no": 4,
                "master_candidate": index < 10, "offline": false, "drained": false, "group": "g",
                "master_capable": true, "vm_capable": true, "powered": true, "ndparams": {}, "hv_state_static": {},
                "disk_state_static": {}, "ctime": 1_500_000_000.5, "mtime": 1_500_000_000.5, "uuid": format!("u{index}"),
                "tags": []
            });
            (format!("u{index}"), value)
        };
        let instance = |index: u32| {
            let disk = |number: u32| {
                json!({
                    "dev_type": "drbd", "logical_id": ["u1", "u2", 11_000 + number, 0, 1, "0123456789abcdef01234567"],
                    "children": [
                        {"dev_type": "plain", "logical_id": ["xenvg", format!("{index}.disk{number}_data")], "size": 20480},
                        {"dev_type": "plain", "logical_id": ["xenvg", format!("{index}.disk{number}_meta")], "size": 128}],
                    "iv_name": format!("disk/{number}"), "size": 20480, "mode": "rw", "params": {}, "serial_no": 1
                })
            };
            let value = json!({
                "name": format!("vm{index}.bench"), "primary_node": "u1", "os": "debootstrap+default", "hypervisor": "kvm",
                "hvparams": {"kernel_path": "", "serial_console": true}, "beparams": {"maxmem": 4096, "minmem": 4096},
                "osparams": {}, "admin_state": "up", "disk_template": "drbd", "serial_no": 7, "uuid": format!("i{index}"),
                "nics": [{"mac": "aa:00:00:11:22:33", "ip": null, "nicparams": {"mode": "bridged", "link": "br0"}}],
                "disks_info": [disk(0), disk(1)], "ctime": 1_500_000_000.5, "mtime": 1_500_000_000.5, "tags": []
            });
            (format!("i{index}"), value)
        };
        json!({
            "version": 3_000_000, "serial_no": 17, "mtime": 1_500_000_000.5,
            "cluster": {"cluster_name": "bench", "master_node": "u0", "candidate_pool_size": 10,
                        "ndparams": {"oob_program": self.program("ganeti-oob"), "ssh_port": 22}},
            "nodegroups": {"g": {"name": "default", "ndparams": {}}},
            "nodes": nodes.iter().enumerate().map(node).collect::<serde_json::Map<_, _>>(),
            "instances": (0..instances).map(instance).collect::<serde_json::Map<_, _>>(),
            "networks": {}, "disks": {}, "filters": {}
        })
    }

    /// Writes a full receipt log: as many receipts as are kept.
    fn write_receipts(&self) -> Result<()> {
        let receipt_log = ReceiptLog::new(&self.state_dir());
        for number in 0..FENCINGS {
            let (id, node) = (format!("{number:032x}"), NodeName::new(&many_node((number % 200 + 1) as u8))?);
            let at = Timestamp { wall_ms: 1_700_000_000_000 + number * 60_000, boottime_ms: number * 60_000 };
            receipt_log.append(&LogEntry::Intent(Intent {
                version: VERSION,
                id: id.clone(),
                program: "fence_ganeti".to_owned(),
                action: Action::Reboot,
                node: node.clone(),
                requested_by: Caller {
                    program: "pacemaker-fenced".to_owned(),
                    pid: 1234,
                    user: "root".to_owned(),
                    request: None,
                },
                host: "n1.bench".to_owned(),
                boot_id: "01234567-89ab-cdef-0123-456789abcdef".to_owned(),
                at,
            }))?;
            let step = |at_ms: u64, request: &str, response: &str| ActionStep {
                at_ms,
                actor: "/usr/lib/gnt-ha/ganeti-oob".to_owned(),
                request: request.to_owned(),
                response: response.to_owned(),
            };
            receipt_log.append(&LogEntry::Receipt(Receipt {
                version: VERSION,
                id,
                node,
                outcome: Outcome::Done,
                grade: Grade::Off,
                proven_by: "/usr/lib/gnt-ha/ganeti-oob".to_owned(),
                steps: vec![
                    step(12, "power-status", "on"),
                    step(480, "power-off", "done"),
                    step(690, "power-status", "off, grade off"),
                    step(1500, "power-on", "done"),
                    step(1600, "power-status", "on"),
                ],
                reason: None,
                record: Some("job 4711 records it offline".to_owned()),
                at,
                duration_ms: 1600,
            }))?;
        }
        Ok(())
    }
}

/// Returns a node of the cluster with a thousand nodes.
pub(crate) fn node_of_thousand(number: u16) -> String {
    format!("m{number}.bench")
}

/// Returns a node of the large cluster.
pub(crate) fn many_node(number: u8) -> String {
    format!("b{number}.bench")
}
