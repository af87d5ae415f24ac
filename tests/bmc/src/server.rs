//! The sockets and timers of any number of BMCs in one thread.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::behaviour::Behaviour;
use crate::bmc::{Bmc, Seen};

/// The upper bound of one wait, so that a stop is noticed even if the datagram that announces it is lost.
const TICK: Duration = Duration::from_millis(200);

/// A BMC that answers on a loopback port until it is dropped.
#[derive(Debug)]
pub struct Responder {
    address: SocketAddr,
    bmc: Arc<Mutex<Bmc>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Starts a BMC on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no socket or thread can be created.
    pub fn start(behaviour: Behaviour) -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), behaviour)
    }

    /// Starts a BMC on this address; port 0 is any free port.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start_at(listen: SocketAddr, behaviour: Behaviour) -> io::Result<Self> {
        let socket = UdpSocket::bind(listen)?;
        let address = socket.local_addr()?;
        let bmc = Arc::new(Mutex::new(Bmc::new(behaviour)));
        let stop = Arc::new(AtomicBool::new(false));
        let (banks, stopped) = (vec![(socket, Arc::clone(&bmc))], Arc::clone(&stop));
        let thread = thread::Builder::new().name("bmc".to_owned()).spawn(move || {
            if let Err(error) = serve(&banks, &stopped) {
                eprintln!("bmc-responder: {error}");
            }
        })?;
        Ok(Self { address, bmc, stop, thread: Some(thread) })
    }

    /// Returns the address on which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the true power.
    pub fn power(&self) -> bool {
        self.bmc().power(Instant::now())
    }

    /// Changes the true power without a command of the client.
    pub fn set_power(&self, power: bool) {
        self.bmc().behaviour.chassis.power_on = power;
    }

    /// Returns the number of failed logins.
    pub fn failed_logins(&self) -> u32 {
        self.bmc().seen.failed_logins
    }

    /// Returns all counts.
    pub fn seen(&self) -> Seen {
        self.bmc().seen.clone()
    }

    /// Returns the number of sessions that hold a slot now.
    pub fn sessions(&self) -> usize {
        self.bmc().sessions.len()
    }

    /// Waits until no session holds a slot, for at most 5 s, and returns whether that came. A client that has dropped a
    /// session does not wait for the answer to Close Session, so its process may end before the BMC has read it.
    #[must_use]
    pub fn all_sessions_end(&self) -> bool {
        let end = Instant::now() + Duration::from_secs(5);
        while self.sessions() > 0 {
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Changes the behaviour of the running BMC.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.bmc().behaviour);
    }

    fn bmc(&self) -> MutexGuard<'_, Bmc> {
        self.bmc.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Ok(socket) = UdpSocket::bind((self.address.ip(), 0)) {
            let _ = socket.send_to(&[], self.address);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Queued {
    due: Instant,
    bank: usize,
    peer: SocketAddr,
    bytes: Vec<u8>,
}

/// Answers for all BMCs until `stop` is set.
///
/// # Errors
/// If waiting for the sockets fails.
pub fn serve(banks: &[(UdpSocket, Arc<Mutex<Bmc>>)], stop: &AtomicBool) -> io::Result<()> {
    for (socket, _) in banks {
        socket.set_nonblocking(true)?;
    }
    let mut queue: Vec<Queued> = Vec::new();
    let mut buffer = [0u8; 2048];
    while !stop.load(Ordering::Acquire) {
        let ready = wait(banks, &queue)?;
        for (bank, (socket, bmc)) in banks.iter().enumerate().filter(|(bank, _)| ready.contains(bank)) {
            while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
                let now = Instant::now();
                let datagram = buffer.get(..len).unwrap_or_default();
                let replies = bmc.lock().unwrap_or_else(PoisonError::into_inner).receive(datagram, now);
                queue.extend(replies.into_iter().map(|(delay, bytes)| Queued { due: now + delay, bank, peer, bytes }));
            }
        }
        send_due(banks, &mut queue);
    }
    Ok(())
}

fn wait(banks: &[(UdpSocket, Arc<Mutex<Bmc>>)], queue: &[Queued]) -> io::Result<Vec<usize>> {
    let now = Instant::now();
    let next = queue.iter().map(|queued| queued.due.saturating_duration_since(now)).min().unwrap_or(TICK).min(TICK);
    // Rounded up, so that the loop does not spin for a reply that is due in half a millisecond.
    let millis = u16::try_from(next.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    let mut descriptors: Vec<_> =
        banks.iter().map(|(socket, _)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut descriptors, PollTimeout::from(millis)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(descriptors.iter().enumerate().filter(|(_, fd)| fd.any().unwrap_or(true)).map(|(bank, _)| bank).collect())
}

fn send_due(banks: &[(UdpSocket, Arc<Mutex<Bmc>>)], queue: &mut Vec<Queued>) {
    let now = Instant::now();
    // The order among due replies is stable: a forged packet before the true one has to arrive first.
    let mut index = 0;
    while let Some(queued) = queue.get(index) {
        if queued.due > now {
            index += 1;
            continue;
        }
        let queued = queue.remove(index);
        if let Some((socket, _)) = banks.get(queued.bank) {
            // A client that has ended is not a fault of the BMC.
            let _ = socket.send_to(&queued.bytes, queued.peer);
        }
    }
}
