//! Every test talks to a receiver over real sockets: a scripted one, and one of the OpenTelemetry project.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod answers;
mod conformance;
mod events;
mod factory;
mod publishing;
mod receiver;
mod records;

use townlet_tls::PlaintextFlags;
use townlet_transport::{Frame, Label, Outcome, SendError, Transport};
use townlet_transport_otlp::{OtlpOptions, OtlpTransport, Target};

/// Of an `http://HOST:PORT`, logs alone.
pub(crate) fn plaintext(base: &str) -> OtlpOptions {
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    let options = OtlpOptions::plaintext(Target::parse(base).unwrap(), flags).unwrap();
    let send_timeout = std::time::Duration::from_secs(30);
    OtlpOptions { send_timeout, metrics: false, traces: false, ..options }
}

pub(crate) fn transport(options: OtlpOptions) -> OtlpTransport {
    OtlpTransport::new(options).unwrap()
}

/// As the worker does it.
pub(crate) fn send(sink: &mut OtlpTransport, batch: &[Frame]) -> Result<Outcome, SendError> {
    sink.connect()?;
    sink.send(batch)
}

pub(crate) fn line(kind: &'static str, seq: u64, text: &str) -> Frame {
    Frame::new(Label::new("run-1", "town"), kind, seq, seq, format!("{text}\n"))
}
