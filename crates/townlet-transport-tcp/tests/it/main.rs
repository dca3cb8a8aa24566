//! Every test talks to a peer of the testkit over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod acks;
mod conformance;
mod delivery;
mod factory;
mod handshake;
mod renewal;

use std::time::Duration;

use townlet_testkit::certs::Pki;
use townlet_tls::{ClientOptions, Endpoint, Plaintext, PlaintextFlags};
use townlet_transport_tcp::{Security, TcpOptions, TcpTransport};

pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn plaintext(endpoint: &str) -> TcpOptions {
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    TcpOptions::plaintext(Plaintext::allow(flags, &Endpoint::parse(endpoint).unwrap()).unwrap())
}

pub(crate) fn tls(endpoint: &str, pki: &Pki) -> TcpOptions {
    let client = ClientOptions { ca_file: Some(pki.ca_file().into()), ..ClientOptions::default() };
    TcpOptions::new(Endpoint::parse(endpoint).unwrap(), Security::Tls(client))
}

pub(crate) fn transport(options: TcpOptions) -> TcpTransport {
    TcpTransport::new(options).unwrap()
}
