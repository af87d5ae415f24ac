//! The paths at which `make install` puts the programs that other programs name.

/// `gnt-ha`: what the script in Ganeti's directories of hooks runs.
pub const PROGRAM: &str = "/usr/sbin/gnt-ha";

/// `ganeti-oob`: Ganeti's node parameter `oob_program`, and what a node runs to answer another one.
pub const OOB_PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// The node parameter with this value, as `gnt-cluster modify --node-parameters` takes it.
pub const OOB_PARAMETER: &str = "oob_program=/usr/lib/gnt-ha/ganeti-oob";

/// `noded-call`: calls a procedure of noded on many nodes at once.
pub const NODED_CALL: &str = "/usr/lib/gnt-ha/noded-call";

/// `redfish-call`: carries out one operation at a BMC's Redfish service.
pub const REDFISH_CALL: &str = "/usr/lib/gnt-ha/redfish-call";

/// `gnt-ha-alert`: the alert agent in Pacemaker's configuration.
pub const ALERT_AGENT: &str = "/usr/lib/gnt-ha/gnt-ha-alert";

#[cfg(test)]
mod tests {
    #[test]
    fn the_parameter_names_the_program() {
        assert_eq!(super::OOB_PARAMETER, format!("oob_program={}", super::OOB_PROGRAM));
    }
}
