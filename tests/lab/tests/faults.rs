//! The faults that a lab can cause, seen from its hosts: needs root and the packages that `lab up` asks for. Run with
//! `cargo test -p lab -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

use std::time::Duration;

use lab::{Host, Lab, Network, Options, Power};

/// Sends a keepalive to the watchdog ten times per second, until it is killed; then the connection is closed.
const KEEPALIVES: &str = "import socket, time\n\
    s = socket.socket(socket.AF_UNIX)\n\
    s.connect('/run/watchdog.sock')\n\
    print(s.makefile().readline(), flush=True)\n\
    while True:\n    s.send(b'x')\n    time.sleep(0.1)\n";

fn reaches(from: &Host, address: &str) -> bool {
    let script = format!(": </dev/tcp/{address}/22");
    from.run(&["timeout", "0.5", "bash", "-c", &script]).unwrap().success()
}

#[test]
#[ignore = "builds a lab: root, 1 minute"]
fn hosts_are_separated_booted_and_reset() {
    let name = std::env::var("GNT_HA_LAB_PREFIX").unwrap_or_default() + "test-faults";
    let lab = Lab::up(Options {
        name,
        watchdog: Some(Duration::from_secs(1)),
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    })
    .unwrap();
    let [n1, n2, n3] = ["n1", "n2", "n3"].map(|name| lab.host(name).unwrap());

    // Only one pair of hosts is separated, in both families and networks.
    let all = |host: &Host| {
        let both = [Network::Primary, Network::Secondary];
        both.into_iter().flat_map(|network| [Some(host.address(network)), host.address6(network)]).flatten().collect()
    };
    let seen = |from: &Host, to: &Host| -> Vec<bool> {
        let addresses: Vec<String> = all(to);
        addresses.iter().map(|address| reaches(from, address)).collect()
    };
    assert_eq!(seen(&n1, &n2), [true; 4]);
    lab.block(&[(n1.clone(), n2.clone())]).unwrap();
    assert_eq!((seen(&n1, &n2), seen(&n2, &n1)), (vec![false; 4], vec![false; 4]), "a handshake goes both ways");
    assert_eq!((seen(&n1, &n3), seen(&n3, &n2)), (vec![true; 4], vec![true; 4]));
    lab.block(&[]).unwrap();
    assert_eq!(seen(&n1, &n2), [true; 4]);

    // Each boot has an id of its own, and `/etc/rc.network` runs before the network is up.
    let boot_id = |host: &Host| host.read_file("/proc/sys/kernel/random/boot_id").unwrap();
    assert_ne!(boot_id(&n1), boot_id(&n2));
    assert_eq!(boot_id(&n1), boot_id(&n1));
    assert_eq!(boot_id(&n1).trim().len(), 36);
    let before = boot_id(&n3);
    let script = b"#!/bin/sh\nip -brief link show eth0 > /root/before-network\n";
    n3.write_file("/etc/rc.network", script, 0o755).unwrap();
    n3.power_off().unwrap();
    n3.power_on().unwrap();
    assert_ne!(boot_id(&n3), before);
    assert!(n3.read_file("/root/before-network").unwrap().contains("DOWN"));
    assert_eq!(seen(&n1, &n3), [true; 4]);

    // A watchdog does nothing before its first keepalive; after it, it cannot be disarmed.
    assert!(n2.expiries().unwrap().is_empty());
    let begun = lab::now().unwrap();
    n2.run_within(&["python3", "-c", KEEPALIVES], Duration::from_secs(3)).unwrap_err();
    lab.wait_until("the watchdog of n2 expires", Duration::from_secs(10), || Ok(!n2.expiries()?.is_empty())).unwrap();
    assert_eq!(n2.power_status(), Power::Off);
    let expiry = n2.expiries().unwrap()[0];
    assert!(expiry.last_keepalive > begun + Duration::from_secs(1), "keepalives came for a while: {expiry:?}");
    assert!(expiry.power_cut >= expiry.last_keepalive + Duration::from_secs(1), "{expiry:?}");
    n2.power_on().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_ne!(n2.power_status(), Power::Off, "a new boot disarms it");
    assert_eq!(n2.expiries().unwrap(), [expiry]);
}
