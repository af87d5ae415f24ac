//! The connected UDP socket to a BMC, with timers and a count of ICMP refusals. Resolves the BMC's name.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Target};

/// Number of refusals in a row that make the BMC unreachable: the first and two more attempts, for a BMC that is just
/// restarting.
const MAX_REFUSALS: u32 = 3;
/// The pause after a refusal, which comes back much faster than an answer would.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);
/// The length of the receive buffer in bytes, larger than any IPMI datagram. A longer datagram is truncated and then
/// fails its length check.
const BUFFER_LEN: usize = 2048;

/// A socket connected to one BMC.
pub(crate) struct Transport {
    socket: UdpSocket,
    peer: SocketAddr,
    refusals: u32,
    buffer: Box<[u8; BUFFER_LEN]>,
}

impl Transport {
    pub(crate) fn connect(peer: SocketAddr) -> Result<Self, Error> {
        let local: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let failed = |doing| move |source| Error::Socket { peer, doing, source };
        let socket = UdpSocket::bind((local, 0)).map_err(failed("opening a UDP socket"))?;
        socket.connect(peer).map_err(|source| {
            if is_refusal(&source) {
                Error::Unreachable { peer, tries: 1, source }
            } else {
                Error::Socket { peer, doing: "connecting the UDP socket", source }
            }
        })?;
        Ok(Self { socket, peer, refusals: 0, buffer: Box::new([0; BUFFER_LEN]) })
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn send(&mut self, datagram: &[u8]) -> Result<(), Error> {
        match self.socket.send(datagram) {
            Ok(_) => Ok(()),
            // The refusal belongs to an earlier datagram; this one was not sent and is sent again by the next timer.
            Err(source) if is_refusal(&source) => self.refused(source),
            Err(source) if is_transient(&source) => Ok(()),
            Err(source) => Err(Error::Socket { peer: self.peer, doing: "sending", source }),
        }
    }

    /// Returns the next datagram, or `None` when `until` has come or the last datagram sent was refused.
    pub(crate) fn receive(&mut self, until: Instant) -> Result<Option<&[u8]>, Error> {
        loop {
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(None);
            }
            let failed = |source| Error::Socket { peer: self.peer, doing: "receiving", source };
            self.socket.set_read_timeout(Some(wait)).map_err(failed)?;
            match self.socket.recv(&mut *self.buffer) {
                Ok(len) => {
                    self.refusals = 0;
                    return Ok(Some(self.buffer.get(..len).unwrap_or_default()));
                }
                Err(source) if is_transient(&source) => {}
                Err(source) if is_refusal(&source) => {
                    self.refused(source)?;
                    thread::sleep(REFUSAL_PAUSE.min(until.saturating_duration_since(Instant::now())));
                    return Ok(None);
                }
                Err(source) => return Err(failed(source)),
            }
        }
    }

    fn refused(&mut self, source: io::Error) -> Result<(), Error> {
        self.refusals += 1;
        if self.refusals < MAX_REFUSALS {
            return Ok(());
        }
        let (peer, tries) = (self.peer, self.refusals);
        Err(match source.kind() {
            ErrorKind::ConnectionRefused => Error::Refused { peer, tries },
            _ => Error::Unreachable { peer, tries, source },
        })
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
    )
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Returns the addresses of a target. Literal addresses need no resolver; names are resolved until `deadline`.
pub(crate) fn resolve(target: &Target, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = target.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, target.port())]);
    }
    let failed = |reason: String| Error::Resolve { host: target.host().to_owned(), reason };
    let (sender, answer) = mpsc::channel();
    let name = (target.host().to_owned(), target.port());
    // The resolver of the C library has no deadline, so its thread is left behind when it takes too long.
    let resolver = move || sender.send(name.to_socket_addrs().map(Iterator::collect::<Vec<_>>)).unwrap_or_default();
    thread::Builder::new().name("resolve".to_owned()).spawn(resolver).map_err(|error| failed(error.to_string()))?;
    match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(failed("it has no address".to_owned())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("no answer from the resolver in time".to_owned())),
    }
}
