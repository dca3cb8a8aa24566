//! The transport: connects when asked, writes batches, reports the truth.

use std::fmt;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use townlet_tls::{ClientTls, Reload, dial};
use townlet_transport::{Connected, ErrorKind, Frame, Outcome, SendError, Transport, TransportError, runs};

use crate::certificates::Certificates;
use crate::failure::{from_tls, logged};
use crate::link::Link;
use crate::{Security, TcpOptions};

/// How many bytes of frames are gathered before a write.
const BUFFER_BYTES: usize = 256 * 1024;

/// A piece of so many bytes is sent as it lies: a call for it costs less than a copy.
const LARGE: usize = 32 * 1024;
/// No timeout is longer: `Instant` has an end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Sends frames to one TCP endpoint.
pub struct TcpTransport {
    options: TcpOptions,
    tls: Option<Certificates>,
    link: Option<Link>,
    buffer: Vec<u8>,
}

impl TcpTransport {
    /// Builds a transport. Reads certificate files, touches no network.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) for a timeout of zero or a
    /// certificate file that is missing, unreadable or without its content.
    pub fn new(options: TcpOptions) -> Result<Self, TransportError> {
        for (key, value) in
            [("connect_timeout_seconds", options.connect_timeout), ("send_timeout_seconds", options.send_timeout)]
        {
            if value.is_zero() {
                let message = format!("{key} must be above 0: without a limit a stuck peer would block the worker");
                return Err(TransportError::new(ErrorKind::Misconfigured, message));
            }
        }
        let tls = Certificates::load(&options).map_err(from_tls)?;
        Ok(Self { options, tls, link: None, buffer: Vec::new() })
    }

    /// The certificate files in use, what became of their renewals, and the days
    /// until our own expires; none over plaintext.
    pub fn certificates(&self) -> Option<&Reload<ClientTls>> {
        self.tls.as_ref().map(Certificates::reload)
    }

    fn open(&mut self) -> Result<Link, TransportError> {
        let deadline = Instant::now() + self.options.connect_timeout.min(LONGEST);
        let endpoint = self.options.endpoint.clone();
        if let Security::Plaintext(leave) = &self.options.security {
            let socket = leave.dial(deadline).map_err(from_tls)?;
            tune(&socket);
            return Ok(Link::plain(endpoint, socket));
        }
        let Some(tls) = &mut self.tls else {
            return Err(TransportError::new(ErrorKind::Misconfigured, format!("no TLS configuration for {endpoint}")));
        };
        let socket = dial(&endpoint, deadline).map_err(from_tls)?;
        tune(&socket);
        match tls.reload().current().handshake(socket, &endpoint, deadline) {
            Ok(stream) => Ok(Link::tls(endpoint, stream)),
            Err(error) => {
                tls.doubt();
                Err(logged(&endpoint, error))
            }
        }
    }

    /// Writes a batch: small pieces gathered in one buffer, large ones as they lie.
    fn write(buffer: &mut Vec<u8>, link: &mut Link, batch: &[Frame], deadline: Instant) -> Result<(), TransportError> {
        buffer.clear();
        for piece in runs(batch) {
            let large = piece.len() >= LARGE;
            if (large || buffer.len() + piece.len() > BUFFER_BYTES) && !buffer.is_empty() {
                link.write(buffer, deadline)?;
                buffer.clear();
            }
            if large {
                link.write(piece, deadline)?;
            } else {
                buffer.reserve(BUFFER_BYTES.saturating_sub(buffer.len()));
                buffer.extend_from_slice(piece);
            }
        }
        if !buffer.is_empty() {
            link.write(buffer, deadline)?;
        }
        link.flush(deadline)
    }
}

impl Transport for TcpTransport {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        if let Some(tls) = &mut self.tls {
            tls.refresh();
        }
        let peer = self.options.endpoint.to_string();
        if let Some(link) = &self.link {
            return Ok(Connected::reused(peer, link.level(), link.is_tls())
                .showing(self.certificates().and_then(Reload::good_until)));
        }
        let link = self.open()?;
        let connected = Connected::fresh(peer, link.level(), link.is_tls())
            .showing(self.certificates().and_then(Reload::good_until));
        self.link = Some(link);
        Ok(connected)
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        // Taken out, so that every way out but success leaves the connection closed.
        let Some(mut link) = self.link.take() else {
            let message = format!("no connection to {}: connect first", self.options.endpoint);
            return Err(TransportError::new(ErrorKind::Disconnected, message).into());
        };
        if batch.is_empty() {
            let level = link.level();
            self.link = Some(link);
            return Ok(Outcome::Settled(level));
        }
        let deadline = Instant::now() + self.options.send_timeout.min(LONGEST);
        link.hear()?;
        Self::write(&mut self.buffer, &mut link, batch, deadline)?;
        let outcome = if link.sent(batch.len()) { Outcome::Pending } else { Outcome::Settled(link.level()) };
        self.link = Some(link);
        Ok(outcome)
    }

    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        let Some(mut link) = self.link.take() else { return Ok(0) };
        let new = link.receipts(wait)?;
        self.link = Some(link);
        Ok(new)
    }

    fn close(&mut self) {
        if let Some(link) = self.link.take() {
            link.close(Instant::now() + self.options.send_timeout.min(LONGEST));
        }
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpTransport")
            .field("endpoint", &self.options.endpoint)
            .field("connected", &self.link.is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for TcpTransport {
    /// Closing with unread bytes, such as a session ticket, would make the
    /// kernel throw away what it has not sent yet.
    fn drop(&mut self) {
        self.close();
    }
}

/// Sets what makes a long-lived connection notice that its peer has vanished.
/// A system that lacks one of them has a working connection all the same.
fn tune(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let socket = SockRef::from(socket);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(30)));
}
