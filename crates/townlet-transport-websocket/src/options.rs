//! What a connection needs to know.

use std::time::Duration;

use townlet_tls::Security;
use townlet_transport::{ErrorKind, Level, TransportError};

use crate::{Token, WsUrl};

/// The settings of a [`WsTransport`](crate::WsTransport).
#[derive(Clone, Debug)]
pub struct WsOptions {
    /// Where the server is. Its scheme fits `security`.
    pub url: WsUrl,
    /// TLS, or leave to go without.
    pub security: Security,
    /// For name resolution, connect, TLS and the opening handshake together;
    /// above zero.
    pub connect_timeout: Duration,
    /// For one batch; above zero.
    pub send_timeout: Duration,
    /// Whether to offer the subprotocol with acknowledgements.
    pub acks: bool,
    /// The level to ask the peer for: [`Level::Durable`] is asked for by a
    /// header, and given where the peer says so.
    pub settle_at: Level,
    /// Shown to the peer as `Authorization: Bearer …`; read anew for each
    /// connection.
    pub token: Option<Token>,
    /// After so long a silence the peer is asked for a sign of life, 15 s.
    pub ping_interval: Duration,
    /// How long it may take to answer, 10 s.
    pub pong_timeout: Duration,
    /// Lines are gathered in messages of at most so many bytes, 256 KiB; a longer
    /// line is a message of its own.
    pub message_bytes: usize,
    /// The longest line to send, 16 MiB and its end: more is
    /// [`TooLarge`](ErrorKind::TooLarge). A peer that refuses a message for its
    /// size (close code 1009) lowers both limits.
    pub max_line_bytes: usize,
}

impl WsOptions {
    /// The defaults of the configuration.
    pub fn new(url: WsUrl, security: Security) -> Self {
        Self {
            url,
            security,
            connect_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(1),
            acks: true,
            settle_at: Level::Sent,
            token: None,
            ping_interval: Duration::from_secs(15),
            pong_timeout: Duration::from_secs(10),
            message_bytes: 256 * 1024,
            max_line_bytes: 16 * 1024 * 1024 + 1,
        }
    }

    pub(crate) fn check(&self) -> Result<(), TransportError> {
        let wrong = |message: String| Err(TransportError::new(ErrorKind::Misconfigured, message));
        for (key, value) in [
            ("connect_timeout_seconds", self.connect_timeout),
            ("send_timeout_seconds", self.send_timeout),
            ("ping_interval", self.ping_interval),
            ("pong_timeout", self.pong_timeout),
        ] {
            if value.is_zero() {
                return wrong(format!("{key} must be above 0: without a limit a stuck peer would block the worker"));
            }
        }
        if self.message_bytes == 0 || self.max_line_bytes == 0 {
            return wrong("message_bytes and max_line_bytes must be above 0".into());
        }
        match (&self.security, self.url.is_secure()) {
            (Security::Tls(_), true) => Ok(()),
            (Security::Plaintext(leave), false) if leave.endpoint() == self.url.endpoint() => Ok(()),
            (Security::Plaintext(_), false) => wrong("the leave to go without TLS is for another endpoint".into()),
            (Security::Tls(_), false) => wrong("websocket_url is ws://, which has no TLS: write wss://".into()),
            (Security::Plaintext(_), true) => wrong("websocket_url is wss://, which has TLS: write ws://".into()),
        }
    }
}
