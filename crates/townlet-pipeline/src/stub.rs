//! A sink that streams nothing, visibly.

use townlet_schema::TransportStatus;
use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};

/// The warning that consoles and programs show while the stub is in place.
pub const STUB_WARNING: &str = "Telemetry running in stub mode; real-time streaming disabled.";

/// The provider by which a stub is known.
pub(crate) const STUB: &str = "stub";

/// Stands in where a program runs without telemetry (`provider: stub`). The
/// getters keep working, nothing leaves the process, and every first use says so.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct StubSink;

impl StubSink {
    /// A stub; logs `telemetry_stub_active` as a warning.
    pub fn new() -> Self {
        tracing::warn!(provider = STUB, "telemetry_stub_active");
        Self
    }

    /// True where a status is that of a stub.
    pub fn is_behind(status: &TransportStatus) -> bool {
        status.provider == STUB
    }
}

impl Transport for StubSink {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }

    fn send(&mut self, _batch: &[Frame]) -> Result<Outcome, SendError> {
        Ok(Outcome::Settled(Level::Sent))
    }

    fn close(&mut self) {}
}
