//! Building the transport from configuration.

use townlet_http::PostOptions;
use townlet_transport::{Factory, Settings, Transport, TransportError};

use crate::{HttpOptions, HttpTransport};

/// Builds the transport of `transport.type: http`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpFactory;

impl HttpFactory {
    /// The options that the settings of a sink stand for. The scheme of the
    /// endpoint selects TLS; `enable_tls` is not asked.
    ///
    /// # Errors
    /// [`Misconfigured`](townlet_transport::ErrorKind::Misconfigured), naming the key at fault.
    pub fn options(settings: &Settings) -> Result<HttpOptions, TransportError> {
        Ok(HttpOptions {
            send_timeout: settings.send_timeout,
            format: settings.format,
            compression: settings.compression,
            ..HttpOptions::over(PostOptions::from_settings(settings, "http")?)
        })
    }
}

impl Factory for HttpFactory {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(HttpTransport::new(Self::options(settings)?)?))
    }
}
