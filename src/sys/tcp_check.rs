//! Checks which addresses can be reached over TCP, all at once and within one deadline.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::clock::Deadline;

/// The TCP port of noded (`DEFAULT_NODED_PORT`, `src/Ganeti/Constants.hs`).
pub const NODED_PORT: u16 = 1811;

/// The smallest ClientHello of TLS 1.2, with one cipher suite and without extensions. Any live server answers it, if
/// only with an alert.
const CLIENT_HELLO: [u8; 50] = {
    let mut hello = [0; 50];
    let head = [22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    let mut n = 0;
    while n < head.len() {
        hello[n] = head[n];
        n += 1;
    }
    // The 32 bytes of "random" and the empty session id stay zero.
    hello[44] = 0;
    hello[45] = 2;
    hello[46] = 0xc0;
    hello[47] = 0x2f;
    hello[48] = 1;
    hello
};

/// Returns those of `addresses` whose `port` accepts a connection by the deadline. Returns earlier once there are
/// `enough`.
#[must_use]
pub fn accepting(addresses: &[IpAddr], port: u16, enough: usize, deadline: Deadline) -> BTreeSet<IpAddr> {
    those_that(addresses, enough, deadline, move |address| connect(address, port, deadline).is_ok())
}

/// Returns those of `addresses` that were asked and neither accepted nor rejected a connection by the deadline
/// ([`is_there`]). Returns none if less than 300 ms are left.
#[must_use]
pub fn find_silent(addresses: &[IpAddr], port: u16, deadline: Deadline) -> BTreeSet<IpAddr> {
    // Time after the deadline for the threads to report the silent addresses, which are known only then.
    const REPORT_TIME: Duration = Duration::from_millis(100);
    // With less time than this, no address is asked.
    const LEAST_TIME: Duration = Duration::from_millis(300);
    if deadline.left() < LEAST_TIME {
        return BTreeSet::new();
    }
    let all = addresses.len();
    those_that(addresses, all, deadline.later(REPORT_TIME), move |address| !is_there(address, port, deadline))
}

/// Asks each address in a thread of its own, and leaves the threads behind at the deadline or once there are `enough`.
///
/// Not by [`fan_out::each`](super::fan_out::each), which waits for all, and asks an address for which there is no thread
/// after another one. An address that is asked too late would count as silent, and here its state stays unknown.
fn those_that(
    addresses: &[IpAddr],
    enough: usize,
    deadline: Deadline,
    is_so: impl Fn(IpAddr) -> bool + Copy + Send + 'static,
) -> BTreeSet<IpAddr> {
    let (sender, receiver) = mpsc::channel();
    for address in addresses.iter().copied() {
        let sender = sender.clone();
        let ask = move || {
            let _ = sender.send((address, is_so(address)));
        };
        // If the system has no thread to spare, the state of the address is unknown.
        let _ = std::thread::Builder::new().spawn(ask);
    }
    drop(sender);
    let mut found = BTreeSet::new();
    while found.len() < enough
        && let Ok((address, is_so)) = receiver.recv_timeout(deadline.left())
    {
        if is_so {
            found.insert(address);
        }
    }
    found
}

/// Returns whether a host at `address` accepts or rejects connections. Ganeti regards such an address as in use
/// (`netutils.TcpPing`).
#[must_use]
pub fn is_there(address: IpAddr, port: u16, deadline: Deadline) -> bool {
    match connect(address, port, deadline) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    }
}

/// Checks that a TLS server at `address` answers, not only its kernel: the backlog of a stopped daemon accepts
/// connections, too.
///
/// # Errors
/// `TimedOut` if no answer arrives by the deadline; otherwise the error of the connection, or of an answer that is not
/// TLS.
pub fn speaks_tls(address: IpAddr, port: u16, deadline: Deadline) -> io::Result<()> {
    const HANDSHAKE: u8 = 22;
    const ALERT: u8 = 21;
    let mut stream = connect(address, port, deadline)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(&CLIENT_HELLO)?;
    stream.set_read_timeout(Some(left(deadline)?))?;
    let mut first = [0];
    match stream.read(&mut first) {
        Ok(1) if matches!(first[0], HANDSHAKE | ALERT) => Ok(()),
        Ok(_) => Err(io::Error::other("it closed the connection, or does not use TLS")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(error),
    }
}

fn connect(address: IpAddr, port: u16, deadline: Deadline) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(address, port), left(deadline)?)
}

fn left(deadline: Deadline) -> io::Result<Duration> {
    let left = deadline.left();
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// A host that accepts or rejects a connection runs, so it never counts as silent.
    #[test]
    fn who_takes_or_refuses_is_not_silent() {
        let soon = || Deadline::after(Duration::from_millis(500));
        let own: IpAddr = "127.0.18.12".parse().unwrap();
        let listener = TcpListener::bind((own, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(find_silent(&[own], port, soon()), BTreeSet::new(), "it takes");
        drop(listener);
        assert_eq!(find_silent(&[own], port, soon()), BTreeSet::new(), "it refuses");
        assert_eq!(
            find_silent(&[own], port, Deadline::after(Duration::ZERO)),
            BTreeSet::new(),
            "there was no time to ask"
        );
    }

    #[test]
    fn a_listener_accepts_and_a_closed_port_is_there_all_the_same() {
        let listener = TcpListener::bind((LOCAL, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let soon = || Deadline::after(Duration::from_secs(2));
        assert_eq!(accepting(&[LOCAL], port, 1, soon()).len(), 1);
        assert!(is_there(LOCAL, port, soon()));
        drop(listener);
        assert!(accepting(&[LOCAL], port, 1, soon()).is_empty());
        assert!(is_there(LOCAL, port, soon()));
    }

    /// After a SIGSTOP of noded, the kernel accepts the connection, and no daemon answers.
    #[test]
    fn a_stopped_server_does_not_speak() {
        let listener = TcpListener::bind((LOCAL, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = speaks_tls(LOCAL, port, Deadline::after(Duration::from_millis(80))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_hello_is_as_long_as_it_says() {
        assert_eq!(usize::from(CLIENT_HELLO[4]) + 5, CLIENT_HELLO.len());
        assert_eq!(usize::from(CLIENT_HELLO[8]) + 9, CLIENT_HELLO.len());
    }
}
