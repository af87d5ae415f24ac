//! Makes and starts Ganeti on the hosts, with the `fake` hypervisor and diskless instances.

use crate::cluster::Runner;
use crate::command::require;
use crate::error::Result;
use crate::network::Network;

const DAEMON_UTIL: &str = "/usr/lib/ganeti/daemon-util";

/// Starts Ganeti as Debian's boot script does; the master's daemons stop by themselves on the other nodes.
pub(crate) fn start(run: &Runner<'_>) -> Result<()> {
    let ensure = "/usr/lib/ganeti/ensure-dirs";
    require("prepare Ganeti's directories", ensure, run(&[ensure])?)?;
    require("start Ganeti", DAEMON_UTIL, run(&[DAEMON_UTIL, "start-all"])?).map(drop)
}

/// Makes the cluster. To be called on its first host.
pub(crate) fn init(run: &Runner<'_>, candidates: u8) -> Result<()> {
    let pool = format!("--candidate-pool-size={candidates}");
    let secondary = format!("--secondary-ip={}", Network::Secondary.address(1));
    let words = [
        "gnt-cluster",
        "init",
        "--no-ssh-init",
        "--no-etc-hosts",
        "--enabled-hypervisors=fake",
        "--enabled-disk-templates=diskless",
        "--master-netdev=eth0",
        "--nic-parameters=mode=routed,link=eth0",
        &pool,
        &secondary,
        "cluster.lab",
    ];
    require("make the Ganeti cluster", "gnt-cluster init", run(&words)?).map(drop)
}

/// Adds a host to the cluster. To be called on the master. A remote node can hold neither the master role nor a vote.
pub(crate) fn add(run: &Runner<'_>, index: u8, is_remote: bool) -> Result<()> {
    let secondary = format!("--secondary-ip={}", Network::Secondary.address(index));
    let name = format!("n{index}.lab");
    let capable = format!("--master-capable={}", if is_remote { "no" } else { "yes" });
    let words = ["gnt-node", "add", "--no-ssh-key-check", &secondary, &capable, &name];
    require("add a Ganeti node", &format!("gnt-node add {name}"), run(&words)?).map(drop)
}

/// Starts the node daemon alone: a host that is to become the master again asks the noded of each other node for its vote.
pub(crate) fn start_noded(run: &Runner<'_>) -> Result<()> {
    let ensure = "/usr/lib/ganeti/ensure-dirs";
    require("prepare Ganeti's directories", ensure, run(&[ensure])?)?;
    require("start noded", DAEMON_UTIL, run(&[DAEMON_UTIL, "start", "ganeti-noded"])?).map(drop)
}

/// Starts confd on a new master candidate. Outside of a lab the watcher does this from cron, minutes later.
pub(crate) fn start_confd(run: &Runner<'_>) -> Result<()> {
    require("start confd", DAEMON_UTIL, run(&[DAEMON_UTIL, "start", "ganeti-confd"])?).map(drop)
}
