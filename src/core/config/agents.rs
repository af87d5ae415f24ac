//! The only table of fence agents: what each of them reads, and whether it loses its power with its host
//! (fence-agents 4.12, with the links to the same program). It touches nothing.

use crate::core::power::reading::{PowerDeviceKind, ReadingSubject};

/// A board in the host itself: without its own power supply it fails with the host.
const BOARD: PowerDeviceKind = PowerDeviceKind { sees: ReadingSubject::Machine, shares_power: true };

/// A chassis manager, a hypervisor or a cloud, which runs on without the machine.
const MANAGER: PowerDeviceKind = PowerDeviceKind { sees: ReadingSubject::Machine, shares_power: false };

/// An outlet of a power strip.
const OUTLET: PowerDeviceKind = PowerDeviceKind { sees: ReadingSubject::Feed, shares_power: false };

/// A path to storage or a network instead of a power supply (`fabric_fencing`): the host runs on.
const FABRIC: PowerDeviceKind = PowerDeviceKind { sees: ReadingSubject::Access, shares_power: false };

const UNKNOWN: PowerDeviceKind = PowerDeviceKind { sees: ReadingSubject::Unknown, shares_power: false };

/// The table, sorted by name. An agent that is not in it is unknown (`fence_powerman` drives both boards and outlets).
const AGENTS: &[(&str, PowerDeviceKind)] = &[
    ("fence_aliyun", MANAGER),
    ("fence_alom", BOARD),
    ("fence_amt", BOARD),
    ("fence_amt_ws", BOARD),
    ("fence_apc", OUTLET),
    ("fence_apc_snmp", OUTLET),
    ("fence_aws", MANAGER),
    ("fence_aws_vpc_net", FABRIC),
    ("fence_azure_arm", MANAGER),
    ("fence_bladecenter", MANAGER),
    ("fence_brocade", FABRIC),
    ("fence_cdu", OUTLET),
    ("fence_cisco_mds", FABRIC),
    ("fence_cisco_ucs", MANAGER),
    ("fence_compute", FABRIC),
    ("fence_cyberpower_ssh", OUTLET),
    ("fence_docker", MANAGER),
    ("fence_drac", BOARD),
    ("fence_drac5", BOARD),
    ("fence_eaton_snmp", OUTLET),
    ("fence_eaton_ssh", OUTLET),
    ("fence_ecloud", MANAGER),
    ("fence_emerson", OUTLET),
    ("fence_eps", OUTLET),
    ("fence_evacuate", FABRIC),
    ("fence_gce", MANAGER),
    ("fence_hds_cb", MANAGER),
    ("fence_hpblade", MANAGER),
    ("fence_ibm_powervs", MANAGER),
    ("fence_ibm_vpc", MANAGER),
    ("fence_ibmblade", MANAGER),
    ("fence_ibmz", MANAGER),
    ("fence_idrac", BOARD),
    ("fence_ifmib", FABRIC),
    ("fence_ilo", BOARD),
    ("fence_ilo2", BOARD),
    ("fence_ilo3", BOARD),
    ("fence_ilo3_ssh", BOARD),
    ("fence_ilo4", BOARD),
    ("fence_ilo4_ssh", BOARD),
    ("fence_ilo5", BOARD),
    ("fence_ilo5_ssh", BOARD),
    ("fence_ilo_moonshot", MANAGER),
    ("fence_ilo_mp", BOARD),
    ("fence_ilo_ssh", BOARD),
    ("fence_imm", BOARD),
    ("fence_intelmodular", MANAGER),
    ("fence_ipdu", OUTLET),
    ("fence_ipmilan", BOARD),
    ("fence_ipmilanplus", BOARD),
    ("fence_ironic", MANAGER),
    ("fence_kubevirt", MANAGER),
    ("fence_ldom", MANAGER),
    ("fence_lindypdu", OUTLET),
    ("fence_linode", MANAGER),
    ("fence_lpar", MANAGER),
    ("fence_mpath", FABRIC),
    ("fence_netio", OUTLET),
    ("fence_nutanix_ahv", MANAGER),
    ("fence_openstack", MANAGER),
    ("fence_pve", MANAGER),
    ("fence_raritan", OUTLET),
    ("fence_raritan_px3", OUTLET),
    ("fence_redfish", BOARD),
    ("fence_rhevm", MANAGER),
    ("fence_rsa", BOARD),
    ("fence_rsb", BOARD),
    ("fence_sanbox2", FABRIC),
    ("fence_scsi", FABRIC),
    ("fence_skalar", MANAGER),
    ("fence_tripplite_snmp", OUTLET),
    ("fence_vbox", MANAGER),
    ("fence_virsh", MANAGER),
    ("fence_virt", MANAGER),
    ("fence_vmware", MANAGER),
    ("fence_vmware_rest", MANAGER),
    ("fence_vmware_soap", MANAGER),
    ("fence_vmware_vcloud", MANAGER),
    ("fence_wti", OUTLET),
    ("fence_xenapi", MANAGER),
    ("fence_xvm", MANAGER),
    ("fence_zvm", MANAGER),
    ("fence_zvmip", MANAGER),
];

/// Returns the kind of an agent, by its name or its path.
#[must_use]
pub fn kind_of(agent: &str) -> PowerDeviceKind {
    let file = agent.rsplit('/').next().unwrap_or_default();
    AGENTS
        .binary_search_by_key(&file, |(name, _)| name)
        .map_or(UNKNOWN, |at| AGENTS.get(at).map_or(UNKNOWN, |one| one.1))
}

/// Returns whether an agent, by its name or its path, asks a board in the host.
#[must_use]
pub fn is_board(agent: &str) -> bool {
    kind_of(agent).shares_power
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each agent is found by name and by path; one that is not in the table has an unknown kind.
    #[test]
    fn the_table_is_sorted_and_found() {
        assert!(AGENTS.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(kind_of("/usr/sbin/fence_apc_snmp"), OUTLET);
        assert_eq!(kind_of("fence_ipmilan"), BOARD);
        assert_eq!(kind_of("fence_ours"), UNKNOWN);
    }
}
