//! Building the transport from configuration.

use townlet_transport::{Factory, Settings, Transport, TransportError};

use crate::StdoutTransport;

/// Builds the transport of `transport.type: stdout`, which knows no settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdoutFactory;

impl Factory for StdoutFactory {
    fn kind(&self) -> &'static str {
        "stdout"
    }

    fn build(&self, _settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(StdoutTransport::new()))
    }
}
