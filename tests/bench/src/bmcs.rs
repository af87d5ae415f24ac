//! Runs many BMCs in one process, each with an address of its own, as slow to log in to as real ones.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmc_responder::{Behaviour, Bmc, User};
use ipmi_lan::Privilege;

use crate::Result;
use crate::fixture::{PASSWORD, USER};

/// The number of BMCs.
pub(crate) const COUNT: u8 = 200;

/// The number of BMCs that are asked at once beside `ipmipower`.
pub(crate) const THOUSAND: u16 = 1000;

/// The time that a BMC's processor takes for its part of the login.
const LOGIN: Duration = Duration::from_millis(200);

/// The time in ms in which a slow BMC works off one packet, before the next one.
pub(crate) const SLOW: [u16; 4] = [100, 200, 400, 900];

const READY: &str = "ready";

/// Returns the address of the `number`-th BMC.
pub(crate) const fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, 0, number)
}

/// Returns the address of the `number`-th of a thousand BMCs.
pub(crate) fn address_of_thousand(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 4, high, low)
}

/// Returns the address of a slow BMC: the one with this place in [`SLOW`], for our program or for another one.
pub(crate) const fn slow_address(place: u8, ours: bool) -> Ipv4Addr {
    Ipv4Addr::new(127, 3, place, if ours { 1 } else { 2 })
}

/// Runs all of the BMCs in this process.
pub(crate) fn serve() -> Result<()> {
    let mut banks = Vec::new();
    let many = (1..=COUNT).map(|number| (address(number), LOGIN, Duration::ZERO));
    let slow = (0u8..).zip(SLOW).flat_map(|(place, millis)| {
        let packet = Duration::from_millis(millis.into());
        [true, false].map(|ours| (slow_address(place, ours), Duration::ZERO, packet))
    });
    let thousand = (1..=THOUSAND).map(|number| (address_of_thousand(number), LOGIN, Duration::ZERO));
    for (seed, (address, rakp2_delay, packet_time)) in (0u64..).zip(many.chain(slow).chain(thousand)) {
        let mut behaviour = Behaviour {
            users: vec![User {
                name: USER.to_owned(),
                password: PASSWORD.as_bytes().to_vec(),
                privilege: Privilege::Administrator,
            }],
            rakp2_delay,
            packet_time,
            ..Behaviour::default()
        };
        behaviour.chassis.power_on = true;
        behaviour.noise.seed = seed;
        let socket = UdpSocket::bind((address, ipmi_lan::DEFAULT_PORT))?;
        banks.push((socket, Arc::new(Mutex::new(Bmc::new(behaviour)))));
    }
    println!("{READY}");
    Ok(bmc_responder::serve(&banks, &AtomicBool::new(false))?)
}

/// The process with the BMCs; it ends when this is dropped.
pub(crate) struct Bmcs(Child);

impl Bmcs {
    /// Starts the process and waits until every BMC has its address.
    pub(crate) fn start() -> Result<Self> {
        let mut child =
            Command::new(std::env::current_exe()?).arg("bmcs").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take();
        let bmcs = Self(child);
        let mut line = String::new();
        BufReader::new(stdout.ok_or("no stdout")?).read_line(&mut line)?;
        if line.trim() == READY { Ok(bmcs) } else { Err("the BMCs did not start".into()) }
    }

    /// Returns the processor time that it has used (`/proc/PID/schedstat`, first field, in ns; it has one thread).
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.0.id()))?;
        let nanos = text.split(' ').next().unwrap_or_default().parse()?;
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for Bmcs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
