//! Configures gnt-ha on a lab's running Ganeti and Pacemaker, as an administrator does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gnt_ha::core::ganeti::hooks::{DIRS, FILE};
use gnt_ha::core::grade::Grade;
use gnt_ha::core::shun::lease_times::LeaseTimes;
use lab::{Host, Lab};

/// The paths at which `make install` installs the programs.
const PROGRAMS: [(&str, &str); 8] = [
    ("fence_ganeti", "/usr/sbin/fence_ganeti"),
    ("ganeti-oob", "/usr/lib/gnt-ha/ganeti-oob"),
    ("noded-call", "/usr/lib/gnt-ha/noded-call"),
    ("redfish-call", "/usr/lib/gnt-ha/redfish-call"),
    ("gnt-ha", GNT_HA),
    ("gnt-ha-alert", "/usr/lib/gnt-ha/gnt-ha-alert"),
    ("ganeti-master-role", "/usr/lib/ocf/resource.d/ganeti/ganeti-master-role"),
    ("ganeti-node-role", "/usr/lib/ocf/resource.d/ganeti/ganeti-node-role"),
];

/// The path of the administration tool on the hosts.
pub const GNT_HA: &str = "/usr/sbin/gnt-ha";

/// The path of the OOB program on the hosts.
pub const OOB_PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// The environment in which `fence_ganeti` calls it: a proof below `off` is then a success, too.
pub const FENCING: &str = "GNT_HA_PARENT_RECEIPT=0199aabbccdd-01234567";

/// The path of the configuration on the hosts.
pub const CONFIG: &str = "/etc/gnt-ha/config.toml";

/// Returns the directory of the programs that were built beside the running one.
///
/// # Errors
/// The program that is missing, and how to build it.
pub fn built_programs() -> Result<PathBuf, String> {
    let running = std::env::current_exe().map_err(|error| format!("cannot find the running program: {error}"))?;
    // Tests run in deps/, one directory below the programs.
    let dir = running
        .ancestors()
        .skip(1)
        .find(|dir| PROGRAMS.iter().all(|(name, _)| dir.join(name).is_file()))
        .ok_or("the programs are not all built: run `make build` first")?;
    Ok(dir.to_owned())
}

/// The kind of proof for a lost host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proof {
    /// No host has a BMC that can be asked: the other nodes shun a lost host.
    pub shun: bool,
    /// The weakest grade that is accepted; `None` for the default of the programs.
    pub least: Option<Grade>,
    /// The times of each host's self-fencing, if it has one; the watchdog's timeout is the lab's.
    pub self_fence: Option<LeaseTimes>,
}

/// A boot script with the effect of the installed unit: the shunned nodes are shunned before the network is up.
const BEFORE_NETWORK: &str =
    "#!/bin/sh\n/usr/sbin/gnt-ha shun apply\n[ ! -x /etc/gnt-ha/self-fence ] || exec /etc/gnt-ha/self-fence\n";

/// A boot script with the effect of the self-fencing unit: a daemon that ends is started again at once.
const SELF_FENCE: &str = "#!/bin/sh\nexec setsid --fork sh -c 'while :; do /usr/sbin/gnt-ha self-fence run; sleep 0.1; done' \
     </dev/null >>/var/log/gnt-ha-self-fence.log 2>&1\n";
const SELF_FENCE_SCRIPT: &str = "/etc/gnt-ha/self-fence";

/// Installs our programs and their configuration on every host.
///
/// # Errors
/// The operation that failed, and its host.
pub fn install(lab: &Lab, programs: &Path, proof: &Proof) -> Result<(), String> {
    let password = lab.bmc_password().map_err(text)?;
    for host in lab.hosts() {
        install_on(&host, programs)?;
        let configuration = if proof.shun {
            shunning(proof)
        } else {
            host.write_file("/etc/gnt-ha/bmc.password", format!("{password}\n").as_bytes(), 0o600).map_err(text)?;
            configuration(lab)
        };
        host.write_file(CONFIG, configuration.as_bytes(), 0o644).map_err(text)?;
        host.write_file("/etc/rc.network", BEFORE_NETWORK.as_bytes(), 0o755).map_err(text)?;
        if proof.self_fence.is_some() {
            host.write_file(SELF_FENCE_SCRIPT, SELF_FENCE.as_bytes(), 0o755).map_err(text)?;
            start_self_fence(&host)?;
        }
    }
    if proof.self_fence.is_some() {
        arm(lab)?;
    }
    Ok(())
}

/// Installs our programs on one host, in the place of those that it has.
///
/// # Errors
/// The file that cannot be read, or the operation that failed.
pub fn install_on(host: &Host, programs: &Path) -> Result<(), String> {
    let is_older = built_programs().is_ok_and(|built| built != programs);
    for (name, destination) in PROGRAMS {
        let path = programs.join(name);
        // An older build has fewer programs.
        if is_older && !path.exists() {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        host.write_file(destination, &bytes, 0o755).map_err(text)?;
    }
    Ok(())
}

/// Arms each host, once the daemons of all answer: a host is armed only while a majority of them answers.
fn arm(lab: &Lab) -> Result<(), String> {
    for host in lab.hosts() {
        let what = format!("{} may be armed", host.name());
        let armed = || Ok(host.run(&[GNT_HA, "self-fence", "arm"])?.success());
        lab.wait_until(&what, Duration::from_secs(60), armed).map_err(text)?;
    }
    Ok(())
}

/// Installs our script in every directory of Ganeti's hooks that `make install` uses, on every host.
///
/// # Errors
/// The operation that failed, and its host.
pub fn install_hooks(lab: &Lab) -> Result<(), String> {
    const SCRIPT: &[u8] = include_bytes!("../../../packaging/hooks/gnt-ha");
    for (host, dir) in lab.hosts().iter().flat_map(|host| DIRS.map(|dir| (host.clone(), dir))) {
        host.write_file(&format!("/etc/ganeti/hooks/{dir}/{FILE}"), SCRIPT, 0o755).map_err(text)?;
    }
    Ok(())
}

/// Arms a host, as its boot does: self-fencing is armed when enough candidates have answered.
///
/// # Errors
/// The operation that failed, and its host.
pub fn start_self_fence(host: &Host) -> Result<(), String> {
    host.check(&[SELF_FENCE_SCRIPT]).map(drop).map_err(text)
}

/// Returns `/etc/gnt-ha/config.toml` for hosts whose power no device can read.
#[must_use]
fn shunning(proof: &Proof) -> String {
    let mut text = String::new();
    if let Some(least) = proof.least {
        text += &format!("minimum_grade = \"{least}\"\n");
    }
    text += "\n[devices.shun]\ndriver = \"shun\"\n\n[default]\nlevels = [[\"shun\"]]\n";
    if let Some(terms) = proof.self_fence {
        // On any machine the lab's watchdogs are stand-ins.
        text += "\n[shun]\naccept_virtual = true\n";
        let seconds = |millis: u64| format!("{:.1}", Duration::from_millis(millis).as_secs_f64());
        text += &format!(
            "\n[self_fence]\nwatchdog_device = \"{}\"\nlease = {}\nwatchdog_timeout = {}\nstop_time = {}\ndrift_ppm = {}\n",
            lab::SOCKET,
            seconds(terms.lease_ms),
            seconds(terms.watchdog_ms),
            seconds(terms.stop_ms),
            terms.drift_ppm
        );
    }
    text
}

/// Returns `/etc/gnt-ha/config.toml` for a lab: each host's BMC, by its address.
#[must_use]
pub fn configuration(lab: &Lab) -> String {
    let mut text = format!(
        "power_cycle_interval = 1\n\n[devices.bmc]\ndriver = \"ipmi\"\naddress = \"{{bmc}}\"\nusername = \"{}\"\n\
         password_file = \"/etc/gnt-ha/bmc.password\"\n\n[default]\nlevels = [[\"bmc\"]]\n",
        lab::USER
    );
    for host in lab.hosts() {
        text.push_str(&format!("\n[nodes.\"{}\"]\nvalues = {{ bmc = \"{}\" }}\n", host.fqdn(), host.bmc_address()));
    }
    text
}

/// Sets every node's OOB program in Ganeti, on its master.
///
/// # Errors
/// Ganeti's error.
pub fn set_oob_program(master: &Host) -> Result<(), String> {
    let parameter = format!("oob_program={OOB_PROGRAM}");
    master.check(&["gnt-cluster", "modify", "--node-parameters", &parameter]).map(drop).map_err(text)
}

/// Returns the CIB sections that make `fence_ganeti` the fence device; the device prefers the host `near`.
#[must_use]
pub fn fencing_sections(near: Option<&str>, least: Option<Grade>) -> String {
    let least = least.map_or_else(String::new, |grade| {
        format!("<nvpair id=\"fence-ganeti-least\" name=\"minimum_grade\" value=\"{grade}\"/>")
    });
    let preference = near.map_or_else(String::new, |node| {
        format!(
            "<constraints><rsc_location id=\"fence-near\" rsc=\"fence-ganeti\" node=\"{node}\" score=\"100\"/></constraints>"
        )
    });
    format!(
        r#"<crm_config><cluster_property_set id="cib-bootstrap-options">
             <nvpair id="opt-stonith" name="stonith-enabled" value="true"/>
             <nvpair id="opt-concurrent" name="concurrent-fencing" value="true"/>
           </cluster_property_set></crm_config>
           <resources><primitive id="fence-ganeti" class="stonith" type="fence_ganeti">
             <instance_attributes id="fence-ganeti-ia">
               <nvpair id="fence-ganeti-limit" name="pcmk_action_limit" value="-1"/>
               <nvpair id="fence-ganeti-off-retries" name="pcmk_off_retries" value="1"/>
               <nvpair id="fence-ganeti-reboot-retries" name="pcmk_reboot_retries" value="1"/>{least}
             </instance_attributes>
             <operations><op id="fence-ganeti-monitor" name="monitor" interval="60s" timeout="30s"/></operations>
           </primitive></resources>{preference}"#
    )
}

/// Installs and configures programs, Ganeti and Pacemaker; returns when the device has started.
///
/// # Errors
/// The operation that failed, and its host.
pub fn protect(lab: &Lab, programs: &Path, near: Option<&str>) -> Result<(), String> {
    protect_by(lab, programs, near, &Proof::default())
}

/// Does the same as [`protect`], with another proof than the BMCs'.
///
/// # Errors
/// The operation that failed, and its host.
pub fn protect_by(lab: &Lab, programs: &Path, near: Option<&str>, proof: &Proof) -> Result<(), String> {
    install(lab, programs, proof)?;
    set_oob_program(&lab.host("n1").map_err(text)?)?;
    lab.configure_cib(&fencing_sections(near, proof.least)).map_err(text)?;
    lab.wait_until("fence_ganeti has started", Duration::from_secs(60), || {
        Ok(lab.crm_mon()?.resources.iter().any(|resource| {
            resource.id == "fence-ganeti"
                && resource.role == "Started"
                && !resource.failed
                && !resource.nodes.is_empty()
        }))
    })
    .map(drop)
    .map_err(text)
}

/// Returns an error of the lab as text.
pub fn text(error: impl ToString) -> String {
    error.to_string()
}
