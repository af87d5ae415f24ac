//! The addresses that this host has now (`getifaddrs(3)`).

use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// Whether `address` is on one of this host's interfaces; with `device`, on that one (labels such as `eth0:0` are
/// addresses of `eth0`).
///
/// # Errors
/// What the system says.
pub fn has(address: IpAddr, device: Option<&str>) -> io::Result<bool> {
    let on_device = |name: &str| device.is_none_or(|device| name.split(':').next() == Some(device));
    Ok(getifaddrs()?
        .filter(|interface| on_device(&interface.interface_name))
        .any(|interface| interface.address.as_ref().and_then(ip) == Some(address)))
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
}
