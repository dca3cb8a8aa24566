//! The transport: connects when asked, writes batches, reports the truth.

use std::fmt;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use socket2::{SockRef, TcpKeepalive};
use townlet_tls::{ClientTls, Reload, dial};
use townlet_transport::{Connected, ErrorKind, Frame, Outcome, SendError, Transport, TransportError};

use crate::failure::{from_tls, logged};
use crate::goodbye::Refused;
use crate::handshake::{Request, upgrade};
use crate::limits::Limits;
use crate::link::{Link, Terms};
use crate::socket::{Socket, Stream};
use crate::suspicion::Suspicion;
use crate::window::Unsettled;
use crate::{Security, WsOptions};

/// No timeout is longer: `Instant` has an end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Sends frames to one WebSocket server.
pub struct WsTransport {
    options: WsOptions,
    tls: Option<Reload<ClientTls>>,
    /// Set where a handshake failed: files may have been renewed a moment ago.
    doubted: bool,
    link: Option<Link>,
    limits: Limits,
    suspicion: Suspicion,
    /// What the last connection left without an acknowledgement, by stream.
    unsettled: Vec<Unsettled>,
}

impl WsTransport {
    /// Builds a transport. Reads certificate files and the token, touches no network.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) for a timeout of zero, a
    /// scheme that does not fit, a certificate file or a token that is missing,
    /// unreadable or without its content.
    pub fn new(options: WsOptions) -> Result<Self, TransportError> {
        options.check()?;
        let tls = match &options.security {
            Security::Plaintext(_) => None,
            Security::Tls(client) => {
                let mut client = client.clone();
                client.alpn = vec![b"http/1.1".to_vec()];
                Some(Reload::client(ClientTls::load(&client).map_err(from_tls)?))
            }
        };
        if let Some(token) = &options.token {
            token.read()?;
        }
        let limits = Limits { message: options.message_bytes, line: options.max_line_bytes };
        Ok(Self {
            options,
            tls,
            doubted: false,
            link: None,
            limits,
            suspicion: Suspicion::default(),
            unsettled: Vec::new(),
        })
    }

    /// The certificate files in use, what became of their renewals, and the days
    /// until our own expires; none over plaintext.
    pub fn certificates(&self) -> Option<&Reload<ClientTls>> {
        self.tls.as_ref()
    }

    fn open(&mut self) -> Result<Link, TransportError> {
        let deadline = Instant::now() + self.options.connect_timeout.min(LONGEST);
        let endpoint = self.options.url.endpoint();
        let token = self.options.token.as_ref().map(crate::Token::read).transpose()?;
        let stream = match (&self.options.security, &self.tls) {
            (Security::Plaintext(leave), _) => {
                let socket = leave.dial(deadline).map_err(from_tls)?;
                tune(&socket);
                Stream::Plain(socket)
            }
            (Security::Tls(_), Some(tls)) => {
                let socket = dial(endpoint, deadline).map_err(from_tls)?;
                tune(&socket);
                match tls.current().handshake(socket, endpoint, deadline) {
                    Ok(stream) => Stream::Tls(Box::new(stream)),
                    Err(error) => {
                        self.doubted = true;
                        return Err(logged(endpoint, error));
                    }
                }
            }
            (Security::Tls(_), None) => {
                let message = format!("no TLS configuration for {endpoint}");
                return Err(TransportError::new(ErrorKind::Misconfigured, message));
            }
        };
        let mut socket = Socket::new(stream, deadline);
        let request = Request {
            url: &self.options.url,
            token: token.as_ref(),
            acks: self.options.acks,
            settle_at: self.options.settle_at,
            unsettled: &self.unsettled,
        };
        let agreed = upgrade(&mut socket, &request)?;
        let terms = Terms {
            limits: self.limits,
            suspicion: self.suspicion.clone(),
            ping_interval: self.options.ping_interval.min(LONGEST),
            pong_timeout: self.options.pong_timeout.min(LONGEST),
            send_timeout: self.options.send_timeout.min(LONGEST),
        };
        Ok(Link::new(endpoint.clone(), socket, agreed, terms))
    }

    /// Takes up certificate files that were renewed: at most one look a second,
    /// or at once after a handshake that failed.
    fn refresh(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        let now = SystemTime::now();
        if std::mem::take(&mut self.doubted) {
            tls.check_now(now);
        } else {
            tls.check(now);
        }
    }

    /// A connection ended with `error`: what it leaves behind shapes the next one.
    fn lost(&mut self, mut link: Link, error: TransportError) -> TransportError {
        let endpoint = self.options.url.endpoint();
        let (suspicion, proven) = link.suspicion();
        self.suspicion = suspicion;
        match Refused::behind(&error) {
            Some(Refused::Size) => {
                self.limits.refused(link.largest());
                let Limits { message, line } = self.limits;
                tracing::warn!(%endpoint, message_bytes = message, line_bytes = line, "telemetry_websocket_smaller_messages");
            }
            Some(Refused::Content(code)) => {
                if let Some(window) = link.window() {
                    self.suspicion.refused(code, window, proven);
                }
                tracing::warn!(%endpoint, code, lines = self.suspicion.careful, "telemetry_websocket_line_by_line");
            }
            None if error.kind() == ErrorKind::Rejected => self.suspicion.given_up(),
            None => {}
        }
        self.unsettled = link.leaves();
        error
    }

    /// Runs `call` on the open connection, which is gone after an error.
    fn with_link<R>(&mut self, call: impl FnOnce(&mut Link) -> Result<R, TransportError>) -> Result<R, TransportError> {
        let Some(mut link) = self.link.take() else {
            let message = format!("no connection to {}: connect first", self.options.url.endpoint());
            return Err(TransportError::new(ErrorKind::Disconnected, message));
        };
        match call(&mut link) {
            Ok(result) => {
                self.link = Some(link);
                Ok(result)
            }
            Err(error) => Err(self.lost(link, error)),
        }
    }
}

impl Transport for WsTransport {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        self.refresh();
        let peer = self.options.url.to_string();
        let wait = self.options.connect_timeout.min(LONGEST);
        if self.link.is_some() {
            match self.with_link(|link| link.prove_alive(wait).map(|()| (link.level(), link.is_tls()))) {
                Ok((level, tls)) => {
                    return Ok(
                        Connected::reused(peer, level, tls).showing(self.certificates().and_then(Reload::good_until))
                    );
                }
                // Whatever was under way is sent again on the new connection.
                Err(error) => tracing::info!(%error, "telemetry_websocket_reopened"),
            }
        }
        let mut link = self.open()?;
        link.greet(wait)?;
        let connected = Connected::fresh(peer, link.level(), link.is_tls())
            .showing(self.certificates().and_then(Reload::good_until));
        self.unsettled.clear();
        self.link = Some(link);
        Ok(connected)
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        let deadline = Instant::now() + self.options.send_timeout.min(LONGEST);
        let sent = self.with_link(|link| {
            if batch.is_empty() {
                return Ok((Outcome::Settled(link.level()), None));
            }
            link.hear()?;
            let stopped = link.write(batch, deadline)?;
            let outcome = if link.window().is_some() { Outcome::Pending } else { Outcome::Settled(link.level()) };
            Ok((outcome, stopped))
        })?;
        match sent {
            (outcome, None) => Ok(outcome),
            (_, Some((written, fault))) => Err(SendError::after(written, fault.at(self.options.url.endpoint()))),
        }
    }

    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        if self.link.is_none() {
            return Ok(0);
        }
        self.with_link(|link| link.receipts(wait))
    }

    fn close(&mut self) {
        if let Some(mut link) = self.link.take() {
            self.suspicion = link.suspicion().0;
            self.unsettled = link.leaves();
            link.close(Instant::now() + self.options.send_timeout.min(LONGEST));
        }
    }
}

impl fmt::Debug for WsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsTransport")
            .field("url", &self.options.url)
            .field("connected", &self.link.is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for WsTransport {
    /// Closing with unread bytes would make the kernel throw away what it has
    /// not sent yet.
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
