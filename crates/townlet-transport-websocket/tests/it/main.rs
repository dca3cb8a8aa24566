//! The transport against a WebSocket server in this process, over real sockets.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod conformance;
mod delivery;
mod factory;
mod handshake;
mod peer;
mod pulse;
mod refusals;
mod resume;
mod serve;
mod tls;

use std::time::{Duration, Instant};

use townlet_tls::{Plaintext, PlaintextFlags};
use townlet_transport::Transport as _;
use townlet_transport_websocket::{Security, WsOptions, WsTransport, WsUrl};

pub(crate) fn plaintext(address: std::net::SocketAddr) -> WsOptions {
    let url = WsUrl::parse(&format!("ws://{address}/v1/telemetry/ws")).unwrap();
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    let leave = Plaintext::allow(flags, url.endpoint()).unwrap();
    WsOptions::new(url, Security::Plaintext(leave))
}

pub(crate) fn transport(options: WsOptions) -> WsTransport {
    WsTransport::new(options).unwrap()
}

/// Waits until so many frames are settled.
pub(crate) fn collect(sink: &mut WsTransport, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut settled = 0;
    while settled < count && Instant::now() < deadline {
        settled += sink.receipts(Duration::from_secs(1)).unwrap();
    }
    assert_eq!(settled, count);
}
