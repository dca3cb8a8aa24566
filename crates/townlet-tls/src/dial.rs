//! TCP connections within a total time, whatever the name resolves to.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::Endpoint;
use crate::error::{TlsError, TlsErrorKind as Kind};

/// Which addresses may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Anywhere,
    LoopbackOnly,
}

/// Opens a TCP connection to `endpoint` before `deadline`, name resolution
/// included. Every address that the name resolves to gets a fair share of the
/// time that is left, so that one dead address does not use up all of it.
///
/// # Errors
/// [`NameNotFound`](Kind::NameNotFound), [`Unreachable`](Kind::Unreachable)
/// with the last address's error, or [`ConnectTimeout`](Kind::ConnectTimeout).
pub fn dial(endpoint: &Endpoint, deadline: Instant) -> Result<TcpStream, TlsError> {
    dial_within(endpoint, deadline, Reach::Anywhere)
}

pub(crate) fn dial_within(endpoint: &Endpoint, deadline: Instant, reach: Reach) -> Result<TcpStream, TlsError> {
    let mut addresses = resolve(endpoint, deadline)?;
    if reach == Reach::LoopbackOnly {
        addresses.retain(|address| address.ip().is_loopback());
        if addresses.is_empty() {
            return Err(TlsError::new(
                Kind::Unreachable,
                format!("{endpoint} leads off this machine, where plaintext is not allowed: use TLS or 127.0.0.1"),
            ));
        }
    }
    first_that_answers(endpoint, &addresses, deadline)
}

fn first_that_answers(endpoint: &Endpoint, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, TlsError> {
    let mut last: Option<io::Error> = None;
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        if share.is_zero() {
            return Err(connect_timeout(endpoint, last));
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) if error.kind() == io::ErrorKind::TimedOut => Err(connect_timeout(endpoint, Some(error))),
        Some(error) => {
            let message = match addresses.len() {
                1 => format!("cannot connect to {endpoint}: {error}"),
                n => format!("cannot connect to {endpoint} at any of {n} addresses; the last said: {error}"),
            };
            Err(TlsError::because(Kind::Unreachable, message, error))
        }
        None => Err(TlsError::new(Kind::NameNotFound, format!("{endpoint} resolves to no address"))),
    }
}

fn connect_timeout(endpoint: &Endpoint, last: Option<io::Error>) -> TlsError {
    let message = format!("{endpoint} did not accept a connection in time: is a firewall in the way?");
    match last {
        Some(error) => TlsError::because(Kind::ConnectTimeout, message, error),
        None => TlsError::new(Kind::ConnectTimeout, message),
    }
}

/// The addresses of a host. A resolver cannot be interrupted, so it runs on a
/// thread of its own, which ends when the resolver does.
fn resolve(endpoint: &Endpoint, deadline: Instant) -> Result<Vec<SocketAddr>, TlsError> {
    let port = endpoint.port();
    if let Some(address) = endpoint.address() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = endpoint.host();
    let (sender, receiver) = mpsc::sync_channel(1);
    let lookup = move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody listens any more where it took too long.
        let _ = sender.send(found);
    };
    let spawned = std::thread::Builder::new().name("townlet-resolve".into()).spawn(lookup);
    if let Err(error) = spawned {
        return Err(TlsError::because(Kind::Other, "no thread for name resolution: too many threads", error));
    }
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    match receiver.recv_timeout(left) {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(Ok(_)) => Err(TlsError::new(Kind::NameNotFound, format!("{endpoint} resolves to no address"))),
        Ok(Err(error)) => {
            let message = format!("the host name of {endpoint} does not resolve: {error}");
            Err(TlsError::because(Kind::NameNotFound, message, error))
        }
        Err(_) => {
            Err(TlsError::new(Kind::ConnectTimeout, format!("the host name of {endpoint} did not resolve in time")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const ANY: &str = "127.0.0.1:0";

    fn endpoint() -> Endpoint {
        Endpoint::parse("town.example:9000").unwrap()
    }

    fn dead() -> SocketAddr {
        TcpListener::bind(ANY).unwrap().local_addr().unwrap()
    }

    /// An address where connecting neither succeeds nor fails: its queue is full.
    fn silent() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&ANY.parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            waiting.push(stream);
            assert!(waiting.len() < 100, "the queue of the silent listener does not fill");
        }
        (socket, waiting, address)
    }

    #[test]
    fn a_dead_or_silent_first_address_leaves_time_for_the_next() {
        let (_socket, _waiting, silent) = silent();
        let alive = TcpListener::bind(ANY).unwrap();
        let address = alive.local_addr().unwrap();
        let limit = Duration::from_millis(1500);
        let started = Instant::now();
        let found = first_that_answers(&endpoint(), &[dead(), silent, address], started + limit).unwrap();
        assert_eq!(found.peer_addr().unwrap(), address);
        assert!(started.elapsed() < limit);
    }

    #[test]
    fn all_addresses_together_keep_to_the_deadline() {
        let (_socket, _waiting, silent) = silent();
        let limit = Duration::from_millis(800);
        let started = Instant::now();
        let error = first_that_answers(&endpoint(), &[silent, silent, silent], started + limit).unwrap_err();
        assert_eq!(error.kind(), Kind::ConnectTimeout, "{error}");
        assert!(started.elapsed() <= limit * 3 / 2);
        let error = first_that_answers(&endpoint(), &[dead(), dead()], started + limit * 10).unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.to_string().contains("any of 2 addresses"), "{error}");
    }
}
