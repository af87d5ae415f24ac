//! What an administrator does to a running Ganeti and a running Pacemaker, done to a lab.

use std::path::{Path, PathBuf};

use lab::{Host, Lab};

/// Where the programs are installed, as `make install` does it.
const PROGRAMS: [(&str, &str); 6] = [
    ("fence_ganeti", "/usr/sbin/fence_ganeti"),
    ("ganeti-oob", "/usr/lib/gnt-ha/ganeti-oob"),
    ("noded-call", "/usr/lib/gnt-ha/noded-call"),
    ("gnt-ha", "/usr/sbin/gnt-ha"),
    ("ganeti-master-role", "/usr/lib/ocf/resource.d/ganeti/ganeti-master-role"),
    ("ganeti-node-role", "/usr/lib/ocf/resource.d/ganeti/ganeti-node-role"),
];

/// The OOB program's path on the hosts.
pub const OOB_PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// The folder of the programs that were built beside the running one.
///
/// # Errors
/// Which program is missing, and how to build it.
pub fn built_programs() -> Result<PathBuf, String> {
    let running = std::env::current_exe().map_err(|error| format!("cannot find the running program: {error}"))?;
    // Tests run in deps/, one folder below the programs.
    let folder = running
        .ancestors()
        .skip(1)
        .find(|folder| PROGRAMS.iter().all(|(name, _)| folder.join(name).is_file()))
        .ok_or("the programs are not all built: run `make build` first")?;
    Ok(folder.to_owned())
}

/// Puts our programs and their configuration on every host.
///
/// # Errors
/// What failed, where.
pub fn install(lab: &Lab, programs: &Path) -> Result<(), String> {
    let password = lab.bmc_password().map_err(text)?;
    for host in lab.hosts() {
        for (name, destination) in PROGRAMS {
            let path = programs.join(name);
            let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            host.write_file(destination, &bytes, 0o755).map_err(text)?;
        }
        host.write_file("/etc/gnt-ha/bmc.password", format!("{password}\n").as_bytes(), 0o600).map_err(text)?;
        host.write_file("/etc/gnt-ha/config.toml", configuration(lab).as_bytes(), 0o644).map_err(text)?;
    }
    Ok(())
}

/// `/etc/gnt-ha/config.toml` for a lab: each host's BMC, by its address.
#[must_use]
pub fn configuration(lab: &Lab) -> String {
    let mut text = format!(
        "dark_time = 1\n\n[devices.bmc]\ndriver = \"ipmi\"\naddress = \"{{bmc}}\"\nusername = \"{}\"\n\
         password_file = \"/etc/gnt-ha/bmc.password\"\n\n[default]\nlevels = [[\"bmc\"]]\n",
        lab::USER
    );
    for host in lab.hosts() {
        text.push_str(&format!("\n[nodes.\"{}\"]\nvalues = {{ bmc = \"{}\" }}\n", host.fqdn(), host.bmc_address()));
    }
    text
}

/// Tells Ganeti, on its master, which OOB program every node has.
///
/// # Errors
/// What Ganeti said.
pub fn tell_ganeti(master: &Host) -> Result<(), String> {
    let parameter = format!("oob_program={OOB_PROGRAM}");
    master.check(&["gnt-cluster", "modify", "--node-parameters", &parameter]).map(drop).map_err(text)
}

/// The CIB sections that make `fence_ganeti` the fence device; it stays on the host `near` while that is there.
#[must_use]
pub fn fencing_sections(near: Option<&str>) -> String {
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
               <nvpair id="fence-ganeti-reboot-retries" name="pcmk_reboot_retries" value="1"/>
             </instance_attributes>
             <operations><op id="fence-ganeti-monitor" name="monitor" interval="60s" timeout="30s"/></operations>
           </primitive></resources>{preference}"#
    )
}

/// Everything: programs, Ganeti, Pacemaker; returns when the device has started.
///
/// # Errors
/// What failed, where.
pub fn protect(lab: &Lab, programs: &Path, near: Option<&str>) -> Result<(), String> {
    install(lab, programs)?;
    tell_ganeti(&lab.host("n1").map_err(text)?)?;
    lab.configure_cib(&fencing_sections(near)).map_err(text)?;
    lab.wait_until("fence_ganeti has started", std::time::Duration::from_secs(60), || {
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

/// An error of the lab as text.
pub fn text(error: impl ToString) -> String {
    error.to_string()
}
