//! The current addresses of this host (`getifaddrs(3)`). Only reads.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// A place of an address on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressDevice {
    /// The name of the network device.
    pub device: String,
    /// The length of the address's prefix, in bits.
    pub prefix: u32,
}

/// Returns the devices of this host that have `address`; more than one if it was configured twice.
///
/// # Errors
/// The error of the system.
pub fn find(address: IpAddr) -> io::Result<Vec<AddressDevice>> {
    let here = getifaddrs()?.filter(|interface| interface.address.as_ref().and_then(ip) == Some(address));
    let found = here.map(|interface| AddressDevice {
        // Labels such as `eth0:0` belong to addresses of `eth0`.
        device: interface.interface_name.split(':').next().unwrap_or_default().to_owned(),
        prefix: interface.netmask.as_ref().and_then(ip).map_or(if address.is_ipv4() { 32 } else { 128 }, ones),
    });
    Ok(found.collect())
}

/// Returns whether an interface of this host has `address`; with `device`, only that interface counts.
///
/// # Errors
/// The error of the system.
pub fn has(address: IpAddr, device: Option<&str>) -> io::Result<bool> {
    Ok(find(address)?.iter().any(|found| device.is_none_or(|device| found.device == device)))
}

/// Returns all addresses of this host.
///
/// # Errors
/// The error of the system.
pub fn all() -> io::Result<BTreeSet<IpAddr>> {
    Ok(getifaddrs()?.filter_map(|interface| interface.address.as_ref().and_then(ip)).collect())
}

fn ones(mask: IpAddr) -> u32 {
    match mask {
        IpAddr::V4(mask) => u32::from(mask).count_ones(),
        IpAddr::V6(mask) => u128::from(mask).count_ones(),
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    address
        .as_sockaddr_in()
        .map(|v4| IpAddr::V4(v4.ip()))
        .or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_here_and_a_documentation_address_is_not() {
        assert!(has("127.0.0.1".parse().unwrap(), None).unwrap());
        assert!(has("127.0.0.1".parse().unwrap(), Some("lo")).unwrap());
        assert!(!has("127.0.0.1".parse().unwrap(), Some("eth9")).unwrap());
        assert!(!has("192.0.2.253".parse().unwrap(), None).unwrap());
    }

    /// `ip addr del` requires the prefix that the address has, which may differ from the configured one.
    #[test]
    fn device_and_prefix_are_those_of_the_address() {
        let found = find("127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(found, [AddressDevice { device: "lo".to_owned(), prefix: 8 }]);
        assert_eq!(ones("ffff:ffff::".parse().unwrap()), 32);
    }
}
