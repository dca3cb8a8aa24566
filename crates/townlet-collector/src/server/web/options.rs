//! What the web listener can be told.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::route::{Route, RouteEntry};
use super::token::BearerToken;
use crate::Security;

/// The settings of the web listener.
#[derive(Clone)]
pub struct WebOptions {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// How bytes travel. The ALPN list of a [`ServerTls`](townlet_tls::ServerTls)
    /// has to hold `http/1.1`, or nothing.
    pub security: Security,
    /// What a client has to show. Needed wherever others than this machine can
    /// connect.
    pub token: Option<BearerToken>,
    /// Origins of pages from elsewhere that may ask, as a browser writes them
    /// (`https://ops.example`); none by default.
    pub allowed_origins: Vec<String>,
    /// Connections at a time, 256; one more is closed at once and counted.
    pub max_connections: usize,
    /// Bytes of a request's first line and headers, 16 KiB.
    pub max_head_bytes: usize,
    /// Bytes of a body, as sent and as inflated, 24 MiB: room for the longest line.
    pub max_body_bytes: usize,
    /// Bytes of all bodies at a time, 64 MiB; a request beyond it is asked to
    /// come again (429).
    pub max_bytes_in_flight: usize,
    /// From the first byte of a request to the end of its head, 10 s.
    pub head_timeout: Duration,
    /// For the body of a request, and for reading an answer, 30 s each.
    pub body_timeout: Duration,
    /// For a connection between two requests, 60 s.
    pub keep_alive: Duration,
    /// Streams with metrics of their own, 200. The others share one set of
    /// them, under the names `other`.
    pub metric_streams: usize,
    /// Streams whose states are followed for subscribers of `/ws/telemetry`, 64;
    /// one more waits until another one was silent for a minute. Following costs a
    /// parse of each state and the memory of one; 0 serves no subscribers.
    pub live_streams: usize,
    /// Subscribers at a time, 64; one more is asked to come again (503).
    pub max_subscribers: usize,
    /// How long a subscriber may leave a message unread before it is cut, 30 s.
    /// Meanwhile its states become one with those that follow.
    pub subscriber_timeout: Duration,
    /// Paths that the program adds, see [`with_route`](Self::with_route).
    pub routes: Vec<RouteEntry>,
}

impl WebOptions {
    /// The defaults named at each field.
    pub fn new(listen: SocketAddr, security: Security) -> Self {
        Self {
            listen,
            security,
            token: None,
            allowed_origins: Vec::new(),
            max_connections: 256,
            max_head_bytes: 16 * 1024,
            max_body_bytes: 24 * 1024 * 1024,
            max_bytes_in_flight: 64 * 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            metric_streams: 200,
            live_streams: 64,
            max_subscribers: 64,
            subscriber_timeout: Duration::from_secs(30),
            routes: Vec::new(),
        }
    }

    /// The same with a token.
    pub fn with_token(mut self, token: BearerToken) -> Self {
        self.token = Some(token);
        self
    }

    /// The same with one more path, answered by `route` for requests with this
    /// method. What the listener serves itself cannot be replaced.
    pub fn with_route(mut self, method: &'static str, path: &'static str, route: Arc<dyn Route>) -> Self {
        self.routes.push(RouteEntry { method, path, route });
        self
    }
}

impl fmt::Debug for WebOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebOptions")
            .field("listen", &self.listen)
            .field("security", &self.security)
            .field("token", &self.token)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
