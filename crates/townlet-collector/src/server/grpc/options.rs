//! What the gRPC listener can be told.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Security;
use crate::web::BearerToken;

/// The settings of the gRPC listener.
#[derive(Clone)]
pub struct GrpcOptions {
    /// Where to listen; port 0 lets the system choose, OTLP's own is 4317.
    pub listen: SocketAddr,
    /// How bytes travel. The ALPN list of a [`ServerTls`](townlet_tls::ServerTls)
    /// has to hold `h2`.
    pub security: Security,
    /// What a client has to show, as metadata `authorization: Bearer …`. Needed
    /// wherever others than this machine can connect.
    pub token: Option<BearerToken>,
    /// Connections at a time, 256; one more is closed at once and counted.
    pub max_connections: usize,
    /// Calls at a time on one connection, 32; more wait at the sender.
    pub max_calls_per_connection: u32,
    /// Bytes of a call's metadata, 16 KiB.
    pub max_head_bytes: u32,
    /// Bytes of a message, as sent and as inflated, 24 MiB.
    pub max_message_bytes: usize,
    /// Bytes of all messages at a time, 64 MiB; a call beyond it is asked to come again.
    pub max_bytes_in_flight: usize,
    /// From the head of a call to the end of its message, 30 s.
    pub message_timeout: Duration,
    /// From a new connection to its first call, 30 s.
    pub first_call_timeout: Duration,
    /// For a connection between two calls, 5 min: senders of metrics come once a minute.
    pub keep_alive: Duration,
    /// How often a peer is pinged, and how long it may take to answer, 20 s each.
    pub ping: Duration,
}

impl GrpcOptions {
    /// The defaults named at each field.
    pub fn new(listen: SocketAddr, security: Security) -> Self {
        Self {
            listen,
            security,
            token: None,
            max_connections: 256,
            max_calls_per_connection: 32,
            max_head_bytes: 16 * 1024,
            max_message_bytes: 24 * 1024 * 1024,
            max_bytes_in_flight: 64 * 1024 * 1024,
            message_timeout: Duration::from_secs(30),
            first_call_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(300),
            ping: Duration::from_secs(20),
        }
    }

    /// The same with a token.
    #[must_use]
    pub fn with_token(mut self, token: BearerToken) -> Self {
        self.token = Some(token);
        self
    }
}

impl fmt::Debug for GrpcOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcOptions")
            .field("listen", &self.listen)
            .field("security", &self.security)
            .field("token", &self.token)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
