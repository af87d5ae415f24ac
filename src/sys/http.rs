//! HTTP requests on a socket, each with one deadline, so that a slow client does not delay others.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};

use super::clock::Deadline;

/// The time limit of a client for its whole request, and again for reading the answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of clients that are served at once. Other clients wait.
const CLIENTS_MOST: usize = 8;

/// The maximum number of clients from one address (of IPv6: from one /64 network), so that one client cannot take all
/// places.
const OF_ONE: usize = CLIENTS_MOST / 2;

/// The answer to a client above that limit.
const BUSY: &str =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The number of clients that are served now, by address.
#[derive(Debug, Default)]
struct Served(Mutex<BTreeMap<IpAddr, usize>>);

impl Served {
    fn all(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        self.all().values().sum::<usize>() >= CLIENTS_MOST
    }

    /// Takes a place for one more client from this address; returns whether one was free.
    fn enters(&self, client: IpAddr) -> bool {
        let mut all = self.all();
        let of_it = all.entry(client).or_default();
        let is_free = *of_it < OF_ONE;
        *of_it += usize::from(is_free);
        is_free
    }

    fn leaves(&self, client: IpAddr) {
        let mut all = self.all();
        if let Some(of_it) = all.get_mut(&client) {
            *of_it = of_it.saturating_sub(1);
            if *of_it == 0 {
                all.remove(&client);
            }
        }
    }
}

/// Returns the address under which a client is counted: the /64 network for IPv6.
fn client_at(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// Time without a connection after which the server ends; systemd continues to listen.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns whether the descriptor is a listening socket and not a connection (`Accept=no` of systemd, `wait` of inetd).
#[must_use]
pub fn is_listening(fd: &impl AsFd) -> bool {
    getsockopt(fd, sockopt::AcceptConn).unwrap_or(false)
}

/// Reads the whole request and returns its first line. A client whose request is not read to its end would see a reset
/// instead of the answer (RFC 9112, 9.6). Waits `CLIENT_TIMEOUT` for the request, in however many pieces it arrives.
///
/// # Errors
/// `TimedOut` if the request is not complete by then, or the error of the read.
pub fn first_line<S: AsFd + Read>(stream: &mut S, limit: usize) -> io::Result<String> {
    first_line_until(stream, limit, Deadline::after(CLIENT_TIMEOUT))
}

fn first_line_until<S: AsFd + Read>(stream: &mut S, limit: usize, deadline: Deadline) -> io::Result<String> {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while request.len() < limit && !is_whole(&request) {
        if !is_ready(&*stream, PollFlags::POLLIN, deadline)? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no whole request came in time"));
        }
        match stream.read(&mut chunk)? {
            0 => break,
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
    let first = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(first).into_owned())
}

/// Returns whether the request ends with an empty line; that may be its first line.
fn is_whole(request: &[u8]) -> bool {
    let ends =
        |end: &[u8]| request.starts_with(&end[end.len() / 2..]) || request.windows(end.len()).any(|at| at == end);
    ends(b"\r\n\r\n") || ends(b"\n\n")
}

fn is_ready(fd: &impl AsFd, what: PollFlags, deadline: Deadline) -> io::Result<bool> {
    loop {
        let left = PollTimeout::try_from(deadline.left()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd.as_fd(), what)], left) {
            Ok(0) if deadline.left() < Duration::from_millis(1) => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Answers all clients until no client has connected for `IDLE_TIMEOUT`. `answer` returns the whole answer for a first line.
///
/// # Errors
/// The error of the kernel if the server cannot wait for connections any more.
pub fn serve(listener: &TcpListener, limit: usize, answer: &(impl Fn(&str) -> String + Sync)) -> io::Result<()> {
    serve_until_idle(listener, limit, IDLE_TIMEOUT, answer)
}

fn serve_until_idle(
    listener: &TcpListener,
    limit: usize,
    idle: Duration,
    answer: &(impl Fn(&str) -> String + Sync),
) -> io::Result<()> {
    let served = Served::default();
    listener.set_nonblocking(true)?;
    std::thread::scope(|scope| {
        while is_ready(listener, PollFlags::POLLIN, Deadline::after(idle))? {
            while served.is_full() {
                std::thread::sleep(Duration::from_millis(20));
            }
            let Ok((mut stream, from)) = listener.accept() else { continue };
            let client = client_at(from.ip());
            if !served.enters(client) {
                // The answer fits into the socket's buffer; the request is not read.
                let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(BUSY.as_bytes()));
                continue;
            }
            let served = &served;
            let serve = move || {
                // A failure of this client does not concern other clients.
                let _ = serve_one(stream, limit, answer);
                served.leaves(client);
            };
            if std::thread::Builder::new().spawn_scoped(scope, serve).is_err() {
                served.leaves(client);
            }
        }
        Ok(())
    })
}

fn serve_one(mut stream: TcpStream, limit: usize, answer: &impl Fn(&str) -> String) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let line = first_line(&mut stream, limit)?;
    let text = answer(&line);
    let mut left = text.as_bytes();
    let deadline = Deadline::after(CLIENT_TIMEOUT);
    stream.set_nonblocking(true)?;
    while !left.is_empty() && is_ready(&stream, PollFlags::POLLOUT, deadline)? {
        match stream.write(left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// No other test listens on this address.
    const OWN: &str = "127.0.18.12";

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((OWN, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn a_request_is_read_to_its_end() {
        for request in ["GET /metrics HTTP/1.1\r\nHost: n1\r\n\r\n", "GET /metrics HTTP/1.1\n\n"] {
            let (mut client, mut server) = pair();
            client.write_all(request.as_bytes()).unwrap();
            assert_eq!(first_line(&mut server, 8_192).unwrap().trim_end(), "GET /metrics HTTP/1.1");
        }
        let (mut client, mut server) = pair();
        client.write_all(b"\r\n").unwrap();
        assert_eq!(first_line(&mut server, 8_192).unwrap().trim_end(), "");
        let (mut client, mut server) = pair();
        client.write_all(&[b'x'; 200]).unwrap();
        assert!(first_line(&mut server, 100).unwrap().starts_with("xxx"), "one that has no end is cut");
    }

    /// Single bytes do not extend the time: the whole request has one deadline.
    #[test]
    fn a_client_that_sends_slowly_is_left() {
        let (mut client, mut server) = pair();
        let is_over = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while is_over.load(Ordering::SeqCst) == 0 && client.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
            let read = first_line_until(&mut server, 8_192, Deadline::after(Duration::from_millis(200)));
            is_over.store(1, Ordering::SeqCst);
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
        });
    }

    /// Silent clients do not keep other clients from an answer, and a server without clients ends.
    #[test]
    fn all_are_served_beside_a_silent_one() {
        let listener = TcpListener::bind((OWN, 0)).unwrap();
        assert!(is_listening(&listener));
        let address = listener.local_addr().unwrap();
        let silent = TcpStream::connect(address).unwrap();
        assert!(!is_listening(&silent));
        let readers: Vec<_> = (1..OF_ONE)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut client = TcpStream::connect(address).unwrap();
                    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
                    let mut text = String::new();
                    client.read_to_string(&mut text).unwrap();
                    text
                })
            })
            .collect();
        let server = std::thread::spawn(move || {
            serve_until_idle(&listener, 8_192, Duration::from_millis(300), &|line: &str| {
                format!("[{}]", line.trim_end())
            })
        });
        for reader in readers {
            assert_eq!(reader.join().unwrap(), "[GET / HTTP/1.1]");
        }
        drop(silent);
        server.join().unwrap().unwrap();
    }

    /// One client has at most half of the places: a further connection of this client gets 503, and another client is
    /// served.
    #[test]
    fn one_client_takes_at_most_half_of_the_places() {
        let served = Served::default();
        let [one, other]: [IpAddr; 2] =
            ["2001:db8::1", "2001:db8::ffff:2"].map(|text| client_at(text.parse().unwrap()));
        assert_eq!(one, other, "one network is one client");
        assert_ne!(one, client_at("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(client_at("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
        let third = "192.0.2.1".parse().unwrap();
        assert!((0..OF_ONE).all(|_| served.enters(one)) && !served.enters(other) && !served.is_full());
        assert!((0..OF_ONE).all(|_| served.enters(third)) && served.is_full());
        served.leaves(one);
        assert!(!served.is_full() && served.enters(other));

        let listener = TcpListener::bind((OWN, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let silent: Vec<TcpStream> = (0..OF_ONE).map(|_| TcpStream::connect(address).unwrap()).collect();
        let server = std::thread::spawn(move || {
            serve_until_idle(&listener, 8_192, Duration::from_millis(300), &|_: &str| String::new())
        });
        let mut text = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
        drop(silent);
        server.join().unwrap().unwrap();
    }
}
