//! What a connection needs to know.

use std::time::Duration;

use townlet_tls::{Endpoint, Plaintext, Security};

use crate::acks::ACK_PROTOCOL;
use crate::deflate::ACK_DEFLATE_PROTOCOL;

/// The settings of a [`TcpTransport`](crate::TcpTransport).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Where the collector listens.
    pub endpoint: Endpoint,
    /// TLS, or leave to go without.
    pub security: Security,
    /// For name resolution, connect and handshake together; above zero.
    pub connect_timeout: Duration,
    /// For one batch; above zero.
    pub send_timeout: Duration,
    /// Whether to offer acknowledgements. Without effect over plaintext.
    pub acks: bool,
    /// Whether to offer compression. Without effect over plaintext and without `acks`.
    pub deflate: bool,
}

impl TcpOptions {
    /// The defaults of the configuration: 5 s to connect, 1 s to send,
    /// acknowledgements where the peer knows them.
    pub fn new(endpoint: Endpoint, security: Security) -> Self {
        Self {
            endpoint,
            security,
            connect_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(1),
            acks: true,
            deflate: false,
        }
    }

    /// What is offered by ALPN, the preferred first.
    pub fn protocols(&self) -> &'static [&'static [u8]] {
        match (self.acks, self.deflate) {
            (true, true) => &[ACK_DEFLATE_PROTOCOL, ACK_PROTOCOL],
            (true, false) => &[ACK_PROTOCOL],
            (false, _) => &[],
        }
    }

    /// The same for an endpoint on this machine, in plaintext.
    pub fn plaintext(leave: Plaintext) -> Self {
        Self::new(leave.endpoint().clone(), Security::Plaintext(leave))
    }
}
