//! The transport against the real `nats-server`, alone and as a cluster of three.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cluster;
mod conformance;
mod factory;
mod keys;
mod refusals;
mod stored;
mod tls;

use std::time::{Duration, Instant};

use townlet_nats::{NatsOptions, NewStream, Servers};
use townlet_testkit::nats::NatsServer;
use townlet_tls::PlaintextFlags;
use townlet_transport::{Frame, Transport, TransportError};
use townlet_transport_nats::{NatsTransport, NatsTransportOptions};

pub(crate) const STREAM: &str = "TOWNLET";

pub(crate) fn there() -> bool {
    NatsServer::is_there()
}

/// Settings for servers of this machine, with a stream that is made where it is missing.
pub(crate) fn options(url: &str) -> NatsTransportOptions {
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    let nats = NatsOptions::new(Servers::parse(url).unwrap(), flags).unwrap();
    let mut options = NatsTransportOptions::new(nats).unwrap();
    options.create = Some(NewStream {
        subjects: vec![options.subject.filter(None)],
        replicas: 1,
        max_bytes: None,
        duplicate_window: Duration::from_secs(120),
    });
    options
}

pub(crate) fn transport(options: NatsTransportOptions) -> NatsTransport {
    NatsTransport::new(options).unwrap()
}

/// Connects, sends and waits for the receipts, as a worker does it.
pub(crate) fn deliver(sink: &mut NatsTransport, batch: &[Frame]) -> Result<(), TransportError> {
    sink.connect()?;
    sink.send(batch).map_err(|failed| failed.error)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut settled = 0;
    while settled < batch.len() {
        assert!(Instant::now() < deadline, "{settled} of {} settled", batch.len());
        settled += sink.receipts(Duration::from_millis(200))?;
    }
    Ok(())
}

/// The same, again and again for as long as an error can be retried.
pub(crate) fn insist(sink: &mut NatsTransport, batch: &[Frame]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = deliver(sink, batch) {
        assert!(error.kind().is_retryable(), "{error}");
        assert!(Instant::now() < deadline, "{error}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
