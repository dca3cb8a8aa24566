//! Building the transport from configuration.

use townlet_transport::{Factory, Settings, Transport, TransportError};

use crate::{NatsTransport, NatsTransportOptions};

/// Builds the transport of `transport.type: nats`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NatsFactory;

impl NatsFactory {
    /// The options that the settings of a sink stand for. The scheme of the endpoint
    /// selects TLS; `enable_tls` is not asked.
    ///
    /// # Errors
    /// [`Misconfigured`](townlet_transport::ErrorKind::Misconfigured), naming the key at fault.
    pub fn options(settings: &Settings) -> Result<NatsTransportOptions, TransportError> {
        NatsTransportOptions::from_settings(settings)
    }
}

impl Factory for NatsFactory {
    fn kind(&self) -> &'static str {
        "nats"
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(NatsTransport::new(Self::options(settings)?)?))
    }
}
