//! A handshake that ends by a deadline, however slowly the peer answers.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use rustls::{ConnectionCommon, SideData};

use crate::classify::handshake_error;
use crate::error::{TlsError, TlsErrorKind as Kind};

/// Runs the handshake of `connection` over a blocking `socket`. The deadline is
/// for all of it: each wait gets what is left of the time.
///
/// Afterwards the socket has no timeouts.
pub(crate) fn complete<C, S>(
    connection: &mut C,
    socket: &mut TcpStream,
    peer: &str,
    deadline: Instant,
) -> Result<(), TlsError>
where
    C: Deref<Target = ConnectionCommon<S>> + DerefMut,
    S: SideData,
{
    let mut heard = 0;
    while connection.is_handshaking() || connection.wants_write() {
        let step = if connection.wants_write() {
            write(connection, socket, deadline)
        } else {
            match read(connection, socket, peer, deadline)? {
                Ok(got) => {
                    heard += got;
                    Ok(())
                }
                Err(error) => Err(error),
            }
        };
        step.map_err(|error| io_error(peer, heard, error))?;
    }
    let cleared = socket.set_read_timeout(None).and_then(|()| socket.set_write_timeout(None));
    cleared.map_err(|error| io_error(peer, heard, error))
}

/// After a client's handshake in which the server asked for a certificate:
/// waits for what the server says first, because TLS 1.3 lets a client finish
/// before the server has looked at its certificate (RFC 8446, appendix E.1).
pub(crate) fn await_verdict<C, S>(
    connection: &mut C,
    socket: &mut TcpStream,
    peer: &str,
    deadline: Instant,
) -> Result<(), TlsError>
where
    C: Deref<Target = ConnectionCommon<S>> + DerefMut,
    S: SideData,
{
    match read(connection, socket, peer, deadline)? {
        Ok(_) => {}
        // A server need not say anything: silence is consent.
        Err(error) if is_timeout(&error) => {}
        Err(error) => {
            let message = format!("{peer} ended the connection after it saw our certificate, or that there is none");
            return Err(TlsError::because(Kind::PeerRefused, message, error));
        }
    }
    socket.set_read_timeout(None).map_err(|error| io_error(peer, 1, error))
}

fn write<S: SideData>(
    connection: &mut ConnectionCommon<S>,
    socket: &mut TcpStream,
    deadline: Instant,
) -> io::Result<()> {
    socket.set_write_timeout(Some(left(deadline)?))?;
    match connection.write_tls(socket) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        other => other.map(|_| ()),
    }
}

/// One read. The outer error is the protocol's, the inner one the socket's.
fn read<S: SideData>(
    connection: &mut ConnectionCommon<S>,
    socket: &mut TcpStream,
    peer: &str,
    deadline: Instant,
) -> Result<io::Result<usize>, TlsError> {
    let got =
        left(deadline).and_then(|left| socket.set_read_timeout(Some(left))).and_then(|()| connection.read_tls(socket));
    match got {
        Ok(0) => return Ok(Err(ErrorKind::UnexpectedEof.into())),
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Ok(0)),
        Err(error) => return Ok(Err(error)),
        Ok(_) => {}
    }
    if let Err(error) = connection.process_new_packets() {
        // Tells the peer why, where that does not wait; it may be gone.
        if socket.set_write_timeout(Some(Duration::from_millis(50))).is_ok() {
            let _ = connection.write_tls(socket);
        }
        return Err(handshake_error(peer, error));
    }
    Ok(got)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

fn io_error(peer: &str, heard: usize, error: io::Error) -> TlsError {
    if is_timeout(&error) {
        let message = if heard == 0 {
            format!("{peer} is connected but said nothing of a TLS handshake in time: does it speak TLS there?")
        } else {
            format!("{peer} did not finish the TLS handshake in time ({heard} bytes came): it is stalled or very slow")
        };
        return TlsError::because(Kind::HandshakeTimeout, message, error);
    }
    match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => {
            let message = format!("{peer} closed the connection within the TLS handshake: look into its log");
            TlsError::because(Kind::PeerClosed, message, error)
        }
        _ => TlsError::because(Kind::Other, format!("TLS handshake with {peer} failed: {error}"), error),
    }
}
