//! Every test talks to a server over real sockets: a scripted one that misbehaves, and Python's.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod answers;
mod conformance;
mod misbehaviour;
mod python;
mod secrets;

use std::path::Path;
use std::time::Duration;

use townlet_tls::{ClientOptions, PlaintextFlags};
use townlet_transport::{Frame, Outcome, SendError, Transport};
use townlet_transport_http::{HttpOptions, HttpTransport, Security, Target};

pub(crate) fn plaintext(url: &str) -> HttpOptions {
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    let options = HttpOptions::plaintext(Target::parse(url).unwrap(), flags).unwrap();
    HttpOptions { send_timeout: Duration::from_secs(30), ..options }
}

pub(crate) fn tls(url: &str, ca_file: &Path) -> HttpOptions {
    let client = ClientOptions { ca_file: Some(ca_file.into()), ..ClientOptions::default() };
    let options = HttpOptions::new(Target::parse(url).unwrap());
    HttpOptions { security: Security::Tls(client), send_timeout: Duration::from_secs(30), ..options }
}

pub(crate) fn transport(options: HttpOptions) -> HttpTransport {
    HttpTransport::new(options).unwrap()
}

/// As the worker does it.
pub(crate) fn send(sink: &mut HttpTransport, batch: &[Frame]) -> Result<Outcome, SendError> {
    sink.connect()?;
    sink.send(batch)
}
